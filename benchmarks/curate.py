"""What judging costs beside the model: `python -m benchmarks.curate [--candidates 10000]`.

Promises: the judge is called ceil(n / batch) times and not once more, memory is flat while judging,
and the project's own time for a candidate is told next to that of the SQL that it needs. The model
is a Gemini-like server over loopback, in a process of its own, that answers at once.
"""

import argparse
import multiprocessing
import os
import random
import resource
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg

from benchmarks.server import own_postgres
from botticelli.stages.curate.stage import CurateReport, curate
from botticelli.store import ledger
from botticelli.store.connection import connect
from botticelli.store.curation import judging
from botticelli.store.curation.judging import CRITERIA, Scored
from botticelli.store.generation import executions
from botticelli.store.generation.executions import Attempt
from botticelli.store.ledger import Allowance, CallRequest, Window
from tests.fakes.gemini import FakeGemini
from tests.pipeline import JUDGE, Stages, models_at

WORDS = 60  # of a post: some 450 characters
LEASE = timedelta(minutes=1)
ROOMY = Allowance(rpm=10**6, tpm=10**9, rpd=10**8)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Megabytes in use when a share of the candidates was judged."""

    early: float
    late: float


def judge(call: Any) -> Any:
    """Score what is asked about; the total depends on the id."""
    ids = call.schema["properties"]["scores"]["items"]["properties"]["id"]["enum"]
    return {
        "scores": [
            {
                "id": id_,
                "reasons": "It says what it is about in the first line, and asks for one story.",
                **dict.fromkeys(CRITERIA, 4 + int(id_) % 6),
                "notes": "Clear, and with something to answer.",
            }
            for id_ in ids
        ]
    }


def serve(pipe: Pipe) -> None:
    """Be the model until told to end; then tell how often it was called."""
    count = [0]

    def respond(call: Any) -> Any:
        count[0] += 1
        return judge(call)

    with FakeGemini(responder=respond, keep=1) as fake:
        pipe.send((fake.url, fake.key))
        pipe.recv()
        pipe.send(count[0])


def fill(conn: psycopg.Connection, candidates: int) -> None:
    """Leave exactly that many pending candidates, no two alike."""
    chance = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choices(letters, k=chance.randint(3, 10))) for _ in range(5000)]
    conn.execute("TRUNCATE potential_discord_posts CASCADE")
    with (
        conn.cursor() as cursor,
        cursor.copy("COPY potential_discord_posts (text_content) FROM STDIN") as rows,
    ):
        for _ in range(candidates):
            rows.write_row((" ".join(chance.choices(words, k=WORDS)),))
    conn.execute("ANALYZE potential_discord_posts")


def megabytes() -> float:
    """Return how much memory this process uses now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_seconds() -> float:
    """Return the processor time of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def drain(url: str, folder: Path, model: Any) -> tuple[CurateReport, Memory]:
    """Judge all that is pending, as `curate --drain` does."""
    stages = Stages(url, folder, models_at(model, max_concurrent=4))
    stages.settings("curate", ranking=False)
    seen: list[tuple[float, float]] = []
    with connect(url) as conn:
        report = curate(
            stages.context(conn),
            drain=True,
            watch=lambda done, total: seen.append((done / total, megabytes())),
        )
    return report, Memory(
        early=max(used for share, used in seen if share < 0.2),
        late=seen[-1][1],
    )


def bare_sql(url: str, *, batch: int) -> float:
    """Do what the database is asked for, and nothing else; return the seconds it took."""

    began = time.monotonic()
    with connect(url) as conn:
        while claimed := judging.claim_batch(conn, owner="bare", limit=batch, lease=LEASE):
            asked = CallRequest(key=f"gemini/{JUDGE}", waiter="bare", owner="bare", estimate=5000)
            booking = ledger.reserve(conn, asked, allowance=ROOMY, window=Window())
            executions.insert(conn, ATTEMPT)
            assert booking.seq is not None
            ledger.settle(conn, asked, seq=booking.seq, tokens=4800, cost=Decimal("0.001"))
            judging.store_scores(
                conn,
                [scored(one.id) for one in claimed],
                claims=[one.claim for one in claimed],
                judge_model=JUDGE,
            )
    return time.monotonic() - began


def scored(id_: int) -> Scored:
    """Return scores of the size that a judge gives."""
    points = dict.fromkeys(CRITERIA, 7)
    sample = {"points": points, "reasons": "r" * 70, "notes": "n" * 40, "execution": 1, "seed": 1}
    facts = {"reasons": "r" * 70, "fails": [], "spread": 0, "samples": [sample]}
    return Scored(id=id_, text="", points=points, total=35, notes="n" * 40, judging=facts)


ATTEMPT = Attempt(
    run_id=None,
    item_id=None,
    narrative="curate_and_approve",
    iteration=1,
    act_name="score",
    sequence_number=0,
    attempt=1,
    inputs_digest="d" * 64,
    prompt="p" * 8000,
    state="done",
    provider="gemini",
    model=JUDGE,
    response="r" * 3000,
)


def main() -> None:
    """Print calls, times and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=10_000)
    given = parser.parse_args()
    os.environ["NO_PROXY"] = "127.0.0.1"
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    address, key = ours.recv()
    with own_postgres() as url, tempfile.TemporaryDirectory() as folder, connect(url) as conn:
        fill(conn, given.candidates)
        before = cpu_seconds()
        report, memory = drain(url, Path(folder), SimpleNamespace(url=address, key=key))
        own = cpu_seconds() - before
        ours.send("end")
        calls = ours.recv()
        fill(conn, given.candidates)
        sql = bare_sql(url, batch=10)
    least = -(-given.candidates // 10)
    print(f"{report.judged} judged, {report.set_aside} set aside, {len(report.approved)} approved")
    print(f"{calls} calls to the judge; ceil(n / 10) is {least}")
    each = 1000 / given.candidates
    print(
        f"own processor time {own * each:.2f} ms a candidate, wall {report.seconds * each:.2f} ms;"
        f" bare SQL {sql * each:.2f} ms"
    )
    print(f"memory: {memory.early:.0f} MB in the first fifth, {memory.late:.0f} MB in the last")


if __name__ == "__main__":
    main()
