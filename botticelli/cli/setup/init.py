"""`botticelli init`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import UsageError
from botticelli.records import record

SHIPPED: Final = Path(__file__).parents[2] / "narratives"

VARIABLES: Final = """\
# Copy this to .env and fill it in; botticelli reads .env beside botticelli.toml.
# Real environment variables take precedence. Keep .env out of version control.

# https://aistudio.google.com/apikey
GEMINI_API_KEY=

# The bot's token (https://discord.com/developers/applications) and the channel it writes to.
DISCORD_TOKEN=
POSTING_CHANNEL_ID=

# Without it: the embedded PostgreSQL.
# DATABASE_URL=postgresql://user:password@localhost/botticelli
"""


@record
class CreatedProject:
    """The files that `init` wrote, and those it kept as they were."""

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


@command()
def init(
    env: Environment,
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The folder; created if missing.")
    ] = Path(),
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> CreatedProject:
    """Create a project: configuration, narratives, .env.example.

    Examples:
        botticelli init my-channel
    """
    target = (env.cwd / folder).resolve()
    written, kept = [], []
    for name, content in _files():
        path = target / name
        if path.exists() and not force:
            kept.append(name)
            continue
        _write(path, content)
        written.append(name)
    return CreatedProject(folder=target, written=tuple(written), kept=tuple(kept))


def _files() -> Iterator[tuple[str, bytes]]:
    from botticelli.config.sample import sample

    yield "botticelli.toml", sample().encode()
    yield ".env.example", VARIABLES.encode()
    for path in sorted(SHIPPED.iterdir()):
        if path.is_file():
            yield f"narratives/{path.name}", path.read_bytes()


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from error


@render.register
def _(report: CreatedProject, console: Console) -> None:
    for name in report.written:
        console.line(f"wrote {report.folder / name}")
    for name in report.kept:
        console.line(f"kept  {report.folder / name} (--force overwrites)", style="yellow")
    console.line()
    console.line("next: fill in .env (see .env.example), then: botticelli check", style="bold")
