"""One act at one model: attempts until an answer is whole, each with a grant and a row."""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from botticelli.budget.gate import DaySpent, Gate, Grant
from botticelli.clock import Clock
from botticelli.errors import ConfigError
from botticelli.models import catalogue
from botticelli.models.base import (
    Finish,
    ModelError,
    PermanentError,
    QuotaError,
    Reply,
    Request,
    TransientError,
    Usage,
)
from botticelli.models.open import Drivers, Opened
from botticelli.narrative import spans
from botticelli.store import executions
from botticelli.store.connection import Connection
from botticelli.store.executions import Attempt
from botticelli.store.ledger import Lesson

BEFORE_FALLBACK = 3  # attempts at one model while another is allowed
MOST_REFUSALS = 10  # 429s in a row that are waited out: our count and the provider's differ
LONGEST_BACKOFF = 30.0  # s
GUESSED_OUTPUT = 1024  # tokens; reserved where output counts and no ceiling is set

Verdict = Literal["whole", "cut", "blocked", "empty"]


@dataclass(frozen=True, kw_only=True)
class Call:
    """What is asked, and the row to be filled for every attempt.

    Args:
        numbers: Counts the attempts of one act over all its models.
    """

    request: Request
    blank: Attempt
    numbers: Iterator[int]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A reply and its row."""

    reply: Reply
    execution_id: int
    model: str
    cost_usd: Decimal


class Attempts:
    """Sends requests through the gate, and knows when to send again.

    Policy: transient failures back off with jitter, or as long as the server says; a 429 is a
    lesson for the ledger, not a failure; a cut answer gets twice the room, once; an empty one is
    asked for again, once; a blocked one never.
    """

    def __init__(
        self,
        conn: Connection,
        *,
        gate: Gate,
        drivers: Drivers,
        clock: Clock,
        chance: random.Random,
        note: Callable[[str], None],
    ) -> None:
        self._conn = conn
        self._gate = gate
        self._drivers = drivers
        self._clock = clock
        self._chance = chance
        self._note = note

    def ask(self, name: str, call: Call, *, has_fallback: bool) -> Recorded:
        """Return the first whole answer of one model.

        Raises:
            See Caller.ask.
        """
        opened = self._open(name)
        most = self._drivers.config.max_attempts
        tries = _Tries(call.request, most=min(most, BEFORE_FALLBACK) if has_fallback else most)
        while True:
            try:
                recorded = self._once(opened, replace(call, request=tries.request))
                if tries.accept(recorded.reply, where=f"model {opened.name}"):
                    return recorded
            except TransientError as error:
                self._gate.pause(tries.delay_after(error, chance=self._chance))
            except QuotaError as error:
                self._take_lesson(opened, error, tries=tries)
            except PermanentError as error:
                opened = self._successor(opened, error)

    def _open(self, name: str) -> Opened:
        config = self._drivers.config
        current = catalogue.current_name(name, config, on=self._clock.now().date())
        if current != name:
            self._say(f"{name} is not served any more; {current} is asked in its place")
        return self._drivers.open(self._drivers.replacement(current))

    def _successor(self, opened: Opened, error: PermanentError) -> Opened:
        """Return the model that replaces one that the provider does not know, or raise again."""
        follows = catalogue.successor(opened.name) if error.retired else None
        if follows is None:
            raise error
        self._drivers.replace(opened.name, follows)
        self._say(f"{opened.name} is not served to this account; {follows} is asked in its place")
        return self._drivers.open(follows)

    def _once(self, opened: Opened, call: Call) -> Recorded:
        """Make one attempt: slot, grant, request, row, settlement."""
        slot = self._drivers.slot(opened.name)
        if slot is not None:
            while not slot.acquire(blocking=False):
                self._gate.pause(0.05)
        try:
            grant = self._reserve(opened, call)
            return self._send(opened, call, grant=grant)
        finally:
            if slot is not None:
                slot.release()

    def _reserve(self, opened: Opened, call: Call) -> Grant | None:
        if opened.is_free:
            return None
        opened.driver.prepare()
        estimate = opened.driver.estimate(call.request)
        output = call.request.max_tokens or GUESSED_OUTPUT
        counted = estimate if opened.provider == "gemini" else estimate + output
        return self._gate.reserve(
            self._drivers.account(opened.name),
            provider=opened.provider,
            estimate=counted,
            cost=self._cost(opened.name, Usage(input=estimate, output=output)),
            run_id=call.blank.run_id,
        )

    def _send(self, opened: Opened, call: Call, *, grant: Grant | None) -> Recorded:
        row = replace(
            call.blank,
            attempt=next(call.numbers),
            provider=opened.provider,
            model=opened.name,
            grant_seq=None if grant is None else grant.seq,
        )
        began = self._clock.monotonic()
        try:
            reply = self._generate(opened, call)
        except ModelError as error:
            # It may have been counted: only the reservation is certain.
            self._record(replace(row, error=str(error), latency_ms=self._since(began)))
            if grant is not None:
                self._gate.settle(grant, tokens=None)
            raise
        row = replace(row, latency_ms=self._since(began))
        return self._keep(opened, row, reply=reply, grant=grant)

    def _generate(self, opened: Opened, call: Call) -> Reply:
        request = replace(call.request, model=opened.name)
        with spans.asking(request, provider=opened.provider, act=call.blank.act_name) as span:
            reply = opened.driver.generate(request)
            spans.answered(span, reply)
            return reply

    def _keep(self, opened: Opened, row: Attempt, *, reply: Reply, grant: Grant | None) -> Recorded:
        """Store the answer first, for it is paid; then settle."""
        usage = reply.usage
        served = reply.model_version or opened.name
        cost = Decimal(0) if usage is None else self._cost(served, usage)
        found = verdict(reply)
        id_ = self._record(
            replace(
                row,
                state="done" if found == "whole" else "unusable",
                error=None if found == "whole" else f"the answer is {found}",
                model_version=reply.model_version or None,
                provider_request_id=reply.request_id or None,
                finish_reason=reply.finish_detail or reply.finish.value,
                response=reply.text,
                input_tokens=None if usage is None else usage.input,
                cached_tokens=None if usage is None else usage.cached,
                output_tokens=None if usage is None else usage.output,
                thought_tokens=None if usage is None else usage.thoughts,
                cost_usd=cost,
            )
        )
        if grant is not None:
            self._settle(opened, grant, served=served, usage=usage)
        return Recorded(reply=reply, execution_id=id_, model=served, cost_usd=cost)

    def _settle(self, opened: Opened, grant: Grant, *, served: str, usage: Usage | None) -> None:
        tokens = None if usage is None else counted_tokens(opened.provider, usage)
        cost = None if usage is None else self._cost(served, usage)
        self._gate.settle(grant, tokens=tokens, cost=cost)
        if opened.provider != "gemini":
            return  # a server of one's own may call its model anything
        serving = opened.name if is_same_model(opened.name, served) else served
        if serving != opened.name:
            self._say(f"{opened.name} was asked, {serving} answered")
        account = self._drivers.account(opened.name)
        for other in sorted({opened.name, serving} - {account}):
            self._gate.charge(
                grant, model=other, provider=opened.provider, tokens=tokens or grant.tokens
            )
        self._drivers.served(opened.name, serving)

    def _take_lesson(self, opened: Opened, error: QuotaError, *, tries: "_Tries") -> None:
        """Tell the ledger what a 429 said; return if the same may be asked again.

        Raises:
            DaySpent, ConfigError, TransientError: It may not.
        """
        where = f"model {opened.name}"
        if error.scope == "none":
            raise ConfigError(
                "this account has no quota for the model",
                where=where,
                mend="choose another model, or enable billing for the key's project",
            ) from error
        wait = tries.hold_after(error)
        rate = ("r" if error.metric == "requests" else "t") + (
            "pd" if error.scope == "day" else "pm"
        )
        self._gate.learn(
            self._drivers.account(opened.name),
            provider=opened.provider,
            lesson=Lesson(
                scope=error.scope,
                wait=timedelta(seconds=wait),
                rate="" if error.scope == "spend" else rate,
                limit=error.limit,
            ),
        )
        if error.scope == "day":
            raise DaySpent(
                "the provider says that the day's quota is spent",
                where=where,
                mend="try again tomorrow, or give a fallback model",
            ) from error
        if opened.is_free:
            self._gate.pause(wait)  # no account holds us

    def _record(self, attempt: Attempt) -> int:
        return executions.record(self._conn, attempt, now=self._clock.pinned())

    def _cost(self, model: str, usage: Usage) -> Decimal:
        rate = catalogue.price(model, self._drivers.config, on=self._clock.now().date())
        return catalogue.cost(usage, rate)

    def _since(self, began: float) -> int:
        return round((self._clock.monotonic() - began) * 1000)

    def _say(self, note: str) -> None:
        if self._drivers.is_first(note):
            self._note(note)


class _Tries:
    """How often one model was asked in vain, and what to ask next."""

    def __init__(self, request: Request, *, most: int) -> None:
        self.request = request
        self._most = most
        self._failures = 0
        self._refusals = 0
        self._unusable: set[Verdict] = set()

    def accept(self, reply: Reply, *, where: str) -> bool:
        """Tell whether a reply is content; else change what is asked, or raise."""
        found = verdict(reply)
        if found == "whole":
            return True
        if found == "blocked":
            raise PermanentError(
                f"the provider blocked the answer ({reply.finish_detail or 'no reason given'})",
                where=where,
                mend="reword the prompt",
            )
        if found in self._unusable or (found == "cut" and self.request.max_tokens is None):
            raise PermanentError(
                f"the answer is {found} ({reply.finish_detail or reply.finish.value})",
                where=where,
                mend="raise max_tokens or ask for less" if found == "cut" else "reword the prompt",
            )
        self._unusable.add(found)
        if found == "cut" and self.request.max_tokens is not None:
            self.request = replace(
                self.request,
                max_tokens=2 * self.request.max_tokens,
                thinking=_lower(self.request.thinking),
            )
        return False

    def delay_after(self, error: TransientError, *, chance: random.Random) -> float:
        """Return the seconds to wait before the next attempt: the server's own, or backoff.

        The n-th is between half of and the whole of min(30, 2^n).

        Raises:
            TransientError: The attempts are used up.
        """
        self._failures += 1
        if self._failures >= self._most:
            raise error
        longest = min(LONGEST_BACKOFF, float(1 << self._failures))
        return max(error.retry_after or 0.0, chance.uniform(longest / 2, longest))

    def hold_after(self, error: QuotaError) -> float:
        """Return the seconds for which a 429 holds everybody.

        Raises:
            TransientError: It was waited out too often.
        """
        self._refusals += 1
        if self._refusals > (3 if error.scope == "spend" else MOST_REFUSALS):
            raise TransientError(
                "the provider keeps refusing", where=error.where, mend="try again later"
            ) from error
        if error.scope == "spend":
            return max(error.retry_after or 0.0, 30.0 * (1 << (self._refusals - 1)))
        return error.retry_after if error.retry_after is not None else 60.0


def verdict(reply: Reply) -> Verdict:
    """Return whether a reply may be taken for content."""
    if reply.finish is Finish.LENGTH:
        return "cut"
    if reply.finish is Finish.BLOCKED:
        return "blocked"
    return "whole" if reply.text.strip() and reply.finish is Finish.STOP else "empty"


def counted_tokens(provider: str, usage: Usage) -> int:
    """Return the tokens that count against a provider's limits: Gemini counts input only."""
    if provider == "gemini":
        return usage.input
    return usage.input + usage.output + usage.thoughts


def is_same_model(asked: str, served: str) -> bool:
    """Tell whether `served` is `asked` or a dated or numbered version of it."""
    rest = served.removeprefix("models/").removeprefix(asked)
    return served.removeprefix("models/").startswith(asked) and (
        not rest or re.match(r"-(\d|preview|exp)", rest) is not None
    )


def _lower(thinking: str) -> str:
    levels = ("minimal", "low", "medium", "high")
    return levels[max(0, levels.index(thinking) - 1)] if thinking in levels else thinking
