"""What is asked of `generate`, and whether a batch that nobody asks for is due."""

from datetime import UTC

from botticelli.records import record
from botticelli.schedule.rounds import earliest_round
from botticelli.stages.runners import Workshop
from botticelli.store.connection import Connection
from botticelli.store.generation import batches


@record
class Wish:
    """What the command line asks for.

    Args:
        narrative: FILE or FILE.NAME; empty: the configured one.
        iterations: None: as configured, or as the narrative says.
        models: Asked instead of those that narrative and configuration name.
        workers: None: as configured.
        join: Help a run that is under way, without the stage's lock.
        fresh: Abandon an unfinished batch instead of finishing it.
        now: Write a batch although the schedule's next one is not due.
    """

    narrative: str = ""
    iterations: int | None = None
    models: tuple[str, ...] = ()
    workers: int | None = None
    join: bool = False
    fresh: bool = False
    now: bool = False

    @property
    def is_explicit(self) -> bool:
        """Whether a person wants this very batch: a timer's command says nothing of the kind."""
        return bool(
            self.now or self.fresh or self.narrative or self.iterations is not None or self.models
        )


def why_not_due(conn: Connection, name: str, workshop: Workshop, *, wish: Wish) -> str:
    """Return why no new batch of that narrative is due by the schedule; empty if one is.

    What a person wants in so many words is always due.
    """
    if wish.is_explicit:
        return ""
    last = batches.find_last(conn, name, now=workshop.clock.pinned())
    if last is None:
        return ""
    schedule = workshop.config.generate.schedule
    earliest = earliest_round(
        last.began_at,
        interval=schedule.interval,
        jitter_percent=schedule.jitter_percent,
        at=schedule.at,
        line=schedule.cron,
        time_zone=schedule.time_zone,
    )
    if earliest <= last.now:
        return ""
    return (
        f"a batch was begun at {last.began_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, the next is"
        f" due from {earliest.astimezone(UTC):%Y-%m-%d %H:%M} UTC on; --now writes one at once"
    )
