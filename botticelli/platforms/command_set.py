"""What the commands of a platform are to this house; a plugin fills CommandSet, too."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from botticelli.records import record


@record
class Place:
    """Where a command acts, as the platform itself says; empty if nowhere, or not known.

    Args:
        channel_id: Of a thread, the channel it hangs in.
        into_id: Of a command that makes or moves a channel, the category it comes into.
    """

    guild_id: str = ""
    channel_id: str = ""
    channel_name: str = ""
    category_id: str = ""
    into_id: str = ""


@record
class Once:
    """What keeps a message from being sent twice, over the life of more than one process.

    Args:
        key: The same in every try; nonces are made of it.
        since: When an earlier attempt may have sent it, so look first; None for the first one.
        known: Ids of other messages, which may say the same.
    """

    key: str
    since: datetime | None = None
    known: Collection[str] = ()

    def nonce(self, part: int) -> str:
        """Return the nonce of a part of the message."""
        return f"{self.key}-{part}"


@record
class Description:
    """One command, for a person who looks for it.

    Args:
        takes: Its arguments; ! marks those that are needed.
        needs: The permission it needs on the platform; empty: none of its own.
        gives: The fields of its result.
    """

    name: str
    writes: bool
    takes: tuple[str, ...]
    needs: str = ""
    gives: tuple[str, ...] = ()


class CommandSet(Protocol):
    """The commands of one platform, by their names. Not shared between threads.

    Errors are BotticelliErrors; Unconfirmed says that a command may have been carried out.
    """

    def describe(self) -> tuple[Description, ...]:
        """Return every command there is. No network."""

    def canonical(self, command: str) -> str:
        """Return the current name of a command; an unknown one as it is."""

    def run(self, command: str, args: Mapping[str, Any]) -> Any:
        """Run a command and return its result as JSON has it."""

    def preview(self, command: str, args: Mapping[str, Any]) -> Any:
        """Return what would be sent. No network, no secrets."""

    def place(self, command: str, args: Mapping[str, Any]) -> Place:
        """Return where a command would act. May ask the platform."""


@runtime_checkable
class OnceOnly(Protocol):
    """Commands of a platform that can find out whether an earlier attempt has sent a message."""

    def run_once(self, command: str, args: Mapping[str, Any], *, once: Once) -> Any:
        """Run a command that may have been carried out before. Raises as `run`."""
