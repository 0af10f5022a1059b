"""Text as platforms count it, compared and cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_a_text_that_fits_is_left_alone():
    assert text.split("  a\n\n\nb  ", 100) == ("  a\n\n\nb  ",)


def test_it_is_cut_at_the_end_of_a_paragraph_first():
    first, second = "a" * 30, "b" * 30

    assert text.split(f"{first}\n\n{second}", 40) == (first, second)


def test_then_at_a_line_a_sentence_a_word():
    assert text.split("a" * 30 + "\n" + "b" * 30, 40) == ("a" * 30, "b" * 30)
    sentence = "Word word word word word word word."
    assert text.split(f"{sentence} {sentence}", 40) == (sentence, sentence)
    assert text.split("word " * 20, 34) == ("word " * 6 + "word",) * 2 + ("word " * 5 + "word",)


def test_paragraphs_that_fit_together_stay_together():
    assert text.split("a\n\nb\n\n" + "c" * 38, 40) == ("a\n\nb", "c" * 38)


def test_a_code_fence_stays_whole():
    fence = "```python\n" + "x = 1\n\n" * 5 + "```"

    assert text.split("Intro words here.\n\n" + fence, 60) == ("Intro words here.", fence)


def test_a_fence_too_long_is_closed_and_opened_again():
    code = "\n".join(f"line {number}" for number in range(20))

    parts = text.split(f"```py\n{code}\n```", 60)

    assert all(part.startswith("```py\n") and part.endswith("\n```") for part in parts)
    assert "\n".join(part[6:-4] for part in parts) == code


def test_a_word_without_end_is_cut_between_characters():
    assert text.split("🎨" * 40, 32) == ("🎨" * 16, "🎨" * 16, "🎨" * 8)


@given(st.text(alphabet="ab \n.🎨é`", max_size=400), st.integers(32, 80))
def test_every_piece_fits_and_nothing_but_blanks_and_fences_is_lost(whole, limit):
    parts = text.split(whole, limit)

    assert all(text.utf16_length(part) <= limit for part in parts)
    if "```" not in whole:
        assert "".join("".join(parts).split()) == "".join(whole.split())


def test_a_count_stands_with_its_noun():
    assert [text.counted(n, "call") for n in (0, 1, 2)] == ["0 calls", "1 call", "2 calls"]
    assert [text.counted(n, "batch", "batches") for n in (1, 2)] == ["1 batch", "2 batches"]


def test_no_control_character_of_a_model_speaks_to_a_terminal():
    assert text.visible("a\x1b[2Jb\x9bc\td\ne") == "a\N{MIDDLE DOT}[2Jb\N{MIDDLE DOT}c\td\ne"
