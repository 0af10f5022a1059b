"""Machines with our units for the tests in this folder."""

import pytest

from botticelli.cli.setup.timer_install import plans_of
from botticelli.schedule.units import systemd_units
from tests.configured import load
from tests.systemd.lab import Lab, Refused, hindrance, program
from tests.systemd.outside import CHANNEL, PORT, TOKEN

SETTINGS = f"""
[destinations.news]
platform = "discord"
channel = "{CHANNEL}"
base_url = "http://127.0.0.1:{PORT}/api/v10"
min_interval_minutes = 0

[models]
default = "offline"
judge = "offline"

[lease]
seconds = 5

[hooks]
on_failure = "/usr/local/bin/told"
"""
TOLD = """\
#!/bin/sh
echo "$BOTTICELLI_EVENT $BOTTICELLI_STAGE $BOTTICELLI_ERROR" >> /var/lib/botticelli/told
"""


@pytest.fixture(scope="session", autouse=True)
def bootable():
    """Whether a systemd can be booted here at all."""
    reason = hindrance()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def lab():
    """A machine that is not booted yet: `put` files, then `boot`."""
    machine = Lab()
    yield machine
    machine.close()


def boot(machine):
    """Boot a machine, or skip where that is refused."""
    try:
        machine.boot()
    except Refused as refusal:
        pytest.skip(str(refusal))


def furnish(machine, *, settings="", database_url=""):
    """Put our units, settings and credentials into a machine, and what they talk to."""
    units = systemd_units(plans_of(load(None, environ={}, cwd=machine.work)))
    for name, text in units.items():
        machine.put(f"/etc/systemd/system/{name}", text)
    machine.put("/etc/botticelli/botticelli.toml", SETTINGS + settings)
    machine.put("/etc/botticelli/credentials/DISCORD_TOKEN", f"{TOKEN}\n", mode=0o600)
    if database_url:
        machine.put("/etc/botticelli/credentials/DATABASE_URL", database_url, mode=0o600)
    machine.put("/usr/local/bin/told", TOLD, mode=0o755)
    machine.put("/usr/local/bin/outside", program("-m tests.systemd.outside"), mode=0o755)


def start_outside(machine):
    """Start Discord and the PostgreSQL that is not ours, and wait until they answer."""
    machine.run("systemd-run --unit=outside -p DynamicUser=no outside")
    assert machine.until("test -s /srv/messages.json").code == 0, machine.run(
        "journalctl -o cat -u outside"
    ).out
