"""systemd services and timers as text.

The unit files in `systemd/` are this module's output for the shipped configuration; a test keeps
them true, and tests/systemd/ runs them in a real systemd.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from botticelli.records import record


@record
class Spread:
    """Rounds are between `base` and `base + delay` apart, drawn anew each time, evenly."""

    base: timedelta
    delay: timedelta


def spread(interval: timedelta, jitter_percent: float) -> Spread:
    """Return interval +-j % as base = interval (1 - j) and delay = 2 j interval, whole seconds.

    systemd's RandomizedDelaySec only ever adds, so the base has to give way first. The base is at
    least one second: a timer of zero is refused.
    """
    seconds = interval.total_seconds()
    base = max(1, round(seconds * (1 - jitter_percent / 100)))
    delay = round(seconds * 2 * jitter_percent / 100)
    return Spread(base=timedelta(seconds=base), delay=timedelta(seconds=delay))


def span(duration: timedelta) -> str:
    """Return a duration as systemd writes it: "1h 30min", "45s", "0"."""
    left = round(duration.total_seconds())
    words = []
    for unit, size in (("h", 3600), ("min", 60), ("s", 1)):
        amount, left = divmod(left, size)
        if amount:
            words.append(f"{amount}{unit}")
    return " ".join(words) or "0"


PROGRAM: Final = "/usr/local/bin/botticelli"
TARGET: Final = "botticelli.target"
POSTGRES: Final = "botticelli-postgres.service"
NOTIFY: Final = "botticelli-notify@.service"
SECRETS: Final = ("GEMINI_API_KEY", "DISCORD_TOKEN", "DATABASE_URL")


@record
class Plan:
    """When one command is woken.

    Args:
        stage: generate, curate or post; or prune.
        does: What it does, for the unit's description.
        first: How long after boot the first round starts; the stages in the order of the work.
        longest: How long a run may take before systemd stops it.
        calendar: Values of OnCalendar=, which go before the interval; empty: the interval counts.
        delay: Longest random delay after each of those times.
        cron: Five fields of crontab lines; empty: made of the interval.
        time_zone: What `cron` is meant in; "UTC" also where it does not matter.
    """

    stage: str
    does: str
    interval: timedelta
    jitter_percent: float
    first: timedelta
    longest: timedelta
    calendar: tuple[str, ...] = ()
    delay: timedelta = timedelta(0)
    cron: tuple[str, ...] = ()
    time_zone: str = "UTC"


@record
class UnitScope:
    """Where units live and what they run.

    Args:
        program: Absolute path of botticelli.
        of_user: Units of a user's own manager (systemctl --user) instead of the machine's.
    """

    program: str = PROGRAM
    of_user: bool = False


def systemd_units(plans: Sequence[Plan], *, place: UnitScope | None = None) -> Mapping[str, str]:
    """Return every unit's text by file name: services, timers, and the target of all of them."""
    place = place or UnitScope()
    units = {
        TARGET: _target(plans, place),
        POSTGRES: _postgres(place),
        NOTIFY: _notify(place),
    }
    for plan in plans:
        units[f"botticelli-{plan.stage}.service"] = _service(plan, place)
        units[f"botticelli-{plan.stage}.timer"] = _timer(plan)
    return units


def command(plan: Plan) -> str:
    """Return what a timer runs: the curate timer judges all that is pending."""
    return {"curate": "curate --drain", "prune": "db prune"}.get(plan.stage, plan.stage)


def _target(plans: Sequence[Plan], place: UnitScope) -> str:
    timers = " ".join(f"botticelli-{plan.stage}.timer" for plan in plans)
    user = "--user " if place.of_user else ""
    return f"""\
# Starts and stops all of Botticelli: systemctl {user}enable --now {TARGET}
[Unit]
Description=Botticelli: generate, curate and post on their schedules
Wants={timers}

[Install]
WantedBy={"default.target" if place.of_user else "multi-user.target"}
"""


