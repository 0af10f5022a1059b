"""An interval with jitter, as systemd understands it: a base and a random delay on top of it."""

from datetime import timedelta

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
