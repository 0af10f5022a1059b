"""`botticelli import`."""

from pathlib import Path
from typing import Annotated

import typer

from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.errors import UsageError


@app.command(name="import")
def import_(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="actor_server.toml, or one actor's file.")],
    *,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write it there; never over a file.")
    ] = None,
) -> int:
    """Turn actor_server.toml and its actors into a botticelli.toml."""
    from botticelli.config.legacy import convert
    from botticelli.config.load import load

    env: Environment = ctx.obj
    imported = convert(env.cwd / file)
    for note in imported.notes:
        env.complain(note)
    if to is None:
        env.stdout.write(imported.text)
        return 0
    target = env.cwd / to
    if target.exists():
        raise UsageError("there is a file already", where=str(to), hint="choose another name")
    target.write_text(imported.text, encoding="utf-8")
    load(target, environ=env.environ, cwd=env.cwd)
    env.say(f"{to} written; botticelli check --config {to} tells what is still missing")
    return 0
