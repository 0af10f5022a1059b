"""The judge: the narrative curate_and_approve, run over a claimed batch, bound to its ids."""

import json
import random
import re
import secrets
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from botticelli.config.model import Config
from botticelli.errors import ConfigError
from botticelli.models.base import Request
from botticelli.models.thoughts import without_thoughts
from botticelli.narrative.answers.answer import Answer, Caller
from botticelli.narrative.answers.json_extraction import InvalidAnswer, read_verdict
from botticelli.narrative.language.load import find_narrative
from botticelli.narrative.language.model import Act, Narrative, NarrativeFile
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.runner import Position, Runner
from botticelli.narrative.run.sinks import NoSink
from botticelli.records import record
from botticelli.stages.curate.batch import Judgement
from botticelli.stages.curate.rubric import FRESH, GROUNDED, GROUNDS, SAID_BEFORE
from botticelli.store.connection import Connection
from botticelli.store.curation import judging
from botticelli.store.curation.choice import JudgedCandidate
from botticelli.store.curation.house_rules import HouseRules
from botticelli.store.curation.judging import Candidate
from botticelli.store.generation.executions import ActKey
from botticelli.text import shorten

TABLE: Final = "candidates"
RANKING: Final = "rank"  # the narrative beside the judge's own that puts candidates in order
SCORES: Final = ("properties", "scores")
ORDER: Final = ("properties", "order")

CODES: Final = range(10_000, 100_000)
# How a candidate's code stands before its text in a prompt (`rows` as JSON).
SHOWN: Final = r'"id":\s*"(\d+)",\s*"text_content":\s*{text}'

