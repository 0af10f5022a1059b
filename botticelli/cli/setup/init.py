"""`botticelli init`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.config.keys import Schema
from botticelli.config.structure import schema
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
HEAD: Final = """\
# Botticelli's settings. Every key is here with its shipped value or an example; remove the # of
# those you want to change. ${NAME} and ${NAME:-default} in strings become environment variables,
# also from a .env beside this file. What is wrong is found by: botticelli check
"""
# Names for the tables that may have any name.
NAMES: Final = {
    ("models",): "my-model",
    ("models", "limits"): "gemini-3.5-flash-lite",
    ("models", "prices"): "gemini-3.5-flash-lite",
    ("destinations",): "discord",
}


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


def sample() -> str:
    """Return the text of a configuration that changes nothing and shows everything."""
    return HEAD + "\n".join(_sample(schema(), ())) + "\n"


def _sample(rule: Schema, path: tuple[str, ...], *, active: bool = True) -> Iterator[str]:
    """Yield the lines of a table, its keys first and then the tables in it."""
    if path:
        yield ""
        yield f"# {rule['description']}"
        yield f"{'' if active else '# '}[{'.'.join(map(_name, path))}]"
    inner = rule["properties"]
    for key, value in inner.items():
        if value.get("type") != "object":
            yield from _pair(key, value, active=active and key in rule.get("required", ()))
    for key, value in inner.items():
        if value.get("type") == "object":
            yield from _sample(value, (*path, key), active=active)
    if path in NAMES:
        named = (*path, NAMES[path])
        yield from _sample(entry_of(rule), named, active=path == ("destinations",))
    for example in rule.get("examples", ()):
        yield from (f"# {_name(key)} = {_value(value)}" for key, value in example.items())


def entry_of(rule: Schema) -> Schema:
    """Return the rule of the tables of a table whose names are free."""
    entry: Schema = rule["additionalProperties"]
    return entry["anyOf"][0] if "anyOf" in entry else entry


def _pair(key: str, rule: Schema, *, active: bool) -> Iterator[str]:
    choice = f" One of: {', '.join(rule['enum'])}." if len(rule.get("enum", ())) > 1 else ""
    yield f"# {rule['description']}{choice}"
    value = rule["default"] if "default" in rule else rule["examples"][0]
    yield f"{'' if active else '# '}{key} = {_value(value)}"


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _name(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() else f'"{name}"'
