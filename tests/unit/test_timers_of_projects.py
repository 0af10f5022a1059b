"""Timers of several projects side by side: each knows its folder, whatever that is called."""

import json
import shlex
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from botticelli.cli.setup.timer_install import plans_of
from botticelli.errors import ConfigError
from botticelli.schedule.crontab import crontab
from botticelli.schedule.units import UnitScope, read_mark, systemd_units
from tests.configured import load

FOLDERS = [
    "chess",
    "Chess Club",
    'it\'s 100% "ours"',
    "a$HOME `id` $(id)",
    "Schachverein Köln 将棋",
    "back\\slash",
    "ends with \\",
    "%n;#&|<>*?[x]{y}~!",
]


@pytest.fixture
def plans(tmp_path):
    return plans_of(load(None, environ={}, cwd=tmp_path))


def vixie(command):
    """The command as Debian's cron and cronie hand it to sh: a bare % would begin its input."""
    assert "%" not in command.replace("\\%", "")
    return command.replace("\\%", "%").replace("\\\\", "\\")


@pytest.mark.parametrize("as_cron_reads", [vixie, str], ids=["vixie", "busybox"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_crontab_line_starts_in_the_folder_with_its_settings(
    tmp_path, plans, folder, as_cron_reads
):
    root = tmp_path / folder
    root.mkdir()
    program = root / "botticelli"
    program.write_text('#!/bin/sh\npwd\nfor one in "$@"; do echo "$one"; done\n')
    program.chmod(0o755)
    place = UnitScope(program=str(program), project=folder, config=str(root / "botticelli.toml"))

    line = next(line for line in crontab(plans, place=place).splitlines() if " post " in line)
    done = subprocess.run(
        ["/bin/sh", "-c", as_cron_reads(line.split(None, 5)[5])],
        capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip

    wanted = [str(root), "--config", f"{root}/botticelli.toml", "--quiet", "post", "--jitter"]
    assert done.stdout.splitlines()[:-1] == wanted


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("of_user", [False, True])
@pytest.mark.parametrize("folder", FOLDERS)
def test_systemd_finds_nothing_wrong_with_units_of_any_folder(tmp_path, plans, folder, of_user):
    root = tmp_path / folder
    root.mkdir()
    program = root / "botticelli"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    place = UnitScope(
        program=str(program), of_user=of_user, project=folder, config=f"{root}/botticelli.toml"
    )
    units = tmp_path / "units"
    units.mkdir()
    for name, text in systemd_units(plans, place=place).items():
        (units / name).write_text(text)
        assert read_mark(text) in (None, UnitScope(**vars(place) | {"of_user": False}))

    names = [str(units / f"{place.stem}-post.service"), str(units / f"{place.stem}-post.timer")]
    done = subprocess.run(
        ["systemd-analyze", "--recursive-errors=no", "verify", place.target, *names],
        capture_output=True, text=True, check=False, cwd=units,
    )  # fmt: skip

    assert [line for line in done.stderr.splitlines() if "botticelli" in line] == []


@pytest.mark.parametrize(
    ("names", "told_apart"),
    [(["a b", "a-b"], True), (["x" * 300, "x" * 301], True), (["Köln", "K\\xc3\\xb6ln"], True)],
)
def test_no_two_names_have_the_same_units(names, told_apart):
    stems = {UnitScope(project=name).stem for name in names}

    assert (len(stems) == len(names)) is told_apart
    assert all(len(f"{stem}-notify@{stem}-generate.service.service") < 256 for stem in stems)


@pytest.mark.parametrize("path", ["/srv/a\nb/botticelli.toml", "/srv/\x1b[1m/b", "/s/\udc80/b"])
def test_what_no_unit_can_hold_is_refused(path):
    with pytest.raises(ConfigError, match="control characters"):
        UnitScope(config=path).check()


@pytest.fixture
def machine(botticelli, tmp_path, monkeypatch):
    """A machine with a systemctl and a crontab that remember; `project(name)` is a folder on it."""
    folder, state, table = tmp_path / "bin", tmp_path / "systemctl", tmp_path / "table"
    folder.mkdir()
    table.write_text("0 0 * * * /usr/bin/backup\n")
    scripts = {
        "crontab": f'[ "$1" = -l ] && exec cat {table}\nexec cat > {table}\n',
        "systemctl": f"""\
shift
echo "$@" >> {state}
[ "$1" = show ] || exit 0
for unit; do case $unit in *.timer)
  [ -e "{tmp_path}/.config/systemd/user/$unit" ] && is=loaded || is=not-found
  [ $is = loaded ] && active=active || active=inactive
  printf 'Id=%s\\nLoadState=%s\\nActiveState=%s\\nNextElapseUSecRealtime=@1790000000\\n\\n' \\
    "$unit" $is $active
esac; done
""",
    }
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    units = tmp_path / ".config/systemd/user"

    def project(name, *, parent="."):
        root = tmp_path / parent / name
        root.mkdir(parents=True)
        (root / "botticelli.toml").write_text("")
        return root

    def run(root, line):
        botticelli.cwd = root
        return botticelli(line)

    def there():
        return sorted(path.name for path in units.glob("*.timer")) if units.exists() else []

    return SimpleNamespace(
        project=project, run=run, there=there, units=units, table=table, state=state
    )


STAGES = ("curate", "generate", "post", "prune")


def test_units_of_two_projects_live_side_by_side(machine):
    chess, go = machine.project("chess"), machine.project("go club")
    for root in (chess, go):
        assert machine.run(root, "timers install --user --program /opt/b").code == 0

    assert machine.there() == sorted(
        f"botticelli-{name}-{stage}.timer" for name in ("chess", "go\\x20club") for stage in STAGES
    )
    service = (machine.units / "botticelli-go\\x20club-post.service").read_text()
    assert f'ExecStart=/opt/b --config "{go}/botticelli.toml" post\n' in service
    assert f"WorkingDirectory={go}\n" in service
    report = json.loads(machine.run(chess, "timers status --user --json").out)
    assert [one["current"] for one in report["timers"]] == [True] * 4
    assert [(one["project"], one["config"]) for one in report["others"]] == [
        ("go club", f"{go}/botticelli.toml")
    ]
    assert all(one["armed"] for one in report["others"][0]["timers"])
    assert "of go club" in machine.run(chess, "timers status --user").out

    assert machine.run(chess, "timers remove --user").code == 0

    assert machine.there() == sorted(f"botticelli-go\\x20club-{stage}.timer" for stage in STAGES)
    assert machine.run(go, "timers status --user").code == 0
    assert machine.run(chess, "timers status --user").code == 1


def test_crontab_lines_of_two_projects_live_side_by_side(machine):
    chess, go = machine.project("chess"), machine.project("go club")
    for root in (chess, go, chess):
        assert machine.run(root, "timers install --cron --program /opt/b").code == 0

    text = machine.table.read_text()
    assert text.count(f"cd {chess} && /opt/b --config {chess}/botticelli.toml --quiet post") == 1
    assert text.count(f"cd '{go}' && /opt/b --config '{go}/botticelli.toml' --quiet post") == 1
    report = json.loads(machine.run(go, "timers status --cron --json").out)
    assert all(one["current"] for one in report["timers"])
    assert [one["project"] for one in report["others"]] == ["chess"]

    assert machine.run(chess, "timers remove --cron").code == 0
    assert "chess" not in machine.table.read_text()
    assert machine.run(go, "timers status --cron").code == 0
    assert machine.run(go, "timers remove --cron").code == 0
    assert machine.table.read_text() == "0 0 * * * /usr/bin/backup\n"


@pytest.mark.parametrize("kind", ["--user", "--cron"])
def test_a_namesake_in_another_folder_is_refused_and_left_alone(machine, kind):
    mine, other = machine.project("chess"), machine.project("chess", parent="other")
    machine.run(mine, f"timers install {kind}")
    before = machine.table.read_text(), machine.there()

    ended = machine.run(other, f"timers install {kind}")

    assert ended.code == 78
    assert f"timers of another project 'chess' are installed: {mine}/botticelli.toml" in ended.err
    assert "there was nothing to remove" in machine.run(other, f"timers remove {kind}").err
    assert machine.run(other, f"timers status {kind}").code == 1
    assert (machine.table.read_text(), machine.there()) == before

    shutil.rmtree(mine)  # it has moved: what is left of it is replaced
    assert machine.run(other, f"timers install {kind}").code == 0
    assert machine.run(other, f"timers status {kind}").code == 0


def old_units(machine):
    """Units as earlier versions wrote them, without a project."""
    machine.units.mkdir(parents=True)
    for stage in STAGES:
        (machine.units / f"botticelli-{stage}.timer").write_text("[Timer]\n")
        (machine.units / f"botticelli-{stage}.service").write_text(
            f"[Service]\nExecStart=/usr/local/bin/botticelli {stage}\n"
        )
    (machine.units / "botticelli.target").write_text("[Unit]\n")


@pytest.mark.parametrize("command", ["install", "remove"])
def test_units_without_a_project_are_taken_over_not_doubled(machine, command):
    old_units(machine)
    chess = machine.project("chess")
    report = json.loads(machine.run(chess, "timers status --user --json").out)
    assert [(one["installed"], one["current"]) for one in report["timers"]] == [(True, False)] * 4

    assert machine.run(chess, f"timers {command} --user").code == 0

    names = [f"botticelli-chess-{stage}.timer" for stage in STAGES]
    assert machine.there() == (names if command == "install" else [])
    assert "disable --now botticelli.target" in machine.state.read_text()


def test_units_without_a_project_that_run_another_one_stay(machine, tmp_path):
    old_units(machine)
    (tmp_path / ".config/botticelli").mkdir()
    (tmp_path / ".config/botticelli/botticelli.toml").write_text("")
    chess = machine.project("chess")

    assert machine.run(chess, "timers install --user").code == 0

    assert len(machine.there()) == 8
    assert machine.run(tmp_path / ".config/botticelli", "timers install --user").code == 0
    assert len(machine.there()) == 8
    assert "--config" in (machine.units / "botticelli-post.service").read_text()


def test_crontab_lines_without_a_project_are_taken_over_not_doubled(machine):
    machine.table.write_text(
        "1 1 * * * a\n# botticelli: begin\n# Botticelli with cron.\n0 0 * * * botticelli post\n"
        "# botticelli: end\n2 2 * * * b\n"
    )
    chess = machine.project("chess")

    assert machine.run(chess, "timers install --cron").code == 0

    text = machine.table.read_text()
    assert text.startswith("1 1 * * * a\n2 2 * * * b\n# botticelli: begin\n")
    assert text.count("botticelli: begin") == 1
    assert "0 0 * * * botticelli post" not in text


def test_what_is_set_in_the_shell_only_is_named_and_written_nowhere(machine, botticelli):
    chess = machine.project("chess")
    (chess / ".env").write_text("GEMINI_API_KEY=kept\n")
    botticelli.environ |= {"DISCORD_TOKEN": "5EcretToken", "GEMINI_API_KEY": "kept"}

    for kind in ("--user", "--cron"):
        ended = machine.run(chess, f"timers install {kind}")
        assert "note: DISCORD_TOKEN: set in this shell only" in ended.err

    written = [path.read_text() for path in machine.units.iterdir()] + [machine.table.read_text()]
    assert not any("5EcretToken" in text or "kept" in text for text in written)


def test_a_dry_run_shows_the_commands_as_a_shell_takes_them(machine):
    out = machine.run(machine.project("go club"), "timers install --user --dry-run").out

    (enable,) = (line for line in out.splitlines() if " enable " in line)
    assert shlex.split(enable)[-1] == "botticelli-go\\x20club.target"
