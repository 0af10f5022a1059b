"""What a text shows its readers: links, invites, mentions, code, characters that nobody sees. Pure.

Posts and commands are judged by this one reading. It follows Discord's client and, for a link's
host, the browser behind it. Where clients may differ a text is read in several spellings (as it
is, in plain letters, without invisible characters, without markdown's escapes), and what any of
them shows counts. Everything here takes time in proportion to the length of the text.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import islice
from typing import Final, TypeVar
from urllib.parse import unquote

from botticelli.records import record
from botticelli.text import LONG, UNSEEN, shorten, utf16_length

MOST_LINKS: Final = 1000  # in one text; more fit into no number of messages that a post may have
LONGEST_AUTHORITY: Final = 300  # characters; a longer one leads nowhere that could be allowed
# Endings of a host that is read as one without a scheme: none that files often have.
_ENDINGS: Final = (
    "com|org|net|info|biz|io|gg|me|co|app|dev|xyz|ai|tv|ly|to|eu|uk|de|fr|it|es|nl|ch|at|ru|su|cn"
    "|jp|kr|in|br|us|ca|au|pl|online|site|shop|store|club|top|live|link|click|fun|icu|social|blog"
)
_NAME: Final = rf"(?:[^\W_](?:[^\W_]|-){{0,62}}\.){{1,20}}(?:{_ENDINGS})(?![\w-]|\.[^\W_])"
# Where a link begins: a scheme (browsers accept one slash behind the usual ones, and backslashes;
# markdown drops escapes), www, or a host whose invites need no scheme. Then its authority. In the
# target of [text](target) and of [text]: target, and behind //, a host needs no scheme either.
_LINK: Final = re.compile(
    r"(?:(?:(?<=https)|(?<=http)|(?<=ftp)|(?<=file)):[/\\]+"
    r"|(?<=[a-z0-9+.\-\\]{2}):\\?/\\?/[/\\]*"
    r"|(?<![a-z0-9\-])(?=www\.\w)"
    rf"|(?:(?<=\]\()|(?<=\]:)\s{{1,4}}|(?<![\w:/.])//)[\s</]{{0,4}}(?={_NAME})"
    r"|(?P<bare>(?<![a-z0-9\-])(?=(?:[a-z]{1,10}\.)?"
    r"(?:discord(?:app)?\.(?:com|gg|me|io|li)|(?:dsc|invite)\.gg))))"
    rf"(?P<authority>[^\s<>/\\?#]{{0,{LONGEST_AUTHORITY}}})",
    re.IGNORECASE,
)
_BARE: Final = re.compile(rf"(?<![\w@./\\-]){_NAME}", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[a-z0-9+.\-\\]{1,40}\Z", re.IGNORECASE)
# Schemes without slashes: what is behind them is no host.
_OPAQUE: Final = re.compile(
    r"(?<![a-z0-9_.+\-])(javascript|vbscript|data(?=:[\w/+.;=\-]{0,80},)|mailto|tel|sms|callto|skype"
    r"|facetime|tg|magnet|xmpp|bitcoin|ethereum|monero|whatsapp|viber|view-source|ms-[a-z\-]{1,30})"
    r":(?=[^\s/\\])",
    re.IGNORECASE,
)
_PATH: Final = re.compile(r"[/\\][^\s<>?#]{0,200}")
_INVITING: Final = (
    "discord.gg",
    "discord.me",
    "discord.io",
    "discord.li",
    "dsc.gg",
    "invite.gg",
)  # /CODE; the others: /invite/CODE
_INVITING_BY_PATH: Final = ("discord.com", "discordapp.com")
_MASKED: Final = re.compile(r"\[([^\[\]]*)\]\(\s{0,4}<?[a-z0-9+.\-\\]*\Z", re.IGNORECASE)
_LABEL: Final = 300  # characters in front of a link in which [its text]( is looked for
_PLAIN_HOST: Final = re.compile(
    r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,3}", re.IGNORECASE | re.ASCII
)
_HOST: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_LONGEST_HOST: Final = 255
_FORBIDDEN: Final = re.compile(r"[\[\]|^]")  # in a host: browsers make no link of it
_DOTS: Final = str.maketrans("\u3002\uff0e\uff61", "...")  # a browser reads each as a dot
_ESCAPE: Final = re.compile(r"\\([^0-9A-Za-z\s])")

# As a client marks them; an address such as name@here.com is none.
_MENTION: Final = re.compile(
    r"(?<![a-z0-9_.+\-])@(?:everyone|here)|@(?:everyone|here)(?!\.?[a-z0-9_])|<@[!&]?[0-9]+>",
    re.IGNORECASE,
)
_TICKS: Final = re.compile(r"`+")

_CONTROL: Final = r"\x00-\x08\x0e-\x1f\x7f-\x9f"
_NOT_SEEN: Final = re.compile(rf"[{_CONTROL}{UNSEEN}]+")
_BLANK: Final = re.compile(r"[\s*_~|`>]*")
_FLAG: Final = re.compile("\U0001f3f4[\U000e0030-\U000e007a]{1,6}\U000e007f")
# What no honest text needs: control characters, a forced direction, half a character, tags that
# spell no flag, and more characters in a row that nobody sees than an emoji is made of.
_HIDDEN: Final = re.compile(
    rf"[{_CONTROL}\u202d\u202e\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e00ff]|[{UNSEEN}]{{5}}"
)

_Found = TypeVar("_Found")


@record
class Link:
    """A link of a text.

    Args:
        host: As a browser would look it up: small letters, ASCII; as written if it is not a name,
            and behind its scheme if that is another than the web's.
        is_invite: Whether it invites to a server.
    """

    host: str
    is_invite: bool = False

    def is_among(self, allowed: Iterable[str]) -> bool:
        """Return whether it leads to one of the hosts, or to one below them."""
        if not _HOST.fullmatch(self.host):
            return False
        host = self.host.removeprefix("www.")
        return any(_is_within(host, _host_name(one).removeprefix("www.")) for one in allowed)


class TextReading:
    """One text, read once; everything is found when it is first asked for.

    Attributes:
        text: As it would be sent.
        links_names: Whether the client makes links of hosts without a scheme; Discord's does not.
    """

    def __init__(self, text: str, *, links_names: bool = False) -> None:
        self.text = text
        self.links_names = links_names

    @cached_property
    def length(self) -> int:
        """Its length in UTF-16 units."""
        return utf16_length(self.text)

    @cached_property
    def spellings(self) -> tuple[str, ...]:
        """The text as it is, in plain forms of its letters, and without invisible characters."""
        plain = unicodedata.normalize("NFKC", self.text.translate(LONG)).translate(_DOTS)
        return tuple(dict.fromkeys((self.text, plain, _seen(plain))))

    @cached_property
    def _links(self) -> tuple[tuple[Link, ...], ...]:
        import html

        unescaped = [_ESCAPE.sub(r"\1", one) for one in self.spellings if "\\" in one]
        unescaped += [html.unescape(one) for one in self.spellings if "&" in one]
        return tuple(
            tuple(_links(one, names=self.links_names))
            for one in dict.fromkeys((*self.spellings, *unescaped))
        )

    @property
    def links(self) -> tuple[Link, ...]:
        """Every link, by whatever spelling it is found; each once."""
        return _union(self._links)

    @property
    def link_count(self) -> int:
        """How many links there are."""
        return max(map(len, self._links))

    @cached_property
    def _mentions(self) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(_MENTION.findall(_without_code(one)[0])) for one in self.spellings)

    @property
    def mentions(self) -> tuple[str, ...]:
        """Whom it names outside code: "@everyone", "@here", "<@ID>", "<@&ID>"; each once."""
        return _union(self._mentions)

    @property
    def mention_count(self) -> int:
        """How often it names somebody."""
        return max(map(len, self._mentions))

    @cached_property
    def _code(self) -> tuple[str, bool]:
        return _without_code(self.text)

    @property
    def prose(self) -> str:
        """The text without its code blocks and inline code."""
        return self._code[0]

    @property
    def has_open_code_block(self) -> bool:
        """Whether a line opens a code block that is never closed."""
        return self._code[1]

    @property
    def is_blank(self) -> bool:
        """Whether it shows nothing: blanks, markup and invisible characters at most."""
        return _BLANK.fullmatch(_seen(self.text)) is not None

    @property
    def hidden_character(self) -> str:
        """The first character that nobody sees and no honest text needs, as "U+202E", or ""."""
        if self.text.isascii() and self.text.isprintable():
            return ""
        found = _HIDDEN.search(_FLAG.sub("", self.text))
        shown = found[0][0] if found else _unclosed(self.text)
        return f"U+{ord(shown):04X}" if shown else ""


def disallowed_host(links: Iterable[Link], allowed: Sequence[str]) -> str:
    """Return the host of the first link that leads elsewhere than to the allowed hosts, or ""."""
    found = next((one for one in links if not one.is_among(allowed)), None)
    return shorten(found.host, 80) or "a link without a host" if found else ""


def _union(found: Iterable[Iterable[_Found]]) -> tuple[_Found, ...]:
    return tuple(dict.fromkeys(one for group in found for one in group))


def _seen(text: str) -> str:
    return text if text.isascii() and text.isprintable() else _NOT_SEEN.sub("", text)


def _unclosed(text: str) -> str:
    """Return the sign that turns the writing for the rest of a text; empty if all are closed."""
    embeds = text.count("\u202a") + text.count("\u202b") - text.count("\u202c")
    isolates = sum(map(text.count, "\u2066\u2067\u2068")) - text.count("\u2069")
    return "\u202b" if embeds > 0 else "\u2067" if isolates > 0 else ""


# -- links ----------------------------------------------------------------------------------------


def _links(text: str, *, names: bool) -> Iterator[Link]:
    """Yield the links of a text; of more than `MOST_LINKS` the last is one that nobody allows."""
    found = _links_in(text, names=names)
    yield from islice(found, MOST_LINKS)
    if next(found, None):
        yield Link(host=f"more than {MOST_LINKS} links", is_invite=True)


def _links_in(text: str, *, names: bool) -> Iterator[Link]:
    at = 0
    while match := _LINK.search(text, at):
        authority = _until_markup(match)
        at = match.start("authority") + len(authority)
        behind = _PATH.match(text, at)
        path = behind[0] if behind else ""
        is_last = not path and text[at : at + 1] not in {"?", "#"}
        host = _host(_trimmed(authority) if is_last else authority)
        scheme = _scheme(match)
        is_invite = _is_invite(host, path) or (scheme == "discord:" and "invite" in path)
        if is_invite or scheme or (host and match["bare"] is None):
            yield Link(host=f"{scheme}//{host}" if scheme else host, is_invite=is_invite)
    yield from (Link(host=f"{found[1].lower()}:") for found in _OPAQUE.finditer(text))
    if names:
        yield from (Link(host=_host_name(found[0])) for found in _BARE.finditer(text))


def _scheme(match: re.Match[str]) -> str:
    """Return the scheme of a link, with its colon; empty if it is the web's, or there is none."""
    if not match[0].lstrip("\\").startswith(":"):
        return ""
    at = match.start()
    found = _SCHEME.search(match.string[max(at - 40, 0) : at])
    scheme = found[0].replace("\\", "").lower() if found else ""
    return "" if scheme.endswith(("http", "https")) else f"{scheme}:"


