# ruff: noqa: E501 - SQL as a table
"""A database after a long life: old rows of every kind over two years, and a little open work.

The counts are those of a plan of growth: for 1,000,000 candidates 200,000 posts, 400,000 deliveries,
1,000,000 calls and 300,000 runs. `fill` takes three seconds for 50,000 candidates.
"""

from typing import Final

from tests.clock import NOON

# What happened, as statements with %(n)s old candidates. Row number i happened i steps before noon.
_AGO: Final = (
    "%(noon)s::timestamptz - interval '1 hour' - (%(n)s - i) * %(days)s * interval '1 day' / %(n)s"
)
OLD: Final = (
    f"""
    INSERT INTO runs (stage, state, host, pid, started_at, ended_at, exit_code)
    SELECT (ARRAY['generate', 'curate', 'post'])[1 + i %% 3],
           CASE WHEN i %% 50 = 0 THEN 'failed' ELSE 'done' END, 'host', 1,
           {_AGO}, {_AGO} + interval '5 s', (i %% 50 = 0)::integer
      FROM generate_series(1, %(n)s) AS i
     WHERE i %% 10 < 3
    """,
    """
    INSERT INTO batches (narrative, options, state, run_id, created_at, ended_at)
    SELECT 'short_posts.batch', '{}', 'done', r.id, r.started_at, r.ended_at
      FROM runs AS r WHERE r.stage = 'generate' AND r.id %% 5 = 0
    """,
    """
    INSERT INTO generation_items (batch_id, narrative, iteration, state, created_at, ended_at)
    SELECT b.id, 'feature', i, 'done', b.created_at, b.created_at
      FROM (SELECT id, created_at FROM batches) AS b, generate_series(1, 10) AS i
    """,
    f"""
    INSERT INTO act_executions (run_id, item_id, narrative, act_name, sequence_number, inputs_digest,
                                state, provider, model, response, input_tokens, output_tokens,
                                cost_usd, created_at)
    SELECT r.id, it.id, 'feature', 'draft', i %% 3, md5(i::text),
           CASE WHEN i %% 40 = 0 THEN 'failed' ELSE 'done' END, 'offline', 'offline',
           repeat('An answer. ', 8), 900, 200, 0.0001, {_AGO}
      FROM generate_series(1, %(n)s) AS i
      LEFT JOIN runs AS r ON r.id = 1 + i * 3 / 10
      LEFT JOIN generation_items AS it ON it.id = i / 3
    """,
    f"""
    INSERT INTO potential_discord_posts
           (text_content, content_type, review_status, generated_at, source_narrative, generation_model,
            curation_score, judged_at, decided_at, decided_by, content_hash, run_id, item_id, execution_id, history)
    SELECT 'What number ' || i || ' taught us in the studio: ' || md5(i::text) || md5((i * 7)::text), 'feature',
           CASE i %% 10 WHEN 1 THEN 'posted' WHEN 6 THEN 'posted' WHEN 3 THEN 'approved' ELSE 'rejected' END,
           {_AGO}, 'feature', 'offline', i %% 50, {_AGO}, {_AGO} + interval '1 minute',
           CASE WHEN i %% 10 IN (0, 2, 4, 5, 7) THEN 'eva' ELSE 'auto' END, md5('h' || i), e.run_id, e.item_id, e.id,
           CASE WHEN i %% 10 IN (0, 2, 4, 5, 7)
                THEN jsonb_build_array(jsonb_build_object('at', {_AGO}, 'event', 'reject', 'by', 'eva', 'note', 'too vague'))
                ELSE '[]' END
      FROM generate_series(1, %(n)s) AS i
      LEFT JOIN act_executions AS e ON e.id = i
    """,
    """
    INSERT INTO approved_discord_posts
           (candidate_id, text_content, content_type, curation_score, selected_at, generated_at,
            source_narrative, generation_model, review_status, posted_at, approved_by, approved_hash, run_id)
    SELECT id, text_content, content_type, curation_score, generated_at, generated_at, source_narrative,
           generation_model, CASE WHEN id %% 100 = 1 THEN 'withdrawn' ELSE 'posted' END,
           generated_at + interval '1 hour', 'auto', botticelli_text_hash(text_content), run_id
      FROM potential_discord_posts WHERE review_status = 'posted'
    """,
    """
    INSERT INTO deliveries (post_id, destination, state, attempts, sent_at, text_sent, remote_id, remote_url,
                            posted_at, history, created_at, place)
    SELECT p.id, d.name, CASE WHEN p.id %% 100 = 7 THEN 'withdrawn' ELSE 'posted' END, 1, p.posted_at,
           p.text_content, (9000000000000000 + p.id * 2 + (d.name = 'file')::int)::text, 'https://example.org/' || d.name || p.id, p.posted_at,
           jsonb_build_array(jsonb_build_object('at', p.posted_at, 'event', 'posted')), p.selected_at,
           'outbox:' || d.name
      FROM approved_discord_posts AS p, (VALUES ('file'), ('second')) AS d (name)
    """,
    """
    INSERT INTO engagement (delivery_id, age, due_at, observed_at, reactions, replies, audience)
    SELECT d.id, a.age, d.posted_at + a.after, d.posted_at + a.after, d.id %% 7, d.id %% 3, 100
      FROM deliveries AS d,
           (VALUES ('1h', interval '1 hour'), ('6h', '6 hours'), ('24h', '1 day'), ('72h', '3 days'), ('7d', '7 days')) AS a (age, after)
     WHERE d.posted_at + a.after < %(noon)s
    """,
    """
    INSERT INTO lessons (candidate_id, entry, at, kind, was, note, round, learned_at)
    SELECT id, 1, decided_at, 'rejection', text_content, 'too vague', 1 + id / 50, decided_at
      FROM potential_discord_posts WHERE decided_by = 'eva'
    """,
    """
    INSERT INTO command_audit (at, platform, command, args, narrative, act, decision, outcome)
    SELECT started_at, 'discord', 'messages.send', '{}', 'n', 'a', 'allowed', 'done'
      FROM runs WHERE id %% 10 = 0
    """,
    """
    INSERT INTO content_generations (table_name, narrative_name, run_id, generated_at, completed_at, row_count, status)
    SELECT 'potential_discord_posts', 'feature', id, started_at, ended_at, 1, 'success'
      FROM runs WHERE stage = 'generate'
    """,
    f"""
    INSERT INTO source_items (source, key, url, address, text_key, title, text, found_at, available_at, used_at)
    SELECT 'blog', md5('k' || i), 'https://example.org/' || i, 'example.org/' || i, md5('t' || i),
           'Title ' || i, repeat('Text. ', 20), {_AGO}, 'infinity',
           CASE WHEN i %% 3 = 0 THEN {_AGO} END
      FROM generate_series(1, %(n)s) AS i
    """,
    "INSERT INTO ledger (key) VALUES ('offline/offline') ON CONFLICT DO NOTHING",
    """
    INSERT INTO ledger_grants (key, start_at, tokens, settled_at, owner)
    SELECT 'offline/offline', created_at, 1000, created_at, 'host:1:x' FROM act_executions ORDER BY id
    """,
)
# What waits: the same in a database of any size.
OPEN: Final = (
    """
    INSERT INTO potential_discord_posts (text_content, review_status, generated_at, source_narrative)
    SELECT 'Fresh: ' || md5(i::text) || ' and ' || md5((i + 99)::text), 'pending', %(noon)s, 'feature'
      FROM generate_series(1, 10) AS i
    """,
    """
    INSERT INTO potential_discord_posts (text_content, review_status, generated_at, curation_score, judged_at)
    SELECT 'Held: ' || md5(i::text), 'held', %(noon)s, 40 - i, %(noon)s FROM generate_series(1, 20) AS i
    """,
    """
    INSERT INTO approved_discord_posts (text_content, selected_at, approved_by, approved_hash)
    SELECT 'Next: ' || i, %(noon)s - interval '30 minutes', 'auto', botticelli_text_hash('Next: ' || i)
      FROM generate_series(1, 5) AS i
    """,
    """
    INSERT INTO deliveries (post_id, destination, created_at, place)
    SELECT p.id, d.name, p.selected_at, 'outbox:' || d.name
      FROM approved_discord_posts AS p, (VALUES ('file'), ('second')) AS d (name)
     WHERE p.review_status = 'pending'
    """,
    """
    UPDATE actor_server_state
       SET last_run = %(noon)s - interval '5 minutes', last_success = %(noon)s - interval '5 minutes',
           metadata = jsonb_build_object('destinations', jsonb_build_object(
               'file', %(noon)s - interval '5 minutes', 'second', %(noon)s - interval '5 minutes'))
    """,
    """
    INSERT INTO batches (narrative, options, state, created_at, ended_at)
    VALUES ('generation_carousel.batch_generate', '{}', 'done', %(noon)s - interval '1 hour', %(noon)s)
    """,
)

SETTINGS: Final = """
[models]
default = "offline"
judge = "offline"
[destinations.file]
platform = "outbox"
folder = "outbox"
min_interval_minutes = 120
[destinations.second]
platform = "outbox"
folder = "second"
min_interval_minutes = 120
[retention]
act_executions = 690
runs = 690
rejected_candidates = 690
command_audit = 690
"""


def fill(conn, candidates: int, *, days: int = 700) -> None:
    """Give a database of our schema a past of so many candidates, in so many days."""
    for statement in OLD:
        conn.execute(statement, {"n": candidates, "noon": NOON, "days": days})
    conn.execute("VACUUM row_changes")  # as autovacuum does within a minute


def open_work(conn) -> None:
    """Give it what waits."""
    for statement in OPEN:
        conn.execute(statement, {"noon": NOON})
