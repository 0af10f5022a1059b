"""What a resumed item finds of the run before: rows read, results of commands, finished narratives.

Answers of models are found by what was asked (answers/caller.py). This is about the rest: whatever
else would be done twice, or would make the resumed item ask another question than the one that it
has an answer to.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from botticelli.narrative.answers.answer import Answer
from botticelli.narrative.run.results import ActResult, ActState, Execution
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.generation import items


@record
class ResumeState:
    """What is kept for one run of a narrative.

    Args:
        item_id: The item that may be resumed; None if nothing is kept or found.
        place: Of the narrative in the item: "" for its own, else whose act calls it.
    """

    conn: Connection
    item_id: int | None = None
    place: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether a run that ends early may be resumed."""
        return self.item_id is not None

    def owner(self, process: str) -> str:
        """Return in whose name rows are leased: the item's, so that its next run has them too."""
        return process if self.item_id is None else items.owner(self.item_id)

    def recall(self, step: str) -> Any:
        """Return what was kept for an act or an input ("2.0": act 2, input 0), or None."""
        if self.item_id is None:
            return None
        text = items.recall(self.conn, self.item_id, self.place + step)
        return None if text is None else json.loads(text)

    def keep(self, step: str, value: Any) -> None:
        """Keep a JSON value for an act or an input. One transaction, or part of the caller's."""
        if self.item_id is not None:
            text = json.dumps(value, default=str)
            items.keep(self.conn, self.item_id, self.place + step, text)

    def finished(self) -> Execution | None:
        """Return the run of this narrative if it was finished, and what it made stored, before."""
        kept = self.recall("") if self.place else None
        return None if kept is None else _execution(kept)

    def finish(self, execution: Execution) -> None:
        """Keep a nested run, in the transaction that stores what it made."""
        answers = ("text", "execution_id", "model")
        acts = [
            {
                **asdict(act),
                "prompt": "",
                "answer": act.answer and {name: getattr(act.answer, name) for name in answers},
            }
            for act in execution.acts
        ]
        kept = {
            "narrative": execution.narrative,
            "iteration": execution.iteration,
            "warnings": execution.warnings,
            "started_at": execution.started_at.isoformat(),
        }
        self.keep("", {**kept, "acts": acts})


def _execution(kept: Mapping[str, Any]) -> Execution:
    return Execution(
        narrative=kept["narrative"],
        iteration=kept["iteration"],
        warnings=tuple(kept["warnings"]),
        started_at=datetime.fromisoformat(kept["started_at"]),
        acts=tuple(_act(**each) for each in kept["acts"]),
    )


def _act(
    *, state: str, values: list[Any], nouns: list[str], answer: dict[str, Any] | None, **plain: Any
) -> ActResult:
    return ActResult(
        state=ActState(state),
        values=tuple(values),
        nouns=tuple(nouns),
        answer=Answer(**answer, reused=True) if answer else None,
        **plain,
    )
