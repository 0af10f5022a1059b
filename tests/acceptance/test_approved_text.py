"""What is approved is what is sent: whoever changes a text by SQL has it approved again."""

# ruff: noqa: E501 - a case is a line

import json
from pathlib import Path

import pytest

from botticelli.config.model import Config, DatabaseConfig
from botticelli.store.curation import choice, reviews
from botticelli.store.curation.choice import Choice
from tests.database import approved, candidate, insert
from tests.posting import to_discord

NEW = "Bought by SQL"


@pytest.fixture
def command(botticelli, db_url, discord):
    botticelli.config = Config(
        database=DatabaseConfig(url=db_url, folder=Path("unused")),
        destinations={"news": to_discord(discord)},
    )
    return botticelli


def by_person(db, id_):
    reviews.decide(db, [id_], "approve", by="ann")


def by_curate(db, id_):
    db.execute("UPDATE potential_discord_posts SET judged_at = now(), curation_score = 40")
    choice.settle_choice(db, Choice(best=[id_]), by="auto")


@pytest.fixture(params=[by_person, by_curate])
def one(request, db):
    """A candidate whose approved post somebody has changed by SQL."""
    id_ = candidate(db, "As it was approved")
    request.param(db, id_)
    db.execute("UPDATE approved_discord_posts SET text_content = %s", (NEW,))
    return id_


def test_a_changed_text_is_not_sent(db, discord, command, one):
    for _ in range(2):
        ended = command("post --now")
        assert ended.code == 0, ended.err

    assert discord.contents() == []
    held = json.loads(command("deliveries held --json").out)["deliveries"]
    assert [each["text"] for each in held] == [NEW]
    assert "changed after it was approved" in held[0]["last_error"]
    assert "`botticelli approve p1`" in held[0]["last_error"]


@pytest.mark.parametrize(
    "line",
    [
        "review --list", "trace {id}", "trace p1", "post --dry-run", "content list approved_discord_posts",
        "content show approved_discord_posts 1",
    ],
)  # fmt: skip
def test_the_text_that_would_be_sent_is_shown_everywhere(command, one, line):
    ended = command(line.format(id=one))

    assert NEW in ended.out, ended.err
    assert "changed" in ended.out or line.startswith("content list")


def test_who_approves_it_again_sends_it(db, discord, command, one):
    command("post --now")

    ended = command("approve p1 --by Eve")
    command("post --now")

    assert ended.out == f"approved c{one} as p1: {NEW}\n"
    assert discord.contents() == [NEW]
    [found] = reviews.find_candidates(db, [one])
    assert (found.text_content, found.history[-1]["by"]) == (NEW, "Eve")


def test_undo_of_that_approval_holds_it_back_again(discord, command, one):
    command(f"approve {one}")
    undone = command(f"undo {one}")

    assert undone.out == f"changed again c{one} as p1: {NEW}\n"
    command("post --now")
    assert discord.contents() == []


@pytest.mark.parametrize("line", ["reject {id}", "hold {id}"])
def test_it_can_be_turned_down(db, discord, command, one, line):
    assert command(line.format(id=one)).code == 0
    command("post --now")

    assert discord.contents() == []
    assert reviews.find_candidates(db, [one])[0].text_content == NEW


def test_an_edit_is_an_approval_of_what_it_makes(db, discord, command, one):
    command(["edit", f"c{one}", "--text", "By hand"])
    command("post --now")

    assert discord.contents() == ["By hand"]


def test_the_candidates_own_row_changes_nothing_that_was_approved(db, discord, command):
    id_ = candidate(db, "approved")
    by_person(db, id_)
    db.execute("UPDATE potential_discord_posts SET text_content = %s", (NEW,))

    shown = command(f"trace {id_}").out
    command("post --now")

    assert "its own row has another text; the post's is sent" in shown
    assert discord.contents() == ["approved"]


def test_what_is_changed_before_the_approval_is_what_is_approved(db, discord, command):
    id_ = candidate(db, "before")
    db.execute("UPDATE potential_discord_posts SET text_content = %s", (NEW,))

    assert NEW in command(f"approve {id_}").out
    command("post --now")

    assert discord.contents() == [NEW]


def test_rows_without_a_hash_are_sent(db, discord, command):
    """They are older than the hash, or came in by SQL: nobody approved another text."""
    approved(db, "by SQL")
    db.execute("UPDATE approved_discord_posts SET text_content = 'by SQL, changed'")

    command("post --now")

    assert discord.contents() == ["by SQL, changed"]


def test_edit_and_approve_are_one_step(db, discord, command):
    id_ = candidate(db, "teh text")

    ended = command(["edit", f"c{id_}", "--text", "the text", "--approve", "--by", "Eve"])

    assert ended.out == f"approved c{id_} as p1: the text\n"
    [found] = reviews.find_candidates(db, [id_])
    assert [(each["event"], each["by"]) for each in found.history] == [
        ("edit", "Eve"), ("approve", "Eve"),
    ]  # fmt: skip


def test_an_approval_tries_again_what_the_rules_held(db, discord, command):
    id_ = candidate(db, "@everyone look")
    command(f"approve {id_}")
    command("post --now")
    assert "mentions" in command(f"trace {id_}").out
    assert (
        "mentions"
        in json.loads(command("review --view approved --json").out)["candidates"][0]["why"]
    )

    command(["edit", f"c{id_}", "--text", "look", "--approve"])
    command("post --now")

    assert discord.contents() == ["look"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("approve d1", "'d1' is a delivery, not a candidate; `botticelli trace d1` names its candidate"),
        ("deliveries show c1", "'c1' is a candidate, not a delivery"),
        ("withdraw p1 --yes", "'p1' is a post, not a delivery"),
        ("undo x", "'x' is not the id of a candidate; write it as 12 or c12"),
        ("reject p77", "there is no post 77"),
        ("approve p1", "post 1: it came in by SQL and has no candidate"),
        ("edit d1 --text x", "delivery 1: it is pending, not posted; what is not sent yet: `botticelli edit p1`"),
        ("edit d1 --text x --approve", "--approve and --alt are for candidates"),
    ],
)  # fmt: skip
def test_ids_of_another_kind_are_told(db, command, line, words):
    post = approved(db, "text")
    insert(db, "deliveries", post_id=post, destination="news")

    ended = command(line)

    assert ended.code == 2
    assert words in ended.err
    assert len(ended.err.splitlines()) == 1


def test_status_counts_the_changed(command, one):
    assert json.loads(command("status --json").out)["changed"] == 1
    assert "1 text changed after approval" in command("status").out


def test_content_takes_ids_as_the_other_commands_do(command, one):
    ids = [f"potential_discord_posts c{one}", "approved_discord_posts p1"]
    shown = [command(f"content show {each}") for each in ids]
    wrong = command("content show approved_discord_posts c1")

    assert [each.code for each in shown] == [0, 0]
    assert (wrong.code, "a candidate, not a post" in wrong.err) == (2, True)
    assert command("content show narrative_state c1").code == 2
