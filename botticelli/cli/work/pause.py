"""`botticelli pause` and `botticelli resume`."""

from typing import Annotated

import typer

from botticelli.cli.shared import choices
from botticelli.cli.shell.command import Done, command
from botticelli.cli.shell.environment import Environment
from botticelli.config.model import STAGES, StageName
from botticelli.errors import UsageError

StageArgument = Annotated[
    str,
    typer.Argument(
        metavar="STAGE", help=f"{', '.join(STAGES)} or all.", autocompletion=choices.stages
    ),
]


@command(writes=True)
def pause(env: Environment, stage: StageArgument) -> Done:
    """Pause a stage: its runs do nothing until it is resumed.

    Examples:
        botticelli pause post
        botticelli pause all
    """
    from botticelli.store import runs

    names = _named(stage)
    with env.database() as conn:
        for name in names:
            runs.pause(conn, name)
    line = f"{' and '.join(names)} paused; a current run continues to its end"
    return Done(line=line, facts={"paused": names})


@command(writes=True)
def resume(env: Environment, stage: StageArgument) -> Done:
    """Resume a paused stage and close its circuit breaker.

    Examples:
        botticelli resume post
    """
    from botticelli.store import runs

    names = _named(stage)
    with env.database() as conn:
        for name in names:
            runs.resume(conn, name)
    line = f"{' and '.join(names)} resumed; an open circuit breaker is closed"
    return Done(line=line, facts={"resumed": names})


def _named(stage: str) -> tuple[StageName, ...]:
    if stage == "all":
        return STAGES
    if stage not in STAGES:
        raise UsageError(f"there is no stage '{stage}'", hint=f"name {', '.join(STAGES)} or all")
    return (stage,)
