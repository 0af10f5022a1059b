"""How `--help` reads: grouped commands, whole lines at 80 columns, examples at the end.

Typer's own renderer cuts long lines with "..." and breaks words at hyphens.
"""

import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from typer.core import TyperCommand, TyperGroup

from botticelli.errors import UsageError

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

BARE: Final = ("list", "serve")  # what a group does without a subcommand
WIDEST: Final = 100  # columns: longer lines are hard to read
LONGEST: Final = 30  # a longer name has its text on the next line
PLAIN: Final = (
    (r"([\d.]+)<=x<=([\d.]+)", r"\1 to \2"),
    (r" *\[x>=1\]|; x>=1", ""),
    (r" *\[required\]", ""),  # the usage line shows that
)

Sections = Mapping[str, Mapping[str, str]]


class HelpCommand(TyperCommand):
    """A command whose help is written here."""

    def format_help(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Write the whole help."""
        formatter.write(_help(self, ctx, {}))


class HelpGroup(TyperGroup):
    """A group whose help is written here; without a subcommand it does its `list` or `serve`."""

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """Put in the subcommand that was left out."""
        is_bare = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        if is_bare and not ctx.resilient_parsing:
            args = [*(name for name in BARE if name in self.commands), *args]
        return super().parse_args(ctx, args)

    def sections(self, ctx: "Context") -> Sections:
        """Return the subcommands below their headings, each with the first line of its help."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        lines = {name: (each.help or "").splitlines()[0] for name, each in found.items() if each}
        for name in lines.keys() & set(BARE):
            lines[name] += " The default."
        return {"Commands": lines}

    def format_help(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Write the whole help."""
        formatter.write(_help(self, ctx, self.sections(ctx)))

    def resolve_command(
        self, ctx: "Context", args: list[str]
    ) -> tuple[str | None, "Command | None", list[str]]:
        """Find the command.

        Raises:
            UsageError: There is no such command; names the nearest one.
        """
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            from difflib import get_close_matches

            from botticelli.cli.shell.earlier import COMMANDS, successor

            path = ctx.command_path.partition(" ")[2]
            near = get_close_matches(args[0], known, n=1)
            typed, *found = (f"{path} {name}".strip() for name in (args[0], *near))
            hint = f"did you mean '{found[0]}'?" if found else f"see {ctx.command_path} --help"
            hint = successor(COMMANDS, typed) or hint
            raise UsageError(f"there is no command '{typed}'", hint=hint)
        return super().resolve_command(ctx, args)


def usage(command: "Command", ctx: "Context") -> str:
    """Return what may follow the command's name."""
    return re.sub(r"[{}]", "", " ".join(command.collect_usage_pieces(ctx)))


def parameters(command: "Command", ctx: "Context") -> Iterator[tuple[str, str, str]]:
    """Yield the heading, the names and the help of each argument and option."""
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is not None:
            names, text = record
            for pattern, words in PLAIN:
                text = re.sub(pattern, words, text)
            yield f"{param.param_type_name.capitalize()}s", names, text


def _help(command: "Command", ctx: "Context", sections: Sections) -> str:
    width = max(40, min(shutil.get_terminal_size().columns, WIDEST))
    head = f"Usage: {ctx.command_path} "
    paragraphs = re.split(r"\n\s*\n", command.help or "")
    parts = [
        _wrapped(head + usage(command, ctx), width, " " * len(head)),
        *("\n" + _wrapped("  " + " ".join(each.split()), width, "  ") for each in paragraphs),
    ]
    options: dict[str, dict[str, str]] = {}
    for heading, names, text in parameters(command, ctx):
        options.setdefault(heading, {})[names] = text
    for table in (sections, options):
        longest = max((len(name) for rows in table.values() for name in rows), default=0)
        for heading, rows in table.items():
            parts.append(f"\n{heading}:")
            parts.extend(_row(*row, min(longest, LONGEST) + 4, width) for row in rows.items())
    if command.epilog:
        parts.append("\nExamples:\n" + textwrap.indent(command.epilog, "  "))
    return "\n".join(parts) + "\n"


def _row(name: str, text: str, column: int, width: int) -> str:
    head = f"  {name}"
    start = f"{head}\n{'':<{column}}" if len(head) > column - 2 else f"{head:<{column}}"
    lines = _wrapped(" " * column + text, width, " " * column)
    return (start + lines[column:]).rstrip()


def _wrapped(text: str, width: int, indent: str) -> str:
    return textwrap.fill(
        text,
        width,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
