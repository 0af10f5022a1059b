"""`botticelli demo`: the whole line on this machine, through the very stages that timers run."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any, Final

from botticelli.cli.shared import choices
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.work import curate, generate, post
from botticelli.config.sources import NAME as FILE
from botticelli.config.sources import user_folder
from botticelli.errors import TryLater, Unavailable, UsageError
from botticelli.narrative.files import about
from botticelli.store.curation import reviews

ITERATIONS: Final = 2  # of five narratives: ten candidates
# A model of this machine's own cores takes its time over each word, and its opinions are dice.
SMALL: Final = "short_posts.batch"
PATIENCE_SECONDS: Final = 30.0  # for another process that runs the same stage

SETTINGS: Final = """\
# The project of `botticelli demo`, which writes this file anew. Yours: botticelli init

[project]
name = "demo-project"

[models]
default = "offline"
judge = "offline"

[destinations.outbox]
platform = "outbox"
"""
NEXT: Final = """
What next?{called}
  botticelli init my-channel        a project of your own: about your subject, in your channel
  botticelli --config {settings} status
                                    what this demo left behind; nothing of it is in your projects
"""
FILLER: Final = """
The texts are filler that no model wrote, and nobody judged them: all have the
same points. Real ones:
  botticelli models pull smollm2; botticelli demo --model local    without a key
  botticelli demo --model gemini-3.5-flash-lite                    with one
"""


@command(json=False, writes=True)
def demo(env: Environment, *, model: choices.WithModel = "offline") -> int:
    """Run the whole pipeline here, without a key or a server.

    Takes:
        model NAME: Write with this model (and judge, unless it is local).

    Examples:
        botticelli demo
        botticelli demo --model gemini-3.5-flash-lite
    """
    stage = _own_project(env, model)
    who = f"{model} writes and judges"
    if model == "offline":
        who = "the stand-in for a model writes filler, and nothing leaves it"
    elif _is_small(model):
        who = f"{model} writes, nobody judges: all have the same points"
    env.console.line(f"The whole pipeline, on this machine: {who}.", style="bold")
    env.console.line(f"A project of its own, with its outbox: {stage.cwd}")
    env.console.line(f"Embedded PostgreSQL in {stage.config.database.folder}")
    with stage.database() as conn:
        # Each demo shows its own post, not what the one before has left.
        left = [one.id for one in reviews.list_candidates(conn, statuses=["approved"], limit=1000)]
        with suppress(UsageError):  # another one is at it
            reviews.decide(conn, left, "reject", by="demo")
    rounds = 1 if _is_small(model) else ITERATIONS
    codes: list[int] = [
        _step(stage, 1, f"generate --iterations {rounds}", "a model writes candidates",
              partial(generate.generate, stage, iterations=rounds)).exit_code,
        _step(stage, 2, "curate --drain", "a model scores them, the best are approved",
              partial(curate.curate, stage, drain=True)).exit_code,
    ]  # fmt: skip
    posted = _step(
        stage, 3, "post --now", "one approved post goes out, here into a file",
        partial(post.post, stage, limit=1, now=True),
    )  # fmt: skip
    for result in posted.results:
        path = Path(result.url or result.remote_id)
        if result.remote_id and path.is_file():
            env.console.line()
            for line in path.read_text(encoding="utf-8").splitlines():
                env.console.line(f"   | {line}", style="dim")
    if model == "offline":
        env.console.stream.write(FILLER)
    settings = quote(str(stage.config.source))
    env.console.stream.write(NEXT.format(called=_called(env), settings=settings))
    return max(*codes, int(posted.exit_code))


def _is_small(model: str) -> bool:
    return model == "local" or model.startswith("local:")


def _called(env: Environment) -> str:
    """Return how to make `botticelli` a command of this shell; empty where it is one."""
    from shutil import which

    if which("botticelli", path=env.environ.get("PATH", "")):
        return ""
    return f' First: export PATH="{Path(sys.executable).parent}:$PATH"'


def _own_project(env: Environment, model: str) -> Environment:
    """Make the demo's project below the user's state; return its environment, with that model.

    Raises:
        Unavailable: Its folder cannot be written.
    """
    from botticelli.config.load import load
    from botticelli.platforms.open import PLATFORMS

    root = user_folder(env.environ, "XDG_STATE_HOME", ".local/state") / "botticelli" / "demo"
    file = root / FILE
    try:
        root.mkdir(parents=True, exist_ok=True)
        file.write_text(SETTINGS, encoding="utf-8")
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        raise Unavailable(what, where=str(file), hint="set XDG_STATE_HOME") from error
    environ = {name: value for name, value in env.environ.items() if "DATABASE_URL" not in name}
    config = load(file, environ=environ, cwd=root, platforms=PLATFORMS)
    judge = "offline" if _is_small(model) else model
    narrative = SMALL if _is_small(model) else config.generate.narrative
    models = config.models if model == "offline" else env.config.models
    config = replace(
        config,
        models=replace(models, default=(model,), judge=(judge,)),
        narratives=replace(config.narratives, context=(about.DEMO,)),
        generate=replace(config.generate, narrative=narrative),
    )
    return env.with_config(config, cwd=root)


def _step(
    env: Environment, number: int, command: str, meaning: str, work: Callable[[], Any]
) -> Any:
    """Do a stage's work as its command does, show its report and return it.

    While another process runs the same stage, say so and wait a little.
    """
    env.console.line()
    env.console.line(f"{number}. botticelli {command}: {meaning}", style="bold cyan")
    deadline, is_told = env.clock.monotonic() + PATIENCE_SECONDS, False
    while True:
        try:
            report = work()
        except TryLater as error:
            if "already running" not in error.what or env.clock.monotonic() >= deadline:
                raise
            if not is_told:
                env.say(f"waiting up to {PATIENCE_SECONDS:g} s: {error.what}")
            is_told = True
            env.clock.sleep(1)
        else:
            env.show(report)
            return report
