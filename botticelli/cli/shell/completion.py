"""`botticelli completion`, and the answers that its scripts ask for when Tab is pressed."""

from collections.abc import Sequence
from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer._click.shell_completion import CompletionItem, ShellComplete

from botticelli.cli.shell.app import app, globals_first
from botticelli.cli.shell.environment import Environment

if TYPE_CHECKING:
    from typer._click import Command

FILES: Final = {"bash": "botticelli.bash", "zsh": "_botticelli", "fish": "botticelli.fish"}


class Shell(StrEnum):
    """The shells there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command()
def completion(
    ctx: typer.Context,
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> int:
    """Print the script that completes command lines in a shell."""
    env: Environment = ctx.obj
    folder = resources.files("botticelli").joinpath("completions")
    env.stdout.write(folder.joinpath(FILES[shell]).read_text(encoding="utf-8"))
    return 0


def answer(words: Sequence[str], env: Environment) -> int:
    """Write what may stand in the place of the last word: a line each, with its help behind a tab.

    Nothing where a file is meant, or where nothing is known: the shell then offers files.
    """
    try:
        lines = Answer(words, env).complete()
    except Exception:  # noqa: BLE001 - a person is typing: whatever is wrong, the shell stays quiet
        lines = ""
    if lines:
        env.stdout.write(lines + "\n")
    return 0


class Answer(ShellComplete):
    """One press of Tab behind `words`, which are the arguments so far and the one begun."""

    name = "any"
    source_template = ""

    def __init__(self, words: Sequence[str], env: Environment) -> None:
        super().__init__(_root(), {"obj": env}, "botticelli", "")
        self._words = list(words) or [""]

    def source_vars(self) -> dict[str, Any]:
        """See ShellComplete; our scripts are files."""
        return {}

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the finished words, global options first, and the one begun."""
        return globals_first(self._words[:-1]), self._words[-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what may stand there; behind a command global options, too."""
        found = [item for item in super().get_completions(args, incomplete) if item.type == "plain"]
        if incomplete.startswith("-") and "=" not in incomplete and "--" not in args:
            known = {item.value for item in found}
            found += [item for item in self._globals(incomplete) if item.value not in known]
        return found

    def _globals(self, incomplete: str) -> list[CompletionItem]:
        return [
            CompletionItem(name, help=getattr(param, "help", None))
            for param in self.cli.params
            for name in param.opts
            if name.startswith(incomplete) and name.startswith("--") and name != "--version"
        ]

    def format_completion(self, item: CompletionItem) -> str:
        """Return a line of the answer."""
        return f"{item.value}\t{' '.join((item.help or '').split())}"


def _root() -> "Command":
    return typer.main.get_group(app)
