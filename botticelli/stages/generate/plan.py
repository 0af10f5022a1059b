"""What is asked of `generate`, whether it is due, and which items a batch consists of."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any, Final

from botticelli.errors import BotticelliError, Exit
from botticelli.narrative.answers.dry_run import (
    CallsEstimate,
    PlannedCall,
    estimate,
    expected_tokens,
)
from botticelli.narrative.language.model import Act, Narrative, NarrativeFile, TableRead
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.runner import dry_runner
from botticelli.records import record
from botticelli.schedule.due import earliest_round, round_slack
from botticelli.stages.generate.arms import learned_words
from botticelli.stages.generate.occasion import occasion, words_of
from botticelli.store.connection import Connection
from botticelli.store.generation import batches, candidates
from botticelli.store.sources import count_offered
from botticelli.text import shorten

LONGEST_LEFT: Final = timedelta(days=7)  # without work, before another's batch is given up
RECENT: Final = 20  # openings that a new post must not resemble
OPENING: Final = 90  # characters of each
MOST_OFFERED: Final = 10_000  # items of a source that one batch may be made of
NOTHING_NEW: Final = "the sources have nothing new to write about (`botticelli sources`)"


@record
class GenerateRequest:
    """What the command line asks for.

    Args:
        narrative: FILE or FILE.NAME; empty: the configured one.
        iterations: None for what is configured, or what the narrative says.
        models: Asked instead of those that narrative and configuration name.
        workers: None for the configured number.
        join: Help a run that is under way, without the stage's lock.
        fresh: Abandon an unfinished batch instead of finishing it.
        now: Write a batch although the schedule's next one is not due.
        resumes: Finish an unfinished batch, and begin none.
    """

    narrative: str = ""
    iterations: int | None = None
    models: tuple[str, ...] = ()
    workers: int | None = None
    join: bool = False
    fresh: bool = False
    now: bool = False
    resumes: bool = False

    @property
    def is_explicit(self) -> bool:
        """Whether a person asks for this batch; a timer's command has no such options."""
        return bool(
            self.now or self.fresh or self.narrative or self.iterations is not None or self.models
        )

    @property
    def goes_on(self) -> bool:
        """Whether it first finishes what was begun of other narratives, as a timer's command."""
        return not self.is_explicit and not self.join


def why_not_due(context: RunContext, name: str, *, request: GenerateRequest) -> str:
    """Return why no new batch of that narrative is due by the schedule; empty if one is.

    What a person asks for explicitly is always due.
    """
    if request.is_explicit:
        return ""
    last = batches.find_last(context.conn, name)
    if last is None:
        return ""
    schedule = context.config.generate.schedule
    rounds: dict[str, Any] = {
        "interval": schedule.interval,
        "jitter_percent": schedule.jitter_percent,
        "at": schedule.at,
        "line": schedule.cron,
    }
    earliest = earliest_round(last.began_at, time_zone=schedule.time_zone, **rounds)
    if earliest - round_slack(**rounds) <= last.now:
        return ""
    return (
        f"a batch was begun at {last.began_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, the next is"
        f" due from {earliest.astimezone(UTC):%Y-%m-%d %H:%M} UTC on; --now writes one at once"
    )


def reference_of(file: NarrativeFile, narrative: Narrative) -> str:
    """Return FILE.NAME: what a batch of that narrative is called, however the user spelled it."""
    return f"{file.path.stem}.{narrative.key}"


def plan_items(
    file: NarrativeFile, narrative: Narrative, *, iterations: int
) -> tuple[tuple[str, int], ...]:
    """Return the (narrative key, iteration) pairs of a batch, in the order to run them.

    A narrative whose acts are all other narratives of its file gives one item for each of them
    and each iteration, the rounds of the act's carousel and of the narrative's own counted on; any
    other narrative gives one item an iteration. All first iterations come before the second ones.
    """
    keys = [act.narrative for act in narrative.acts if act.narrative]
    if len(keys) != len(narrative.acts) or not all(key in file.narratives for key in keys):
        return tuple((narrative.key, iteration) for iteration in range(1, iterations + 1))
    rounds: Counter[str] = Counter()
    items = []
    for act in (one for _ in range(iterations) for one in narrative.acts):
        assert act.narrative is not None
        for _ in range(_times(act) * _times(file.narratives[act.narrative])):
            rounds[act.narrative] += 1
            items.append((act.narrative, rounds[act.narrative]))
    return tuple(items)


