"""What curation weighs, and when two posts count as the same."""

from datetime import timedelta
from typing import Literal

from botticelli.config.keys import key
from botticelli.records import record

Mode = Literal["auto", "human"]


@record
class Weights:
    """What each criterion counts in the total of 50; 0 leaves it out.

    Args:
        engagement: Weight of engagement.
        clarity: Weight of clarity.
        value: Weight of value.
        tone: Weight of tone.
        polish: Weight of polish.
    """

    engagement: float = key(1, min=0, max=100)
    clarity: float = key(1, min=0, max=100)
    value: float = key(1, min=0, max=100)
    tone: float = key(1, min=0, max=100)
    polish: float = key(1, min=0, max=100)


@record
class Similarity:
    """When a text counts as a repeat: such candidates are not judged, such posts not sent.

    docs/curation.md has the figures behind the defaults.

    Args:
        window: How far back candidates and posts are compared.
        near: Share of common trigrams from which two texts are the same; 1: only identical words.
        reworded: Cosine similarity of meaning from which a text is perhaps the same, for a person
            to decide if the judge does not; 1: never. Needs the extra 'similarity', knows English.
    """

    window: timedelta = key(timedelta(days=90), unit="days", type="integer", min=1, max=3650)
    near: float = key(0.55, min=0.3, max=1)
    reworded: float = key(0.45, min=0.3, max=1)
