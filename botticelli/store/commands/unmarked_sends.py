"""Messages that a narrative sent for rows and has not marked yet: a later run must not send again.

An unmarked send is a command of command_audit whose `reason` names the rows it is about. It is
closed by the same narrative's update_table about the same rows; a process that dies in between
leaves it open.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_one

BEFORE: Final = "sent before, for "  # begins the reason of an audit entry: nothing was sent again
OPEN_FOR: Final = timedelta(days=30)  # after that, pending rows are meant anew


@record
class UnmarkedSend:
    """The first try that has not certainly failed.

    Args:
        id: Of its row in command_audit.
        result_id: The message, if one try is known to have sent it.
    """

    id: int
    at: datetime
    args: Mapping[str, Any]
    result_id: str | None

    @property
    def key(self) -> str:
        """What nonces are made of: a restored database may repeat the id, but not the instant."""
        return hashlib.sha256(f"{self.id} {self.at.isoformat()}".encode()).hexdigest()[:20]


FIND: Final = """
    WITH tries AS (
        SELECT id, at, args, outcome, result_id
          FROM command_audit
         WHERE platform = %(platform)s
           AND command = %(command)s
           AND narrative = %(narrative)s
           AND act = %(act)s
           AND reason = %(about)s
           AND run_id IS DISTINCT FROM %(run_id)s
           AND decision IN ('allowed', 'confirmed', 'approved')
           AND outcome IS DISTINCT FROM 'failed'
           AND at > botticelli_now() - %(open_for)s
           AND id > (SELECT coalesce(max(id), 0)
                       FROM command_audit
                      WHERE platform = 'database'
                        AND command = 'update_table'
                        AND narrative = %(narrative)s
                        AND reason = %(about)s
                        AND outcome = 'done')
    )
    SELECT id, at, args,
           (SELECT done.result_id FROM tries AS done WHERE done.outcome = 'done'
             ORDER BY done.id LIMIT 1) AS result_id
      FROM tries
     ORDER BY id
     LIMIT 1
"""


def find(
    conn: Connection,
    *,
    platform: str,
    command: str,
    narrative: str,
    act: str,
    about: str,
    run_id: int | None,
) -> UnmarkedSend | None:
    """Return what earlier runs have left open of a command about these rows; None if nothing."""
    values = {
        "platform": platform,
        "command": command,
        "narrative": narrative,
        "act": act,
        "about": about,
        "run_id": run_id,
        "open_for": OPEN_FOR,
    }
    return fetch_one(conn, UnmarkedSend, FIND, values)


GET: Final = "SELECT id, at, args, result_id FROM command_audit WHERE id = %(id)s"


def get(conn: Connection, audit_id: int) -> UnmarkedSend:
    """Return the try with that entry in command_audit."""
    found = fetch_one(conn, UnmarkedSend, GET, {"id": audit_id})
    assert found is not None, "the entry was written before"
    return found


SENT: Final = """
    SELECT result_id
      FROM command_audit
     WHERE platform = %(platform)s
       AND outcome = 'done'
       AND result_id IS NOT NULL
       AND at >= %(since)s
     UNION ALL
    SELECT remote_id
      FROM deliveries
     WHERE remote_id IS NOT NULL
       AND posted_at >= %(since)s
"""


def sent_since(conn: Connection, platform: str, since: datetime) -> list[str]:
    """Return the ids of all messages that are accounted for since then: others may say the same."""
    rows = conn.execute(SENT, {"platform": platform, "since": since}).fetchall()
    return [str(row[0]) for row in rows]


ROWS_SENT: Final = """
    SELECT reason
      FROM command_audit
     WHERE narrative = %(narrative)s
       AND command IN ('messages.send', 'forum.create_post')
       AND (outcome = 'done' OR rule = 'done before')
       AND at > botticelli_now() - %(open_for)s
       AND strpos(reason, %(table)s || ' ') > 0
"""


def rows_sent(conn: Connection, table: str, *, narrative: str) -> frozenset[str]:
    """Return the keys of the rows of a table that a narrative has sent, as `about` names them."""
    values = {"narrative": narrative, "table": table, "open_for": OPEN_FOR}
    found: set[str] = set()
    for (reason,) in conn.execute(ROWS_SENT, values):
        for part in reason.removeprefix(BEFORE).split("; "):
            name, _, keys = part.partition(" ")
            found |= set(keys.split(", ")) if name == table else set()
    return frozenset(found)
