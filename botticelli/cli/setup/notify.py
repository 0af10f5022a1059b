"""`botticelli notify`: what systemd's OnFailure= runs."""

import logging

from botticelli.cli.shared.stage_run import Notifier
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.errors import ConfigError


@command(json=False)
def notify(env: Environment, unit: str) -> None:
    """Notify hooks of a failed systemd unit (OnFailure=).

    Takes:
        unit UNIT: The unit that failed, like botticelli-post.service.

    Examples:
        botticelli notify botticelli-post.service
    """
    stage = unit.removesuffix(".service").rpartition("-")[2]  # botticelli-PROJECT-post.service
    result = env.environ.get("MONITOR_SERVICE_RESULT", "")
    status = env.environ.get("MONITOR_EXIT_STATUS", "")
    how = " ".join(word for word in (result, status) if word) or "no reason given"
    logging.getLogger(__name__).error("unit failed", extra={"unit": unit, "how": how})
    try:
        notifier = Notifier(env, stage)
        run = notifier.own_run(of_anybody=True)
        if run and run.state == "done":  # of an earlier round: this one did not get as far
            run = None
        reason = run.error if run and run.error else unit
        code = int(status) if status.isdigit() else None
        notifier.notify("failure", run=run, error=f"{reason} ({how})", exit_code=code)
    except ConfigError as error:
        env.complain(f"hooks cannot be notified: {error.problems[0]}")
