"""`botticelli pause` and `botticelli resume`."""

from typing import Annotated

import typer

from botticelli.cli.shared import choices
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.config.model import STAGES, StageName
from botticelli.errors import UsageError

StageArgument = Annotated[
    str,
    typer.Argument(
        metavar="STAGE", help=f"{', '.join(STAGES)} or all.", autocompletion=choices.stages
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Report as JSON.")]


@app.command()
def pause(ctx: typer.Context, stage: StageArgument, *, as_json: AsJson = False) -> int:
    """Stop a stage from doing anything until it is resumed."""
    from botticelli.store import runs

    env: Environment = ctx.obj
    names = _named(stage)
    with env.database() as conn:
        for name in names:
            runs.pause(conn, name)
    env.tell(
        f"{' and '.join(names)} paused; a run that is under way goes on to its end",
        as_json=as_json,
        paused=names,
    )
    return 0


@app.command()
def resume(ctx: typer.Context, stage: StageArgument, *, as_json: AsJson = False) -> int:
    """Let a paused stage work again."""
    from botticelli.store import runs

    env: Environment = ctx.obj
    names = _named(stage)
    with env.database() as conn:
        for name in names:
            runs.resume(conn, name)
    env.tell(
        f"{' and '.join(names)} resumed; an open breaker is closed", as_json=as_json, resumed=names
    )
    return 0


def _named(stage: str) -> tuple[StageName, ...]:
    if stage == "all":
        return STAGES
    if stage not in STAGES:
        raise UsageError(f"there is no stage '{stage}'", hint=f"name {', '.join(STAGES)} or all")
    return (stage,)
