"""What a database holds: nothing, what the offline model wrote, or posts of a real channel."""

from typing import Final

from botticelli.store.connection import Connection

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


HOLDS_ANYTHING: Final = """
    SELECT EXISTS (SELECT FROM runs)
        OR EXISTS (SELECT FROM potential_discord_posts)
        OR EXISTS (SELECT FROM approved_discord_posts)
        OR EXISTS (SELECT FROM act_executions)
"""


def holds_anything(conn: Connection) -> bool:
    """Return whether anybody has worked with this database. One query."""
    row = conn.execute(HOLDS_ANYTHING).fetchone()
    return bool(row and row[0])
