"""A session with the database that outlives its connection, and waits for nothing without end.

psycopg's connection with four additions. A connection that died while it was idle (a restart, a
time limit, a failover) is replaced before the next statement, with patience. A statement is not
waited for longer than the server itself may take for it. Behind a pooler, whose connections are
others' in the next transaction, each transaction begins with our settings. And the sessions of
several threads may share a few connections, which they take in turn.
"""

import re
import select
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from functools import cache
from queue import SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import psycopg
from psycopg import errors, pq, sql

from botticelli.errors import Unavailable
from botticelli.store.adapters import HidingCursor

if TYPE_CHECKING:
    from psycopg._preparing import PrepareManager
    from psycopg.pq.abc import PGconn

PATIENCE: Final = 120.0  # seconds; how long a live process waits for a database that went away
PAUSES: Final = (0.1, 0.2, 0.5, 1.0)  # seconds before the next attempts; then the last one
LOCK_TIMEOUT: Final = 10.0  # seconds
STATEMENT_TIMEOUT: Final = 120.0  # seconds
ANSWER: Final = 30.0  # seconds beyond the server's own limit: a server that is frozen keeps none
LOOK: Final = 0.6  # share of the lock timeout after which we look who is in the way

# A server that is away, full or read-only (a primary that is one no more) may be back in a moment.
PASSING: Final = (psycopg.OperationalError, psycopg.InterfaceError, errors.ReadOnlySqlTransaction)
BLOCKED: Final = (errors.LockNotAvailable, errors.QueryCanceled)
# Nothing was changed: others were in the way, or hold all the locks that the server has.
UNDONE: Final = (errors.DeadlockDetected, errors.OutOfMemory)

# What changes nothing, so that it can be asked again: functions of ours that write are named.
READS: Final = re.compile(
    r"\s*SELECT\b(?!.*\b(?:FOR (?:NO KEY )?UPDATE|FOR SHARE)\b)"
    r"(?!.*\b(?:ledger_\w+|botticelli_impossible|set_config|nextval|pg_\w*lock\w*) *\()",
    re.DOTALL,
)
# Behind a pooler nobody knows which server process is ours: then whatever of ours waits.
BLOCKERS: Final = """
    SELECT DISTINCT b.pid, coalesce(nullif(b.application_name, ''), b.backend_type) AS application,
           b.usename, to_char(coalesce(b.xact_start, b.backend_start), 'HH24:MI:SS') AS since,
           left(regexp_replace(b.query, '\\s+', ' ', 'g'), 60) AS query
      FROM pg_stat_activity AS a
     CROSS JOIN LATERAL unnest(pg_blocking_pids(a.pid)) AS blocking (pid)
      JOIN pg_stat_activity AS b
        ON b.pid = blocking.pid
     WHERE a.pid = %(pid)s
        OR %(pooled)s AND a.wait_event_type = 'Lock' AND a.application_name = %(name)s
     ORDER BY b.pid
     LIMIT 3
"""


IS_ROOMY: Final = """
    SELECT 4 * count(datid) < current_setting('max_connections')::integer FROM pg_stat_activity
"""

# A connection, the statements that it has planned, whether a pooler is behind it, its settings.
Kept: TypeAlias = "tuple[PGconn, PrepareManager, bool, Mapping[str, str]]"


