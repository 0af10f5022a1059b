"""Whether a timer and the rules of a destination leave room for each other, by trying. Pure.

The timer wakes us without jitter for some days, there is always a post to send, and the rules
decide as they do in the post stage.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from itertools import pairwise
from typing import Final

from botticelli import cron
from botticelli.records import record
from botticelli.schedule.due import DAY, Pace, Rhythm, next_due
from botticelli.schedule.hours import first_instant, next_allowed, zone_of

LOOKED_AHEAD: Final = 8 * DAY
RARELY: Final = 400 * DAY  # for rounds that come once a month
MOST: Final = 300  # rounds that are looked at
FEW: Final = 6  # times of a day of which each is meant
LOST: Final = 1.4  # from so many times the wanted gap on, rounds pass unused


@record
class Conflict:
    """A conflict; `is_total`: nothing is ever sent."""

    what: str
    is_total: bool = False


@record
class Wakings:
    """When a timer wakes the stage: after each interval, else at times of (some) days."""

    interval: timedelta
    at: tuple[str, ...] = ()
    line: str = ""
    time_zone: str = "UTC"

    @property
    def times(self) -> Sequence[time]:
        """The times of a day; none: after each interval."""
        if self.line:
            return cron.times(cron.parse(self.line))
        return [time.fromisoformat(each) for each in sorted(self.at)]

    def after(self, begin: datetime) -> Iterator[tuple[datetime, time | None]]:
        """Yield instants from `begin` on, each with its time of day."""
        if not self.times:
            for number in range(int(LOOKED_AHEAD / self.interval) + 2):
                yield begin + number * self.interval, None
            return
        days, zone = cron.parse(self.line) if self.line else None, zone_of(self.time_zone)
        for number in range(RARELY // DAY):
            day = begin.date() + number * DAY
            if days is None or cron.falls_on(days, day):
                for each in self.times:
                    yield first_instant(day, each, zone), each


def conflicts(wakings: Wakings, rules: Rhythm, *, now: datetime, limit: int) -> Iterator[Conflict]:
    """Yield what of a timer's rounds is lost on a destination with these rules.

    `limit`: most posts of one round.
    """
    if next_allowed(now, rules.hours) is None:
        yield Conflict(what="no hour of the next two years is allowed", is_total=True)
        return
    usual = replace(rules, hours=replace(rules.hours, quiet=()), missed="one")
    posted, unused = _tried(wakings, usual, now=now)
    if not posted:
        why = next(iter(unused.values()), "its timer never comes")
        is_sure = bool(wakings.times)  # else jitter may lead it into the hours now and then
        what = f"no round of the timer {'can' if is_sure else 'need'} send anything: {why}"
        yield Conflict(what=what, is_total=is_sure)
        return
    if 0 < len(wakings.times) <= FEW:
        used = {at for _, at in posted}
        for at, why in unused.items():
            if at is not None and at not in used:
                yield Conflict(what=f"the round at {at:%H:%M} can never send anything: {why}")
    wanted = max(usual.min_interval, wakings.interval)
    gaps = [later - one for (one, _), (later, _) in pairwise(posted)]
    if not wakings.times and gaps and min(gaps) >= LOST * wanted:
        what = f"posts come every {_hours(min(gaps))} at best, since the timer wakes every"
        yield Conflict(
            what=f"{what} {_hours(wakings.interval)} and the least interval is"
            f" {_hours(usual.min_interval)}: the rounds between pass unused"
        )
    if limit > 1 and usual.min_interval:
        what = f"a round sends one post at most, not {limit}"
        yield Conflict(what=f"{what}: the least interval is {_hours(usual.min_interval)}")


def _tried(
    wakings: Wakings, rules: Rhythm, *, now: datetime
) -> tuple[list[tuple[datetime, time | None]], dict[time | None, str]]:
    """Return the rounds that send, and why one at that time of day did not, for some days."""
    posted: list[tuple[datetime, time | None]] = []
    unused: dict[time | None, str] = {}
    looked, free_at = 0, now
    for instant, at in wakings.after(now):
        if looked > MOST or (posted and instant - now > LOOKED_AHEAD):
            break
        if instant < free_at and at is None:
            continue
        looked += 1
        recent = tuple(one for one, _ in reversed(posted[-(rules.posts_per_day or 1) :]))
        due = next_due(Pace(now=instant, waiting=1, recent=recent), rules)
        if due.is_now:
            posted.append((instant, at))
        else:
            unused.setdefault(at, due.why)
            free_at = due.at - timedelta(minutes=3) if due.at else free_at
    return posted, unused


def _hours(span: timedelta) -> str:
    minutes = span / timedelta(minutes=1)
    return f"{minutes / 60:g} h" if minutes >= 60 and minutes % 60 == 0 else f"{minutes:g} min"
