"""Markdown read once, as plain text and spans, from which each platform makes its own form. Pure.

It is Discord's Markdown, since texts are written and approved as they look there: a line end is a
line end, and HTML, entities, pictures, link references and indented code are text.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from botticelli.records import record

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.tree import SyntaxTreeNode

Kind = Literal[
    "bold", "italic", "strike", "code", "block", "link", "url", "quote", "heading", "item"
]
_MARKS: Final[dict[str, Kind]] = {
    "strong": "bold",
    "em": "italic",
    "s": "strike",
    "blockquote": "quote",
    "heading": "heading",
    "list_item": "item",
}
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


@record
class Stretch:
    """A stretch of a text that means something, from `start` to before `end`, in characters.

    Args:
        kind: "url" is an address that stands in the text as it is, "block" a block of code.
        target: Where a link or url leads; the language of a block.
    """

    start: int
    end: int
    kind: Kind
    target: str = ""


@record
class Marked:
    """A text as it reads without markup, and its spans in the order of their starts.

    Marks without which it would say something else stay: of lists, quotes, and what is struck out.
    """

    text: str
    spans: tuple[Stretch, ...] = ()

    @property
    def plain(self) -> str:
        """The text for a platform that shows nothing else; links are followed by their address."""
        pieces, at = [], 0
        for link in sorted(self.spans, key=lambda span: span.end):
            if link.kind == "link" and link.target != self.text[link.start : link.end]:
                pieces += [self.text[at : link.end], f" ({link.target})"]
                at = link.end
        return "".join([*pieces, self.text[at:]])


def read(markdown: str) -> Marked:
    """Return the text and the spans of what is written in Markdown."""
    from markdown_it.tree import SyntaxTreeNode

    return _blocks(SyntaxTreeNode(_parser().parse(_prepared(markdown))).children)


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


def _blocks(nodes: Sequence["SyntaxTreeNode"], between: str = "\n\n") -> Marked:
    return _joined([_block(node) for node in nodes], between)


def _block(node: "SyntaxTreeNode") -> Marked:
    if node.type == "inline":
        return _joined([_inline(child) for child in node.children])
    if node.type == "fence":
        text = node.content.rstrip("\n")
        return Marked(text=text, spans=(_span(text, "block", node.info.strip()),))
    if node.type in ("bullet_list", "ordered_list"):
        return _joined(list(_items(node)), "\n")
    found = _blocks(node.children) if node.children else Marked(text=node.markup[:3])
    if node.type == "blockquote":
        found = _prefixed(found, "> ", "> ")
    return _covered(found, _MARKS[node.type]) if node.type in _MARKS else found


def _items(node: "SyntaxTreeNode") -> Iterator[Marked]:
    number = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    for item in node.children:
        mark = "• " if number is None else f"{number}{item.markup} "
        is_tight = all(child.hidden for child in item.children if child.type == "paragraph")
        found = _blocks(item.children, "\n" if is_tight else "\n\n")
        yield _covered(_prefixed(found, mark, " " * len(mark)), "item")
        number = None if number is None else number + 1


def _inline(node: "SyntaxTreeNode") -> Marked:
    if node.type in ("softbreak", "hardbreak"):
        return Marked(text="\n")
    if node.type == "code_inline":
        return _covered(Marked(text=node.content), "code")
    if not node.children:
        return Marked(text=node.content)
    found = _joined([_inline(child) for child in node.children])
    if node.type == "link":
        is_address = node.info == "auto"
        return _covered(found, "url" if is_address else "link", str(node.attrs.get("href", "")))
    if node.type == "s":
        found = _joined([Marked(text="~~"), found, Marked(text="~~")])
    return _covered(found, _MARKS[node.type]) if node.type in _MARKS else found


def _span(text: str, kind: Kind, target: str = "") -> Stretch:
    return Stretch(start=0, end=len(text), kind=kind, target=target)


def _covered(found: Marked, kind: Kind, target: str = "") -> Marked:
    return Marked(text=found.text, spans=(_span(found.text, kind, target), *found.spans))


def _joined(found: Sequence[Marked], between: str = "") -> Marked:
    pieces: list[str] = []
    spans: list[Stretch] = []
    at = 0
    for one in found:
        if not one.text:
            continue
        if pieces and between:
            pieces.append(between)
            at += len(between)
        spans += (
            Stretch(start=at + s.start, end=at + s.end, kind=s.kind, target=s.target)
            for s in one.spans
        )
        pieces.append(one.text)
        at += len(one.text)
    return Marked(text="".join(pieces), spans=tuple(spans))


def _prefixed(found: Marked, first: str, others: str) -> Marked:
    """Return a text with something before its first line and before each other one."""
    breaks = [at for at, sign in enumerate(found.text) if sign == "\n"]

    def moved(at: int) -> int:
        return at + len(first) + bisect_left(breaks, at) * len(others)

    spans = (
        Stretch(start=moved(s.start), end=moved(s.end), kind=s.kind, target=s.target)
        for s in found.spans
    )
    return Marked(text=first + found.text.replace("\n", "\n" + others), spans=tuple(spans))
