"""Narratives that run themselves: found before anything runs (dialect.md §4.4)."""

from collections.abc import Mapping

from botticelli.narrative.findings import Findings
from botticelli.narrative.model import Narrative


def check_compositions(narratives: Mapping[str, Narrative], *, findings: Findings) -> None:
    """Note every circle of narratives of one file that run each other."""
    calls = {key: _called(narrative) for key, narrative in narratives.items()}
    for key in narratives:
        circle = circle_of(key, calls=calls)
        if circle and key == min(circle):  # each circle is told once
            chain = " -> ".join(circle)
            findings.error((), f"narratives that run each other for ever: {chain}")


def circle_of(key: str, *, calls: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return a way from the narrative back to itself, both ends named; () if there is none."""
    ways: list[tuple[str, ...]] = [(key,)]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for called in calls.get(way[-1], ()):
            if called == key:
                return (*way, called)
            if called not in seen:
                seen.add(called)
                ways.append((*way, called))
    return ()


def _called(narrative: Narrative) -> tuple[str, ...]:
    return tuple(act.narrative for act in narrative.acts if act.narrative)
