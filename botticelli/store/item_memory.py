"""What an item has seen and done beside asking models: a resumed one goes on where it was."""

from collections.abc import Sequence
from typing import Final

from botticelli.store.connection import Connection

RECALL: Final = """
    SELECT value
      FROM item_memory
     WHERE item_id = %(item_id)s
       AND place = %(place)s
"""


def recall(conn: Connection, item_id: int, place: str) -> str | None:
    """Return the JSON that was kept for a place of the item; None if there is none."""
    row = conn.execute(RECALL, {"item_id": item_id, "place": place}).fetchone()
    return None if row is None else str(row[0])


KEEP: Final = """
    INSERT INTO item_memory (item_id, place, value)
         VALUES (%(item_id)s, %(place)s, %(value)s)
    ON CONFLICT (item_id, place) DO UPDATE SET value = EXCLUDED.value
"""


def keep(conn: Connection, item_id: int, place: str, value: str) -> None:
    """Keep JSON for a place of the item, in place of what was kept before. One transaction."""
    conn.execute(KEEP, {"item_id": item_id, "place": place, "value": value})


FORGET: Final = "DELETE FROM item_memory WHERE item_id = ANY (%(items)s::bigint[])"
MARK_UNCERTAIN: Final = """
    DELETE FROM row_leases
     WHERE lease_owner = ANY (SELECT 'item ' || id FROM unnest(%(items)s::bigint[]) AS id)
"""


def owner(item_id: int) -> str:
    """Return in whose name the rows are leased that an item consumes."""
    return f"item {item_id}"


def forget(conn: Connection, item_ids: Sequence[int]) -> None:
    """Drop what items that are over need no more, and let go of rows that they still held.

    Part of the caller's transaction.
    """
    conn.execute(FORGET, {"items": list(item_ids)})
    conn.execute(MARK_UNCERTAIN, {"items": list(item_ids)})
