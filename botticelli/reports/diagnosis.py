"""What `doctor` says of one thing: how it is, what is wrong, and the command that fixes it.

Every look has a time of its own, so that nothing that hangs can hold up the rest.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Final, Literal

from botticelli.clock import Clock
from botticelli.errors import BotticelliError, Exit
from botticelli.records import record

Level = Literal["ok", "warning", "fault", "not checked"]
Look = Callable[[], Iterable["Diagnosis"]]

PATIENCE: Final = 20.0  # seconds for one look: more than any connection's own time limit


@record
class Diagnosis:
    """How one thing is.

    Args:
        what: What is wrong, or what was seen.
        hint: A command to type, where there is one.
        exit_code: What the command would end with for this one alone.
    """

    level: Level
    subject: str
    what: str
    hint: str = field(default="", metadata={"json": "mend"})
    exit_code: Exit = Exit.DONE


@record
class Examination:
    """All that was found, in the order of the looking; the gravest exit code is the command's."""

    exit_code: Exit
    findings: tuple[Diagnosis, ...]


def fine(subject: str, what: str) -> Diagnosis:
    """Return that something is as it should be."""
    return Diagnosis(level="ok", subject=subject, what=what)


def warning(subject: str, what: str, *, hint: str = "") -> Diagnosis:
    """Return that something may soon, or sometimes, be in the way."""
    return Diagnosis(level="warning", subject=subject, what=what, hint=hint)


def fault(subject: str, what: str, *, hint: str = "", exit_code: Exit = Exit.FAILED) -> Diagnosis:
    """Return that something does not work."""
    return Diagnosis(level="fault", subject=subject, what=what, hint=hint, exit_code=exit_code)


def unknown(subject: str, why: str, *, hint: str = "") -> Diagnosis:
    """Return that something could not be looked at, and why."""
    return Diagnosis(level="not checked", subject=subject, what=why, hint=hint)


def faults(subject: str, error: BotticelliError) -> list[Diagnosis]:
    """Return a fault for each problem that an error carries."""
    return [
        fault(
            subject,
            f"{problem.where}: {problem.what}" if problem.where else problem.what,
            hint=problem.hint,
            exit_code=error.exit_code,
        )
        for problem in error.problems
    ]


def examine(looks: Mapping[str, Look], *, clock: Clock, patience: float = PATIENCE) -> Examination:
    """Return what all looks find, each in a thread of its own, by subject.

    A look that has not ended in time is left where it is, and what it found until then is told.
    One that fails is a fault with its error's exit code.
    """
    all_work = [_Work(subject=subject, look=look) for subject, look in looks.items()]
    for work in all_work:
        work.start()
    deadline = clock.monotonic() + patience
    for work in all_work:
        work.join(max(0.0, deadline - clock.monotonic()))
    findings = [each for work in all_work for each in work.findings(patience)]
    worst = max((each.exit_code for each in findings), default=Exit.DONE)
    return Examination(exit_code=worst, findings=tuple(findings))


class _Work(threading.Thread):
    """One look under way. A daemon: the process need not wait for it."""

    def __init__(self, *, subject: str, look: Look) -> None:
        super().__init__(name=f"doctor {subject}", daemon=True)
        self._subject = subject
        self._look = look
        self._found: list[Diagnosis] = []
        self._bug: Exception | None = None

    def run(self) -> None:
        """Look."""
        try:
            for each in self._look():
                self._found.append(each)
        except BotticelliError as error:
            self._found += faults(self._subject, error)
        except Exception as error:  # noqa: BLE001 - raised again where the fence is
            self._bug = error

    def findings(self, patience: float) -> Sequence[Diagnosis]:
        """Return what was found; what failed of itself is raised."""
        is_silent = self.is_alive()
        if self._bug is not None:
            raise self._bug
        if not is_silent:
            return self._found
        what = f"no answer within {patience:g} s"
        return [*self._found, fault(self._subject, what, exit_code=Exit.UNAVAILABLE)]
