"""How X counts a text and what it takes for a link: twitter-text's rules (config v3). Pure.

Source: github.com/twitter/twitter-text, parseTweet and extractUrlsWithIndices. It knows the emoji
of 2018 (twemoji-parser 11): a younger sequence counts as its characters do.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from botticelli.platforms.domains import BEFORE, domain, endings

if TYPE_CHECKING:
    from regex import Pattern

LONGEST: Final = 280  # weighted
OF_A_LINK: Final = 23
LONGEST_LINK: Final = 4096  # characters
LONGEST_SLUG: Final = 40  # of a t.co link
_LIGHT: Final = re.compile(r"[\u0000-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]")
_DOTTED: Final = re.compile(r"(?:[^\s.]*\.){64,}\S*")
_BEHIND: Final = ("-", "_", ".", "/")  # what no link without a scheme stands behind
_ACCENTS: Final = (
    r"\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0253\u0254\u0256\u0257\u0259\u025b\u0263\u0268"
    r"\u026f\u0272\u0289\u028b\u02bb\u0300-\u036f\u1e00-\u1eff"
)
_QUERY: Final = r"\?[a-z0-9!?*'@();:&=+$/%#\[\]\-_.,~|]*[a-z0-9\-_&=#/]"
_TCO: Final = re.compile(rf"https?://t\.co/([a-z0-9]+)(?:{_QUERY})?", re.IGNORECASE)


@lru_cache(maxsize=256)
def weight(text: str) -> int:
    """Return the weighted length: a link is 23, an emoji 2, most alphabets 1 a sign, the rest 2."""
    text = unicodedata.normalize("NFC", text)
    total, end = 0, 0
    for start, stop in _links(text):
        total += _of_words(text[end:start]) + OF_A_LINK
        end = stop
    return total + _of_words(text[end:])


@lru_cache(maxsize=256)
def links(text: str) -> tuple[str, ...]:
    """Return what X makes links of: addresses, and names such as `main.rs` with a domain's end."""
    text = unicodedata.normalize("NFC", text)
    return tuple(text[start:stop] for start, stop in _links(text))


def _of_words(text: str) -> int:
    emoji, rest = 0, text
    if not text.isascii():
        rest, emoji = _emoji().subn("", text)
    return 2 * (emoji + len(rest)) - len(_LIGHT.findall(rest))


def _links(text: str) -> Iterator[tuple[int, int]]:
    """Yield where links stand; of a name in other letters than Latin only the Latin part is one."""
    if "." not in text:
        return
    # A word of more dots than a name may have is not looked into: that would take seconds.
    text = _DOTTED.sub(lambda found: found[0].replace(".", ","), text)
    for found in _address().finditer(text):
        start, stop = found.span("url")
        if found["scheme"]:
            if short := _TCO.match(found["url"]):
                stop = start + short.end()
            is_long = short and len(short[1]) > LONGEST_SLUG
            if not is_long and stop - start <= LONGEST_LINK:
                yield start, stop
        elif not found["before"].endswith(_BEHIND):
            names = [each.span() for each in _latin().finditer(found["name"])]
            yield from ((start + one, start + end) for one, end in names[:-1])
            if names:  # the reference looks for the path right behind the last of them
                behind = stop - found.end("name") if found["path"] else 0
                yield start + names[-1][0], start + names[-1][1] + behind


@cache
def _address() -> re.Pattern[str]:
    sign = rf"[a-z\u0400-\u04ff0-9!*';:=+,.$/%#\[\]\-\u2013_~@|&{_ACCENTS}]"
    balanced = rf"\((?:{sign}+|{sign}*\({sign}+\){sign}*)\)"
    ending = rf"[+\-a-z\u0400-\u04ff0-9=_#/{_ACCENTS}]"
    path = rf"(?:{sign}*(?:{balanced}{sign}*)*{ending}|{balanced}|@{sign}+/)"
    return re.compile(
        rf"(?P<before>{BEFORE})(?P<url>(?P<scheme>https?://)?(?P<name>{domain()})(?::[0-9]+)?"
        rf"(?P<path>/{path}*)?(?:{_QUERY})?)",
        re.IGNORECASE,
    )


