"""Runs one generation item: its narrative, with a sink that settles it."""

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any, Final

from botticelli.errors import BotticelliError, TryLater
from botticelli.narrative.answers.caller import LiveCaller
from botticelli.narrative.checks.needs import calls_per_round
from botticelli.narrative.language.model import Act, Narrative, NarrativeFile
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.results import Execution, Output, Sink, Stored
from botticelli.narrative.run.resume import ResumeState
from botticelli.narrative.run.runner import Runner
from botticelli.narrative.run.sinks import TableSink
from botticelli.records import record
from botticelli.stages.generate.arms import arms_of, learned_words
from botticelli.stages.generate.occasion import rules_of, theme_for, words_of
from botticelli.stages.task import Counts
from botticelli.store import media, queue, sources
from botticelli.store.connection import Connection
from botticelli.store.generation import batches, candidates, items
from botticelli.store.generation.candidates import Inserted, Origin
from botticelli.store.generation.items import Item
from botticelli.store.runs import RunUsage
from botticelli.text import counted

CANDIDATES: Final = "potential_discord_posts"


class NotYet(BotticelliError):
    """The item has to wait for others that are under way; that is not a failure."""


@record
class ItemSink:
    """Takes the executions of one item; the outermost one settles it.

    What a nested narrative made is stored at once, behind the same fence, and that it is done is
    kept in the same transaction: should the item be run again, this one is not.

    Args:
        tables: Stores what belongs into other tables, and removes consumed rows.
        made: Told how many candidates are new, and how many repeat an older one word for word.
        theme: What the candidates are about, as `occasion` keeps it; None: about none.
        arms: Experiment -> the arm that they are written in.
        rules: Version of the house rules that they are written under; 0: none.
    """

    conn: Connection
    item: Item
    tables: Sink
    made: Callable[[int, int], None]
    theme: Mapping[str, Any] | None = None
    arms: Mapping[str, str] = field(default_factory=dict)
    rules: int = 0

    def store(self, execution: Execution) -> Stored:
        """See Sink.

        Raises:
            LostLease: The item is somebody else's by now; nothing was stored.
        """
        posts = [output for output in execution.outputs if output.table == CANDIDATES]
        others = tuple(output for output in execution.outputs if output.table != CANDIDATES)
        with queue.settling(self.conn, queue.ITEMS, claims=[self.item.claim]):
            inserted = [self._insert(output, execution) for output in posts]
            for output, each in zip(posts, inserted, strict=True):
                media.attach(self.conn, each.ids, output.pictures)
            ids = tuple(id_ for each in inserted for id_ in each.ids)
            if self.theme:
                candidates.note_theme(
                    self.conn,
                    ids,
                    theme=self.theme["name"],
                    tags=self.theme["tags"],
                    expires_at=self.theme["ends_at"],
                )
            if self.arms:
                candidates.note_arms(self.conn, ids, arms=self.arms)
            if self.rules:
                candidates.note_rules(self.conn, ids, version=self.rules)
            for lease in execution.leases:
                if lease.table == sources.ITEMS:
                    sources.note_made_of(self.conn, int(lease.key), ids)
            rest = replace(execution, outputs=others)
            stored = self.tables.store(rest) if others or rest.leases else Stored(ids={})
            if execution.place:
                ResumeState(conn=self.conn, item_id=self.item.id, place=execution.place).finish(
                    execution
                )
            else:
                items.settle_done(self.conn, self.item)
        repeats = sum(len(each.repeats) for each in inserted)
        self.made(len(ids) - repeats - sum(each.known for each in inserted), repeats)
        return replace(stored, ids={**stored.ids, CANDIDATES: ids}) if posts else stored

    def _insert(self, output: Output, execution: Execution) -> Inserted:
        return candidates.insert(
            self.conn,
            output.rows,
            origin=Origin(
                narrative=execution.narrative,
                act=output.act,
                model=output.answer.model if output.answer else "",
                run_id=execution.run_id,
                item_id=self.item.id,
                execution_id=output.answer.execution_id if output.answer else None,
            ),
        )


