"""`botticelli experiments`: where each stands, and what readers' reactions say so far."""

from typing import Final

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Listing
from botticelli.errors import UsageError
from botticelli.reports.insights import experiment_rows
from botticelli.store.connection import Connection

SHOWN: Final[Columns] = {
    "experiment": "experiment",
    "arm": "arm",
    "posts>": "posts",
    "mean reactions>": lambda one: "" if one["mean"] is None else f"{one['mean']:.1f}",
    "result": "result",
}


@command()
def experiments(env: Environment, conn: Connection, name: str = "") -> Listing:
    """Show where each experiment stands and what it still needs.

    Takes:
        name NAME: Only this one.

    Examples:
        botticelli experiments
        botticelli experiments hook --json
    """
    known = env.config.experiments
    if name and name not in known:
        hint = "known: " + ", ".join(known) if known else "add [experiments.NAME] with `arms`"
        raise UsageError(f"there is no experiment '{name}'", hint=hint)
    wanted = [name] if name else list(known)
    return Listing(
        name="experiments",
        rows=[row for one in wanted for row in experiment_rows(conn, env.config, one)],
        columns=SHOWN,
        empty="there are no experiments; [experiments.NAME] of botticelli.toml makes one",
        after="posts: those with reactions at 24 hours; docs/learning.md has the rules",
    )
