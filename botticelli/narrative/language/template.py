"""Placeholders in prompts and arguments: `{{ x }}`, `${x}`, `{% if x %}` (docs/dialect.md §6.3).

Text is parsed once and what is put in is never looked at again, so nothing that a model, a table
or a file says can act as a template. What a name means is the Scope's business.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from botticelli.errors import BotticelliError
from botticelli.records import record

Style = Literal["braces", "dollar", "single"]

# What may be a name: anything of one line, in any script, but not the quotes of JSON samples.
_NAME: Final = r"[^{}\n\"'`]+"
TOKEN: Final = re.compile(
    rf"\{{\{{(?P<braces>{_NAME})\}}\}}"
    rf"|\$\{{(?P<dollar>{_NAME})\}}"
    r"|\{%-?\s*(?:if\s(?P<condition>[^{}%\n\"']+)|(?:(?P<otherwise>else)|(?P<end>endif))\s*-?)%\}"
    r"|(?<!\{)\{(?P<single>[^\W\d]\w*)\}(?!\})"
)
_MEANS: Final = re.compile(
    r"(?!.*:\s)(?=.*(?:\w|[^\x00-\x7f\u2026]))"
)  # not "...", no "key: value"


class Unresolved(BotticelliError):
    """A placeholder names nothing that is known."""


@record
class Value:
    """What a name stands for.

    Args:
        value: The thing itself; kept with its type where a whole argument is one placeholder.
        text: The same as it is written into a prompt.
        truth: What `{% if name %}` makes of it.
    """

    value: Any
    text: str
    truth: bool


class Scope(Protocol):
    """Knows what names mean."""

    def find(self, name: str, *, style: Style) -> Value:
        """Return what `name` stands for.

        Raises:
            Unresolved: It stands for nothing; the reason is for a person.
        """


@record
class Literally:
    """Characters that are not a placeholder."""

    text: str


@record
class Placeholder:
    """A name to be replaced; `source` is how it was written."""

    source: str
    name: str
    style: Style


@record
class Condition:
    """`{% if name %}then{% else %}otherwise{% endif %}`."""

    name: str
    then: tuple["Node", ...]
    otherwise: tuple["Node", ...]


Node = Literally | Placeholder | Condition


@dataclass
class _Open:
    """A condition whose end has not been met yet; the outermost one is the text itself."""

    name: str = ""
    source: str = ""
    then: list[Node] = field(default_factory=list)
    otherwise: list[Node] | None = None
    else_source: str = ""

    def add(self, node: Node) -> None:
        (self.then if self.otherwise is None else self.otherwise).append(node)

    def as_literals(self) -> list[Node]:
        """The characters and nodes of a condition that was never closed."""
        nodes: list[Node] = [Literally(text=self.source), *self.then]
        if self.otherwise is not None:
            nodes += [Literally(text=self.else_source), *self.otherwise]
        return nodes


def parse(text: str, *, single_braces: bool = False) -> tuple[Node, ...]:
    """Return the pieces of a template; tags that do not match up stay as they are."""
    stack = [_Open()]
    position = 0
    for match in TOKEN.finditer(text):
        named = match["braces"] or match["dollar"]
        if (match["single"] and not single_braces) or (named and not _MEANS.match(named)):
            continue
        if match.start() > position:
            stack[-1].add(Literally(text=text[position : match.start()]))
        position = match.end()
        _take(stack, match)
    if position < len(text):
        stack[-1].add(Literally(text=text[position:]))
    while len(stack) > 1:
        unclosed = stack.pop()
        for node in unclosed.as_literals():
            stack[-1].add(node)
    return tuple(stack[0].then)


def _take(stack: list[_Open], match: re.Match[str]) -> None:
    source, top = match[0], stack[-1]
    styles: tuple[Style, ...] = ("braces", "dollar", "single")
    style = next((style for style in styles if match[style]), None)
    if style is not None:
        top.add(Placeholder(source=source, name=match[style].strip(), style=style))
    elif match["condition"]:
        stack.append(_Open(name=match["condition"].rstrip("-").strip(), source=source))
    elif match["otherwise"] and len(stack) > 1 and top.otherwise is None:
        top.otherwise, top.else_source = [], source
    elif match["end"] and len(stack) > 1:
        stack.pop()
        closed = Condition(
            name=top.name, then=tuple(top.then), otherwise=tuple(top.otherwise or ())
        )
        stack[-1].add(closed)
    else:
        top.add(Literally(text=source))


def names(value: Any, *, single_braces: bool = False) -> tuple[str, ...]:
    """Return every name that a text, or the texts in a table or list, would put in.

    Names that are only tested by `{% if %}` do not count.
    """
    return tuple(node.name for node in placeholders(value, single_braces=single_braces))


def meant(name: str, known: Iterable[str]) -> str:
    """Return the known name that a placeholder's name, with or without a path, stands for.

    That is the longest it begins with, or one whose end it is (`generate` for `x_generate`); names
    may hold dots and brackets themselves. Empty: none.
    """
    known = list(known)
    begun = [each for each in known if name == each or name.startswith((f"{each}.", f"{each}["))]
    if begun:
        return max(begun, key=len)
    heads = {name, re.split(r"[.\[]", name, maxsplit=1)[0]}
    return next((each for each in known if any(each.endswith(f"_{head}") for head in heads)), "")


def placeholders(value: Any, *, single_braces: bool = False) -> Iterator[Placeholder]:
    """Yield every placeholder of a text, or of the texts in a table or list."""
    for text in _texts(value):
        for node in _walk(parse(text, single_braces=single_braces)):
            if isinstance(node, Placeholder):
                yield node


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _walk(nodes: Sequence[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        if isinstance(node, Condition):
            yield from _walk(node.then)
            yield from _walk(node.otherwise)


def render_prompt(
    text: str, *, scope: Scope, single_braces: bool = False, warn: Callable[[str], None]
) -> str:
    """Return a prompt with everything filled in that has a meaning.

    What has none stays as it is written, and `warn` hears of it: prompts may show `{{...}}`.
    """

    def put(node: Placeholder) -> str:
        try:
            return scope.find(node.name, style=node.style).text
        except Unresolved as unknown:
            # Single braces and capitals after a dollar are usually meant as they stand.
            if node.style != "single":
                warn(f"{node.source} stays as it is: {unknown.what}")
            return node.source

    return "".join(_rendered(parse(text, single_braces=single_braces), scope, put=put))


def _rendered(
    nodes: Sequence[Node], scope: Scope, *, put: Callable[[Placeholder], str]
) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Literally):
            yield node.text
        elif isinstance(node, Placeholder):
            yield put(node)
        else:
            chosen = node.then if _is_true(node.name, scope) else node.otherwise
            yield from _rendered(chosen, scope, put=put)


def _is_true(name: str, scope: Scope) -> bool:
    try:
        return scope.find(name, style="braces").truth
    except Unresolved:
        return False


def render_value(value: Any, *, scope: Scope, where: str, is_rehearsal: bool = False) -> Any:
    """Return an argument with every placeholder filled in, tables and lists included.

    A text that is one placeholder and nothing else becomes what it names, with its type.
    `where` names act and argument in the message. In a rehearsal, in which no command gives a
    result, what cannot be filled in stays as it is written.

    Raises:
        Unresolved: A placeholder names nothing, or nothing but emptiness.
    """
    if isinstance(value, Mapping):
        return {
            key: render_value(inner, scope=scope, where=f"{where}.{key}", is_rehearsal=is_rehearsal)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            render_value(inner, scope=scope, where=f"{where}[{at}]", is_rehearsal=is_rehearsal)
            for at, inner in enumerate(value)
        ]
    if not isinstance(value, str):
        return value
    try:
        return _render_argument(value, scope, where=where)
    except Unresolved:
        if is_rehearsal:
            return value
        raise


def _render_argument(text: str, scope: Scope, *, where: str) -> Any:
    nodes = parse(text)
    if len(nodes) == 1 and isinstance(nodes[0], Placeholder):
        value = found(nodes[0], scope, where=where)
        if value.text.strip() == "":
            raise Unresolved(f"{nodes[0].source} is empty", where=where)
        return value.value
    return "".join(_rendered(nodes, scope, put=lambda node: found(node, scope, where=where).text))


def found(node: Placeholder, scope: Scope, *, where: str) -> Value:
    """Return what a placeholder of an argument stands for; `where` names act and argument.

    Raises:
        Unresolved: It stands for nothing.
    """
    try:
        return scope.find(node.name, style=node.style)
    except Unresolved as unknown:
        what = f"{node.source} cannot be filled in: {unknown.what}"
        raise type(unknown)(what, where=where, hint=unknown.hint) from unknown