class DatabaseSession(psycopg.Connection[Any]):
    """A connection in autocommit mode, to be used by one thread.

    Attributes:
        settings: What each of our sessions sets, by name.
        is_pooled: Whether a pooler in between keeps no settings.
        reopen: Opens another connection like this one.
        heals: Whether one that was lost is replaced.
        is_at_home: Whether the URL says in which schema our tables are.
        patience: Seconds that a lost database is waited for.
        lock_timeout: Seconds to wait for somebody else's lock; the server's own limit is 10.
    """

    settings: Mapping[str, str]
    reopen: "Callable[[], psycopg.Connection[Any]]"
    is_pooled = False
    heals = False
    is_at_home = False
    patience = PATIENCE
    lock_timeout = LOCK_TIMEOUT
    statement_timeout: float | None = STATEMENT_TIMEOUT  # None: without end
    places: "SimpleQueue[Kept | None] | None" = None  # shared connections that are free now
    _has_place = False
    _depth = 0  # of `with transaction()`
    _is_over = False  # closed by its owner

    def change(self, **settings: str) -> None:
        """Make settings for the rest of this session, also over other connections."""
        self.settings = {**self.settings, **settings}
        if settings and (self._depth or not self.is_pooled):
            self.quietly(_set(settings, is_local=self.is_pooled))

    def quietly(self, statement: bytes) -> None:
        """Run a statement that is none of our user's business."""
        with self.lock:
            self.wait(self._exec_command(statement))

    def cursor(self, *args: Any, **options: Any) -> Any:
        """See psycopg; a lost connection is replaced before."""
        self.heal()
        return super().cursor(*args, **options)

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """See psycopg; a lone statement is made again if it reads and its connection was lost.

        So is one that changed nothing since it and another process were in each other's way.
        """
        is_read = self.heals and self.is_free and isinstance(query, str) and READS.match(query)
        until = time.monotonic() + self.patience
        while True:
            try:
                return super().execute(query, params, **options)
            except errors.FeatureNotSupported as error:
                if "cached plan" not in str(error) or not self.is_free:
                    raise
                self.quietly(b"DEALLOCATE ALL")  # another process has changed the table meanwhile
                self._prepared.clear()
            except PASSING as error:
                is_over = self._is_over or time.monotonic() > until
                # Another process may be changing the tables that we look at: it goes first.
                is_undone = self.is_free and isinstance(error, UNDONE)
                if is_over or not (is_undone or (is_read and self._is_lost())):
                    raise
                time.sleep(PAUSES[0] if isinstance(error, errors.OutOfMemory) else 0)

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """See psycopg; a lost connection is replaced before."""
        self.heal()
        self._depth += 1
        try:
            with super().transaction(savepoint_name, force_rollback) as transaction:
                if self.is_pooled and self._depth == 1:
                    self.change(**self.settings)
                yield transaction
        finally:
            self._depth -= 1

    def close(self) -> None:
        """See psycopg; a shared connection is the others' from now on."""
        self._is_over = True
        self.leave()
        super().close()

    def __exit__(self, *exc: Any) -> None:
        """See psycopg; what was broken off in the middle is not waited for."""
        if self.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
            self.close()
        super().__exit__(*exc)

    @property
    def is_free(self) -> bool:
        """Whether no transaction is under way, so that another connection would do as well."""
        return not self._depth

    @contextmanager
    def shared(self, most: int) -> Iterator[Callable[[], Self]]:
        """Share `most` connections, ours among them, with the sessions that what is yielded makes.

        A session takes one for its next statement, in the order in which they ask, and leaves it
        to the others when it is closed, or lent. Where others fill the server, ours is the only
        one: who waits for another would keep it from them.
        """
        most = most if self.execute(IS_ROOMY).fetchone() == (True,) else 1
        places: SimpleQueue[Kept | None] = SimpleQueue()
        self.places = places
        for _ in range(most - 1):
            places.put(None)
        self._has_place = True
        self.leave()
        try:
            yield self._twin
        finally:
            self.places = None
            while not places.empty():
                if (kept := places.get()) is not None and not self._has_place:
                    self._adopt(kept)
                elif kept is not None:
                    kept[0].finish()
            self._has_place = False

    @property
    def has_room(self) -> bool:
        """Whether a statement need not wait until another session leaves a connection."""
        return self.places is None or self._has_place or not self.places.empty()

    def _twin(self) -> Self:
        other = copy(self)
        prepared = type(self._prepared)()
        vars(other).update(lock=Lock(), pgconn=_nowhere(), _prepared=prepared, _has_place=False)
        return other

    def _adopt(self, kept: "Kept") -> None:
        self._has_place, self._num_transactions = True, 0
        self.pgconn, self._prepared, self.is_pooled, known = kept
        self.change(**{k: v for k, v in self.settings.items() if known.get(k) != v})

    def leave(self) -> None:
        """Let others have our shared connection; one that is not fit for it is given up."""
        if self.places is None or not self._has_place:
            return
        self._has_place, kept = False, None
        if self.pgconn.transaction_status == pq.TransactionStatus.IDLE:
            kept = (self.pgconn, self._prepared, self.is_pooled, self.settings)
        else:
            self.pgconn.finish()
        self.pgconn = _nowhere()
        self.places.put(kept)

    def heal(self) -> None:
        """Put another connection in place of one that was lost, unless a transaction went with it.

        Raises:
            Unavailable: The database has not come back while patience lasted.
        """
        if not self.heals or self._is_over or self._depth:
            return
        if self.places is not None and not self._has_place:
            if (kept := self.places.get()) is not None:
                self._adopt(kept)
            self._has_place = True
        if not self._is_lost():
            return
        self._take_over(opened(self.reopen, patience=self.patience))

    def _is_lost(self) -> bool:
        """Look whether the server has said goodbye; asks nobody."""
        if self.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            return bool(self.pgconn.status == pq.ConnStatus.BAD)
        heard = select.poll()
        heard.register(self.pgconn.socket, select.POLLIN)
        try:
            while heard.poll(0):
                self.pgconn.consume_input()
        except psycopg.OperationalError:
            return True
        return False

    def _take_over(self, fresh: "psycopg.Connection[Any]") -> None:
        """Become `fresh`: whoever holds this session need not know."""
        self.pgconn.finish()
        self.pgconn = fresh.pgconn
        known: Mapping[str, str] = {}
        if isinstance(fresh, DatabaseSession):
            self.is_pooled, known = fresh.is_pooled, fresh.settings
        self._prepared.clear()  # they went with the connection
        self.prepare_threshold = fresh.prepare_threshold
        del fresh.pgconn  # it is ours now: nobody shall close it
        self._num_transactions = 0  # psycopg does not count those down that went with a connection
        self.change(**{k: v for k, v in self.settings.items() if known.get(k) != v})

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
        """See psycopg; no answer is waited for without end, and who is in the way is noted."""
        seen: list[str] = []
        try:
            return super().wait(self._bounded(gen, seen), *args, **options)
        except BLOCKED as error:
            for note in seen:
                error.add_note(note)
            raise

    def _bounded(self, gen: Generator[Any, Any, Any], seen: list[str]) -> Generator[Any, Any, Any]:
        began, has_looked = time.monotonic(), False
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                waited = 0.0 if ready else time.monotonic() - began
                if waited > self.lock_timeout * LOOK and not has_looked:
                    has_looked = True
                    seen += self._blockers()
                if waited > self.lock_timeout and seen and self.lock_timeout < LOCK_TIMEOUT:
                    self.pgconn.finish()
                    raise errors.LockNotAvailable("canceling statement due to lock timeout")
                if self.statement_timeout is not None and waited > self.statement_timeout + ANSWER:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer from the server for {waited:.0f} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value

    def _blockers(self) -> list[str]:
        """Return who holds what our statement waits for; nobody if that cannot be learned."""
        name = self.info.parameter_status("application_name")
        values = {"pid": self.info.backend_pid, "pooled": self.is_pooled, "name": name}
        try:
            with self.reopen() as conn:
                rows = conn.execute(BLOCKERS, values).fetchall()
        except (psycopg.Error, Unavailable):
            return []
        return [
            f"process {pid} ({application}, user {user}, since {since} UTC: {query})"
            for pid, application, user, since, query in rows
        ]

    def _get_tx_start_command(self) -> bytes:
        begin = super()._get_tx_start_command()
        is_plain = self.is_pooled and begin == b"BEGIN"
        return b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE" if is_plain else begin


