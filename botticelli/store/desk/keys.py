"""People of the desk, and the keys that open it: one-use links, sessions, feeds.

A key is 256 random bits, of which only the SHA-256 is stored: who reads the database cannot use it.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Literal

from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, fetch_one

Role = Literal["viewer", "editor", "approver", "admin"]
Kind = Literal["link", "session", "feed"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "editor", "approver", "admin")
LIVES: Final = {"link": timedelta(hours=1), "session": timedelta(days=30), "feed": None}
IDLE: Final = timedelta(hours=12)  # a session that nobody used for so long is over
TRIES: Final = 5  # wrong passwords, then one has to wait
WAIT: Final = timedelta(seconds=30)  # doubled with each further one, to an hour


@record
class DeskKey:
    """A key that is valid: whose it is, and what he may do now."""

    id: int
    kind: Kind
    person: str
    role: Role
    made_at: datetime
    used_at: datetime
    expires_at: datetime | None


@record
class DeskPerson:
    """Somebody who has a password, or whom a proxy names."""

    name: str
    role: Role
    has_password: bool
    blocked_until: datetime | None
    added_at: datetime


MAKE: Final = """
    INSERT INTO desk_keys (kind, hash, person, role, made_at, used_at, expires_at)
    VALUES (%(kind)s, %(hash)s, %(person)s, %(role)s, botticelli_now(), botticelli_now(),
            botticelli_now() + %(lives)s)
"""
# Whoever is in the list of people has the role that stands there, whatever it was when he came in.
VALID: Final = """
    SELECT k.id, k.kind, k.person, coalesce(p.role, k.role) AS role, k.made_at, k.used_at,
           k.expires_at
      FROM desk_keys AS k
      LEFT JOIN desk_people AS p
        ON p.name = k.person
     WHERE (k.expires_at IS NULL OR k.expires_at > botticelli_now())
       AND (k.kind <> 'session' OR k.used_at > botticelli_now() - %(idle)s)
"""
FIND: Final = f"{VALID} AND k.hash = %(hash)s AND k.kind = %(kind)s"
LIST: Final = f"{VALID} AND k.kind = ANY (%(kinds)s) ORDER BY k.id"
TOUCH: Final = """
    UPDATE desk_keys
       SET used_at = botticelli_now()
     WHERE id = %(id)s AND used_at < botticelli_now() - interval '1 minute'
"""
SPEND: Final = """
    DELETE FROM desk_keys
     WHERE hash = %(hash)s AND kind = 'link' AND expires_at > botticelli_now()
    RETURNING person, role
"""
REVOKE: Final = """
    DELETE FROM desk_keys
     WHERE id = %(id)s OR person = %(person)s OR hash = %(hash)s
        OR expires_at < botticelli_now()
        OR kind = 'session' AND used_at < botticelli_now() - %(idle)s
    RETURNING id
"""
PEOPLE: Final = """
    SELECT name, role, password IS NOT NULL AS has_password, blocked_until, added_at
      FROM desk_people
     WHERE %(name)s::text IS NULL OR name = %(name)s
     ORDER BY name
"""
SAVE: Final = """
    INSERT INTO desk_people (name, role, password)
    VALUES (%(name)s, %(role)s, %(password)s)
        ON CONFLICT (name) DO UPDATE
       SET role = excluded.role,
           password = coalesce(excluded.password, desk_people.password),
           failures = 0,
           blocked_until = NULL
"""
# Counted before the password is looked at: many at once cannot try more often than one can.
TRY: Final = """
    UPDATE desk_people
       SET failures = failures + 1,
           blocked_until = CASE WHEN failures + 1 >= %(tries)s
                                THEN botticelli_now()
                                     + least(%(wait)s * 2 ^ least(failures + 1 - %(tries)s, 10),
                                             interval '1 hour') END
     WHERE name = %(name)s
       AND (blocked_until IS NULL OR blocked_until <= botticelli_now())
    RETURNING password
"""
ADMIT: Final = "UPDATE desk_people SET failures = 0, blocked_until = NULL WHERE name = %(name)s"


def _hash(key: str) -> bytes:
    return sha256(key.encode()).digest()


def make_key(conn: Connection, kind: Kind, *, person: str, role: Role) -> str:
    """Store a new key; return it. A link is valid for an hour, a session for 30 days."""
    key = secrets.token_urlsafe(32)
    lives = LIVES[kind]
    values = {"kind": kind, "hash": _hash(key), "person": person, "role": role, "lives": lives}
    conn.execute(MAKE, values)
    return key


def spend_link(conn: Connection, key: str) -> tuple[str, Role] | None:
    """Use a one-use link up; return whose it is and his role, None if it is not valid."""
    row = conn.execute(SPEND, {"hash": _hash(key)}).fetchone()
    return (row[0], row[1]) if row else None


def find_key(conn: Connection, kind: Kind, key: str) -> DeskKey | None:
    """Return a valid key. Reads only."""
    return fetch_one(conn, DeskKey, FIND, {"hash": _hash(key), "kind": kind, "idle": IDLE})


def touch(conn: Connection, key: DeskKey) -> None:
    """Write down that a session is in use, at most once a minute."""
    conn.execute(TOUCH, {"id": key.id})


def list_keys(conn: Connection, kinds: Sequence[Kind]) -> list[DeskKey]:
    """Return the valid keys of these kinds. Reads only."""
    return fetch_all(conn, DeskKey, LIST, {"kinds": list(kinds), "idle": IDLE})


def revoke(conn: Connection, *, id_: int = 0, person: str = "", key: str = "") -> int:
    """Revoke a key by id or by itself, or all keys of a person; expired ones go as well."""
    values = {"id": id_, "person": person, "hash": _hash(key), "idle": IDLE}
    return conn.execute(REVOKE, values).rowcount


def list_people(conn: Connection, name: str | None = None) -> list[DeskPerson]:
    """Return who is in the list, or that one. Reads only."""
    return fetch_all(conn, DeskPerson, PEOPLE, {"name": name})


def save_person(conn: Connection, name: str, *, role: Role, password: str | None = None) -> None:
    """Add somebody, or change his role; `password`: as argon2id stores it, None: as it was."""
    conn.execute(SAVE, {"name": name, "role": role, "password": password})


def remove_person(conn: Connection, name: str) -> None:
    """Remove somebody with all his keys. One transaction.

    Raises:
        UsageError: Nobody is named so.
    """
    with conn.transaction():
        if not conn.execute("DELETE FROM desk_people WHERE name = %s", (name,)).rowcount:
            raise UsageError(
                f"there is nobody named '{name}'", hint="see botticelli desk user list"
            )
        revoke(conn, person=name)


def count_try(conn: Connection, name: str) -> str | None:
    """Count an attempt to log in; return the stored password.

    None: nobody has that name or password, or after 5 wrong ones he has to wait for 30 s, and twice
    as long after each further one.
    """
    row = conn.execute(TRY, {"name": name, "tries": TRIES, "wait": WAIT}).fetchone()
    return row[0] if row else None


def admit(conn: Connection, name: str) -> None:
    """Forget the wrong passwords: the right one was given."""
    conn.execute(ADMIT, {"name": name})
