"""systemd units and the crontab: rendered from the configuration, true in the repository, sound."""

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from botticelli.cli.setup.timer_install import plans_of
from botticelli.schedule.crontab import crontab
from botticelli.schedule.units import PROGRAM, desk_units, span, spread, systemd_units
from tests.configured import load

ROOT = Path(__file__).parents[2]


@pytest.fixture
def plans(tmp_path):
    return plans_of(load(None, environ={}, cwd=tmp_path))


@pytest.mark.parametrize(
    ("hours", "percent", "base", "delay"),
    [(2, 25, 90, 60), (12, 15, 612, 216), (24, 10, 1296, 288), (1, 0, 60, 0)],
)
def test_jitter_is_a_base_and_a_delay_around_the_interval(hours, percent, base, delay):
    rounds = spread(timedelta(hours=hours), percent)

    assert rounds == (timedelta(minutes=base), timedelta(minutes=delay))


def test_a_timer_of_zero_is_never_rendered():
    assert spread(timedelta(seconds=10), 100)[0] == timedelta(seconds=1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0"), (45, "45s"), (5400, "1h 30min"), (86400, "24h")]
)
def test_a_duration_is_written_as_systemd_reads_it(seconds, text):
    assert span(timedelta(seconds=seconds)) == text


def test_the_units_in_the_repository_are_what_the_default_config_gives(plans):
    there = {path.name: path.read_text() for path in (ROOT / "systemd").iterdir()}

    assert there == systemd_units(plans)
    assert (ROOT / "crontab.example").read_text() == crontab(plans)


def test_the_configuration_decides_the_schedule(botticelli):
    (botticelli.cwd / "botticelli.toml").write_text(
        "[post.schedule]\nseconds = 3600\njitter_percent = 50\n"
    )

    ended = botticelli("timers render --to units")

    timer = (botticelli.cwd / f"units/botticelli-{botticelli.cwd.name}-post.timer").read_text()
    assert ended.code == 0
    assert "OnUnitActiveSec=30min\nRandomizedDelaySec=1h\n" in timer


@pytest.mark.parametrize(
    ("seconds", "times"),
    [(600, "*/10 * * * *"), (3600, "17 * * * *"), (7200, "17 */2 * * *"), (172800, "17 0 */2 * *")],
)
def test_cron_gets_the_nearest_step(botticelli, seconds, times):
    (botticelli.cwd / "botticelli.toml").write_text(f"[post.schedule]\nseconds = {seconds}\n")

    out = botticelli("timers render --cron").out

    folder = botticelli.cwd
    start = f"cd {folder} && {PROGRAM} --config {folder}/botticelli.toml --quiet"
    assert f"{times:<16} {start} post --jitter" in out


def render(botticelli, schedule):
    (botticelli.cwd / "botticelli.toml").write_text(f"[post.schedule]\n{schedule}\n")
    return botticelli("timers render").out, botticelli("timers render --cron").out


def test_times_of_day_in_a_zone_become_calendar_timers(botticelli):
    botticelli.environ["TZ"] = "Europe/Paris"  # whose clocks are those of Berlin
    units, crontab_ = render(
        botticelli,
        "type = 'Daily'\nat = ['09:00', '17:30']\ntime_zone = 'Europe/Berlin'\njitter_minutes = 20",
    )

    assert (
        "OnCalendar=*-*-* 09:00:00 Europe/Berlin\nOnCalendar=*-*-* 17:30:00 Europe/Berlin\n"
        "RandomizedDelaySec=20min\nPersistent=yes\n"
    ) in units
    morning, evening = (line for line in crontab_.splitlines() if " post " in line)
    assert "CRON_TZ" not in crontab_
    assert morning.startswith("0 9 * * *")
    assert morning.endswith("post --jitter 20m")
    assert evening.startswith("30 17 * * *")


