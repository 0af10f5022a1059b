"""How many model calls a narrative makes, counted without running it: the only counter there is."""

from collections.abc import Callable

from botticelli.narrative.language.cycles import Resolve, called_by
from botticelli.narrative.language.model import Act, Carousel, Narrative, NarrativeFile
from botticelli.narrative.run import act_facts
from botticelli.records import record

Counts = Callable[[Narrative, Act], bool]


@record
class Calls:
    """Model calls, if every answer is valid.

    Args:
        least: If every act that may be skipped is skipped (skip_if_valid).
        most: If none is.
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


def _all(_narrative: Narrative, _act: Act) -> bool:
    return True


def calls_per_run(
    file: NarrativeFile, narrative: Narrative, *, resolve: Resolve, counts: Counts = _all
) -> Calls:
    """Return the calls of a run: all rounds of the carousel, and everything that they run.

    `counts` says which acts are counted. Narratives that run each other in a circle have to be
    found before (`check_nested`).

    Raises:
        ConfigError: A nested file is missing or holds mistakes.
    """
    one = calls_per_round(file, narrative, resolve=resolve, counts=counts)
    return one.times(narrative.carousel)


def calls_per_round(
    file: NarrativeFile, narrative: Narrative, *, resolve: Resolve, counts: Counts = _all
) -> Calls:
    """Return the calls of one round: what one item of `generate` takes. See calls_per_run."""
    calls = NO_CALLS
    for position, act in enumerate(narrative.acts):
        for called in called_by(file, act, resolve=resolve):
            inner = calls_per_run(*called, resolve=resolve, counts=counts)
            calls += inner.times(act.carousel)
        if act_facts.asks(act) and counts(narrative, act):
            calls += _own(act, is_first=position == 0)
    return calls


def _own(act: Act, *, is_first: bool) -> Calls:
    """The act's own calls. Its first round cannot be skipped if no answer came before it."""
    rounds = act.carousel.iterations if act.carousel else 1
    may_be_skipped = act.skip_if_valid and act.schema is not None
    return Calls(least=int(is_first) if may_be_skipped else rounds, most=rounds)
