"""Pictures on Discord: a form to the letter, read back, kept in edits."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.platforms.base import Attachment, NotSent, Refused, Unconfirmed
from botticelli.platforms.discord.attachments import file_name
from botticelli.platforms.discord.polls import poll_of
from botticelli.platforms.open import missing, open_platform
from tests.contracts.platform_contract import message
from tests.posting import to_discord


def picture(content=b"\x89PNG\r\n--bytes\r\n\r\n", alt="Eine Tür, „rot“", name="red door.png"):
    digest = sha256(content).hexdigest()
    return Attachment(sha256=digest, mime="image/png", content=content, alt=alt, name=name)


def by_bot(discord):
    return to_discord(discord)


def by_webhook(discord):
    return to_discord(discord, webhook=Secret(discord.add_webhook()))


def forum_by_bot(discord):
    return to_discord(discord, forum=True, channel=discord.add_channel("posts", type=15))


def forum_by_webhook(discord):
    channel = discord.add_channel("posts", type=15)
    hook = Secret(discord.add_webhook(channel))
    return to_discord(discord, forum=True, channel=channel, webhook=hook)


WAYS = [by_bot, by_webhook, forum_by_bot, forum_by_webhook]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def platform(request, discord, clock):
    return open_platform(request.param(discord), clock=clock)


@pytest.fixture
def stored(discord):
    """Return the only message that is there, wherever."""

    def only():
        (found,) = [
            one.data for messages in discord.world.messages.values() for one in messages.values()
        ]
        return found

    return only


def test_files_come_with_alt_text_in_one_request(platform, stored, discord):
    first, second = picture(), picture(b"\r\n--x--\r\n", alt="", name="")

    platform.send(message("Look", attachments=(first, second)))

    one, other = stored()["attachments"]
    assert (one["filename"], one["description"]) == ("red_door.png", "Eine Tür, „rot“")
    assert (one["size"], one["content_type"]) == (len(first.content), "image/png")
    assert other["filename"] == f"{second.sha256[:16]}.png"
    assert other["size"] == len(second.content)
    assert stored()["content"] == "Look"
    assert len(discord.requests) == 1


def test_pictures_alone_are_a_message_and_a_title(platform, stored):
    platform.send(message("", attachments=(picture(),)))

    assert stored()["content"] == ""
    assert len(stored()["attachments"]) == 1


@pytest.mark.parametrize("text", ["Look", ""])
def test_a_lost_answer_is_looked_up(platform, discord, clock, text):
    route = {True: "execute_webhook"}.get("webhook" in str(platform._webhook).lower(), "")
    if platform._opens_post(message()) and not route:
        route = "start_thread"
    sent = message(text, attachments=(picture(),))
    since = clock.now() - timedelta(minutes=1)
    discord.script.add("hang up after storing", to=route)
    with pytest.raises(Unconfirmed):
        platform.send(sent)
    other = message(text, attachments=(picture(b"other"),), nonce="f" * 25)

    found = platform.find(sent, since=since)

    assert found.receipt is not None
    if not text:
        assert platform.find(other, since=since).receipt is None


def test_a_dry_run_shows_form_and_files(platform):
    (request,) = platform.preview(message("Look", attachments=(picture(),)))

    body = request["json"].get("message", request["json"])
    assert body["attachments"] == [
        {"id": 0, "filename": "red_door.png", "description": "Eine Tür, „rot“"}
    ]
    assert request["files"]["files[0]"]["alt"] == "Eine Tür, „rot“"


def test_an_edit_keeps_the_files_and_changes_their_alt_text(platform, stored):
    receipt = platform.send(message("teh", attachments=(picture(),)))
    thread = platform.lies_in(receipt)
    before = stored()["attachments"][0]

    for _ in range(2):
        changed = message("the", attachments=(picture(alt="A red door"),), thread=thread)
        platform.edit(receipt.remote_id, changed)

    assert stored()["content"] == "the"
    assert stored()["attachments"] == [{**before, "description": "A red door"}]


def test_files_too_large_together_are_refused_unsent(platform, discord):
    large = tuple(picture(bytes([number]) * (9 << 20)) for number in range(3))

    with pytest.raises(Refused, match="too large"):
        platform.send(message(attachments=large))
    assert discord.requests == []


def test_a_missing_right_is_named(discord, clock):
    discord.deny("ATTACH_FILES")

    with pytest.raises(ConfigError, match="Attach Files"):
        open_platform(by_bot(discord), clock=clock).send(message(attachments=(picture(),)))


def test_a_limit_is_waited_for(discord, clock):
    discord.script.add("429:7")

    with pytest.raises(NotSent) as caught:
        open_platform(by_bot(discord), clock=clock).send(message(attachments=(picture(),)))

    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("name", "kept"),
    [("a b/ü.png", "a_b_.png"), ("..", "0" * 16 + ".jpeg"), ("x" * 9 + ".png", "x" * 9 + ".png")],
)
def test_names_are_such_that_discord_keeps_them(name, kept):
    one = Attachment(sha256="0" * 64, mime="image/jpeg", content=b"", name=name)

    assert file_name(one) == kept


# -- polls ----------------------------------------------------------------------------------------

POLL = "Hello!\n\n**Which one?**\n- *Red*\n- Blue"


@pytest.mark.parametrize(
    ("text", "before", "question", "answers"),
    [
        (POLL, "Hello!", "Which one?", ["Red", "Blue"]),
        ("Which?\n1. a\n2. b\n", "", "Which?", ["a", "b"]),
        ("x\nWhich?\n\n* a\n* b\n* c", "x", "Which?", ["a", "b", "c"]),
    ],
)
def test_a_question_with_answers_is_a_poll(text, before, question, answers):
    found, poll = poll_of(text, hours=48)

    assert found == before
    assert poll["question"] == {"text": question}
    assert [one["poll_media"]["text"] for one in poll["answers"]] == answers
    assert poll["duration"] == 48


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        (POLL, 0),
        ("Which?\n- a", 24),
        ("Which.\n- a\n- b", 24),
        ("Which?\n- a\n- b\nand more", 24),
        ("Which?\n" + "- a\n" * 11, 24),
        ("Which?\n- a\n- " + "b" * 56, 24),
        ("x" * 300 + "?\n- a\n- b", 24),
        ("- a\n- b", 24),
    ],
)
def test_anything_else_is_text(text, hours):
    assert poll_of(text, hours=hours) == (text, {})


@pytest.fixture(params=[by_bot, by_webhook], ids=lambda way: way.__name__)
def polling(request, discord, clock):
    return open_platform(replace(request.param(discord), poll_hours=24), clock=clock)


@pytest.mark.parametrize("text", [POLL, "Which?\n- a\n- b"])
def test_a_poll_is_published_found_and_kept(polling, discord, clock, text):
    since = clock.now()
    receipt = polling.send(message(text))

    (made,) = discord.messages()
    assert made["content"] == ("Hello!" if text == POLL else "")
    assert len(made["poll"]["answers"]) == 2
    assert polling.find(message(text), since=since).receipt.remote_id == receipt.remote_id
    polling.edit(receipt.remote_id, message(text.replace("Hello", "Good day")))
    with pytest.raises(Refused, match="poll cannot be changed"):
        polling.edit(receipt.remote_id, message(text.replace("- ", "- very ")))
    assert discord.messages()[0]["poll"] == made["poll"]


def test_a_poll_needs_a_right_and_no_forum(discord, clock):
    asked = replace(by_bot(discord), poll_hours=24)
    discord.deny("SEND_POLLS")

    assert "Create Polls" in open_platform(asked, clock=clock).check()[0]
    assert "a forum takes no polls" in str(missing(replace(asked, forum=True))[0])