def test_a_crontab_line_becomes_calendar_timers(botticelli):
    units, crontab_ = render(botticelli, "type = 'Cron'\ncron = '0 9-21/4 * * mon-fri'")

    assert "OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 09,13,17,21:00:00 UTC\n" in units
    assert "0 9-21/4 * * mon-fri " in crontab_


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("type = 'Cron'", "post.schedule: 'cron' is missing"),
        ("type = 'Daily'", "post.schedule: 'at' is missing"),
        (
            "type = 'Cron'\ncron = '0 25 * * *'",
            "post.schedule.cron: '25' is not a valid hour (0-23)",
        ),
        ("type = 'Daily'\nat = ['09:00']\nseconds = 5", "'seconds' means nothing to type"),
        ("jitter_minutes = 5", "'jitter_minutes' means nothing to type"),
        ("type = 'Daily'\nat = ['9am']", 'post.schedule.at[0]: "9am" is not of the right form'),
        ("type = 'Daily'\nat = ['09:00']\ntime_zone = 'Mars'", "there is no time zone 'Mars'"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused(botticelli, schedule, said):
    (botticelli.cwd / "botticelli.toml").write_text(f"[post.schedule]\n{schedule}\n")

    ended = botticelli("timers render")

    assert ended.code == 78
    assert said in ended.err


def test_units_of_a_user_ask_for_nothing_that_needs_privileges(botticelli):
    out = botticelli("timers render --user --program /home/vera/bin/botticelli").out

    assert "DynamicUser" not in out
    assert "ProtectSystem" not in out
    assert "ExecStart=/home/vera/bin/botticelli post\n" in out
    assert "LoadCredential=DISCORD_TOKEN:%E/botticelli/credentials/DISCORD_TOKEN\n" in out
    assert "WantedBy=default.target" in out


def test_a_jitter_sleeps_a_random_time_first(botticelli, db, clock):
    botticelli.clock = clock

    for _ in range(20):
        assert botticelli("post --jitter 30m").code == 0

    assert len(clock.slept) == 20
    assert all(0 <= seconds <= 1800 for seconds in clock.slept)
    assert len(set(clock.slept)) == 20


@pytest.mark.parametrize("jitter", ["soon", "30", "m30", "", "30m5"])
def test_a_jitter_that_is_no_duration_is_refused(botticelli, db, jitter):
    ended = botticelli(["post", "--jitter", jitter])

    assert ended.code == 2
    assert "write 30m" in ended.err


def test_a_crontab_is_installed_beside_what_is_there_and_removed_again(botticelli, tmp_path):
    """A `crontab` that keeps its table in a file, as the real one does."""
    table = tmp_path / "table"
    table.write_text("0 0 * * * /usr/bin/backup\n")
    fake = tmp_path / "bin/crontab"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\n[ "$1" = -l ] && exec cat {table}\nexec cat > {table}\n')
    fake.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
        assert botticelli("timers status --cron").code == 1
        assert botticelli("timers install --cron --program /opt/botticelli").code == 0
        assert botticelli("timers install --cron --program /opt/botticelli").code == 0

        text = table.read_text()
        assert text.startswith("0 0 * * * /usr/bin/backup\n")
        assert text.count("/opt/botticelli --quiet post") == 1
        assert botticelli("timers status --cron").code == 0

        assert botticelli("timers remove --cron").code == 0
    assert table.read_text() == "0 0 * * * /usr/bin/backup\n"


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def staged(tmp_path, plans):
    """A root file system with our units and a program for them."""
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    for name, text in systemd_units(plans).items():
        (units / name).write_text(text)
    program = tmp_path / PROGRAM.removeprefix("/")
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return tmp_path


def analyze(*args):
    return subprocess.run(
        ["systemd-analyze", *map(str, args)], capture_output=True, text=True, check=False
    )


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(staged, plans):
    names = [name.replace("@", "@x") for name in systemd_units(plans)]

    done = analyze("--recursive-errors=no", f"--root={staged}", "verify", *names)

    complaints = [line for line in done.stderr.splitlines() if "botticelli" in line]
    assert complaints == []


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units_of_the_desk(staged):
    units = desk_units("127.0.0.1:8080")
    for name, text in units.items():
        (staged / "etc/systemd/system" / name).write_text(text)

    done = analyze("--recursive-errors=no", f"--root={staged}", "verify", *units)

    complaints = [line for line in done.stderr.splitlines() if "botticelli" in line]
    assert complaints == []
    service = staged / "etc/systemd/system/botticelli-desk.service"
    done = analyze("security", "--offline=true", "--threshold=15", service)
    assert done.returncode == 0, done.stdout


@needs_systemd
def test_a_service_is_exposed_to_1_5_of_10_at_most(staged):
    for unit in (staged / "etc/systemd/system").glob("*.service"):
        done = analyze("security", "--offline=true", "--threshold=15", unit)
        assert done.returncode == 0, done.stdout


def test_every_timer_has_its_service_and_the_target_wants_it(plans):
    units = systemd_units(plans)
    timers = [name for name in units if name.endswith(".timer")]

    assert len(timers) == 4
    for timer in timers:
        assert timer.replace(".timer", ".service") in units
        assert timer in units["botticelli.target"]
