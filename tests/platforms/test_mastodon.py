"""A client of Mastodon's API against servers of several kinds."""

from dataclasses import replace
from datetime import timedelta

import pytest

from botticelli.config.model import Destination
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.platforms.base import (
    Attachment,
    Gone,
    KeptOut,
    LockedOut,
    NotSent,
    Receipt,
    Refused,
    Unconfirmed,
)
from botticelli.platforms.open import missing, open_platform
from tests.contracts.platform_contract import PlatformContract, message
from tests.fakes.loopback import answer_json
from tests.fakes.mastodon import TOKEN, VERSIONS, FakeMastodon

PICTURE = Attachment(
    sha256="0" * 64, mime="image/png", content=b"\x89PNG...", alt="A red door", name="door.png"
)


@pytest.fixture(params=["mastodon"])
def server(request, clock):
    with FakeMastodon(request.param, clock=lambda: clock.now().timestamp()) as fake:
        yield fake


@pytest.fixture
def destination(server):
    return Destination(name="social", platform="mastodon", base_url=server.url, token=Secret(TOKEN))


@pytest.fixture
def platform(destination, clock):
    return open_platform(destination, clock=clock)


@pytest.fixture
def published(server):
    return server.texts


@pytest.fixture
def lose_answers(server):
    return lambda: server.script.add("hang up after storing")


@pytest.mark.parametrize("server", list(VERSIONS), indirect=True)
class TestMastodon(PlatformContract):
    pass


every = pytest.mark.parametrize("server", list(VERSIONS), indirect=True)


@pytest.mark.parametrize(
    ("server", "seconds"),
    [("mastodon", 3000), ("pleroma", 3000), ("gotosocial", 0), ("takahe", 0), ("unknown", 0)],
    indirect=["server"],
)
def test_keys_are_trusted_only_where_they_are_known_to_be_honoured(platform, seconds):
    assert platform.idempotency_seconds == seconds


def test_what_a_server_says_of_itself_holds_for_a_day(platform, server, clock):
    platform.send(message())
    clock.advance(timedelta(hours=23))
    platform.send(message(nonce="b" * 25))
    assert len(server.of("GET /api/v2/instance")) == 1

    clock.advance(timedelta(hours=2))
    server.limit = 3
    with pytest.raises(Refused, match="5 characters as the server counts, it takes 3"):
        platform.send(message(nonce="c" * 25))


def test_an_old_server_is_asked_at_its_old_address(clock):
    with FakeMastodon("pleroma", only_v1=True, limit=1234) as server:
        place = Destination(
            name="social", platform="mastodon", base_url=server.url, token=Secret(TOKEN)
        )
        platform = open_platform(place, clock=clock)

        assert platform.limits.length == 1234
        assert platform.limits.attachment_bytes == 16_000_000
        assert platform.idempotency_seconds == 3000


def test_a_status_says_all_that_the_destination_wants(destination, server, clock):
    place = replace(destination, content_warning="Chess", language="de-AT", visibility="private")
    platform = open_platform(place, clock=clock)

    platform.send(message("Schach"))

    sent = server.of("POST /api/v1/statuses")[0]
    assert sent.json() == {
        "status": "Schach",
        "visibility": "private",
        "spoiler_text": "Chess",
        "sensitive": True,
        "language": "de",
    }
    assert sent.headers["idempotency-key"] == message().nonce
    assert platform.preview(message("Schach")) == [
        {
            "method": "POST",
            "url": f"{server.url}/api/v1/statuses",
            "headers": {"Idempotency-Key": message().nonce},
            "json": sent.json(),
        }
    ]


@pytest.mark.parametrize("server", ["pleroma", "gotosocial"], indirect=True)
def test_where_a_text_may_be_read_as_markdown_its_kind_is_said(platform, server):
    platform.send(message("1 * 2 * 3"))

    assert server.of("POST /api/v1/statuses")[0].json()["content_type"] == "text/plain"


@every
def test_a_thread_is_a_chain_of_unlisted_replies(platform, server):
    root = platform.send(message("one", nonce="1" * 25))
    middle = platform.send(message("two", nonce="2" * 25, previous=(root,)))
    platform.send(message("three", nonce="3" * 25, previous=(root, middle)))

    kept = list(server.statuses.values())
    assert [one.body.get("in_reply_to_id") for one in kept] == [
        None,
        root.remote_id,
        middle.remote_id,
    ]
    assert [one.body["visibility"] for one in kept] == ["public", "unlisted", "unlisted"]


@every
def test_what_follows_a_message_that_is_gone_is_refused(platform):
    with pytest.raises(Refused):
        platform.send(message("two", previous=(Receipt(remote_id="112000000000000999"),)))


