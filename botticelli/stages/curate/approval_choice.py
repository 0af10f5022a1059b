"""The choice at the end of a curate run: who is approved, proposed, kept in reserve, rejected.

Ties that scores cannot decide the judge ranks in small groups, three times in other company, and a
model of choice adds up: 0.69 of the ten best found where one round of scores finds 0.60, for a
tenth of the calls (simulated, facts on judges). An answer that leaves out, repeats or invents an id
is void; the ranking then does without it.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from typing import Final, TypeVar

from botticelli.errors import BotticelliError, TryLater
from botticelli.learning.effects import feedback_for
from botticelli.records import record
from botticelli.stages.curate.judge import Judge
from botticelli.stages.curate.rubric import choose, rank_key, tied
from botticelli.stages.curate.similarity import shares
from botticelli.store import runs
from botticelli.store.connection import once
from botticelli.store.curation import choice
from botticelli.store.curation.choice import Choice, Chosen, JudgedCandidate
from botticelli.store.curation.evidence import effects_now
from botticelli.text import shorten

BEST: Final = 50  # looked at; more than enough for a few that are not alike
RECENT: Final = 200  # approved posts that a new one must not repeat
GROUP: Final = 10
ROUNDS: Final = 3
STEPS: Final = 200  # of the fit; 30 candidates settle within 50
CLOSE: Final = 1e-6
QUOTED: Final = 80  # characters of what proves a repeat, in a reason

T = TypeVar("T")


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
    most, with_fails = BEST + 2 * settings.reserve, not settings.require_checks
    judged = choice.list_judged(
        conn, min_score=settings.min_score, limit=most, with_fails=with_fails
    )
    judged = _with_feedback(judge, judged)
    recent = choice.list_recent_texts(conn, limit=RECENT) if judged else ()
    taken = {f"p{id_}": text for id_, text, _ in recent}
    repeats = partial(_repeated, {first: f"p{id_}" for id_, _, first in recent})

    def best_of(
        members: Sequence[JudgedCandidate], places: Mapping[int, int]
    ) -> tuple[JudgedCandidate, ...]:
        most = settings.approve_per_run
        return choose(
            members, most=most, taken=taken.values(), places=places, near=near, repeats=repeats
        )

    fresh = [one for one in judged if not one.is_reserved]
    best = best_of(fresh, {})
    places = _rank(judge, tied(fresh, chosen=best, most=settings.approve_per_run))
    if places:
        best = best_of(fresh, places)
    if not best:
        best = best_of([one for one in judged if one.is_reserved], {})
    ranked = sorted(judged, key=lambda one: rank_key(one, places), reverse=True)
    again = {one.id: repeats(one, best) for one in judged if one not in best}
    left = [one for one in judged if one not in best and not again[one.id]]
    texts = [*taken.values(), *(one.text_content for one in best)]
    reserved = choose(left, most=settings.reserve, taken=texts, near=near)
    wanted = Choice(
        best=[one.id for one in best],
        reserved=[one.id for one in reserved],
        held=_doubtful(
            judged, again=again, below=best[settings.approve_per_run - 1 :], places=places
        ),
        places=places,
        why=_reasons(ranked, best=best, reserved=reserved, taken=taken, near=near, again=again),
        min_score=settings.min_score,
        is_proposal=settings.mode == "human",
        feedback={one.id: vars(one.feedback) for one in judged if one.feedback.why},
    )
    run = context.run_id
    chosen = once(conn, lambda: choice.settle_choice(conn, wanted, by="auto", run_id=run))
    return ApprovalChoice(best=best, reserved=reserved, places=places, chosen=chosen)


def _with_feedback(judge: Judge, judged: Sequence[JudgedCandidate]) -> tuple[JudgedCandidate, ...]:
    """Return the candidates with what readers' reactions add, if that is asked for."""
    config, conn = judge.context.config, judge.context.conn
    if not (config.learning.multiplier and judged):
        return tuple(judged)
    effects = effects_now(conn, config, now=runs.now(conn))
    bounds = {"most": config.learning.most, "exploration": config.learning.exploration}
    return tuple(
        replace(one, feedback=feedback_for(one.id, one.kinds, effects, **bounds)) for one in judged
    )


def _repeated(
    told: Mapping[int, str], one: JudgedCandidate, others: Sequence[JudgedCandidate]
) -> str:
    """Return what a candidate says again of what is out, held or among the `others`; "" if nothing.

    Of two of which one repeats the other it does not matter which came first. `told`: candidate ->
    the post that repeats it.
    """
    first = one.repeats or {}
    if one.is_known or first.get("candidate") in {other.id for other in others}:
        return f"p{first['post']}" if "post" in first else f"c{first.get('candidate')}"
    again = (other for other in others if (other.repeats or {}).get("candidate") == one.id)
    return next((f"c{other.id}" for other in again), told.get(one.id, ""))


