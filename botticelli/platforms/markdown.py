"""Markdown in the forms of platforms that show less, or other, than Discord. Pure.

It is Discord's Markdown, since texts are written and approved as they look there: a line end is a
line end, and HTML, entities, pictures, link references and indented code are text.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.tree import SyntaxTreeNode

Link = Callable[[str, str], str]
# What Discord shows as it is written.
_UNKNOWN: Final = ("code", "lheading", "html_block", "html_inline", "reference", "entity", "image")

ADDRESS: Final = re.compile(r"https?://[^\s<>\"`|]+", re.IGNORECASE)
_SCHEME: Final = re.compile(r"(?<![a-z0-9+.\-])https?\Z", re.IGNORECASE)
_PARENTHESES: Final = re.compile(r"[()]")
_REST: Final = re.compile(r"^>>> (.*)\Z", re.MULTILINE | re.DOTALL)
_SMALL: Final = re.compile(r"^-# ", re.MULTILINE)
_OF_DISCORD: Final = re.compile(
    r"<a?:(?P<emoji>\w+):\d+>|<t:(?P<time>-?\d{1,12})(?::[a-zA-Z])?>|<(?P<who>@[!&]?|#)\d+>"
)
_CALLED: Final = re.compile(r"<(?:@[!&]?|#)\d+>|(?<!\w)@(?:everyone|here)\b")
_DISCORD_PIECES: Final = re.compile(rf"(\|\||{_CALLED.pattern})")
_WHO: Final = {"@": "someone", "@!": "someone", "@&": "members", "#": "a channel"}
# Platforms do not agree on what may stand before a mention; a letter of an address may nowhere.
_MENTION: Final = re.compile(
    r"(?<![A-Za-z0-9_])[@\uff20](?P<name>\w+(?:[.\-]+\w+)*(?:@[\w.\-]*\w)?)"
)


def followed(words: str, address: str) -> str:
    """Return how a link is written where nothing else is shown: its words, then its address."""
    return f"{words} ({address})"


def text_of(markdown: str, link: Link = followed) -> str:
    """Return what is written in Markdown as it reads without markup.

    Marks without which it would say something else stay: of lists, quotes, and what is struck out.

    Args:
        markdown: The text.
        link: Returns how a link is written, from its words and its address.
    """
    from markdown_it.tree import SyntaxTreeNode

    return _blocks(SyntaxTreeNode(_parser().parse(_prepared(markdown))).children, link)


def html_of(markdown: str) -> str:
    """Return HTML; what is HTML in the text is shown as it is written, and bare links are links."""
    return str(_parser().render(_prepared(markdown))).strip()


def shown_by_discord(markdown: str) -> str:
    """Return HTML of a text as Discord shows it; mentions stay ids, all else is escaped."""
    return str(_parser_of_discord().render(_quoted(markdown))).strip()


def unmentioned(text: str, *, permitted: Collection[str] = ()) -> str:
    """Return a text of which no platform makes a mention: @name, @name@host, @everyone, <@id>.

    A blank without width follows the sign. Addresses of pages and of mail stay as they are.

    Args:
        text: As it would be sent.
        permitted: Names that may be called: "name" or "name@host".
    """
    names = {name.lstrip("@").lower() for name in permitted}

    def broken(found: re.Match[str]) -> str:
        whole = found[0]
        return whole if found["name"].lower() in names else f"{whole[0]}\u200b{whole[1:]}"

    pieces, at = [], 0
    for address in ADDRESS.finditer(text):
        pieces += [_MENTION.sub(broken, text[at : address.start()]), address[0]]
        at = address.end()
    return "".join([*pieces, _MENTION.sub(broken, text[at:])])


def trimmed_address(found: str) -> str:
    """Return an address without the punctuation and parentheses of the sentence around it."""
    depth = 0
    for sign in _PARENTHESES.finditer(found):
        depth += 1 if sign[0] == "(" else -1
        if depth < 0:
            found = found[: sign.start()]
            break
    return found.rstrip(".,;:!?'*_~")


# -- how it is read --------------------------------------------------------------------------------


def _quoted(markdown: str) -> str:
    return _REST.sub(lambda found: "> " + found[1].replace("\n", "\n> "), markdown)


def _prepared(markdown: str) -> str:
    return _SMALL.sub("", _quoted(markdown))


def _basis() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("strikethrough")
    parser.disable(_UNKNOWN)
    parser.inline.ruler.before("escape", "address", _address)
    return parser


@cache
def _parser() -> "MarkdownIt":
    parser = _basis()
    parser.core.ruler.push("discord", _translate)
    return parser


@cache
def _parser_of_discord() -> "MarkdownIt":
    parser = _basis().disable("hr")
    parser.validateLink = lambda url: bool(ADDRESS.match(url))  # type: ignore[method-assign]
    # A quote ends with its line; here this is asked of the line that follows one.
    parser.block.ruler.before("paragraph", "end", lambda *its: its[3], {"alt": ["blockquote"]})
    parser.core.ruler.before("text_join", "discord", _mark)  # what is escaped is still apart
    return parser


def _mark(state: "StateCore") -> None:
    """Put Discord's own marks in: headings of three sizes, and what stands in the lines."""
    tokens = state.tokens
    for at, token in enumerate(tokens):
        if token.type == "inline":
            token.children = _small(_marked(token.children or []))
        if token.type == "heading_open":
            level = len(token.markup)
            token.tag = tokens[at + 2].tag = f"h{level + 2}" if level < 4 else "p"
            if level >= 4:
                tokens[at + 1].children = [_token("text", f"{token.markup} ")] + (
                    tokens[at + 1].children or []
                )


