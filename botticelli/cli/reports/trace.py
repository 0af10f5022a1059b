"""`botticelli trace`: the whole life of a post."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import typer

from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.reports.trace import Life
from botticelli.reports.trace import trace as report_life
from botticelli.store.curation.reviews import Reviewed
from botticelli.store.delivery.decisions import Seen
from botticelli.store.reads.trace import Call
from botticelli.text import counted, shorten

PREVIEW: Final = 300


@app.command()
def trace(
    ctx: typer.Context,
    post: Annotated[
        str,
        typer.Argument(
            metavar="ID|URL", help="A candidate's id, post:ID, delivery:ID, a message's URL or id."
        ),
    ],
    *,
    full: Annotated[
        bool, typer.Option("--full", help="Prompts and answers whole, not their beginnings.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> int:
    """Tell the whole life of a post."""
    env: Environment = ctx.obj
    with env.database() as conn:
        life = report_life(conn, post, now=env.clock.pinned())
    if as_json:
        env.show(life, as_json=True)
    else:
        _tell(life, env.console, full=full)
    return life.exit_code


@render.register
def _(report: Life, console: Console) -> None:
    _tell(report, console, full=False)


def _tell(life: Life, console: Console, *, full: bool) -> None:
    candidate, post = life.candidate, life.post
    if candidate:
        console.line(f"candidate {candidate.id} is {candidate.status}", style="bold")
    elif post:
        console.line(f"post {post.id} is {post.review_status}; it came in by SQL", style="bold")
    text = post.text if post else candidate.text_content if candidate else ""
    console.line("\n" + text + "\n")
    if candidate:
        _tell_written(life, candidate, console, full=full)
        _tell_judged(life, candidate, console, full=full)
        _tell_decided(candidate, console)
    if post:
        who = f" by {post.approved_by}" if post.approved_by else ""
        console.line(f"approved {_minute(post.selected_at)}{who} as post {post.id}", style="bold")
        console.line(f"  it is {post.review_status}")
    for delivery in life.deliveries:
        _tell_delivery(delivery, console)


def _tell_written(life: Life, candidate: Reviewed, console: Console, *, full: bool) -> None:
    source = f" by {candidate.source_narrative}" if candidate.source_narrative else ""
    console.line(f"written {_minute(candidate.generated_at)}{source}", style="bold")
    _tell_calls(life.writing, console, full=full)
    if life.writing:
        calls = counted(len(life.writing), "call")
        console.line(f"  in all {calls}, {life.tokens:,} tokens, ${life.cost_usd:.6f}")


def _tell_judged(life: Life, candidate: Reviewed, console: Console, *, full: bool) -> None:
    if candidate.duplicate_of:
        console.line(f"repeats candidate {candidate.duplicate_of}")
    if candidate.total is None:
        return
    by = f" by {candidate.judge_model}" if candidate.judge_model else ""
    console.line(f"judged{by}: {candidate.total:g} of 50", style="bold")
    scores = ", ".join(f"{name} {points}" for name, points in candidate.scores.items())
    fails = ", ".join(candidate.judging.get("fails", ()))
    for name, value in (
        ("scores", scores),
        ("reasons", candidate.judging.get("reasons")),
        ("notes", candidate.curation_notes),
        ("fails", fails),
        ("spread", candidate.judging.get("spread")),
        ("place in the ranking", candidate.judging.get("place")),
    ):
        if value:
            console.line(f"  {name}: {value}")
    if life.judging:
        console.line("  calls, each about a whole batch:")
    _tell_calls(life.judging, console, full=full)


def _tell_calls(calls: Sequence[Call], console: Console, *, full: bool) -> None:
    for call in calls:
        console.line(f"  {_headline(call)}")
        for name, value in (
            ("asked", call.prompt), ("said", call.response), ("trouble", call.error)
        ):  # fmt: skip
            if value:
                console.line(f"    {name}: {value if full else shorten(value, PREVIEW)}")


def _headline(call: Call) -> str:
    tries = f" (try {call.attempt})" if call.attempt > 1 else ""
    facts = [
        f"{call.narrative}.{call.act} {call.iteration}{tries}: {call.state}",
        call.model,
        f"{call.input_tokens or 0:,} tokens in, {call.output_tokens or 0:,} out",
        f"{call.thought_tokens:,} thought" if call.thought_tokens else "",
        f"${call.cost_usd:.6f}" if call.cost_usd is not None else "",
        f"{call.seconds:.1f} s" if call.seconds is not None else "",
        _minute(call.at),
    ]
    return ", ".join(fact for fact in facts if fact)


def _tell_decided(candidate: Reviewed, console: Console) -> None:
    if candidate.decided_by and candidate.decided_at:
        at = _minute(candidate.decided_at)
        console.line(f"decided {at} by {candidate.decided_by}", style="bold")
    _tell_events(candidate.history, console)


def _tell_delivery(one: Seen, console: Console) -> None:
    console.line(f"delivery {one.id} to '{one.destination}' is {one.state}", style="bold")
    for name, value in (
        ("link", one.remote_url or one.remote_id),
        ("tries", one.attempts),
        ("posted", _minute(one.posted_at) if one.posted_at else None),
        ("why", one.last_error),
    ):
        if value:
            console.line(f"  {name}: {value}")
    for part in one.parts:
        console.line(f"  part: {part.get('url') or part.get('remote_id')}")
    _tell_events(one.history, console)


def _tell_events(events: Sequence[object], console: Console) -> None:
    for event in events:
        assert isinstance(event, dict)
        facts = [str(event.get("at", ""))[:16].replace("T", " "), str(event.get("event", ""))]
        if event.get("by"):
            facts.append(f"by {event['by']}")
        if event.get("note"):
            facts.append(f"({event['note']})")
        if event.get("event") == "edit":
            facts.append(f"it was: {shorten(str(event.get('was', '')), PREVIEW)}")
        console.line("  - " + " ".join(filter(None, facts)))


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
