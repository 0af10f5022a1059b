"""What `doctor` finds in the database: how it is, what is wrong, and the command that fixes it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final

from botticelli.clock import Clock
from botticelli.config.model import Config
from botticelli.errors import BotticelliError, ConfigError, Exit
from botticelli.reports.findings import Check, Finding, fault, faults_of, fine, unknown, warning
from botticelli.store import runs
from botticelli.store.connection import Connection, mapped_errors
from botticelli.store.known_secrets import recognize
from botticelli.store.projects import check_owner
from botticelli.store.reads import doctor
from botticelli.store.reads.doctor import Difference
from botticelli.store.schema import EXPECTED_VERSION, check_contents, inspect
from botticelli.text import counted, span

Opened = Callable[[], AbstractContextManager[Connection]]

SLOW_CLOCK: Final = timedelta(seconds=5)
# Reconciliation reads a channel from two minutes before a request on (discord/channel.py).
WRONG_CLOCK: Final = timedelta(seconds=60)
SET_CLOCK: Final = "timedatectl set-ntp true"
SHOWN: Final = 3  # differences of the schema that are named in the line


def database(opened: Opened, *, place: str, config: Config, clock: Clock) -> Iterator[Finding]:
    """Yield how the database is and what is in it; in one transaction that is rolled back.

    Raises:
        BotticelliError: It cannot be reached.
    """
    with mapped_errors(), opened() as conn:
        found = inspect(conn)
        if found.foreign:
            check_contents(found)
        check_owner(found, config.project)
        version = found.version
        with doctor.read_only(conn):
            before = clock.now()
            server = doctor.server(conn)
            middle = before + (clock.now() - before) / 2
            yield _server(server, place=place)
            yield time_of("the database", server.now - middle)
            yield from _contents(conn, version, config=config, clock=clock)


def _contents(
    conn: Connection, version: int | None, *, config: Config, clock: Clock
) -> Iterator[Finding]:
    yield from _part(conn, "schema", lambda: _schema(conn, version))
    if version == EXPECTED_VERSION:
        yield from _part(conn, "known_secrets", lambda: _former_secrets(conn))
    if version is not None:
        yield from _part(conn, "stages", lambda: _stages(conn, config=config))
        yield from _part(conn, "leftovers", lambda: _cleanup(conn, config=config))
        yield from _part(conn, "quota", lambda: _quota(conn, config=config, clock=clock))


def _former_secrets(conn: Connection) -> Iterator[Finding]:
    """Let what is found hide the keys that were in use before."""
    recognize(conn)
    yield from ()


def _part(conn: Connection, subject: str, check: Check) -> Iterator[Finding]:
    try:
        with doctor.part(conn):
            found = list(check())
    except ConfigError as error:
        found = [unknown(subject, error.what, hint=error.hint)]
    except BotticelliError as error:
        found = faults_of(error, subject=subject)
    yield from found


def _server(server: doctor.Server, *, place: str) -> Finding:
    major, minor = divmod(server.version, 10000)
    what = f"PostgreSQL {major}.{minor} at {place}"
    if server.version < doctor.OLDEST_SERVER:
        return fault("database", f"{what}; 14 or newer is needed", exit_code=Exit.CONFIG)
    if not server.is_writable:
        return fault(
            "database",
            f"{what} takes no changes: a standby, or set to read only",
            hint="botticelli db psql -c 'SHOW default_transaction_read_only'",
            exit_code=Exit.UNAVAILABLE,
        )
    return fine("database", what)


def time_of(whose: str, ahead: timedelta) -> Finding:
    """Return how a clock stands to this machine's."""
    seconds = ahead.total_seconds()
    if abs(ahead) < SLOW_CLOCK:
        return fine("clock", f"this machine and {whose} agree ({seconds:+.1f} s)")
    way = "ahead of" if seconds > 0 else "behind"
    what = f"{whose} is {abs(seconds):.0f} s {way} this machine"
    if abs(ahead) < WRONG_CLOCK:
        return warning("clock", what, hint=SET_CLOCK)
    return fault("clock", what, hint=SET_CLOCK)