def _marked(children: Sequence["Token"]) -> list["Token"]:
    found: list[Token] = []
    spoilers: dict[int, Token] = {}  # nesting -> the mark that is not closed yet
    for child in children:
        if child.markup == "__":
            child.tag = "u" if child.type.startswith("strong") else child.tag
        if child.type == "link_open":
            child.attrs |= {"rel": "noopener noreferrer nofollow", "target": "_blank"}
        if child.nesting < 0:
            spoilers = {level: mark for level, mark in spoilers.items() if level <= child.level}
        pieces = _DISCORD_PIECES.split(child.content) if child.type == "text" else ()
        found += [child] if child.type != "text" else ()
        for piece in pieces:
            found += _piece(piece, child.level, spoilers)
    return found


def _small(children: Sequence["Token"]) -> list["Token"]:
    """Return the tokens with the lines that begin with -# in small letters."""
    found: list[Token] = []
    for is_end, line in groupby(children, lambda child: child.type.endswith("break")):
        tokens = list(line)
        if not is_end and tokens[0].type == "text" and tokens[0].content.startswith("-# "):
            tokens[0].content = tokens[0].content[len("-# ") :]
            tokens = [_token("small", "small", 1), *tokens, _token("small", "small", -1)]
        found += tokens
    return found


def _piece(text: str, level: int, spoilers: dict[int, "Token"]) -> list["Token"]:
    """Return what a piece of a line becomes: a spoiler's mark, somebody who is called, or text."""
    if text == "||" and level in spoilers:
        begin = spoilers.pop(level)
        begin.type, begin.tag, begin.nesting = "spoiler", "span", 1
        begin.attrs = {"class": "spoiler", "tabindex": "0"}
        return [_token("spoiler", "span", -1)]
    token = _token("text", text)
    if _CALLED.fullmatch(text):
        begin = _token("call", "span", 1)
        begin.attrs = {"class": "mention"}
        return [begin, token, _token("call", "span", -1)]
    if text == "||":
        spoilers[level] = token
    token.content = _OF_DISCORD.sub(_in_words, text)
    return [token]


def _token(kind: str, what: str, nesting: "Literal[-1, 0, 1]" = 0) -> "Token":
    """Return a token with a tag, or of a text."""
    from markdown_it.token import Token

    return Token(kind, what if nesting else "", nesting, content="" if nesting else what)


def _address(state: "StateInline", silent: bool) -> bool:
    """Make a link of an address that stands in the text: nothing within it is markup."""
    scheme = _SCHEME.search(state.pending) if state.src[state.pos] == ":" else None
    if silent or state.linkLevel or not scheme:
        return False
    found = ADDRESS.match(state.src, state.pos - len(scheme[0]))
    url = trimmed_address(found[0]) if found else ""
    if len(url) <= len(scheme[0]) + len("://"):
        return False
    state.pending = state.pending[: -len(scheme[0])]
    state.push("link_open", "a", 1).attrs = {"href": state.md.normalizeLink(url)}
    state.tokens[-1].info = "auto"
    state.push("text", "", 0).content = url
    state.push("link_close", "a", -1)
    state.pos += len(url) - len(scheme[0])
    return True


def _translate(state: "StateCore") -> None:
    for token in state.tokens:
        for child in token.children or ():
            if child.type == "text" and "<" in child.content:
                child.content = _OF_DISCORD.sub(_in_words, child.content)


def _in_words(found: re.Match[str]) -> str:
    if found["emoji"]:
        return f":{found['emoji']}:"
    if found["who"]:
        return _WHO[found["who"]]
    try:
        return f"{datetime.fromtimestamp(int(found['time']), UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return found[0]


# -- what it becomes -------------------------------------------------------------------------------


def _blocks(nodes: Sequence["SyntaxTreeNode"], link: Link, between: str = "\n\n") -> str:
    return between.join(filter(None, (_block(node, link) for node in nodes)))


def _block(node: "SyntaxTreeNode", link: Link) -> str:
    if node.type == "inline":
        return "".join(_inline(child, link) for child in node.children)
    if node.type == "fence":
        return str(node.content).rstrip("\n")
    if node.type in ("bullet_list", "ordered_list"):
        return "\n".join(_items(node, link))
    found = _blocks(node.children, link) if node.children else node.markup[:3]
    return _prefixed(found, "> ", "> ") if node.type == "blockquote" else found


def _items(node: "SyntaxTreeNode", link: Link) -> Iterator[str]:
    number = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    for item in node.children:
        mark = "• " if number is None else f"{number}{item.markup} "
        is_tight = all(child.hidden for child in item.children if child.type == "paragraph")
        text = _blocks(item.children, link, "\n" if is_tight else "\n\n")
        yield _prefixed(text, mark, " " * len(mark))
        number = None if number is None else number + 1


def _inline(node: "SyntaxTreeNode", link: Link) -> str:
    if node.type in ("softbreak", "hardbreak"):
        return "\n"
    if not node.children:
        return str(node.content)
    found = "".join(_inline(child, link) for child in node.children)
    if node.type == "link" and node.info != "auto" and found != (to := str(node.attrs["href"])):
        return link(found, to)
    return f"~~{found}~~" if node.type == "s" else found


def _prefixed(text: str, first: str, others: str) -> str:
    return first + text.replace("\n", "\n" + others)
