"""Telling the hooks how a stage's run ended; who has none pays nothing for it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from botticelli.cli.shell.environment import Environment
from botticelli.config.model import StageName
from botticelli.config.operations import Hooks
from botticelli.errors import BotticelliError, Exit, TryLater

if TYPE_CHECKING:
    from botticelli.hooks import EventKind
    from botticelli.store.reads.runs import OwnRun

# Set in our units: their OnFailure= tells of failures, which then are told once, however we end.
BY_UNIT: Final = "BOTTICELLI_FAILURES"


@contextmanager
def telling(env: Environment, stage: StageName, *, silent: bool = False) -> Iterator[None]:
    """Tell the hooks of a stage that its run starts and how it ended. `silent`: a dry run."""
    if silent or env.config.hooks == Hooks():
        yield
        return
    teller = Teller(env, stage)
    teller.tell("start")
    try:
        yield
    except TryLater:
        raise
    except BotticelliError as error:
        teller.failed(str(error.problems[0]), exit_code=error.exit_code)
        raise
    except Exception as error:
        teller.failed(f"a bug: {type(error).__name__}", exit_code=Exit.BUG)
        raise
    else:
        teller.ended()


class Teller:
    """Knows a stage's hooks and its present run."""

    def __init__(self, env: Environment, stage: str) -> None:
        self._env = env
        self._stage = stage

    def tell(
        self,
        *kinds: "EventKind",
        run: "OwnRun | None" = None,
        error: str = "",
        exit_code: int | None = None,
    ) -> None:
        """Tell everybody who wants to know, of all these facts at once."""
        from botticelli.hooks import Event, notify

        events = [
            Event(
                kind=kind,
                stage=self._stage,
                host=self._env.identity.host,
                run=run.id if run else None,
                exit_code=run.exit_code if run and exit_code is None else exit_code,
                error=self._env.hide(error or (run.error if run else "") or ""),
                summary=run.summary if run else {},
            )
            for kind in kinds
        ]
        notify(*events, hooks=self._env.config.hooks, environ=self._env.environ)

    def failed(self, error: str, *, exit_code: int) -> None:
        """Tell of a failure that ended the command."""
        run = self.own_run()
        kinds: list[EventKind] = ["failure"] if self._env.environ.get(BY_UNIT) != "unit" else []
        if run and run.breaker_open:
            kinds.append("breaker_open")
        self.tell(*kinds, run=run, error=error, exit_code=exit_code)

    def ended(self) -> None:
        """Tell how the run ended; a paused stage has none."""
        run = self.own_run()
        if run is None:
            return
        if run.state == "failed":
            self.failed(run.error or "some work failed", exit_code=run.exit_code or Exit.FAILED)
        elif run.state == "done" and run.exit_code == Exit.DONE:
            kinds: list[EventKind] = ["success"]
            if _found_nothing(self._stage, run.summary):
                kinds.append("empty_queue")
            self.tell(*kinds, run=run)

    def own_run(self, *, of_anybody: bool = False) -> "OwnRun | None":
        """Return the run of this process; None: there was none, or the database is away."""
        from botticelli.store.reads.runs import own_run

        try:
            with self._env.database() as conn:
                identity = None if of_anybody else self._env.identity
                return own_run(conn, self._stage, identity=identity)
        except BotticelliError:
            return None


def _found_nothing(stage: str, summary: Mapping[str, Any]) -> bool:
    """Tell by a run's own record whether its queue was empty."""
    if stage == "post":
        return set(summary) == {"nothing"}
    counts = ("judged", "set_aside", "rejected", "pending", "approved")
    return stage == "curate" and not any(summary.get(count) for count in counts)
