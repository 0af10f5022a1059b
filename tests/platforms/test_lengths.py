"""The length of a text as each platform counts it: 250 texts, counted by independent programs.

lengths.json has a row a text: the text, its code points, UTF-16 units, bytes of UTF-8, graphemes
(Intl.Segmenter), Mastodon's count (its rule in another language, over the patterns that X's own
library has for domains) and X's (that library's own).
"""

import json
from pathlib import Path

import pytest

from botticelli.platforms.bluesky import record
from botticelli.platforms.discord.open import ROOM as DISCORD
from botticelli.platforms.mastodon.counting import length_of
from botticelli.platforms.x.counting import weight
from botticelli.text import graphemes, utf16_length

ROWS = json.loads((Path(__file__).parent / "lengths.json").read_text())


def wrong(count, column, rows=ROWS):
    """The texts that are not counted as they should be, with both counts."""
    found = ((row[0], count(row[0]), row[column]) for row in rows)
    return [each for each in found if each[1] != each[2]]


def on(software):
    return lambda text: length_of(text, "", software=software, per_url=23)


def test_there_are_enough_of_them():
    assert len({row[0] for row in ROWS}) == len(ROWS) >= 250


def test_discord_counts_utf16_units():
    assert wrong(utf16_length, 2) == []
    assert DISCORD.longest == 2000


@pytest.mark.parametrize("software", ["gotosocial", "takahe"])
def test_gotosocial_and_takahe_count_code_points(software):
    assert wrong(on(software), 1) == []


@pytest.mark.parametrize("software", ["pleroma", "akkoma"])
def test_pleroma_and_akkoma_count_graphemes(software):
    assert wrong(on(software), 4) == []


def test_mastodon_counts_graphemes_with_short_links_and_mentions():
    assert wrong(on("mastodon"), 5) == []


def test_of_an_unknown_server_the_larger_count_is_believed():
    rows = [[row[0], max(row[1], row[5])] for row in ROWS]

    assert wrong(on(""), 1, rows) == []


def test_bluesky_counts_graphemes():
    plain = [row for row in ROWS if "](" not in row[0]]  # a link under words is no part of a text

    assert wrong(record.length, 4, plain) == []
    assert wrong(lambda text: len(text.encode()), 3) == []


def test_x_counts_weights():
    assert wrong(weight, 6) == []


def test_a_content_warning_counts_as_it_is():
    counted = [
        length_of("https://example.com/a", "https://a.example 👍🏽", software=one, per_url=23)
        for one in ("mastodon", "pleroma", "gotosocial", "")
    ]

    assert counted == [23 + 19, 21 + 19, 21 + 20, 23 + 19]


def test_a_link_counts_what_the_server_says():
    assert length_of("https://example.com/a", "", software="mastodon", per_url=30) == 30


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "https://" + "a" * 50_000,
        "https://" + "a." * 50_000,
        "https://" + "a-" * 25_000,
        "https://a.b" * 9_000,
        "https://example.com/" + "(" * 50_000,
        "https://example.com/" + "." * 50_000,
        "https://example.com/?" + "." * 50_000,
        "@a@" + "b." * 20_000,
        "@a." * 30_000,
        "👨\u200d" * 20_000,
    ],
    ids=lambda text: text[:24],
)
def test_no_text_takes_long_to_count(text):
    assert length_of(text, "", software="", per_url=23) > 500


def test_graphemes_are_counted_as_other_programs_do():
    assert wrong(graphemes, 4) == []
