"""`botticelli trace`: the history of a post."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from botticelli.cli.shared.ids import SNOWFLAKE, read_id
from botticelli.cli.shared.pictures import picture_facts
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import UsageError
from botticelli.store.curation.reviews import Reviewed
from botticelli.store.delivery.decisions import DeliveryView
from botticelli.store.reads.trace import IdKind, ModelCall, PostTrace, TracedPost, trace_post
from botticelli.text import counted, shorten

PREVIEW: Final = 300
_IN_URL: Final = re.compile(r"https?://\S+?/([^/?#]+)/?(?:[?#]\S*)?")


@command()
def trace(
    env: Environment, post: str, *, full: bool = False, as_json: bool = False
) -> PostTrace | None:
    """Show the history of a post.

    Takes:
        post ID|URL: The id of a candidate (12 or c12), a post (p5), a delivery (d7) or a message;
            or a message's URL.
        full: Show prompts and answers in full.

    Examples:
        botticelli trace 17
        botticelli trace d4 --full
    """
    kind, name = reference(post)
    with env.database() as conn:
        report = trace_post(conn, kind, name)
    if report is None:
        raise UsageError(
            f"no post is known by {kind} {name}",
            hint="see `botticelli review --list` and `botticelli deliveries`",
        )
    if as_json or not full:
        return report
    _print(report, env.console, full=True)
    return None


def reference(text: str) -> tuple[IdKind, str]:
    """Return the kind of an id and the id: 12 is a candidate; p5, delivery:7, a message's URL.

    Raises:
        UsageError: It is none of them.
    """
    named = read_id(text, plain="candidate")
    if named:
        return named.kind, str(named.number)
    if len(text) >= SNOWFLAKE and text.isdecimal():
        return "message", text
    if in_url := _IN_URL.fullmatch(text.strip()):
        return "message", in_url[1]
    raise UsageError(
        f"'{text}' is not an id or the address of a message",
        hint="give a candidate's id, p5 for a post, d7 for a delivery or the URL of a message",
    )


@render.register
def _(report: PostTrace, console: Console) -> None:
    _print(report, console, full=False)


def _print(report: PostTrace, console: Console, *, full: bool) -> None:
    candidate, post = report.candidate, report.post
    if candidate:
        why = f": {candidate.why}" if candidate.why else ""
        console.line(f"candidate {candidate.id} is {candidate.status}{why}", style="bold")
    elif post:
        console.line(f"post {post.id} is {post.review_status}; it came in by SQL", style="bold")
    text = candidate.text_content if candidate else post.text if post else ""
    console.line("\n" + text + "\n", indent=0)
    if candidate:
        _print_writing(report, candidate, console, full=full)
        _print_judging(report, candidate, console, full=full)
        if candidate.decided_by and candidate.decided_at:
            by = f"{_minute(candidate.decided_at)} by {candidate.decided_by}"
            console.line(f"decided {by}", style="bold")
        _print_events(candidate.history, console)
    if post:
        _print_post(post, console, full=full)
    for delivery in report.deliveries:
        print_delivery(delivery, console)


def _print_post(post: TracedPost, console: Console, *, full: bool) -> None:
    who = f" by {post.approved_by}" if post.approved_by else ""
    console.line(f"approved {_minute(post.selected_at)}{who} as post {post.id}", style="bold")
    console.line(f"  it is {post.review_status}")
    if not post.is_as_approved:
        console.line(
            f"  it was changed since; it is not sent before `botticelli approve p{post.id}`",
            style="red",
        )
    for name, words in (*rendition_facts(post.renditions), *picture_facts(post.pictures)):
        console.line(f"  {name}: {words if full else shorten(words, PREVIEW)}")


def _print_writing(report: PostTrace, candidate: Reviewed, console: Console, *, full: bool) -> None:
    source = f" by {candidate.source_narrative}" if candidate.source_narrative else ""
    console.line(f"written {_minute(candidate.generated_at)}{source}", style="bold")
    if candidate.made_of:
        console.line(f"  made of {candidate.source_words}")
    for name, words in picture_facts(() if report.post else candidate.pictures):
        console.line(f"  {name}: {words if full else shorten(words, PREVIEW)}")
    _print_calls(report.writing, console, full=full)
    if report.writing:
        calls = counted(len(report.writing), "call")
        console.line(f"  in all {calls}, {counted(report.tokens, 'token')}, ${report.cost_usd:.6f}")


def _print_judging(report: PostTrace, candidate: Reviewed, console: Console, *, full: bool) -> None:
    if candidate.repeats:
        console.line(f"repeats, or may repeat, {candidate.repeats}")
    if candidate.total is None:
        return
    by = f" by {candidate.judge_model}" if candidate.judge_model else ""
    console.line(f"judged{by}: {candidate.total:g} of 50", style="bold")
    scores = ", ".join(f"{name} {points}" for name, points in candidate.scores.items())
    for name, value in (("scores", scores), *judged_facts(candidate)):
        console.line(f"  {name}: {value}")
    if report.judging:
        console.line("  calls, each about a whole batch:")
    _print_calls(report.judging, console, full=full)


def judged_facts(candidate: Reviewed) -> list[tuple[str, str]]:
    """Return what a judge said of a candidate beside its points: (name, words) of what there is."""
    judging = candidate.judging
    passes = len(judging.get("samples", ()))
    facts = (
        ("reasons", judging.get("reasons")),
        ("notes", candidate.curation_notes),
        ("fails", ", ".join(judging.get("fails", ()))),
        ("spread", f"{judging['spread']:g} over {passes} passes" if passes > 1 else ""),
        ("place in the ranking", judging.get("place")),
        ("feedback", (candidate.feedback or {}).get("why")),
    )
    return [(name, str(value)) for name, value in facts if value]


def rendition_facts(renditions: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return what is sent to some destinations in place of a post: (name, words) of each."""
    facts = []
    for one in renditions:
        writer = one["decided_by"] or one["model"]
        words = (
            one["state"],
            f"by {writer}" if writer else "",
            f"({one['note']})" * bool(one["note"]),
        )
        said = " ".join(filter(None, words))
        facts.append(
            (f"for '{one['destination']}'", f"{said}: {one['text']}" if one["text"] else said)
        )
    return facts


