"""Two commands timed in turn, so that the ratio holds when the machine's speed drifts."""

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Whole-process figures: milliseconds of each command, and the median of the paired ratios."""

    command_ms: float
    floor_ms: float
    ratio: float


def _time(command: Sequence[str], environ: Mapping[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(
        command,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return (time.perf_counter() - start) * 1000


def compare(
    command: Sequence[str],
    floor: Sequence[str],
    *,
    environ: Mapping[str, str],
    rounds: int = 25,
) -> Ratio:
    """Run both commands `rounds` times in turn after one warm-up each."""
    _time(command, environ), _time(floor, environ)
    pairs = [(_time(command, environ), _time(floor, environ)) for _ in range(rounds)]
    return Ratio(
        command_ms=statistics.median(a for a, _ in pairs),
        floor_ms=statistics.median(b for _, b in pairs),
        ratio=statistics.median(a / b for a, b in pairs),
    )