def with_something_to_say(
    conn: Connection, file: NarrativeFile, items: Iterable[tuple[str, int]]
) -> tuple[tuple[str, int], ...]:
    """Return the items without those whose sources have nothing (more) to write about."""
    wanted = {key: _sources_of(narrative) for key, narrative in file.narratives.items()}
    left: dict[str, int] = {}
    kept = []
    for key, iteration in items:
        for source in wanted[key].keys() - left.keys():
            left[source] = count_offered(conn, source, most=MOST_OFFERED)
        if all(left[source] > 0 for source in wanted[key]):
            left |= {source: left[source] - count for source, count in wanted[key].items()}
            kept.append((key, iteration))
    return tuple(kept)


def _sources_of(narrative: Narrative) -> Mapping[str, int]:
    """Return the sources that a narrative writes about, and how many items it takes of each."""
    wanted = Counter[str]()
    for _, read in narrative.inputs():
        if isinstance(read, TableRead) and read.source:
            wanted[read.source] += read.limit or 1
    return wanted


def _times(repeated: Act | Narrative) -> int:
    return repeated.carousel.iterations if repeated.carousel else 1


def iterations_of(narrative: Narrative, *, asked: int | None, configured: int | None) -> int:
    """Return how often the narrative is repeated: as asked, as configured, as it says, once."""
    return asked or configured or _times(narrative)


def recent_posts(conn: Connection) -> str:
    """Return the openings of the newest candidates, a line each, for `{{recent_posts}}`."""
    texts = candidates.list_recent(conn, limit=RECENT)
    return "\n".join(f"- {shorten(text, OPENING)}" for text in texts) or "(none yet)"


@record
class GenerateDryRun(CallsEstimate):
    """What a generate run would cost; estimates, high rather than low.

    Args:
        resumed: An unfinished batch would be finished.
        not_due: Why nothing would be done yet; empty: it would.
        before: What would be finished of other narratives before it.
    """

    narrative: str
    resumed: bool
    items: int
    not_due: str = ""
    before: tuple["GenerateDryRun", ...] = ()
    exit_code: Exit = Exit.DONE


def dry_run_generate(context: RunContext, *, request: GenerateRequest) -> GenerateDryRun:
    """Return what `generate` would do and cost. Nothing is spent, written or locked.

    Each narrative is walked through once, and counted as often as it would be run.
    """
    file, narrative = context.find(request.narrative or context.config.generate.narrative)
    name = reference_of(file, narrative)
    batch = None if request.fresh else batches.peek_open(context.conn, name)
    iterations = iterations_of(
        narrative, asked=request.iterations, configured=context.config.generate.iterations
    )
    if batch is None:
        items = plan_items(file, narrative, iterations=iterations)
        planned = dict(Counter(key for key, _ in with_something_to_say(context.conn, file, items)))
    else:
        planned = {one.narrative: one.items for one in batches.list_waiting(context.conn, batch.id)}
    not_due = why_not_due(context, name, request=request) if batch is None else ""
    walked = walk(context, file, planned, only=request.models)
    calls = [
        replace(call, times=call.times * times)
        for key, times in planned.items()
        for call in walked[key]
    ]
    at_least = expected_tokens(narrative, iterations) if batch is None else 0
    return GenerateDryRun(
        narrative=name,
        resumed=batch is not None,
        items=sum(planned.values()),
        **vars(estimate(calls, at_least=at_least)),
        not_due=not_due or ("" if planned else NOTHING_NEW),
        before=tuple(_left_behind(context, name)) if request.goes_on else (),
    )


def walk(
    context: RunContext, file: NarrativeFile, keys: Iterable[str], *, only: Sequence[str] = ()
) -> dict[str, list[PlannedCall]]:
    """Return the calls that one item of each of these narratives makes. Nothing is changed."""
    options = RunOptions(
        models=context.config.models.default,
        only=tuple(only),
        variables={
            "recent_posts": recent_posts(context.conn),
            "iteration": "1",
            **learned_words(context.config, {}),
            **words_of(occasion(context.config, now=context.clock.now(), conn=context.conn)),
        },
    )
    runner, caller = dry_runner(context, file, options=options)
    calls: dict[str, list[PlannedCall]] = {}
    for key in keys:
        before = len(caller.calls)
        runner.run(file.narratives[key])
        calls[key] = caller.calls[before:]
    return calls


def calls_of_a_post(
    context: RunContext, file: NarrativeFile, narrative: Narrative
) -> Iterator[Sequence[PlannedCall]]:
    """Yield the calls of each kind of item that a batch of the narrative has."""
    keys = dict.fromkeys(key for key, _ in plan_items(file, narrative, iterations=1))
    yield from walk(context, file, keys).values()


def _left_behind(context: RunContext, name: str) -> Iterator[GenerateDryRun]:
    for other in batches.list_left_behind(
        context.conn, name, longest=LONGEST_LEFT, is_dry_run=True
    ):
        with suppress(BotticelliError):  # as the run itself passes over it
            yield dry_run_generate(context, request=GenerateRequest(narrative=other))
