"""Prompts are stored once, read as they were, and freed with the last call that has them."""

from pathlib import Path

from botticelli.config.operations import RetentionConfig
from botticelli.store.connection import connect
from botticelli.store.maintenance.retention import prune, sizes, tidy
from botticelli.store.schema import apply_schema

CONTEXT = "\n\n".join(f"{n}. What we are about, and whom we write for." * 9 for n in range(40))
INSERT = (
    "INSERT INTO act_executions (narrative, act_name, sequence_number, inputs_digest, state,"
    " response, prompt, created_at)"
    " VALUES ('n', 'a', 0, 'd', 'done', 'r', %s, now() - %s::interval)"
    " RETURNING id, iteration, prompt"
)
SIZE = "SELECT coalesce(sum(length(text)), 0) FROM prompt_parts"


def test_what_many_prompts_share_is_stored_once_and_each_reads_as_it_was(db):
    prompts = [f"[user]\n{CONTEXT}\n\n[user]\nPost {n}, please.\n\n\n\n" for n in range(30)]
    prompts += ["", "\n\n", "one line", "\n\n\n\n\n\n"]

    made = [db.execute(INSERT, (prompt, "0 days")).fetchone() for prompt in prompts]

    assert [(iteration, prompt) for _, iteration, prompt in made] == [(1, p) for p in prompts]
    rows = db.execute("SELECT prompt FROM act_executions ORDER BY id").fetchall()
    assert [row[0] for row in rows] == prompts
    assert db.execute(SIZE).fetchone()[0] < 2 * len(CONTEXT)


def test_prune_frees_what_no_call_has_any_more(db):
    for prompt, age in ((f"{CONTEXT}\n\nold", "500 days"), (CONTEXT, "1 day")):
        db.execute(INSERT, (prompt, age))
    assert sum(one.prunable_bytes for one in sizes(db, RetentionConfig())) > 0

    assert prune(db, "act_executions", days=180) == 1
    tidy(db, days=180, batch=1)

    assert db.execute("SELECT prompt FROM act_executions").fetchall() == [(CONTEXT,)]
    assert db.execute(SIZE).fetchone()[0] <= len(CONTEXT)


def test_prompts_of_an_earlier_version_move_in_steps_that_may_be_broken_off(empty_url):
    version_5 = Path(__file__).parent / "schemas/version_5.sql"
    with connect(empty_url) as conn:
        conn.execute(version_5.read_bytes())
        prompts = [f"{CONTEXT}\n\n{n}" for n in range(7)]
        for prompt in prompts:
            conn.execute(INSERT.replace("iteration, prompt", "iteration"), (prompt, "0 days"))
        conn.execute("GRANT SELECT ON act_executions TO public")
        apply_schema(conn)
        for _ in range(2):
            found = conn.execute("SELECT prompt FROM act_executions ORDER BY id").fetchall()
            assert [row[0] for row in found] == prompts
            tidy(conn, days=180, batch=2)
        may = "SELECT has_table_privilege('public', 'act_executions', 'SELECT')"
        assert conn.execute(may).fetchone() == (True,)
        assert conn.execute("SELECT count(prompt) FROM model_calls").fetchone() == (0,)
