"""docs/botticelli.1 out of the commands themselves: `python -m tools.manual > docs/botticelli.1`.

Options come from the same objects as `--help`; exit codes and variables from the tables in docs/.
(click-man knows click's commands; typer brings a click of its own.)
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import typer

from botticelli.cli.shell.app import app
from botticelli.cli.shell.command_table import COMMANDS

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"

DESCRIPTION: Final = """\
A language model writes candidate posts, another one judges them, and the best are published to a
channel at a human rhythm. Each stage (generate, curate, post) is a command that ends; timers of
systemd or cron start it as often as they like, and the stage itself decides from the database
whether anything is due. PostgreSQL is the only state: with DATABASE_URL a server of yours, without
it one that botticelli brings along.
"""
FILES: Final = (
    ("botticelli.toml", "Settings: here, in $XDG_CONFIG_HOME/botticelli or /etc/botticelli."),
    (".env", "Variables that the environment does not set; beside botticelli.toml."),
    ("/etc/botticelli/credentials/", "Secrets of the systemd services, a file each."),
    ("$XDG_STATE_HOME/botticelli/postgres/", "The embedded PostgreSQL (~/.local/state)."),
)  # fmt: skip
EXAMPLES: Final = (
    ("botticelli demo", "See the whole line at work, without a key or a server."),
    ("botticelli check --online && botticelli doctor", "Find what stands in the way."),
    ("botticelli generate --iterations 1 && botticelli curate --drain && botticelli post",
     "Write, judge and publish by hand."),
    ("botticelli timers install", "Have it done by timers from now on."),
    ("botticelli status --json | jq .stages", "Every report is there for programs, too."),
)  # fmt: skip


def page() -> str:
    """Return the manual page, in man(7)."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    name = f"botticelli {version['project']['version']}"
    lines = [
        '.\\" Made by python -m tools.manual; edit the commands instead.',
        f'.TH BOTTICELLI 1 "" "{name}" "User Commands"',
        ".nh",
        *_section("NAME", [f"botticelli \\- {_escaped(_summary())}"]),
        *_section("SYNOPSIS", [r"\fBbotticelli\fR [\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGS\fR]..."]),
        *_section("DESCRIPTION", _prose(DESCRIPTION)),
        *_section("OPTIONS", [*_options(_root()), ".PP", *_prose(GLOBAL)]),
        *_section("COMMANDS", _commands()),
        *_section("EXIT STATUS", _table(DOCS / "exit-codes.md", "code")),
        *_section("ENVIRONMENT", _table(DOCS / "configuration.md", "variable")),
        *_section("FILES", _items(FILES)),
        *_section("EXAMPLES", _items(EXAMPLES)),
        *_section("SEE ALSO", [_see_also()]),
    ]
    return "\n".join(lines) + "\n"


GLOBAL: Final = "Global options may also stand behind the command."


def _summary() -> str:
    text = _root().help or ""
    return text[0].lower() + text.splitlines()[0][1:].rstrip(".")


def _root() -> Any:
    for command in COMMANDS.values():
        import_module(f"botticelli.cli.{command.module}")
    return typer.main.get_group(app)


def _commands() -> Iterator[str]:
    built = _root().commands
    for name in COMMANDS:
        yield from _command(built[name], f"botticelli {name}")


def _command(command: Any, path: str) -> Iterator[str]:
    """Yield a command's own part, then those of its subcommands."""
    usage = " ".join(command.collect_usage_pieces(typer.Context(command)))
    yield f".SS {_quoted(re.sub(r'[{}]', '', f'{path} {usage}'))}"
    yield from _prose(command.help or "")
    yield from _options(command)
    for name, inner in getattr(command, "commands", {}).items():
        yield from _command(inner, f"{path} {name}")


def _options(command: Any) -> Iterator[str]:
    ctx = typer.Context(command)
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is not None and param.name != "help":
            names, text = record
            yield from _item(re.sub(r"<[a-z ]+>", _metavar, names), text)


def _metavar(found: re.Match[str]) -> str:
    """Return a word for what typer would call by its type."""
    kind = found[0].strip("<>").removesuffix(" range")
    return {"int": "N", "float": "X", "path": "PATH"}.get(kind, "TEXT")


def _table(file: Path, first: str) -> Iterator[str]:
    """Yield the rows of the Markdown table whose first column has that name."""
    text = file.read_text(encoding="utf-8")
    rows = re.search(rf"^\| {first} \|.*\n\|[-: |]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert rows is not None, f"{file} has no table of each {first}"
    for row in rows[1].splitlines():
        name, *cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("|"))]
        yield from _item(_plain(name), _plain(cells[0]))


def _plain(markdown: str) -> str:
    return markdown.replace("`", "").replace("\\|", "|")


def _see_also() -> str:
    pages = ("psql 1", "pg_dump 1", "systemd.timer 5", "systemd.exec 5", "crontab 5")
    named = [rf"\fB{_escaped(name)}\fR({number})" for name, number in map(str.split, pages)]
    return ", ".join(named)


def _section(title: str, body: Any) -> Iterator[str]:
    yield f".SH {_quoted(title)}"
    yield from body


def _items(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, text in pairs:
        yield from _item(name, text)


def _item(name: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield rf"\fB{_escaped(name)}\fR"
    yield _guarded(_escaped(" ".join(text.split())) or r"\&")


def _prose(text: str) -> Iterator[str]:
    """Yield paragraphs, of which the first needs no break before it."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        yield _guarded(_escaped(" ".join(paragraph.split())))


def _quoted(text: str) -> str:
    return '"' + _escaped(text).replace('"', r"\(dq") + '"'


def _escaped(text: str) -> str:
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    return text.replace("`", r"\(ga").replace("^", r"\(ha").replace("~", r"\(ti")


def _guarded(line: str) -> str:
    """Keep a text that begins like a request from being one."""
    return rf"\&{line}" if line.startswith((".", "'")) else line


if __name__ == "__main__":
    print(page(), end="")
