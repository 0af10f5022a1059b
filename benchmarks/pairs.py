"""Two commands measured in turn, so that the ratio holds when the machine's speed drifts."""

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Medians of whole processes: milliseconds of each command, and the paired ratios.

    `cpu`: the ratio of processor times; `megabytes`: the most that the command had in memory.
    """

    command_ms: float
    floor_ms: float
    ratio: float
    cpu: float
    megabytes: float


def _measure(command: Sequence[str], environ: Mapping[str, str]) -> tuple[float, float, float]:
    """Return milliseconds by the clock and of the processor, and megabytes."""
    start = time.perf_counter()
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(
        command, env={**os.environ, **environ}, stdin=nowhere, stdout=nowhere, stderr=nowhere
    )
    _, process.returncode, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    return took * 1000, (used.ru_utime + used.ru_stime) * 1000, used.ru_maxrss / 1024


def compare(
    command: Sequence[str],
    floor: Sequence[str],
    *,
    environ: Mapping[str, str],
    rounds: int = 25,
) -> Ratio:
    """Run both commands `rounds` times in turn after one warm-up each."""
    _measure(command, environ), _measure(floor, environ)
    pairs = [(_measure(command, environ), _measure(floor, environ)) for _ in range(rounds)]
    return Ratio(
        command_ms=statistics.median(a[0] for a, _ in pairs),
        floor_ms=statistics.median(b[0] for _, b in pairs),
        ratio=statistics.median(a[0] / b[0] for a, b in pairs),
        cpu=statistics.median(a[1] / b[1] for a, b in pairs),
        megabytes=statistics.median(a[2] for a, _ in pairs),
    )
