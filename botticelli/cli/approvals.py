"""`botticelli approvals`: bot commands that wait for a person, and all that were asked for."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from botticelli.cli.app import app
from botticelli.cli.deliveries import who
from botticelli.cli.environment import Environment
from botticelli.cli.output import Console, Styled, render
from botticelli.errors import Exit, UsageError
from botticelli.store import approvals as store
from botticelli.store import audit
from botticelli.store.approvals import Approval
from botticelli.store.audit import Audited
from botticelli.text import shorten

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


@dataclass(frozen=True, kw_only=True)
class ApprovalsReport:
    """Commands that wait, newest first."""

    approvals: tuple[Approval, ...]
    exit_code: Exit = Exit.DONE


@dataclass(frozen=True, kw_only=True)
class DecidedReport:
    """A command after a person's decision; `result` if it was run at once."""

    approval: Approval
    result: Any = None
    exit_code: Exit = Exit.DONE


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """Commands that were asked for, allowed or refused, newest first."""

    commands: tuple[Audited, ...]
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
        found = store.list_approvals(
            conn, everything=everything, limit=limit, now=env.clock.pinned()
        )
    env.show(ApprovalsReport(approvals=tuple(found)), as_json=as_json)
    return Exit.DONE


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
        wish = store.find(conn, approval, now=env.clock.pinned())
        if at_once and wish.platform == "database":
            raise UsageError(
                "what it changes depends on what its narrative has read",
                where="--now",
                mend="approve it without --now and run the narrative again",
            )
        found = store.decide(
            conn, approval, "approved", by=who(env), reason=reason, now=env.clock.pinned()
        )
        if at_once:
            result = _run(env, conn, wish)
            found = store.find(conn, approval, now=env.clock.pinned())
    env.show(DecidedReport(approval=found, result=result), as_json=as_json)
    return Exit.DONE


def _run(env: Environment, conn: Any, wish: Approval) -> Any:
    """Run what was approved; the approval is used up by it, and the user's own rules still hold."""
    from botticelli.cli.guard import guarded
    from botticelli.narrative.commands import Call

    call = Call(
        platform=wish.platform,
        command=wish.command,
        args=wish.args,
        narrative=wish.narrative,
        act=wish.act,
        run_id=wish.run_id,
        security={"policy": {"require_confirmation": [wish.command]}},
    )
    return guarded(env, conn).run(call)


@group.command()
def deny(ctx: typer.Context, approval: Id, *, reason: Why = "", as_json: Json = False) -> int:
    """Keep a command from running."""
    env: Environment = ctx.obj
    with env.database() as conn:
        found = store.decide(
            conn, approval, "denied", by=who(env), reason=reason, now=env.clock.pinned()
        )
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


def _shown(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, default=str)
