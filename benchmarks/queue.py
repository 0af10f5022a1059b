"""Claims and settlements of the queue beside a queue library: `python -m benchmarks.queue`.

Promise: five times as many claims as procrastinate does jobs a second, on the same server, in turn,
each by one process with work that does nothing; and as many at the end of a long batch as at its
begin. A settlement waits for the disk, as a job of procrastinate does twice.
"""

import argparse
import asyncio
import importlib.util
import statistics
import time
from datetime import timedelta

from benchmarks.server import own_postgres
from botticelli.store.connection import Connection, connect
from botticelli.store.generation import batches, items
from botticelli.store.queue import ITEMS, settling

LEASE = timedelta(minutes=1)


def drain(conn: Connection, batch_id: int, *, most: int) -> tuple[float, float]:
    """Claim that many items, then settle them; return how many claims, and both, a second."""
    began = time.perf_counter()
    claimed = [items.claim(conn, batch_id, owner="bench", lease=LEASE) for _ in range(most)]
    between = time.perf_counter()
    for item in claimed:
        assert item is not None
        with settling(conn, ITEMS, claims=[item.claim]):
            assert items.settle_done(conn, item)
    return most / (between - began), most / (time.perf_counter() - began)


def peer(url: str, *, jobs: int) -> float:
    """Return how many jobs that do nothing procrastinate does a second."""
    import procrastinate

    async def work() -> float:
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

        @app.task
        async def nothing() -> None:
            pass

        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            await nothing.batch_defer_async(*({} for _ in range(jobs)))
            began = time.perf_counter()
            await app.run_worker_async(wait=False, concurrency=1, install_signal_handlers=False)
            return jobs / (time.perf_counter() - began)

    return asyncio.run(work())


def main() -> None:
    """Print a line for the queue, and one for the library if it is installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    has_peer = importlib.util.find_spec("procrastinate") is not None
    if not has_peer:
        print("pip install procrastinate, to compare with it")
    ours: list[tuple[float, float]] = []
    ratios: list[float] = []
    with own_postgres() as url, connect(url) as conn:
        part = given.items // given.rounds
        todo = [("bench", number) for number in range(1, given.items + 1)]
        batch = batches.plan(conn, "bench.queue", items=todo, options={})
        for number in range(given.rounds):
            ours.append(drain(conn, batch.id, most=part))
            if has_peer:
                with connect(url) as other:
                    name = f"peer_{number}"
                    other.execute(f"CREATE DATABASE {name}")
                theirs = peer(url.replace("/botticelli?", f"/{name}?"), jobs=part)
                ratios.append(ours[-1][0] / theirs)
    claims, both = (statistics.median(each) for each in zip(*ours, strict=True))
    print(f"{given.items} items: {claims:.0f} claims a second, {both:.0f} with their settlement,")
    print(f"  {ours[0][0]:.0f} claims a second in the first part, {ours[-1][0]:.0f} in the last")
    if ratios:
        print(f"  {statistics.median(ratios):.1f} x the jobs of procrastinate")


if __name__ == "__main__":
    main()
