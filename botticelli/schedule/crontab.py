"""A crontab as text: the schedules for machines without systemd."""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from math import gcd
from typing import Final

from botticelli.errors import ConfigError
from botticelli.records import record
from botticelli.schedule.machine_zone import translate
from botticelli.schedule.units import SHIPPED, Plan, UnitScope, command, read_mark

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
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
    if plan.cron and plan.stage != "prune":
        times, zone = _in_zone(plan, clock)
    else:
        times, zone = plan.cron or (_cron_times(plan, offset=offset),), []
    delay = _delay(plan)
    jitter = f" --jitter {delay}" if delay else ""
    start = _shell_word(place.program)
    if place.config:
        config = _shell_word(place.config)
        start = f"cd {_shell_word(place.folder)} && {start} --config {config}"
    return [*zone, *(f"{each:<16} {start} --quiet {command(plan)}{jitter}" for each in times)]


def _in_zone(plan: Plan, clock: CronClock | None) -> tuple[tuple[str, ...], list[str]]:
    """Return the lines of a schedule as the cron reads them, and a line that sets the zone."""
    if clock is None:
        return plan.cron, []
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


def _delay(plan: Plan) -> str:
    """Return how long a command sleeps at most: +-j % round a time is 2 j of delay after it."""
    delay = plan.delay if plan.cron else 2 * plan.interval * plan.jitter_percent / 100
    minutes = round(delay / MINUTE)
    return f"{minutes}m" if minutes and plan.stage != "prune" else ""


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
