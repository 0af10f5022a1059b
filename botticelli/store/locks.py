"""Stage locks: leases with a fence; a crashed holder is taken over without repair by hand."""

from datetime import datetime, timedelta
from typing import Final

from psycopg.rows import class_row

from botticelli.records import record
from botticelli.store import leases
from botticelli.store.connection import Connection, fetch_all, fetch_one
from botticelli.store.leases import Identity, LeaseTable


@record
class Lock:
    """A lock that is ours until its lease runs out. `fence` proves it."""

    name: str
    holder: str
    fence: int


@record
class LockState:
    """A lock as it stands in the table: by whom, since when, until when without a heartbeat."""

    name: str
    holder: str
    host: str
    pid: int
    run_id: int | None
    acquired_at: datetime
    heartbeat_at: datetime
    expires_at: datetime
    expired: bool


# "Now" is read after the row is locked: who waited for a commit must see the time it is then.
ACQUIRE: Final = """
    INSERT INTO locks AS l
           (name, holder, host, pid, acquired_at, heartbeat_at, expires_at)
    SELECT %(name)s, %(owner)s, %(host)s, %(pid)s, t.now, t.now, t.now + %(lease)s
      FROM (SELECT botticelli_clock() AS now) AS t
        ON CONFLICT (name) DO UPDATE
       SET holder = excluded.holder,
           host = excluded.host,
           pid = excluded.pid,
           run_id = NULL,
           fence = l.fence + 1,
           acquired_at = excluded.acquired_at,
           heartbeat_at = excluded.heartbeat_at,
           expires_at = excluded.expires_at
     WHERE least(l.expires_at, l.heartbeat_at + interval '1 minute') <= botticelli_clock()
    RETURNING l.name, l.holder, l.fence
"""


# A clock that was ahead: its lock lasts no longer than any other, counted from now.
CUT: Final = """
    UPDATE locks
       SET expires_at = botticelli_now() + interval '1 minute',
           heartbeat_at = least(heartbeat_at, botticelli_now())
     WHERE name = %(name)s
       AND expires_at > botticelli_now() + interval '1 minute'
"""


def acquire(
    conn: Connection, name: str, *, identity: Identity, lease: timedelta
) -> Lock | LockState:
    """Take the lock, or return who holds it. One statement; two callers never both get it."""
    with conn.cursor(row_factory=class_row(Lock)) as cursor:
        values = {**vars(identity), "name": name, "lease": lease}
        lock = cursor.execute(ACQUIRE, values).fetchone()
    if lock is not None:
        return lock
    held = find(conn, name)
    if held is not None and not held.expired:
        conn.execute(CUT, {"name": name})
        return held
    # Freed between the two statements: it is there for the next who asks.
    return acquire(conn, name, identity=identity, lease=lease)


LOCKS: Final = LeaseTable(
    name="locks",
    key={"name": "text"},
    owner="holder",
    expires="expires_at",
    renewed="heartbeat_at",
)


def renew(conn: Connection, lock: Lock, *, lease: timedelta) -> bool:
    """Extend the lease from now; False if somebody else holds the lock. One transaction."""
    held = [(lock.name, lock.fence)]
    return bool(leases.renew(conn, LOCKS, held, owner=lock.holder, lease=lease))


# The grown fence is what tells the holder, at its next heartbeat, that it has lost the lock.
BREAK: Final = """
    UPDATE locks
       SET fence = fence + 1,
           expires_at = least(expires_at, botticelli_now())
     WHERE name = %(name)s
       AND expires_at > botticelli_now()
"""


def break_lock(conn: Connection, name: str) -> LockState | None:
    """Free a lock whoever holds it; return who held it, None if nobody did. One transaction."""
    with conn.transaction():
        held = find(conn, name)
        broken = conn.execute(BREAK, {"name": name}).rowcount
    return held if broken else None


LIST: Final = """
    SELECT name, holder, host, pid, run_id, acquired_at, heartbeat_at, expires_at,
           least(expires_at, heartbeat_at + interval '1 minute') <= botticelli_now() AS expired
      FROM locks
     WHERE name = coalesce(%(name)s, name)
     ORDER BY name
"""


def find(conn: Connection, name: str) -> LockState | None:
    """Return the lock of that name, also a free one; None if it was never taken."""
    return fetch_one(conn, LockState, LIST, {"name": name})


def list_locks(conn: Connection) -> tuple[LockState, ...]:
    """Return every lock that was ever taken, by name; `expired` ones are free."""
    return tuple(fetch_all(conn, LockState, LIST, {"name": None}))
