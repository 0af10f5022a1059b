"""One claimed batch of candidates: who is missing from an answer is asked for again, alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from botticelli.config.model import CurateConfig
from botticelli.errors import BotticelliError, ConfigError, TryLater, Unavailable
from botticelli.models.base import PermanentError, TransientError, UnusableAnswer
from botticelli.records import record
from botticelli.stages.curate.rubric import (
    FRESH,
    Sample,
    combine,
    grounded,
    is_sample,
    proven,
    read_answer,
    repeats,
    source_of,
)
from botticelli.stages.task import Counts, FirstFailures, Worker
from botticelli.store.connection import Connection
from botticelli.store.curation import judging
from botticelli.store.curation.judging import Candidate, Scored


@record
class Judgement:
    """What the judge answered about a batch.

    Args:
        value: The JSON.
        codes: What each candidate was called in it -> its id.
        model: Which one it was.
        seed: What the order was drawn by in which the candidates were shown.
        execution_id: The answer's row in act_executions.
        rules: Version of the house rules that it judged under; 0: none.
    """

    value: Any
    codes: Mapping[str, int]
    model: str
    seed: int = 0
    execution_id: int | None = None
    rules: int = 0


Ask = Callable[[Connection, Sequence[Candidate], int], Judgement]
"""Puts candidates before the judge, for so many times in vain so far."""
UnreadAnswers = Callable[[Candidate], Sequence[Judgement]]
"""Candidate -> answers about this very text that a killed run has paid for and not read."""
Group = tuple[Candidate, ...]


class BatchJudging:
    """Has one claimed batch judged, in the worker's thread, and stores scores as they come.

    Args:
        ask: Puts candidates before the judge: one call.
    """

    def __init__(
        self,
        worker: Worker,
        batch: Sequence[Candidate],
        *,
        ask: Ask,
        counts: Counts,
        first: FirstFailures,
        settings: CurateConfig,
    ) -> None:
        self._worker = worker
        self._batch = batch
        self._ask = ask
        self._counts = counts
        self._first = first
        self._settings = settings
        # What each pass of the judge said; only of candidates that are still ours to judge.
        self._samples = {each.id: list(filter(is_sample, each.samples)) for each in batch}
        self._why: dict[int, str] = {}

    def judge(self) -> dict[int, str]:
        """Judge what is not judged yet; return id -> why of those without a usable answer.

        Raises:
            BotticelliError: No further batch can succeed now; the scores so far are stored.
        """
        unanswered: dict[int, str] = {}
        for number in range(1, self._settings.samples + 1):
            ours = [each for each in self._batch if each.id in self._samples]
            missing = self._pass(tuple(one for one in ours if len(self._samples[one.id]) < number))
            if self._worker.pool.is_closing:
                break
            for each in missing:
                del self._samples[each.id]
                unanswered[each.id] = f"the judge gave no usable answer: {self._why[each.id]}"
        return unanswered

    def take_unread(self, unread: UnreadAnswers) -> None:
        """Take what a killed run was answered."""
        for each in self._batch:
            for judgement in unread(each):
                known = self._samples.get(each.id)
                if known is None or len(known) >= self._settings.samples:
                    break
                if judgement.execution_id not in {one.get("execution") for one in known}:
                    self._take((each,), judgement)

    def _pass(self, group: Group) -> list[Candidate]:
        """Have a group judged once; return who has no usable answer after all attempts."""
        groups = [group] if group else []
        for number in range(1 + self._settings.retry.max_retries):
            groups = [again for each in groups for again in self._score(each, number)]
            if not groups or self._worker.pool.is_closing:
                break
        return [one for each in groups for one in each]

    def _score(self, group: Group, number: int) -> list[Group]:
        """Ask for a group once more; store what came back well, return who is to be asked again.

        Raises:
            BotticelliError: Nobody has an answer: no other batch could fare better now.
        """
        try:
            judgement = self._ask(self._worker.conn, group, number)
        except BotticelliError as error:
            if concerns_all(error):
                raise
            # It was the request that failed, whatever the candidates say.
            is_refused = isinstance(error, PermanentError) and not isinstance(error, UnusableAnswer)
            if is_refused and self._first.over(error) >= 0:
                raise self._first.reason(error, "call", where="the judge") from error
            # One of them may be what the judge trips over: next time each is asked for alone.
            self._why |= dict.fromkeys((each.id for each in group), str(error))
            return [(each,) for each in group]
        return self._take(group, judgement)

    def _take(self, group: Group, judgement: Judgement) -> list[Group]:
        self._first.worked()
        ids = {each.id for each in group}
        codes = {code: id_ for code, id_ in judgement.codes.items() if id_ in ids}
        answer = read_answer(judgement.value, codes=codes)
        claims = {each.id: each.claim for each in group}
        candidates = {each.id: each for each in group}
        scored = [self._combine(each, candidates[each.id], judgement) for each in answer.scores]
        ours = judging.store_scores(
            self._worker.conn,
            scored,
            claims=[claims[score.id] for score in scored],
            judge_model=judgement.model,
        )
        for score in scored:
            if score.id not in ours:
                del self._samples[score.id]
        self._counts.add(judged=sum(score.is_done for score in scored if score.id in ours))
        self._why |= answer.refused
        left = tuple(each for each in group if each.id in answer.refused)
        return [left] if left else []

    def _combine(self, sample: Sample, candidate: Candidate, judgement: Judgement) -> Scored:
        known, near = self._samples[sample.id], candidate.near
        first = proven(sample, near)
        checks = grounded(sample, candidate.source_text)
        is_unproven = checks.get(FRESH) is False and first is None
        if is_unproven:
            del checks[FRESH]
        known.append(
            {
                "model": judgement.model,
                "seed": judgement.seed,
                "execution": judgement.execution_id,
                "points": dict(sample.points),
                "checks": checks,
                "reasons": sample.reasons,
                "notes": sample.notes,
                **({"rules": judgement.rules} if judgement.rules else {}),
                **({"repeats": False} if is_unproven else {}),
                **({"repeats": source_of(first) | {"quote": sample.said_before}} if first else {}),
            }
        )
        settings = self._settings
        text = candidate.text_content or ""
        scored = combine(sample.id, text, known, weights=settings.weights, wanted=settings.samples)
        again = repeats(known, near, scored.judging["fails"])
        return replace(scored, judging={**scored.judging, "repeats": again}) if again else scored


def concerns_all(error: BotticelliError) -> bool:
    """Return whether no other batch could fare better now."""
    if isinstance(error, PermanentError):
        return error.unrecoverable
    return isinstance(error, TransientError | TryLater | ConfigError | Unavailable)
