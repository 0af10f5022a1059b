"""`botticelli edit` and `botticelli withdraw`: what is published already."""

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from botticelli.cli.review.deliveries import Decided, Id, Json, who
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.work.post import context_of
from botticelli.errors import Exit, UsageError
from botticelli.stages.post.edit import edit_post, withdraw_post
from botticelli.store.delivery import decisions


@app.command()
def edit(
    ctx: typer.Context,
    delivery: Id,
    *,
    text: Annotated[str | None, typer.Option(help="The new text.")] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Holds the new text; - is stdin.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Change a published post."""
    env: Environment = ctx.obj
    with env.database() as conn:
        before = decisions.find_delivery(conn, delivery)
        new = _new_text(env, text, file, before=before.text)
        if new == before.text:
            raise UsageError("the text is what it was", where=f"delivery {delivery}")
        seen = edit_post(context_of(env, conn), delivery, text=new, by=who(env))
    env.show(Decided(decision="edit", delivery=seen), as_json=as_json)
    return Exit.DONE


@app.command()
def withdraw(ctx: typer.Context, delivery: Id, *, as_json: Json = False) -> int:
    """Take a published post back."""
    env: Environment = ctx.obj
    with env.database() as conn:
        seen = withdraw_post(context_of(env, conn), delivery, by=who(env))
    env.show(Decided(decision="withdraw", delivery=seen), as_json=as_json)
    return Exit.DONE


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
        raise UsageError(
            "there is no new text", hint="give --text or --file, or set EDITOR to edit it there"
        )
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
