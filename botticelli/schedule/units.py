"""systemd services and timers as text.

The unit files in `systemd/` are this module's output for the shipped configuration; a test keeps
them true, and tests/systemd/ runs them in a real systemd.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Final

from botticelli.errors import ConfigError
from botticelli.records import record


def spread(interval: timedelta, jitter_percent: float) -> tuple[timedelta, timedelta]:
    """Return (base, delay) of interval +-j %, in whole seconds: rounds are base to base + delay.

    That is interval (1 - j) and 2 j interval. systemd's RandomizedDelaySec only ever adds, so the
    base has to give way first. It is at least one second: a timer of zero is refused.
    """
    seconds = interval.total_seconds()
    base = max(1, round(seconds * (1 - jitter_percent / 100)))
    delay = round(seconds * 2 * jitter_percent / 100)
    return timedelta(seconds=base), timedelta(seconds=delay)


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
STEM: Final = "botticelli"
MARK: Final = r"(?m)^(?:X-Botticelli=|# project: )(\{.*\})$"
LONGEST_NAME: Final = 100  # a unit's name has 255 bytes, and a notification's has the stem twice
OFTEN: Final = timedelta(hours=6)  # rounds that come sooner are the further tries
UNSAFE: Final = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"
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
    """Where units live, what they run, and for which project.

    Args:
        program: Absolute path of botticelli.
        of_user: Units of a user's own manager (systemctl --user) instead of the machine's.
        project: The project's name; "botticelli" adds nothing to the names of units.
        config: Absolute path of the project's botticelli.toml; empty if there is no project.
    """

    program: str = PROGRAM
    of_user: bool = False
    project: str = STEM
    config: str = ""

    @property
    def stem(self) -> str:
        """What the names of the project's units begin with."""
        return STEM if self.project == STEM else f"{STEM}-{_unit_name(self.project)}"

    @property
    def target(self) -> str:
        """The target that holds all timers of the project."""
        return f"{self.stem}.target"

    @property
    def postgres(self) -> str:
        """The service of the embedded PostgreSQL."""
        return f"{self.stem}-postgres.service"

    @property
    def folder(self) -> str:
        """The project's folder; empty if there is no project."""
        return str(PurePosixPath(self.config).parent) if self.config else ""

    @property
    def mark(self) -> str:
        """One line of JSON that says whose a unit or a crontab block is; see read_mark."""
        facts = {"project": self.project, "config": self.config, "program": self.program}
        return json.dumps(facts, ensure_ascii=False)

    def check(self) -> None:
        """Refuse names that a unit or a crontab cannot hold.

        Raises:
            ConfigError: One has a line break or the like.
        """
        for text in (self.program, self.config, self.project):
            if re.search(UNSAFE, text):
                raise ConfigError(
                    "timers cannot name what holds control characters or is not UTF-8",
                    where=repr(text),
                    hint="rename the folder, or set [project] name",
                )


SHIPPED: Final = UnitScope(config="/etc/botticelli/botticelli.toml")


def read_mark(text: str, *, of_user: bool = False) -> UnitScope | None:
    """Return whose a unit or crontab block is; None if an earlier version wrote it."""
    found = re.search(MARK, text)
    if found is None:
        return None
    try:
        facts = json.loads(found[1])
        return UnitScope(**{key: str(facts[key]) for key in facts}, of_user=of_user)
    except (ValueError, TypeError):  # somebody edited it
        return None


def _unit_name(text: str) -> str:
    """Return a text as systemd-escape(1) writes it, but with its hyphens; a digest if too long."""
    name = "".join(
        chr(byte) if (chr(byte).isalnum() and byte < 128) or byte in b":_.-" else f"\\x{byte:02x}"
        for byte in text.encode()
    )
    if len(name) <= LONGEST_NAME:
        return name
    from hashlib import sha256

    return sha256(text.encode()).hexdigest()[:16]


def _word(text: str) -> str:
    """Return a text as one argument of ExecStart=."""
    return _quoted(text.replace("%", "%%").replace("$", "$$"))


