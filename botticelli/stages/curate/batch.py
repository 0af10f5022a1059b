"""One claimed batch of candidates: who is missing from an answer is asked for again, alone."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from botticelli.clock import Clock
from botticelli.config.model import CurateConfig
from botticelli.errors import BotticelliError, ConfigError, TryLater, Unavailable
from botticelli.models.base import PermanentError, TransientError
from botticelli.records import record
from botticelli.stages.curate.prefilter import Prefilter
from botticelli.stages.curate.rubric import Sample, combine, read_answer
from botticelli.stages.task import Worker
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
UnreadAnswers = Callable[[Candidate], Sequence[Judgement]]
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
class Unanswered:
    """Candidates that have to be asked for again in one call, each with the reason."""

    group: tuple[Candidate, ...]
    why: Mapping[int, str]


@record
class BatchJudging:
    """Has batches judged, and stores their scores at once; called from worker threads.

    Args:
        ask: Puts candidates before the judge: one call.
        unread: Knows what a killed run was answered.
        prefilter: Knows what needs no judge.
    """

    ask: Ask
    unread: UnreadAnswers
    prefilter: Prefilter
    tally: Tally
    settings: CurateConfig
    clock: Clock

    def judge(self, worker: Worker, claimed: Sequence[Candidate]) -> list[Unanswered]:
        """Have a batch judged; return who got no usable answer after all attempts.

        Raises:
            BotticelliError: No further batch can succeed now; the scores so far are stored.
        """
        conn = worker.conn
        aside = self.prefilter.reject_claimed(conn, claimed)
        with self.tally.lock:
            self.tally.set_aside += len(aside)
        samples = {each.id: list(each.samples) for each in claimed if each.id not in aside}
        for each in claimed:
            if each.id in samples:
                self._take_unread(conn, each, samples=samples)
        unanswered: list[Unanswered] = []
        for number in range(1, self.settings.samples + 1):
            left = [each for each in claimed if each.id in samples]
            group = tuple(each for each in left if len(samples[each.id]) < number)
            missing = self._pass(worker, group, samples=samples)
            if worker.pool.is_closing:
                break
            unanswered += missing
            for candidate in (one for each in missing for one in each.group):
                del samples[candidate.id]
        return unanswered

    def give_up(self, conn: Connection, unanswered: Sequence[Unanswered]) -> None:
        """Give candidates back that the judge gave no usable answer for."""
        for each in unanswered:
            for candidate in each.group:
                why = f"the judge gave no usable answer: {each.why[candidate.id]}"
                judging.requeue(conn, [candidate.claim], error=why, max_attempts=MOST_RUNS)
                with self.tally.lock:
                    self.tally.given_up[candidate.id] = why

    def _take_unread(self, conn: Connection, candidate: Candidate, *, samples: Samples) -> None:
        for judgement in self.unread(candidate):
            known = samples.get(candidate.id)
            if known is None or len(known) >= self.settings.samples:
                return
            if judgement.execution_id not in {each.get("execution") for each in known}:
                self._take(conn, (candidate,), judgement=judgement, samples=samples)

    def _pass(
        self, worker: Worker, group: tuple[Candidate, ...], *, samples: Samples
    ) -> list[Unanswered]:
        """Have a group judged once; return who has no usable answer after all attempts."""
        missing = [Unanswered(group=group, why={})]
        for _ in range(1 + self.settings.retry.max_retries):
            missing = [
                again for each in missing for again in self._score(worker.conn, each.group, samples)
            ]
            if not missing or worker.pool.is_closing:
                break
        return missing

    def _score(
        self, conn: Connection, group: tuple[Candidate, ...], samples: Samples
    ) -> list[Unanswered]:
        """Ask for a group once; store what came back well, return who has to be asked again."""
        if not group:
            return []
        try:
            judgement = self.ask(conn, group)
        except BotticelliError as error:
            if _concerns_all(error):
                raise
            # One of them may be what the judge trips over: next time each is asked for alone.
            return [Unanswered(group=(each,), why={each.id: str(error)}) for each in group]
        return self._take(conn, group, judgement=judgement, samples=samples)

    def _take(
        self,
        conn: Connection,
        group: tuple[Candidate, ...],
        *,
        judgement: Judgement,
        samples: Samples,
    ) -> list[Unanswered]:
        reading = read_answer(judgement.value, ids=[each.id for each in group])
        claims = {each.id: each.claim for each in group}
        scored = [self._combine(sample, judgement, samples) for sample in reading.scores]
        ours = judging.store_scores(
            conn,
            scored,
            claims=[claims[score.id] for score in scored],
            judge_model=judgement.model,
        )
        for score in scored:
            if score.id not in ours:
                del samples[score.id]
        with self.tally.lock:
            self.tally.judged += sum(score.is_done for score in scored if score.id in ours)
        left = tuple(each for each in group if each.id in reading.refused)
        return [Unanswered(group=left, why=reading.refused)] if left else []

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


def _concerns_all(error: BotticelliError) -> bool:
    """Return whether no other batch could fare better now."""
    if isinstance(error, PermanentError):
        return error.unrecoverable
    return isinstance(error, TransientError | TryLater | ConfigError | Unavailable)
