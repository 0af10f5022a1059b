"""What will go out when: the posting rules played forward over what waits. Pure.

`post` asks `next_due` when it is woken; this asks it for each waking to come. So what is forecast
is what is posted, as long as nothing is added, held, refused or changed meanwhile.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from botticelli.records import record
from botticelli.schedule.due import Pace, Rhythm, next_due

MOST: Final = 500  # posts of a forecast
SOON: Final = timedelta(seconds=1)


@record
class Waiting:
    """A post that waits for a destination.

    Args:
        id: Whatever the caller knows it by.
        pinned_to: Not before, and then first.
        is_anyway: Whether hours and quiet dates do not count for it.
        not_before, expires_at: Its own times; None: none.
    """

    id: int
    pinned_to: datetime | None = None
    is_anyway: bool = False
    not_before: datetime | None = None
    expires_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Return whether it may go out at that instant, as far as its own times say."""
        is_late = self.expires_at is not None and self.expires_at <= now
        return not is_late and (self.not_before is None or self.not_before <= now)


def forecast(
    pace: Pace,
    waiting: Sequence[Waiting],
    rules: Rhythm,
    *,
    until: datetime,
    wake: Callable[[datetime], datetime] = lambda at: at,
) -> Iterator[tuple[datetime, Waiting]]:
    """Yield when each post goes out, in order.

    Args:
        pace: Of the destination, now.
        waiting: Pinned ones by their instants, the others in the order in which they are sent.
        rules: Of the destination.
        until: How far to look.
        wake: Returns the first instant from a given one on at which `post` is started.
    """
    left, recent, now = list(waiting), list(pace.recent), wake(pace.now)
    for _ in range(MOST):
        left = [one for one in left if one.expires_at is None or one.expires_at > now]
        pins = sorted((one for one in left if one.pinned_to), key=_instant)
        others = [one for one in left if not one.pinned_to]
        seen = replace(
            pace,
            now=now,
            recent=tuple(recent),
            pins=tuple(map(_instant, pins)),
            is_anyway=bool(pins) and pins[0].is_anyway,
        )
        due = next_due(seen, rules)
        sent = pins[:1] if due.is_pin else [one for one in others if one.is_open(now)]
        if due.is_now and sent:
            yield now, sent[0]
            left.remove(sent[0])
            recent.insert(0, now)
            now = wake(now + SOON)
            continue
        later = [due.at, *map(_instant, pins), *(one.not_before for one in others)]
        ahead = [at for at in later if at is not None and at > now]
        if not left or not ahead or min(ahead) > until:
            return
        now = wake(min(ahead))


def _instant(one: Waiting) -> datetime:
    assert one.pinned_to is not None
    return one.pinned_to
