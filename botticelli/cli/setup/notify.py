"""`botticelli notify`: what systemd's OnFailure= runs."""

import logging
from typing import Annotated

import typer

from botticelli.cli.shared.hooks import Teller
from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.errors import ConfigError


@app.command()
def notify(
    ctx: typer.Context,
    unit: Annotated[str, typer.Argument(help="The unit that failed: botticelli-post.service.")],
) -> int:
    """Tell the hooks that a systemd unit failed; its OnFailure runs this."""
    env: Environment = ctx.obj
    stage = unit.removesuffix(".service").removeprefix("botticelli-")
    result = env.environ.get("MONITOR_SERVICE_RESULT", "")
    status = env.environ.get("MONITOR_EXIT_STATUS", "")
    how = " ".join(word for word in (result, status) if word) or "no reason given"
    logging.getLogger(__name__).error("unit failed", extra={"unit": unit, "how": how})
    try:
        teller = Teller(env, stage)
        run = teller.own_run(of_anybody=True)
        if run and run.state == "done":  # of an earlier round: this one did not get as far
            run = None
        reason = run.error if run and run.error else unit
        code = int(status) if status.isdigit() else None
        teller.tell("failure", run=run, error=f"{reason} ({how})", exit_code=code)
    except ConfigError as error:
        env.complain(f"nobody can be told: {error.problems[0]}")
    return 0
