"""What no message may hold, and what it may."""

from pathlib import Path

import pytest

from botticelli.config.model import Destination, Guard
from botticelli.errors import ConfigError
from botticelli.platforms.guard import Judged, objections, verdicts


def judge(text, *, real=True, model="", too_long="refuse", **guard):
    destination = Destination(
        name="news", platform="discord", too_long=too_long, guard=Guard(**guard)
    )
    return objections(
        verdicts(
            Judged(text=text, destination=destination, max_length=2000, real=real, model=model)
        )
    )


GOOD = [
    "Botticelli 2.0 is out! 🎨 Try `botticelli post --dry-run` first.",
    "**Tip:** write to @support or see https://example.org/docs?a=1.",
    "Use a fence:\n```toml\n[acts]\nx = '{{recent_posts}}'\n```\nand `${ENV}` in it.",
    'She said "hello" and "goodbye", twice: "hello".',
    "[docs](https://example.org) and [your guide](https://example.org/guide)",
    "Here's what changed this week: faster starts, clearer words.",
    "I can't wait to see what you make with it!",
    "In code `@everyone` pings nobody.",
    "Write to someone@here.com or team@everyone.org.",
    "I can't help but smile at these sketches.",
    "I'm sorry, I can't make it on Friday: who takes over?",
    "As an AI engineer, what do you test first?",
    "I don't have access to a printer; any ideas?",
]


@pytest.mark.parametrize("text", GOOD)
def test_an_honest_post_passes(text):
    assert judge(text) == ""


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
    ("Hello {{name}}", "unfinished"),
    ("Hello ${NAME}", "unfinished"),
    ("Hello [insert name here]", "unfinished"),
    ("TODO: write this", "unfinished"),
    ('{"text_content": "hi"}', "JSON"),
    ('["a", "b"]', "JSON"),
    ('Post: "text_content": "hi", "tags": []', "JSON keys"),
    ("```\nall of it\n```", "one code block"),
    ("Look:\n```python\nx = 1", "not closed"),
    ("Sure! Here is the revised post:\n\nHello", "speaks about the post"),
    ("Here's the final version:\n\nHello", "speaks about the post"),
    ("As an AI language model, I think", "excuse"),
    ("I'm sorry, but I can't help with that.", "excuse"),
    ("I\u2019m sorry, I cannot do that", "excuse"),
    ("I am unable to create posts about this.", "excuse"),
    ("As an AI, I have no opinions.", "excuse"),
    ("I cannot generate content about that.", "excuse"),
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
    ],
)
def test_only_allowed_links_pass(link, passes):
    assert (judge(f"See {link} now", allowed_links=("example.org",)) == "") is passes


def test_forbidden_words_are_patterns_without_regard_to_case():
    assert "'Cheap' is forbidden" in judge("Cheap!", forbidden=(r"\bcheap\b",))
    assert judge("cheapest", forbidden=(r"\bcheap\b",)) == ""


def test_a_broken_pattern_is_a_matter_of_configuration():
    with pytest.raises(ConfigError, match="no regular expression"):
        judge("hi", forbidden=("(",))


def test_a_long_text_may_be_split_where_that_is_configured():
    assert judge("word " * 900, too_long="split") == ""


def test_text_of_the_offline_model_goes_to_an_outbox_only():
    assert "offline model" in judge("hi", model="offline")
    assert judge("hi", model="offline", real=False) == ""
    assert judge("hi", model="gemini-3.8-flash") == ""


def test_every_rule_has_one_verdict_whatever_the_text():
    destination = Destination(name="n", platform="outbox", folder=Path("x"))
    found = verdicts(Judged(text="", destination=destination, max_length=10, real=False))
    assert len({one.rule for one in found}) == len(found)
