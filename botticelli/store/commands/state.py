"""The narratives' state: ids that commands returned, by key; global, and for each narrative."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all

GLOBAL: Final = "global"


@record
class StateEntry:
    """One value; `scope` is "global" or a narrative's name."""

    scope: str
    key: str
    value: str
    updated_at: datetime


def scope_of(key: str, *, own: str) -> tuple[str, str]:
    """Return the scope and the key that `KEY`, `narrative:KEY` or `NAME/KEY` means."""
    if key.startswith("narrative:"):
        return own, key.removeprefix("narrative:")
    name, slash, rest = key.rpartition("/")
    return (name, rest) if slash else (GLOBAL, key)


READ: Final = "SELECT value FROM narrative_state WHERE scope = %(scope)s AND key = %(key)s"


def read(conn: Connection, key: str, *, scope: str = GLOBAL) -> str | None:
    """Return what is stored under `key`; None if nothing is."""
    row = conn.execute(READ, {"scope": scope, "key": key}).fetchone()
    return None if row is None else str(row[0])


WRITE: Final = """
    INSERT INTO narrative_state (scope, key, value)
         SELECT DISTINCT scope, key, value
           FROM unnest(%(scopes)s::text[]) AS within (scope),
                unnest(%(keys)s::text[], %(values)s::text[]) AS given (key, value)
    ON CONFLICT (scope, key) DO UPDATE
            SET value = EXCLUDED.value, updated_at = botticelli_now()
"""


def write(
    conn: Connection, values: Mapping[str, str], *, scopes: Sequence[str] = (GLOBAL,)
) -> None:
    """Store values under their keys in each of the scopes. One transaction."""
    if values:
        keys, stored = list(values), list(values.values())
        conn.execute(WRITE, {"scopes": list(scopes), "keys": keys, "values": stored})


LIST: Final = """
    SELECT scope, key, value, updated_at
      FROM narrative_state
     WHERE %(scope)s::text IS NULL OR scope = %(scope)s
     ORDER BY scope, key
"""


def list_entries(conn: Connection, *, scope: str | None = None) -> list[StateEntry]:
    """Return all values, or those of one scope."""
    return fetch_all(conn, StateEntry, LIST, {"scope": scope})


CLEAR: Final = """
    DELETE FROM narrative_state
     WHERE scope = %(scope)s
       AND (%(key)s::text IS NULL OR key = %(key)s)
"""


def clear(conn: Connection, *, scope: str = GLOBAL, key: str | None = None) -> int:
    """Forget one value, or a whole scope; return how many. One transaction."""
    return conn.execute(CLEAR, {"scope": scope, "key": key}).rowcount
