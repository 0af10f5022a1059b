"""Messages that a narrative sent for rows and has not marked yet: a later run must not send again.

An unmarked send is a command of command_audit whose `reason` names the rows it is about. It is
closed by the same narrative's update_table about the same rows; a process that dies in between
leaves it open.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.records import record
from botticelli.store.commands.audit import AuditEntry
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


def find(conn: Connection, asked: Mapping[str, Any], *, about: str) -> UnmarkedSend | None:
    """Return what earlier runs have left open of a command about these rows; None if nothing.

    `asked` is the command's identity: platform, command, narrative, act and run_id.
    """
    values = {**asked, "about": about, "open_for": OPEN_FOR}
    return fetch_one(conn, UnmarkedSend, FIND, values)


# Runs of a narrative that stopped for a person, since its last one that did not.
FIND_BEFORE_A_WISH: Final = """
    WITH runs_before AS (
        SELECT a.run_id, max(a.id) AS last,
               bool_or(a.decision = 'pending') AND min(r.state) <> 'done' AS has_stopped
          FROM command_audit AS a
          JOIN runs AS r
            ON r.id = a.run_id
         WHERE a.narrative = %(narrative)s
           AND a.run_id <> %(run_id)s
           AND a.at > botticelli_now() - %(open_for)s
         GROUP BY a.run_id
    )
    SELECT e.id, e.at, e.args, e.result_id
      FROM command_audit AS e
      JOIN runs_before AS b
        ON b.run_id = e.run_id
     WHERE b.has_stopped
       AND b.last > coalesce((SELECT max(o.last) FROM runs_before AS o WHERE NOT o.has_stopped), 0)
       AND e.platform = %(platform)s
       AND e.command = %(command)s
       AND e.narrative = %(narrative)s
       AND e.act = %(act)s
       AND e.args = %(args)s
       AND e.outcome = 'done'
       AND e.result_id IS NOT NULL
     ORDER BY e.id
     LIMIT 1
"""


def find_before_a_wish(conn: Connection, entry: AuditEntry) -> UnmarkedSend | None:
    """Return what a run that then stopped for a person's confirmation has done already.

    Who confirms and runs the narrative again goes on with it; the same again is done once.
    """
    values = {**vars(entry), "args": Jsonb(dict(entry.args)), "open_for": OPEN_FOR}
    return fetch_one(conn, UnmarkedSend, FIND_BEFORE_A_WISH, values)


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
