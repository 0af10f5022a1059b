"""Which database a demo may use: never one with the posts of a real channel."""

import contextlib
from typing import Final

from psycopg import conninfo, errors, sql

from botticelli.store.connection import Connection, connect

NAME: Final = "botticelli_demo"

HOLDS_REAL_WORK: Final = """
    SELECT EXISTS (SELECT 1
                     FROM potential_discord_posts
                    WHERE generation_model IS DISTINCT FROM 'offline')
        OR EXISTS (SELECT 1
                     FROM approved_discord_posts
                    WHERE generation_model IS DISTINCT FROM 'offline')
        OR EXISTS (SELECT 1
                     FROM act_executions
                    WHERE provider IS DISTINCT FROM 'offline')
"""


def holds_real_work(conn: Connection) -> bool:
    """Return whether anything here is not from the offline model. One query."""
    row = conn.execute(HOLDS_REAL_WORK).fetchone()
    return bool(row and row[0])


HAS_STOPPED: Final = """
    SELECT EXISTS (SELECT 1
                     FROM actor_server_state
                    WHERE is_paused OR circuit_opened_at IS NOT NULL)
"""


def has_stopped(conn: Connection) -> bool:
    """Return whether a stage is paused here, or its breaker open. One query."""
    row = conn.execute(HAS_STOPPED).fetchone()
    return bool(row and row[0])


def practice_url(url: str) -> str:
    """Return the URL of the practice database on the same server, which is made if it is missing.

    Raises:
        Unavailable: The server cannot be reached.
    """
    # UniqueViolation: two processes made it at once
    made_already = contextlib.suppress(errors.DuplicateDatabase, errors.UniqueViolation)
    with connect(url) as conn, made_already:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
    return conninfo.make_conninfo(url, dbname=NAME)
