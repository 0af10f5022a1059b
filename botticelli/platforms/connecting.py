"""How `botticelli connect` gets the credentials of a platform: what its room asks and brings."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from botticelli.config.secrets import Secret
from botticelli.records import record


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
