"""The judge: the narrative curate_and_approve, run over a claimed batch, bound to its ids."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from botticelli.errors import BotticelliError, ConfigError
from botticelli.models.base import Request
from botticelli.narrative.answers.answer import ActKey, Answer, Caller
from botticelli.narrative.answers.json_extraction import extract
from botticelli.narrative.language.model import Act, Narrative, NarrativeFile
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.results import ActResult
from botticelli.narrative.run.runner import Runner
from botticelli.narrative.run.sinks import NoSink
from botticelli.records import record
from botticelli.stages.curate.batch import Judgement
from botticelli.store.connection import Connection
from botticelli.store.curation import judging
from botticelli.store.curation.choice import JudgedCandidate
from botticelli.store.curation.judging import Candidate

TABLE: Final = "candidates"
RANKING: Final = "rank"  # the narrative beside the judge's own that puts candidates in order
SCORES: Final = ("properties", "scores")
ORDER: Final = ("properties", "order")

UNREAD_KEPT: Final = timedelta(days=1)  # a run killed longer ago is not worth looking at

T = TypeVar("T")

# What the runner insists on. The model is bound to the act's own schema, with the ids as an enum;
# but one wrong entry must not throw away the right ones beside it: rubric.py takes them apart.
LOOSE: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["scores"],
    "properties": {"scores": {"type": "array"}},
}


@record
class Judge:
    """Asks about candidates; called from worker threads, each with its own connection.

    Raises:
        ConfigError: The narrative does not end in an act that answers with scores by id.
    """

    context: RunContext
    file: NarrativeFile
    narrative: Narrative

    def __call__(self, conn: Connection, group: Sequence[Candidate]) -> Judgement:
        """Return what the judge says about a group, shown in an order of its own.

        Raises:
            BotticelliError: There is no answer, or none that is JSON.
        """
        seed = self.context.chance.getrandbits(32)
        shown = rows(shuffled(group, seed=seed))
        ids = [str(each.id) for each in group]
        last = self._ask(conn, self.narrative, shown, ids=ids)
        answer = last.answer
        return Judgement(
            value=extract(last.text).value,
            model=answer.model if answer else "",
            seed=seed,
            execution_id=answer.execution_id if answer else None,
        )

    def rank(self, shown: Sequence[JudgedCandidate]) -> Any:
        """Return the judge's answer when it has to put these in order, in the order shown.

        For the main thread.

        Raises:
            BotticelliError: There is no answer, or none that is JSON.
        """
        texts = tuple({"id": str(each.id), "text_content": each.text_content} for each in shown)
        ids = sorted(str(each.id) for each in shown)
        last = self._ask(self.context.conn, self.file.narratives[RANKING], texts, ids=ids)
        return extract(last.text).value

    def unread(self, conn: Connection) -> Callable[[Candidate], Sequence[Judgement]]:
        """Return what finds answers about a candidate that a killed run has paid for, not read.

        An answer is about a candidate if its prompt holds id and text as they are now.
        """
        assert self.context.run_id is not None
        found = judging.list_unread_answers(
            conn,
            act=self.narrative.acts[-1].name,
            run_id=self.context.run_id,
            workers=self.context.config.models.max_concurrent,
            within=UNREAD_KEPT,
        )

        def about(candidate: Candidate) -> list[Judgement]:
            shown = _quoted(str(candidate.id)), _quoted(candidate.text_content or "")
            return [
                Judgement(value=value, model=one.model, execution_id=one.execution_id)
                for one in found
                if all(each in one.prompt for each in shown)
                and (value := _value(one.response)) is not None
            ]

        return about

    @property
    def can_rank(self) -> bool:
        """Whether the judge's file has a narrative for it."""
        return RANKING in self.file.narratives

    def _ask(
        self,
        conn: Connection,
        narrative: Narrative,
        shown: Sequence[Mapping[str, Any]],
        *,
        ids: Sequence[str],
    ) -> ActResult:
        context = self.context.on(conn)
        caller = context.caller(narrative.budget)
        runner = Runner(
            context=context,
            file=self.file,
            caller=_Bound(caller=caller, schemas=_schemas(narrative, ids)),
            sink=NoSink(),
            options=RunOptions(models=context.config.models.judge),
        )
        return runner.run(_loosened(narrative), tables={TABLE: shown}).acts[-1]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _value(response: str) -> Any:
    try:
        return extract(response).value
    except BotticelliError:
        return None


def shuffled(group: Sequence[T], *, seed: int) -> tuple[T, ...]:
    """Return the group in another order, always the same for a seed."""
    order = list(group)
    random.Random(seed).shuffle(order)  # noqa: S311 - against a judge's habits, not for secrets
    return tuple(order)


@record
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
    schemas = _schemas(narrative, [str(each.id) for each in group])
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
            hint="bind its last act to a schema with a list 'scores' of objects with an 'id'",
        )


def find_judge(context: RunContext) -> tuple[NarrativeFile, Narrative]:
    """Return the configured judge's narrative, with its file.

    Raises:
        ConfigError: There is none, or it does not answer with scores.
    """
    file, narrative = context.find(context.config.curate.narrative)
    check(narrative, file=file)
    return file, narrative


def _schemas(narrative: Narrative, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    return {
        act.name: _with_ids(act.schema, ids) for act in narrative.acts if act.schema is not None
    }


def _entry(act: Act) -> Mapping[str, Any] | None:
    """Return the schema of one entry of `scores`; None if the act does not answer with scores."""
    found = _at(act.schema, (*SCORES, "items", "properties"))
    return found if found is not None and "id" in found else None


def _at(schema: Any, path: Sequence[str]) -> Mapping[str, Any] | None:
    for key in path:
        schema = schema.get(key) if isinstance(schema, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


def _with_ids(schema: Mapping[str, Any], ids: Sequence[str]) -> Mapping[str, Any]:
    """Return a schema whose scores, or whose order, can be about these ids only."""
    for path in ((*SCORES, "items", "properties", "id"), (*ORDER, "items")):
        if _at(schema, path) is not None:
            schema = _with_enum(schema, path, ids)
    return schema


def _with_enum(node: Mapping[str, Any], path: Sequence[str], ids: Sequence[str]) -> dict[str, Any]:
    if not path:
        return {**node, "enum": list(ids)}
    return {**node, path[0]: _with_enum(node[path[0]], path[1:], ids)}


def _loosened(narrative: Narrative) -> Narrative:
    acts = tuple(
        replace(act, schema=LOOSE) if _entry(act) is not None else act for act in narrative.acts
    )
    return replace(narrative, acts=acts)
