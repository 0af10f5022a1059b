"""What a narrative makes of an approved post: asked for once, however often a run is killed."""

from collections.abc import Mapping
from typing import Any

from botticelli.narrative.answers.answer import Answer
from botticelli.narrative.answers.json_extraction import InvalidAnswer, extract, rows_of
from botticelli.narrative.language.model import Narrative, NarrativeFile
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.runner import Position, Runner
from botticelli.narrative.run.sinks import NoSink
from botticelli.records import record
from botticelli.store.generation.executions import LASTING
from botticelli.store.tables.columns import as_post


@record
class Told:
    """A post as a narrative says it; `answer`: of its last act."""

    text: str
    post: Mapping[str, Any]
    answer: Answer | None


def tell(
    context: RunContext,
    file: NarrativeFile,
    narrative: Narrative,
    *,
    place: str,
    options: RunOptions,
) -> Told:
    """Run a narrative whose last act is a post; what was answered at that place is not asked again.

    Raises:
        ActFailed, PermanentError: It made none.
        BotticelliError: No model can be asked now.
    """
    runner = Runner(
        context=context,
        file=file,
        caller=context.caller(narrative.budget),
        sink=NoSink(),
        options=options,
        at=Position(place=f"{LASTING}{place}"),
    )
    last = runner.run(narrative).acts[-1]
    post, _ = as_post(_read(last.text))
    text = str(post.get("text_content") or "").strip()
    return Told(text=text, post=post, answer=last.answer)


def _read(answer: str) -> dict[str, Any]:
    """Return the row that an answer is: JSON with a text or parts, or else the text itself."""
    try:
        for row in rows_of(extract(answer).value):
            if row.get("text_content") or row.get("parts"):
                return dict(row)
    except InvalidAnswer:
        pass
    return {"text_content": answer}
