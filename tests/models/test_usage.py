"""Which counts of tokens are believed, and which say that a prompt was cut."""

import pytest

from botticelli.models.base import Request, Usage
from botticelli.models.usage import believed, count, estimated, is_cut, least_tokens
from tests.contracts.model_contract import user

ENGLISH = "The quick brown fox jumps over the lazy dog near the river bank. " * 200
CHINESE = "国际象棋俱乐部每周三晚上在图书馆聚会，欢迎新成员参加比赛和讨论。" * 100
CODE = 'if (x[i] == "a") { return y.map(z => z + 1); }\n' * 200


def asked(text):
    return Request(model="m", messages=(user(text),))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (12, 12), (12.0, 12), (12.4, 13), ("12", 12), (0, 0),
        (-1, None), (-0.5, None), ("twelve", None), ("", None), ("1e3", None), ("9" * 400, None),
        (True, None), (False, None), (None, None), ([1], None), ({}, None),
        (float("nan"), None), (float("inf"), None), (10**30, None), (2**63, None),
    ],
)  # fmt: skip
def test_what_is_a_number_of_tokens(written, read):
    assert count(written) == read


@pytest.mark.parametrize(
    ("text", "input_tokens", "is_believed"),
    [
        ("Hello there", 3, True),
        ("Hello there", 900, True),  # a template, tools
        ("Hello there", 5_000_000, False),
        ("Hello there", 0, False),
        (ENGLISH, 2_800, True),
        (ENGLISH, 17, False),  # the same for every call
        (CHINESE, 2_400, True),
    ],
)
def test_which_counts_are_believed(text, input_tokens, is_believed):
    usage = Usage(input=input_tokens, output=5)
    assert (believed(asked(text), "Hi", usage) == usage) is is_believed


def test_an_answer_that_is_there_has_tokens():
    assert believed(asked("Hello"), "a" * 30, Usage(input=3)).output == 10
    assert believed(asked("Hello"), "", Usage(input=3)).output == 0
    assert estimated(asked("Hello" * 30), "a" * 30) == Usage(input=67, output=10)


# Characters in a token: o200k and the like at English, Chinese and code; servers that divide by 4.
@pytest.mark.parametrize(
    "text", [ENGLISH, CHINESE, CODE, "word " * 3000, "1 2 3 " * 2000, "x" * 40_000]
)
@pytest.mark.parametrize(
    "counting",
    [
        lambda text: len(text) // 4,
        lambda text: len(text.encode()) // 4,
        lambda text: len(text.encode()) // 3,
        lambda text: max(len(text.split()), len(text.encode()) // 6),
        lambda _text: 7,
        lambda _text: 199,
    ],
)
def test_no_honest_server_is_said_to_cut(text, counting):
    assert not is_cut(asked(text), Usage(input=counting(text)))


@pytest.mark.parametrize(
    ("text", "window"), [(ENGLISH, 1000), (ENGLISH, 2048), (CHINESE, 600), (CODE, 1024)]
)
def test_a_server_that_reads_half_a_prompt_is_seen(text, window):
    assert is_cut(asked(text), Usage(input=window))
    assert not is_cut(asked(text), None)
    assert not is_cut(asked(text[:300]), Usage(input=20))


def test_the_least_is_never_above_what_a_tokenizer_counts():
    assert least_tokens(asked("Ein Schachklub, der sich trifft.")) == 5
    assert least_tokens(asked("..... !!! ----")) == 0
