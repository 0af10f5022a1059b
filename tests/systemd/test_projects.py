"""Units of several projects, whatever their folders are called, in a real systemd."""

import json

import pytest

from botticelli.cli.setup.timer_install import plans_of
from botticelli.schedule.units import UnitScope, systemd_units
from tests.configured import load
from tests.systemd.conftest import boot
from tests.unit.test_timers_of_projects import FOLDERS

pytestmark = pytest.mark.slow

TICK = """\
#!/bin/sh
[ "$3" = post ] || exit 0
{ pwd; echo "$CREDENTIALS_DIRECTORY" | wc -w; cat "$CREDENTIALS_DIRECTORY/DISCORD_TOKEN"
for one in "$@"; do echo "$one"; done; } > "/var/lib/botticelli/$(basename "$(pwd)").said"
"""


def test_each_service_starts_in_its_folder_with_its_settings_and_credentials(lab):
    plans = plans_of(load(None, environ={}, cwd=lab.work))
    lab.put("/usr/local/bin/tick", TICK, mode=0o755)
    stems = {}
    for folder in FOLDERS:
        config = f"/srv/{folder}/botticelli.toml"
        place = UnitScope(program="/usr/local/bin/tick", project=folder, config=config)
        stems[folder] = place.stem
        lab.put(config, "")
        lab.put(f"/srv/{folder}/credentials/DISCORD_TOKEN", f"token of {folder}\n", mode=0o600)
        for name, text in systemd_units(plans, place=place).items():
            if "postgres" not in name:
                lab.put(f"/etc/systemd/system/{name}", text)
    boot(lab)

    for folder, stem in stems.items():
        done = lab.run(f"systemctl start '{stem}-post.service'")
        assert done.code == 0, lab.run("journalctl -o cat | tail -20").out
        said = lab.run("cat /var/lib/botticelli/*.said; rm /var/lib/botticelli/*.said").out
        assert said.splitlines() == [
            f"/srv/{folder}",
            "1",
            f"token of {folder}",
            "--config",
            f"/srv/{folder}/botticelli.toml",
            "post",
        ]


def test_removing_one_project_leaves_the_timers_of_the_other(lab):
    for name in ("chess", "go club"):
        lab.put(f"/srv/{name}/botticelli.toml", "[post.schedule]\ntype = 'Daily'\nat = ['09:00']\n")
    boot(lab)
    program = "--program /usr/local/bin/botticelli"
    for name in ("chess", "go club"):
        done = lab.run(
            f"botticelli --config '/srv/{name}/botticelli.toml' timers install {program}"
        )
        assert done.code == 0, done.out

    assert lab.run("botticelli --config /srv/chess/botticelli.toml timers remove").code == 0

    status = lab.run("botticelli --config '/srv/go club/botticelli.toml' timers status --json")
    report = json.loads(status.out)
    assert status.code == 0, status.out
    assert all(one["armed"] and one["current"] and one["next"] for one in report["timers"])
    assert report["others"] == []
    listed = lab.run("systemctl list-timers --all --no-legend 'botticelli-*'").out
    assert "botticelli-go\\x20club-post.timer" in listed
    assert "chess" not in listed