def _timer(plan: Plan) -> str:
    return f"""\
{_rounds_in_words(plan)}
[Unit]
Description=Timer of botticelli {plan.stage}
PartOf={TARGET}

[Timer]
{_rounds(plan)}AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def _rounds_in_words(plan: Plan) -> str:
    if plan.calendar:
        return "# At these times; a round that was missed is made up for once."
    jitter = f"+-{plan.jitter_percent:g} %; with a new random delay each round."
    return f"# Every {span(plan.interval)} {jitter}"


def _rounds(plan: Plan) -> str:
    if plan.calendar:
        times = "".join(f"OnCalendar={each}\n" for each in plan.calendar)
        return f"{times}RandomizedDelaySec={span(plan.delay)}\nPersistent=yes\n"
    rounds = spread(plan.interval, plan.jitter_percent)
    return (
        f"OnBootSec={span(plan.first)}\n"
        f"OnUnitActiveSec={span(rounds.base)}\n"
        f"RandomizedDelaySec={span(rounds.delay)}\n"
    )


def _service(plan: Plan, place: UnitScope) -> str:
    return f"""\
# Rendered by: botticelli timers render. Change botticelli.toml and render again,
# or put what is yours into a drop-in: systemctl edit botticelli-{plan.stage}.service
[Unit]
Description=Botticelli: {plan.does}
Documentation=https://github.com/crumplecup/botticelli
Wants={_network(place)}{POSTGRES}
After={_network(place)}postgresql.service {POSTGRES}
PartOf={TARGET}
OnFailure={NOTIFY.replace("@", "@%n")}

[Service]
Type=oneshot
ExecStart={place.program} {command(plan)}
TimeoutStartSec={span(plan.longest)}
TimeoutStopSec=20s
# 75: not now (locked, breaker open, quota used up); the next round retries.
SuccessExitStatus=75
# OnFailure= notifies the hooks, also of failures that leave the service no time to.
Environment=BOTTICELLI_FAILURES=unit

{_surroundings(place)}"""


def _postgres(place: UnitScope) -> str:
    return f"""\
# The embedded PostgreSQL, shared by all services; does nothing if DATABASE_URL is set.
# A unit of its own: a server that a stage has started would end with that stage.
[Unit]
Description=Botticelli: embedded PostgreSQL
PartOf={TARGET}

[Service]
Type=forking
RemainAfterExit=yes
ExecStart={place.program} db start --if-ours
# SIGINT to the server is its fast shutdown: open transactions are rolled back.
KillSignal=SIGINT
KillMode=mixed
TimeoutStartSec=4min
TimeoutStopSec=90s
Restart=on-failure
RestartSec=1s

{_surroundings(place)}"""


def _notify(place: UnitScope) -> str:
    return f"""\
# Started by OnFailure= of the other services, with the name of the one that failed.
[Unit]
Description=Botticelli: notify hooks that %i failed

[Service]
Type=oneshot
ExecStart={place.program} notify %i
TimeoutStartSec=2min

{_surroundings(place)}"""


def _network(place: UnitScope) -> str:
    return "" if place.of_user else "network-online.target "


def _surroundings(place: UnitScope) -> str:
    return _of_user() if place.of_user else _of_machine()


def _of_machine() -> str:
    return f"""\
# Settings: /etc/botticelli/botticelli.toml, variables: /etc/botticelli/environment.
EnvironmentFile=-/etc/botticelli/environment
# Secrets: one file each (mode 0600) in /etc/botticelli/credentials. One that is missing
# is an empty credential, so that only what is needed has to be there.
{_credentials("/etc")}

# One account and one state folder (/var/lib/botticelli) for all services, made by systemd.
DynamicUser=yes
User=botticelli
StateDirectory=botticelli
StateDirectoryMode=0700
WorkingDirectory=%S/botticelli
Environment=HOME=%S/botticelli XDG_STATE_HOME=%S

# Loosen a line here only if the journal says that it is in the way.
{SANDBOX}"""


def _of_user() -> str:
    return f"""\
# Settings: ~/.config/botticelli/botticelli.toml, variables: environment beside it.
EnvironmentFile=-%E/botticelli/environment
# Secrets: one file each (mode 0600) in ~/.config/botticelli/credentials; missing ones are empty.
{_credentials("%E")}
WorkingDirectory=-%E/botticelli

# What a user's own manager can enforce without privileges.
{SANDBOX_OF_USER}"""


def _credentials(folder: str) -> str:
    return "\n".join(
        f"LoadCredential={name}:{folder}/botticelli/credentials/{name}\nSetCredential={name}:\\n"
        for name in SECRETS
    )


SANDBOX_OF_USER: Final = """\
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077
"""

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
