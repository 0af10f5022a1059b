"""The choice at the end of a curate run: who is approved, proposed, kept in reserve, rejected."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Final

from botticelli.errors import TryLater
from botticelli.records import record
from botticelli.stages.curate.judge import Judge
from botticelli.stages.curate.ranking import rank
from botticelli.stages.curate.rubric import choose, tied
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


def choose_approvals(judge: Judge) -> ApprovalChoice:
    """Choose among all that is judged and undecided, and store that in one transaction."""
    context = judge.context
    conn, settings, near = context.conn, context.config.curate, context.config.similarity.near
    judged = choice.list_judged(
        conn,
        min_score=settings.min_score,
        limit=BEST + 2 * settings.reserve,
        with_fails=not settings.require_checks,
    )
    taken = choice.list_recent_texts(conn, limit=RECENT) if judged else ()

    def best_of(
        members: Sequence[JudgedCandidate], places: Mapping[int, int]
    ) -> tuple[JudgedCandidate, ...]:
        most = settings.approve_per_run
        return choose(members, most=most, taken=taken, places=places, near=near)

    fresh = [one for one in judged if not one.is_reserved]
    best = best_of(fresh, {})
    places = _rank(judge, tied(fresh, chosen=best, most=settings.approve_per_run))
    if places:
        best = best_of(fresh, places)
    if not best:
        best = best_of([one for one in judged if one.is_reserved], {})
    left = [one for one in judged if one not in best]
    texts = [*taken, *(one.text_content for one in best)]
    reserved = choose(left, most=settings.reserve, taken=texts, near=near)
    wanted = Choice(
        best=[one.id for one in best],
        reserved=[one.id for one in reserved],
        places=places,
        is_proposal=settings.mode == "human",
    )
    chosen = choice.settle_choice(conn, wanted, by="auto", run_id=context.run_id)
    return ApprovalChoice(best=best, reserved=reserved, places=places, chosen=chosen)


def _rank(judge: Judge, members: Sequence[JudgedCandidate]) -> dict[int, int]:
    """Return id -> place of some with equal totals; empty if the judge cannot put them in order."""
    context = judge.context
    if not members or not context.config.curate.ranking or not judge.can_rank:
        return {}
    try:
        return rank(
            members,
            id_of=lambda one: one.id,
            ask=judge.rank,
            chance=context.chance,
            note=context.note,
        )
    except TryLater as error:
        context.note(f"equal totals were not ranked: {error}")
        return {}
