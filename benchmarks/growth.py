"""What a long life costs each command: `python -m benchmarks.growth [--candidates 1000000]`.

One database has the candidates, a fifth as many posts, two fifths deliveries, as many calls and
three tenths runs of two years; the other one a thousandth of it. Each command runs in both in turn,
without the start of a process, and the medians are compared. Promise: at most 1.2 x.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.server import own_postgres
from botticelli.store.connection import connect
from botticelli.store.schema import apply_schema
from botticelli.store.session import DatabaseSession
from tests.clock import NOON, PinnedClock, at
from tests.commandline import Botticelli
from tests.grown import SETTINGS, fill, open_work

LINES = (
    "status",
    "health",
    "post",
    "post --dry-run",
    "generate",
    "generate --dry-run",
    "review --list",
    "review --view rejected --list",
    "runs",
    "logs {run}",
    "budget",
    "metrics",
    "deliveries",
    "content list potential_discord_posts",
    "content list potential_discord_posts --status posted",
    "trace c{candidate}",
    "doctor",
    "db status",
    "curate",
)


FRESH = """
    INSERT INTO potential_discord_posts (text_content, generated_at, source_narrative)
    SELECT 'Fresh: ' || md5(random()::text) || ' and ' || md5(random()::text), %s, 'feature'
      FROM generate_series(1, 10)
"""


def prepare(url: str, folder: Path, candidates: int) -> tuple[Botticelli, dict[str, int]]:
    """Fill a database; return the command line on it, and ids that the lines name."""
    folder.mkdir()
    (folder / "botticelli.toml").write_text(SETTINGS, encoding="utf-8")
    run = Botticelli(folder)
    run.environ["DATABASE_URL"] = url
    run.clock = PinnedClock()
    with connect(url) as conn:
        assert isinstance(conn, DatabaseSession)
        apply_schema(conn)
        conn.statement_timeout = None  # we wait as long as it takes
        conn.execute("SET statement_timeout = 0")
        at(conn, NOON)
        fill(conn, candidates)
        conn.execute(
            "INSERT INTO potential_discord_posts (text_content) VALUES ('the first of all')"
        )
        for line in ("post", "curate"):  # the posts of the window are read once
            run(line)
        open_work(conn)
        found = conn.execute(
            "SELECT max(run_id), max(id) FROM potential_discord_posts"
            " WHERE review_status = 'posted' AND run_id IS NOT NULL"
        ).fetchone()
    assert found is not None
    return run, {"run": found[0], "candidate": found[1]}


def milliseconds(run: Botticelli, line: str) -> float:
    """Return how long a command took; `curate` judges ten candidates each time."""
    if line == "curate":
        with connect(run.environ["DATABASE_URL"]) as conn:
            conn.execute(FRESH, (NOON,))
    began = time.perf_counter()
    run(line)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Print a row for each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with own_postgres() as url, tempfile.TemporaryDirectory() as home:
        with connect(url) as conn:
            conn.execute("CREATE DATABASE small")
        small_url = url.replace("/botticelli?", "/small?")
        began = time.monotonic()
        small = prepare(small_url, Path(home, "small"), max(1000, given.candidates // 1000))
        full = prepare(url, Path(home, "full"), given.candidates)
        print(f"filled in {time.monotonic() - began:.0f} s, never analyzed by us")
        for line in LINES:
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(given.rounds):
                for taken, (run, ids) in zip(times, (small, full), strict=True):
                    taken.append(milliseconds(run, line.format(**ids)))
            few, many = map(statistics.median, times)
            print(f"{line:<55} {few:8.1f} ms {many:8.1f} ms   {many / few:.2f}", flush=True)


if __name__ == "__main__":
    main()
