"""The length of a status as each kind of server counts it. Pure."""

from functools import cache
from re import Pattern
from re import compile as pattern
from typing import Final

from botticelli.platforms.domains import BEFORE, domain
from botticelli.text import graphemes

_AFTER_MENTION: Final = pattern(r"[@\uff20\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]|://")
_MENTION: Final = pattern(r"(?i)(?<![=/\w])(@[a-z0-9_]+(?:[.-]+[a-z0-9_]+)*)(?:@\w+(?:[.-]+\w+)*)?")


def length_of(text: str, warning: str, *, software: str, per_url: int) -> int:
    """Return what a text and its content warning count together on a server.

    Mastodon and its forks count graphemes, a URL as `per_url` of them, a mention without its host.
    Pleroma and Akkoma count graphemes, GoToSocial and Takahe code points, links in full. Of any
    other server nothing is known: there the largest of these counts.

    Args:
        text: As it is sent.
        warning: The content warning; links in it count in full.
        software: Name of the server's software in small letters; empty: unknown.
        per_url: What a URL counts.
    """
    if software == "mastodon":
        return graphemes(warning + _shortened(text, per_url))
    if software in ("pleroma", "akkoma"):
        return graphemes(text + warning)
    if software in ("gotosocial", "takahe"):
        return len(warning) + len(text)
    return max(len(warning) + len(text), graphemes(warning + _shortened(text, per_url)))


def without_hosts(text: str) -> str:
    """Return a text with its mentions as servers show them: @user for @user@host."""
    return _MENTION.sub(lambda found: found[1], text)


def _shortened(text: str, per_url: int) -> str:
    """Return a text with what Mastodon puts in place of links and mentions before it counts."""
    links = _url_pattern().finditer(text) if "://" in text else iter(())
    mentions = (m for m in _MENTION.finditer(text) if not _AFTER_MENTION.match(text, m.end()))
    found = [(*each.span(2), "x" * per_url) for each in links]
    found += [(*each.span(), each[1]) for each in mentions]
    pieces, end = [], 0
    for start, stop, stands_for in sorted(found):
        if start >= end:  # else it lies in the one before
            pieces += [text[end:start], stands_for]
            end = stop
    return "".join((*pieces, text[end:]))


@cache
def _url_pattern() -> Pattern[str]:
    """Return Mastodon's pattern of a link: twitter-text's but for path and query.

    Group 2 is the link, behind the one character that may stand before it.
    """
    inner = r"[^\s<>()?]"
    balanced = rf"\((?:{inner}+|{inner}*\({inner}+\){inner}*)\)"
    ending = rf"(?:[^\s()?!*\"'「」<>;:=,.$%\[\]~&|@]|{balanced})"
    path = rf"(?:{inner}*(?:{balanced}{inner}*)*{ending}|{inner}+/)"
    beyond = "\u00a0-\ud7ff\ue000-\ufdcf\ufdf0-\uffef\U00010000-\U0010fffd"
    query = rf"\?[a-z0-9!?*'();:&=+$/%#\[\]\-_.,~|@\^{beyond}]*[a-z0-9_&=#/\-{beyond}]"
    return pattern(
        rf"(?i)({BEFORE})"
        r"((?:https?|dat|dweb|ipfs|ipns|ssb|gopher|gemini)://"
        rf"{domain()}(?::[0-9]+)?(?:/{path}*)?(?:{query})?)"
    )