def _schema(conn: Connection, version: int | None) -> Iterator[Finding]:
    if version is None:
        yield warning("schema", "there is none yet", hint="botticelli db init")
    elif version < EXPECTED_VERSION:
        what = f"version {version}; this program brings it to {EXPECTED_VERSION}"
        yield warning("schema", what, hint="botticelli db migrate")
    elif version > EXPECTED_VERSION:
        what = f"version {version}; this program knows {EXPECTED_VERSION}"
        hint = "pip install --upgrade botticelli"
        yield fault("schema", what, hint=hint, exit_code=Exit.CONFIG)
    elif found := doctor.differences(conn):
        yield _drift(found)
    else:
        yield fine("schema", f"version {version}, as it should be")


def _drift(found: tuple[Difference, ...]) -> Finding:
    named = ", ".join(f"{each.kind} {each.name} {each.problem}" for each in found[:SHOWN])
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    is_missing = all(each.problem == "missing" for each in found)
    hint = "botticelli db migrate" if is_missing else "botticelli db doctor"
    return fault("schema", f"not what schema.sql says: {named}{more}", hint=hint)


def _stages(conn: Connection, *, config: Config) -> Iterator[Finding]:
    stopped = False
    for stage in config.stages:
        state = runs.read_state(conn, stage)
        hint = f"botticelli resume {stage}"
        if state.is_paused:
            yield warning("stages", f"{stage} is paused", hint=hint)
        if state.circuit_opened_at is not None:
            why = state.last_error or "no reason recorded"
            times = state.consecutive_failures
            yield fault(
                "stages", f"{stage} failed {counted(times, 'time')} in a row: {why}", hint=hint
            )
        stopped = stopped or state.is_paused or state.circuit_opened_at is not None
    if not stopped:
        yield fine("stages", "none is paused, no breaker is open")


def _cleanup(conn: Connection, *, config: Config) -> Iterator[Finding]:
    found = doctor.cleanup_findings(conn)
    for each in found:
        noun, nouns, became, command = CLEANUP[each.kind]
        age = span(each.age) if each.age >= timedelta(minutes=1) else "0 min"
        why = f" ({each.reason})" if each.reason else ""
        what = f"{counted(each.count, noun, nouns)} {became} {age} ago{why}"
        is_stuck = each.kind in {"uncertain", "retrying"} and each.age > config.health.stuck
        note = fault if is_stuck else warning
        yield note("leftovers", what, hint=f"botticelli {command or each.reason}")
    for place, latest in doctor.impossible_instants(conn):
        what = f"{place} lies in the future ({latest:%Y-%m-%d %H:%M} UTC): a clock was wrong"
        yield warning("leftovers", f"{what}; the next run of a stage brings it back")
    if not found:
        yield fine("leftovers", "no killed run, no stuck delivery")


CLEANUP: Final = {  # kind -> (noun, plural, what became of it, the command that settles it)
    "items": ("item", "items", "left by a run that was killed", "generate"),
    "candidates": ("candidate", "candidates", "left half judged by a killed run", "curate"),
    "runs": ("run", "runs", "recorded as running, but killed", ""),  # its own stage notes it
    "uncertain": ("delivery", "deliveries", "sent without an answer", "post"),
    "retrying": ("delivery", "deliveries", "requeued after a failure", "deliveries"),
    "adapting": ("post", "posts", "found too long for a destination", "adapt"),
    "held": ("delivery", "deliveries", "held until somebody decides", "deliveries"),
    "failed": ("delivery", "deliveries", "refused for good", "deliveries"),
}


def _quota(conn: Connection, *, config: Config, clock: Clock) -> Iterator[Finding]:
    from botticelli.reports.budget import LimitUse, ModelBudget, budget_report

    def spent(model: ModelBudget) -> str:
        if model.held_until is not None:
            return f"held until {model.held_until:%H:%M} UTC by a 429 ({model.held_why})"
        least = config.health.budget_left_percent / 100
        days: tuple[tuple[str, LimitUse], ...] = (
            ("requests", model.day_requests),
            ("tokens", model.day_tokens),
        )
        for name, rate in days:
            if rate.allowed and rate.left is not None and rate.left <= least * rate.allowed:
                return f"{rate.left} of the day's {rate.allowed} {name} left"
        return ""

    report = budget_report(conn, models=config.models, multipliers=config.budget, clock=clock)
    words = {model.model: spent(model) for model in report.models}
    for name, word in words.items():
        if word:
            yield warning("quota", f"{name}: {word}", hint="botticelli budget")
    if not any(words.values()):
        yield fine("quota", f"enough left of {', '.join(words) or 'models without limits'}")
