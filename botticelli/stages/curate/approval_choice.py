"""The choice at the end of a curate run: who is approved, proposed, kept in reserve, rejected."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Final

from botticelli.config.model import CurateConfig
from botticelli.errors import TryLater
from botticelli.records import record
from botticelli.stages.curate.ranking import rank
from botticelli.stages.curate.rubric import choose, tied
from botticelli.store.connection import Connection
from botticelli.store.curation import choice
from botticelli.store.curation.choice import Choice, Chosen, JudgedCandidate

BEST: Final = 50  # looked at; more than enough for a few that are not alike
RECENT: Final = 200  # approved posts that a new one must not repeat


@record
class ApprovalChoice:
    """What was chosen, and what became of it.

    Args:
        best: In rank order.
        places: Id -> place from 1, where the judge had to decide between equal totals.
    """

    best: tuple[JudgedCandidate, ...] = ()
    reserved: tuple[JudgedCandidate, ...] = ()
    places: Mapping[int, int] = field(default_factory=dict)
    chosen: Chosen = field(default_factory=Chosen)


@record
class ApprovalChooser:
    """Chooses among all that is judged and undecided.

    Args:
        near: Share of common trigrams from which two posts are the same.
        ask: Has the judge put some in order; None: it cannot.
        note: Tells the user what they should know, a line each.
    """

    conn: Connection
    settings: CurateConfig
    near: float
    ask: Callable[[Sequence[JudgedCandidate]], Any] | None
    chance: random.Random
    note: Callable[[str], None]

    def settle(self, *, run_id: int) -> ApprovalChoice:
        """Choose, and store the choice in one transaction."""
        settings = self.settings
        judged = choice.list_judged(
            self.conn,
            min_score=settings.min_score,
            limit=BEST + 2 * settings.reserve,
            with_fails=not settings.require_checks,
        )
        taken = choice.list_recent_texts(self.conn, limit=RECENT) if judged else ()
        fresh = [one for one in judged if not one.is_reserved]
        best = self._best(fresh, taken=taken)
        places = self._rank(tied(fresh, chosen=best, most=settings.approve_per_run))
        if places:
            best = self._best(fresh, taken=taken, places=places)
        if not best:
            best = self._best([one for one in judged if one.is_reserved], taken=taken)
        left = [one for one in judged if one not in best]
        texts = [*taken, *(one.text_content for one in best)]
        reserved = choose(left, most=settings.reserve, taken=texts, near=self.near)
        wanted = Choice(
            best=[one.id for one in best],
            reserved=[one.id for one in reserved],
            places=places,
            is_proposal=settings.mode == "human",
        )
        chosen = choice.settle_choice(self.conn, wanted, by="auto", run_id=run_id)
        return ApprovalChoice(best=best, reserved=reserved, places=places, chosen=chosen)

    def _best(
        self,
        judged: Sequence[JudgedCandidate],
        *,
        taken: Sequence[str],
        places: Mapping[int, int] | None = None,
    ) -> tuple[JudgedCandidate, ...]:
        most = self.settings.approve_per_run
        return choose(judged, most=most, taken=taken, places=places, near=self.near)

    def _rank(self, members: Sequence[JudgedCandidate]) -> dict[int, int]:
        if not members or not self.settings.ranking or self.ask is None:
            return {}
        try:
            return rank(
                members,
                id_of=lambda one: one.id,
                ask=self.ask,
                chance=self.chance,
                note=self.note,
            )
        except TryLater as error:
            self.note(f"equal totals were not ranked: {error}")
            return {}
