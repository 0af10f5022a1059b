# ruff: noqa: E501 - SQL as a table
"""Bytes a candidate, by table: `python -m benchmarks.disk [--days 365] [--posts 50]`.

A project's year: each post is written in three calls, of which most is the same context, and
judged with nine others. The sizes are told before and after `db prune` of what is older than 180
days, and VACUUM, as autovacuum does. Ten projects are ten such databases.
"""

import argparse
from datetime import timedelta

from benchmarks.server import own_postgres
from botticelli.config.operations import RetentionConfig
from botticelli.store.connection import Connection, connect
from botticelli.store.maintenance import retention

CONTEXT = "\n\n".join(
    f"{n}. " + "What we are about, and whom we write for. " * 6 for n in range(30)
)
# Three acts of a post; each asks with the context, and with what was answered before.
CALLS = """
    INSERT INTO act_executions (narrative, act_name, sequence_number, inputs_digest, state, provider,
                                model, prompt, response, input_tokens, output_tokens, created_at)
    SELECT 'feature', 'act' || a, a, md5(p::text || a), 'done', 'gemini', 'flash',
           '[user]' || E'\n' || %(context)s || E'\n\n[user]\nAct ' || a
           || (SELECT coalesce(string_agg(E'\n\n[assistant]\n' || repeat(md5(p::text || b) || ' ', 30), ''), '')
                 FROM generate_series(1, a - 1) AS b),
           repeat(md5(p::text || a) || ' ', 30), 1200, 300, %(day)s
      FROM generate_series(%(first)s::integer, %(last)s::integer) AS p, generate_series(1, 3) AS a
"""
CANDIDATES = """
    INSERT INTO potential_discord_posts (text_content, review_status, generated_at, decided_at, judged_at,
                                         curation_score, content_hash, source_narrative)
    SELECT repeat(md5(p::text) || ' ', 14), CASE WHEN p %% 10 < 3 THEN 'posted' ELSE 'rejected' END,
           %(day)s, %(day)s, %(day)s, p %% 50, md5(p::text) || md5(p::text), 'feature'
      FROM generate_series(%(first)s::integer, %(last)s::integer) AS p
"""


def show(conn: Connection, what: str, candidates: int) -> None:
    """Print the size of each table that takes a hundredth of all, a candidate."""
    conn.execute("VACUUM FULL ANALYZE")  # the size of what is there; a file only grows again
    sizes = retention.sizes(conn, RetentionConfig())
    total = sum(one.size_bytes for one in sizes)
    parts = ", ".join(
        f"{one.name} {one.size_bytes / candidates:.0f}"
        for one in sizes
        if one.size_bytes > total / 100
    )
    print(f"{what:<16} {total / 1e6:7.1f} MB, {total / candidates:6.0f} bytes a candidate: {parts}")


def main() -> None:
    """Print bytes before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--posts", type=int, default=50)
    given = parser.parse_args()
    with own_postgres() as url, connect(url) as conn:
        conn.execute("SET statement_timeout = 0")
        (now,) = conn.execute("SELECT now()").fetchone() or (None,)
        for day in range(given.days):
            first = day * given.posts + 1
            values = {
                "context": CONTEXT, "day": now - timedelta(days=given.days - day),
                "first": first, "last": first + given.posts - 1,
            }  # fmt: skip
            conn.execute(CALLS, values)
            conn.execute(CANDIDATES, values)
        candidates = given.days * given.posts
        whole = conn.execute("SELECT sum(length(prompt)) FROM act_executions").fetchone()
        stored = conn.execute("SELECT sum(length(text)) FROM prompt_parts").fetchone()
        assert whole
        assert stored
        print(f"prompts: {whole[0] / 1e6:.1f} MB as they read, {stored[0] / 1e6:.1f} MB stored")
        show(conn, "a year", candidates)
        for what in retention.STATEMENTS:
            retention.prune(conn, what, days=180)
        retention.tidy(conn, days=180)
        show(conn, "after db prune", candidates)


if __name__ == "__main__":
    main()
