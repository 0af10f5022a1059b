"""The post stage: for each destination, settle what is uncertain, then publish what is due.

No model stands in this path, and an idle tick opens no platform. What it needs for a delivery alone
is imported with the first one: requests, the rules and their patterns.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botticelli import tracing
from botticelli.config.model import Destination
from botticelli.errors import BotticelliError, ConfigError, Exit
from botticelli.platforms.base import PlatformError
from botticelli.platforms.open import wanted_by
from botticelli.records import record
from botticelli.schedule.due import Due
from botticelli.stages.post.target import PostContext, PostRequest, PostTarget, Result
from botticelli.stages.supervise import run_stage
from botticelli.stages.task import Run, Task, Worker
from botticelli.store.delivery import channels, deliveries, posts, schedule, steps
from botticelli.store.delivery.deliveries import Beginning, Delivery
from botticelli.store.delivery.posts import Queued
from botticelli.store.leases import LostLease

if TYPE_CHECKING:
    from botticelli.stages.post.follow import Followed
    from botticelli.stages.post.send import Ended, Sending

# Worst first: what one destination suffers from must not hide behind another's success.
_EXITS: Final = (Exit.CONFIG, Exit.FAILED, Exit.UNAVAILABLE, Exit.TRY_LATER, Exit.DONE)


@record
class PostReport:
    """What a run of the stage did, destination by destination.

    Args:
        skipped: Why nothing was even looked at ("paused"); empty: it was.
        reason: Why it ended early; empty: it did not.
    """

    results: tuple[Result, ...] = ()
    skipped: str = ""
    reason: str = ""
    exit_code: Exit = Exit.DONE


def post(context: PostContext, *, request: PostRequest | None = None) -> PostReport:
    """Publish what is due, as the stage's only run.

    Raises:
        TryLater: The breaker is open or another run holds the lock.
        UsageError: There is no destination of that name.
    """
    return run_stage(PostTask(context, request or PostRequest()), context)


@record
class ClaimedDelivery:
    """A claimed delivery.

    `prepare` returns what is to be sent of it, how it ended already, or what has followed.
    """

    target: PostTarget
    delivery: Delivery
    prepare: "Callable[[PostTarget, Delivery], Ended | Sending | Followed]"


class PostTask(Task[ClaimedDelivery, "Ended | Followed", PostReport]):
    """One run of the stage: destinations one after the other, each on its own.

    Raises:
        UsageError: There is no destination of the name that is asked for.
    """

    stage = "post"
    report = PostReport

    def __init__(self, context: PostContext, request: PostRequest) -> None:
        self._conn = context.conn
        self._context = context
        self._chosen = request.destinations(context.config)
        self._ignoring_rhythm = request.ignoring_rhythm
        self._most = context.config.post.limit if request.limit is None else request.limit
        self._results: list[Result] = []
        self._followed: list[Result] = []
        self._targets: dict[str, PostTarget] = {}

    def plan(self, run: Run) -> int:
        """See Task: plan a delivery for each approved post and destination that takes it."""
        everything = [wanted_by(one) for one in self._context.config.destinations.values()]
        schedule.plan(self._conn, everything)
        self._run = run
        self._claimed = self._claim_all(run)
        return 1

    def claim(self, worker: Worker) -> ClaimedDelivery | None:  # noqa: ARG002 - Task's signature
        """See Task."""
        return next(self._claimed, None)

    def do(self, worker: Worker, piece: ClaimedDelivery) -> "Ended | Followed":  # noqa: ARG002
        """See Task."""
        from botticelli.stages.post.send import Sending

        delivery = piece.delivery
        facts: dict[str, tracing.Value | None] = {
            "botticelli.destination": delivery.destination,
            "botticelli.platform": piece.target.platform.name,
            "botticelli.delivery.id": delivery.id,
            "botticelli.post.id": delivery.post_id,
        }
        what = "follow" if delivery.steps else "deliver"  # a message that is out has its steps
        with tracing.span(f"{what} {delivery.destination}", facts, kind="client") as span:
            prepared = piece.prepare(piece.target, delivery)
            ended = prepared.send() if isinstance(prepared, Sending) else prepared
            span.set({"botticelli.delivery.state": ended.state})
            if ended.exit_code != Exit.DONE:
                span.fail(ended.state)
            return ended

    def settle(
        self,
        worker: Worker,  # noqa: ARG002
        piece: ClaimedDelivery,
        made: "Ended | Followed | BotticelliError",
    ) -> None:
        """See Task. A destination whose delivery or client is lost costs the others nothing."""
        from botticelli.stages.post.follow import Followed
        from botticelli.stages.post.send import settle

        try:
            if isinstance(made, BotticelliError):
                raise made
            if isinstance(made, Followed):
                self._settle_steps(piece, made)
            else:
                self._results.append(settle(piece.target, piece.delivery, made))
        except (LostLease, ConfigError) as error:
            self._results.append(_failed(piece.target.destination, error))

    def finish(self, trouble: BotticelliError | None) -> PostReport:
        """See Task."""
        if trouble is not None:
            raise trouble
        return PostReport(
            results=(*self._followed, *self._results),
            reason=self._run.why_early(None),
            exit_code=worst(self._results),
        )

    def summary(self, report: PostReport) -> dict[str, Any]:
        """See Task."""
        counts: dict[str, Any] = Counter(result.state for result in report.results)
        errors = [one.note for one in report.results if one.exit_code != Exit.DONE]
        return counts | ({"error": errors[0]} if errors else {})

    def threshold(self, report: PostReport, configured: int) -> int | None:
        """See Task. One that locks us out stops the stage; others in order spare it."""
        if any(one.locked_out for one in report.results):
            return 1
        bad = {one.destination for one in report.results if one.exit_code != Exit.DONE}
        is_spared = bad != {one.destination for one in report.results}
        return None if is_spared else configured

    def _claim_all(self, run: Run) -> Iterator[ClaimedDelivery]:
        """Claim for one destination after the other; one that locks us out ends the run."""
        queues = self._read(self._chosen)
        for destination in self._chosen:
            if run.stop.is_set() or self._locked_out:
                return
            try:
                yield from self._claim_for(destination, queues[destination.name], run)
            except (ConfigError, PlatformError) as error:  # nothing is claimed: no client
                self._results.append(_failed(destination, error))

    def _claim_for(
        self, destination: Destination, queued: Queued, run: Run
    ) -> Iterator[ClaimedDelivery]:
        before = len(self._results)
        if queued.is_uncertain or queued.has_steps:
            yield from self._claim_steps(destination)
            yield from self._claim_uncertain(destination)
            if self._locked_out or _is_over(self._results[before:]):
                return
            queued = self._read([destination])[destination.name]
        published = _published(self._results[before:])
        while published < self._most:
            if run.stop.is_set():
                break
            due = self._judge(destination, queued, ignoring_rhythm=self._ignoring_rhythm)
            if idle := self._idle(destination, queued, due):
                self._results += [] if published else [idle]
                return
            yield from self._claim_next(destination, queued, is_pin=due.is_pin)
            published += self._results[-1].state == "posted"
            if _is_over(self._results) or self._results[-1].state in ("put back", "uncertain"):
                return
            queued = self._read([destination])[destination.name]
        if published:  # the last one says when the next is due, --now or not
            due = self._judge(destination, queued, ignoring_rhythm=False)
            self._results[-1] = replace(self._results[-1], next_due=due.at)

    def _claim_uncertain(self, destination: Destination) -> Iterator[ClaimedDelivery]:
        from botticelli.stages.post.reconcile import reconcile

        target = self._open(destination)
        while delivery := deliveries.claim_uncertain(
            self._conn,
            destination.name,
            owner=self._context.identity.owner,
            lease=self._context.config.supervision.lease,
        ):
            yield ClaimedDelivery(target=target, delivery=delivery, prepare=reconcile)
            yield from self._claim_steps(destination)
            if _is_over(self._results) or self._results[-1].state == "uncertain":
                return

    def _claim_next(
        self, destination: Destination, queued: Queued, *, is_pin: bool
    ) -> Iterator[ClaimedDelivery]:
        from botticelli.stages.post.send import Sending, prepare

        target = self._open(destination)
        prepared: list[Ended | Sending] = []

        def judge(delivery: Delivery) -> "Beginning | None":
            prepared[:] = [prepare(target, delivery)]
            return prepared[0].beginning if isinstance(prepared[0], Sending) else None

        def begun(_: PostTarget, delivery: Delivery) -> "Ended | Sending":
            if isinstance(prepared[0], Sending):
                prepared[0].delivery = delivery
            return prepared[0]

        claim = partial(
            deliveries.claim_next_due,
            self._conn,
            destination.name,
            place=target.wanted.place,
            is_practice=target.wanted.is_practice,
            last_posted=queued.last_posted,
            owner=self._context.identity.owner,
            lease=self._context.config.supervision.lease,
            is_pin=is_pin,
            judge=judge,
        )
        delivery = claim()
        if delivery is None and channels.drop_shared(self._conn):
            delivery = claim()
        if delivery is None:
            queued = self._read([destination])[destination.name]
            due = self._judge(destination, queued, ignoring_rhythm=self._ignoring_rhythm)
            idle = self._idle(destination, queued, due)
            self._results.append(idle or _busy(destination, queued))
        else:
            yield ClaimedDelivery(target=target, delivery=delivery, prepare=begun)
            if target.platform.steps:
                yield from self._claim_steps(destination)

    def _claim_steps(self, destination: Destination) -> Iterator[ClaimedDelivery]:
        """Claim what follows messages that are out: of this run, and of earlier ones."""
        from botticelli.stages.post.follow import follow

        target = self._open(destination)
        lease = self._context.config.supervision.lease
        while delivery := steps.claim_steps(self._conn, destination.name, lease=lease):
            yield ClaimedDelivery(target=target, delivery=delivery, prepare=follow)
            if self._locked_out:
                return

    def _settle_steps(self, piece: ClaimedDelivery, made: "Followed") -> None:
        """Write down what has followed, and report it with the delivery."""
        steps.settle_steps(
            self._conn,
            piece.delivery,
            made.steps,
            retry_after=made.retry_after,
            remote_url=made.receipt.url or None,
        )
        if self._results and self._results[-1].delivery == piece.delivery.id:
            self._results[-1] = replace(made.result(piece.delivery), state="posted")
        else:
            self._followed.append(made.result(piece.delivery))

    @property
    def _locked_out(self) -> bool:
        return any(one.locked_out for one in (*self._followed, *self._results))

    def _open(self, destination: Destination) -> PostTarget:
        if destination.name not in self._targets:
            channels.require_same(self._conn, wanted_by(destination))
            target = self._context.open(destination)
            channels.learn(self._conn, target.wanted, target.platform.whereabouts)
            _ = target.platform.limits  # asked for here: a claim waits for no server
            self._targets[destination.name] = target
        return self._targets[destination.name]

    def _read(self, chosen: Sequence[Destination]) -> Mapping[str, Queued]:
        wanted = [wanted_by(one) for one in chosen]
        return posts.read_queues(self._conn, wanted)

    def _idle(self, destination: Destination, queued: Queued, due: Due) -> Result | None:
        """Return why nothing is to be sent now; None if something is."""
        if not queued.waiting and queued.busy_until is None:
            return Result(
                destination=destination.name,
                state="nothing",
                note=posts.why_none(self._conn, destination.name),
                next_due=None if due.is_now else due.at,
            )
        if due.is_now:
            return None
        return Result(destination=destination.name, state="waiting", note=due.why, next_due=due.at)

    def _judge(self, destination: Destination, queued: Queued, *, ignoring_rhythm: bool) -> Due:
        return schedule.due_for(
            self._conn,
            queued,
            destination,
            interval=self._context.config.post.schedule.interval,
            ignoring_rhythm=ignoring_rhythm,
        )


def _busy(destination: Destination, queued: Queued) -> Result:
    return Result(
        destination=destination.name,
        state="waiting",
        note="another process posts there right now",
        next_due=queued.now + timedelta(seconds=1),
    )


def _failed(destination: Destination, error: BotticelliError) -> Result:
    from botticelli.stages.post.send import exit_code_of

    return Result(
        destination=destination.name,
        state="failed",
        note=str(error),
        exit_code=Exit.FAILED if isinstance(error, LostLease) else exit_code_of(error),
    )


def _is_over(results: Sequence[Result]) -> bool:
    """Return whether the last result is about the destination itself, which ends its turn."""
    return bool(results) and results[-1].delivery is None


def _published(results: Sequence[Result]) -> int:
    return sum(one.state == "posted" for one in results)


def worst(results: Sequence[Result]) -> Exit:
    """Return the exit code of the worst of several results."""
    codes = {one.exit_code for one in results}
    return next((code for code in _EXITS if code in codes), Exit.DONE)
