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


class Span:
    """One thing that is being done; this one is recorded nowhere."""

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


_in_use: ContextVar[Callable[[], Tracer | None]] = ContextVar("tracer", default=lambda: None)


@contextmanager
def using(choose: Callable[[], Tracer | None]) -> Iterator[None]:
    """Let a tracer take the spans of this block: chosen with the first one, for most have none."""
    chosen: list[Tracer | None] = []

    def tracer() -> Tracer | None:
        if not chosen:  # a run's own span comes first, and before there are threads
            chosen.append(choose())
        return chosen[0]

    before = _in_use.set(tracer)
    try:
        yield
    finally:
        _in_use.reset(before)
        for each in filter(None, chosen):
            each.close()


def span(
    name: str, facts: Mapping[str, Value | None], *, kind: Kind = "internal"
) -> AbstractContextManager[Span]:
    """Return a span of the tracer in use."""
    tracer = _in_use.get()()
    return nullcontext(Span()) if tracer is None else tracer.span(name, facts, kind=kind)


def inherited(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return `work` for a new thread, where its spans lie within the one that is under way here."""
    return partial(copy_context().run, work)


class Running:
    """Which run this process is doing: every line of its log carries the number.

    No context variable: workers are threads, and a thread starts with an empty context.
    """

    run: int | None = None


here: Final = Running()
