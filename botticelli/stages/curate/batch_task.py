"""One batch of candidates, from claim to scores: who is missing is asked for again, alone."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from botticelli.clock import Clock
from botticelli.config.model import CurateConfig
from botticelli.errors import BotticelliError, ConfigError, TryLater, Unavailable
from botticelli.models.base import PermanentError, TransientError
from botticelli.records import record
from botticelli.stages.curate.prefilter import Sieve
from botticelli.stages.curate.rubric import Sample, combine, read_answer
from botticelli.stages.worker_pool import Floor
from botticelli.store.connection import Connection
from botticelli.store.curation import judging
from botticelli.store.curation.judging import Candidate, Scored

MOST_RUNS: Final = 3  # without a usable answer; then the candidate is held for a person


@record
class Judgement:
    """What the judge answered about a batch.

    Args:
        value: The JSON.
        model: Which one it was.
        seed: What the order was drawn by in which the candidates were shown.
        execution_id: The answer's row in act_executions.
    """

    value: Any
    model: str
    seed: int = 0
    execution_id: int | None = None


Ask = Callable[[Connection, Sequence[Candidate]], Judgement]
Leftovers = Callable[[Candidate], Sequence[Judgement]]
"""Candidate -> answers about this very text that a killed run has paid for and not read."""
Samples = dict[int, list[Mapping[str, Any]]]
"""Candidate id -> what each pass of the judge said about it; only of those that are still ours."""


@dataclass(kw_only=True)
class Tally:
    """What a run has judged so far; shared by its workers.

    Args:
        set_aside: Rejected without asking: no text, or a repeat.
        given_up: Candidate id -> why there are no scores; not tried again in this run.
    """

    judged: int = 0
    set_aside: int = 0
    given_up: dict[int, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


@record
class _Missing:
    """Candidates that have to be asked for again in one call, each with the reason."""

    group: tuple[Candidate, ...]
    why: Mapping[int, str]


@record
class JudgeLabour:
    """Claims a batch, has it judged, and stores the scores at once.

    Args:
        ask: Puts candidates before the judge: one call.
        leftovers: Knows what a killed run was answered.
        sieve: Knows what needs no judge.
        drain: Go on until nothing is pending; else one batch.
    """

    ask: Ask
    leftovers: Leftovers
    sieve: Sieve
    tally: Tally
    owner: str
    lease: timedelta
    settings: CurateConfig
    drain: bool
    clock: Clock

    def __call__(self, conn: Connection, floor: Floor) -> bool:
        """See Crew.

        Raises:
            BotticelliError: No further batch can succeed now; the scores so far are stored.
        """
        claimed = self._claim(conn)
        if not claimed:
            return False
        floor.hold(each.claim for each in claimed)
        self._judge(conn, claimed, floor=floor)
        if floor.is_closing:
            return False  # what is left of it stays held, so that the crew gives it back
        floor.drop(each.claim for each in claimed)
        return self.drain

    def _claim(self, conn: Connection) -> tuple[Candidate, ...]:
        with self.tally.lock:
            passed_over = tuple(self.tally.given_up)
        return judging.claim_batch(
            conn,
            owner=self.owner,
            limit=self.settings.batch,
            lease=self.lease,
            passed_over=passed_over,
        )

    def _judge(self, conn: Connection, claimed: Sequence[Candidate], *, floor: Floor) -> None:
        aside = self.sieve.sift_claimed(conn, claimed)
        with self.tally.lock:
            self.tally.set_aside += len(aside)
        samples = {each.id: list(each.samples) for each in claimed if each.id not in aside}
        for each in claimed:
            if each.id in samples:
                self._take_leftovers(conn, each, samples=samples)
        for number in range(1, self.settings.samples + 1):
            left = [each for each in claimed if each.id in samples]
            group = tuple(each for each in left if len(samples[each.id]) < number)
            missing = self._pass(conn, group, samples=samples, floor=floor)
            if floor.is_closing:
                return
            self._give_up(conn, missing, samples=samples)

    def _take_leftovers(self, conn: Connection, candidate: Candidate, *, samples: Samples) -> None:
        for judgement in self.leftovers(candidate):
            known = samples.get(candidate.id)
            if known is None or len(known) >= self.settings.samples:
                return
            if judgement.execution_id not in {each.get("execution") for each in known}:
                self._take(conn, (candidate,), judgement=judgement, samples=samples)

    def _pass(
        self,
        conn: Connection,
        group: tuple[Candidate, ...],
        *,
        samples: Samples,
        floor: Floor,
    ) -> list[_Missing]:
        """Have a group judged once; return who has no usable answer after all attempts."""
        missing = [_Missing(group=group, why={})]
        for _ in range(1 + self.settings.retry.max_retries):
            missing = [
                again for each in missing for again in self._score(conn, each.group, samples)
            ]
            if not missing or floor.is_closing:
                break
        return missing

    def _score(
        self, conn: Connection, group: tuple[Candidate, ...], samples: Samples
    ) -> list[_Missing]:
        """Ask for a group once; store what came back well, return who has to be asked again."""
        if not group:
            return []
        try:
            judgement = self.ask(conn, group)
        except BotticelliError as error:
            if _concerns_all(error):
                raise
            # One of them may be what the judge trips over: next time each is asked for alone.
            return [_Missing(group=(each,), why={each.id: str(error)}) for each in group]
        return self._take(conn, group, judgement=judgement, samples=samples)

    def _take(
        self,
        conn: Connection,
        group: tuple[Candidate, ...],
        *,
        judgement: Judgement,
        samples: Samples,
    ) -> list[_Missing]:
        reading = read_answer(judgement.value, ids=[each.id for each in group])
        claims = {each.id: each.claim for each in group}
        scored = [self._combine(sample, judgement, samples) for sample in reading.scores]
        ours = judging.store_scores(
            conn, scored, claims=[claims[score.id] for score in scored], judge_model=judgement.model
        )
        for score in scored:
            if score.id not in ours:
                del samples[score.id]
        with self.tally.lock:
            self.tally.judged += sum(score.is_done for score in scored if score.id in ours)
        left = tuple(each for each in group if each.id in reading.refused)
        return [_Missing(group=left, why=reading.refused)] if left else []

    def _combine(self, sample: Sample, judgement: Judgement, samples: Samples) -> Scored:
        known = samples[sample.id]
        known.append(
            {
                "model": judgement.model,
                "seed": judgement.seed,
                "execution": judgement.execution_id,
                "points": dict(sample.points),
                "checks": dict(sample.checks),
                "reasons": sample.reasons,
                "notes": sample.notes,
            }
        )
        settings = self.settings
        return combine(sample.id, known, weights=settings.weights, wanted=settings.samples)

    def _give_up(self, conn: Connection, missing: Sequence[_Missing], *, samples: Samples) -> None:
        for each in missing:
            for candidate in each.group:
                del samples[candidate.id]
                why = f"the judge gave no usable answer: {each.why[candidate.id]}"
                judging.requeue(conn, [candidate.claim], error=why, max_attempts=MOST_RUNS)
                with self.tally.lock:
                    self.tally.given_up[candidate.id] = why


def _concerns_all(error: BotticelliError) -> bool:
    """Tell whether no other batch could fare better now."""
    if isinstance(error, PermanentError):
        return error.unrecoverable
    return isinstance(error, TransientError | TryLater | ConfigError | Unavailable)
