"""How often one model is asked in vain: what an answer is worth, and how long to wait."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from botticelli.backoff import Backoff
from botticelli.budget.gate import PATIENCE
from botticelli.errors import TryLater
from botticelli.models.base import (
    Finish,
    PermanentError,
    QuotaError,
    Reply,
    Request,
    SettingRefused,
    TransientError,
    UnusableAnswer,
)
from botticelli.models.refused import WINDOW
from botticelli.models.usage import is_cut, least_tokens
from botticelli.narrative.answers.answer import Answer
from botticelli.text import shorten, span

MOST_REFUSALS = 10  # 429s in a row that are waited out: our count and the provider's differ
FAILURE = Backoff(base=2.0, cap=30.0, jitter=0.5)
REFUSAL = Backoff(base=2.0, cap=60.0)  # a minute's quota is whole again after one
OVERSPENT = Backoff(base=30.0)  # 429 without details: capacity, spending
LONGEST_ASKED = 86_400.0  # s; no quota lasts longer: more is a slip of the server's

Verdict = Literal[
    "whole", "cut", "blocked", "empty", "unfinished", "of half a prompt", "no picture"
]


class Tries:
    """How often one model was asked in vain, and what to ask next."""

    def __init__(self, request: Request, *, most: int) -> None:
        self.request = request
        self._most = most
        self._failures = 0
        self._refusals = 0
        self._unusable: set[Verdict] = set()

    def leave_out(self, error: SettingRefused) -> None:
        """Ask without a setting from now on.

        Raises:
            PermanentError: It was left out already.
        """
        if error.setting in self.request.without:
            raise PermanentError(error.what, where=error.where) from error
        self.request = replace(self.request, without=self.request.without | {error.setting})

    def accept(self, answer: Answer, found: Verdict, *, where: str, is_free: bool) -> bool:
        """Return whether an answer is content; else change what is asked, or raise.

        A model that costs nothing is asked once more if it did not find an end by itself.
        """
        if found == "of half a prompt":
            read = answer.usage.input if answer.usage else 0
            raise UnusableAnswer(
                f"the server has read {read:,} tokens of a prompt of at least"
                f" {least_tokens(self.request):,}: it drops what its context window does not hold",
                where=where,
                hint=f"{WINDOW}; context_window in [models.limits.NAME] keeps such prompts back",
            )
        if found == "whole":
            return True
        if found == "blocked":
            raise UnusableAnswer(
                f"the provider blocked the answer ({answer.finish_detail or 'no reason given'})",
                where=where,
                hint="reword the prompt",
            )
        is_hopeless = found == "cut" and self.request.max_tokens is None and not is_free
        if found == "no picture":  # each one is paid for, and the next would hardly be better
            raise UnusableAnswer(
                f"the model gave no picture that can be used ({_words(answer)})",
                where=where,
                hint="reword the prompt, or name another model",
            )
        if found in self._unusable or is_hopeless:
            raise UnusableAnswer(
                f"the answer is {found} ({answer.finish_detail or answer.finish.value})",
                where=where,
                hint="raise max_tokens or ask for less" if found == "cut" else "reword the prompt",
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

        Raises:
            TransientError: The attempts are used up.
            TryLater: The server asks for more patience than a run has.
        """
        asked = error.retry_after or 0.0
        if asked > PATIENCE.total_seconds():
            raise TryLater(
                f"the provider asks to wait {span(timedelta(seconds=asked))} ({error.what})",
                where=error.where,
                hint="try again then, or give a fallback model",
            ) from error
        self._failures += 1
        if self._failures >= self._most:
            raise error
        return FAILURE.after(self._failures, asked=asked, chance=chance)

    def hold_after(self, error: QuotaError) -> float:
        """Return the seconds for which a 429 holds everybody: the server's own, or more.

        A server that says 0, or too little again and again, would else be hammered, and refused
        requests count as well. A minute where the server does not say.

        Raises:
            TransientError: It was waited out too often.
        """
        self._refusals += 1
        if self._refusals > (3 if error.scope == "spend" else MOST_REFUSALS):
            raise TransientError(
                "the provider keeps refusing", where=error.where, hint="try again later"
            ) from error
        asked = min(error.retry_after or 0.0, LONGEST_ASKED)
        if error.scope == "spend":
            return OVERSPENT.after(self._refusals, asked=asked)
        if error.retry_after is None:
            return REFUSAL.cap
        return REFUSAL.after(self._refusals, asked=asked)


def verdict(reply: Reply, request: Request, *, flaw: str = "") -> Verdict:
    """Return whether a reply may be taken for content; `flaw`: what is wrong with its picture."""
    ends: dict[Finish, Verdict] = {Finish.LENGTH: "cut", Finish.BLOCKED: "blocked"}
    found = ends.get(reply.finish, "whole" if reply.finish is Finish.STOP else "unfinished")
    if request.image is not None:
        has_picture = reply.image and not flaw
        return "whole" if has_picture else "blocked" if found == "blocked" else "no picture"
    if is_cut(request, reply.usage):
        return "of half a prompt"
    return "empty" if found in ("whole", "unfinished") and not reply.text.strip() else found


def _words(answer: Answer) -> str:
    """Return why there is no picture: the provider's word, and what the model says instead."""
    said = "" if answer.text.startswith("{") else shorten(" ".join(answer.text.split()), 200)
    return ": ".join(filter(None, (answer.finish_detail or answer.finish.value, said)))


def _lower(thinking: str) -> str:
    levels = ("minimal", "low", "medium", "high")
    return levels[max(0, levels.index(thinking) - 1)] if thinking in levels else thinking
