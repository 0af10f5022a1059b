"""How many model calls one run of a narrative makes, told without running it."""

from botticelli.narrative.language.cycles import Resolve
from botticelli.narrative.language.model import (
    Act,
    Carousel,
    Narrative,
    NarrativeFile,
    Nested,
    Text,
)
from botticelli.records import record


@record
class Calls:
    """Model calls of one run.

    Args:
        least: If every act that may be skipped is skipped (skip_if_valid).
        most: If none is; retries not counted.
    """

    least: int
    most: int

    def __add__(self, other: "Calls") -> "Calls":
        return Calls(least=self.least + other.least, most=self.most + other.most)

    def times(self, carousel: Carousel | None) -> "Calls":
        """Return the calls of all rounds of the carousel."""
        rounds = carousel.iterations if carousel else 1
        return Calls(least=self.least * rounds, most=self.most * rounds)


NO_CALLS = Calls(least=0, most=0)


def calls_per_run(file: NarrativeFile, narrative: Narrative, *, resolve: Resolve) -> Calls:
    """Return the calls of a run with its carousel and everything that it runs.

    Raises:
        ConfigError: A nested file is missing or holds mistakes; narratives that run each other in
            a circle have to be found before (`check_nested`).
    """
    acts = [_of_act(file, act, resolve=resolve) for act in narrative.acts]
    return sum(acts, NO_CALLS).times(narrative.carousel)


def _of_act(file: NarrativeFile, act: Act, *, resolve: Resolve) -> Calls:
    if act.narrative:
        inner = calls_per_run(file, file.narratives[act.narrative], resolve=resolve)
        return inner.times(act.carousel)
    nested = [resolve(file, each) for each in act.inputs if isinstance(each, Nested)]
    calls = sum((calls_per_run(*each, resolve=resolve) for each in nested), NO_CALLS)
    if any(isinstance(each, Text) for each in act.inputs):  # else the act only acts
        calls += Calls(least=0 if act.skip_if_valid else 1, most=1)
    return calls.times(act.carousel)
