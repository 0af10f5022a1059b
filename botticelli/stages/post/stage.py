"""The post stage: for each destination, settle what is uncertain, then publish what is due.

No model stands in this path, and an idle tick opens no platform: requests is not even imported.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from botticelli.clock import Clock
from botticelli.config.model import Config, Destination
from botticelli.errors import BotticelliError, ConfigError, Exit, UsageError
from botticelli.platforms.base import Platform
from botticelli.records import record
from botticelli.schedule.due import Due
from botticelli.stages.post.reconcile import reconcile
from botticelli.stages.post.send import deliver
from botticelli.stages.post.target import Desk, Result, traced
from botticelli.stages.supervise import Outcome, Run, supervise
from botticelli.store import pace
from botticelli.store.connection import Connection
from botticelli.store.delivery import deliveries, posts, schedule
from botticelli.store.delivery.posts import Queued
from botticelli.store.identity import Identity
from botticelli.store.queue import LostLease

# Worst first: what one destination suffers from must not hide behind another's success.
_EXITS: Final = (Exit.CONFIG, Exit.FAILED, Exit.UNAVAILABLE, Exit.TRY_LATER, Exit.DONE)

Opener = Callable[[Destination], Platform]


@record
class PostReport:
    """What a run of the stage did, destination by destination.

    Args:
        skipped: Why nothing was even looked at ("paused"); empty: it was.
    """

    results: tuple[Result, ...] = ()
    skipped: str = ""
    exit_code: Exit = Exit.DONE


@record
class Posting:
    """What the stage is told.

    Args:
        open_platform: Called for a destination that has something to send, not before.
        to: The one destination to serve; empty: all.
        limit: Most posts to each destination; None: as configured.
        ignoring_rhythm: Whether to leave out interval, hours, quiet dates and posts a day.
    """

    config: Config
    open_platform: Opener
    to: str = ""
    limit: int | None = None
    ignoring_rhythm: bool = False

    @property
    def destinations(self) -> tuple[Destination, ...]:
        """The destinations to serve.

        Raises:
            UsageError: There is none of that name.
            ConfigError: There is none at all.
        """
        known = self.config.destinations
        if not known:
            raise ConfigError(
                "there is no destination to post to",
                where=str(self.config.source or "botticelli.toml"),
                hint="add a [destinations.NAME] table",
            )
        if self.to and self.to not in known:
            raise UsageError(
                f"there is no destination '{self.to}'", hint=f"name one of {', '.join(known)}"
            )
        return (known[self.to],) if self.to else tuple(known.values())

    @property
    def most(self) -> int:
        """Most posts to each destination in this run."""
        return self.config.post.limit if self.limit is None else self.limit


def post(
    posting: Posting,
    *,
    conn: Connection,
    connect: Callable[[], Connection],
    identity: Identity,
    clock: Clock,
) -> PostReport:
    """Publish what is due, as the stage's only run.

    Raises:
        TryLater: The breaker is open or another run holds the lock.
        UsageError: There is no destination of that name.
    """
    reports: list[PostReport] = []
    chosen = posting.destinations

    def work(run: Run) -> Outcome:
        stage = Stage(posting, conn=conn, identity=identity, clock=clock, run=run)
        reports.append(stage.serve(chosen))
        return _outcome(reports[0])

    outcome = supervise(
        "post",
        work,
        conn=conn,
        connect=connect,
        config=posting.config.supervision,
        identity=identity,
        clock=clock,
    )
    if reports:
        return reports[0]
    return PostReport(skipped=str(outcome.summary.get("skipped", "")), exit_code=outcome.exit_code)


def _outcome(report: PostReport) -> Outcome:
    counts: dict[str, Any] = {}
    for result in report.results:
        counts[result.state] = counts.get(result.state, 0) + 1
    errors = [one.note for one in report.results if one.exit_code != Exit.DONE]
    served = {one.destination for one in report.results}
    out_of_order = {one.destination for one in report.results if one.exit_code != Exit.DONE}
    return Outcome(
        exit_code=report.exit_code,
        summary=counts | ({"error": errors[0]} if errors else {}),
        opens_breaker=any(one.locked_out for one in report.results),
        spares_breaker=out_of_order != served,
    )


class Stage:
    """One run of the stage: destinations one after the other, each on its own."""

    def __init__(
        self,
        posting: Posting,
        *,
        conn: Connection,
        identity: Identity,
        clock: Clock,
        run: Run,
    ) -> None:
        self._posting = posting
        self._conn = conn
        self._identity = identity
        self._clock = clock
        self._run = run

    def serve(self, chosen: Sequence[Destination]) -> PostReport:
        """Serve the chosen destinations; one that rejects our credentials ends the run."""
        everything = [pace.wanted(one) for one in self._posting.config.destinations.values()]
        schedule.plan(self._conn, everything)
        queues = self._read(chosen)
        results: list[Result] = []
        for destination in chosen:
            if self._run.stop.is_set() or any(one.locked_out for one in results):
                break
            results += self._serve_one(destination, queues[destination.name])
        return PostReport(results=tuple(results), exit_code=worst(results))

    def _read(self, chosen: Sequence[Destination]) -> Mapping[str, Queued]:
        return posts.read_queues(self._conn, [pace.wanted(one) for one in chosen])

    def _again(self, destination: Destination) -> Queued:
        return self._read([destination])[destination.name]

    def _serve_one(self, destination: Destination, queued: Queued) -> list[Result]:
        results: list[Result] = []
        try:
            self._run_one(destination, queued, results)
        except LostLease as error:
            results.append(_failed(destination, error))
        except ConfigError as error:  # nothing is claimed: the client could not be opened
            results.append(_failed(destination, error))
        return results

    def _run_one(self, destination: Destination, queued: Queued, results: list[Result]) -> None:
        desk: Desk | None = None
        if queued.is_uncertain:
            desk = self._open(destination)
            results += reconcile(desk)
            queued = self._again(destination)
        while len(_published(results)) < self._posting.most and not self._run.stop.is_set():
            idle = self._idle(destination, queued)
            if idle is not None:
                if not _published(results):
                    results.append(idle)
                return
            desk = desk or self._open(destination)
            result = self._send_next(desk, queued)
            results.append(result)
            if result.state in {"put back", "uncertain", "waiting"}:
                return
            queued = self._again(destination)
        self._tell_next_due(destination, queued, results)

    def _open(self, destination: Destination) -> Desk:
        return Desk(
            conn=self._conn,
            platform=self._posting.open_platform(destination),
            destination=destination,
            owner=self._identity.owner,
            lease=self._posting.config.supervision.lease,
            retry=self._posting.config.post.retry,
            clock=self._clock,
            window=self._posting.config.similarity.window,
        )

    def _idle(self, destination: Destination, queued: Queued) -> Result | None:
        """Return why nothing is to be sent now; None: something is."""
        due = self._judge(destination, queued, ignoring_rhythm=self._posting.ignoring_rhythm)
        if not queued.waiting and queued.busy_until is None:
            return _nothing(destination, due)
        if due.is_now:
            return None
        return Result(destination=destination.name, state="waiting", note=due.why, next_due=due.at)

    def _judge(self, destination: Destination, queued: Queued, *, ignoring_rhythm: bool) -> Due:
        return pace.judge(
            self._conn,
            queued,
            destination,
            interval=self._posting.config.post.schedule.interval,
            ignoring_rhythm=ignoring_rhythm,
        )

    def _send_next(self, desk: Desk, queued: Queued) -> Result:
        delivery = deliveries.claim_next_due(
            self._conn,
            desk.destination.name,
            last_posted=queued.pace.last_posted,
            owner=desk.owner,
            lease=desk.lease,
        )
        if delivery is not None:
            return traced(deliver, desk, delivery)
        return Result(
            destination=desk.destination.name,
            state="waiting",
            note="another process posts there right now",
            next_due=queued.now + timedelta(seconds=1),
        )

    def _tell_next_due(
        self, destination: Destination, queued: Queued, results: list[Result]
    ) -> None:
        """Add to the last post when the rhythm wants the next one, --now or not."""
        if _published(results):
            due = self._judge(destination, queued, ignoring_rhythm=False)
            results[-1] = replace(results[-1], next_due=due.at)


def _nothing(destination: Destination, due: Due) -> Result:
    return Result(
        destination=destination.name,
        state="nothing",
        note="no approved post is waiting",
        next_due=None if due.is_now else due.at,
    )


def _published(results: Sequence[Result]) -> list[Result]:
    return [one for one in results if one.state == "posted"]


def _failed(destination: Destination, error: BotticelliError) -> Result:
    return Result(
        destination=destination.name,
        state="failed",
        note=str(error),
        exit_code=error.exit_code,
    )


def worst(results: Sequence[Result]) -> Exit:
    """Return the exit code that tells the worst of several results."""
    codes = {one.exit_code for one in results}
    return next((code for code in _EXITS if code in codes), Exit.DONE)
