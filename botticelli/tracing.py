"""Spans: what is done, within what, and for how long. They cost nothing unless a tracer is in use.

`with tracing.span("deliver", {"botticelli.delivery.id": 7}) as span:` costs next to nothing then.
The tracer in use is inherited by threads that are started with `tracing.inherited`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, Final, Literal, Protocol

Value = str | int | float | bool | tuple[str, ...]
Kind = Literal["internal", "client"]  # client: a request to another service


class Span(Protocol):
    """One thing that is being done."""

    def set(self, facts: Mapping[str, Value | None]) -> None:
        """Add facts; those that are None are left out."""

    def fail(self, kind: str) -> None:
        """Mark it as failed; `kind` names the kind of failure."""


class Tracer(Protocol):
    """Takes spans."""

    def span(
        self, name: str, facts: Mapping[str, Value | None], *, kind: Kind
    ) -> AbstractContextManager[Span]:
        """Return a span within the one that is under way; what leaves it as an error fails it."""

    def close(self) -> None:
        """Send the spans that are left; none may follow."""


class _Silent:
    """A tracer and a span that do nothing."""

    def set(self, facts: Mapping[str, Value | None]) -> None:
        """See Span."""

    def fail(self, kind: str) -> None:
        """See Span."""

    def span(
        self,
        name: str,  # noqa: ARG002 - Tracer's signature
        facts: Mapping[str, Value | None],  # noqa: ARG002
        *,
        kind: Kind,  # noqa: ARG002
    ) -> AbstractContextManager[Span]:
        """See Tracer."""
        return nullcontext(self)

    def close(self) -> None:
        """See Tracer."""


class Late:
    """A tracer that is chosen when the first span comes: most commands have none."""

    def __init__(self, choose: Callable[[], Tracer]) -> None:
        self._choose = choose
        self._chosen: Tracer | None = None

    def span(
        self, name: str, facts: Mapping[str, Value | None], *, kind: Kind
    ) -> AbstractContextManager[Span]:
        """See Tracer."""
        if self._chosen is None:  # a run's own span comes first, and before there are threads
            self._chosen = self._choose()
        return self._chosen.span(name, facts, kind=kind)

    def close(self) -> None:
        """See Tracer."""
        if self._chosen is not None:
            self._chosen.close()


SILENT: Final = _Silent()
_in_use: ContextVar[Tracer] = ContextVar("tracer", default=SILENT)


@contextmanager
def using(tracer: Tracer) -> Iterator[None]:
    """Let `tracer` take the spans of this block."""
    before = _in_use.set(tracer)
    try:
        yield
    finally:
        _in_use.reset(before)


def span(
    name: str, facts: Mapping[str, Value | None], *, kind: Kind = "internal"
) -> AbstractContextManager[Span]:
    """Return a span of the tracer in use."""
    return _in_use.get().span(name, facts, kind=kind)


def inherited(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return `work` for a new thread, where its spans lie within the one that is under way here."""
    return partial(copy_context().run, work)


class Running:
    """Which run this process is doing: every line of its log carries the number.

    No context variable: workers are threads, and a thread starts with an empty context.
    """

    run: int | None = None


here: Final = Running()
