"""How often one model is asked in vain: what an answer is worth, and how long to wait."""

import random
from dataclasses import replace
from typing import Literal

from botticelli.budget.gate import PATIENCE
from botticelli.errors import TryLater
from botticelli.models.base import (
    Finish,
    PermanentError,
    QuotaError,
    Reply,
    Request,
    TransientError,
)

MOST_REFUSALS = 10  # 429s in a row that are waited out: our count and the provider's differ
LONGEST_BACKOFF = 30.0  # s
LONGEST_HOLD = 60.0  # s; a minute's quota is whole again after one
LONGEST_ASKED = 86_400.0  # s; no quota lasts longer: more is a slip of the server's

Verdict = Literal["whole", "cut", "blocked", "empty", "unfinished"]


class Tries:
    """How often one model was asked in vain, and what to ask next."""

    def __init__(self, request: Request, *, most: int) -> None:
        self.request = request
        self._most = most
        self._failures = 0
        self._refusals = 0
        self._unusable: set[Verdict] = set()

    def accept(self, reply: Reply, *, where: str, is_free: bool) -> bool:
        """Tell whether a reply is content; else change what is asked, or raise.

        A model that costs nothing is asked once more if it did not find an end by itself.
        """
        found = verdict(reply)
        if found == "whole":
            return True
        if found == "blocked":
            raise PermanentError(
                f"the provider blocked the answer ({reply.finish_detail or 'no reason given'})",
                where=where,
                mend="reword the prompt",
            )
        is_hopeless = found == "cut" and self.request.max_tokens is None and not is_free
        if found in self._unusable or is_hopeless:
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
            TryLater: The server asks for more patience than a run has.
        """
        asked = error.retry_after or 0.0
        if asked > PATIENCE.total_seconds():
            raise TryLater(
                f"the provider asks to wait {asked / 60:.0f} minutes ({error.what})",
                where=error.where,
                mend="try again then, or give a fallback model",
            ) from error
        self._failures += 1
        if self._failures >= self._most:
            raise error
        longest = min(LONGEST_BACKOFF, float(1 << self._failures))
        return max(asked, chance.uniform(longest / 2, longest))

    def hold_after(self, error: QuotaError) -> float:
        """Return the seconds for which a 429 holds everybody: the server's own, or more.

        The n-th holds for min(60, 2^n) at least: a server that says 0, or too little again and
        again, would else be hammered, and refused requests count as well. Without details
        (capacity, spending) it is 30 * 2^(n-1), and 60 where the server does not say.

        Raises:
            TransientError: It was waited out too often.
        """
        self._refusals += 1
        if self._refusals > (3 if error.scope == "spend" else MOST_REFUSALS):
            raise TransientError(
                "the provider keeps refusing", where=error.where, mend="try again later"
            ) from error
        asked = min(error.retry_after or 0.0, LONGEST_ASKED)
        if error.scope == "spend":
            return max(asked, 30.0 * (1 << (self._refusals - 1)))
        if error.retry_after is None:
            return LONGEST_HOLD
        return max(asked, min(LONGEST_HOLD, float(1 << self._refusals)))


def verdict(reply: Reply) -> Verdict:
    """Return whether a reply may be taken for content."""
    if reply.finish is Finish.LENGTH:
        return "cut"
    if reply.finish is Finish.BLOCKED:
        return "blocked"
    if not reply.text.strip():
        return "empty"
    return "whole" if reply.finish is Finish.STOP else "unfinished"


def _lower(thinking: str) -> str:
    levels = ("minimal", "low", "medium", "high")
    return levels[max(0, levels.index(thinking) - 1)] if thinking in levels else thinking