def _print_calls(calls: Sequence[ModelCall], console: Console, *, full: bool) -> None:
    for call in calls:
        console.line(f"  {_headline(call)}")
        for name, value in (
            ("prompt", call.prompt), ("answer", call.response), ("error", call.error)
        ):  # fmt: skip
            if value:
                console.line(f"    {name}: {value if full else shorten(value, PREVIEW)}")


def _headline(call: ModelCall) -> str:
    tries = f" (try {call.attempt})" if call.attempt > 1 else ""
    facts = [
        f"{call.narrative}.{call.act} {call.iteration}{tries}: {call.state}",
        call.model,
        f"{counted(call.input_tokens or 0, 'token')} in, {call.output_tokens or 0:,} out",
        f"{call.thought_tokens:,} thought" if call.thought_tokens else "",
        f"${call.cost_usd:.6f}" if call.cost_usd is not None else "",
        f"{call.seconds:.1f} s" if call.seconds is not None else "",
        _minute(call.at),
    ]
    return ", ".join(fact for fact in facts if fact)


def print_delivery(one: DeliveryView, console: Console, *, is_full: bool = False) -> None:
    """Write what is known of a delivery; `is_full`: also what its next try depends on."""
    of = f" of post {one.post_id}" if is_full else ""
    console.line(f"delivery {one.id}{of} to '{one.destination}' is {one.state}", style="bold")
    facts: list[tuple[str, object]] = [
        ("link", one.remote_url or one.remote_id),
        ("tries", one.attempts),
        ("posted", _minute(one.posted_at) if one.posted_at else None),
        ("why", one.last_error),
    ]
    if is_full:
        facts += [
            ("first sent at", one.sent_at),
            ("not before", one.retry_at),
            ("decided by", one.decided_by),
            ("nonce", one.nonce),
        ]
    for name, value in facts:
        if value:
            console.line(f"  {name}: {value}")
    for part in one.parts:
        console.line(f"  part: {part.get('url') or part.get('remote_id')}")
    for step in one.steps:
        again = f", again at {_minute(one.steps_at)}" if one.steps_at else ""
        is_open = step["state"] == "open"
        console.line(f"  {step['step']}: {step['state']}{again if is_open else ''}")
    _print_events(one.history, console)


def _print_events(events: Sequence[object], console: Console) -> None:
    for event in events:
        assert isinstance(event, dict)
        facts = [str(event.get("at", ""))[:16].replace("T", " "), str(event.get("event", ""))]
        if event.get("by"):
            facts.append(f"by {event['by']}")
        if event.get("note"):
            facts.append(f"({event['note']})")
        if event.get("undoes"):
            facts.append(f"of {event['undoes']}")
        if event.get("event") == "edit":
            facts.append(f"it was: {shorten(str(event.get('was', '')), PREVIEW)}")
        console.line("  - " + " ".join(filter(None, facts)))


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
