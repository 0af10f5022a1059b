"""`botticelli edit` and `botticelli withdraw`: published posts."""

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from botticelli.cli.review.deliveries import DeliveryDecision, Id
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.work.post import context_of
from botticelli.errors import UsageError
from botticelli.stages.post.edit import edit_post, withdraw_post
from botticelli.store.connection import Connection
from botticelli.store.delivery import decisions


@command()
def edit(
    env: Environment,
    conn: Connection,
    delivery: Id,
    *,
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="The new text.")] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the new text from a file; - is stdin.")
    ] = None,
) -> DeliveryDecision:
    """Edit a published post.

    Without --text and --file the text is opened in $VISUAL or $EDITOR.

    Examples:
        botticelli edit 4
        botticelli edit 4 --text "The meeting is on Friday."
    """
    before = decisions.find_delivery(conn, delivery)
    new = _new_text(env, text, file, before=before.text)
    if new == before.text:
        raise UsageError("the new text is the same", where=f"delivery {delivery}")
    seen = edit_post(context_of(env, conn), delivery, text=new, by=env.user)
    return DeliveryDecision(decision="edit", delivery=seen)


@command()
def withdraw(env: Environment, conn: Connection, delivery: Id) -> DeliveryDecision:
    """Delete a published post from its channel.

    Examples:
        botticelli withdraw 4
    """
    seen = withdraw_post(context_of(env, conn), delivery, by=env.user)
    return DeliveryDecision(decision="withdraw", delivery=seen)


def _new_text(env: Environment, text: str | None, file: Path | None, *, before: str) -> str:
    if text is not None and file is not None:
        raise UsageError("--text and --file exclude each other")
    if text is not None:
        return text
    if file is None:
        return _ask_editor(env, before)
    try:
        return _read(env.cwd / file) if str(file) != "-" else typer.get_text_stream("stdin").read()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"it cannot be read ({error})", where=str(file)) from error


def _read(path: Path) -> str:
    """Return a file's text; the newline that editors put at the end is not part of it."""
    return path.read_text(encoding="utf-8").removesuffix("\n")


def _ask_editor(env: Environment, before: str) -> str:
    import shlex
    import subprocess

    editor = env.environ.get("VISUAL") or env.environ.get("EDITOR")
    if not editor:
        raise UsageError("there is no new text", hint="give --text or --file, or set EDITOR")
    handle, name = tempfile.mkstemp(suffix=".md", prefix="botticelli-")
    path = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as draft:
            draft.write(before + "\n")
        done = subprocess.run([*shlex.split(editor), name], check=False)  # noqa: S603 - the user's own
        if done.returncode:
            raise UsageError(f"the editor ended with {done.returncode}; nothing was changed")
        return _read(path)
    except OSError as error:
        raise UsageError(
            f"'{editor}' cannot be run ({error.strerror})", hint="fix EDITOR"
        ) from error
    finally:
        path.unlink(missing_ok=True)
