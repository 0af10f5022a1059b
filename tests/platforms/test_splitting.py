"""Texts in pieces: what only means something whole stays whole, or is closed and opened again."""

import re

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from botticelli.platforms.rules.splitting import Unsplittable, split
from botticelli.text import utf16_length

WORDS = "many words go on and on here"


def test_a_text_that_fits_is_left_alone():
    assert split("  a\n\n\nb  ", 100) == ("  a\n\n\nb  ",)


def test_it_is_cut_at_the_end_of_a_paragraph_first():
    first, second = "a" * 30, "b" * 30

    assert split(f"{first}\n\n{second}", 40) == (first, second)


def test_then_at_a_line_a_sentence_a_word():
    assert split("a" * 30 + "\n" + "b" * 30, 40) == ("a" * 30, "b" * 30)
    sentence = "Word word word word word word word."
    assert split(f"{sentence} {sentence}", 40) == (sentence, sentence)
    assert split("word " * 20, 34) == ("word " * 6 + "word",) * 2 + ("word " * 5 + "word",)


def test_paragraphs_that_fit_together_stay_together():
    assert split("a\n\nb\n\n" + "c" * 38, 40) == ("a\n\nb", "c" * 38)


def test_a_code_fence_stays_whole():
    fence = "```python\n" + "x = 1\n\n" * 5 + "```"

    assert split("Intro words here.\n\n" + fence, 60) == ("Intro words here.", fence)


def test_a_fence_too_long_is_closed_and_opened_again():
    code = "\n".join(f"line {number}" for number in range(20))

    parts = split(f"```py\n{code}\n```", 60)

    assert all(part.startswith("```py\n") and part.endswith("\n```") for part in parts)
    assert "\n".join(part[6:-4] for part in parts) == code


def test_a_word_without_end_is_cut_between_characters():
    assert split("🎨" * 40, 32) == ("🎨" * 16, "🎨" * 16, "🎨" * 8)


@given(st.text(alphabet="ab \n.🎨é`", max_size=400), st.integers(32, 80))
def test_every_piece_fits_and_nothing_but_blanks_and_fences_is_lost(whole, limit):
    parts = split(whole, limit)

    assert all(utf16_length(part) <= limit for part in parts)
    if "```" not in whole:
        assert "".join("".join(parts).split()) == "".join(whole.split())


@pytest.mark.parametrize(
    "mark", ["**", "*", "__", "_", "~~", "||", "`", "***", "___", "**||", "> **"]
)
def test_a_span_is_closed_at_the_cut_and_opened_again(mark):
    closing = mark.removeprefix("> ")[::-1]
    parts = split(f"{mark}{WORDS} {WORDS}{closing}", 40)

    assert len(parts) == 2
    for part in parts:
        assert part.startswith(mark)
        assert part.endswith(closing)
    assert [one for part in parts for one in part.strip("*_~|`> ").split()] == [*WORDS.split()] * 2


@pytest.mark.parametrize(
    "whole",
    [
        "||a spoiler. It has an end||",
        "**bold. And bold**",
        "`code. And code`",
        "[a text to read](https://example.org/a)",
        "https://example.org/path_with_marks/",
        "<https://example.org/a/b/c/d>",
        "<@123456789012345678>",
        "<@&123456789012345678>",
        "<#123456789012345678>",
        "<a:party_blob:123456789012345>",
        "<t:1764501234:R>",
        "</remind me:123456789012345678>",
        ":slightly_smiling_face:",
        "12,345.678",
        "```py\nx = 1\ny = 2\n```",
        "Try ```py\nx = 1```",
    ],
)
@pytest.mark.parametrize("in_front", range(20, 34, 3))
def test_what_fits_into_a_piece_is_never_cut(whole, in_front):
    text = "x" * (in_front - 1) + " " + whole + " and more words behind it"

    assert any(whole in part for part in split(text, 50))


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        (
            "これは文です。それも文です。" * 3,
            32,
            ("これは文です。それも文です。" * 2, "これは文です。それも文です。"),
        ),
        ("「はい。」と言った。" * 4, 32, ("「はい。」と言った。" * 3, "「はい。」と言った。")),
        ("今天天气很好，我们去公园散步吧，然后一起吃晚饭和看电影，再回家", 32, None),
        ("यह एक वाक्य है। यह दूसरा वाक्य है।", 32, ("यह एक वाक्य है।", "यह दूसरा वाक्य है।")),
        ("هل هذا سؤال قصير؟ نعم هذا سؤال قصير.", 32, ("هل هذا سؤال قصير؟", "نعم هذا سؤال قصير.")),
        (
            "> one line of a quote\n> **and bold in it**",
            32,
            ("> one line of a quote", "> **and bold in it**"),
        ),
        (f"> {WORDS} {WORDS}", 34, None),
        (f">>> {WORDS}\n{WORDS}", 36, (f">>> {WORDS}", f">>> {WORDS}")),
        (
            "> ```py\n> line = one\n> line = two\n> ```",
            32,
            ("> ```py\n> line = one\n> ```", "> ```py\n> line = two\n> ```"),
        ),
        (f"**{WORDS}\n\n{WORDS}**", 34, (f"**{WORDS}**", f"**{WORDS}**")),
        (r"a \*\*star and not bold, " + WORDS, 32, None),
    ],
)
def test_other_scripts_quotes_and_code(text, limit, parts):
    found = split(text, limit)

    assert parts is None or found == parts
    assert all(utf16_length(part) <= limit for part in found)
    assert all(part.startswith(">") for part in found if text.startswith(">"))
    assert not any(re.match("[、。，！？」]", part) for part in found)


