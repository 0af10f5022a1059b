"""`trace`: the whole life of a post, found by any of its names."""

import json
from textwrap import dedent

import pytest

from botticelli.cli.reports.trace import reference
from botticelli.errors import UsageError
from botticelli.store.curation import reviews
from botticelli.store.curation.judging import CRITERIA
from tests.database import approved, candidate
from tests.fakes.gemini import FakeGemini
from tests.pipeline import NARRATIVE

SETTINGS = """
    [curate]
    samples = 2

    [destinations.news]
    platform = "discord"
    channel = "{channel}"
    base_url = "{api}"
"""


def answers(call):
    """What the writer says, and what the judge."""
    if call.schema is None:
        return f"draft for {call.prompt[:20]}"
    if "scores" not in call.schema["properties"]:
        return {"text_content": f"A post about {call.prompt[:9]} and oars", "content_type": "x"}
    ids = call.schema["properties"]["scores"]["items"]["properties"]["id"]["enum"]
    return {
        "scores": [
            {
                "id": id_,
                "reasons": "it says oars",
                **dict.fromkeys(CRITERIA, 8),
                "notes": "keep",
                "clean": True,
            }
            for id_ in ids
        ]
    }


@pytest.fixture
def command(botticelli, db, tmp_path, discord):
    with FakeGemini(responder=answers) as gemini:
        botticelli.environ |= {
            "GEMINI_API_KEY": gemini.key,
            "GOOGLE_GEMINI_BASE_URL": gemini.url,
            "DISCORD_TOKEN": discord.token,
            "LOGNAME": "ann",
        }
        (tmp_path / "carousel.toml").write_text(dedent(NARRATIVE))
        settings = SETTINGS.format(channel=discord.channel, api=discord.api)
        (tmp_path / "botticelli.toml").write_text(dedent(settings))
        yield botticelli


@pytest.fixture
def published(command, db):
    """A candidate that was written, judged, edited and published."""
    assert command("generate carousel.feature --iterations 1").code == 0
    assert command("curate --drain").code == 0
    [(id_,)] = db.execute("SELECT id FROM potential_discord_posts").fetchall()
    reviews.edit(db, id_, text="A post about oars, edited", by="bob@desk")
    ended = command("post")
    assert ended.code == 0, ended.err
    return id_


def test_a_person_reads_the_whole_life(command, db, published):
    ended = command(f"trace {published}")

    assert ended.code == 0, ended.err
    [(url,)] = db.execute("SELECT remote_url FROM deliveries").fetchall()
    for fact in (
        f"candidate {published} is posted",
        "A post about oars, edited",
        "feature.draft_feature 1: done, gemini-3.5-flash-lite, ",
        "feature.refine 1: done, ",
        "prompt: ",
        "Draft feature 1",
        "in all 2 calls, ",
        "judged by gemini-3.8-flash: 40 of 50",
        "reasons: it says oars",
        "curate_and_approve.score 1: done",
        "by auto",
        "edit by bob@desk it was: A post about",
        "to 'news' is posted",
        f"link: {url}",
        "tries: 1",
        "posted: ",
    ):
        assert fact in ended.out, fact


def test_the_message_s_address_leads_to_the_same(command, db, published):
    [(url, remote_id, delivery, post)] = db.execute(
        "SELECT remote_url, remote_id, id, post_id FROM deliveries"
    ).fetchall()
    whole = command(f"trace {published}").out

    for name in (url, f"{url}?x=1", remote_id, f"delivery:{delivery}", f"post:{post}"):
        assert command(["trace", name]).out == whole


def test_json_holds_prompts_answers_tokens_and_cost(command, published):
    life = json.loads(command(f"trace {published} --json").out)

    assert [call["act"] for call in life["writing"]] == ["draft_feature", "refine"]
    assert "Draft feature 1" in life["writing"][0]["prompt"]
    assert all(call["input_tokens"] > 0 and call["cost_usd"] > 0 for call in life["writing"])
    assert life["tokens"] > 0
    assert life["cost_usd"] == pytest.approx(sum(call["cost_usd"] for call in life["writing"]))
    assert len(life["judging"]) == 2
    assert life["deliveries"][0]["state"] == "posted"


def test_full_shows_prompts_whole(command, published):
    beginnings, whole = command(f"trace {published}").out, command(f"trace {published} --full").out

    assert "publishing none of them is a good result" in whole
    assert "publishing none of them is a good result" not in beginnings


def test_a_post_that_came_in_by_sql_has_a_life_of_its_own(command, db):
    post = approved(db, text="by hand")

    ended = command(f"trace post:{post}")

    assert ended.out.startswith(f"post {post} is pending; it came in by SQL\n\nby hand\n")


def test_the_text_is_the_candidates_again_when_approval_and_edit_are_undone(command, db):
    id_ = candidate(db, "As it was written.")
    command(["edit", f"c{id_}", "--text", "As it was edited.", "--approve"])
    assert command(f"trace {id_}").out.splitlines()[2] == "As it was edited."

    command(f"undo {id_}")
    command(f"undo {id_}")

    assert command(f"trace {id_}").out.splitlines()[2] == "As it was written."


def test_a_candidate_that_nobody_has_looked_at(command, db):
    id_ = candidate(db, "just written")

    assert command(f"trace {id_}").out.startswith(f"candidate {id_} is pending\n\njust written\n")


def test_what_is_not_there_is_told_in_a_line(command):
    ended = command("trace 4711")

    assert ended.code == 2
    assert ended.err.startswith("botticelli: no post is known by candidate 4711; see ")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("12", ("candidate", "12")),
        ("#12", ("candidate", "12")),
        ("post:5", ("post", "5")),
        ("delivery 7", ("delivery", "7")),
        ("1234567890123456789", ("message", "1234567890123456789")),
        ("https://discord.com/channels/1/2/345", ("message", "345")),
        ("https://discord.com/channels/1/2/345/", ("message", "345")),
    ],
)
def test_a_name_is_understood(text, meant):
    assert reference(text) == meant


@pytest.mark.parametrize("text", ["", "x", "post:", "post:99999999999999999999", "https://a", "-1"])
def test_what_is_no_name_is_told(text):
    with pytest.raises(UsageError, match="not an id or the address"):
        reference(text)


@pytest.mark.parametrize("line", ["trace 1", "content list potential_discord_posts"])
def test_what_a_model_wrote_cannot_speak_to_the_terminal(botticelli, db, db_url, line):
    botticelli.environ |= {"DATABASE_URL": db_url, "NO_COLOR": "1"}
    candidate(db, "harmless \x1b]0;renamed\x07 words")

    shown = botticelli(line, terminal=True).out

    assert "\x1b]" not in shown
    assert "harmless \N{MIDDLE DOT}]0;" in " ".join(shown.split())
