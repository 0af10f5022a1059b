"""The desk's pages over a large database: `python -m benchmarks.desk [--posts 100000]`.

A desk is served as a process of its own over 140,000 candidates of 700 days, 10,000 open ones,
100,000 posts and 140,000 calls. Each page is asked for again and again, then by eight readers at
once. Promise: a warm page takes at most 200 ms, and the desk at most 80 MB.
"""

import argparse
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.server import own_postgres
from botticelli.store.connection import connect
from botticelli.store.desk import keys

PAGES = (
    "/review",
    "/review?view=posted",
    "/review?q=studio",
    "/calendar",
    "/calendar?to=file",
    "/analytics",
    "/analytics?days=90",
    "/analytics?days=365",
    "/themes",
    "/stages",
    "/calendar.ics?key={feed}",
    "/posts.atom?key={feed}",
    "/health",
)
SETTINGS = """
[models]
default = "offline"
judge = "offline"
[destinations.file]
platform = "outbox"
folder = "outbox"
min_interval_minutes = 120
time_zone = "Europe/Vienna"
"""
# {n} posts over 700 days, and 1.4 candidates and calls for each; {open} of them wait for a person.
FILL = """
    INSERT INTO model_calls (narrative, act_name, sequence_number, inputs_digest, state, provider,
                             model, response, input_tokens, output_tokens, cost_usd, created_at)
    SELECT 'feature', 'draft', 0, md5(i::text), 'done', 'offline', 'offline', repeat('Answer. ', 8),
           900, 200, 0.0001, now() - i * interval '700 days' / ({n} * 1.4)
      FROM generate_series(1, ({n} * 1.4)::int) AS i;
    INSERT INTO potential_discord_posts
           (text_content, review_status, generated_at, source_narrative, generation_model,
            curation_score, judged_at, decided_at, decided_by, content_hash)
    SELECT 'What number ' || i || ' taught us in the studio: ' || md5(i::text)
               || repeat(' word', 40),
           CASE WHEN i <= {open} THEN 'held' WHEN i % 14 < 4 THEN 'rejected' ELSE 'posted' END,
           now() - i * interval '700 days' / ({n} * 1.4), 'feature' || i % 5, 'offline',
           10 + i % 40, now(), now(), CASE WHEN i % 3 = 0 THEN 'anna' ELSE 'auto' END, md5('h' || i)
      FROM generate_series(1, ({n} * 1.4)::int + {open}) AS i;
    INSERT INTO approved_discord_posts
           (candidate_id, text_content, curation_score, selected_at, generated_at, source_narrative,
            review_status, posted_at, approved_by)
    SELECT id, text_content, curation_score, generated_at, generated_at, source_narrative, 'posted',
           generated_at + interval '1 hour', 'auto'
      FROM potential_discord_posts WHERE review_status = 'posted';
    INSERT INTO deliveries (post_id, destination, state, attempts, sent_at, text_sent, remote_id,
                            posted_at, created_at, place)
    SELECT id, 'file', 'posted', 1, posted_at, text_content, id::text, posted_at, selected_at,
           'outbox:file'
      FROM approved_discord_posts;
    INSERT INTO engagement (delivery_id, age, counts)
    SELECT id, '24h', jsonb_build_object('likes', id % 17, 'replies', id % 5)
      FROM deliveries
     WHERE posted_at > now() - interval '1 year';
    INSERT INTO approved_discord_posts (text_content, approved_by, approved_hash)
    SELECT 'Next: ' || i, 'auto', botticelli_text_hash('Next: ' || i)
      FROM generate_series(1, 300) AS i;
    INSERT INTO deliveries (post_id, destination, place)
    SELECT id, 'file', 'outbox:file' FROM approved_discord_posts WHERE review_status = 'pending';
"""


def fill(url: str, posts: int, waiting: int) -> tuple[str, str]:
    """Fill a database; return the keys of a session and of a feed."""
    with connect(url) as conn:
        conn.execute("SET statement_timeout = 0")
        for statement in FILL.format(n=posts, open=waiting).split(";\n"):
            if statement.strip():
                conn.execute(statement)
        conn.execute("VACUUM ANALYZE")
        made = [
            keys.make_key(conn, kind, person="anna", role="admin") for kind in ("session", "feed")
        ]
    return made[0], made[1]


def ask(port: int, path: str, session: str) -> float:
    """Return how many milliseconds a page took."""
    began = time.perf_counter()
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    conn.request("GET", path, headers={"cookie": f"botticelli={session}"})
    answer = conn.getresponse()
    answer.read()
    conn.close()
    assert answer.status in (200, 503), (path, answer.status)
    return (time.perf_counter() - began) * 1000


def megabytes(pid: int) -> float:
    """Return the memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Serve, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--open", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with own_postgres() as url, tempfile.TemporaryDirectory() as folder:
        session, feed = fill(url, given.posts, given.open)
        Path(folder, "botticelli.toml").write_text(SETTINGS, encoding="utf-8")
        port = 8097
        desk = subprocess.Popen(
            [sys.executable, "-m", "botticelli", "desk", "serve", "--listen", f"127.0.0.1:{port}"],
            cwd=folder,
            env={**os.environ, "DATABASE_URL": url},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert desk.stdout is not None
            desk.stdout.readline()
            print(f"idle: {megabytes(desk.pid):.0f} MB")
            for page in PAGES:
                path = page.format(feed=feed)
                took = [ask(port, path, session) for _ in range(given.rounds)][2:]
                print(f"{page:28} {statistics.median(took):7.0f} ms, at most {max(took):.0f}")
            with ThreadPoolExecutor(8) as pool:
                paths = [page.format(feed=feed) for page in PAGES] * 4
                took = list(pool.map(lambda path: ask(port, path, session), paths))
            print(f"8 readers at once: {statistics.median(took):.0f} ms, at most {max(took):.0f}")
            print(f"after all pages: {megabytes(desk.pid):.0f} MB")
        finally:
            desk.terminate()
            desk.wait(20)


if __name__ == "__main__":
    main()
