"""`--jitter TIME`: a random pause first, for schedulers that know none."""

import re
from datetime import timedelta
from typing import Annotated, Final

import typer

from botticelli.cli.shell.environment import Environment
from botticelli.errors import UsageError

Jitter = Annotated[
    str | None,
    typer.Option("--jitter", metavar="TIME", help="Sleep a random time up to this first: 30m."),
]
UNITS: Final = {"h": 3600, "m": 60, "s": 1}
PART: Final = re.compile(r"(\d+)(h|m|s)")


def wait_at_random(env: Environment, jitter: str | None) -> None:
    """Sleep a random time up to `jitter`; no lock and no connection is held meanwhile.

    Raises:
        UsageError: `jitter` is no duration.
    """
    if jitter is not None:
        env.clock.sleep(env.chance.uniform(0, duration(jitter).total_seconds()))


def duration(text: str) -> timedelta:
    """Return what "30m", "1h30m" or "45s" means.

    Raises:
        UsageError: It means nothing.
    """
    parts = PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text or not text:
        raise UsageError(f"'{text}' is no duration", where="--jitter", hint="write 30m, 1h30m, 45s")
    return timedelta(seconds=sum(int(number) * UNITS[unit] for number, unit in parts))
