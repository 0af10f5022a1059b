"""`botticelli commands` and `botticelli command`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer

from botticelli.cli.shared import choices
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Console, Lines, Listing, Styled, render
from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store.connection import Connection


@record
class CommandReport:
    """The result of a command."""

    command: str
    result: Any


# A command that narratives can run; ! marks required arguments.
KNOWN: Final[Columns] = {
    "command": lambda one: f"{one['platform']} {one['command']}",
    "does": lambda one: Styled("writes", "yellow") if one["writes"] else "reads",
    "arguments": lambda one: " ".join(one["takes"]),
    "permission": lambda one: one["needs"] or None,
}


@command()
def commands(env: Environment, platform: choices.Platform = "") -> Listing:
    """List the bot commands that narratives can run.

    Takes:
        platform [PLATFORM]: Only the commands of this platform.

    Examples:
        botticelli commands discord
    """
    from botticelli.cli.shared.command_guard import descriptions

    known = [
        {
            "platform": name,
            "command": one.name,
            "writes": one.writes,
            "takes": one.takes,
            "needs": one.needs,
            "gives": one.gives,
        }
        for name, found in descriptions(env).items()
        if platform in ("", name)
        for one in found
    ]
    if not known:
        raise UsageError(f"there is no platform '{platform}'", hint="see botticelli commands")
    return Listing(name="commands", rows=known, columns=KNOWN)


@command(
    name="command",
    writes=True,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def run_command(
    env: Environment,
    conn: Connection,
    ctx: typer.Context,
    platform: choices.Platform,
    name: choices.BotCommand,
    *,
    dry_run: bool = False,
    allow_writes: bool = False,
) -> Lines | CommandReport:
    """Run one bot command.

    Its arguments follow as --name value; lists and tables are written as JSON.

    Takes:
        platform PLATFORM: discord or database.
        name COMMAND: The command, as channels.list.
        dry_run: Show the request and what the rules say.
        allow_writes: Let the command change things without asking.

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
    rules = f"rules: {verdict.word}" + (f" ({verdict.why})" if verdict.why else "")
    facts = {"request": request, "verdict": verdict.word, "why": verdict.why}
    shown = json.dumps(request, ensure_ascii=False, indent=2)
    return Lines(text=f"{shown}\n{rules}", facts={"command": call.name, **facts})


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


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
