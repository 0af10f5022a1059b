"""What people decided beside what the judge had said: the labelled set. Reads only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from botticelli.agreement import Measured, banded, kappa
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all
from botticelli.store.curation.judging import Candidate
from botticelli.store.curation.lessons import TOUCHED

LEAST: Final = 20  # decisions; fewer show nothing but chance
LABELS: Final = ("rejected", "approved after an edit", "approved as it was")


@record
class LabelledPost:
    """A candidate that a person has decided about, oldest first.

    Args:
        label: The place in LABELS of what became of it.
        text_content: As it was written, before any edit.
        total: The judge's points of 50 before the decision; None: it was not judged then.
        points: Criterion -> the judge's points.
    """

    id: int
    label: int
    text_content: str
    content_type: str | None
    tags: object
    source_text: str
    decided_at: datetime
    judge_model: str
    total: float | None
    points: Mapping[str, int]

    @property
    def candidate(self) -> Candidate:
        """The candidate as a judge is shown it: as it was written."""
        return Candidate(
            id=self.id,
            fence=0,
            text_content=self.text_content,
            content_type=self.content_type,
            tags=self.tags,
            source_narrative=None,
            attempts=0,
            source_text=self.source_text,
        )


LABELLED: Final = f"""
    SELECT c.id, o.text AS text_content, c.content_type, c.tags, c.decided_at,
           CASE WHEN c.review_status = 'rejected' THEN 0
                WHEN o.text IS DISTINCT FROM c.text_content THEN 1 ELSE 2 END AS label,
           coalesce(c.judge_model, '') AS judge_model,
           CASE WHEN c.judged_at <= c.decided_at THEN c.curation_score::float8 END AS total,
           jsonb_strip_nulls(jsonb_build_object(
               'engagement', c.score_engagement, 'clarity', c.score_clarity,
               'value', c.score_value, 'tone', c.score_tone, 'polish', c.score_polish)) AS points,
           coalesce((SELECT i.title || E'\\n' || i.text
                       FROM source_items AS i
                      WHERE i.id = c.source_item_id), '') AS source_text
      FROM potential_discord_posts AS c
     CROSS JOIN LATERAL (
           SELECT coalesce(jsonb_path_query_first(c.history, '$[*] ? (@.event == "edit").was')
                               #>> '{{}}',
                           c.text_content, '') AS text) AS o
     WHERE c.id = ANY (ARRAY ({TOUCHED}))
       AND c.decided_by <> 'auto'
       AND c.review_status IN ('approved', 'posted', 'rejected')
       AND btrim(o.text) <> ''
     ORDER BY c.decided_at, c.id
"""  # noqa: S608 - all parts are constants


def list_labelled(conn: Connection) -> Sequence[LabelledPost]:
    """Return the candidates that people have decided about last, oldest decision first."""
    return fetch_all(conn, LabelledPost, LABELLED)


def why_too_few(labelled: Sequence[LabelledPost]) -> str:
    """Return why nothing can be learned from these decisions; empty: something can."""
    if len(labelled) < LEAST:
        return f"not enough data ({len(labelled)} of {LEAST} decisions)"
    if len({one.label for one in labelled}) == 1:
        return f"not enough data: all {len(labelled)} were {LABELS[labelled[0].label]}"
    return ""


def class_kappa(totals: Sequence[float], labels: Sequence[int]) -> Measured | None:
    """Return kappa of the labels and of totals that are cut where the labels' own shares are."""
    return kappa(banded(totals, labels), labels, classes=len(LABELS))
