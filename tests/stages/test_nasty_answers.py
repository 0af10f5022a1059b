"""Whatever a model says is stored, or kept whole with the reason; and it is counted."""

import json
from contextlib import suppress

import pytest

from botticelli.errors import BotticelliError, Exit
from botticelli.stages.curate.stage import curate
from botticelli.stages.generate.plan import GenerateRequest
from botticelli.stages.generate.stage import generate
from tests.database import candidate
from tests.narrative.nasty import READ, REFUSED
from tests.pipeline import NO_RETRY, WRITER

NARRATIVES = """
    [narrative.posts]
    target = "potential_discord_posts"
    toc = ["write"]
    [narrative.facts]
    toc = ["write"]
    [narrative.facts.acts.write]
    extract_output = true
    prompt = "Facts."
    [narrative.story]
    target = "potential_discord_posts"
    toc = ["think", "write"]
    [narrative.bound]
    target = "potential_discord_posts"
    toc = ["bound"]
    [schemas.post]
    type = "object"
    required = ["text_content"]
    [acts.bound]
    schema = "post"
    prompt = "Write."
    [acts]
    think = "Think."
    write = "Write."
"""


@pytest.fixture
def said(db, stages, gemini):
    """`said("facts", answer)` has the model say that, and returns what generate reports."""
    stages.write(NARRATIVES, "nasty.toml")
    stages.settings("models", default=(WRITER,))
    stages.settings("generate", retry=NO_RETRY)

    def generate_from(name, answer):
        gemini.responder = lambda _call: answer
        request = GenerateRequest(narrative=f"nasty.{name}", iterations=1)
        return generate(stages.context(db), request=request)

    return generate_from


def kept(db):
    return db.execute("SELECT state, response, error FROM act_executions ORDER BY id").fetchall()


def row_of(db, table, columns):
    """Every row as the model gave it: columns, and what is kept beside them."""
    rows = []
    for values in db.execute(f"SELECT to_jsonb(t) FROM {table} AS t ORDER BY id").fetchall():
        whole = {**values[0], **values[0]["extra"]}
        rows.append({key: whole[key] for key in columns})
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("table", ["potential_discord_posts", "facts"])
@pytest.mark.parametrize("name", READ)
def test_what_can_be_read_becomes_rows(db, said, name, table):
    answer, rows = READ[name]

    report = said("facts" if table == "facts" else "posts", answer)

    assert (report.failed, report.exit_code) == (0, Exit.DONE)
    for row, expected in zip(row_of(db, table, rows[0].keys()), rows, strict=True):
        assert json.dumps(row, sort_keys=True) == json.dumps(expected, sort_keys=True)
    assert kept(db) == [("done", answer, None)]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_kept_with_the_reason_and_counted(db, said, name):
    answer, reason = REFUSED[name]

    report = said("posts", answer)

    assert (report.stored, report.failed, report.exit_code) == (0, 1, Exit.FAILED)
    assert report.calls == 2  # it was asked once more
    for state, response, error in kept(db):
        assert (state, response) == ("unusable", answer)
        assert reason in error
    assert db.execute("SELECT count(*) FROM potential_discord_posts").fetchone() == (0,)
    failed = db.execute("SELECT state, last_error FROM generation_items").fetchone()
    assert failed[0] == "failed"
    assert reason in failed[1]


def test_what_no_text_can_hold_goes_on_to_the_next_act_and_into_the_table(db, said, gemini):
    said("story", json.dumps({"text_content": "a\ud83d\0b"}))

    [(text,)] = db.execute("SELECT text_content FROM potential_discord_posts").fetchall()
    assert text == "a?\ufffdb"
    assert len(gemini.calls) == 2


@pytest.mark.parametrize("name", REFUSED)
def test_where_a_schema_is_asked_for_no_answer_ends_in_a_traceback(db, said, name):
    report = said("bound", REFUSED[name][0])

    assert (report.stored, report.failed) == (0, 1)
    assert db.execute("SELECT last_error FROM generation_items").fetchone()[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_nothing_that_a_judge_says_ends_in_a_traceback_or_in_an_approval(db, stages, gemini, name):
    stages.settings("curate", retry=NO_RETRY)
    gemini.responder = lambda _call: REFUSED[name][0]
    candidate(db, "A post that is long enough to be judged. What do you think of it?")

    with suppress(BotticelliError):
        curate(stages.context(db), drain=False)

    assert db.execute("SELECT count(*) FROM act_executions").fetchone()[0] > 0
    assert db.execute("SELECT count(*) FROM approved_discord_posts").fetchone() == (0,)
