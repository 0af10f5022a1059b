"""`botticelli commands` and `botticelli command`."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from botticelli.cli.shared import choices
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, Styled, render
from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store.connection import Connection


@record
class KnownCommand:
    """A command that narratives can run; ! marks required arguments."""

    platform: str
    command: str
    writes: bool
    takes: tuple[str, ...]
    needs: str
    gives: tuple[str, ...]


@record
class CommandsReport:
    """All commands."""

    commands: tuple[KnownCommand, ...]


@record
class CommandReport:
    """The result of a command."""

    command: str
    result: Any


@record
class CommandDryRun:
    """What a command would send, and what the rules say."""

    command: str
    request: Any
    verdict: str
    why: str


@command()
def commands(
    env: Environment,
    platform: Annotated[
        str,
        typer.Argument(
            metavar="[PLATFORM]",
            help="Only the commands of this platform.",
            autocompletion=choices.platforms,
        ),
    ] = "",
) -> CommandsReport:
    """List the bot commands that narratives can run.

    Examples:
        botticelli commands discord
    """
    from botticelli.cli.shared.command_guard import descriptions

    known = [
        KnownCommand(
            platform=name,
            command=one.name,
            writes=one.writes,
            takes=one.takes,
            needs=one.needs,
            gives=one.gives,
        )
        for name, found in descriptions(env).items()
        if platform in ("", name)
        for one in found
    ]
    if not known:
        raise UsageError(f"there is no platform '{platform}'", hint="see botticelli commands")
    return CommandsReport(commands=tuple(known))


@command(
    name="command",
    writes=True,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def run_command(
    env: Environment,
    conn: Connection,
    ctx: typer.Context,
    platform: Annotated[
        str,
        typer.Argument(
            metavar="PLATFORM", help="discord or database.", autocompletion=choices.platforms
        ),
    ],
    name: Annotated[
        str,
        typer.Argument(
            metavar="COMMAND",
            help="The command, as channels.list.",
            autocompletion=choices.bot_commands,
        ),
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the request and what the rules say.")
    ] = False,
    allow_writes: Annotated[
        bool, typer.Option("--allow-writes", help="Let the command change things without asking.")
    ] = False,
) -> CommandDryRun | CommandReport:
    """Run one bot command.

    Its arguments follow as --name value; lists and tables are written as JSON.

    Examples:
        botticelli command discord channels.list --guild-id 1289700000000000123
        botticelli command discord channels.get --channel-id 42 --dry-run
    """
    from botticelli.cli.shared.command_guard import guarded
    from botticelli.narrative.commands.base import CommandCall

    call = CommandCall(platform=platform, command=name, args=arguments(ctx.args))
    guard = guarded(env, conn, allow_writes=allow_writes, asks=True)
    if not dry_run:
        return CommandReport(command=call.name, result=guard.run(call))
    request, verdict = guard.preview(call)
    return CommandDryRun(command=call.name, request=request, verdict=verdict.word, why=verdict.why)


def arguments(words: Sequence[str]) -> dict[str, Any]:
    """Return `--guild-id 1 --tts` as arguments; lists and tables are written as JSON.

    Raises:
        UsageError: A word does not belong to an option.
    """
    found: dict[str, Any] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        name, sign, value = word.partition("=")
        if not name.startswith("--") or len(name) < 3:
            raise UsageError(f"'{word}' does not belong to an argument", hint="write --name value")
        if not sign and left and not left[0].startswith("--"):
            sign, value = "=", left.pop(0)
        found[name[2:].replace("-", "_")] = _value(value, name) if sign else True
    return found


def _value(text: str, name: str) -> Any:
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name} is not JSON ({error})", hint="quote it for the shell") from error


@render.register
def _(report: CommandsReport, console: Console) -> None:
    console.table(
        ("command", "does", "arguments", "permission"),
        [
            (
                f"{one.platform} {one.command}",
                Styled("writes", "yellow") if one.writes else "reads",
                " ".join(one.takes),
                one.needs or None,
            )
            for one in report.commands
        ],
    )


@render.register
def _(report: CommandReport, console: Console) -> None:
    rows = report.result
    if isinstance(rows, list) and rows and all(isinstance(row, Mapping) for row in rows):
        columns = tuple(dict.fromkeys(key for row in rows for key in row))
        console.table(columns, [tuple(_cell(row.get(key)) for key in columns) for row in rows])
        return
    if isinstance(rows, Mapping) and not any(isinstance(one, list | dict) for one in rows.values()):
        for key, value in rows.items():
            console.line(f"{key}: {_cell(value)}")
        return
    console.line(json.dumps(rows, ensure_ascii=False, indent=2))


@render.register
def _(report: CommandDryRun, console: Console) -> None:
    console.line(json.dumps(report.request, ensure_ascii=False, indent=2))
    console.line(f"rules: {report.verdict}" + (f" ({report.why})" if report.why else ""))


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
