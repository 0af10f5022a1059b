"""Matrix against a homeserver after the specification: the contract, and what a room adds to it."""

from datetime import UTC, datetime, timedelta

import pytest

from botticelli.config.model import Destination
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.platforms.base import (
    Attachment,
    KeptOut,
    LockedOut,
    NotSent,
    Receipt,
    Refused,
    Unconfirmed,
)
from botticelli.platforms.matrix.connect import homeserver
from botticelli.platforms.open import missing, open_platform
from tests.contracts.platform_contract import PlatformContract, message
from tests.fakes.matrix import ALIAS, FakeMatrix

PICTURE = Attachment(
    sha256="a" * 64, mime="image/png", content=b"png", alt="A rose", width=3, height=2, name="a.png"
)
OTHER = Attachment(sha256="b" * 64, mime="image/jpeg", content=b"jpeg", name="b.jpg")


@pytest.fixture
def server(clock):
    with FakeMatrix(now=lambda: clock.now().timestamp()) as fake:
        yield fake


@pytest.fixture
def destination(server):
    facts = {"channel": server.room, "token": Secret(server.token), "base_url": server.url}
    return Destination(name="garden", platform="matrix", **facts)


@pytest.fixture
def platform(destination, clock):
    return open_platform(destination, clock=clock)


@pytest.fixture
def published(server):
    return server.shown


class TestMatrix(PlatformContract):
    @pytest.fixture
    def lose_answers(self, server):
        return lambda: server.script.add("lose", to="send")


def to(server, clock, **changes):
    facts = {"channel": server.room, "token": Secret(server.token), "base_url": server.url}
    made = Destination(name="garden", platform="matrix", **{**facts, **changes})
    return open_platform(made, clock=clock)


def test_the_text_goes_out_as_it_is_with_its_html_and_calls_nobody(platform, server):
    platform.send(message("**Hi** @room <b>"))

    content = server.events[-1]["content"]
    assert content["body"] == "**Hi** @room <b>"
    assert content["msgtype"] == "m.notice"
    assert content["formatted_body"] == "<p><strong>Hi</strong> @room &lt;b&gt;</p>"
    assert content["m.mentions"] == {}


def test_only_who_may_be_called_is_called(platform, server):
    allowed = ("@eve:test.example", "@room", "@ada:test.example")

    platform.send(message("@eve:test.example, @room!", allowed_mentions=allowed))

    called = {"room": True, "user_ids": ["@eve:test.example"]}
    assert server.events[-1]["content"]["m.mentions"] == called


def test_a_plain_text_has_no_html(platform, server):
    platform.send(message("just words"))

    assert "formatted_body" not in server.events[-1]["content"]


def test_pictures_stand_before_the_text_each_said_in_words(platform, server):
    receipt = platform.send(message("Look", attachments=(PICTURE, OTHER)))

    rose, other, text = [one["content"] for one in server.events[-3:]]
    assert server.uploads == [("image/png", b"png"), ("image/jpeg", b"jpeg")]
    assert rose | {"m.mentions": {}} == {
        "msgtype": "m.image",
        "body": "A rose",
        "url": "mxc://test.example/1",
        "info": {"mimetype": "image/png", "size": 3, "w": 3, "h": 2},
        "m.mentions": {},
    }
    assert (other["body"], other["info"]) == ("b.jpg", {"mimetype": "image/jpeg", "size": 4})
    assert text["body"] == "Look"
    assert receipt.remote_id == server.events[-1]["event_id"]


def test_a_text_with_pictures_goes_away_whole(platform, server):
    receipt = platform.send(message("Look", attachments=(PICTURE, OTHER)))

    for _ in range(2):
        platform.delete(receipt.remote_id)

    assert server.shown() == server.shown("m.image") == []


def test_of_an_edited_message_no_form_stays(platform, server):
    receipt = platform.send(message("one", attachments=(PICTURE,)))
    platform.edit(receipt.remote_id, message("two"))

    platform.delete(receipt.remote_id)

    assert not any("body" in one["content"] for one in server.events[1:])


