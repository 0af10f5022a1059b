"""One run of a stage as its command does it: jitter, hooks, database, and what it used."""

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from botticelli.cli.shell.environment import Environment
from botticelli.config.addresses import trust_line
from botticelli.config.model import StageName
from botticelli.config.operations import Hooks
from botticelli.errors import BotticelliError, ConfigError, Exit, TryLater, UsageError
from botticelli.text import counted
from botticelli.tracing import here

if TYPE_CHECKING:
    from botticelli.hooks import EventKind
    from botticelli.narrative.answers.dry_run import CallsEstimate
    from botticelli.store.connection import Connection
    from botticelli.store.reads.runs import OwnRun
    from botticelli.store.runs import RunUsage

Jitter = Annotated[
    str | None,
    typer.Option("--jitter", metavar="TIME", help="Wait a random time first, up to this: 30m."),
]
UNITS: Final = {"h": 3600, "m": 60, "s": 1}
PART: Final = re.compile(r"(\d+)(h|m|s)")
# Set in our units, whose OnFailure= notifies of failures: each is reported once, however it ends.
BY_UNIT: Final = "BOTTICELLI_FAILURES"


# What a command that was interrupted is given without, to go on: does it have a value of its own?
BEGINS: Final[Mapping[str, bool]] = {
    "--fresh": False,
    "--jitter": True,
    "--iterations": True,
    "--limit": True,
}


def going_on(env: Environment, *more: str) -> str:
    """Return the command that goes on with this one: as it was given, less what begins anew."""
    words: list[str] = []
    left = list(env.words)
    begins = {**BEGINS, **({"--now": False} if "generate" in left else {})}
    while left:
        word = left.pop(0)
        name, has_value, _ = word.partition("=")
        if name not in begins:
            words.append(word)
        elif begins[name] and not has_value and left:
            left.pop(0)
    return shlex.join(["botticelli", *words, *more])


def idle_words(stage: StageName, skipped: str) -> str:
    """Return why a run of a stage did nothing, with what to do about it."""
    if skipped != "paused":
        return skipped
    return f"the {stage} stage is paused; `botticelli resume {stage}` lets it work again"


@contextmanager
def stage_run(
    env: Environment, stage: StageName, *, jitter: str | None, dry_run: bool
) -> Iterator["Connection"]:
    """Wait out the jitter, then open the database for one run of a stage.

    The stage's hooks are notified of its start and its end, unless it is a dry run.

    Raises:
        UsageError: `jitter` is not a duration.
        ConfigError: `--offline` in a database with posts for a real channel.
    """
    if env.config.untrusted:
        root = env.config.untrusted
        env.say(f"hooks and programs of {root} are left out: it is not trusted; {trust_line(root)}")
    if jitter is not None:  # no lock and no connection is held meanwhile
        env.clock.sleep(env.chance.uniform(0, duration(jitter).total_seconds()))
    if dry_run:
        with env.database() as conn:
            yield conn
        return
    from botticelli.store import runs

    with _notified(env, stage), env.database() as conn:
        here.run = None
        try:
            env.keep_apart(conn)
            yield conn
        except ConfigError as error:
            if here.run is None:  # it did not come as far as a run
                runs.refused(conn, stage, identity=env.identity, error=error)
            raise
        except TryLater as error:
            if not isinstance(error.__cause__, KeyboardInterrupt):
                raise
            raise TryLater(error.what, hint=f"run `{going_on(env)}` again") from error


@contextmanager
def _notified(env: Environment, stage: StageName) -> Iterator[None]:
    if env.hooks == Hooks():
        yield
        return
    notifier = Notifier(env, stage)
    notifier.notify("start")
    try:
        yield
    except TryLater:
        raise
    except BotticelliError as error:
        notifier.failed(str(error.problems[0]), exit_code=error.exit_code)
        raise
    except Exception as error:
        notifier.failed(f"a bug: {type(error).__name__}", exit_code=Exit.BUG)
        raise
    else:
        notifier.ended()


