"""`botticelli approvals`: bot commands that wait for a person, and all that were asked for."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from botticelli.cli.review.deliveries import who
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, Styled, render
from botticelli.errors import BotticelliError, Exit, UsageError
from botticelli.records import record
from botticelli.store.commands import approvals as store
from botticelli.store.commands import audit
from botticelli.store.commands.approvals import Approval, Prompt
from botticelli.store.commands.audit import AuditRecord
from botticelli.text import exposed, shorten

if TYPE_CHECKING:
    from botticelli.narrative.commands.base import CommandCall

Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
Id = Annotated[int, typer.Argument(metavar="ID", help="Of the approval.")]
Why = Annotated[str, typer.Option("--reason", help="Kept beside the decision.")]
Limit = Annotated[int, typer.Option(min=1, help="Most entries shown.")]

STYLES = {
    "pending": "yellow", "refused": "red", "failed": "red", "denied": "red",
    "approved": "green", "done": "green",
}  # fmt: skip

group = typer.Typer(help="Confirm or deny bot commands that wait for a person.")
app.add_typer(group, name="approvals")


@record
class ApprovalsReport:
    """Commands that wait, newest first."""

    approvals: tuple[Approval, ...]
    exit_code: Exit = Exit.DONE


@record
class WishReport:
    """All that a person needs to decide on one command.

    Args:
        request: What would be sent, or why that cannot be told; a nonce is made anew each time.
        asked_with: What the narrative's models were asked, and said, before it wanted this.
    """

    approval: Approval
    request: Any
    asked_with: tuple[Prompt, ...]
    exit_code: Exit = Exit.DONE


@record
class DecidedReport:
    """A command after a person's decision; `result` if it was run at once."""

    approval: Approval
    result: Any = None
    exit_code: Exit = Exit.DONE


@record
class AuditReport:
    """Commands that were asked for, allowed or refused, newest first."""

    commands: tuple[AuditRecord, ...]
    exit_code: Exit = Exit.DONE


@group.command(name="list")
def list_(
    ctx: typer.Context,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also what is decided.")] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> int:
    """List the commands that wait for a person."""
    env: Environment = ctx.obj
    with env.database() as conn:
        found = store.list_approvals(conn, everything=everything, limit=limit)
    env.show(ApprovalsReport(approvals=tuple(found)), as_json=as_json)
    return Exit.DONE


@group.command()
def show(ctx: typer.Context, approval: Id, *, as_json: Json = False) -> int:
    """Show who wants a command, why, and the very request it would make."""
    env: Environment = ctx.obj
    with env.database() as conn:
        wish = store.find(conn, approval)
        report = WishReport(
            approval=wish,
            request=_request(env, conn, wish),
            asked_with=tuple(store.prompts_before(conn, wish)),
        )
    env.show(report, as_json=as_json)
    return Exit.DONE


def _request(env: Environment, conn: Any, wish: Approval) -> Any:
    from botticelli.cli.shared.command_guard import guarded

    if wish.platform == "database":
        return dict(wish.args)  # which rows depends on what its narrative will have read
    try:
        return guarded(env, conn).request(_call(wish))
    except BotticelliError as error:
        return f"not known here: {error}"


@group.command()
def approve(
    ctx: typer.Context,
    approval: Id,
    *,
    reason: Why = "",
    at_once: Annotated[
        bool, typer.Option("--now", help="Run it here, instead of when its narrative runs again.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Let a command run once, with the very arguments that are shown."""
    env: Environment = ctx.obj
    result = None
    with env.database() as conn:
        wish = store.find(conn, approval)
        if at_once and wish.platform == "database":
            raise UsageError(
                "what it changes depends on what its narrative has read",
                where="--now",
                hint="approve it without --now and run the narrative again",
            )
        found = store.decide(conn, approval, "approved", by=who(env), reason=reason)
        if at_once:
            result = _run(env, conn, wish)
            found = store.find(conn, approval)
    env.show(DecidedReport(approval=found, result=result), as_json=as_json)
    return Exit.DONE


def _run(env: Environment, conn: Any, wish: Approval) -> Any:
    """Run what was approved; the approval is used up by it, and the user's own rules still hold."""
    from botticelli.cli.shared.command_guard import guarded

    return guarded(env, conn).run(_call(wish))


def _call(wish: Approval) -> "CommandCall":
    from botticelli.narrative.commands.base import CommandCall

    return CommandCall(
        platform=wish.platform,
        command=wish.command,
        args=wish.args,
        narrative=wish.narrative,
        act=wish.act,
        run_id=wish.run_id,
        security={"policy": {"require_confirmation": [wish.command]}},
    )


@group.command()
def deny(ctx: typer.Context, approval: Id, *, reason: Why = "", as_json: Json = False) -> int:
    """Keep a command from running."""
    env: Environment = ctx.obj
    with env.database() as conn:
        found = store.decide(conn, approval, "denied", by=who(env), reason=reason)
    env.show(DecidedReport(approval=found), as_json=as_json)
    return Exit.DONE


@group.command()
def log(ctx: typer.Context, *, limit: Limit = 50, as_json: Json = False) -> int:
    """Show every command that was asked for, allowed or refused."""
    env: Environment = ctx.obj
    with env.database() as conn:
        found = audit.list_entries(conn, limit=limit)
    env.show(AuditReport(commands=tuple(found)), as_json=as_json)
    return Exit.DONE


@render.register
def _(report: ApprovalsReport, console: Console) -> None:
    if not report.approvals:
        console.line("nothing waits for a person")
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
    console.line("all of one, with the request it would make: botticelli approvals show ID")


@render.register
def _(report: WishReport, console: Console) -> None:
    one = report.approval
    who = f"narrative '{one.narrative}', act '{one.act}'" if one.narrative else "a person, by hand"
    run = f", run {one.run_id}" if one.run_id else ""
    console.line(f"approval {one.id}: {one.state}", style=STYLES.get(one.state, ""))
    console.line(f"command: {one.platform}.{one.command}")
    console.line(f"asked for by: {who}{run}, {one.requested_at:%Y-%m-%d %H:%M}")
    if one.state in ("pending", "approved"):
        console.line(f"holds until: {one.expires_at:%Y-%m-%d %H:%M}")
    if one.decided_by:
        reason = f": {one.reason}" if one.reason else ""
        console.line(f"decided by: {one.decided_by}{reason}")
    console.line("request: " + _shown(report.request, indent=2))
    for asked in report.asked_with:
        console.line(f"\nact '{asked.act}' asked {asked.model}:")
        console.line(asked.prompt)
        console.line("and it said:")
        console.line(asked.response)


@render.register
def _(report: DecidedReport, console: Console) -> None:
    one = report.approval
    console.line(f"{one.platform}.{one.command} {_shown(one.args)} is {one.state}")
    if report.result is not None:
        console.line(f"result: {_shown(report.result)}")


@render.register
def _(report: AuditReport, console: Console) -> None:
    console.table(
        ("id", "at", "by", "command", "word", "ended", "reason or result"),
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
