"""Narratives that run themselves: found before anything runs (docs/dialect.md §4.4)."""

from collections.abc import Callable, Iterator, Mapping

from botticelli.errors import ConfigError
from botticelli.narrative.language.model import Act, Narrative, NarrativeFile, Nested
from botticelli.narrative.language.table import Findings
from botticelli.toml_lines import Key

Place = tuple[NarrativeFile, Narrative]
Resolve = Callable[[NarrativeFile, Nested], Place]


def check_compositions(
    narratives: Mapping[str, Narrative], *, places: Mapping[str, Key], findings: Findings
) -> None:
    """Note every circle of narratives of one file that run each other, where the first stands."""
    calls = {
        key: tuple(act.narrative for act in narrative.acts if act.narrative)
        for key, narrative in narratives.items()
    }
    for key in narratives:
        circle = circle_of(key, calls=calls)
        if circle and key == min(circle):  # each circle is reported once
            chain = " -> ".join(circle)
            findings.error(places.get(key, ()), f"narratives that run each other for ever: {chain}")


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


def check_nested(file: NarrativeFile, narrative: Narrative, *, resolve: Resolve) -> None:
    """Follow everything that the narrative runs, in this file and in others.

    Raises:
        ConfigError: It runs itself in the end (the chain is shown), or a file of it is missing.
    """
    _follow((file, narrative), way=(), done=set(), resolve=resolve)


def _follow(place: Place, *, way: tuple[str, ...], done: set[str], resolve: Resolve) -> None:
    file, narrative = place
    here = f"{file.path.resolve()}:{narrative.key}"
    if here in way:
        chain = " -> ".join(each.rpartition("/")[2] for each in (*way[way.index(here) :], here))
        raise ConfigError(f"narratives that run each other for ever: {chain}", where=str(file.path))
    if here in done:
        return
    for next_place in next_places(file, narrative, resolve=resolve):
        _follow(next_place, way=(*way, here), done=done, resolve=resolve)
    done.add(here)


def next_places(file: NarrativeFile, narrative: Narrative, *, resolve: Resolve) -> Iterator[Place]:
    """Yield what a narrative runs itself."""
    for act in narrative.acts:
        yield from called_by(file, act, resolve=resolve)


def called_by(file: NarrativeFile, act: Act, *, resolve: Resolve) -> Iterator[Place]:
    """Yield what an act runs itself."""
    if act.narrative:
        yield file, file.narratives[act.narrative]
    for each in act.inputs:
        if isinstance(each, Nested):
            yield resolve(file, each)