@every
def test_a_message_of_a_thread_is_not_taken_for_another_one(platform, clock):
    since = clock.now()
    root = platform.send(message("Same", nonce="1" * 25))
    reply = message("Same", nonce="2" * 25, previous=(root,))

    assert platform.find(reply, since=since).receipt is None
    sent = platform.send(reply)

    assert platform.find(reply, since=since).receipt.remote_id == sent.remote_id
    assert platform.find(message("Same"), since=since).receipt.remote_id == root.remote_id


def test_pictures_are_uploaded_with_their_words_and_waited_for(platform, server):
    server.script.add("processing", to="upload")

    platform.send(message("Look", attachments=(PICTURE,)))

    (kept,) = server.statuses.values()
    assert [server.media[one]["description"] for one in kept.media] == ["A red door"]
    assert server.media["m1"]["content"] == PICTURE.content
    assert len(server.of("GET /api/v1/media/")) == 3


def test_a_picture_that_is_processed_for_ever_is_not_sent(platform, server, clock):
    server.script.add("processing", to="upload")
    server._media = lambda *_: answer_json({"id": "m1", "url": None}, status=206)

    with pytest.raises(NotSent, match="still processing"):
        platform.send(message("Look", attachments=(PICTURE,)))
    assert server.texts() == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("422:Validation failed: File is broken", Refused),
        ("hang up after storing", NotSent),
        ("503", NotSent),
        ("500 after storing", NotSent),
        ("429:7", NotSent),
        ("401", LockedOut),
        ("scope", ConfigError),
        ("wrong json", NotSent),
        ("other json", NotSent),
    ],
)
def test_an_upload_that_fails_publishes_nothing(platform, server, fault, kind):
    server.script.add(fault, to="upload")

    with pytest.raises(kind):
        platform.send(message("Look", attachments=(PICTURE,)))

    assert server.of("POST /api/v1/statuses") == []


def test_what_the_server_would_not_take_is_not_even_asked_for(platform, server):
    with pytest.raises(Refused, match="501 characters as the server counts, it takes 500"):
        platform.send(message("x" * 501, attachments=(PICTURE,)))

    assert server.of("POST /") == []


def test_an_old_server_takes_pictures_at_its_old_address(platform, server):
    server.has_old_media = True

    platform.send(message("Look", attachments=(PICTURE,)))

    assert [one["description"] for one in server.media.values()] == ["A red door"]


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("401", LockedOut, "does not accept the credentials"),
        ("400:Invalid Bearer token", LockedOut, "does not accept the token"),
        ("403:Invalid credentials.", LockedOut, "does not accept the token"),
        ("scope", ConfigError, "outside the authorized scopes"),
        ("suspended", KeptOut, "shut out"),
        ("409", Unconfirmed, "still under way"),
        ("410", Gone, "exists no more"),
        ("404", Refused, "not there"),
        ("422:Validation failed: Text is odd", Refused, "Text is odd"),
        ("400:Status is too long", Refused, "too long"),
        ("301 html", ConfigError, "301"),
        ("503", Unconfirmed, "503"),
        ("502 html", Unconfirmed, "502"),
        ("500 after storing", Unconfirmed, "500"),
        ("hang up before storing", Unconfirmed, "no answer"),
        ("reset after storing", Unconfirmed, "no answer"),
        ("wrong json", Unconfirmed, "a web page"),
        ("other json", Unconfirmed, "no status"),
        ("429", NotSent, "wait"),
    ],
)
def test_each_failure_says_what_to_do_about_it(platform, server, fault, kind, words):
    server.script.add(fault)

    with pytest.raises(kind, match=words):
        platform.send(message())


def test_the_rate_limits_own_date_is_kept(platform, server, clock):
    server.script.add("429:290")

    for _ in range(2):
        with pytest.raises(NotSent) as caught:
            platform.send(message())
        assert 285 < caught.value.retry_after <= 290
    assert len(server.of("POST /api/v1/statuses")) == 1


def test_a_key_that_answers_an_earlier_text_ends_with_the_new_one(platform, server):
    first = platform.send(message("An earlier text"))

    second = platform.send(message("The text as it is now"))

    assert second.remote_id == first.remote_id
    assert server.texts() == ["The text as it is now"]


def test_an_earlier_text_that_cannot_be_changed_is_told(platform, server):
    platform.send(message("An earlier text"))
    server.script.add("503", to="edit")

    with pytest.raises(Unconfirmed, match="out with an earlier text"):
        platform.send(message("The text as it is now"))


TEXTS = [
    "Plain words",
    "Two\nlines\n\nand  a   paragraph ",
    "A link https://example.com/a/rather/long/path?with=a&query=yes#part, and more",
    'Hello @friend@other.example and #tag & <b>not bold</b> "quoted"',
    "Grüße 🎨 👩‍👩‍👧 https://例え.jp/ünï",
    "1 * 2 * 3 _under_ `code`",
    "🎉",
]


