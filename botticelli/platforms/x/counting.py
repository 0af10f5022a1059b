"""How X counts a text and what it takes for a link: twitter-text's rules, by a port of it."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

LONGEST: Final = 280  # weighted
# The port's pattern for domains takes minutes for a word of thousands of dots.
MOST_DOTS: Final = 20
_DOTTED: Final = re.compile(rf"(?:[^\s.]*\.){{{MOST_DOTS + 1},}}\S*")


@lru_cache(maxsize=256)
def weight(text: str) -> int:
    """Return the weighted length: a link is 23, an emoji 2, most alphabets 1 a sign, the rest 2."""
    from twitter_text import parse_tweet

    return int(parse_tweet(_tame(text)).weightedLength)


@lru_cache(maxsize=256)
def links(text: str) -> tuple[str, ...]:
    """Return what X makes links of: addresses, and names such as `main.rs` with a domain's end."""
    from twitter_text import extract_urls_with_indices

    return tuple(str(one["url"]) for one in extract_urls_with_indices(_tame(text)))


def has_link(text: str) -> bool:
    """Return whether a text costs as one with a link; a word that was not looked into does."""
    return bool(_DOTTED.search(text) or links(text))


def _tame(text: str) -> str:
    """Return a text of the same length without dots in words of so many that none is an address."""
    text = unicodedata.normalize("NFC", text)
    return _DOTTED.sub(lambda found: found[0].replace(".", ","), text)
