"""Run the tests at hours that go wrong elsewhere: `just any-hour`, or python -m tools.any_hour.

The clock of pytest, of every program that a test starts and of their PostgreSQL is shifted by
libfaketime and runs on from there; monotonic time is left alone, as when a clock is set. A
cluster is made for each session of the tests, so that no server has another clock.

    python -m tools.any_hour                         the parts that know time, at every hour
    python -m tools.any_hour -n 2                    the same on two cores
    python -m tools.any_hour --at leap-day tests     the whole suite on 29 February
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

HOURS: Mapping[str, str] = {
    "morning": "2026-12-01T07:30:00",
    "midnight": "2026-12-01T23:59:30",
    "los-angeles-before-spring": "2026-03-08T09:59:00",  # 01:59, then 03:00
    "los-angeles-after-spring": "2026-03-08T10:00:00",
    "los-angeles-autumn": "2026-11-01T08:59:00",  # 01:59, then 01:00
    "berlin-spring": "2027-03-28T00:59:00",
    "berlin-autumn": "2026-10-25T00:59:00",
    "leap-day": "2028-02-29T12:00:00",
}
KNOW_TIME = [
    f"tests/{name}"
    for name in ("schedule", "stages", "store", "acceptance", "models", "unit", "narrative")
]
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where sem_open(3) and shm_open(3) put them
SITE = Path(__file__).parent / "shifted"


def library() -> str:
    """Return the path of libfaketime, or nothing where it is not installed."""
    found = sorted(Path("/usr/lib").glob("**/faketime/libfaketime.so.1"))
    return str(found[0]) if found else ""


def shifted(moment: str, *, preload: str) -> dict[str, str]:
    """Return variables that make it `moment` UTC now. A shift, so that all processes agree."""
    by = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() - time.time()
    return {
        "LD_PRELOAD": preload,
        "FAKETIME": f"{by:+.0f}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(SITE),
        "MAN_DISABLE_SECCOMP": "1",  # its sandbox refuses what is preloaded
    }


@contextmanager
def shared(environ: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Give all processes one memory of libfaketime's, which lives as long as the tests.

    Otherwise each makes its own for its children, who may come when it is gone already, or may
    belong to another user, or find that of a killed process with its pid.
    """
    with subprocess.Popen(["sleep", "infinity"], env=environ) as holder:  # noqa: S607 - coreutils
        try:
            semaphore, memory = f"faketime_sem_{holder.pid}", f"faketime_shm_{holder.pid}"
            files = [SHARED_MEMORY / f"sem.{semaphore}", SHARED_MEMORY / memory]
            while not all(file.exists() for file in files):
                time.sleep(0.01)
            for file in files:
                file.chmod(0o666)
            yield {**environ, "FAKETIME_SHARED": f"/{semaphore} /{memory}"}
        finally:
            holder.terminate()


def main() -> int:
    """Run pytest at each hour; return 1 if a test failed at any."""
    parser = argparse.ArgumentParser(description="Run the tests with a shifted clock.")
    parser.add_argument("--at", choices=HOURS, action="append", help="all of them by default")
    options, words = parser.parse_known_args()
    preload = library()
    if not preload:
        print("skipped: libfaketime is not installed; apt-get install faketime")
        return 0
    if not any(word.startswith("tests") for word in words):
        words += KNOW_TIME
    failed = []
    for name in options.at or HOURS:
        print(f"== {name}: {HOURS[name]} UTC", flush=True)
        with shared({**os.environ, **shifted(HOURS[name], preload=preload)}) as environ:
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
            if subprocess.run(command, env=environ, check=False).returncode:  # noqa: S603 - ourselves
                failed.append(name)
    print(f"failed at: {', '.join(failed)}" if failed else "green at every hour")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
