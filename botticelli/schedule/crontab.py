"""A crontab as text: the schedules for machines without systemd."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from botticelli.schedule.units import PROGRAM, Plan, command

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
BEGIN: Final = "# botticelli: begin"
END: Final = "# botticelli: end"


def crontab(plans: Sequence[Plan], *, program: str = PROGRAM) -> str:
    """Return a crontab that wakes the stages about as often as their intervals say.

    cron knows no jitter and only round times: an interval becomes the nearest step of minutes,
    hours or days, and the command sleeps a random time first. The stages themselves keep the
    least time between two posts.
    """
    lines = [
        "# Botticelli with cron. Install it for the account that owns the settings: crontab -e,",
        "# or botticelli timers install --cron. Settings come from",
        "# ~/.config/botticelli/botticelli.toml and the .env beside it.",
        "# Every stage decides for itself whether anything is due; a second start is harmless.",
        "",
    ]
    numbered = list(enumerate(plans))
    # CRON_TZ holds for all lines below it, so that those who need it come last.
    for number, plan in sorted(numbered, key=lambda each: bool(_zone(each[1]))):
        lines += _lines(plan, program=program, offset=7 * number + 3)
    return "\n".join(lines) + "\n"


def replace_block(text: str, block: str) -> str:
    """Return the crontab `text` with our block in it replaced by `block`; empty: removed."""
    head, found, rest = text.partition(f"{BEGIN}\n")
    tail = rest.partition(f"{END}\n")[2] if found else ""
    if not block:
        return head + tail
    return f"{head}{tail}{BEGIN}\n{block}{END}\n"


def _lines(plan: Plan, *, program: str, offset: int) -> list[str]:
    times = plan.cron or (_cron_times(plan.interval, offset=offset),)
    delay = _delay(plan)
    jitter = f" --jitter {delay}" if delay else ""
    return [
        *_zone(plan),
        *(f"{each:<16} {program} --quiet {command(plan)}{jitter}" for each in times),
    ]


def _zone(plan: Plan) -> list[str]:
    return [f"CRON_TZ={plan.time_zone}"] if plan.cron and plan.stage != "prune" else []


def _delay(plan: Plan) -> str:
    """Return how long a command sleeps at most: +-j % round a time is 2 j of delay after it."""
    delay = plan.delay if plan.cron else 2 * plan.interval * plan.jitter_percent / 100
    minutes = round(delay / MINUTE)
    return f"{minutes}m" if minutes and plan.stage != "prune" else ""


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
