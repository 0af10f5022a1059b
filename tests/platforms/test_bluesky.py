"""A client of Bluesky: records, facets, sessions, threads."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise

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
from botticelli.platforms.bluesky import record, session
from botticelli.platforms.bluesky.open import ROOM
from botticelli.platforms.open import missing, open_platform
from botticelli.store.kept_sessions import SealedSessions
from tests.contracts.platform_contract import PlatformContract, message
from tests.fakes.bluesky import TID, FakeBluesky

BYTES = b"\x89PNG..."
PICTURE = Attachment(
    sha256=sha256(BYTES).hexdigest(),
    mime="image/png",
    content=BYTES,
    alt="A red door",
    width=640,
    height=480,
)
PLANNED = datetime(2026, 11, 1, 10, tzinfo=UTC)


@pytest.fixture
def server(clock):
    with FakeBluesky(clock=lambda: clock.now().timestamp()) as fake:
        yield fake


@pytest.fixture
def destination(server):
    token = Secret(server.password)
    return Destination(
        name="sky", platform="bluesky", base_url=server.url, account=server.handle, token=token
    )


@pytest.fixture
def platform(destination, clock):
    return open_platform(destination, clock=clock)


@pytest.fixture
def replacing(destination, clock):
    return open_platform(replace(destination, edits="replace"), clock=clock)


@pytest.fixture
def published(server):
    return server.texts


@pytest.fixture
def lose_answers(server):
    return lambda: server.script.add("hang up after storing")


def only(server):
    (found,) = server.records.values()
    return found


class TestBluesky(PlatformContract):
    def test_an_edit_replaces_the_text_and_may_be_repeated(self, replacing, published):
        super().test_an_edit_replaces_the_text_and_may_be_repeated(replacing, published)


# -- the record -----------------------------------------------------------------------------------


def test_a_key_is_a_tid_that_never_changes_and_is_nobody_elses():
    keys = [record.key_of(f"nonce{number}", PLANNED) for number in range(2000)]

    assert len(set(keys)) == len(keys)
    assert all(map(TID.fullmatch, keys))
    assert record.key_of("nonce7", PLANNED) == keys[7]
    micros = [sum(record.KEY_LETTERS.index(one) << 5 * at for at, one in enumerate(key[::-1])) >> 10
              for key in keys]  # fmt: skip
    written = [datetime.fromtimestamp(one / 1e6, UTC) for one in micros]
    assert PLANNED - timedelta(hours=1) < min(written) <= max(written) <= PLANNED


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("a\r\nb", 3),
        ("e\u0301", 1),
        ("👨‍👩‍👧‍👦" * 120, 120),
        ("🇩🇪" * 300, 300),
        ("क्षि", 1),
        ("see [the docs](https://example.org/a/very/long/address)", 12),
        ("see https://example.org", 23),
        ("👨‍👩‍👧‍👦" * 121, 303),  # 3,025 bytes, where 3,000 are allowed
    ],
)
def test_length_counts_graphemes_of_the_plain_text(text, count):
    assert record.length(text) == count


@pytest.mark.parametrize(
    ("text", "plain", "facets"),
    [
        ("nothing", "nothing", []),
        ("Grüße 🎨 https://a.org.", "Grüße 🎨 https://a.org.", ["https://a.org link https://a.org"]),
        ("[ü](https://a.org/(x)) b", "ü b", ["ü link https://a.org/(x)"]),
        ("(https://a.org/b).", "(https://a.org/b).", ["https://a.org/b link https://a.org/b"]),
        ("「https://a.jp/ü」", "「https://a.jp/ü」", ["https://a.jp/ü link https://a.jp/ü"]),
        ("#art, #1 #ünï! a#b (#c)", "#art, #1 #ünï! a#b (#c)",
         ["#art tag art", "#ünï tag ünï", "#c tag c"]),
        ("#" + "x" * 65, "#" + "x" * 65, []),
        ("#️⃣ one", "#️⃣ one", []),
        ("hi @bob.example.org, a@b.org @joe", "hi @bob.example.org, a@b.org @joe",
         ["@bob.example.org mention bob.example.org"]),
        ("http:// https://?x javascript:x", "http:// https://?x javascript:x", []),
        ("[a](javascript:x) [b](ftp://c)", "[a](javascript:x) [b](ftp://c)", []),
    ],
)  # fmt: skip
def test_facets_name_bytes_of_the_plain_text(text, plain, facets):
    found_plain, found = record.compose(text)

    assert found_plain == plain
    data = plain.encode()
    assert [f"{data[f.start : f.end].decode()} {f.kind} {f.value}" for f in found] == facets
    assert all(one.end <= other.start for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("markdown", "form"),
    [
        ("**Bold** _it_ `code`", "Bold it code"),
        ("[the docs](https://a.org) [m](mailto:x@a.org)",
         "[the docs](https://a.org) m (mailto:x@a.org)"),
        ("<https://a.org> [https://a.org](https://a.org)", "https://a.org https://a.org"),
        ("- a\n- b", "• a\n• b"),
    ],
)  # fmt: skip
def test_markdown_becomes_plain_text_with_links_under_words(platform, markdown, form):
    assert platform.render(markdown) == form


def test_a_post_has_facets_language_and_time(platform, server):
    text = "Read [the docs](https://a.org/x) #art @bob.test @eve.test"
    server.others = {"bob.test": "did:plc:bob", "eve.test": "did:plc:eve"}

    receipt = platform.send(
        message(text, language="pt_BR", allowed_mentions=("bob.test",), begun_at=PLANNED)
    )

    found = only(server)
    assert found["text"] == "Read the docs #art @bob.test @eve.test"
    assert found["langs"] == ["pt-BR"]
    assert found["createdAt"] == "2026-11-01T10:00:00.000Z"
    features = [one["features"][0] for one in found["facets"]]
    assert features == [
        {"$type": "app.bsky.richtext.facet#link", "uri": "https://a.org/x"},
        {"$type": "app.bsky.richtext.facet#tag", "tag": "art"},
        {"$type": "app.bsky.richtext.facet#mention", "did": "did:plc:bob"},
    ]
    assert receipt.url.startswith(f"https://bsky.app/profile/{server.did}/post/")
    assert receipt.at == PLANNED


def test_a_mention_of_nobody_is_text(platform, server):
    platform.send(message("hi @gone.test", allowed_mentions=("gone.test",)))

    assert "facets" not in only(server)


@pytest.mark.parametrize(
    ("more", "card"),
    [
        ({"link": "https://a.org/b", "title": "About"}, ("https://a.org/b", "About")),
        ({"link": "https://www.a.org/b/"}, ("https://www.a.org/b/", "a.org/b")),
        ({"title": "About"}, ("https://first.org", "About")),
        ({}, None),
        ({"link": "nonsense"}, None),
    ],
)
def test_a_link_has_a_card_of_what_we_know(platform, server, more, card):
    platform.send(message("see https://first.org https://second.org", **more))

    found = only(server).get("embed", {}).get("external")
    assert found == (card and {"uri": card[0], "title": card[1], "description": ""})


def test_pictures_are_uploaded_before_and_shown_with_alt_and_shape(platform, server):
    platform.send(message(attachments=(PICTURE,), link="https://a.org"))

    names = [name for name, _ in server.requests]
    assert names.index("uploadBlob") < names.index("putRecord")
    (image,) = only(server)["embed"]["images"]
    assert image["alt"] == "A red door"
    assert image["aspectRatio"] == {"width": 640, "height": 480}
    assert image["image"]["mimeType"] == "image/png"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("hang up after storing", NotSent),
        ("503", NotSent),
        ("429:7", NotSent),
        ("nonsense", NotSent),
        ("400:InvalidRequest", Refused),
        ("413:PayloadTooLarge", Refused),
    ],
)
def test_a_picture_that_fails_publishes_nothing(platform, server, fault, error):
    server.script.add(fault, to="uploadBlob")

    with pytest.raises(error):
        platform.send(message(attachments=(PICTURE,)))

    assert server.sent("putRecord") == []


def test_a_picture_that_the_server_has_dropped_is_uploaded_again(platform, server):
    server.script.add("400:BlobNotFound")
    with pytest.raises(NotSent):
        platform.send(message(attachments=(PICTURE,)))

    platform.send(message(attachments=(PICTURE,)))

    assert len(server.sent("uploadBlob")) == 2


def test_a_dry_run_shows_each_request_and_no_secret(platform, server):
    shown = platform.preview(
        message(attachments=(PICTURE,), previous=(Receipt(remote_id="at://x"),))
    )

    assert [one["url"].rpartition(".")[2] for one in shown] == ["uploadBlob", "putRecord"]
    assert shown[0]["files"]["body"]["alt"] == "A red door"
    assert server.password not in str(shown)
    assert server.requests == []


# -- once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 3, 400])
def test_a_repeat_is_no_second_post_however_late(platform, server, clock, days):
    sent = message(planned_at=clock.now(), begun_at=clock.now())
    first = platform.send(sent)
    clock.advance(timedelta(days=days))

    assert platform.send(sent) == first
    assert len(server.records) == 1


@pytest.mark.parametrize(
    "fault",
    [
        "hang up after storing",
        "500 after storing",
        "502 html after storing",
        "nonsense after storing",
    ],
)
def test_an_answer_that_is_lost_is_found(platform, server, clock, fault):
    sent = message(planned_at=clock.now(), begun_at=clock.now())
    server.script.add(fault)
    with pytest.raises(Unconfirmed):
        platform.send(sent)

    looked = platform.find(sent, since=clock.now())

    assert looked.certain
    assert looked.receipt == platform.send(sent)
    assert len(server.records) == 1


def test_a_post_that_somebody_has_changed_since_is_still_ours(platform, server, clock):
    sent = message(planned_at=clock.now(), begun_at=clock.now())
    receipt = platform.send(sent)
    only(server)["text"] = "changed elsewhere"

    assert platform.send(sent) == receipt
    assert server.texts() == ["changed elsewhere"]


def test_a_post_is_found_by_its_words_or_its_time(platform, clock):
    sent = message("Read [this](https://a.org)", planned_at=PLANNED, begun_at=clock.now())
    receipt = platform.send(sent)

    for other in (replace(sent, begun_at=None), replace(sent, text="changed meanwhile")):
        assert platform.find(other, since=PLANNED).receipt == receipt
    neither = replace(sent, begun_at=None, text="changed meanwhile")
    assert platform.find(neither, since=PLANNED).receipt is None


def test_what_is_not_ours_at_our_key_is_left_alone(platform, server):
    receipt = platform.send(message(begun_at=PLANNED))
    only(server).update(text="another", createdAt="2020-01-01T00:00:00Z")

    with pytest.raises(Refused, match="another post"):
        platform.send(message(begun_at=PLANNED))
    assert server.texts() == ["another"]
    assert receipt.remote_id


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("hang up before storing", Unconfirmed),
        ("503", Unconfirmed),
        ("429:7", NotSent),
        ("400:InvalidRequest", Refused),
        ("400:RepoTakendown", KeptOut),
        ("401:AccountTakedown", KeptOut),
        ("401:AuthMissing", LockedOut),
        ("403:Forbidden", ConfigError),
    ],
)
def test_errors_say_what_to_do(platform, server, fault, error):
    server.script.add(fault)

    with pytest.raises(error):
        platform.send(message())

    assert server.records == {}


@pytest.mark.parametrize("is_terse", [False, True])
def test_a_limit_that_is_used_up_says_when_to_come_back(platform, server, is_terse):
    server.points, server.is_terse = 1, is_terse

    with pytest.raises(NotSent) as caught:
        platform.send(message())

    assert caught.value.retry_after == pytest.approx(1800, abs=2)


# -- threads and changes --------------------------------------------------------------------------


def test_a_thread_is_a_chain_of_replies(platform, server):
    receipts = []
    for number in range(3):
        sent = message(f"part {number}", nonce=f"n{number}", previous=tuple(receipts))
        receipts.append(platform.send(sent))

    first, second, third = server.records.values()
    assert "reply" not in first
    assert second["reply"]["root"] == second["reply"]["parent"]
    assert third["reply"]["root"]["uri"] == receipts[0].remote_id
    assert third["reply"]["parent"]["uri"] == receipts[1].remote_id


def test_a_thread_whose_beginning_is_gone_does_not_go_on(platform, server):
    receipt = platform.send(message())
    platform.delete(receipt.remote_id)

    with pytest.raises(Refused, match="gone"):
        platform.send(message(nonce="b", previous=(receipt,)))
    assert server.records == {}


@pytest.mark.parametrize("way", ["remote_id", "url", "key"])
def test_a_post_is_told_by_address_page_or_key(replacing, server, way):
    receipt = replacing.send(message())
    told = {**vars(receipt), "key": receipt.url.rpartition("/")[2]}[way]

    assert replacing.edit(told, message("new")).remote_id == receipt.remote_id
    replacing.delete(told)

    assert server.records == {}


def test_edits_are_refused_unless_they_may_replace(platform, server):
    receipt = platform.send(message())

    with pytest.raises(Refused, match='edits = "replace"'):
        platform.edit(receipt.remote_id, message("new"))
    assert server.texts() == ["Hello"]


def test_a_replaced_post_keeps_key_time_thread_and_pictures(replacing, server, clock):
    root = replacing.send(message("root", nonce="r"))
    receipt = replacing.send(message("teh", attachments=(PICTURE,), previous=(root,)))
    before = list(server.records.values())[1]
    clock.advance(timedelta(hours=1))

    edited = replacing.edit(receipt.remote_id, message("the", attachments=(PICTURE,)))

    assert edited == receipt
    assert list(server.records.values())[1] == {**before, "text": "the"}
    assert len(server.sent("deleteRecord")) == 1


def test_an_edit_that_was_cut_off_is_made_up(replacing, server):
    receipt = replacing.send(message("teh"))
    server.script.add("503", to="putRecord")
    with pytest.raises(Unconfirmed):
        replacing.edit(receipt.remote_id, message("the"))
    assert server.texts() == []

    replacing.edit(receipt.remote_id, message("the"))

    assert server.texts() == ["the"]


# -- sessions -------------------------------------------------------------------------------------


@pytest.fixture
def opened(destination, clock, db):
    """Return a client as the next process has it."""

    def make(**more):
        made = open_platform(replace(destination, **more), clock=clock)
        made.keep_session(SealedSessions(db))
        return made

    return make


def test_many_processes_log_in_once(opened, server):
    for number in range(40):
        opened().send(message(nonce=f"n{number}"))

    assert len(server.sent("createSession")) == 1
    assert len(server.records) == 40


def test_a_session_that_is_over_is_refreshed_and_kept(opened, server, clock):
    opened().send(message(nonce="a"))
    clock.advance(timedelta(hours=3))
    opened().send(message(nonce="b"))
    opened().send(message(nonce="c"))

    assert len(server.sent("createSession")) == 1
    assert len(server.sent("refreshSession")) == 1
    assert len(server.records) == 3


def test_where_nothing_helps_it_logs_in_again(opened, server):
    opened().send(message(nonce="a"))
    server.forget_sessions()

    opened().send(message(nonce="b"))

    assert len(server.sent("createSession")) == 2
    assert len(server.records) == 2


def test_an_upload_meets_the_old_token_and_the_post_goes_out(opened, server, clock):
    opened().send(message(nonce="a"))
    clock.advance(timedelta(hours=3))

    opened().send(message(attachments=(PICTURE,)))

    assert len(server.records) == 2


def test_a_kept_session_tells_nothing_without_the_password(opened, server, db):
    opened().send(message())
    (sealed,) = db.execute("SELECT sealed FROM kept_sessions").fetchone()

    assert server.did.encode() not in sealed
    assert b"ey" + b"access" not in sealed
    with pytest.raises(LockedOut):
        opened(token=Secret("wxyz-wxyz-wxyz-wxyz")).send(message())


def test_without_base_url_the_account_says_where_it_lives(opened, server, clock, monkeypatch):
    monkeypatch.setattr(session, "ENTRY", server.url)
    monkeypatch.setattr(session, "DIRECTORY", server.url)
    with FakeBluesky(handle=server.handle) as home:
        server.endpoint, home.others = home.url, {}
        receipt = opened(base_url="").send(message())
        reply = message(nonce="b", previous=(receipt,))
        assert opened(base_url="").find(reply, since=clock.now()).certain
        opened(base_url="").send(reply)

        assert len(home.texts()) == 2
        assert len(home.sent("createSession")) == 1
        assert server.sent("createSession") == []

    server.endpoint = "http://somewhere.example.org"
    with pytest.raises(ConfigError, match="unencrypted"):
        opened(base_url="", token=Secret("x")).send(message())


def test_too_many_logins_are_waited_for(platform, server, clock):
    for _ in range(30):
        server.create_session(None, {"identifier": server.handle, "password": server.password})
    clock_before = len(server.sent("createSession"))

    with pytest.raises(NotSent) as caught:
        platform.send(message())

    assert caught.value.retry_after == pytest.approx(300, abs=2)
    assert len(server.sent("createSession")) == clock_before + 1


def test_looking_needs_no_login(platform, server, clock):
    platform.find(message(), since=clock.now())

    assert server.sent("createSession") == []


def test_check_says_in_words_what_is_missing(platform, server, destination, clock):
    server.password = "changed"
    assert "app password" in platform.check()[0]
    server.is_taken_down = True
    server.password = destination.token.reveal()
    assert "shut" in platform.check()[0]


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"account": ""}, "account"),
        ({"account": "easel"}, "account"),
        ({"token": Secret("")}, "token"),
        ({"base_url": "http://pds.example.org"}, "base_url"),
    ],
)
def test_what_is_missing_is_named_without_asking(destination, wrong, key):
    (problem,) = missing(replace(destination, **wrong))

    assert problem.where == f"destinations.sky.{key}"


def test_an_account_of_nobody_is_a_configuration_error(destination, clock):
    platform = open_platform(replace(destination, account="nobody.test"), clock=clock)

    with pytest.raises(ConfigError, match="no account"):
        platform.send(message())


# -- connecting -----------------------------------------------------------------------------------


def asker(**answers):
    """Return what answers as a person does, and refuses questions that nobody expects."""
    return lambda name, question, *, secret=False, optional=False: answers[name]


def test_connecting_tries_the_app_password_and_names_the_keys(server, clock):
    found = ROOM.connect(
        asker(server=server.url, account=f"@{server.handle}", token=server.password), clock=clock
    )

    keys = {"platform": "bluesky", "account": server.handle, "base_url": server.url}
    assert found.keys == keys
    assert found.secrets == {"token": server.password}
    assert found.notes == ("@easel.test",)


def test_connecting_warns_of_the_accounts_own_password(server, clock):
    server.password = "the one password"
    answers = {"server": server.url, "account": server.handle, "token": server.password}

    found = ROOM.connect(asker(**answers), clock=clock)

    assert "own password" in found.notes[1]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"token": "wxyz-wxyz-wxyz-wxyz"}, "does not accept the app password"),
        ({"account": "easel"}, "no whole handle"),
        ({"account": "nobody.test"}, "does not accept"),
        ({"server": "http://pds.example.org"}, "unencrypted"),
    ],
)
def test_connecting_says_what_does_not_do(server, clock, wrong, words):
    right = {"server": server.url, "account": server.handle, "token": server.password}

    with pytest.raises(ConfigError, match=words):
        ROOM.connect(asker(**{**right, **wrong}), clock=clock)
