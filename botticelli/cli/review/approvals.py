"""`botticelli approvals`: bot commands that wait for approval, and the log of all requests."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from botticelli.cli.shell.command import command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, Styled, render
from botticelli.errors import BotticelliError, UsageError
from botticelli.records import record
from botticelli.store.commands import approvals as store
from botticelli.store.commands import audit
from botticelli.store.commands.approvals import Approval, Prompt
from botticelli.store.commands.audit import AuditRecord
from botticelli.store.connection import Connection
from botticelli.text import exposed, shorten

if TYPE_CHECKING:
    from botticelli.narrative.commands.base import CommandCall

Id = Annotated[int, typer.Argument(metavar="ID", help="The id of the approval.")]
Why = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="The reason, stored with the decision.")
]
Limit = Annotated[int, typer.Option(metavar="N", min=1, help="Show at most N entries.")]


STYLES = {
    "pending": "yellow", "refused": "red", "failed": "red", "denied": "red",
    "approved": "green", "done": "green",
}  # fmt: skip

approvals = group(
    "approvals",
    examples="""
    botticelli approvals list
    botticelli approvals show 3
    botticelli approvals approve 3 --reason "a welcome thread"
    """,
)


@record
class ApprovalsReport:
    """Waiting commands, newest first."""

    approvals: tuple[Approval, ...]


@record
class ApprovalDetails:
    """What a person needs to decide on one command.

    Args:
        request: What would be sent, or why that is unknown; its nonce differs each time.
        asked_with: The narrative's prompts and answers before it asked for this.
    """

    approval: Approval
    request: Any
    asked_with: tuple[Prompt, ...]


@record
class ApprovalDecision:
    """A command after a person's decision; `result` if it was run at once."""

    approval: Approval
    result: Any = None


@record
class AuditReport:
    """Requested commands, allowed or refused, newest first."""

    commands: tuple[AuditRecord, ...]


@command(approvals, "list")
def list_approvals(
    conn: Connection,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Include decided ones.")] = False,
    limit: Limit = 50,
) -> ApprovalsReport:
    """List the commands that wait for approval."""
    found = store.list_approvals(conn, everything=everything, limit=limit)
    return ApprovalsReport(approvals=tuple(found))


@command(approvals)
def show(env: Environment, conn: Connection, approval: Id) -> ApprovalDetails:
    """Show who asks for a command, why, and the request it would send."""
    found = store.find(conn, approval)
    return ApprovalDetails(
        approval=found,
        request=_request(env, conn, found),
        asked_with=tuple(store.prompts_before(conn, found)),
    )


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
    at_once: Annotated[
        bool, typer.Option("--now", help="Run it now instead of with its narrative's next run.")
    ] = False,
) -> ApprovalDecision:
    """Let a command run once, with exactly the arguments shown."""
    waiting = store.find(conn, approval)
    if at_once and waiting.platform == "database":
        raise UsageError(
            "what it changes depends on what its narrative has read",
            where="--now",
            hint="approve it without --now and run the narrative again",
        )
    found = store.decide(conn, approval, "approved", by=env.user, reason=reason)
    if not at_once:
        return ApprovalDecision(approval=found)
    from botticelli.cli.shared.command_guard import guarded

    # The approval is used up by it, and the user's own rules still hold.
    result = guarded(env, conn).run(_call(waiting))
    return ApprovalDecision(approval=store.find(conn, approval), result=result)


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
def deny(env: Environment, conn: Connection, approval: Id, *, reason: Why = "") -> ApprovalDecision:
    """Keep a command from running."""
    found = store.decide(conn, approval, "denied", by=env.user, reason=reason)
    return ApprovalDecision(approval=found)


@command(approvals)
def log(conn: Connection, *, limit: Limit = 50) -> AuditReport:
    """List every command that was requested, allowed or refused."""
    return AuditReport(commands=tuple(audit.list_entries(conn, limit=limit)))


@render.register
def _(report: ApprovalsReport, console: Console) -> None:
    if not report.approvals:
        console.line("no command waits for approval")
        return
    console.table(
        ("id", "state", "asked for", "by", "command", "arguments"),
        [
            (
                one.id,
                Styled(one.state, STYLES.get(one.state, "")),
                f"{one.requested_at:%m-%d %H:%M}",
                one.narrative or "hand",
                f"{one.platform}.{one.command}",
                shorten(_shown(one.args), 60),
            )
            for one in report.approvals
        ],
        right=("id",),
    )
    console.line("details and the request: botticelli approvals show ID")


@render.register
def _(report: ApprovalDetails, console: Console) -> None:
    one = report.approval
    who = f"narrative '{one.narrative}', act '{one.act}'" if one.narrative else "a person"
    run = f", run {one.run_id}" if one.run_id else ""
    console.line(f"approval {one.id}: {one.state}", style=STYLES.get(one.state, ""))
    console.line(f"command: {one.platform}.{one.command}")
    console.line(f"requested by: {who}{run}, {one.requested_at:%Y-%m-%d %H:%M}")
    if one.state in ("pending", "approved"):
        console.line(f"holds until: {one.expires_at:%Y-%m-%d %H:%M}")
    if one.decided_by:
        reason = f": {one.reason}" if one.reason else ""
        console.line(f"decided by: {one.decided_by}{reason}")
    console.line("request: " + _shown(report.request, indent=2))
    for asked in report.asked_with:
        console.line(f"\nact '{asked.act}' asked {asked.model}:")
        console.line(asked.prompt)
        console.line("answer:")
        console.line(asked.response)


@render.register
def _(report: ApprovalDecision, console: Console) -> None:
    one = report.approval
    console.line(f"{one.platform}.{one.command} {_shown(one.args)} is {one.state}")
    if report.result is not None:
        console.line(f"result: {_shown(report.result)}")


@render.register
def _(report: AuditReport, console: Console) -> None:
    if not report.commands:
        console.line("no command was requested yet")
        return
    console.table(
        ("id", "at", "by", "command", "decision", "result", "reason"),
        [
            (
                one.id,
                f"{one.at:%m-%d %H:%M:%S}",
                one.narrative or "hand",
                f"{one.platform}.{one.command}",
                Styled(one.decision, STYLES.get(one.decision, "")),
                Styled(one.outcome, STYLES.get(one.outcome, "")) if one.outcome else None,
                shorten(one.error or one.result_id or one.reason, 50),
            )
            for one in report.commands
        ],
        right=("id",),
    )


def _shown(value: Any, *, indent: int | None = None) -> str:
    import json

    return exposed(json.dumps(value, ensure_ascii=False, default=str, indent=indent))
