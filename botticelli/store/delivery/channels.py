"""Which channel each destination writes to, whatever its name is.

A destination is its platform and channel (`PostFilter.place`), written down when it is planned for
the first time. Another name for the same channel is a new name; another channel under a name is
none of its deliveries' business until a person has confirmed it.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.errors import ConfigError
from botticelli.store.connection import Connection
from botticelli.store.delivery import posts
from botticelli.store.delivery.posts import PostFilter

# Where nobody reads, practice is: what was tried there may go to a channel, and back.
NOTE: Final = """
    WITH wanted AS (
        SELECT w.name, w.place, w.is_practice, c.place AS before, c.is_practice AS was_practice
          FROM jsonb_to_recordset(%(wanted)s) AS w (name text, place text, is_practice boolean)
          LEFT JOIN destination_channels AS c
            ON c.destination = w.name
         WHERE w.place <> ''
    ), noted AS (
        INSERT INTO destination_channels (destination, place, is_practice)
        SELECT name, place, is_practice
          FROM wanted
         WHERE before IS NULL OR before <> place AND was_practice
            ON CONFLICT (destination) DO UPDATE
           SET place = excluded.place,
               is_practice = excluded.is_practice,
               since = botticelli_now()
    )
    SELECT w.name, w.place, w.before IS NULL AS is_new, o.destination AS former
      FROM wanted AS w
      LEFT JOIN destination_channels AS o
        ON o.place = w.place
       AND o.destination <> ALL (%(names)s)
     WHERE w.before IS NULL
        OR w.before = w.place AND o.destination IS NOT NULL
"""
# Deliveries of versions that did not know the channel.
COMPLETE: Final = """
    UPDATE deliveries
       SET place = %(place)s
     WHERE destination = %(name)s
       AND place IS NULL
       AND (state IN ('pending', 'sending') OR posted_at > botticelli_now() - interval '90 days')
"""
# Rows and name move together; what is being sent right now is waited for.
RENAME: Final = """
    WITH idle AS (
        SELECT
         WHERE NOT EXISTS (SELECT
                             FROM deliveries
                            WHERE destination = %(former)s
                              AND state = 'sending'
                              AND lease_expires_at > botticelli_now())
    ), renamed AS (
        UPDATE deliveries AS d
           SET destination = %(name)s
          FROM idle
         WHERE d.destination = %(former)s
           AND NOT EXISTS (SELECT
                             FROM deliveries AS o
                            WHERE o.post_id = d.post_id
                              AND o.destination = %(name)s)
    )
    DELETE FROM destination_channels
     USING idle
     WHERE destination = %(former)s
"""
CHANNEL: Final = """
    SELECT place
      FROM destination_channels
     WHERE destination = %(name)s
       AND place <> %(place)s
       AND %(place)s <> ''
       AND NOT is_practice
       AND NOT %(is_practice)s
"""
LEARN: Final = """
    WITH learned AS (
        UPDATE destination_channels
           SET channel = %(channel)s
         WHERE destination = %(name)s
           AND place = %(place)s
           AND channel IS DISTINCT FROM %(channel)s
        RETURNING destination
    )
    UPDATE deliveries AS d
       SET place = %(channel)s
      FROM learned AS l
     WHERE d.destination = l.destination
       AND d.place = %(place)s
"""
PLACE: Final = """
    SELECT botticelli_place(%(name)s, %(place)s),
           EXISTS (SELECT
                     FROM destination_channels
                    WHERE destination <> %(name)s)
