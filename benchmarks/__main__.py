"""Run the benchmarks, all or some, and print what each measured.

    python -m benchmarks                 all of them: a quarter of an hour or so
    python -m benchmarks startup batch   these two
    python -m benchmarks --list          their names and commands

Each runs as a process of its own, one after the other, so that none disturbs another.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark: the module and its options, and what it is about."""

    what: str
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """What a person types to run it alone."""
        return f"python -m {' '.join(self.words)}"


ALL: Final[Mapping[str, Benchmark]] = {
    "startup": Benchmark(
        what="commands of timers against bare Python", words=("benchmarks.startup",)
    ),
    "batch": Benchmark(
        what="a batch against its longest chains", words=("benchmarks.batch", "--rounds", "5")
    ),
    "ledger": Benchmark(what="reserve and settle", words=("benchmarks.ledger",)),
    "queue": Benchmark(what="claims beside a queue library", words=("benchmarks.queue",)),
    "deliveries": Benchmark(what="posts that leave", words=("benchmarks.deliveries",)),
    "many": Benchmark(what="a day of 100 projects in one server", words=("benchmarks.many",)),
    "curate": Benchmark(what="10,000 candidates judged", words=("benchmarks.curate",)),
    "repeats": Benchmark(what="repeats that are recognised", words=("benchmarks.repeats",)),
    "tokens": Benchmark(what="input tokens of a post, by act", words=("benchmarks.tokens",)),
    "growth": Benchmark(what="1,000,000 old rows against few", words=("benchmarks.growth",)),
    "desk": Benchmark(what="pages over 100,000 posts", words=("benchmarks.desk",)),
    "learning": Benchmark(what="false alarms, power, feedback", words=("benchmarks.learning",)),
    "disk": Benchmark(what="bytes a candidate, by table", words=("benchmarks.disk",)),
    "quota": Benchmark(
        what="requests a minute, kept and used",
        words=("benchmarks.quota", "--seconds", "180", "--rpm", "120"),
    ),
    "quota-low": Benchmark(
        what="tokens a minute, estimates half of the truth",
        words=("benchmarks.quota", "--seconds", "180", "--tpm", "60000", "--off-by", "0.5"),
    ),
    "quota-high": Benchmark(
        what="tokens a minute, estimates double the truth",
        words=("benchmarks.quota", "--seconds", "180", "--tpm", "60000", "--off-by", "2"),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is named; return 1 if one of them did not end well."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}")
    parser.add_argument("--list", action="store_true", help="tell them, run none")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in ALL]
    if unknown:
        parser.error(f"there is no benchmark '{unknown[0]}'; choose of {', '.join(ALL)}")
    chosen = {name: ALL[name] for name in given.names or ALL}
    if given.list:
        for name, one in chosen.items():
            print(f"{name:<11} {one.what:<45} {one.command}")
        return 0
    return 1 if sum(not run(name, one) for name, one in chosen.items()) else 0


def run(name: str, one: Benchmark) -> bool:
    """Run one; print its rows of the table; tell whether it ended well."""
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", *one.words], check=False, capture_output=True, text=True
    )
    lines = ended.stdout.splitlines() if ended.returncode == 0 else ended.stderr.splitlines()[-1:]
    for number, line in enumerate(lines or ["it said nothing"]):
        print(f"{'' if number else name:<11} {line}", flush=True)
    print(f"{'':<11} ({one.command}: {time.monotonic() - began:.0f} s)", flush=True)
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
