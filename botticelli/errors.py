"""Every error a user can meet, and the exit code it ends with.

BotticelliError             1  some work failed
├── UsageError              2  the command line cannot be meant (StaleError: changed meanwhile)
├── Unavailable            69  the database, a model or a platform cannot be reached
├── TryLater               75  held lock, open breaker, spent daily quota
└── ConfigError            78  a file or an environment variable has to be fixed first

Anything else is a bug: exit 70, and the only case with a traceback.
Source of the numbers: BSD sysexits.h (69 EX_UNAVAILABLE, 70 EX_SOFTWARE, 75 EX_TEMPFAIL,
78 EX_CONFIG).
"""

from collections.abc import Sequence
from enum import IntEnum

from botticelli.records import record


class Exit(IntEnum):
    """How a command ended, as its exit status."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 69
    BUG = 70
    TRY_LATER = 75
    CONFIG = 78


@record
class Problem:
    """One mistake in a file or an environment: what a person needs to fix it.

    Args:
        what: What is wrong, in words of the user's world, without a full stop.
        where: The file (with line), key path, table or variable that it is wrong in.
        hint: What to do about it, as an order; empty if `what` already says it.
        is_unset: Whether this process was not given a variable or credential: others may have it.
    """

    what: str
    where: str = ""
    hint: str = ""
    is_unset: bool = False

    def __str__(self) -> str:
        """Return the one line that the user reads: where, what, how to fix it."""
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line}; {self.hint}" if self.hint else line


class BotticelliError(Exception):
    """Some work failed.

    Args:
        what: What is wrong, in words of the user's world, without a full stop.
        where: The file (with line), table, destination or option that it is wrong in.
        hint: What to do about it, as an order.
    """

    exit_code: Exit = Exit.FAILED

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.problems: tuple[Problem, ...] = (Problem(what=what, where=where, hint=hint),)

    @property
    def what(self) -> str:
        """What is wrong, in words of the user's world."""
        return self.problems[0].what

    @property
    def where(self) -> str:
        """The file, table, destination or option that it is wrong in."""
        return self.problems[0].where

    @property
    def hint(self) -> str:
        """What to do about it, as an order."""
        return self.problems[0].hint

    def __str__(self) -> str:
        """Return a line for each problem."""
        return "\n".join(map(str, self.problems))


class UsageError(BotticelliError):
    """The command line cannot be meant."""

    exit_code = Exit.USAGE


class StaleError(UsageError):
    """Somebody else has changed meanwhile what was decided about."""


class Unavailable(BotticelliError):
    """The database, a model or a platform cannot be reached."""

    exit_code = Exit.UNAVAILABLE


class TryLater(BotticelliError):
    """Nothing is broken, but not now: held lock, open breaker, spent daily quota."""

    exit_code = Exit.TRY_LATER


class ConfigError(BotticelliError):
    """A file or an environment variable has to be fixed first."""

    exit_code = Exit.CONFIG

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> "ConfigError":
        """Return one error that carries every mistake found, in the order found.

        Raises:
            ValueError: There is no problem to report.
        """
        if not problems:
            raise ValueError("an error needs a problem")
        error = cls(problems[0].what, where=problems[0].where, hint=problems[0].hint)
        error.problems = tuple(problems)
        return error
