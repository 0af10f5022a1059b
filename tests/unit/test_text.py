"""Text as platforms count it, compared and cut."""

import pytest

from botticelli import text


@pytest.mark.parametrize(
    ("given_text", "length"), [("abc", 3), ("ü", 1), ("🎨", 2), ("e\u0301", 2)]
)
def test_length_is_counted_in_utf16_units(given_text, length):
    assert text.utf16_length(given_text) == length


@pytest.mark.parametrize(
    "touched",
    [
        "**Bold** claim",
        "  bold\n claim ",
        "BOLD CLAIM",
        "Bold\u200b claim",
        "\uff22\uff4f\uff4c\uff44 claim",
    ],
)
def test_what_a_platform_touches_up_compares_equal(touched):
    assert text.normalise(touched) == text.normalise("Bold claim")
    assert text.fingerprint(touched) == text.fingerprint("Bold claim")


def test_other_words_compare_unequal():
    assert text.normalise("Bold claim") != text.normalise("Bold claims")


def test_shortening_ends_at_a_word():
    assert text.shorten("one two three four", 12) == "one two…"
    assert text.shorten("one\n two", 12) == "one two"


def test_a_count_stands_with_its_noun():
    assert [text.counted(n, "call") for n in (0, 1, 2)] == ["0 calls", "1 call", "2 calls"]
    assert [text.counted(n, "batch", "batches") for n in (1, 2)] == ["1 batch", "2 batches"]


def test_no_control_character_of_a_model_speaks_to_a_terminal():
    assert text.visible("a\x1b[2Jb\x9bc\td\ne") == "a\N{MIDDLE DOT}[2Jb\N{MIDDLE DOT}c\td\ne"
