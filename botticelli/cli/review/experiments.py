"""`botticelli experiments`: where each stands, and what readers' reactions say so far."""

from collections.abc import Mapping
from math import expm1
from statistics import fmean
from typing import Any, Final

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Listing
from botticelli.errors import UsageError
from botticelli.learning.trials import verdict
from botticelli.store.connection import Connection
from botticelli.store.curation.evidence import list_arm_posts

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
        rows=[row for one in wanted for row in _rows(env, conn, one)],
        columns=SHOWN,
        empty="there are no experiments; [experiments.NAME] of botticelli.toml makes one",
        after="posts: those with reactions at 24 hours; docs/learning.md has the rules",
    )


def _rows(env: Environment, conn: Connection, name: str) -> list[Mapping[str, Any]]:
    """Return a row for each arm; the first one tells the result."""
    one = env.config.experiments[name]
    posts = list_arm_posts(conn, env.config, name)
    found = verdict(name, one.arms, posts, wanted=one.posts, rule=one.rule)
    proves = "earns while it learns; proves nothing" if one.mode == "thompson" else found.words
    result = f"over: '{one.use}' is used" if one.use else proves
    told = {"mode": one.mode, "rule": one.rule, **vars(found), "needed": found.needed}
    values = {arm: [expm1(each.y) for each in posts if each.arm == arm] for arm in one.arms}
    return [
        {
            "experiment": name,
            "arm": arm,
            "posts": len(each),
            "mean": fmean(each) if each else None,
            **(told | {"result": result} if arm == one.arms[0] else {"result": ""}),
        }
        for arm, each in values.items()
    ]
