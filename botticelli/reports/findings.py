"""What was looked at and what came of it: for `check`, `doctor` and whoever asks like them.

Every check of `examine` has a time limit of its own, so that one that hangs delays no other.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Final, Literal

from botticelli.clock import Clock
from botticelli.errors import BotticelliError, Exit, Problem
from botticelli.records import record

# "error" is what `check` calls a fault. "unset": this process was not given what others may have.
Level = Literal["ok", "note", "warning", "fault", "error", "unset", "not checked"]
Check = Callable[[], Iterable["Finding"]]

PATIENCE: Final = 20.0  # seconds for all checks: more than any connection's own time limit


@record
class Finding:
    """How one thing is.

    Args:
        subject: What was looked at: a file with line and key, a variable, a part of the system.
        what: What is wrong, or what was seen.
        hint: A command to type, or what to do, where there is something.
        exit_code: What the command would end with for this one alone.
    """

    level: Level
    subject: str
    what: str
    hint: str = field(default="", metadata={"json": "mend"})
    exit_code: Exit = Exit.DONE


def fine(subject: str, what: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(level="ok", subject=subject, what=what)


def warning(subject: str, what: str, *, hint: str = "") -> Finding:
    """Return that something may soon, or sometimes, be in the way."""
    return Finding(level="warning", subject=subject, what=what, hint=hint)


def fault(subject: str, what: str, *, hint: str = "", exit_code: Exit = Exit.FAILED) -> Finding:
    """Return that something does not work."""
    return Finding(level="fault", subject=subject, what=what, hint=hint, exit_code=exit_code)


def unknown(subject: str, why: str, *, hint: str = "") -> Finding:
    """Return that something could not be checked, and why."""
    return Finding(level="not checked", subject=subject, what=why, hint=hint)


def faults(
    problems: Iterable[Problem],
    *,
    subject: str = "",
    fallback: str = "",
    exit_code: Exit = Exit.CONFIG,
) -> list[Finding]:
    """Return a fault for each problem, about `subject`, else where it is, else `fallback`."""
    return [
        Finding(
            level="unset" if problem.is_unset else "fault",
            subject=subject or problem.where or fallback,
            what=f"{problem.where}: {problem.what}"
            if subject and problem.where not in ("", subject)
            else problem.what,
            hint=problem.hint,
            exit_code=exit_code,
        )
        for problem in problems
    ]


def faults_of(error: BotticelliError, *, subject: str = "", fallback: str = "") -> list[Finding]:
    """Return a fault for each problem that an error carries; see `faults`."""
    code = error.exit_code
    return faults(error.problems, subject=subject, fallback=fallback, exit_code=code)


def examine(
    checks: Mapping[str, Check], *, clock: Clock, patience: float = PATIENCE
) -> tuple[Finding, ...]:
    """Run all checks, each in a thread of its own, by subject; return what they find.

    A check that has not ended in time is left behind, and what it found until then is reported.
    One that fails is a fault with its error's exit code.
    """
    all_work = [_Running(subject=subject, check=check) for subject, check in checks.items()]
    for work in all_work:
        work.start()
    deadline = clock.monotonic() + patience
    for work in all_work:
        work.join(max(0.0, deadline - clock.monotonic()))
    return tuple(each for work in all_work for each in work.findings(patience))


class _Running(threading.Thread):
    """A check under way. A daemon: the process need not wait for it."""

    def __init__(self, *, subject: str, check: Check) -> None:
        super().__init__(name=f"check {subject}", daemon=True)
        self._subject = subject
        self._check = check
        self._found: list[Finding] = []
        self._bug: Exception | None = None

    def run(self) -> None:
        """Run the check and keep what it finds."""
        try:
            for each in self._check():
                self._found.append(each)
        except BotticelliError as error:
            self._found += faults_of(error, subject=self._subject)
        except Exception as error:  # noqa: BLE001 - raised again where the fence is
            self._bug = error

    def findings(self, patience: float) -> Sequence[Finding]:
        """Return what was found.

        Raises:
            Exception: A bug in the check.
        """
        is_silent = self.is_alive()
        if self._bug is not None:
            raise self._bug
        if not is_silent:
            return self._found
        what = f"no answer within {patience:g} s"
        return [*self._found, fault(self._subject, what, exit_code=Exit.UNAVAILABLE)]