def _quoted(text: str) -> str:
    if re.fullmatch(r"[\w@%$./:,+=-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _starts(place: UnitScope, words: str) -> str:
    """Return a command line of the project."""
    config = f" --config {_word(place.config)}" if place.config else ""
    program = _quoted(place.program.replace("%", "%%"))
    if re.search(r"[\"'\\]", place.program):  # its name there knows no variables and no quotes
        program = f"/usr/bin/env {_word(place.program)}"
    return f"{program}{config} {words}"


def systemd_units(plans: Sequence[Plan], *, place: UnitScope = SHIPPED) -> Mapping[str, str]:
    """Return every unit's text by file name: services, timers, and the target of all of them."""
    units = {
        place.target: _target(plans, place),
        place.postgres: _postgres(place),
        f"{place.stem}-notify@.service": _notify(place),
    }
    for plan in plans:
        units[f"{place.stem}-{plan.stage}.service"] = _service(plan, place)
        units[f"{place.stem}-{plan.stage}.timer"] = _timer(plan, place)
    return units


def command(plan: Plan) -> str:
    """Return what a timer runs: the curate timer judges all that is pending."""
    return {"curate": "curate --drain", "prune": "db prune"}.get(plan.stage, plan.stage)


def _target(plans: Sequence[Plan], place: UnitScope) -> str:
    timers = " ".join(f"{place.stem}-{plan.stage}.timer" for plan in plans)
    user = "--user " if place.of_user else ""
    return f"""\
# Starts and stops all of {_title(place)}: systemctl {user}enable --now '{place.target}'
[Unit]
Description={_title(place)}: generate, curate and post on their schedules
X-Botticelli={place.mark}
Wants={timers}

[Install]
WantedBy={"default.target" if place.of_user else "multi-user.target"}
"""


def _title(place: UnitScope) -> str:
    own = "" if place.project == STEM else f" {place.project}".replace("%", "%%")
    return f"Botticelli{own}"


def _timer(plan: Plan, place: UnitScope) -> str:
    if plan.calendar:
        words = "# At these times; a round that was missed is made up for once."
        times = "".join(f"OnCalendar={each}\n" for each in plan.calendar)
        rounds = f"{times}RandomizedDelaySec={span(plan.delay)}\nPersistent=yes\n"
    else:
        base, delay = spread(plan.interval, plan.jitter_percent)
        jitter = f"+-{plan.jitter_percent:g} %; with a new random delay each round."
        words = f"# Every {span(plan.interval)} {jitter}"
        rounds = f"OnBootSec={span(plan.first)}\nOnUnitActiveSec={span(base)}\n"
        rounds += f"RandomizedDelaySec={span(delay)}\n"
    return f"""\
{words}
[Unit]
Description=Timer of {_title(place)}: {plan.stage}
PartOf={place.target}

[Timer]
{rounds}AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def _service(plan: Plan, place: UnitScope) -> str:
    network = "" if place.of_user else "network-online.target "
    # Where rounds are frequent the next one tries again, and a limit of starts would be in its way.
    limit, restart = ("", "") if plan.interval < OFTEN else (LIMIT, RESTART)
    return f"""\
# Rendered by: botticelli timers render. Change botticelli.toml and render again,
# or put what is yours into a drop-in: systemctl edit '{place.stem}-{plan.stage}.service'
[Unit]
Description={_title(place)}: {plan.does}
Documentation=https://github.com/crumplecup/botticelli
Wants={network}{place.postgres}
After={network}postgresql.service {place.postgres}
PartOf={place.target}
OnFailure={place.stem}-notify@%n.service
{limit}
[Service]
Type=oneshot
ExecStart={_starts(place, command(plan))}
{restart}TimeoutStartSec={span(plan.longest)}
TimeoutStopSec=20s
# 75: not now (locked, breaker open, quota used up); the next round retries.
SuccessExitStatus=75
# OnFailure= notifies the hooks, also of failures that leave the service no time to.
Environment=BOTTICELLI_FAILURES=unit

{_surroundings(place)}"""


LIMIT: Final = "StartLimitIntervalSec=20min\nStartLimitBurst=6\n"
RESTART: Final = """\
# 69: a server was away, and has not come back in two minutes. All else is a person's to fix, or the
# next round's to try.
Restart=on-failure
RestartSec=3min
RestartPreventExitStatus=1 2 70 75 78 130 141 SIGINT SIGTERM SIGKILL
"""


def desk_units(listen: str, *, place: UnitScope = SHIPPED) -> Mapping[str, str]:
    """Return a socket and the service that it starts: the desk runs while somebody uses it.

    `listen`: HOST:PORT, or a path.
    """
    name, target = f"{place.stem}-desk", "default.target" if place.of_user else "sockets.target"
    socket = f"""\
# systemd listens, and starts the desk for the first request: systemctl enable --now '{name}.socket'
[Unit]
Description={_title(place)}: where the desk listens
PartOf={place.target}

[Socket]
ListenStream={listen}
SocketMode=0660

[Install]
WantedBy={target}
"""
    service = f"""\
# Rendered by: botticelli timers render --desk.
[Unit]
Description={_title(place)}: the desk
Documentation=https://github.com/crumplecup/botticelli
Wants={place.postgres}
After=postgresql.service {place.postgres}

[Service]
Type=notify
ExecStart={_starts(place, "desk --listen fd:// --idle-exit 15m")}
TimeoutStopSec=20s

{_surroundings(place)}"""
    return {f"{name}.socket": socket, f"{name}.service": service}


def _postgres(place: UnitScope) -> str:
    return f"""\
# The embedded PostgreSQL, shared by all services; does nothing if DATABASE_URL is set.
# A unit of its own: a server that a stage has started would end with that stage.
[Unit]
Description={_title(place)}: embedded PostgreSQL
PartOf={place.target}

[Service]
Type=forking
RemainAfterExit=yes
ExecStart={_starts(place, "db start --if-ours")}
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
Description={_title(place)}: notify hooks that %i failed

[Service]
Type=oneshot
ExecStart={_starts(place, "notify %i")}
TimeoutStartSec=2min

{_surroundings(place)}"""


def _surroundings(place: UnitScope) -> str:
    root = "%E/botticelli" if place.of_user else "/etc/botticelli"
    # WorkingDirectory= and its like read a folder verbatim, up to the line's end.
    folder = place.folder.replace("%", "%%") + ("/" if place.folder.endswith((" ", "\\")) else "")
    secrets = f"{(folder or root).removesuffix('/')}/credentials"
    credentials = "\n".join(
        f"LoadCredential={name}:{secrets}/{name}\nSetCredential={name}:\\n" for name in SECRETS
    )
    start = f"""\
# Variables of all projects; what is one project's own stands beside its botticelli.toml.
EnvironmentFile=-{root}/environment
# Secrets: .env if the service may read it, or one file each (mode 0600) in credentials/ beside
# botticelli.toml. One that is missing is an empty credential.
{credentials}
"""
    if place.of_user:
        return f"""\
{start}WorkingDirectory={folder or "-%E/botticelli"}

# What a user's own manager can enforce without privileges.
{SANDBOX_OF_USER}"""
    return f"""\
{start}
# One account and one state folder (/var/lib/botticelli) for all services, made by systemd.
DynamicUser=yes
User=botticelli
StateDirectory=botticelli
StateDirectoryMode=0700
WorkingDirectory={folder or "%S/botticelli"}
Environment=HOME=%S/botticelli XDG_STATE_HOME=%S

# Loosen a line here only if the journal says that it is in the way.
{SANDBOX}"""


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

SANDBOX: Final = f"""\
{SANDBOX_OF_USER}SystemCallFilter=~@privileged @resources
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
RemoveIPC=yes
KeyringMode=private
"""
