"""`botticelli completion`, and the completions that its scripts request."""

from collections.abc import Sequence
from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer._click.shell_completion import CompletionItem, ShellComplete

from botticelli.cli.shell.app import app, globals_first
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment

if TYPE_CHECKING:
    from typer._click import Command

FILES: Final = {"bash": "botticelli.bash", "zsh": "_botticelli", "fish": "botticelli.fish"}


class Shell(StrEnum):
    """The supported shells."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@command(json=False)
def completion(
    env: Environment,
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the completion script for a shell.

    Examples:
        source <(botticelli completion bash)
        botticelli completion fish | source
    """
    folder = resources.files("botticelli").joinpath("completions")
    env.stdout.write(folder.joinpath(FILES[shell]).read_text(encoding="utf-8"))


def answer(words: Sequence[str], env: Environment) -> int:
    """Print the completions of the last word: one a line, with its help after a tab.

    Prints nothing where a file is expected or nothing is known: the shell then offers files.
    """
    try:
        lines = Completions(words, env).complete()
    except Exception:  # noqa: BLE001 - a person is typing: whatever is wrong, the shell stays quiet
        lines = ""
    if lines:
        env.stdout.write(lines + "\n")
    return 0


class Completions(ShellComplete):
    """The completions of `words`: the finished arguments and the unfinished last one."""

    name = "any"
    source_template = ""

    def __init__(self, words: Sequence[str], env: Environment) -> None:
        super().__init__(_root(), {"obj": env}, "botticelli", "")
        self._words = list(words) or [""]

    def source_vars(self) -> dict[str, Any]:
        """See ShellComplete; our scripts are files."""
        return {}

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the finished words, global options first, and the unfinished one."""
        return globals_first(self._words[:-1]), self._words[-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return the completions; after a command also global options."""
        found = [item for item in super().get_completions(args, incomplete) if item.type == "plain"]
        if incomplete.startswith("-") and "=" not in incomplete and "--" not in args:
            known = {"--version", *(item.value for item in found)}
            found += [
                CompletionItem(name, help=getattr(param, "help", None))
                for param in self.cli.params
                for name in param.opts
                if name.startswith("--") and name.startswith(incomplete) and name not in known
            ]
        return found

    def format_completion(self, item: CompletionItem) -> str:
        """Return one line of output."""
        return f"{item.value}\t{' '.join((item.help or '').split())}"


def _root() -> "Command":
    return typer.main.get_group(app)
