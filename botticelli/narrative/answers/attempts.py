"""One act at one model: attempts until an answer is whole, each with a grant and a row."""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from threading import Event

from botticelli.budget.gate import DaySpent, Gate, Grant
from botticelli.clock import Clock
from botticelli.config.model import Models, Multipliers, Price
from botticelli.errors import BotticelliError, ConfigError
from botticelli.models import catalogue
from botticelli.models.base import (
    PermanentError,
    QuotaError,
    Reply,
    Request,
    SettingRefused,
    TransientError,
    UnusableAnswer,
    Usage,
)
from botticelli.models.open import Drivers, Opened
from botticelli.models.refused import WINDOW
from botticelli.models.thoughts import without_thoughts
from botticelli.models.usage import believed, estimated, probable_tokens
from botticelli.narrative.answers import spans
from botticelli.narrative.answers.answer import Answer
from botticelli.narrative.answers.retry_policy import Tries, Verdict, verdict
from botticelli.pictures.reading import LARGEST, BadPicture, Picture, read_picture, refuse_blank
from botticelli.records import record
from botticelli.store import ledger
from botticelli.store.connection import Connection, DatabaseAway
from botticelli.store.generation import executions
from botticelli.store.generation.executions import Attempt
from botticelli.store.leases import Identity
from botticelli.store.ledger import Lesson, Window
from botticelli.store.session import lend
from botticelli.text import storable

BEFORE_FALLBACK = 3  # attempts at one model while another is allowed
GUESSED_OUTPUT = 1024  # tokens; reserved where output counts and no ceiling is set
LONGEST_ERROR = 500  # characters


@record
class PreparedCall:
    """What is asked, and the row to be filled for every attempt.

    Args:
        numbers: Counts the attempts of one act over all its models.
    """

    request: Request
    blank: Attempt
    numbers: Iterator[int]


