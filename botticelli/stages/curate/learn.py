"""Learning: a model proposes house rules from what people edited, rejected and approved.

The answer is stored before anything else and found again by its round, so that a run that was
killed pays for it once. What it proposes is data: code looks whether the quoted words stand in
their cases, and nothing holds before a person accepts it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from botticelli.errors import Exit, UsageError
from botticelli.narrative.answers.dry_run import CallsEstimate, estimate
from botticelli.narrative.answers.json_extraction import InvalidAnswer, read_verdict
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.runner import Position, Runner, dry_runner
from botticelli.narrative.run.sinks import NoSink
from botticelli.records import record
from botticelli.stages.supervise import supervised
from botticelli.stages.task import RunOutcome
from botticelli.store import runs
from botticelli.store.curation import house_rules, lessons
from botticelli.store.curation.house_rules import rule_text
from botticelli.store.curation.lessons import LessonCase
from botticelli.store.generation import executions
from botticelli.store.generation.executions import LASTING, StoredAnswer
from botticelli.text import counted, normalise, shorten

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
class LearnReport(runs.RunUsage):
    """What a run has learned.

    Args:
        lessons: That were shown to the model.
        left: Lessons that wait for the next run.
        reused: The answer had been paid for by a run that was killed.
        idle: Why nothing was asked; empty: something was.
        skipped: "paused": nothing was done.
    """

    lessons: int = 0
    left: int = 0
    proposed: tuple[Proposal, ...] = ()
    refused: tuple[Proposal, ...] = ()
    reused: bool = False
    idle: str = ""
    skipped: str = ""
    seconds: float = 0.0
    exit_code: Exit = Exit.DONE


def learn(context: RunContext) -> LearnReport:
    """Have rules proposed from the lessons that none were made of, as a run of curation.

    Raises:
        TryLater: The stage is locked, its breaker is open, or the day's budget is spent.
        BotticelliError: There is no usable answer; the lessons wait for the next run.
    """
    with supervised("curate", context) as run:
        if run is None:
            return LearnReport(skipped="paused")
        began = context.clock.monotonic()
        report = _learn(replace(context, run_id=run.id, stop=run.stop))
        used = runs.usage(context.conn, run.id)
        counts = {"lessons": report.lessons, "rules": len(report.proposed)}
        run.outcome = RunOutcome(
            exit_code=Exit.DONE,
            summary=counts | vars(used) | {"cost_usd": float(used.cost_usd)},
            threshold=context.config.supervision.failure_threshold,
        )
        return replace(report, seconds=context.clock.monotonic() - began, **vars(used))


def _learn(context: RunContext) -> LearnReport:
    conn = context.conn
    shown = lessons.take_round(conn, least=LEAST, most=MOST)
    if not shown:
        return LearnReport(idle=too_few(lessons.list_waiting(conn)))
    number = shown[0].round or 0
    place = f"{LASTING}learn/{number}/"
    entries, answer, reused = _ask(context, shown, place)
    known = {normalise(text) for text in house_rules.list_texts(conn)}
    read = [_verified(entry, shown, known) for entry in entries if isinstance(entry, Mapping)]
    proposed = tuple(one for one in read if not one.refused)
    lessons.finish_round(
        conn,
        number,
        [{"text": one.text, "why": one.why, "cases": one.cases} for one in proposed],
        by=answer.model if answer else "",
        execution_id=answer.id if answer else None,
    )
    return LearnReport(
        lessons=len(shown),
        left=len(lessons.list_waiting(conn)),
        proposed=proposed,
        refused=tuple(one for one in read if one.refused),
        reused=reused,
    )


def _ask(
    context: RunContext, shown: Sequence[LessonCase], place: str
) -> tuple[Sequence[Any], StoredAnswer | None, bool]:
    """Return the entries of the answer, the answer, and whether it was there already.

    Whatever ABOUT.md or the rules have become since, the round is not asked about again.
    """
    found = executions.find_at(context.conn, place)
    if found is not None:
        try:
            return _entries(found.response), found, True
        except InvalidAnswer as error:
            executions.mark_unusable(context.conn, found.id, reason=str(error))
    file, narrative = context.find(NARRATIVE)
    runner = Runner(
        context=context,
        file=file,
        caller=context.caller(narrative.budget),
        sink=NoSink(),
        options=_options(context, shown),
        at=Position(place=place),
    )
    last = runner.run(narrative).acts[-1]
    return _entries(last.text), executions.find_at(context.conn, place), False


def _entries(answer: str) -> Sequence[Any]:
    rules = read_verdict(answer, key="rules")["rules"]
    if not isinstance(rules, list):
        raise InvalidAnswer("'rules' is not a list")
    return rules


def _options(context: RunContext, shown: Sequence[LessonCase]) -> RunOptions:
    cases = [
        {
            "case": one.case,
            "kind": one.kind,
            "was": one.was[:SHOWN],
            **({} if one.now is None else {"now": one.now[:SHOWN]}),
            "note": one.note[:SHOWN],
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

    What is taken is added to the `known`.
    """
    cases = entry.get("cases")
    quoted = tuple(
        {"case": str(each.get("case", "")).strip(), "quote": str(each.get("quote", "")).strip()}
        for each in (cases if isinstance(cases, list) else ())
        if isinstance(each, Mapping)
    )
    proposal = Proposal(
        text=str(entry.get("rule", "")), why=str(entry.get("why", "")), cases=quoted
    )
    try:
        text = rule_text(proposal.text)
    except UsageError as error:
        return replace(proposal, refused=error.what)
    found = {one.case: one for one in shown}
    false = next(
        (one for one in quoted if one["case"] not in found
         or not found[one["case"]].holds(one["quote"])), None
    )  # fmt: skip
    refused = "" if quoted else "it quotes no case"
    if false:
        refused = f"'{shorten(false['quote'], 60)}' does not stand in case {false['case']}"
    elif normalise(text) in known:
        refused = "it is known already"
    known.add(normalise(text))
    return replace(proposal, text=text, refused=refused)


@record
class LearnDryRun(CallsEstimate):
    """What learning would cost. `idle`: why nothing would be asked."""

    lessons: int
    idle: str = ""
    exit_code: Exit = Exit.DONE


def dry_run_learn(context: RunContext) -> LearnDryRun:
    """Return what `learn` would show to the model and cost. Nothing is spent or written."""
    waiting = lessons.list_waiting(context.conn)
    shown = [one for one in waiting if one.round is not None] or waiting[:MOST]
    idle = too_few(waiting)
    if idle:
        return LearnDryRun(lessons=len(waiting), idle=idle, **vars(estimate([])))
    file, narrative = context.find(NARRATIVE)
    runner, caller = dry_runner(context, file, options=_options(context, shown))
    runner.run(narrative)
    return LearnDryRun(lessons=len(shown), **vars(estimate(caller.calls)))


def too_few(waiting: Sequence[LessonCase]) -> str:
    """Return why these lessons are too few to learn from; empty if they are not."""
    if len(waiting) >= LEAST or any(one.round is not None for one in waiting):
        return ""
    new = counted(len(waiting), "new lesson")
    return f"not enough data ({len(waiting)} of {LEAST}): {new} of edits, notes and approvals"
