"""What curation weighs, and when two posts count as the same."""

from datetime import timedelta
from typing import Literal

from botticelli.records import record

Mode = Literal["auto", "human"]


@record
class Weights:
    """What each criterion counts in the total; 0 leaves it out."""

    engagement: float = 1
    clarity: float = 1
    value: float = 1
    tone: float = 1
    polish: float = 1


@record
class Similarity:
    """When a text is a repeat of another; docs/curation.md has the figures behind the defaults.

    Args:
        window: How far back texts are compared.
        near: Share of common trigrams, 0 to 1, from which two texts are the same.
        reworded: Cosine of two texts' meanings from which they are the same; needs the extra
            `similarity`.
    """

    window: timedelta = timedelta(days=90)
    near: float = 0.55
    reworded: float = 0.8