class Attempts:
    """Sends requests through the gate, and knows when to send again.

    Policy: transient failures back off with jitter, or as long as the server says; a 429 is a
    lesson for the ledger, not a failure; a setting that is refused is left out, and remembered; a
    cut answer gets twice the room, once; an empty one is asked for again, once; a blocked one, and
    one to a prompt of which the server has read a part, never.

    Args:
        budget: Shares of the limits, after narrative, carousel and command line (limits.layered).
        drivers: Shared by all callers of a process; None to make its own.
        stop: Set when the run shall end; waits are left within a second.
        note: Called once with what the user should know (a model that was replaced ...).
    """

    def __init__(
        self,
        conn: Connection,
        *,
        models: Models,
        budget: Multipliers,
        identity: Identity,
        clock: Clock,
        chance: random.Random,
        drivers: Drivers | None = None,
        stop: Event | None = None,
        note: Callable[[str], None] = lambda _line: None,
        window: Window | None = None,
    ) -> None:
        self._conn = conn
        self._drivers = drivers or Drivers(models)
        self._clock = clock
        self._chance = chance
        self._note = note
        self._under_way: tuple[Attempt, Grant | None, float] | None = None
        self._gate = Gate(
            conn,
            models=models,
            multipliers=budget,
            identity=identity,
            clock=clock,
            stop=stop,
            window=window,
        )

    def ask_one(self, name: str, call: PreparedCall, *, has_fallback: bool) -> Answer:
        """Return the first whole answer of one model.

        Raises:
            See Caller.ask.
        """
        opened = self.open(name)
        self._refuse_too_long(opened, call.request)
        most = self._drivers.config.max_attempts
        tries = Tries(call.request, most=min(most, BEFORE_FALLBACK) if has_fallback else most)
        while True:
            known = self._refused(opened)
            tries.request = replace(tries.request, without=tries.request.without | known)
            try:
                answer, found = self._send(opened, replace(call, request=tries.request))
                self._remember(opened, tries.request.without - known)
                where = f"model {opened.name}"
                if tries.accept(answer, found, where=where, is_free=opened.is_free):
                    return answer
            except SettingRefused as error:
                tries.leave_out(error)
            except TransientError as error:
                self._gate.pause(tries.delay_after(error, chance=self._chance))
            except QuotaError as error:
                self._take_lesson(opened, error, tries=tries)
            except PermanentError as error:
                opened = self._successor(opened, error)

    def abandon(self, conn: Connection) -> None:
        """Record, over another connection, the call whose answer is not waited for any more.

        Its thread ends with the process. Does nothing if none is under way.
        """
        left, self._under_way = self._under_way, None
        if left is not None:
            row, grant, began = left
            error = reason_of(KeyboardInterrupt())
            row = replace(row, error=error, latency_ms=self._since(began))
            executions.insert(conn, row)
            if grant is not None:
                self._gate.settle(grant, tokens=None, conn=conn)

    def open(self, name: str) -> Opened:
        """Return the model that is asked for `name` today; say so if it is another one."""
        config = self._drivers.config
        current = catalogue.current_name(name, config, on=self._clock.now().date())
        if current != name:
            self._say(f"{name} is not served any more; {current} is asked in its place")
        return self._drivers.open(self._drivers.replaced.get(current, current))

    def _successor(self, opened: Opened, error: PermanentError) -> Opened:
        """Return the model that replaces one that the provider does not know, or raise again."""
        follows = catalogue.successor(opened.name) if error.retired else None
        if follows is None:
            raise error
        self._drivers.replaced[opened.name] = follows
        self._say(f"{opened.name} is not served to this account; {follows} is asked in its place")
        return self._drivers.open(follows)

    def _refuse_too_long(self, opened: Opened, request: Request) -> None:
        """Pay for no prompt that the model's window cannot hold.

        Raises:
            PermanentError: It cannot.
        """
        limits = self._drivers.config.limits.get(opened.name)
        size = probable_tokens(request)
        if limits and limits.context_window and size > limits.context_window:
            raise PermanentError(
                f"the prompt has about {size:,} tokens, and the context window"
                f" {limits.context_window:,}: it is not sent",
                where=f"model {opened.name}",
                hint=f"{WINDOW}; then raise context_window in [models.limits]",
            )

    def _refused(self, opened: Opened) -> frozenset[str]:
        """Return what the server takes no request with, as far as any process has found out."""
        known, place = self._drivers.refused, (opened.account, opened.server)
        if place not in known:
            found = ledger.accounts(self._conn, key=opened.account, window=Window())
            known[place] = frozenset(found[0].refused.get(opened.server, ()) if found else ())
        return known[place]

    def _remember(self, opened: Opened, settings: frozenset[str]) -> None:
        """Note what the server has answered without."""
        if settings:
            ledger.learn_refused(
                self._conn, opened.account, server=opened.server, settings=settings
            )
            self._drivers.refused[opened.account, opened.server] |= settings
            self._say(
                f"{opened.name} takes no {' and no '.join(sorted(settings))}: it is asked without"
                f" from now on (botticelli budget forget {opened.name} tries it again)"
            )

    def _send(self, opened: Opened, call: PreparedCall) -> tuple[Answer, Verdict]:
        """Make one attempt: slot, grant, request, row, settlement."""
        with self._slot(opened):
            grant = self._reserve(opened, call)
            row = replace(
                call.blank,
                attempt=next(call.numbers),
                provider=opened.provider,
                model=opened.name,
                grant_seq=None if grant is None else grant.seq,
            )
            request, began = replace(call.request, model=opened.name), self._clock.monotonic()
            span = spans.asking(request, provider=opened.provider, act=row.act_name)
            with self._recording(row, grant), span as open_span:
                lend(self._conn)
                reply = opened.driver.generate(request)
                spans.answered(open_span, reply)
            row = replace(row, latency_ms=self._since(began))
            return self._keep(opened, row, request=request, reply=reply, grant=grant)

    @contextmanager
    def _slot(self, opened: Opened) -> Iterator[None]:
        """Wait until the model takes one more call at once."""
        slot = self._drivers.slot(opened.name)
        if slot is None:
            yield
            return
        while not slot.acquire(blocking=False):
            self._gate.pause(0.05)
        try:
            yield
        finally:
            slot.release()

    @contextmanager
    def _recording(self, row: Attempt, grant: Grant | None) -> Iterator[None]:
        """Record a request that is broken off.

        It may have been counted, whatever broke it off: the reservation stands.
        """
        began = self._clock.monotonic()
        self._under_way = row, grant, began
        try:
            yield
        except BaseException as error:
            self._under_way = None
            row = replace(row, error=reason_of(error), latency_ms=self._since(began))
            executions.insert(self._conn, row)
            if grant is not None:
                self._gate.settle(grant, tokens=None, cost=_certain_cost(error))
            raise
        self._under_way = None

    def _reserve(self, opened: Opened, call: PreparedCall) -> Grant | None:
        if opened.is_free:
            return None
        opened.driver.prepare()
        estimate = opened.driver.estimate(call.request)
        expected = Usage(output=call.request.max_tokens or GUESSED_OUTPUT)
        if call.request.image is not None:
            expected = catalogue.image_usage(call.request.image, provider=opened.provider)
        self._refuse_unpriced(opened)
        counted = estimate if opened.provider == "gemini" else estimate + expected.output
        return self._gate.reserve(
            self._drivers.account(opened.name),
            provider=opened.provider,
            estimate=counted,
            cost=self._cost(
                opened.name,
                replace(expected, input=estimate),
                pictures=int(call.request.image is not None),
            ),
            run_id=call.blank.run_id,
        )

    def _keep(
        self, opened: Opened, row: Attempt, *, request: Request, reply: Reply, grant: Grant | None
    ) -> tuple[Answer, Verdict]:
        """Store the answer first, for it is paid; then settle.

        Tokens that the server does not count, or cannot have counted, are estimated.
        """
        picture, flaw = looked_at(reply.image) if reply.image else (None, "")
        text = storable(picture.facts if picture else reply.text)
        found = verdict(replace(reply, text=without_thoughts(text)), request, flaw=flaw)
        is_told = opened.is_free or request.image is not None
        usage = reply.usage if is_told else believed(request, text, reply.usage)
        booked = usage or (Usage() if opened.is_free else estimated(request, text))
        if picture and usage is None and request.image is not None and not opened.is_free:
            drawn = catalogue.image_usage(request.image, provider=opened.provider)
            booked = replace(drawn, input=booked.input)
        served = reply.model_version or opened.name
        cost = self._cost(served, booked, pictures=int(picture is not None))
        id_ = self._record_paid(
            replace(
                row,
                state="done" if found == "whole" else "unusable",
                error=None if found == "whole" else f"the answer is {flaw or found}",
                model_version=reply.model_version or None,
                provider_request_id=reply.request_id or None,
                finish_reason=reply.finish_detail or reply.finish.value,
                response=text,
                input_tokens=booked.input,
                cached_tokens=booked.cached,
                output_tokens=booked.output,
                thought_tokens=booked.thoughts,
                cost_usd=cost,
            ),
            picture,
        )
        if grant is not None:
            is_known = usage is not None or request.image is not None
            self._settle(opened, grant, served=served, usage=usage, cost=cost if is_known else None)
        answer = Answer(
            text=without_thoughts(text),
            execution_id=id_,
            model=served,
            finish=reply.finish,
            finish_detail=flaw or reply.finish_detail,
            usage=usage,
            cost_usd=cost,
        )
        return answer, found

    def _settle(
        self,
        opened: Opened,
        grant: Grant,
        *,
        served: str,
        usage: Usage | None,
        cost: Decimal | None,
    ) -> None:
        tokens = None if usage is None else counted_tokens(opened.provider, usage)
        self._gate.settle(grant, tokens=tokens, cost=cost)
        if opened.provider != "gemini":
            return  # a self-hosted server may call its model anything
        serving = opened.name if is_same_model(opened.name, served) else served
        if serving != opened.name:
            self._say(f"{opened.name} was asked, {serving} answered")
        account = self._drivers.account(opened.name)
        for other in sorted({opened.name, serving} - {account}):
            self._gate.charge(
                grant, model=other, provider=opened.provider, tokens=tokens or grant.tokens
            )
        self._drivers.served[opened.name] = serving

    def _take_lesson(self, opened: Opened, error: QuotaError, *, tries: Tries) -> None:
        """Put into the ledger what a 429 said; return if the same may be asked again.

        Raises:
            DaySpent, ConfigError, TransientError: It may not.
        """
        where = f"model {opened.name}"
        if error.scope == "none":
            raise ConfigError(
                "this account has no quota for the model",
                where=where,
                hint="choose another model, or enable billing for the key's project",
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
                hint="try again tomorrow, or give a fallback model",
            ) from error
        if opened.is_free:
            self._gate.pause(wait)  # no account holds us

    def _record_paid(self, attempt: Attempt, picture: Picture | None) -> int:
        try:
            return executions.insert(self._conn, attempt, picture)
        except DatabaseAway as error:
            where = f"{attempt.narrative} {attempt.iteration}, act '{attempt.act_name}'"
            raise DatabaseAway(
                f"an answer of {attempt.model} that is paid for could not be stored ({error.what})",
                where=where,
                hint=error.hint,
            ) from error

    def _cost(self, model: str, usage: Usage, *, pictures: int = 0) -> Decimal:
        return catalogue.cost(usage, self._price(model), pictures=pictures)

    def _price(self, model: str) -> Price | None:
        return catalogue.price(model, self._drivers.config, on=self._clock.now().date())

    def _refuse_unpriced(self, opened: Opened) -> None:
        """Find that nobody could keep to a bound in dollars.

        Raises:
            ConfigError: The model has one, and no known price.
        """
        limits = self._drivers.config.limits.get(opened.name)
        if limits and limits.dollars_a_day and self._price(opened.name) is None:
            raise ConfigError(
                "dollars_a_day cannot be kept: its price is not known",
                where=f"model {opened.name}",
                hint=f'add [models.prices."{opened.name}"]',
            )

    def _since(self, began: float) -> int:
        return round((self._clock.monotonic() - began) * 1000)

    def _say(self, note: str) -> None:
        if self._drivers.is_first(note):
            self._note(note)


