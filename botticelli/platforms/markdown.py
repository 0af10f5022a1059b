"""Markdown in the forms of platforms that show less, or other, than Discord. Pure.

It is Discord's Markdown, since texts are written and approved as they look there: a line end is a
line end, and HTML, entities, pictures, link references and indented code are text.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
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


def _prepared(markdown: str) -> str:
    quoted = _REST.sub(lambda found: "> " + found[1].replace("\n", "\n> "), markdown)
    return _SMALL.sub("", quoted)


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("strikethrough")
    parser.disable(_UNKNOWN)
    parser.inline.ruler.before("escape", "address", _address)
    parser.core.ruler.push("discord", _translate)
    return parser


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
