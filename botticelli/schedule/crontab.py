"""A crontab as text: the schedules for machines without systemd."""

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from math import gcd
from typing import Final

from botticelli import cron
from botticelli.cron import Cron
from botticelli.errors import ConfigError
from botticelli.records import record
from botticelli.schedule.hours import DAY, zone_of
from botticelli.schedule.units import SHIPPED, Plan, UnitScope, command, read_mark

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
LOOKED_AHEAD: Final = 3 * 366  # days; rules of zones change, but not those already announced
BEGIN: Final = "# botticelli: begin"
END: Final = "# botticelli: end"
BLOCK: Final = re.compile(rf"^{BEGIN}\n((?:(?!{BEGIN}$|{END}$).*\n)*){END}\n", re.MULTILINE)


@record
class CronClock:
    """How the cron that runs the lines reads times.

    Args:
        zone: IANA name of the machine's time zone.
        on: Today.
        knows_zones: Whether it reads CRON_TZ, as cronie does; the crons of Debian, BSD and busybox
            do not. Only asked if it matters.
    """

    zone: str
    on: date
    knows_zones: Callable[[], bool]


def crontab(
    plans: Sequence[Plan], *, place: UnitScope = SHIPPED, clock: CronClock | None = None
) -> str:
    """Return a crontab that wakes the stages about as often as their intervals say.

    cron knows no jitter and only round times: an interval becomes the nearest step of minutes,
    hours or days, and the command sleeps a random time first. The stages themselves keep the
    least time between two posts. Times are said in the machine's zone (`clock`; None: the plan's).

    Raises:
        ConfigError: The cron cannot keep the times of a schedule, which is meant in another zone.
    """
    settings = (
        f"Settings: {place.config}, variables and secrets: .env beside it."
        if place.config
        else "Settings come from the variables of the account."
    )
    blocks = [
        _lines(plan, place=place, offset=7 * number + 3, clock=clock)
        for number, plan in enumerate(plans)
    ]
    lines = [
        "# Botticelli with cron. Install it for the account that owns the settings: crontab -e,",
        "# or botticelli timers install --cron.",
        f"# {settings}",
        f"# project: {place.mark}",
        "# Every stage decides for itself whether anything is due; a second start is harmless.",
    ]
    if clock and any(plan.cron and plan.stage != "prune" for plan in plans):
        lines.append(f"# Times are those of {clock.zone}, which is taken for the machine's zone.")
    # CRON_TZ holds for all lines below it, so that those who need it come last.
    blocks.sort(key=lambda block: block[0].startswith("CRON_TZ="))
    lines += ["", *(line for block in blocks for line in block)]
    if clock and blocks and blocks[-1][0].startswith("CRON_TZ="):
        lines.append(f"CRON_TZ={clock.zone}")  # as it is for what others put below
    return "\n".join(lines) + "\n"


def projects_in(text: str) -> Iterator[tuple[UnitScope | None, str]]:
    """Yield whose each of our blocks in a crontab is, and the block; see read_mark."""
    for found in BLOCK.finditer(text):
        yield read_mark(found[1]), found[1]


def replace_block(
    text: str,
    block: str,
    *,
    is_ours: Callable[[UnitScope | None], bool] = lambda _: True,
) -> str:
    """Return the crontab `text` with our blocks in it replaced by `block`; empty: removed."""
    kept = BLOCK.sub(lambda found: "" if is_ours(read_mark(found[1])) else found[0], text)
    if not block:
        return kept
    ended = kept if kept.endswith("\n") or not kept else f"{kept}\n"
    return f"{ended}{BEGIN}\n{block}{END}\n"


def _lines(plan: Plan, *, place: UnitScope, offset: int, clock: CronClock | None) -> list[str]:
    times, zone = plan.cron or (_cron_times(plan, offset=offset),), list[str]()
    if clock and plan.cron and plan.stage != "prune":
        times, zone = _in_zone(plan, clock)
    # +-j % round a time is up to 2 j of delay after it.
    delay = plan.delay if plan.cron else 2 * plan.interval * plan.jitter_percent / 100
    minutes = 0 if plan.stage == "prune" else round(delay / MINUTE)
    jitter = f" --jitter {minutes}m" if minutes else ""
    start = _shell_word(place.program)
    if place.config:
        config = _shell_word(place.config)
        start = f"cd {_shell_word(place.folder)} && {start} --config {config}"
    return [*zone, *(f"{each:<16} {start} --quiet {command(plan)}{jitter}" for each in times)]


def _in_zone(plan: Plan, clock: CronClock) -> tuple[tuple[str, ...], list[str]]:
    """Return the lines of a schedule as the cron reads them, and a line that sets the zone."""
    try:
        lines = [
            translate(each, zone=plan.time_zone, machine=clock.zone, on=clock.on)
            for each in plan.cron
        ]
        return tuple(line for group in lines for line in group), []
    except ValueError as error:
        if clock.knows_zones():
            return plan.cron, [f"CRON_TZ={plan.time_zone}"]
        raise ConfigError(
            f"cron cannot keep these times: {error}",
            where=f"{plan.stage}.schedule",
            hint=f'set time_zone = "{clock.zone}", or use systemd, or cronie, which knows zones',
        ) from error