def _until_markup(match: re.Match[str]) -> str:
    """Return the authority of a link up to the markup of the text that is glued to it."""
    authority = match["authority"]
    host = authority.rfind("@") + 1
    if len(authority) == LONGEST_AUTHORITY:
        return authority
    if ")" in authority and _is_masked(match.string, match.start()):
        return authority.partition(")")[0]
    found = _FORBIDDEN.search(authority, host + 1)  # [::1] begins with a bracket
    return authority[: found.start()] if found else authority


def _is_masked(text: str, at: int) -> bool:
    """Whether the link at a place is the target of [text](link), which ends at the parenthesis.

    A text that holds a link itself is not masked: clients show all of it as it is written.
    """
    found = _MASKED.search(text[max(at - _LABEL, 0) : at])
    return found is not None and "://" not in found[1]


def _trimmed(authority: str) -> str:
    """Return the end of a link without the punctuation and markup that follow it in a text."""
    end = len(authority)
    while end and not authority[end - 1].isalnum():
        end -= 1
    return authority[:end]


@lru_cache(maxsize=4096)
def _host(authority: str) -> str:
    if _PLAIN_HOST.fullmatch(authority):
        return authority.lower()
    host = unquote(authority.rpartition("@")[2])
    name, _, port = host.partition(":")
    return _host_name(name if port.isdecimal() or not port else host)