@record
class ItemRun:
    """Runs items of one batch; called from worker threads, each with its own connection.

    Args:
        outer: The narrative that was asked for; its budget and its carousel's hold for its items.
        override: Models to ask instead of those that the narrative names.
        recent_posts: For `{{recent_posts}}`; the same for the whole life of the batch.
        day: What the batch keeps of the day it is written on; see occasion.
    """

    context: RunContext
    file: NarrativeFile
    outer: Narrative
    override: tuple[str, ...]
    recent_posts: str
    day: Mapping[str, Any]
    counts: Counts
    callers: dict[tuple[Connection, str], LiveCaller] = field(default_factory=dict)
    calls: dict[tuple[str, tuple[str, ...]], int] = field(default_factory=dict)

    def __call__(self, conn: Connection, item: Item) -> Execution:
        """Run an item and settle it as done.

        Raises:
            LostLease: It is somebody else's by now.
            TryLater: The day has no room for what it still needs.
            NotYet: Whether it has shows when others are done.
            BotticelliError: It failed; nothing of it was stored.
        """
        narrative = self.file.narratives.get(item.narrative)
        if narrative is None:
            raise BotticelliError(
                f"there is no narrative '{item.narrative}' any more", where=str(self.file.path)
            )
        theme = theme_for(self.day, self.file, item)
        caller = self._caller(conn, narrative)
        self._check_room(conn, item, caller=caller)
        runner = Runner(
            context=self.context.on(conn),
            file=self.file,
            caller=caller,
            sink=ItemSink(
                conn=conn,
                item=item,
                tables=TableSink(conn=conn, clock=self.context.clock, created_by="generate"),
                made=lambda new, old: self.counts.add(stored=new, repeats=old),
                theme=theme,
                arms=arms_of(self.day, item),
                rules=rules_of(self.day).version,
            ),
            options=self._options(theme, item),
        )
        return runner.run(narrative, iteration=item.iteration, item_id=item.id)

    @property
    def at_once(self) -> int | None:
        """How many workers the writer can serve; None if any number."""
        return self.context.drivers.at_once(self._models(self.outer))

    def calls_left(self, conn: Connection) -> int | None:
        """Return how many calls the day still has for the writer; None if there is no limit."""
        return self._caller(conn, self.outer).calls_left(self._models(self.outer))

    def seconds_for(self, conn: Connection, *, calls: int, tokens: int) -> float:
        """Return how long the budget keeps the last of `calls` from being sent."""
        caller = self._caller(conn, self.outer)
        return caller.seconds_for(self._models(self.outer), calls=calls, tokens=tokens)

    def _models(self, narrative: Narrative, act: Act | None = None) -> tuple[str, ...]:
        return self._options().models_for(narrative, act, known=self.context.config.models)

    def _options(
        self, theme: Mapping[str, Any] | None = None, item: Item | None = None
    ) -> RunOptions:
        words = learned_words(self.context.config, self.day, item)
        return RunOptions(
            models=self.context.config.models.default,
            only=self.override,
            variables={"recent_posts": self.recent_posts, **words, **words_of(self.day, theme)},
        )

    def _caller(self, conn: Connection, narrative: Narrative) -> LiveCaller:
        """Return the thread's caller under the narrative's budget; one has room for many items."""
        key = (conn, narrative.key)
        if key not in self.callers:
            carousel = self.outer.carousel
            budgets: tuple[Mapping[str, float], ...] = (
                narrative.budget,
                self.outer.budget,
                carousel.budget if carousel else {},
            )
            self.callers[key] = self.context.on(conn).caller(*budgets)
        return self.callers[key]

    def _check_room(self, conn: Connection, item: Item, *, caller: LiveCaller) -> None:
        """Start nothing that the day has no room for: half a post is paid for and not there.

        Calls that items under way still need are set aside for them, whether they have begun or
        are about to. Acts with models of their own are left out: they use up other days.
        """
        models = self._models(self.file.narratives[item.narrative])
        left = caller.calls_left(models)
        if left is None:
            return
        promised = sum(
            max(0, self.calls_of(other.narrative, models) - other.acts_done)
            for other in items.list_under_way(conn, item)
        )
        needed = max(0, self.calls_of(item.narrative, models) - item.acts_done)
        if left < needed:
            raise TryLater(
                f"the day has room for {counted(left, 'more call')}, and a post needs {needed}",
                where=item.narrative,
                hint="what is left waits for the next day",
            )
        if left - promised < needed:  # calls under way are counted twice: as used and as promised
            raise NotYet("others may still need what the day has left", where=item.narrative)

    def calls_of(self, key: str, models: tuple[str, ...] = ()) -> int:
        """Return how many calls an item of that narrative takes at least if every answer is valid.

        `models`: only those that ask these; else all.
        """
        if (key, models) not in self.calls and (narrative := self.file.narratives.get(key)):

            def counts(calling: Narrative, act: Act) -> bool:
                return not models or self._models(calling, act) == models

            resolve = self.context.resolve
            found = calls_per_round(self.file, narrative, resolve=resolve, counts=counts)
            self.calls[key, models] = found.least
        return self.calls.get((key, models), 0)


def count_reused(execution: Execution) -> int:
    """Return how many answers of a run had been paid for before."""
    own = sum(1 for act in execution.acts if act.answer and act.answer.reused and not act.reason)
    return own + sum(map(count_reused, execution.nested))


@record
class Outlook:
    """What is ahead of a batch.

    Args:
        calls: Model calls that its unfinished items still need, if every answer is valid.
        seconds: Until the last of them is answered; None if nothing was answered yet.
        day_is_short: Whether the provider's day has no room for them all.
    """

    calls: int
    seconds: float | None
    day_is_short: bool


def look_ahead(
    conn: Connection, item_run: ItemRun, *, batch_id: int, usage: RunUsage, elapsed: float
) -> Outlook:
    """Return the outlook of a batch, of which `usage` was asked for in `elapsed` seconds so far."""
    calls = sum(
        max(0, waiting.items * item_run.calls_of(waiting.narrative) - waiting.acts_done)
        for waiting in batches.list_waiting(conn, batch_id)
    )
    left, seconds = item_run.calls_left(conn), None
    if usage.calls:
        tokens = calls * usage.input_tokens // usage.calls
        budget = item_run.seconds_for(conn, calls=calls, tokens=tokens)
        seconds = max(calls * elapsed / usage.calls, budget)
    return Outlook(
        calls=calls,
        seconds=seconds,
        day_is_short=left is not None and left < calls,
    )
