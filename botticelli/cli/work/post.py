"""`botticelli post`."""

import sys
from collections import Counter
from typing import TYPE_CHECKING

import typer

from botticelli.cli.shared import choices
from botticelli.cli.shared.stage_run import Jitter, going_on, idle_words, stage_run
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render, state
from botticelli.config.model import Destination
from botticelli.errors import Exit
from botticelli.stages.post.stage import PostReport
from botticelli.stages.post.stage import post as run_post
from botticelli.stages.post.target import PostContext, PostRequest, Result
from botticelli.store.connection import Connection
from botticelli.store.delivery import channels
from botticelli.text import minute_face

if TYPE_CHECKING:
    from botticelli.platforms.base import Platform
    from botticelli.platforms.rate_limits import SharedLimits
    from botticelli.stages.post.dry_run import PostDryRun


@command(writes=True)
def post(
    env: Environment,
    *,
    dry_run: bool = False,
    limit: int | None = None,
    now: bool = False,
    to: choices.ToDestination = None,
    jitter: Jitter = None,
) -> "PostReport | PostDryRun":
    """Publish the next approved post that is due.

    Takes:
        dry_run: Show the request; send and store nothing.
        limit N: Send at most N posts to each destination.
        now: Ignore interval, hours and dates, but no safety rule.
        to NAME: Post to this destination only.

    Examples:
        botticelli post --dry-run
        botticelli post --now --to news
    """
    request = PostRequest(to=to or "", limit=limit, ignoring_rhythm=now)
    with stage_run(env, "post", jitter=jitter, dry_run=dry_run) as conn:
        if dry_run:
            from botticelli.cli.work.post_preview import dry_run_post

            return dry_run_post(context_of(env, conn), request=request)
        _ask_about_channels(env, conn)
        report = run_post(context_of(env, conn), request=request)
        _complain(env, report, limit=limit)
        return report


def context_of(env: Environment, conn: Connection) -> PostContext:
    """Return what posting needs; a destination's client is opened when there is work for it."""
    limits: SharedLimits | None = None  # of one bot: its destinations share them

    def open_late(destination: Destination) -> "Platform":
        from botticelli.platforms.open import open_platform
        from botticelli.platforms.rate_limits import SharedLimits

        nonlocal limits
        limits = limits or SharedLimits(env.clock)
        return open_platform(destination, clock=env.clock, limits=limits)

    return PostContext(
        conn=conn,
        connect=env.connect,
        config=env.config,
        identity=env.identity,
        clock=env.clock,
        open_platform=open_late,
    )


def _ask_about_channels(env: Environment, conn: Connection) -> None:
    """Ask whoever sits at a terminal about channels that have changed under their names."""
    if not (env.is_terminal and sys.stdin.isatty()):
        return
    from botticelli.platforms.open import wanted_by

    for name, destination in env.config.destinations.items():
        wanted = wanted_by(destination)
        before = channels.former_channel(conn, wanted)
        question = f"'{name}' posted to {before} so far. Post to {wanted.place} from now on?"
        if before and typer.confirm(question):
            channels.confirm(conn, wanted)


def _complain(env: Environment, report: PostReport, *, limit: int | None) -> None:
    """Print what went wrong on stderr, which the log of a timer keeps."""
    if report.reason:
        posted = Counter(one.destination for one in report.results if one.state == "posted")
        left = () if limit is None else (str(limit - max(posted.values(), default=0)),)
        if left != ("0",):
            command = going_on(env, *(("--limit", *left) if left else ()))
            env.complain(f"post: {report.reason}; run `{command}` to go on")
    for result in report.results:
        if result.exit_code != Exit.DONE:
            for line in result.note.splitlines():
                env.complain(
                    line if result.destination in line else f"{result.destination}: {line}"
                )


@render.register
def _(report: PostReport, console: Console) -> None:
    if report.skipped:
        console.line(f"nothing done: {idle_words('post', report.skipped)}")
    for result in report.results:
        console.line(state(result.state, in_words(result)))


def in_words(result: Result) -> str:
    """Return the result of a delivery in one line, or why there was none."""
    where, next_at = f"'{result.destination}'", minute_face(result.next_due)
    if result.state == "nothing":
        later = f"; next post to {where} is due at {next_at} at the earliest" if next_at else ""
        return f"nothing to do: {result.note} for {where}{later}"
    if result.state == "waiting" and result.delivery is None:
        when = f"is due at {next_at}" if next_at else "is never due"
        return f"nothing to do: next post to {where} {when} ({result.note})"
    if result.delivery is None:
        return f"failed for {where}"
    words = f"{result.state}: delivery {result.delivery} (post {result.post}) to {where}"
    if result.state in ("posted", "finished", "unfinished"):
        words += f" as {result.url or result.remote_id}"
    if result.note and result.exit_code == Exit.DONE:  # else it is told on stderr
        words += f": {result.note}"
    if next_at:
        words += f"; the next is due at {next_at}"
    return words