def _shell_word(text: str) -> str:
    """Return a text as one word of sh, without the percent signs and backslashes that crons eat."""
    if not re.search(r"[%\\]", text):
        return shlex.quote(text)
    octal = re.sub(r"[%\\']", lambda found: f"\\{ord(found[0]):03o}", text)
    return f"\"$(printf '{octal}')\""


def _cron_times(plan: Plan, *, offset: int) -> str:
    """Return the nearest step that cron can do, `offset` minutes after the full hour.

    `generate` without jitter is woken more often: it knows when it is due, and would else wait for
    a whole round more where the step is shorter than the interval, as on a day of 23 hours.
    """
    interval = plan.interval
    if plan.stage == "generate" and 2 * interval * plan.jitter_percent / 100 < MINUTE:
        whole = not interval % MINUTE
        interval = gcd(interval // MINUTE, 60) * MINUTE if whole else MINUTE  # divides an hour
    if interval < HOUR:
        step = max(1, round(interval / MINUTE))
        return f"*/{step} * * * *"
    hours = round(interval / HOUR)
    if hours < 24:
        return f"{offset} */{hours} * * *" if hours > 1 else f"{offset} * * * *"
    days = round(interval / DAY)
    return f"{offset} 0 * * *" if days == 1 else f"{offset} 0 */{min(days, 31)} * *"


def translate(line: str, *, zone: str, machine: str, on: date) -> tuple[str, ...]:
    """Return lines that a cron in zone `machine` runs when `line` is meant in `zone`.

    Args:
        line: Five fields of a crontab.
        zone: IANA name.
        machine: IANA name.
        on: The first day that counts.

    Raises:
        ValueError: No line means the same on every day; the message says why.
    """
    found, ours, theirs = cron.parse(line), zone_of(zone), zone_of(machine)
    shifts: dict[timedelta, str] = {}  # by how much the machine's clock is ahead -> an example
    for day in _telling_days(zone, machine, on):
        for at in cron.times(found):
            here = datetime.combine(day, at, tzinfo=ours).astimezone(UTC).astimezone(ours)
            there = here.astimezone(theirs)
            shift = there.replace(tzinfo=None) - here.replace(tzinfo=None)
            if there.fold > here.fold:  # cron would take the first of two equal times
                shift -= HOUR
            shifts.setdefault(shift, f"{here:%H:%M} of {here:%Y-%m-%d} is {there:%H:%M}")
    if not any(shifts):
        return (line,)
    translated = {tuple(_moved(line, found, shift, machine)) for shift in shifts}
    if len(translated) > 1:
        one, other, *_ = shifts.values()
        raise ValueError(f"{zone} and {machine} set their clocks differently: {one} there, {other}")
    return translated.pop()


def _telling_days(zone: str, machine: str, on: date) -> list[date]:
    """Return `on`, and the days around each change of the clocks in one of the two zones."""
    noons = [datetime.combine(on + number * DAY, time(12)) for number in range(LOOKED_AHEAD)]
    offsets = [
        [noon.replace(tzinfo=zone_of(name)).utcoffset() for name in (zone, machine)]
        for noon in noons
    ]
    pairs = zip(noons[1:], pairwise(offsets), strict=True)
    changes = [noon.date() for noon, (before, after) in pairs if before != after]
    return [on, *(day + number * DAY for day in changes for number in (-1, 0, 1))]


def _moved(line: str, found: Cron, shift: timedelta, machine: str) -> Iterator[str]:
    """Yield lines for the same times on a clock that is ahead by `shift`."""
    is_dated = found.days is not None or found.months is not None
    is_daily = not is_dated and found.weekdays is None
    minutes_of: dict[tuple[int, int], set[int]] = defaultdict(set)  # by days later, and hour
    for at in cron.times(found):
        days, minutes = divmod(at.hour * 60 + at.minute + shift // MINUTE, 24 * 60)
        minutes_of[0 if is_daily else days, minutes // 60].add(minutes % 60)
    hours_of: dict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    for (days, hour), found_minutes in sorted(minutes_of.items()):
        hours_of[days, tuple(sorted(found_minutes))].append(hour)
    if is_dated and any(days for days, _ in hours_of):
        raise ValueError(
            f"in {machine} some of its times fall on another date, which days of the month and"
            " months cannot follow"
        )
    _, _, day, month, _ = cron.SHORTHANDS.get(line.strip().lower(), line).split()
    for (days, minutes_at), hours in hours_of.items():
        weekdays = _listed({(each + days) % 7 for each in found.weekdays or range(7)}, 7)
        yield f"{_listed(minutes_at, 60)} {_listed(hours, 24)} {day} {month} {weekdays}"


def _listed(values: Collection[int], count: int) -> str:
    return "*" if len(values) == count else ",".join(map(str, sorted(values)))