@pytest.mark.parametrize(
    "sign",
    ["🇩🇪", "👨\u200d👩\u200d👧\u200d👦", "👍🏽", "e\u0301\u0323", "1\ufe0f\u20e3", "क्षि", "각"],
)
def test_what_a_reader_sees_as_one_sign_is_never_cut(sign):
    parts = split(sign * 40, 33)

    assert "".join(parts) == sign * 40
    assert all(set(regex.findall(r"\X", part)) == {regex.match(r"\X", sign)[0]} for part in parts)


@pytest.mark.parametrize(
    "text", ["https://example.org/" + "a" * 60, f"[{WORDS}](https://example.org/{'a' * 30})"]
)
def test_what_fits_nowhere_is_said(text):
    with pytest.raises(Unsplittable, match="longer than a message"):
        split(text, 50)


ATOMS = st.sampled_from(
    [
        *(
            "a",
            "b",
            " ",
            "\n",
            "\n\n",
            ". ",
            "word ",
            "word " * 9,
            "🎨",
            "🇩🇪",
            "e\u0301",
            "。",
            "文字",
        ),
        *("\\*", "> ", "- ", "# ", "1.", "**", "*", "__", "_", "~~", "||", "`", "``", "```"),
        *("```py\n", "\n```\n", "[a](https://b.c/d)", "<@12>", "<t:1:R>", ":smile:"),
    ]
)


@given(st.lists(ATOMS, max_size=60).map("".join), st.integers(60, 90))
@example("**" + "word " * 30 + "||" + "more " * 30 + "||**", 60)
def test_no_piece_has_an_open_span_each_fits_and_all_is_there(whole, limit):
    parts = split(whole, limit)

    assert all(utf16_length(part) <= limit for part in parts)
    assert letters(" ".join(parts)) == letters(whole)


MARKS = ("**", "__", "~~", "||", "`")
PROSE = ("word", "two words", "a. B", "🇩🇪", "文。字", "<@12>", "x\n\ny", "long " * 12 + "end")


def marked(mark, inner):
    inside = " ".join(inner)
    for other in MARKS if mark == "`" else (mark,):
        inside = inside.replace(other, "")
    return f"{mark}{inside}{mark}"


SPANS = st.recursive(
    st.sampled_from(PROSE),
    lambda inner: st.builds(
        marked, st.sampled_from(MARKS), st.lists(inner, min_size=1, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(SPANS, min_size=1, max_size=6), st.integers(60, 90))
def test_every_mark_that_opens_closes_in_its_own_piece(spans, limit):
    whole = " ".join(spans)
    if any(whole.count(mark) % 2 for mark in MARKS):
        return
    for part in split(whole, limit):
        assert not [mark for mark in MARKS if part.count(mark) % 2], part


@pytest.mark.parametrize(
    "sign", ["*a ", "**a ", "[a", "`a", "||a", "_a ", "*a **b ", "\n- ", "<a", "> a", "[a](", "a*"]
)
def test_it_takes_linear_time(sign):
    split(
        (sign * 40_000)[:40_000], 2000
    )  # the suite's time limit is the test: quadratic takes minutes


def letters(text):
    return re.sub(r"[\s*_~|`>#]+", "", text).replace("py", "")
