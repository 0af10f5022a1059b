"""`botticelli approvals`: bot commands that wait for approval, and the log of all requests."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from botticelli.cli.shell.command import command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Lines, Listing, Styled, state
from botticelli.errors import BotticelliError, UsageError
from botticelli.store.commands import approvals as store
from botticelli.store.commands import audit
from botticelli.store.commands.approvals import Approval
from botticelli.store.connection import Connection
from botticelli.text import exposed, shorten

if TYPE_CHECKING:
    from botticelli.narrative.commands.base import CommandCall

Id = Annotated[int, typer.Argument(metavar="ID", help="The id of the approval.")]
Why = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="The reason, stored with the decision.")
]
WAITING: Final[Columns] = {
    "id>": "id",
    "state": lambda one: state(one.state),
    "asked for": lambda one: f"{one.requested_at:%m-%d %H:%M}",
    "by": lambda one: one.narrative or "hand",
    "command": lambda one: f"{one.platform}.{one.command}",
    "arguments": lambda one: shorten(_shown(one.args), 60),
}
LOG: Final[Columns] = {
    "id>": "id",
    "at": lambda one: f"{one.at:%m-%d %H:%M:%S}",
    "by": lambda one: one.narrative or "hand",
    "command": lambda one: f"{one.platform}.{one.command}",
    "decision": lambda one: state(one.decision),
    "result": lambda one: state(one.outcome) if one.outcome else None,
    "reason": lambda one: shorten(one.error or one.result_id or one.reason, 50),
}

approvals = group(
    "approvals",
    examples="""
    botticelli approvals list
    botticelli approvals show 3
    botticelli approvals approve 3 --reason "a welcome thread"
    """,
)


@command(approvals, "list")
def list_approvals(conn: Connection, *, everything: bool = False, limit: int = 50) -> Listing:
    """List the commands that wait for approval.

    Takes:
        everything --all: Include decided ones.
        limit N: Show at most N entries.
    """
    return Listing(
        name="approvals",
        rows=store.list_approvals(conn, everything=everything, limit=limit),
        columns=WAITING,
        empty="no command waits for approval",
        after="details and the request: botticelli approvals show ID",
    )


@command(approvals)
def show(env: Environment, conn: Connection, approval: Id) -> Lines:
    """Show who asks for a command, why, and the request it would send."""
    one = store.find(conn, approval)
    request, asked_with = _request(env, conn, one), tuple(store.prompts_before(conn, one))
    who = f"narrative '{one.narrative}', act '{one.act}'" if one.narrative else "a person"
    run = f", run {one.run_id}" if one.run_id else ""
    lines: list[str | Styled] = [
        state(one.state, f"approval {one.id}: {one.state}"),
        f"command: {one.platform}.{one.command}",
        f"requested by: {who}{run}, {one.requested_at:%Y-%m-%d %H:%M}",
    ]
    if one.state in ("pending", "approved"):
        lines.append(f"holds until: {one.expires_at:%Y-%m-%d %H:%M}")
    if one.decided_by:
        lines.append(f"decided by: {one.decided_by}" + (f": {one.reason}" if one.reason else ""))
    lines.append("request: " + _shown(request, indent=2))
    for each in asked_with:
        title = f"\nact '{each.act}' asked {each.model}:"
        lines += [title, each.prompt, "answer:", each.response]
    return Lines(text=lines, facts={"approval": one, "request": request, "asked_with": asked_with})


def _request(env: Environment, conn: Connection, approval: Approval) -> Any:
    from botticelli.cli.shared.command_guard import guarded

    if approval.platform == "database":
        return dict(approval.args)  # which rows depends on what its narrative will have read
    try:
        return guarded(env, conn).request(_call(approval))
    except BotticelliError as error:
        return f"unknown here: {error}"


@command(approvals, decides=True)
def approve(
    env: Environment,
    conn: Connection,
    approval: Id,
    *,
    reason: Why = "",
    at_once: bool = False,
) -> Lines:
    """Let a command run once, with exactly the arguments shown.

    Takes:
        at_once --now: Run it now instead of with its narrative's next run.
    """
    waiting = store.find(conn, approval)
    if at_once and waiting.platform == "database":
        raise UsageError(
            "what it changes depends on what its narrative has read",
            where="--now",
            hint="approve it without --now and run the narrative again",
        )
    found = store.decide(conn, approval, "approved", by=env.user, reason=reason)
    if not at_once:
        return _decided(found)
    from botticelli.cli.shared.command_guard import guarded

    # The approval is used up by it, and the user's own rules still hold.
    result = guarded(env, conn).run(_call(waiting))
    return _decided(store.find(conn, approval), result=result)


def _call(approval: Approval) -> "CommandCall":
    from botticelli.narrative.commands.base import CommandCall

    return CommandCall(
        platform=approval.platform,
        command=approval.command,
        args=approval.args,
        narrative=approval.narrative,
        act=approval.act,
        run_id=approval.run_id,
        security={"policy": {"require_confirmation": [approval.command]}},
    )


@command(approvals, decides=True)
def deny(env: Environment, conn: Connection, approval: Id, *, reason: Why = "") -> Lines:
    """Keep a command from running."""
    return _decided(store.decide(conn, approval, "denied", by=env.user, reason=reason))


def _decided(one: Approval, *, result: Any = None) -> Lines:
    """Return a command after a person's decision; `result` if it was run at once."""
    text = f"{one.platform}.{one.command} {_shown(one.args)} is {one.state}"
    text += "" if result is None else f"\nresult: {_shown(result)}"
    return Lines(text=text, facts={"approval": one, "result": result})


@command(approvals)
def log(conn: Connection, *, limit: int = 50) -> Listing:
    """List every command that was requested, allowed or refused.

    Takes:
        limit N: Show at most N entries.
    """
    found = audit.list_entries(conn, limit=limit)
    return Listing(name="commands", rows=found, columns=LOG, empty="no command was requested yet")


def _shown(value: Any, *, indent: int | None = None) -> str:
    import json

    return exposed(json.dumps(value, ensure_ascii=False, default=str, indent=indent))