def test_a_picture_alone_is_a_message_and_is_found(platform, server, clock):
    sent = platform.send(message("", attachments=(PICTURE,)))
    looked = platform.find(message("", attachments=(PICTURE,)), since=clock.now())

    assert server.shown("m.image") == ["A rose"]
    assert looked.receipt.remote_id == sent.remote_id


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("before", [["ok", "lose"], ["ok", "hang up"], ["ok", "ok", "lose"]])
def test_pictures_that_are_out_are_not_sent_again(platform, server, clock, keeps, before):
    """However the attempt before ended, and whether or not the server remembers it."""
    post = message("Look", attachments=(PICTURE, OTHER), planned_at=clock.now())
    server.script.add(*before, to="send")
    with pytest.raises(Unconfirmed):
        platform.send(post)
    server.keeps_transactions = keeps

    if platform.find(post, since=clock.now()).receipt is None:
        platform.send(post)

    assert server.shown() == ["Look"]
    assert server.shown("m.image") == ["A rose", "b.jpg"]


@pytest.mark.parametrize(
    ("fault", "kind"), [("500", NotSent), ("hang up", NotSent), ("413:M_TOO_LARGE", Refused)]
)
def test_an_upload_that_fails_leaves_nothing_in_doubt(platform, server, fault, kind):
    server.script.add(fault, to="upload")

    with pytest.raises(kind):
        platform.send(message("Look", attachments=(PICTURE,)))

    assert server.shown() == server.shown("m.image") == []


def test_what_follows_is_in_the_thread_of_the_first(platform, server):
    first, second = Receipt(remote_id="$1"), Receipt(remote_id="$2")

    platform.send(message("third", previous=(first, second)))

    assert server.events[-1]["content"]["m.relates_to"] == {
        "rel_type": "m.thread",
        "event_id": "$1",
        "is_falling_back": True,
        "m.in_reply_to": {"event_id": "$2"},
    }


def test_without_its_transaction_it_is_known_by_its_text(platform, server, clock):
    server.tells_transactions = False
    receipt = platform.send(message("the same"))

    assert platform.find(message("the  same"), since=clock.now()).receipt.remote_id == (
        receipt.remote_id
    )
    taken = platform.find(message("the same"), since=clock.now(), known={receipt.remote_id})
    assert (taken.receipt, taken.certain) == (None, True)


def test_an_older_message_of_the_same_words_is_not_this_one(platform, server, clock):
    server.tells_transactions = False
    platform.send(message("Good morning"))
    clock.advance(timedelta(days=3))

    looked = platform.find(message("Good morning"), since=clock.now())

    assert (looked.receipt, looked.certain) == (None, True)


def test_what_others_say_is_not_ours(platform, server, clock):
    server.add({"msgtype": "m.notice", "body": "Hello"}, sender="@eve:test.example")

    assert platform.find(message("Hello"), since=clock.now()).receipt is None


def test_another_delivery_of_ours_with_the_same_text_is_not_this_one(platform, clock):
    platform.send(message("the same", nonce="one"))

    assert platform.find(message("the same", nonce="two"), since=clock.now()).receipt is None


def test_a_busy_room_is_read_back_to_the_moment_of_the_request(platform, server, clock):
    receipt, since = platform.send(message("Find me")), clock.now()
    for number in range(350):
        server.add({"msgtype": "m.text", "body": str(number)}, sender="@eve:test.example")

    assert platform.find(message("Find me"), since=since).receipt.remote_id == receipt.remote_id


def test_a_foreign_event_with_an_old_date_ends_no_search(platform, server, clock):
    receipt, since = platform.send(message("Find me")), clock.now()
    server.page = 2
    for at in (1, None, None, None):
        server.add({"msgtype": "m.text", "body": "hm"}, sender="@eve:far.example", at=at)

    assert platform.find(message("Find me"), since=since).receipt.remote_id == receipt.remote_id


def test_a_room_too_busy_to_be_read_back_leaves_it_open(platform, server, clock):
    server.page = 1
    for _ in range(60):
        server.add({"msgtype": "m.text", "body": "hm"}, sender="@eve:test.example")

    looked = platform.find(message("Find me"), since=clock.now())

    assert not looked.certain
    assert "look for it by eye" in looked.why


def test_an_edit_back_and_forth_ends_as_it_was_asked(platform, server, published):
    receipt = platform.send(message("one"))

    for text in ("two", "one", "two", "two"):
        platform.edit(receipt.remote_id, message(text))

    assert published() == ["two"]
    assert sum("m.new_content" in one["content"] for one in server.events) == 3