class Notifier:
    """Notifies the hooks of a stage about its current run."""

    def __init__(self, env: Environment, stage: str) -> None:
        self._env = env
        self._stage = stage

    def notify(
        self,
        *kinds: "EventKind",
        run: "OwnRun | None" = None,
        error: str = "",
        exit_code: int | None = None,
    ) -> None:
        """Notify the hooks that are configured for these events, once for all of them."""
        from botticelli.hooks import Event, notify

        project = self._env.config.project
        events = [
            Event(
                kind=kind,
                stage=self._stage,
                host=self._env.identity.host,
                run=run.id if run else None,
                exit_code=run.exit_code if run and exit_code is None else exit_code,
                error=self._env.hide(error or (run.error if run else "") or ""),
                summary=run.summary if run else {},
                project=project.name,
                project_path=str(project.root or ""),
            )
            for kind in kinds
        ]
        notify(*events, hooks=self._env.hooks, environ=self._env.environ)

    def failed(self, error: str, *, exit_code: int) -> None:
        """Notify of a failure that ended the command."""
        run = self.own_run()
        kinds: list[EventKind] = ["failure"] if self._env.environ.get(BY_UNIT) != "unit" else []
        if run and run.breaker_open:
            kinds.append("breaker_open")
        self.notify(*kinds, run=run, error=error, exit_code=exit_code)

    def ended(self) -> None:
        """Notify of the end of the run; a paused stage has none."""
        run = self.own_run()
        if run is None:
            return
        if run.state == "failed":
            self.failed(run.error or "some work failed", exit_code=run.exit_code or Exit.FAILED)
        elif run.state == "done" and run.exit_code == Exit.DONE:
            kinds: list[EventKind] = ["success"]
            if _found_nothing(self._stage, run.summary):
                kinds.append("empty_queue")
            self.notify(*kinds, run=run)

    def own_run(self, *, of_anybody: bool = False) -> "OwnRun | None":
        """Return the run of this process; None if there is none or no database."""
        from botticelli.store.reads.runs import own_run

        try:
            with self._env.database() as conn:
                identity = None if of_anybody else self._env.identity
                return own_run(conn, self._stage, identity=identity)
        except BotticelliError:
            return None


def _found_nothing(stage: str, summary: Mapping[str, Any]) -> bool:
    """Return whether the queue was empty, by the run's summary."""
    if stage == "post":
        return set(summary) == {"nothing"}
    counts = ("judged", "set_aside", "rejected", "pending", "approved")
    return stage == "curate" and not any(summary.get(count) for count in counts)


def duration(text: str) -> timedelta:
    """Return the duration that "30m", "1h30m" or "45s" means.

    Raises:
        UsageError: The text is not a duration.
    """
    parts = PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text or not text:
        raise UsageError(
            f"'{text}' is not a duration", where="--jitter", hint="write 30m, 1h30m, 45s"
        )
    return timedelta(seconds=sum(int(number) * UNITS[unit] for number, unit in parts))


def spent(report: "RunUsage", *, reused: int = 0, seconds: float) -> str:
    """Return what a run used. `reused`: stored answers that were not paid for again."""
    free = f" ({counted(reused, 'answer')} reused)" if reused else ""
    return (
        f"{counted(report.calls, 'call')}{free}, {report.input_tokens:,} tokens in,"
        f" {report.output_tokens:,} out, ${report.cost_usd:.4f}, {seconds:.1f} s"
    )


def priced(report: "CallsEstimate") -> str:
    """Return what a run would use, its price in US cents."""
    price = "price unknown" if report.cents is None else f"about {report.cents:.2f} cents"
    models = ", ".join(report.models) or "any model"
    used = (
        f"{counted(report.calls, 'call')} to {models}, about {report.input_tokens:,} tokens in"
        f" and {report.output_tokens:,} out, {price}; nothing was spent"
    )
    limits = [f"limits of {model}: {limits}" for model, limits in report.limits.items()]
    return "\n  ".join([used, *limits])
