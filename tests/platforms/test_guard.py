"""What no message may hold, and what it may."""

from pathlib import Path

import pytest

from botticelli.config.model import Destination
from botticelli.config.operations import Guard
from botticelli.errors import ConfigError
from botticelli.platforms.base import Attachment
from botticelli.platforms.rules.post_rules import PostFacts, objections, verdicts
from tests.platforms.guard_posts import LEFTOVERS, POSTS


def judge(text, *, real=True, model="", too_long="refuse", repeats="", **guard):
    destination = Destination(
        name="news", platform="discord", too_long=too_long, guard=Guard(**guard)
    )
    return objections(
        verdicts(
            PostFacts(
                text=text,
                destination=destination,
                max_length=2000,
                real=real,
                model=model,
                repeats=repeats,
            )
        )
    )


@pytest.mark.parametrize("text", POSTS)
def test_an_honest_post_passes(text):
    assert judge(text, allowed_links=("example.org",)) == ""


def test_what_repeats_a_recent_post_is_held_with_that_post():
    assert judge("Good morning!", repeats="as good as post 7") == "repeat: as good as post 7"


@pytest.mark.parametrize(("text", "why"), LEFTOVERS)
def test_what_a_model_leaves_behind_is_held(text, why):
    assert why in judge(text)


BAD = [
    ("   \n ", "there is no text"),
    ("x" * 2001, "2001 characters, 2000 are allowed"),
    ("🎨" * 1001, "2002 characters"),
    ("Hey @everyone", "@everyone"),
    ("Hey @here!", "@here"),
    ("Hey <@123>", "<@123>"),
    ("Hey <@&123>", "<@&123>"),
    ("Join discord.gg/abc", "invites"),
    ("Join https://discord.com/invite/abc", "invites"),
]


@pytest.mark.parametrize(("text", "why"), BAD)
def test_what_must_not_go_out_is_held_with_the_reason(text, why):
    assert why in judge(text)


def test_allowed_mentions_may_be_made():
    assert judge("Hey <@123>", allowed_mentions=("123",)) == ""
    assert judge("Hey <@124>", allowed_mentions=("123",)) != ""


def test_invites_may_be_allowed():
    assert judge("Join discord.gg/abc", allow_invites=True) == ""


@pytest.mark.parametrize(
    ("link", "passes"),
    [
        ("https://example.org/x", True),
        ("https://docs.example.org/x", True),
        ("www.example.org", True),
        ("https://example.org.evil.com/", False),
        ("https://evilexample.org", False),
        ("https://example.org@evil.com/", False),
        ("[example.org](https://evil.com)", False),
        ("**https://example.org**", True),
        ("`https://example.org`", True),
        ("__https://example.org__", True),
        ("https://example.org\u3002", True),
        ("<https://example.org/a>", True),
        ("HTTPS://EXAMPLE.ORG:443/a", True),
        ("https://evil.com\\@example.org", False),
        ("https://ex\u0430mple.org", False),
    ],
)
def test_only_allowed_links_pass(link, passes):
    assert (judge(f"See {link} now", allowed_links=("example.org",)) == "") is passes


def test_forbidden_words_are_patterns_without_regard_to_case():
    assert "'Cheap' is forbidden" in judge("Cheap!", forbidden=(r"\bcheap\b",))
    assert judge("cheapest", forbidden=(r"\bcheap\b",)) == ""
    assert "'cheap' is forbidden" in judge("ch\u200beap \uff43heap", forbidden=(r"\bcheap\b",))


def test_a_broken_pattern_is_a_matter_of_configuration():
    with pytest.raises(ConfigError, match="not a valid regular expression"):
        judge("hi", forbidden=("(",))


def test_a_long_text_may_be_split_where_that_is_configured():
    assert judge("word " * 900, too_long="split") == ""


def test_text_of_the_offline_model_goes_to_an_outbox_only():
    assert "offline model" in judge("hi", model="offline")
    assert judge("hi", model="offline", real=False) == ""
    assert judge("hi", model="gemini-3.8-flash") == ""


def test_every_rule_has_one_verdict_whatever_the_text():
    destination = Destination(name="n", platform="outbox", folder=Path("x"))
    found = verdicts(PostFacts(text="", destination=destination, max_length=10, real=False))
    assert len({one.rule for one in found}) == len(found)


def attached(*alts):
    return tuple(
        Attachment(sha256="0" * 64, mime="image/png", content=b"x", alt=alt) for alt in alts
    )


BESIDES = [
    ({"title": "@everyone come"}, "mentions: @everyone is not among the allowed mentions"),
    ({"link": "https://discord.gg/abc"}, "invites: a link to discord.gg invites to a server"),
    ({"link": "https://evil.example"}, "links: evil.example is not among the allowed links"),
    ({"link": "javascript:alert(1)"}, "links: javascript:alert(1) is no address of the web"),
    ({"link": "https://good.example"}, ""),
    ({"attachments": attached("a giveaway")}, "forbidden words: 'giveaway' is forbidden"),
    ({"attachments": attached("a\u202ecat")}, "content: it holds a control or hidden character"),
    ({"attachments": attached("a cat", " ")}, "attachments: picture 2 has no words"),
    ({"attachments": attached("a", "b", "c")}, "attachments: 3 pictures, 2 are taken there"),
    ({"attachments": attached("a cat", "a dog")}, ""),
    ({"title": "Bridges", "parts": ("Hi.", "Ho.")}, ""),
    ({"parts": ("Hi.", "Ho. " * 600)}, "length: part 2: 2400 characters, 2000 are allowed"),
]


@pytest.mark.parametrize(("besides", "why"), BESIDES)
def test_all_that_is_sent_is_judged(besides, why):
    guard = Guard(forbidden=("giveaway",), allowed_links=("good.example",))
    facts = PostFacts(
        text="Hi.",
        destination=Destination(name="news", platform="discord", guard=guard),
        max_length=2000,
        real=True,
        most_attachments=2,
        **besides,
    )

    found = objections(verdicts(facts))

    assert found.startswith(why) if why else found == ""


def test_a_picture_without_words_may_go_out_where_the_destination_says_so():
    facts = PostFacts(
        text="Hi.",
        destination=Destination(name="news", platform="discord", alt="none"),
        max_length=2000,
        real=True,
        most_attachments=1,
        attachments=attached(""),
    )

    assert objections(verdicts(facts)) == ""
