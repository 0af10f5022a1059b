"""The command line's root: global options, and commands that are imported when they are asked for.

A command module registers itself with `@app.command()` (or `app.add_typer(group, name=...)`); its
line in `commands.COMMANDS` is what `--help` shows without importing it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from botticelli.cli.shell.command_table import COMMANDS
from botticelli.cli.shell.environment import Environment, Options

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter
    from typer._click.shell_completion import CompletionItem

FLAGS: Final = ("--offline", "--debug", "--quiet", "--version")


class LateGroup(TyperGroup):
    """A group that imports a command's module when the command is asked for, not before."""

    def list_commands(self, ctx: "Context") -> list[str]:  # noqa: ARG002 - typer's signature
        """Return every command's name, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: "Context", cmd_name: str) -> "Command | None":  # noqa: ARG002
        """Import the module of that command and return it; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            from importlib import import_module

            import_module(f"botticelli.cli.{COMMANDS[cmd_name].module}")
            self.commands[cmd_name] = typer.main.get_group(app).commands[cmd_name]
        return self.commands[cmd_name]

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:  # noqa: ARG002
        """Write the list of commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in COMMANDS.items()])

    def shell_complete(self, ctx: "Context", incomplete: str) -> "list[CompletionItem]":
        """Return the commands that begin so, from the table; else the global options."""
        from typer._click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=command.help)
            for name, command in COMMANDS.items()
            if name.startswith(incomplete)
        ]

    def resolve_command(
        self, ctx: "Context", args: list[str]
    ) -> tuple[str | None, "Command | None", list[str]]:
        """Find the command; an unknown name is answered with the nearest known one."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from difflib import get_close_matches

            from botticelli.errors import UsageError

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else "see botticelli --help"
            raise UsageError(f"there is no command '{args[0]}'", hint=hint)
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="botticelli",
    cls=LateGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich's help costs 80 ms
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(ctx: typer.Context, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        env: Environment = ctx.obj
        env.stdout.write(f"botticelli {version('botticelli')}\n")
        raise typer.Exit


@app.callback(
    epilog="Global options may also stand behind the command. Exit codes: docs/exit-codes.md."
)
def root(
    ctx: typer.Context,
    *,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Use this botticelli.toml.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="No key, no network: offline model, file outbox.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Log everything, with tracebacks.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but results.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback does it all
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Tell the version and end."
        ),
    ] = False,
) -> None:
    """Keep a community channel alive with good posts."""
    env: Environment = ctx.obj
    env.take(Options(config=config, offline=offline, debug=debug, quiet=quiet))


def execute(args: list[str], env: Environment) -> Any:
    """Run the command line `args`; return what the command returned."""
    return typer.main.get_group(app).main(
        args=args, prog_name="botticelli", standalone_mode=False, obj=env
    )


def globals_first(args: Sequence[str]) -> list[str]:
    """Return `args` with the global options moved to the front, wherever they stood before `--`.

    `botticelli post --offline` then means what `botticelli --offline post` does.
    """
    front: list[str] = []
    rest: list[str] = []
    left = list(args)
    while left:
        arg = left.pop(0)
        if arg == "--":
            return [*front, *rest, arg, *left]
        if arg in FLAGS or arg.startswith("--config="):
            front.append(arg)
        elif arg == "--config" and left:
            front += [arg, left.pop(0)]
        else:
            rest.append(arg)
    return front + rest
