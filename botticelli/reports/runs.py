"""What runs were, and what one of them did."""

from datetime import datetime
from typing import Final

from botticelli.config.model import STAGES
from botticelli.errors import Exit, UsageError
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.reads import runs as history
from botticelli.store.reads.runs import PastRun, Step

KINDS: Final = (*STAGES, "run")  # the last: narratives that were run by hand
MOST: Final = 2**63 - 1  # what an id can be


@record
class RunsReport:
    """The latest runs, newest first."""

    runs: tuple[PastRun, ...]
    exit_code: Exit = Exit.DONE


@record
class RunStory:
    """A run and all it did, in the order of time."""

    run: PastRun
    steps: tuple[Step, ...]
    exit_code: Exit = Exit.DONE


def list_runs(
    conn: Connection, *, stage: str | None, limit: int, now: datetime | None = None
) -> RunsReport:
    """Return the latest runs, of one stage if it is named. Reads only.

    Raises:
        UsageError: There is no such stage.
    """
    if stage is not None and stage not in KINDS:
        raise UsageError(f"there is no stage '{stage}'", hint=f"name one of {', '.join(KINDS)}")
    return RunsReport(runs=tuple(history.past_runs(conn, stage=stage, limit=limit, now=now)))


def tell_run(conn: Connection, name: str, *, now: datetime | None = None) -> RunStory:
    """Return what a run did: that of an id, or the last one of a stage. Reads only.

    Raises:
        UsageError: There is no such run.
    """
    if name in KINDS:
        found = history.past_runs(conn, stage=name, limit=1, now=now)
    elif name.isascii() and name.isdigit():
        known = int(name) <= MOST
        found = history.past_runs(conn, run=int(name), limit=1, now=now) if known else ()
    else:
        raise UsageError(
            f"'{name}' is no run", hint=f"give its number, or one of {', '.join(KINDS)}: its last"
        )
    if not found:
        what = f"{name} has not run yet" if name in KINDS else f"there is no run {name}"
        raise UsageError(what, hint="see `botticelli runs`")
    return RunStory(run=found[0], steps=tuple(history.steps_of(conn, found[0].id)))