def _host_name(host: str) -> str:
    if len(host) > _LONGEST_HOST:
        return f"{host[:80]}…"
    plain = unicodedata.normalize("NFKC", host).translate(_DOTS).lower().rstrip(".")
    if _seen(plain) != plain:
        return plain  # browsers do not agree on what it is
    return ".".join(
        label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
        for label in plain.split(".")
    )


def _is_within(host: str, allowed: str) -> bool:
    return host == allowed or host.endswith(f".{allowed}")


def _is_invite(host: str, path: str) -> bool:
    if any(_is_within(host, one) for one in _INVITING):
        wanted = 1
    elif any(_is_within(host, one) for one in _INVITING_BY_PATH):
        wanted = 2
    else:
        return False
    if not path:
        return False
    steps: list[str] = []
    for step in re.split(r"[/\\]", unquote(path)):
        if step == ".." and steps:
            steps.pop()
        elif re.search(r"\w", step):
            steps.append(step)
    return len(steps) >= wanted and (wanted == 1 or steps[0].casefold() == "invite")


# -- code -----------------------------------------------------------------------------------------


def _without_code(text: str) -> tuple[str, bool]:
    """Return the text with a blank for each piece of code, and whether a block is left open."""
    runs = [(match.start(), match.end()) for match in _TICKS.finditer(text)]
    closing = _closing(runs)
    prose: list[str] = []
    done, is_open = 0, False
    for index, (start, end) in enumerate(runs):
        if start < done or _is_escaped(text, start):
            continue
        if (close := closing[index]) is not None:
            prose += (text[done:start], " ")
            done = runs[close][1]
        elif end - start >= 3:
            is_open = is_open or not text[text.rfind("\n", done, start) + 1 : start].strip()
    return "".join([*prose, text[done:]]), is_open


def _closing(runs: Sequence[tuple[int, int]]) -> list[int | None]:
    """Return which run of backticks closes the code that each one opens; three or more: a block."""
    later: dict[int, int] = {}
    closing: list[int | None] = []
    for index in range(len(runs) - 1, -1, -1):
        length = min(runs[index][1] - runs[index][0], 3)
        closing.append(later.get(length))
        later[length] = index
    return closing[::-1]


def _is_escaped(text: str, at: int) -> bool:
    count = 0
    while at - count and text[at - count - 1] == "\\":
        count += 1
    return count % 2 == 1
