"""command_approvals: commands that wait for a person, and what that person said."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from psycopg.types.json import Jsonb

from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, fetch_one

LIFETIME: Final = timedelta(hours=24)  # then the world may be another, and a person asked anew


@record
class CommandRequest:
    """A command that a person must confirm, with the very arguments it would run with."""

    platform: str
    command: str
    args: Mapping[str, Any]
    narrative: str = ""
    act: str = ""
    run_id: int | None = None

    @property
    def digest(self) -> str:
        """What makes two requests the same: another text or another channel is another request."""
        facts = [self.narrative, self.platform, self.command, dict(self.args)]
        text = json.dumps(facts, sort_keys=True, ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


@record
class Approval:
    """A request as a person sees it; state "expired" is one that waited too long."""

    id: int
    platform: str
    command: str
    args: Mapping[str, Any]
    narrative: str
    act: str
    run_id: int | None
    state: str
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


COLUMNS: Final = """
    SELECT id, platform, command, args, narrative, act, run_id,
           CASE WHEN state IN ('pending', 'approved')
                 AND expires_at <= botticelli_now() THEN 'expired'
                ELSE state END AS state,
           requested_at, expires_at, decided_at, decided_by, reason
      FROM command_approvals
     WHERE (%(id)s::bigint IS NULL OR id = %(id)s)
       AND (%(all)s OR (state IN ('pending', 'approved')
                        AND expires_at > botticelli_now()))
     ORDER BY id DESC
     LIMIT %(limit)s
"""


def list_approvals(conn: Connection, *, everything: bool, limit: int) -> list[Approval]:
    """Return requests, newest first: those that wait or may run, or `everything`."""
    values = {"id": None, "all": everything, "limit": limit}
    return fetch_all(conn, Approval, COLUMNS, values)


def find(conn: Connection, approval: int) -> Approval:
    """Return one request.

    Raises:
        UsageError: There is none.
    """
    values = {"id": approval, "all": True, "limit": 1}
    found = fetch_one(conn, Approval, COLUMNS, values)
    if found is None:
        raise UsageError(f"there is no approval {approval}", hint="see botticelli approvals")
    return found


@record
class Prompt:
    """What a model was asked, and what it said."""

    act: str
    model: str
    prompt: str
    response: str


PROMPTS: Final = """
    SELECT act_name AS act, coalesce(nullif(model_version, ''), model, '') AS model,
           coalesce(prompt, '') AS prompt, coalesce(response, '') AS response
      FROM act_executions
     WHERE run_id = %(run_id)s
       AND narrative = %(narrative)s
       AND state = 'done'
       AND created_at <= %(requested_at)s
     ORDER BY id DESC
     LIMIT %(limit)s
"""


def prompts_before(conn: Connection, approval: Approval, *, limit: int = 20) -> list[Prompt]:
    """Return what the narrative asked its models in the run that made a request, in order."""
    return fetch_all(conn, Prompt, PROMPTS, {**vars(approval), "limit": limit})[::-1]


FORGET: Final = """
    DELETE FROM command_approvals
     WHERE digest = %(digest)s
       AND state IN ('pending', 'approved')
       AND expires_at <= botticelli_now()
"""
REQUEST: Final = """
    INSERT INTO command_approvals
           (digest, platform, command, args, narrative, act, run_id, requested_at, expires_at)
    VALUES (%(digest)s, %(platform)s, %(command)s, %(args)s, %(narrative)s, %(act)s, %(run_id)s,
            botticelli_now(),
            botticelli_now() + %(lifetime)s)
    ON CONFLICT (digest) WHERE state IN ('pending', 'approved') DO UPDATE SET act = EXCLUDED.act
    RETURNING id
"""


def request(conn: Connection, wanted: CommandRequest) -> int:
    """Put a request before a person, once however often it is asked for. One transaction."""
    values = {
        **vars(wanted),
        "args": Jsonb(dict(wanted.args)),
        "digest": wanted.digest,
        "lifetime": LIFETIME,
    }
    with conn.transaction():
        conn.execute(FORGET, values)
        row = conn.execute(REQUEST, values).fetchone()
    assert row is not None
    return int(row[0])


USE: Final = """
    UPDATE command_approvals
       SET state = 'used'
     WHERE digest = %(digest)s
       AND state = 'approved'
       AND expires_at > botticelli_now()
    RETURNING id, decided_by
"""


def use(conn: Connection, wanted: CommandRequest) -> tuple[int, str] | None:
    """Take the approval of a request, which counts once; return its id and who gave it.

    One transaction, committed before the command runs: a crash meanwhile costs an approval, never
    a second run.
    """
    row = conn.execute(USE, {"digest": wanted.digest}).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))


DENIAL: Final = """
    SELECT id
      FROM command_approvals
     WHERE digest = %(digest)s
     ORDER BY id DESC
     LIMIT 1
"""


def find_denial(conn: Connection, wanted: CommandRequest) -> Approval | None:
    """Return the denial of a request, which holds until a person says otherwise, if there is one.

    The last word on it counts.
    """
    row = conn.execute(DENIAL, {"digest": wanted.digest}).fetchone()
    last = None if row is None else find(conn, int(row[0]))
    return last if last is not None and last.state == "denied" else None


GIVE_BACK: Final = """
    UPDATE command_approvals AS a
       SET state = 'approved'
     WHERE id = %(id)s
       AND state = 'used'
       AND NOT EXISTS (SELECT
                         FROM command_approvals AS newer
                        WHERE newer.digest = a.digest
                          AND newer.state IN ('pending', 'approved'))
"""


def give_back(conn: Connection, approval: int) -> None:
    """Let an approval count again: what it was used for was certainly not done. One transaction.

    Where the same request has been put before a person again meanwhile, that one counts.
    """
    conn.execute(GIVE_BACK, {"id": approval})


DECIDE: Final = """
    UPDATE command_approvals AS a
       SET state = %(state)s, decided_by = %(by)s, reason = %(reason)s,
           decided_at = botticelli_now(),
           expires_at = botticelli_now() + %(lifetime)s
     WHERE id = %(id)s
       AND state <> %(state)s
       AND (state = 'denied' OR (state IN ('pending', 'approved')
                                 AND expires_at > botticelli_now()))
       AND NOT EXISTS (SELECT
                         FROM command_approvals AS newer
                        WHERE newer.digest = a.digest
                          AND newer.id > a.id)
    RETURNING id
"""


def decide(
    conn: Connection,
    approval: int,
    state: Literal["approved", "denied"],
    *,
    by: str,
    reason: str = "",
) -> Approval:
    """Record what a person decides, and return the request as it is then. One transaction.

    Raises:
        UsageError: There is none, or it does not wait any more.
    """
    values = {"id": approval, "state": state, "by": by, "reason": reason or None}
    row = conn.execute(DECIDE, {**values, "lifetime": LIFETIME}).fetchone()
    found = find(conn, approval)
    if row is None:
        raise UsageError(f"approval {approval} is {found.state} and cannot be {state} any more")
    return found