@every
@pytest.mark.parametrize("text", TEXTS)
def test_it_is_found_however_the_server_has_dressed_it(platform, clock, text):
    since = clock.now()
    platform.send(message("Something else", nonce="0" * 25))
    receipt = platform.send(message(text))
    clock.advance(timedelta(hours=3))

    looked = platform.find(message(text), since=since)

    assert looked.receipt is not None, "not found"
    assert looked.receipt.remote_id == receipt.remote_id


@every
def test_it_is_looked_for_as_far_back_as_need_be(platform, server, clock):
    since = clock.now()
    wanted = server.add("Find me")
    for number in range(250):
        server.add(f"Number {number}")

    assert platform.find(message("Find me"), since=since).receipt.remote_id == wanted.id
    del server.statuses[wanted.id]
    assert platform.find(message("Find me"), since=since).certain


def test_pages_that_are_shorter_than_asked_for_are_no_end(platform, server, clock):
    since, server.page = clock.now(), 3
    wanted = server.add("Find me")
    for number in range(20):
        server.add(f"Number {number}")

    assert platform.find(message("Find me"), since=since).receipt.remote_id == wanted.id


def test_a_server_that_shows_the_same_page_again_and_again_proves_nothing(platform, server, clock):
    server.add("Something else")
    server._list = lambda _: answer_json([server._as_json(*server.statuses.values())])

    looked = platform.find(message("Find me"), since=clock.now())

    assert looked.receipt is None
    assert not looked.certain


def test_what_is_older_or_known_or_passed_on_is_not_it(platform, server, clock):
    server.add("Same")
    clock.advance(timedelta(hours=2))
    since = clock.now()
    assert platform.find(message("Same"), since=since).receipt is None

    other = server.add("Same")
    assert platform.find(message("Same"), since=since, known=[other.id]).receipt is None
    assert platform.find(message("Same"), since=since).receipt is not None


def test_a_server_whose_clock_is_hours_behind_is_believed(destination, clock):
    behind = lambda: clock.now().timestamp() - 5 * 3600  # noqa: E731
    with FakeMastodon("gotosocial", clock=behind) as server:
        server.tells_date = True
        platform = open_platform(replace(destination, base_url=server.url), clock=clock)
        since = clock.now()
        receipt = platform.send(message())

        assert platform.find(message(), since=since).receipt.remote_id == receipt.remote_id


@pytest.mark.parametrize("fault", ["503", "hang up before storing", "429:60", "wrong json"])
def test_a_server_that_cannot_be_asked_is_asked_later(platform, server, clock, fault):
    server.script.add(fault, to="list")

    with pytest.raises(NotSent):
        platform.find(message(), since=clock.now())


@every
def test_an_edit_keeps_the_pictures(platform, server):
    receipt = platform.send(message("teh text", attachments=(PICTURE,)))
    changed = replace(PICTURE, alt="A blue door")

    platform.edit(receipt.remote_id, message("the text", attachments=(changed,)))
    platform.edit(receipt.remote_id, message("the text!"))

    (kept,) = server.statuses.values()
    assert kept.text == "the text!"
    assert [server.media[one]["description"] for one in kept.media] == ["A blue door"]


def test_the_token_follows_no_redirect_and_stands_in_no_error(platform, server):
    server.script.add("301 html")

    with pytest.raises(ConfigError) as caught:
        platform.send(message())

    assert TOKEN not in str(caught.value)
    assert TOKEN not in str(platform.preview(message()))


def test_the_token_is_not_sent_in_the_open(destination, clock):
    for address in ("http://social.example", "https://me:word@social.example", "social.example"):
        with pytest.raises(ConfigError):
            open_platform(replace(destination, base_url=address), clock=clock)


def test_what_a_destination_lacks_is_said_before_anything_is_asked():
    lacking = missing(Destination(name="social", platform="mastodon"))

    assert [one.where for one in lacking] == [
        "destinations.social.base_url",
        "destinations.social.token",
    ]


@every
@pytest.mark.parametrize(
    ("route", "fault", "words"),
    [
        ("me", "401", "credentials"),
        ("me", "suspended", "shut out"),
        ("me", "other json", "not an API"),
        ("delete", "scope", "write:statuses"),
        ("instance", "301 html", "301"),
    ],
)
def test_check_says_what_is_missing(platform, server, route, fault, words):
    server.script.add(fault, to=route)

    (problem,) = platform.check()

    assert words in problem


def test_check_tells_a_token_of_another_account(destination, clock):
    platform = open_platform(replace(destination, account="@somebody"), clock=clock)

    assert "that of @bot" in platform.check()[0]


def test_check_publishes_and_changes_nothing(platform, server):
    server.add("There before")

    assert list(platform.check()) == []
    assert server.texts() == ["There before"]
