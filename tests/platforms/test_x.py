"""X against a server after its published rules: the contract, money, links, and its refusals."""

from datetime import timedelta
from decimal import Decimal

import pytest

from botticelli.config.model import Destination
from botticelli.config.operations import Guard
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.platforms.base import (
    Attachment,
    LockedOut,
    NotSent,
    Receipt,
    Refused,
    Unconfirmed,
)
from botticelli.platforms.open import missing, open_platform
from botticelli.platforms.x.counting import links, weight
from botticelli.platforms.x.oauth import authorization
from tests.contracts.platform_contract import PlatformContract, message
from tests.fakes.x import FakeX

PICTURE = Attachment(
    sha256="a" * 64, mime="image/png", content=b"png", alt="A rose", name="a.png", is_generated=True
)
BARE = Attachment(sha256="b" * 64, mime="image/jpeg", content=b"jpeg", name="b.jpg")


@pytest.fixture
def server(clock):
    with FakeX(now=lambda: clock.now().timestamp()) as fake:
        yield fake


def to(server, clock, **changes):
    keys = {key: Secret(value) for key, value in server.keys.items()}
    facts = {"platform": "x", "base_url": server.url, **keys, **changes}
    return open_platform(Destination(name="x", **facts), clock=clock)


@pytest.fixture
def platform(server, clock):
    return to(server, clock)


@pytest.fixture
def published(server):
    return server.texts


class TestX(PlatformContract):
    @pytest.fixture
    def lose_answers(self, server):
        return lambda: server.script.add("lose", to="post")

    def test_what_is_not_there_is_not_found_with_certainty(self, platform, clock):
        """Not at once: the timeline may be late."""
        since = clock.now()
        with pytest.raises(NotSent) as caught:
            platform.find(message("Find me"), since=since)
        clock.advance(timedelta(seconds=caught.value.retry_after))

        looked = platform.find(message("Find me"), since=since)
        assert (looked.receipt, looked.certain) == (None, True)

    test_an_edit_replaces_the_text_and_may_be_repeated = None
    test_an_edit_of_what_is_gone_is_refused = None


def test_an_edit_is_refused_plainly(platform):
    with pytest.raises(Refused):
        platform.edit("1", message("new"))


def test_the_signature_is_the_one_of_the_published_example():
    """developer.x.com, Creating a signature; here with the form's field as a parameter."""
    keys = Destination(
        name="x",
        platform="x",
        api_key=Secret("xvz1evFS4wEEPTGEFPHBog"),
        api_secret=Secret("kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw"),
        token=Secret("370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb"),
        token_secret=Secret("LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE"),
    )
    header = authorization(
        "POST",
        "https://API.twitter.com:443/1/statuses/update.json",
        {
            "status": "Hello Ladies + Gentlemen, a signed OAuth request!",
            "include_entities": "true",
        },
        keys=keys,
        nonce="kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg",
        seconds=1318622958,
    )

    assert 'oauth_signature="tnnArxj06cWHq44gCs1OSKk%2FjLY%3D"' in header


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", 0),
        ("This is a test.", 15),
        ("http://test.com", 23),
        ("test.com", 23),
        ("Test https://test.com test https://test.com test.com test", 86),
        ("x.py main.rs", 47),
        ("日本語", 6),
        ("저찀쯿쿿", 8),
        ("\U00010000\U0010ffff", 4),
        ("👨‍👩‍👧‍👦", 2),
        ("👍🏽🇩🇪1️⃣❤️", 8),
        ("e\u0301é", 2),
        ("‘’“”…—", 7),
        ("\u1100\u10ff", 3),
        ("a\r\nb", 4),
        ("© ® ™ ©️", 9),
        ("👁️\u200d🗨️🧑\u200d🚀", 10),
        ("⭐️⚡️❤️\u200d🔥", 9),
        ("a." * 3000, 6000),
        ("https://example.com/" + "a" * 3000, 23),
        ("(https://example.com/a_(b)).", 26),
        ("a@b.com", 7),
    ],
)
def test_a_text_counts_as_x_counts_it(text, counts):
    assert weight(text) == counts


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("words", "0.015"),
        ("see https://example.com", "0.200"),
        ("main.rs", "0.200"),
        ("v1.2.3, e.g. this", "0.015"),
    ],
)
def test_a_link_costs_thirteen_times_a_post(platform, text, price):
    assert platform.price(message(text)) == Decimal(price)
    assert bool(links(text)) == (price == "0.200")


def test_each_alternative_text_has_its_price(platform):
    post = message("words", attachments=(PICTURE, BARE, PICTURE))

    assert platform.price(post) == Decimal("0.025")


def test_pictures_go_first_each_with_its_words(platform, server):
    platform.send(message("Look", attachments=(PICTURE, BARE)))

    rose, bare = server.media.values()
    assert (rose["kind"], rose["data"], rose["alt"]) == ("tweet_image", b"png", "A rose")
    assert "alt" not in bare
    body = server.posts[0]["body"]
    assert body == {
        "text": "Look",
        "media": {"media_ids": list(server.media)},
        "made_with_ai": True,
    }


def test_the_preview_is_every_request(platform, server):
    post = message("Look", attachments=(PICTURE, BARE))

    shown = platform.preview(post)
    platform.send(post)

    sent = [f"{one.method} {server.url}{one.path}" for one in server.requests]
    assert [f"{one['method']} {one['url']}" for one in shown] == sent
    assert not any(secret in str(shown) for secret in server.keys.values() if secret != "app")


