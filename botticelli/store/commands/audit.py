"""command_audit: every bot command that was asked for, and what became of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from psycopg.types.json import Jsonb

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all

Decision = Literal["allowed", "confirmed", "approved", "refused", "pending"]
# "unknown": it may have been carried out, in full or in part.
Outcome = Literal["done", "failed", "unknown"]


@record
class AuditEntry:
    """A command and the word on it.

    Args:
        args: Without secrets.
        narrative: Empty: asked for by hand.
        actor: Whose process it was, or who confirmed it.
        rule: What decided; `reason` says why, for a person.
    """

    platform: str
    command: str
    args: Mapping[str, Any]
    decision: Decision
    narrative: str = ""
    act: str = ""
    run_id: int | None = None
    actor: str = ""
    rule: str = ""
    reason: str = ""


@record
class Bound:
    """At most `most` runs of the command within `span`; of these narratives if any are named."""

    most: int
    span: timedelta
    narratives: tuple[str, ...] | None = None


@record
class AuditRecord:
    """An entry as it is read back; outcome "unknown" is also that of one whose process died."""

    id: int
    at: datetime
    platform: str
    command: str
    args: Mapping[str, Any]
    narrative: str
    act: str
    run_id: int | None
    actor: str
    decision: str
    rule: str
    reason: str
    outcome: str | None
    result_id: str | None
    error: str | None
    ended_at: datetime | None


LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext(%(platform)s || '.' || %(command)s))"
COUNT: Final = """
    SELECT count(*)
      FROM command_audit
     WHERE platform = %(platform)s
       AND command = %(command)s
       AND decision IN ('allowed', 'confirmed', 'approved')
       AND (%(narratives)s::text[] IS NULL OR narrative = ANY (%(narratives)s))
       AND at > botticelli_now() - %(span)s
"""
INSERT: Final = """
    INSERT INTO command_audit
           (at, platform, command, args, narrative, act, run_id, actor, decision, rule, reason)
    VALUES (botticelli_now(), %(platform)s, %(command)s, %(args)s,
            %(narrative)s, %(act)s, %(run_id)s, %(actor)s, %(decision)s, %(rule)s, %(reason)s)
    RETURNING id
"""


def insert(conn: Connection, entry: AuditEntry, *, bounds: Sequence[Bound] = ()) -> int | Bound:
    """Write an entry and return its id; or the bound that it would break, and write nothing.

    One transaction, under a lock of the command, so that two processes cannot both be the last
    one that is allowed.
    """
    key = {"platform": entry.platform, "command": entry.command}
    with conn.transaction():
        if bounds:
            conn.execute(LOCK, key)
        for bound in bounds:
            whose = None if bound.narratives is None else list(bound.narratives)
            about = {**key, "narratives": whose, "span": bound.span}
            count = conn.execute(COUNT, about).fetchone()
            if count is not None and count[0] >= bound.most:
                return bound
        values = {**vars(entry), "args": Jsonb(dict(entry.args))}
        row = conn.execute(INSERT, values).fetchone()
    assert row is not None
    return int(row[0])


END: Final = """
    UPDATE command_audit
       SET outcome = %(outcome)s, result_id = %(result_id)s, error = %(error)s,
           ended_at = botticelli_now()
     WHERE id = %(id)s
"""


def end(
    conn: Connection,
    audit_id: int,
    *,
    outcome: Outcome = "done",
    error: str | None = None,
    result_id: str | None = None,
) -> None:
    """Note how a command that was allowed ended. One transaction."""
    known = None if outcome == "unknown" else outcome
    values = {"id": audit_id, "outcome": known, "result_id": result_id, "error": error}
    conn.execute(END, values)


LIST: Final = """
    SELECT id, at, platform, command, args, narrative, act, run_id, actor, decision, rule, reason,
           CASE WHEN decision IN ('allowed', 'confirmed', 'approved')
                THEN coalesce(outcome, 'unknown')
                END AS outcome, result_id, error, ended_at
      FROM command_audit
     ORDER BY id DESC
     LIMIT %(limit)s
"""


def list_entries(conn: Connection, *, limit: int) -> list[AuditRecord]:
    """Return the latest entries, newest first."""
    return fetch_all(conn, AuditRecord, LIST, {"limit": limit})