class PooledCursor(HidingCursor):
    """Runs even a lone statement in a transaction, which begins with our settings."""

    def execute(self, *args: Any, **options: Any) -> Self:
        """See psycopg."""
        conn = self.connection
        if not isinstance(conn, DatabaseSession) or not conn.is_free:
            return super().execute(*args, **options)
        with conn.transaction():
            return super().execute(*args, **options)


def lend(conn: psycopg.Connection[Any]) -> None:
    """Let other threads have a shared connection until our next statement: now we wait."""
    if isinstance(conn, DatabaseSession) and conn.is_free:
        conn.leave()


@cache
def _nowhere() -> "PGconn":
    """Return a connection that is closed."""
    closed = pq.PGconn.connect_start(b"host=/ port=1")
    closed.finish()
    return closed


def joined(conn: psycopg.Connection[Any]) -> AbstractContextManager[object]:
    """Return the transaction under way, without a savepoint of its own; else a new one."""
    under_way = (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)
    return nullcontext() if conn.info.transaction_status in under_way else conn.transaction()


def opened(
    connect: "Callable[[], psycopg.Connection[Any]]", *, patience: float = PATIENCE
) -> "psycopg.Connection[Any]":
    """Return what `connect` opens, tried again while the database is away.

    Raises:
        Unavailable: It has not come back.
    """
    until = time.monotonic() + patience
    for pause in pauses():
        try:
            return connect()
        except Unavailable:
            if time.monotonic() + pause > until:
                raise
        time.sleep(pause)
    raise AssertionError("pauses have no end")


def pauses() -> Iterator[float]:
    """Yield the seconds to wait before one attempt after the other; without end."""
    yield from PAUSES
    while True:
        yield PAUSES[-1]


def _set(settings: Mapping[str, str], *, is_local: bool) -> bytes:
    """Return the one statement that makes these settings; names and values are our own."""
    calls = (
        f"set_config({sql.quote(name)}, {sql.quote(value)}, {str(is_local).lower()})"
        for name, value in settings.items()
    )
    return f"SELECT {', '.join(calls)}".encode()
