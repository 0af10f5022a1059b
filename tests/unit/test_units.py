"""systemd units and the crontab: rendered from the configuration, true in the repository, sound."""

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from botticelli.cli.timers import plans_of
from botticelli.config.load import load
from botticelli.schedule.jitter import span, spread
from botticelli.schedule.units import PROGRAM, crontab, systemd_units

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

    assert rounds.base == timedelta(minutes=base)
    assert rounds.delay == timedelta(minutes=delay)


def test_a_timer_of_zero_is_never_rendered():
    assert spread(timedelta(seconds=10), 100).base == timedelta(seconds=1)


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

    timer = (botticelli.cwd / "units/botticelli-post.timer").read_text()
    assert ended.code == 0
    assert "OnUnitActiveSec=30min\nRandomizedDelaySec=1h\n" in timer


@pytest.mark.parametrize(
    ("seconds", "times"),
    [(600, "*/10 * * * *"), (3600, "17 * * * *"), (7200, "17 */2 * * *"), (172800, "17 0 */2 * *")],
)
def test_cron_gets_the_nearest_step(botticelli, seconds, times):
    (botticelli.cwd / "botticelli.toml").write_text(f"[post.schedule]\nseconds = {seconds}\n")

    out = botticelli("timers render --cron").out

    assert f"{times:<16} {PROGRAM} --quiet post" in out.splitlines()


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
    names = list(systemd_units(plans))

    done = analyze("--recursive-errors=no", f"--root={staged}", "verify", *names)

    complaints = [line for line in done.stderr.splitlines() if "botticelli" in line]
    assert complaints == []


@needs_systemd
def test_a_service_is_exposed_to_1_5_of_10_at_most(staged, plans):
    for plan in plans:
        unit = staged / f"etc/systemd/system/botticelli-{plan.stage}.service"
        done = analyze("security", "--offline=true", "--threshold=15", unit)
        assert done.returncode == 0, done.stdout


def test_every_timer_has_its_service_and_the_target_wants_it(plans):
    units = systemd_units(plans)
    timers = [name for name in units if name.endswith(".timer")]

    assert len(timers) == 3
    for timer in timers:
        assert timer.replace(".timer", ".service") in units
        assert timer in units["botticelli.target"]