"""
# Destinations of one channel get a text once, also where that was not known when it was planned.
IN_PLACE: Final = """
    WITH shared AS (
        SELECT coalesce(channel, place) AS place, array_agg(destination) AS names
          FROM destination_channels
         WHERE NOT is_practice
         GROUP BY 1
        HAVING count(*) > 1
    ), waiting AS MATERIALIZED (
        SELECT d.id, d.post_id, shared.place
          FROM shared
          JOIN deliveries AS d ON d.destination = ANY (shared.names)
         WHERE d.state = 'pending'
           AND d.decided_by IS NULL
    )
    UPDATE deliveries AS d
       SET state = 'dropped',
           last_error = why,
           history = d.history || jsonb_build_object(
               'at', botticelli_now(), 'event', 'dropped', 'note', why)
      FROM waiting AS w
     CROSS JOIN LATERAL (SELECT o.id
                           FROM deliveries AS o
                          WHERE o.post_id = w.post_id
                            AND o.id <> w.id
                            AND o.place = w.place
                            AND o.state = 'posted'
                          LIMIT 1) AS o
     CROSS JOIN LATERAL format('delivery %s has it in that channel already', o.id) AS why
     WHERE d.id = w.id
       AND d.state = 'pending'
    RETURNING d.post_id
"""
CONFIRM: Final = """
    WITH confirmed AS (
        INSERT INTO destination_channels (destination, place, is_practice)
        VALUES (%(name)s, %(place)s, %(is_practice)s)
            ON CONFLICT (destination) DO UPDATE
           SET place = excluded.place,
               is_practice = excluded.is_practice,
               channel = NULL,
               since = botticelli_now()
    )
    UPDATE deliveries
       SET place = %(place)s
     WHERE destination = %(name)s
       AND state = 'pending'
"""


def note(conn: Connection, wanted: Sequence[PostFilter]) -> None:
    """Write down the channels of destinations that are new, and let renamed ones keep their rows.

    Part of the transaction that plans deliveries.
    """
    values: dict[str, Any] = {
        "wanted": Jsonb([asdict(one) for one in wanted]),
        "names": [one.name for one in wanted],
    }
    for name, place, is_new, old in conn.execute(NOTE, values).fetchall():
        if is_new:
            conn.execute(COMPLETE, {"name": name, "place": place})
        if old:
            conn.execute(RENAME, {"name": name, "former": old})


def learn(conn: Connection, destination: PostFilter, ask: Callable[[], str]) -> None:
    """Write down which channel a webhook writes to, asked for where another may write there, too.

    Then the text that a bot has put there is known to be there, and the other way round. Commits.
    """
    place, has_others = _place(conn, destination)
    if has_others and place == destination.place and (channel := ask()):
        values = {"name": destination.name, "place": place, "channel": channel}
        with conn.transaction():
            conn.execute(LEARN, values)


def drop_shared(conn: Connection) -> bool:
    """Drop what another destination has put into the same channel already; return whether any was.

    One transaction.
    """
    with conn.transaction():
        dropped = conn.execute(IN_PLACE).fetchall()
        for (post_id,) in dropped:
            with posts.following(conn, post_id):
                pass
    return bool(dropped)


def place_now(conn: Connection, destination: PostFilter) -> str:
    """Return the place that a destination writes to, as far as it is known. Reads only."""
    return _place(conn, destination)[0]


def _place(conn: Connection, destination: PostFilter) -> tuple[str, bool]:
    """Return the place, and whether there ever was another destination."""
    row = conn.execute(PLACE, vars(destination)).fetchone()
    assert row is not None
    return str(row[0]), bool(row[1])


def former_channel(conn: Connection, destination: PostFilter) -> str:
    """Return the channel that a destination wrote to, if it is another one now; else empty."""
    row = conn.execute(CHANNEL, vars(destination)).fetchone()
    return str(row[0]) if row else ""


def require_same(conn: Connection, destination: PostFilter) -> None:
    """Check that a destination still writes to its channel.

    Raises:
        ConfigError: It would write to another one, and nobody has confirmed that.
    """
    if before := former_channel(conn, destination):
        raise ConfigError(
            f"it posted to {before} so far, and would post to {destination.place} now",
            where=f"destinations.{destination.name}",
            hint=f"if that is meant: botticelli deliveries confirm {destination.name}",
        )


def confirm(conn: Connection, destination: PostFilter) -> None:
    """Let a destination write to its present channel; what waits for it goes there. Commits."""
    with conn.transaction():
        conn.execute(CONFIRM, vars(destination))
