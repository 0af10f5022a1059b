"""How `botticelli connect` gets the credentials of a platform: what its room asks and brings."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from botticelli.clock import Clock
from botticelli.config.model import Destination
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.platforms.rate_limits import SharedLimits
from botticelli.records import record

if TYPE_CHECKING:
    from botticelli.platforms.base import Room


class Asker(Protocol):
    """Asks the person who connects, in the order in which a room needs the answers."""

    def __call__(
        self, name: str, question: str, *, secret: bool = False, optional: bool = False
    ) -> str:
        """Return the answer, without blanks around it; empty only if it is optional.

        Args:
            name: Of the answer. "server", "account" and "channel" are options, too; without a
                terminal only the others are read from standard input, a line each.
            question: In words, with what it may look like.
            secret: Whether it is not to be seen on the terminal.
            optional: Whether no answer is one.

        Raises:
            UsageError: Nobody answers.
        """


@record
class Credentials:
    """What was got, and tried out.

    Args:
        keys: Of the destination's table, in order, but for the secrets.
        secrets: Key of the table -> value; it is kept as a variable, NAME_KEY.
        notes: What a person should know of the account, a line each.
    """

    keys: Mapping[str, str]
    secrets: Mapping[str, Secret]
    notes: Sequence[str] = ()


def tried(
    room: "Room", keys: Mapping[str, Any], secrets: Mapping[str, Any], *, clock: Clock
) -> Credentials:
    """Return credentials with which the platform lets us post.

    Args:
        room: The platform's.
        keys: Of the destination's table, its platform among them.
        secrets: Those that are secret.
        clock: What waits are measured by.

    Raises:
        ConfigError: They do not do.
        NotSent: The platform cannot be asked right now.
    """
    destination = Destination(name=keys["platform"], **keys, **secrets)
    platform = room.open(destination, clock=clock, limits=SharedLimits(clock))
    if problems := platform.check():
        raise ConfigError(problems[0])
    return Credentials(keys=keys, secrets=secrets, notes=platform.notes)
