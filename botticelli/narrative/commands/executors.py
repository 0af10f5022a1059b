"""What runs the commands of a platform for the guard, and what some of them can tell beforehand."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from botticelli.narrative.commands.base import CommandCall
from botticelli.platforms.command_set import CommandSet, Once, OnceOnly, Place


@runtime_checkable
class Located(Protocol):
    """Commands of a platform with older names, whose places can be asked for."""

    def canonical(self, command: str) -> str:
        """See CommandSet."""

    def place(self, command: str, args: Mapping[str, Any]) -> Place:
        """See CommandSet."""


@runtime_checkable
class Previewing(Protocol):
    """Commands that can tell what they would do."""

    def preview(self, call: CommandCall) -> Any:
        """Return it, and change nothing. Raises what the command itself would raise for it."""


class PlatformExecutor:
    """The commands of a platform as narratives run them.

    Args:
        open_set: Makes the client when a command is about to run; may raise ConfigError.
        writes: Tells without a client whether a command, by its name of today, changes anything.
        canonical: Tells that name.
    """

    def __init__(
        self,
        open_set: Callable[[], CommandSet],
        *,
        writes: Callable[[str], bool],
        canonical: Callable[[str], str],
    ) -> None:
        self._open = open_set
        self._writes = writes
        self._canonical = canonical
        self._set: CommandSet | None = None

    @property
    def client(self) -> CommandSet:
        """The client, made once."""
        if self._set is None:
            self._set = self._open()
        return self._set

    def canonical(self, command: str) -> str:
        """See CommandSet."""
        return self._canonical(command)

    def writes(self, command: str) -> bool:
        """See CommandExecutor."""
        return self._writes(self._canonical(command))

    def run(self, call: CommandCall, *, once: Once | None = None) -> Any:
        """See CommandExecutor; `once`: for a message that an earlier run may have sent."""
        if once is not None and isinstance(self.client, OnceOnly):
            return self.client.run_once(call.command, call.args, once=once)
        return self.client.run(call.command, call.args)

    def preview(self, call: CommandCall) -> Any:
        """Return what would be sent."""
        return self.client.preview(call.command, call.args)

    def place(self, command: str, args: Mapping[str, Any]) -> Place:
        """See CommandSet."""
        return self.client.place(command, args)