@pytest.mark.parametrize(
    ("fault", "to_", "kind"),
    [
        ("500", "upload", NotSent),
        ("hang up", "upload", NotSent),
        ("400:bad image", "upload", Refused),
        ("500", "metadata", NotSent),
        ("nonsense", "upload", NotSent),
    ],
)
def test_an_upload_that_fails_leaves_nothing_in_doubt(platform, server, fault, to_, kind):
    server.script.add(fault, to=to_)

    with pytest.raises(kind):
        platform.send(message("Look", attachments=(PICTURE,)))

    assert server.posts == []


def test_a_thread_is_a_chain_of_replies(platform, server):
    previous = (Receipt(remote_id="1"), Receipt(remote_id="2"))

    platform.send(message("third", previous=previous))

    assert server.posts[0]["body"]["reply"] == {"in_reply_to_tweet_id": "2"}


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "a < b && c > d",
        "see https://example.com/a?b=1&c=2, and main.rs!",
        "https://example.com/",
        "例え https://日本語.jp/あ 。",
        "e\u0301 and é",
        "two\n\nparagraphs  with blanks",
        "&amp; is written so",
    ],
)
def test_what_x_made_of_a_text_is_known_again(platform, server, clock, text):
    sent = platform.send(message(text, attachments=(PICTURE,)))
    platform.send(message("another", nonce="2"))

    looked = platform.find(message(text), since=clock.now())

    assert looked.receipt.remote_id == sent.remote_id


def test_the_whole_timeline_since_the_request_is_read(platform, server, clock):
    since, sent = clock.now(), platform.send(message("Find me"))
    server.page = 3
    for number in range(10):
        platform.send(message(f"number {number}"))

    assert platform.find(message("Find me"), since=since).receipt.remote_id == sent.remote_id
    taken = platform.find
    clock.advance(timedelta(minutes=4))
    looked = taken(message("Find me"), since=since, known={sent.remote_id})
    assert (looked.receipt, looked.certain) == (None, True)
    server.page = 1
    assert not taken(message("nowhere"), since=since).certain


def test_a_duplicate_after_a_lost_answer_is_the_post_itself(platform, server, clock):
    begun = clock.now()
    server.script.add("lose", to="post")
    with pytest.raises(Unconfirmed):
        platform.send(message("once", begun_at=begun))

    receipt = platform.send(message("once", begun_at=begun))

    assert [one["id"] for one in server.posts] == [receipt.remote_id]


def test_an_earlier_part_of_a_thread_with_the_same_words_is_not_this_one(platform, clock):
    first = platform.send(message("again", begun_at=clock.now()))

    with pytest.raises(Refused, match="already"):
        platform.send(message("again", nonce="2", begun_at=clock.now(), previous=(first,)))


def test_a_duplicate_of_an_older_post_is_refused(platform, server, clock):
    platform.send(message("once"))
    clock.advance(timedelta(hours=1))

    with pytest.raises(Refused, match="already"):
        platform.send(message("once", begun_at=clock.now()))


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("401", LockedOut, "does not accept the keys"),
        ("402:No credits", ConfigError, "wants to be paid"),
        ("403:Your client app is not configured with the appropriate oauth1 app permissions",
         LockedOut, "Read and write"),
        ("403:Your account is suspended", LockedOut, "closed the account"),
        ("403:client-not-enrolled", ConfigError, "does not take these keys"),
        ("403:Reply to this conversation is not allowed", Refused, "X refused it"),
        ("400:invalid", Refused, "invalid"),
        ("html", Unconfirmed, "503"),
        ("503", Unconfirmed, "503"),
        ("500 after storing", Unconfirmed, "500"),
        ("nonsense", Unconfirmed, "names no post"),
    ],
)  # fmt: skip
def test_what_an_answer_means(platform, server, fault, kind, words):
    server.script.add(fault, to="post")

    with pytest.raises(kind) as caught:
        platform.send(message())

    assert words in str(caught.value.problems[0])
    assert server.keys["token_secret"] not in str(caught.value)


def test_a_429_says_when_to_come_back(platform, server):
    server.script.add("429:600", to="post")

    with pytest.raises(NotSent):
        platform.send(message())
    with pytest.raises(NotSent) as caught:
        platform.send(message())

    assert 590 <= caught.value.retry_after <= 601


def test_markdown_becomes_plain_text_that_mentions_nobody_unasked(server, clock):
    platform = to(server, clock, guard=Guard(allowed_mentions=("ada",)))

    assert platform.render("**Hi** @eve, @ada: [docs](https://a.example)") == (
        "Hi @\u200beve, @ada: docs (https://a.example)"
    )


def test_what_is_missing_is_said_before(server, clock):
    assert [one.where for one in missing(Destination(name="x", platform="x"))] == [
        f"destinations.x.{key}" for key in ("api_key", "api_secret", "token", "token_secret")
    ]
    with pytest.raises(ConfigError, match="bearer"):
        to(server, clock, token=Secret("AAAAbearer"))


def test_links_are_what_x_makes_of_a_text():
    assert links("see main.rs or https://a.com/b?c, a@b.com") == (
        "main.rs",
        "https://a.com/b?c",
    )