KNOWN_SHOWN: Final = 400  # characters of a known text
SOURCE_SHOWN: Final = 4_000  # characters of a source
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

    Args:
        rules: The house rules that it judges under.
        place: Where its answers are kept and found again; empty: they are not.

    Raises:
        ConfigError: The narrative does not end in an act that answers with scores by id.
    """

    context: RunContext
    file: NarrativeFile
    narrative: Narrative
    rules: HouseRules = HouseRules()
    place: str = ""

    def __call__(self, conn: Connection, group: Sequence[Candidate], number: int = 0) -> Judgement:
        """Return what the judge says about a group, shown in an order of its own.

        `number`: How often it was asked in vain. The next model of the list is asked after twice.

        Raises:
            BotticelliError: There is no answer, or not one that is clearly the judge's.
        """
        seed = self.context.chance.getrandbits(32)
        shown = shuffled(group, seed=seed)
        codes = draw_codes([each.id for each in shown], seed=seed)
        asks = self._asks_for({GROUNDED, GROUNDS})
        texts = rows(
            shown, codes, with_known=self._asks_for({FRESH, SAID_BEFORE}), with_sources=asks
        )
        value, answer = self._ask(conn, self.narrative, texts, key="scores", number=number)
        return Judgement(
            value=value,
            codes={code: id_ for id_, code in codes.items()},
            model=answer.model if answer else "",
            seed=seed,
            execution_id=answer.execution_id if answer else None,
            rules=self.rules.version,
        )

    def rank(self, shown: Sequence[JudgedCandidate]) -> list[int]:
        """Return the ids in the judge's order; 0 for what names none of them.

        For the main thread.

        Raises:
            BotticelliError: There is no answer, or not one that is clearly the judge's.
        """
        codes = draw_codes([each.id for each in shown], seed=secrets.randbits(32))
        texts = [{"id": codes[each.id], "text_content": each.text_content} for each in shown]
        narrative = self.file.narratives[RANKING]
        value, _ = self._ask(self.context.conn, narrative, texts, key="order")
        ids = {code: id_ for id_, code in codes.items()}
        order = value["order"] if isinstance(value["order"], list) else []
        return [ids.get(str(code).strip(), 0) for code in order]

    def unread(self, conn: Connection) -> Callable[[Candidate], Sequence[Judgement]]:
        """Return what finds answers about a candidate that a killed run has paid for, not read.

        An answer is about a candidate if its prompt holds the text as it is now; the code that
        stood for it is read from the prompt.
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
            shown = SHOWN.format(text=re.escape(_quoted(candidate.text_content or "")))
            judgements = []
            for one in found:
                codes = re.findall(shown, one.prompt)
                value = _verdict(one.response) if len(codes) == 1 else None
                if value is not None:
                    judgements.append(
                        Judgement(
                            value=value,
                            codes={codes[0]: candidate.id},
                            model=one.model,
                            execution_id=one.execution_id,
                            rules=self.rules.version if self.rules.text in one.prompt else 0,
                        )
                    )
            return judgements

        return about

    def _asks_for(self, names: Set[str]) -> bool:
        """Return whether its answer says these of each candidate."""
        return names <= (_entry(self.narrative.acts[-1]) or {}).keys()

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
        key: str,
        number: int = 0,
    ) -> tuple[Mapping[str, Any], Answer | None]:
        """Return the object with `key` of the last answer, and that answer."""
        context, judges = self.context.on(conn), self.context.config.models.judge
        caller = context.caller(narrative.budget)
        schemas = _schemas(narrative, sorted((each["id"] for each in shown), key=int))
        runner = Runner(
            context=context,
            file=self.file,
            caller=_Bound(caller=caller, schemas=schemas),
            sink=NoSink(),
            options=RunOptions(
                models=judges[min(number // 2, len(judges) - 1) :],
                variables={
                    "sources": "yes" if any("source" in each for each in shown) else "",
                    **self.rules.words,
                },
            ),
            at=Position(place=self.place),
        )
        acts = tuple(
            replace(act, schema=LOOSE) if _entry(act) is not None else act for act in narrative.acts
        )
        last = runner.run(replace(narrative, acts=acts), tables={TABLE: shown}).acts[-1]
        try:
            return read_verdict(last.text, key=key), last.answer
        except InvalidAnswer as error:
            if last.answer is not None:
                caller.reject(last.answer, error.what)
            raise


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _verdict(response: str) -> Mapping[str, Any] | None:
    try:
        return read_verdict(without_thoughts(response), key="scores")
    except InvalidAnswer:
        return None


def draw_codes(ids: Sequence[int], *, seed: int) -> dict[int, str]:
    """Return candidate id -> what it is called in one call: five digits, the same for a seed.

    A judge that numbers its entries 1 to n names none of them, and no text can hold a verdict
    about itself: its code is drawn after it was written.
    """
    codes = random.Random(seed).sample(CODES, len(ids))  # noqa: S311 - a text cannot see the seed
    return dict(zip(ids, map(str, codes), strict=True))


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
        schema = self.schemas.get(key.act_name, request.schema)
        return self.caller.ask(replace(request, schema=schema), models=models, key=key)

    def require(self, models: Sequence[str]) -> None:
        """See Caller."""
        self.caller.require(models)

    def reject(self, answer: Answer, reason: str) -> None:
        """See Caller."""
        self.caller.reject(answer, reason)


def rows(
    group: Sequence[Candidate],
    codes: Mapping[int, str],
    *,
    with_known: bool = False,
    with_sources: bool = False,
) -> tuple[Mapping[str, Any], ...]:
    """Return candidates as the judge sees them: nothing about who wrote them, and how.

    `with_known`: with what they may repeat, from its beginning; `with_sources`: with what they were
    made of.
    """
    return tuple(
        {
            "id": codes[each.id],
            "text_content": each.text_content,
            "content_type": each.content_type,
            "tags": each.tags,
            **(
                {"known": [shorten(one.text, KNOWN_SHOWN) for one in each.near]}
                if with_known and each.near
                else {}
            ),
            **(
                {"source": each.source_text[:SOURCE_SHOWN]}
                if with_sources and each.source_text
                else {}
            ),
        }
        for each in group
    )


def bound(narrative: Narrative, codes: Mapping[int, str]) -> Narrative:
    """Return the narrative with these codes as the only ids that can be answered."""
    schemas = _schemas(narrative, sorted(codes.values(), key=int))
    acts = tuple(replace(act, schema=schemas.get(act.name, act.schema)) for act in narrative.acts)
    return replace(narrative, acts=acts)


def find_judge(config: Config, *, cwd: Path) -> tuple[NarrativeFile, Narrative]:
    """Return the configured judge's narrative, with its file.

    Raises:
        ConfigError: There is none, or it does not end in `{"scores": [{"id": ...}]}`.
    """
    folders = config.narratives.folders
    file, narrative = find_narrative(config.curate.narrative, folders=folders, cwd=cwd)
    require_scores(file, narrative)
    return file, narrative


def require_scores(file: NarrativeFile, narrative: Narrative) -> None:
    """Check that a narrative can judge.

    Raises:
        ConfigError: It does not end in `{"scores": [{"id": ...}]}`.
    """
    if not narrative.acts or _entry(narrative.acts[-1]) is None:
        raise ConfigError(
            f"narrative '{narrative.key}' does not end in scores",
            where=str(file.path),
            hint="bind its last act to a schema with a list 'scores' of objects with an 'id'",
        )


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
