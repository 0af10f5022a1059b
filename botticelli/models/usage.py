"""Tokens: what a server says it has counted, as far as that can be true, and estimates of our own.

A count is believed only where it is plausible: a whole number of no sign (a text of digits and a
fraction, rounded up, are taken for one), not above what the text can make and not below what it
must make. Where it is not, the books have the estimate of `input_tokens` and `output_tokens`,
which is high rather than low.
"""

import json
import math
import re
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from botticelli.models.base import Part, Request, Usage

BYTES_PER_TOKEN: Final = 3  # an upper estimate: the rule of thumb is 4 (Google's token guide)
TOKENS_PER_IMAGE: Final = 1300
BYTES_PER_MEDIA_TOKEN: Final = 50  # sound and film: 32 and 300 tokens a second, at low bit rates
LARGEST: Final = 10_000_000  # tokens of one call; no window is larger
TEMPLATE: Final = 20_000  # tokens that a server may add to a prompt: its template, its tools
# Below it a server that counts little is one that does not count: some report the same for all.
LEAST_CUT: Final = 200
SLACK: Final = 0.97  # of the least number of tokens; what is below was not read
# Scripts that set no spaces: characters in one token, more than any tokenizer has on average.
_UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
)
_PER_UNSPACED: Final = 4
_WORD: Final = re.compile(r"\S*[^\W_]\S*")


def count(value: Any) -> int | None:
    """Return a number of tokens as a server wrote it; None if it is none."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value) if len(value) < len(str(LARGEST)) + 2 else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= LARGEST:
        return None  # NaN is not between them
    return math.ceil(value)


def cached_tokens(*told: Any, sent: int) -> int:
    """Return the first count of cached tokens that can be true: not more than the input, or 0.

    A wrong one would make a call look cheaper than it is.
    """
    return next((one for one in map(count, told) if one and one <= sent), 0)


def believed(request: Request, text: str, usage: Usage | None) -> Usage | None:
    """Return what a server says of a call, where it can be true; None if it cannot.

    Of an answer that is there the output is not 0.
    """
    if usage is None or not 0 < usage.input <= _most(request):
        return None
    if usage.input < min(LEAST_CUT, SLACK * least_tokens(request)):
        return None
    is_counted = usage.output or usage.thoughts or not text
    return usage if is_counted else replace(usage, output=output_tokens(text))


def estimated(request: Request, text: str) -> Usage:
    """Return what stands in the books where a server says nothing that can be true."""
    return Usage(input=input_tokens(request), output=output_tokens(text))


def is_cut(request: Request, usage: Usage | None) -> bool:
    """Return whether a server has plainly read less than it was sent.

    Some drop the front of a prompt that is larger than their window, and answer all the same.
    """
    return usage is not None and LEAST_CUT <= usage.input < SLACK * least_tokens(request)


def least_tokens(request: Request) -> int:
    """Return how many tokens the messages have at least, whoever counts them.

    No tokenizer joins words over a space. Short words count for less, since servers that only
    estimate divide the characters by four.
    """
    texts = [part.text for message in request.messages for part in message.parts if part.text]
    return sum(map(_least, texts))


def probable_tokens(request: Request) -> int:
    """Return how many tokens a prompt has, rather too few than too many."""
    texts = [part.text for message in request.messages for part in message.parts if part.text]
    return max(least_tokens(request), sum(map(len, (request.system, *texts))) // 7)


@lru_cache(maxsize=16)  # of each request it is asked three times, and most say the same before
def _least(text: str) -> int:
    unspaced = len(_UNSPACED.findall(text))
    words = _WORD.findall(_UNSPACED.sub(" ", text) if unspaced else text)
    sizes = Counter(map(len, words))
    return int(len(words) - sizes[1] / 2 - sizes[2] / 4) + unspaced // _PER_UNSPACED


def _most(request: Request) -> int:
    parts = [part for message in request.messages for part in message.parts]
    if any(part.text is None for part in parts):
        return LARGEST
    return min(LARGEST, TEMPLATE + 4 * BYTES_PER_TOKEN * input_tokens(request))


def input_tokens(request: Request) -> int:
    """Return an upper estimate of the input tokens, made without the provider's tokenizer."""
    size = _size(request.system)
    size += len(json.dumps(request.schema, default=dict)) if request.schema else 0
    tokens = sum(_part_tokens(part) for message in request.messages for part in message.parts)
    return size // BYTES_PER_TOKEN + tokens + 8 * (len(request.messages) + 1)


def output_tokens(text: str) -> int:
    """Return an upper estimate of the tokens of an answer."""
    return -(-_size(text) // BYTES_PER_TOKEN)


def _part_tokens(part: Part) -> int:
    if part.text is not None:
        return _size(part.text) // BYTES_PER_TOKEN + 1
    if part.data is None or (part.mime or "").startswith("image/"):
        return TOKENS_PER_IMAGE
    return max(TOKENS_PER_IMAGE, len(part.data) // BYTES_PER_MEDIA_TOKEN)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
