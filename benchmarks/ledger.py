"""What reserve + settle cost: `python -m benchmarks.ledger [--seconds 5] [--processes 8]`.

Promise: 800 pairs/s alone, and 800 with 8 processes on one model.
"""

import argparse
import statistics
import time
from decimal import Decimal

from benchmarks.server import in_processes, own_postgres
from botticelli.store import ledger
from botticelli.store.connection import connect
from botticelli.store.ledger import Allowance, CallRequest, Window

ROOMY = Allowance(rpm=10**6, tpm=10**9, rpd=10**8)


def pairs(number: int, url: str, *, key: str, seconds: float) -> list[float]:
    """Reserve and settle for `seconds`; return how long each pair took."""
    took = []
    with connect(url) as conn:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.perf_counter()
            asked = CallRequest(
                key=key, waiter=f"{number}:{len(took)}", owner="bench", estimate=500
            )
            booking = ledger.reserve(conn, asked, allowance=ROOMY, window=Window())
            assert booking.seq is not None
            ledger.settle(conn, asked, seq=booking.seq, tokens=480, cost=Decimal("0.0001"))
            took.append(time.perf_counter() - began)
    return took


def main() -> None:
    """Print a line for one process and one for many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--processes", type=int, default=8)
    given = parser.parse_args()
    with own_postgres() as url:
        for count in (1, given.processes):
            found = in_processes(_work, url, f"gemini/bench-{count}", given.seconds, count=count)
            took = [one for part in found for one in part]
            print(
                f"{count} processes: {len(took) / given.seconds:.0f} pairs/s,"
                f" median {1000 * statistics.median(took):.2f} ms,"
                f" p95 {1000 * statistics.quantiles(took, n=20)[-1]:.2f} ms"
            )


def _work(number: int, url: str, key: str, seconds: float) -> list[float]:
    return pairs(number, url, key=key, seconds=seconds)


if __name__ == "__main__":
    main()
