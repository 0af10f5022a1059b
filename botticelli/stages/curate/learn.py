"""Learning: a model proposes house rules from what people edited, rejected and approved.

The answer is stored before anything else and found again by its round, so that a run that was
killed pays for it once. What it proposes is data: code looks whether the quoted words stand in
their cases, and nothing holds before a person accepts it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from botticelli.errors import UsageError
from botticelli.models.thoughts import without_thoughts
from botticelli.narrative.answers.dry_run import estimate
from botticelli.narrative.answers.json_extraction import InvalidAnswer, read_verdict
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.runner import Position, Runner, dry_runner
from botticelli.narrative.run.sinks import NoSink
from botticelli.records import record
from botticelli.stages.aside import AsideDryRun, AsideReport, run_aside
from botticelli.store.curation import house_rules, lessons
from botticelli.store.curation.house_rules import rule_text
from botticelli.store.curation.lessons import LessonCase
from botticelli.store.generation import executions
from botticelli.store.generation.executions import LASTING, StoredAnswer
from botticelli.text import normalise, shorten

NARRATIVE: Final = "learn.propose"
LEAST: Final = 5  # lessons; fewer have little in common
MOST: Final = 40  # lessons of one round
SHOWN: Final = 1500  # characters of each of a lesson's texts


@record
class Proposal:
    """A rule as a model proposed it, and why it is refused; empty: it waits for a person."""

    text: str
    why: str
    cases: tuple[Mapping[str, str], ...]
    refused: str = ""


@record
class LearnReport(AsideReport):
    """What a run has learned.

    Args:
        lessons: That were shown to the model.
        left: Lessons that wait for the next run.
        rules: What it proposed, refused ones included.
    """

    lessons: int = 0
    left: int = 0
    rules: tuple[Proposal, ...] = ()

    @property
    def summary(self) -> Mapping[str, Any]:
        """What is stored with the run."""
        return {"lessons": self.lessons, "rules": sum(not one.refused for one in self.rules)}


def learn(context: RunContext) -> LearnReport:
    """Have rules proposed from the lessons that none were made of, as a run of curation.

    Raises:
        TryLater: The stage is locked, its breaker is open, or the day's budget is spent.
        BotticelliError: There is no usable answer; the lessons wait for the next run.
    """
    return run_aside(context, _learn, LearnReport)


def _learn(context: RunContext) -> LearnReport:
    conn = context.conn
    shown = lessons.take_round(conn, least=LEAST, most=MOST)
    if not shown:
        return LearnReport(idle=_too_few(lessons.list_waiting(conn)))
    number = shown[0].round or 0
    answer = _answer(context, shown, place=f"{LASTING}learn/{number}/")
    known = {normalise(text) for text in house_rules.list_texts(conn)}
    rules = tuple(_verified(entry, shown, known) for entry in _entries(context, answer))
    taken = [vars(one) for one in rules if not one.refused]
    lessons.finish_round(conn, number, taken, by=answer.model, execution_id=answer.id)
    return LearnReport(lessons=len(shown), left=len(lessons.list_waiting(conn)), rules=rules)


def _answer(context: RunContext, shown: Sequence[LessonCase], *, place: str) -> StoredAnswer:
    """Return the answer of a round; what ABOUT.md or the rules became since, asks none again."""
    found = executions.find_at(context.conn, place)
    if found is None:
        file, narrative = context.find(NARRATIVE)
        Runner(
            context=context,
            file=file,
            caller=context.caller(narrative.budget),
            sink=NoSink(),
            options=_options(context, shown),
            at=Position(place=place),
        ).run(narrative)
        found = executions.find_at(context.conn, place)
    assert found is not None, "an act that is done has an answer"
    return found


def _entries(context: RunContext, answer: StoredAnswer) -> Sequence[Mapping[str, Any]]:
    """Return what an answer proposes; one that cannot be read is asked for by the next run anew."""
    try:
        rules = read_verdict(without_thoughts(answer.response), key="rules")["rules"]
    except InvalidAnswer as error:
        executions.mark_unusable(context.conn, answer.id, reason=str(error))
        raise
    return [each for each in rules if isinstance(each, Mapping)]


def _options(context: RunContext, shown: Sequence[LessonCase]) -> RunOptions:
    cases = [
        {
            name: text[:SHOWN]
            for name in ("case", "kind", "was", "now", "note")
            if (text := getattr(one, name)) is not None
        }
        for one in shown
    ]
    known = [f"- {text}" for text in house_rules.list_texts(context.conn)]
    return RunOptions(
        models=context.config.models.default,
        variables={
            "lessons": json.dumps(cases, ensure_ascii=False, indent=1),
            "rules": "\n".join(known),
        },
    )


def _verified(entry: Mapping[str, Any], shown: Sequence[LessonCase], known: set[str]) -> Proposal:
    """Return what an entry proposes; refused if it is known, or quotes what nobody wrote.

    What is read is added to the `known`.
    """
    quoted = tuple(
        {name: str(each.get(name, "")).strip() for name in ("case", "quote")}
        for each in entry.get("cases") or ()
        if isinstance(each, Mapping)
    )
    made = Proposal(text=str(entry.get("rule", "")), why=str(entry.get("why", "")), cases=quoted)
    try:
        made = replace(made, text=rule_text(made.text))
    except UsageError as error:
        return replace(made, refused=error.what)
    found = {one.case: one for one in shown}
    refused = "" if quoted else "it quotes no case"
    if normalise(made.text) in known:
        refused = "it is known already"
    for one in quoted:
        if one["case"] not in found or not found[one["case"]].holds(one["quote"]):
            refused = f"'{shorten(one['quote'], 60)}' does not stand in case {one['case']}"
    known.add(normalise(made.text))
    return replace(made, refused=refused)


def dry_run_learn(context: RunContext) -> AsideDryRun:
    """Return what `learn` would show to the model and cost. Nothing is spent or written."""
    waiting = lessons.list_waiting(context.conn)
    shown = [one for one in waiting if one.round is not None] or waiting[:MOST]
    file, narrative = context.find(NARRATIVE)
    runner, caller = dry_runner(context, file, options=_options(context, shown))
    if not (idle := _too_few(waiting)):
        runner.run(narrative)
    return AsideDryRun(cases=len(shown), idle=idle, **vars(estimate(caller.calls)))


def _too_few(waiting: Sequence[LessonCase]) -> str:
    """Return why these lessons are too few to learn from; empty if they are not."""
    if len(waiting) >= LEAST or any(one.round is not None for one in waiting):
        return ""
    return f"not enough data ({len(waiting)} of {LEAST} new lessons of edits, notes and approvals)"
