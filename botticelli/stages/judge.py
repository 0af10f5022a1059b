"""The judge: the narrative curate_and_approve, run over a claimed batch, bound to its ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from botticelli.errors import ConfigError
from botticelli.models.base import Request
from botticelli.narrative.calls import ActKey, Answer, Caller
from botticelli.narrative.extract import extract
from botticelli.narrative.model import Act, Narrative, NarrativeFile
from botticelli.narrative.sink import NoSink
from botticelli.stages.judge_labour import Judgement
from botticelli.stages.supervise import Run
from botticelli.stages.workshop import Workshop
from botticelli.store.connection import Connection
from botticelli.store.judging import Candidate

TABLE: Final = "candidates"

# What the runner insists on. The model is bound to the act's own schema, with the ids as an enum;
# but one wrong entry must not throw away the right ones beside it: rubric.py takes them apart.
LOOSE: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["scores"],
    "properties": {"scores": {"type": "array"}},
}


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Asks about candidates; called from worker threads, each with its own connection.

    Raises:
        ConfigError: The narrative does not end in an act that answers with scores by id.
    """

    workshop: Workshop
    file: NarrativeFile
    narrative: Narrative
    run: Run

    def __call__(self, conn: Connection, group: Sequence[Candidate]) -> Judgement:
        """Return what the judge says about a group, and which model it was.

        Raises:
            BotticelliError: There is no answer, or none that is JSON.
        """
        caller = self.workshop.caller(conn, stop=self.run.stop, budgets=(self.narrative.budget,))
        runner = self.workshop.runner(
            conn,
            file=self.file,
            caller=_Bound(caller=caller, schemas=_schemas(self.narrative, group)),
            sink=NoSink(),
            run_id=self.run.id,
            stop=self.run.stop,
            models=self.workshop.config.models.judge,
        )
        execution = runner.run(_loosened(self.narrative), tables={TABLE: rows(group)})
        last = execution.acts[-1]
        model = last.answer.model if last.answer else ""
        return Judgement(value=extract(last.text).value, model=model)


@dataclass(frozen=True, kw_only=True)
class _Bound:
    """A caller that binds each act's answer to a stricter schema than the runner checks."""

    caller: Caller
    schemas: Mapping[str, Mapping[str, Any]]

    def ask(self, request: Request, *, models: Sequence[str], key: ActKey) -> Answer:
        """See Caller."""
        schema = self.schemas.get(key.act, request.schema)
        return self.caller.ask(replace(request, schema=schema), models=models, key=key)

    def reject(self, answer: Answer, reason: str) -> None:
        """See Caller."""
        self.caller.reject(answer, reason)


def rows(group: Sequence[Candidate]) -> tuple[Mapping[str, Any], ...]:
    """Return candidates as the judge sees them: nothing about who wrote them, and how."""
    return tuple(
        {
            "id": str(each.id),
            "text_content": each.text_content,
            "content_type": each.content_type,
            "tags": each.tags,
        }
        for each in group
    )


def bound(narrative: Narrative, group: Sequence[Candidate]) -> Narrative:
    """Return the narrative with the ids of the group as the only ones that can be answered."""
    schemas = _schemas(narrative, group)
    acts = tuple(replace(act, schema=schemas.get(act.name, act.schema)) for act in narrative.acts)
    return replace(narrative, acts=acts)


def check(narrative: Narrative, *, file: NarrativeFile) -> None:
    """Make sure that the narrative can judge at all.

    Raises:
        ConfigError: Its last act does not answer with `{"scores": [{"id": ...}]}`.
    """
    if not narrative.acts or _entry(narrative.acts[-1]) is None:
        raise ConfigError(
            f"narrative '{narrative.key}' does not end in scores",
            where=str(file.path),
            mend="bind its last act to a schema with a list 'scores' of objects with an 'id'",
        )


def _schemas(narrative: Narrative, group: Sequence[Candidate]) -> dict[str, Mapping[str, Any]]:
    ids = [str(each.id) for each in group]
    return {
        act.name: _with_ids(act.schema, ids)
        for act in narrative.acts
        if act.schema is not None and _entry(act) is not None
    }


def _entry(act: Act) -> Mapping[str, Any] | None:
    """Return the schema of one entry of `scores`; None: the act does not answer with scores."""
    node: Any = act.schema
    for key in ("properties", "scores", "items", "properties"):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) and "id" in node else None


def _with_ids(schema: Mapping[str, Any], ids: Sequence[str]) -> Mapping[str, Any]:
    scores = schema["properties"]["scores"]
    entry = scores["items"]
    id_ = {**entry["properties"]["id"], "enum": list(ids)}
    items = {**entry, "properties": {**entry["properties"], "id": id_}}
    return {
        **schema,
        "properties": {**schema["properties"], "scores": {**scores, "items": items}},
    }


def _loosened(narrative: Narrative) -> Narrative:
    acts = tuple(
        replace(act, schema=LOOSE) if _entry(act) is not None else act for act in narrative.acts
    )
    return replace(narrative, acts=acts)
