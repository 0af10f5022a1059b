"""What every call passes: reserve and wait for the booked moment, settle afterwards."""

import itertools
import threading
from datetime import timedelta
from decimal import Decimal

from botticelli.budget import limits
from botticelli.clock import Clock
from botticelli.config.model import Models, Multipliers
from botticelli.errors import ConfigError, TryLater
from botticelli.records import record
from botticelli.store import ledger
from botticelli.store.connection import Connection
from botticelli.store.leases import Identity
from botticelli.store.ledger import Account, Allowance, Booking, CallRequest, Lesson, Window
from botticelli.store.session import lend

PATIENCE = timedelta(minutes=15)  # a longer wait is another run's business
_SLICE = 0.5  # s; how soon a waiting caller sees that it shall stop
_tickets = itertools.count(1)


class Stopped(TryLater):
    """The run was asked to stop while a call waited for its turn."""


class DaySpent(TryLater):
    """The day's allowance for one model is used up."""


@record
class Grant:
    """The right to send one request now."""

    asked: CallRequest
    seq: int
    tokens: int


class Gate:
    """The door to all accounts, seen from one connection (so: from one thread)."""

    def __init__(
        self,
        conn: Connection,
        *,
        models: Models,
        multipliers: Multipliers,
        identity: Identity,
        clock: Clock,
        stop: threading.Event | None = None,
        window: Window | None = None,
    ) -> None:
        self._conn = conn
        self._models = models
        self._multipliers = multipliers
        self._identity = identity
        self._clock = clock
        self._stop = stop or threading.Event()
        self._window = window or Window()
        self._has_pruned = False

    def reserve(
        self,
        model: str,
        *,
        provider: str,
        estimate: int,
        cost: Decimal = Decimal(0),
        run_id: int | None = None,
    ) -> Grant:
        """Wait for the moment at which one request of `estimate` tokens may be sent.

        The request has to be sent at once: the moment is good for a second.

        Raises:
            DaySpent: Nothing is left of the provider's day.
            Stopped: The run was asked to stop meanwhile.
            TryLater: A 429 holds the model for longer than we are ready to wait.
            ConfigError: One such request is more than the allowance.
        """
        allowed = self.allowance(model, provider=provider)
        if allowed.dollars is not None and cost > allowed.dollars:
            raise ConfigError(
                f"one call may cost ${cost:.3f}, more than dollars_a_day lets it",
                where=f"model {model}",
                hint=f'raise it in [models.limits."{model}"]',
            )
        if not self._has_pruned:
            self._has_pruned = True
            ledger.prune(self._conn)
        asked = CallRequest(
            key=account_key(provider, model),
            waiter=f"{self._identity.owner}:{next(_tickets)}",
            owner=self._identity.owner,
            run_id=run_id,
            estimate=estimate,
            cost=cost,
        )
        try:
            while True:
                began = self._clock.monotonic()
                booking = ledger.reserve(self._conn, asked, allowance=allowed, window=self._window)
                if booking.seq is None:
                    self._wait_to_ask_again(booking, allowed, model=model)
                    continue
                grant = Grant(asked=asked, seq=booking.seq, tokens=booking.tokens)
                if self._is_reached(grant, booking.wait_seconds or 0.0, asked_at=began):
                    return grant
        except BaseException:
            ledger.leave(self._conn, asked)
            raise

    def settle(
        self,
        grant: Grant,
        *,
        tokens: int | None,
        cost: Decimal | None = None,
        conn: Connection | None = None,
    ) -> None:
        """Replace the reservation by what was used; with None (unknown) it stands.

        `conn`: another thread's, if it settles in our place.
        """
        ledger.settle(conn or self._conn, grant.asked, seq=grant.seq, tokens=tokens, cost=cost)

    def release(self, grant: Grant) -> None:
        """Give back a grant whose request was certainly never sent."""
        ledger.release(self._conn, grant.asked, seq=grant.seq)

    def charge(self, grant: Grant, *, model: str, provider: str, tokens: int) -> None:
        """Count a sent request on a second account: the model asked for, or the one that served."""
        ledger.charge(
            self._conn,
            grant.asked,
            key=account_key(provider, model),
            tokens=tokens,
            zone=self.allowance(model, provider=provider).zone,
        )

    def learn(self, model: str, *, provider: str, lesson: Lesson) -> None:
        """Hold all callers of a model as a 429 asked, or close its day."""
        limits = self.allowance(model, provider=provider).limits
        ledger.learn(self._conn, account_key(provider, model), lesson=lesson, limits=limits)

    def calls_left(self, model: str, *, provider: str) -> int | None:
        """Return how many calls the day still has for a model; None if there is no limit."""
        account, allowed = self._standing(model, provider=provider)
        return limits.calls_left_today(account, allowed)

    def seconds_for(self, model: str, *, provider: str, calls: int, tokens: int) -> float:
        """Return in how many seconds the last of `calls`, of `tokens` in all, may be sent."""
        account, allowed = self._standing(model, provider=provider)
        return limits.seconds_for(
            account,
            allowed,
            calls=calls,
            tokens=tokens,
            window=self._window,
            now=self._clock.now(),
        )

    def allowance(self, model: str, *, provider: str) -> Allowance:
        """Return what may be used of a model, before lessons."""
        return limits.allowance(
            model, self._models, provider=provider, multipliers=self._multipliers
        )

    def pause(self, seconds: float) -> None:
        """Wait, but not after the run was asked to stop.

        Raises:
            Stopped: It was.
        """
        end = self._clock.monotonic() + seconds
        if seconds > 0:
            lend(self._conn)
        while True:
            if self._stop.is_set():
                raise Stopped("the run was asked to stop")
            left = end - self._clock.monotonic()
            if left < 1e-6:  # no clock of ours is finer
                return
            self._clock.sleep(min(left, _SLICE))

    def _standing(self, model: str, *, provider: str) -> tuple[Account | None, Allowance]:
        """Return an account as it stands, and what may be used of it after lessons."""
        found = ledger.accounts(self._conn, key=account_key(provider, model), window=self._window)
        allowed = self.allowance(model, provider=provider)
        if not found:
            return None, allowed
        account = limits.without_old_lessons(found[0], allowed)
        return account, limits.with_lessons(allowed, account.learned)

    def _wait_to_ask_again(self, booking: Booking, allowed: Allowance, *, model: str) -> None:
        where = f"model {model}"
        if booking.why == "size":
            raise ConfigError.of([limits.too_large(model, allowed, tokens=booking.tokens)])
        wait = booking.wait_seconds or 0.0
        opens = f"try again after {self._clock.now() + timedelta(seconds=wait):%Y-%m-%d %H:%M} UTC"
        if booking.why == "dollars":
            what = f"the day's ${allowed.dollars:.2f} are spent, or the rest is too little"
            raise DaySpent(what, where=where, hint=opens)
        if booking.why == "day":
            raise DaySpent("the day's quota is spent", where=where, hint=opens)
        if wait > PATIENCE.total_seconds():
            raise TryLater("the provider asks to wait", where=where, hint=opens)
        # What is reserved ahead of us may be settled for less, so look again half way.
        self.pause(max(wait / 2, min(wait, 0.5)) if booking.why == "tokens" else wait)

    def _is_reached(self, grant: Grant, wait: float, *, asked_at: float) -> bool:
        """Wait for the booked start; a grant that we come to too late is given back.

        The database said "in `wait` seconds" at some moment between our question and its answer:
        we wait from the answer on, so as not to be early, and are late from the question on.
        """
        try:
            self.pause(wait)
        except BaseException:  # a signal, too: it was certainly not sent
            self.release(grant)
            raise
        late = self._clock.monotonic() - asked_at - wait
        if late <= self._window.guard.total_seconds():
            return True
        self.release(grant)
        return False


def account_key(provider: str, model: str) -> str:
    """Return the ledger's name for a provider's model."""
    return f"{provider}/{model}"
