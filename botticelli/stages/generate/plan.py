"""What a `generate` run is made of: which narratives, how often, in which order. Pure."""

from collections.abc import Sequence

from botticelli.narrative.language.model import Act, Narrative, NarrativeFile


def reference_of(file: NarrativeFile, narrative: Narrative) -> str:
    """Return FILE.NAME: what a batch of that narrative is called, however the user spelled it."""
    return f"{file.path.stem}.{narrative.key}"


def plan_items(
    file: NarrativeFile, narrative: Narrative, *, iterations: int
) -> tuple[tuple[str, int], ...]:
    """Return the (narrative key, iteration) pairs of a batch, in the order to run them.

    A narrative whose acts are all other narratives of its file gives one item for each of them
    and each iteration, the rounds of the act's carousel and of the narrative's own counted on; any
    other narrative gives one item an iteration. All first iterations come before the second ones.
    """
    keys = [act.narrative for act in narrative.acts if act.narrative]
    if len(keys) != len(narrative.acts) or not all(key in file.narratives for key in keys):
        return tuple((narrative.key, iteration) for iteration in range(1, iterations + 1))
    repeated = [
        act.narrative
        for act in narrative.acts
        for _ in range(_times(act) * _times(file.narratives[act.narrative]))
    ]
    return _numbered(repeated, iterations=iterations)


def _numbered(keys: Sequence[str], *, iterations: int) -> tuple[tuple[str, int], ...]:
    seen: dict[str, int] = {}
    items = []
    for _ in range(iterations):
        for key in keys:
            seen[key] = seen.get(key, 0) + 1
            items.append((key, seen[key]))
    return tuple(items)


def _times(repeated: Act | Narrative) -> int:
    return repeated.carousel.iterations if repeated.carousel else 1


def iterations_of(narrative: Narrative, *, asked: int | None, configured: int | None) -> int:
    """Return how often the narrative is repeated: as asked, as configured, as it says, once."""
    return asked or configured or _times(narrative)
