"""`botticelli import`."""

from pathlib import Path
from typing import Annotated

import typer

from botticelli import files
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.errors import UsageError


@command(name="import", json=False)
def import_actors(
    env: Environment,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="actor_server.toml, or the file of one actor.")
    ],
    *,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="Write to this new file instead of stdout."),
    ] = None,
) -> None:
    """Convert actor_server.toml to botticelli.toml.

    Examples:
        botticelli import actor_server.toml --to botticelli.toml
    """
    from botticelli.config.legacy import convert
    from botticelli.config.load import load

    imported = convert(env.cwd / file)
    for note in imported.notes:
        env.complain(note)
    if to is None:
        env.stdout.write(imported.text)
        return
    target = env.cwd / to
    if target.exists():
        raise UsageError("the file exists already", where=str(to), hint="choose another name")
    files.write(target, imported.text.encode())
    load(target, environ=env.environ, cwd=env.cwd)
    env.say(f"{to} written; botticelli check --config {to} lists what is still missing")
