"""The narratives' state: ids that commands returned, by key."""

from collections.abc import Mapping
from typing import Final

from botticelli.store.connection import Connection

READ: Final = "SELECT value FROM narrative_state WHERE scope = %(scope)s AND key = %(key)s"


def read(conn: Connection, key: str, *, scope: str = "global") -> str | None:
    """Return what is stored under `key`; None if nothing is."""
    row = conn.execute(READ, {"scope": scope, "key": key}).fetchone()
    return None if row is None else str(row[0])


WRITE: Final = """
    INSERT INTO narrative_state (scope, key, value)
         SELECT %(scope)s, key, value
           FROM unnest(%(keys)s::text[], %(values)s::text[]) AS given (key, value)
    ON CONFLICT (scope, key) DO UPDATE
            SET value = EXCLUDED.value, updated_at = now()
"""


def write(conn: Connection, values: Mapping[str, str], *, scope: str = "global") -> None:
    """Store values under their keys. One transaction."""
    if values:
        conn.execute(WRITE, {"scope": scope, "keys": list(values), "values": list(values.values())})
