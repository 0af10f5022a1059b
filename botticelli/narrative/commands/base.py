"""What narratives know of commands: a call, and `Commands`, which guard.py implements."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from botticelli.config.keys import NOTHING
from botticelli.records import record


@record
class CommandCall:
    """One command with its arguments filled in.

    Args:
        seen: Table -> keys of the rows that this narrative has read from it, so that a change
            meets the very rows that were worked on.
        security: The narrative's [security.*].
        above: Name and [security.*] of the narratives that called it, outermost first.
        about: The rows that it is about and that the narrative will mark, as a line; empty: none.
        narrative, act, run_id: Who asks; empty: a person, by hand.
    """

    platform: str
    command: str
    args: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    seen: Mapping[str, Sequence[str]] = field(default_factory=lambda: NOTHING)
    security: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    above: Sequence[tuple[str, Mapping[str, Any]]] = ()
    about: str = ""
    narrative: str = ""
    act: str = ""
    run_id: int | None = None

    @property
    def name(self) -> str:
        """platform.command, as messages and rules write it."""
        return f"{self.platform}.{self.command}"

    @property
    def identity(self) -> dict[str, Any]:
        """Which command it is and who asks for it, as the tables of commands have it."""
        names = ("platform", "command", "narrative", "act", "run_id")
        return {name: getattr(self, name) for name in names}


class Commands(Protocol):
    """All commands that a narrative can reach."""

    def writes(self, platform: str, command: str) -> bool:
        """Return whether a command changes anything; an unknown one counts as changing."""

    def run(self, call: CommandCall) -> Any:
        """Run a command and return its result as JSON has it.

        Raises:
            CommandFailed: It did not succeed, is not known, or is not allowed.
        """
