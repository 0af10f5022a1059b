"""The command line's root: global options, and commands that are imported when they are asked for.

A command's line in the command table is what `--help` shows without importing its module.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from botticelli.cli.shell.command_table import COMMANDS, HEADINGS
from botticelli.cli.shell.environment import Environment, Options
from botticelli.cli.shell.help import HelpGroup, Sections

if TYPE_CHECKING:
    from typer._click import Command, Context
    from typer._click.shell_completion import CompletionItem

FLAGS: Final = {
    **{name: name for name in ("--offline", "--debug", "--quiet", "--version")},
    **dict.fromkeys(("-v", "--verbose"), "--debug"),  # the earlier system's words
}


class LateGroup(HelpGroup):
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

    def sections(self, ctx: "Context") -> Sections:  # noqa: ARG002 - the base's signature
        """Return the commands below their headings, without importing them."""
        return {
            heading: {name: command.help for name, command in commands.items()}
            for heading, commands in HEADINGS.items()
        }

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


app = typer.Typer(
    name="botticelli",
    cls=LateGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich's help costs 80 ms
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(ctx: typer.Context, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        env: Environment = ctx.obj
        env.stdout.write(f"botticelli {version('botticelli')}\n")
        raise typer.Exit


EXAMPLES: Final = """\
botticelli demo                # see the pipeline at work, without a key
botticelli init my-channel     # create a project
botticelli check               # see what its configuration still needs
botticelli generate --dry-run  # see what a batch of candidates would cost"""


@app.callback(epilog=EXAMPLES)
def root(
    ctx: typer.Context,
    *,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Read this configuration file.")
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Use the offline model and a file outbox."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Log everything, with tracebacks.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only results and errors.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback does it all
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Generate, curate and publish posts for a community channel.

    Run "botticelli COMMAND --help" for the options of a command. The options below may also follow
    the command.
    """
    env: Environment = ctx.obj
    env.take(Options(config=config, offline=offline, debug=debug, quiet=quiet))


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
            front.append(FLAGS.get(arg, arg))
        elif arg == "--config" and left:
            front += [arg, left.pop(0)]
        else:
            rest.append(arg)
    return front + rest