@cache
def _latin() -> re.Pattern[str]:
    return re.compile(rf"(?:[\-a-z0-9{_ACCENTS}]+\.)+{endings()}", re.IGNORECASE)


@cache
def _emoji() -> "Pattern[str]":
    """Return the pattern of what counts as one emoji although it is several characters."""
    import regex

    man, woman, boy, girl = "\U0001f468", "\U0001f469", "\U0001f466", "\U0001f467"
    adult, skin = f"[{man}{woman}]", r"\p{Emoji_Modifier}"
    heart = r"\u2764\ufe0f\u200d(?:\U0001f48b\u200d)?"
    person = (
        r"[[\p{Emoji_Modifier_Base}\u26f7]--[\U0001f46a-\U0001f46d\U0001f46f\U0001f48f\U0001f491"
        r"\U0001f90c\U0001f90f\U0001f91d\U0001f93c\U0001f977\U0001f9bb\U0001f9cd-\U0001f9cf"
        r"\U0001fac0-\U0001faff]]"
    )
    active = (
        r"[\U0001f3c3\U0001f3c4\U0001f3ca\U0001f46e\U0001f471\U0001f473\U0001f477\U0001f481\U0001f482"
        r"\U0001f486\U0001f487\U0001f645-\U0001f647\U0001f64b\U0001f64d\U0001f64e\U0001f6a3"
        r"\U0001f6b4-\U0001f6b6\U0001f926\U0001f935\U0001f937-\U0001f939\U0001f93d\U0001f93e"
        r"\U0001f9b8\U0001f9b9\U0001f9d6-\U0001f9dd]"
    )
    tool = (
        r"(?:[\u2695\u2696\u2708]\ufe0f|[\U0001f33e\U0001f373\U0001f393\U0001f3a4\U0001f3a8\U0001f3eb"
        r"\U0001f3ed\U0001f4bb\U0001f4bc\U0001f527\U0001f52c\U0001f680\U0001f692"
        r"\U0001f9b0-\U0001f9b3])"
    )
    either = (  # a sign or a picture, as the selector behind it says
        r"[[\p{Emoji}--\p{Emoji_Presentation}--[#*0-9\u26a7\u267e]]\u231a\u231b\u25fd\u25fe\u2614"
        r"\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab\u26bd\u26be\u26c4\u26c5\u26d4\u26ea"
        r"\u26f2\u26f3\u26f5\u26fa\u26fd\u2757\u2b1b\u2b1c\u2b50\u2b55\U0001f004\U0001f21a\U0001f22f]"
    )
    return regex.compile(
        rf"""{adult}{skin}?\u200d{tool}
        |(?:{active}{skin}?|[\U0001f3cb\U0001f3cc\U0001f574\U0001f575\u26f9](?:{skin}|\ufe0f)
           |[\U0001f46f\U0001f93c\U0001f9de\U0001f9df])\u200d[\u2640\u2642]\ufe0f
        |{man}\u200d{heart}{man}|{woman}\u200d{heart}{adult}
        |(?:{man}\u200d{adult}|{woman}\u200d{woman}|{adult})\u200d
           (?:{boy}\u200d{boy}|{girl}\u200d[{boy}{girl}]|[{boy}{girl}])
        |\U0001f3f3\ufe0f\u200d\U0001f308|\U0001f3f4\u200d\u2620\ufe0f|\U0001f441\u200d\U0001f5e8
        |\U0001f3f4\U000e0067\U000e0062[\U000e0063-\U000e0077]{{3}}\U000e007f
        |\p{{Regional_Indicator}}{{2}}|[\#*0-9]\ufe0f?\u20e3
        |{person}{skin}|[{person}--\p{{Emoji_Presentation}}]\ufe0f{skin}|{either}\ufe0f""",
        regex.V1 | regex.VERBOSE,
    )
