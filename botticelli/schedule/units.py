"""systemd services and timers, and a crontab, as text.

The unit files in `systemd/` and `crontab.example` are this module's output for the shipped
configuration; a test keeps them true.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from botticelli.records import record
from botticelli.schedule.jitter import span, spread

PROGRAM: Final = "/usr/local/bin/botticelli"
TARGET: Final = "botticelli.target"
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


@record
class Plan:
    """When one stage is woken.

    Args:
        stage: generate, curate or post.
        does: What it does, for the unit's description.
        first: How long after boot the first round starts; the stages in the order of the work.
        longest: How long a run may take before systemd stops it.
    """

    stage: str
    does: str
    interval: timedelta
    jitter_percent: float
    first: timedelta
    longest: timedelta


def systemd_units(plans: Sequence[Plan], *, program: str = PROGRAM) -> Mapping[str, str]:
    """Return every unit's text by file name: service and timer of each stage, and a target."""
    units = {TARGET: _target(plans)}
    for plan in plans:
        units[f"botticelli-{plan.stage}.service"] = _service(plan, program)
        units[f"botticelli-{plan.stage}.timer"] = _timer(plan)
    return units


def _target(plans: Sequence[Plan]) -> str:
    timers = " ".join(f"botticelli-{plan.stage}.timer" for plan in plans)
    return f"""\
# Starts and stops all of Botticelli's timers: systemctl enable --now {TARGET}
[Unit]
Description=Botticelli: generate, curate and post on their schedules
Wants={timers}

[Install]
WantedBy=multi-user.target
"""


def command(plan: Plan) -> str:
    """Return what a timer runs: the curate timer judges all that is pending (plan.md, phase 3)."""
    return "curate --drain" if plan.stage == "curate" else plan.stage


def _timer(plan: Plan) -> str:
    rounds = spread(plan.interval, plan.jitter_percent)
    return f"""\
# Every {span(plan.interval)} +-{plan.jitter_percent:g} %; the delay is drawn anew each round.
[Unit]
Description=Wakes botticelli {plan.stage}
PartOf={TARGET}

[Timer]
OnBootSec={span(plan.first)}
OnUnitActiveSec={span(rounds.base)}
RandomizedDelaySec={span(rounds.delay)}
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def _service(plan: Plan, program: str) -> str:
    return f"""\
# Rendered by: botticelli timers render. Change botticelli.toml and render again,
# or put what is yours into a drop-in: systemctl edit botticelli-{plan.stage}.service
[Unit]
Description=Botticelli: {plan.does}
Documentation=https://github.com/crumplecup/botticelli
Wants=network-online.target
After=network-online.target postgresql.service

[Service]
Type=oneshot
ExecStart={program} {command(plan)}
TimeoutStartSec={span(plan.longest)}
TimeoutStopSec=20s
# 75: not now (locked, breaker open, quota spent); the next round tries again.
SuccessExitStatus=75

# Settings: /etc/botticelli/botticelli.toml, variables: /etc/botticelli/environment.
EnvironmentFile=-/etc/botticelli/environment
# Secrets: one file each (mode 0600) in /etc/botticelli/credentials. One that is missing
# is an empty credential, so that only what is needed has to be there.
{_credentials()}

# One account and one state folder (/var/lib/botticelli) for all stages, made by systemd.
DynamicUser=yes
User=botticelli
StateDirectory=botticelli
StateDirectoryMode=0700
WorkingDirectory=%S/botticelli
Environment=HOME=%S/botticelli XDG_STATE_HOME=%S

# Loosen a line here only if the journal says that it is in the way.
{SANDBOX}"""


SECRETS: Final = ("GEMINI_API_KEY", "DISCORD_TOKEN", "DATABASE_URL")


def _credentials() -> str:
    return "\n".join(
        f"LoadCredential={name}:/etc/botticelli/credentials/{name}\nSetCredential={name}:\\n"
        for name in SECRETS
    )


SANDBOX: Final = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProcSubset=pid
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
RemoveIPC=yes
KeyringMode=private
UMask=0077
"""


def crontab(plans: Sequence[Plan], *, program: str = PROGRAM) -> str:
    """Return a crontab that wakes the stages about as often as their intervals say.

    cron knows no jitter and only round times: an interval becomes the nearest step of minutes,
    hours or days. The stages themselves keep the least time between two posts.
    """
    lines = [
        "# Botticelli with cron. Install it for the account that owns the settings: crontab -e",
        "# Settings come from ~/.config/botticelli/botticelli.toml and the .env beside it.",
        "# Every stage decides for itself whether anything is due; a second start is harmless.",
        "",
    ]
    for number, plan in enumerate(plans):
        times = _cron_times(plan.interval, offset=7 * number + 3)
        lines.append(f"{times:<16} {program} --quiet {command(plan)}")
    return "\n".join(lines) + "\n"


def _cron_times(interval: timedelta, *, offset: int) -> str:
    """Return the nearest step that cron can do, `offset` minutes after the full hour."""
    if interval < HOUR:
        step = max(1, round(interval / MINUTE))
        return f"*/{step} * * * *"
    hours = round(interval / HOUR)
    if hours < 24:
        return f"{offset} */{hours} * * *" if hours > 1 else f"{offset} * * * *"
    days = round(interval / DAY)
    return f"{offset} 0 * * *" if days == 1 else f"{offset} 0 */{min(days, 31)} * *"