def reason_of(error: BaseException) -> str:
    """Return what a row says of an attempt that gave no answer."""
    if isinstance(error, BotticelliError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "broken off by a signal"
    return f"unexpected: {error!r}"[:LONGEST_ERROR]


def looked_at(content: bytes) -> tuple[Picture, str]:
    """Return the picture that an answer holds, and what is wrong with it; empty: nothing.

    What is none is kept as well, for it was paid, but never taken for one.
    """
    unknown = Picture(content=content[:LARGEST], mime="application/octet-stream", width=0, height=0)
    try:
        unknown = read_picture(content, decode=False)
        refuse_blank(unknown)
    except BadPicture as error:
        return unknown, error.what
    return unknown, ""


def _certain_cost(error: BaseException) -> Decimal | None:
    """Return what a request that was refused has cost: nothing; None if nobody knows."""
    is_refused = isinstance(error, PermanentError | QuotaError | SettingRefused)
    return Decimal(0) if is_refused and not isinstance(error, UnusableAnswer) else None


def counted_tokens(provider: str, usage: Usage) -> int:
    """Return the tokens that count against a provider's limits: Gemini counts input only."""
    if provider == "gemini":
        return usage.input
    return usage.input + usage.output + usage.thoughts


def is_same_model(asked: str, served: str) -> bool:
    """Return whether `served` is `asked` or a dated or numbered version of it."""
    rest = served.removeprefix("models/").removeprefix(asked)
    return served.removeprefix("models/").startswith(asked) and (
        not rest or re.match(r"-(\d|preview|exp)", rest) is not None
    )