def _doubtful(
    judged: Sequence[JudgedCandidate],
    *,
    again: Mapping[int, str],
    below: Sequence[JudgedCandidate],
    places: Mapping[int, int],
) -> list[int]:
    """Return who is perhaps a repeat and would be approved otherwise; `below`: the last chosen."""
    return [
        one.id
        for one in judged
        if again.get(one.id)
        and "quote" not in (one.repeats or {})
        and all(rank_key(one, places) > rank_key(last, places) for last in below)
    ]


def _why_again(one: JudgedCandidate, name: str) -> str:
    repeats = one.repeats or {}
    if quote := repeats.get("quote"):
        return f'says again what {name} says: "{shorten(str(quote), QUOTED)}"'
    share = f" ({repeats['share']:.2f})" if isinstance(repeats.get("share"), float) else ""
    return f"perhaps a repeat of {name}{share}: compare both"


def _reasons(
    ranked: Sequence[JudgedCandidate],
    *,
    best: Sequence[JudgedCandidate],
    reserved: Sequence[JudgedCandidate],
    taken: Mapping[str, str],
    near: float,
    again: Mapping[int, str],
) -> dict[int, str]:
    """Return id -> why each was chosen or not. `taken`: name -> text of posts approved before."""
    known = {**taken, **{f"c{one.id}": one.text_content for one in best}}
    why = {}
    for place, one in enumerate(ranked, 1):
        rank = f"place {place} of {len(ranked)}"
        pairs = zip(shares(one.text_content, known.values()), known, strict=True)
        share, name = max(pairs, default=(-1.0, ""))
        if one in best:
            why[one.id] = f"chosen: {rank}"
        elif one in reserved:
            why[one.id] = f"kept in reserve: {rank}"
        elif again[one.id]:
            why[one.id] = _why_again(one, again[one.id])
        elif share >= near:
            why[one.id] = f"nearly repeats {name} ({share:.2f})"
        elif place <= len(best):
            why[one.id] = f"{rank}, but another one of '{one.angle}' was chosen"
        else:
            why[one.id] = f"not among the best {len(best)}: {rank}"
    return why


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


def groups(members: Sequence[T], *, chance: random.Random) -> list[tuple[T, ...]]:
    """Return the members in groups of nearly equal size, at most GROUP, in a drawn order."""
    order = list(members)
    chance.shuffle(order)
    count = -(-len(order) // GROUP)
    return [tuple(order[start::count]) for start in range(count)]


def strengths(rankings: Sequence[Sequence[int]]) -> dict[int, float]:
    """Return how strong each id is by the Plackett-Luce model, fitted to rankings of some of them.

    Every id plays one drawn game against an average one, so that one who always wins or loses has
    a strength, too. Source: Hunter, MM algorithms for generalized Bradley-Terry models, 2004.
    """
    ids = sorted({id_ for ranking in rankings for id_ in ranking})
    wins = {id_: 0.5 + sum(id_ in ranking[:-1] for ranking in rankings) for id_ in ids}
    strength = dict.fromkeys(ids, 1.0)
    for _ in range(STEPS):
        before = strength
        losses = {id_: 1 / (before[id_] + 1) for id_ in ids}
        for ranking in rankings:
            _add_stages(losses, ranking, before)
        strength = {id_: wins[id_] / losses[id_] for id_ in ids}
        if all(abs(strength[id_] - before[id_]) <= CLOSE * before[id_] for id_ in ids):
            break
    return strength


def _add_stages(
    losses: dict[int, float], ranking: Sequence[int], strength: Mapping[int, float]
) -> None:
    """Add to each id the stages of a ranking in which it could have been picked."""
    left = sum(strength[id_] for id_ in ranking)
    stages = 0.0
    for id_ in ranking[:-1]:
        stages += 1 / left
        losses[id_] += stages
        left -= strength[id_]
    losses[ranking[-1]] += stages


def rank(
    members: Sequence[T],
    *,
    id_of: Callable[[T], int],
    ask: Callable[[Sequence[T]], Sequence[int]],
    chance: random.Random,
    note: Callable[[str], None],
) -> dict[int, int]:
    """Return id -> place, from 1 for the best; empty if the judge gave no usable order.

    Raises:
        TryLater: A signal or a spent day ends the asking.
    """
    rankings: list[Sequence[int]] = []
    for _ in range(ROUNDS):
        for group in groups(members, chance=chance):
            try:
                order = ask(group)
            except TryLater:
                raise
            except BotticelliError as error:
                note(f"a ranking is left out: {error}")
                continue
            if sorted(order) != sorted(id_of(each) for each in group):
                note("a ranking is left out: it does not name each candidate once")
            else:
                rankings.append(order)
    found = strengths(rankings) if rankings else {}
    best_first = sorted(found, key=lambda id_: (-found[id_], id_))
    return {id_: place for place, id_ in enumerate(best_first, 1)}
