"""What running a narrative leaves behind: answers by act, rows to store, rows to remove."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from botticelli.narrative.answers.answer import Answer
from botticelli.records import record
from botticelli.store.media import NewPicture
from botticelli.store.tables.row_leases import RowLease


class ActState(StrEnum):
    """How an act ended."""

    DONE = "done"
    FAILED = "failed"  # an optional command failed; acts that use it are skipped
    SKIPPED = "skipped"  # what it needs is not there
    IDLE = "idle"  # it would have worked on an empty table


@record
class ActResult:
    """One executed act.

    Args:
        sequence: Place in the run of its narrative, from 0.
        text: What later acts see under its name.
        values: JSON results of its commands, in order; empty for an act that a model answered.
        nouns: For each of `values` what kind of thing its "id" is ("channel", "message" ...).
        prompt: The rendered prompt as a person reads it; empty if no model was asked.
        reason: Why it is not done.
        answer: What the model answered; None if none was asked.
    """

    name: str
    sequence: int
    state: ActState = ActState.DONE
    text: str = ""
    values: tuple[Any, ...] = ()
    nouns: tuple[str, ...] = ()
    prompt: str = ""
    reason: str = ""
    answer: Answer | None = None


@record
class Output:
    """Rows that one act made.

    Args:
        table: Where they belong; it need not exist yet.
        act: Its name, source_act.
        answer: What the rows were read from; None if the act asked no model.
        template: Table whose columns a new `table` gets; empty: inferred from the rows.
        pictures: What posts made of the rows show, in order.
    """

    table: str
    rows: tuple[Mapping[str, Any], ...]
    act: str
    answer: Answer | None = None
    template: str = ""
    pictures: tuple[NewPicture, ...] = ()


@record
class Execution:
    """One run of one narrative, from its first act to its last.

    Args:
        narrative: Its name; `file` and `description` say where it comes from.
        outputs: Rows to store, in the order of the acts.
        leases: Rows to remove in the transaction that stores `outputs`.
        nested: Executions of the narratives it called; stored by themselves already.
        place: In the item it belongs to: "" at the top, else whose act called it.
        error: Why it ended early, where a carousel goes on all the same.
        started_at: By the clock that was handed in.
    """

    narrative: str
    iteration: int = 1
    acts: tuple[ActResult, ...] = ()
    outputs: tuple[Output, ...] = ()
    leases: tuple[RowLease, ...] = ()
    nested: tuple["Execution", ...] = ()
    warnings: tuple[str, ...] = ()
    run_id: int | None = None
    item_id: int | None = None
    place: str = ""
    file: str = ""
    description: str = ""
    error: str = ""
    started_at: datetime

    @property
    def text(self) -> str:
        """The answers of all acts, joined by a blank line: what a caller sees as its result."""
        return "\n\n".join(act.text for act in self.acts if act.text)

    @property
    def failures(self) -> tuple[str, ...]:
        """One line for each act that failed or had to be skipped."""
        bad = (ActState.FAILED, ActState.SKIPPED)
        lines = [f"{act.name}: {act.reason}" for act in self.acts if act.state in bad]
        return tuple([*lines, self.error] if self.error else lines)

    @property
    def is_idle(self) -> bool:
        """Whether an act found nothing to work on."""
        return any(act.state is ActState.IDLE for act in self.acts)


@record
class Stored:
    """What a sink did with an Execution.

    Args:
        ids: Table -> ids of the new rows.
        removed: Consumed rows that are gone from their tables.
    """

    ids: Mapping[str, tuple[int, ...]]
    removed: int = 0


class Sink(Protocol):
    """Takes what a narrative made."""

    def store(self, execution: Execution) -> Stored:
        """Store the rows and remove the consumed ones, in one transaction.

        Raises:
            BotticelliError: Nothing was stored and nothing removed.
        """