def test_an_alias_is_resolved_and_its_room_is_the_place(server, clock):
    platform = to(server, clock, channel=ALIAS)

    platform.send(message("by name"))

    assert server.shown() == ["by name"]
    assert platform.whereabouts() == f"matrix:{server.room}"
    assert list(platform.check()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"is_encrypted": True}, "is encrypted"),
        ({"is_member": False}, "we may not do that in the room"),
        ({"level": 0, "needed": 50}, "needs power level 50 and has 0"),
        ({"needed": 50, "version": "11", "creator": "@bot:test.example"}, "power level 50"),
        ({"needed": 50, "version": "12", "creator": "@bot:test.example"}, ""),
    ],
)
def test_check_says_what_is_in_the_way(platform, server, change, words):
    for key, value in change.items():
        setattr(server.state, key, value)

    problems = platform.check()

    assert all(words in one for one in problems)
    assert bool(problems) == bool(words)


def test_nothing_is_sent_into_an_encrypted_room(platform, server):
    server.state.is_encrypted = True

    with pytest.raises(KeptOut, match="encrypted"):
        platform.send(message("secret", attachments=(PICTURE,)))

    assert server.shown() == server.uploads == []


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("401:M_UNKNOWN_TOKEN", LockedOut, "connect matrix"),
        ("401:M_USER_DEACTIVATED", LockedOut, "account is closed"),
        ("403:M_FORBIDDEN", KeptOut, "may not do that in the room"),
        ("404:M_UNRECOGNIZED", ConfigError, "base_url"),
        ("413:M_TOO_LARGE", Refused, "too large"),
        ("400:M_BAD_JSON", Refused, "refused"),
        ("html", Unconfirmed, "502"),
        ("503", Unconfirmed, "503"),
        ("500 after storing", Unconfirmed, "500"),
        ("nonsense", Unconfirmed, "names no event"),
    ],
)
def test_what_an_answer_means(platform, server, fault, kind, words):
    server.script.add(fault, to="send")

    with pytest.raises(kind) as caught:
        platform.send(message())

    assert words in str(caught.value.problems[0])
    assert server.token not in str(caught.value)


def test_a_429_says_when_to_come_back(platform, server):
    server.script.add("429:7.5", to="send")

    with pytest.raises(NotSent) as caught:
        platform.send(message())

    assert caught.value.retry_after == 7.5


def test_the_length_is_that_of_the_event_in_bytes(platform, server):
    piece, longest = "**語** " * 200, ""
    while platform.length(longest + piece) <= platform.limits.length:
        longest += piece

    assert platform.send(message(longest)).remote_id
    assert platform.length(longest) > 50_000


def test_what_is_missing_is_said_before_anything_is_sent():
    bare = Destination(name="garden", platform="matrix")
    odd = Destination(
        name="garden",
        platform="matrix",
        channel="general",
        token=Secret("x"),
        base_url="http://far.example",
    )

    assert [one.where.rpartition(".")[2] for one in missing(bare)] == [
        "channel", "token", "base_url",
    ]  # fmt: skip
    assert [one.where.rpartition(".")[2] for one in missing(odd)] == ["channel", "base_url"]


def test_the_server_is_found_by_the_domain_of_the_account(destination, server, clock, monkeypatch):
    asked = []

    def answer(self, request, **_):
        asked.append(self.base_url + request.path)
        return {"m.homeserver": {"base_url": server.url + "/"}}

    monkeypatch.setattr("botticelli.platforms.requests.Requests.ask", answer)
    from botticelli.platforms.rate_limits import SharedLimits

    found = homeserver("@bot:test.example", limits=SharedLimits(clock), where="account")

    assert found == server.url
    assert asked == ["https://test.example/.well-known/matrix/client"]


def test_an_odd_time_is_no_time():
    from botticelli.platforms.matrix.events import sent_at

    assert [sent_at({"origin_server_ts": odd}) for odd in (None, "1", True, -1, 10**20)] == [
        None
    ] * 5
    assert sent_at({"origin_server_ts": 0}) == datetime(1970, 1, 1, tzinfo=UTC)
    assert sent_at({"origin_server_ts": 1000}) - sent_at({"origin_server_ts": 0}) == timedelta(
        seconds=1
    )
