"""One approved post on its way to one destination: claimed, sent, settled exactly once.

    pending -> sending -> posted | pending (retry_at) | failed | held
    sending, lease run out: uncertain; reconciled before anything else goes to that destination

One destination is written to by one claim at a time, whichever host holds it. docs/delivery.md
draws all of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from psycopg import Cursor
from psycopg.types.json import Jsonb

from botticelli.records import record
from botticelli.store.adapters import shaped
from botticelli.store.connection import Connection, once, repeatable
from botticelli.store.delivery import posts
from botticelli.store.leases import LostLease
from botticelli.store.queue import HASTY

Settled = Literal["posted", "pending", "failed", "held", "uncertain"]


@record
class Delivery:
    """A claimed delivery. `fence` proves that the claim is still ours.

    Args:
        text: The approved post's text, byte for byte.
        model: Which model wrote it; empty if unknown.
        is_wanted: Whether the approved post still waits to be sent.
        is_approved: Whether the text is the one that was approved.
        text_sent: What the platform was asked to publish, if it was asked; in the post's own form.
        messages: The texts of its messages as the platform was asked for them; None: not kept.
        planned_at: When it was made.
        sent_at: When the request under way (of the next part) was first begun; None without one.
        age: Time since then.
        parts: Receipts of the messages that are out already: remote_id and url.
        place: Platform and channel that an uncertain one was sent to; empty if unknown.
        steps: What follows the message: `step`, `state` (open, done, refused), `tries`, `note`.
        remote_id, remote_url: Of the (first) message, once it is settled.
    """

    id: int
    fence: int
    post_id: int
    destination: str
    nonce: str
    text: str
    model: str
    is_wanted: bool
    is_approved: bool
    text_sent: str | None = None
    messages: Sequence[str] | None = None
    planned_at: datetime | None = None
    sent_at: datetime | None = None
    age: timedelta | None = None
    parts: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    place: str = ""
    steps: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    remote_id: str | None = None
    remote_url: str | None = None


@record
class Beginning:
    """What is written down before a request is made.

    Args:
        text: What is published, in the post's own form.
        messages: The texts of all its messages, in the platform's form.
        lease: How long what the request takes may last.
    """

    text: str
    messages: Sequence[str] = ()
    lease: timedelta


# Whoever holds this lock is the only one that claims for a channel; it ends with the claim.
ONE_AT_A_TIME: Final = """
    SELECT pg_advisory_xact_lock(hashtextextended('botticelli delivery ' || coalesce(
               nullif(botticelli_place(%(destination)s, %(place)s), ''), %(destination)s), 0))
"""
# The pace was judged by what was posted last: if that has changed since, there is nothing to claim.
# What does not depend on the delivery is asked once, not for each that waits.
NEXT_DUE: Final = f"""
    WITH t AS (
        SELECT botticelli_now() AS now,
               nullif(botticelli_place(%(destination)s, %(place)s), '') AS place
    )
    SELECT d.id, d.fence + 1 AS fence, d.post_id, d.destination, d.nonce,
           coalesce(p.text_content, '') AS text, coalesce(p.generation_model, '') AS model,
           true AS is_wanted, {posts.IS_AS_APPROVED} AS is_approved, d.parts,
           d.steps, d.created_at AS planned_at
      FROM t, deliveries AS d
      JOIN approved_discord_posts AS p
        ON p.id = d.post_id
     WHERE d.destination = %(destination)s
       AND d.state = 'pending'
       AND (d.retry_at IS NULL OR d.retry_at <= t.now)
       AND p.review_status IN ('pending', 'posting')
       AND {posts.IS_ITS_TIME}
       AND (d.scheduled_for IS NOT NULL) = %(is_pin)s
       AND NOT {posts.IS_BEING_ADAPTED}
       AND NOT EXISTS (SELECT
                         FROM deliveries AS s
                        WHERE s.destination = %(destination)s
                          AND s.state = 'sending')
       AND (SELECT count(*)
              FROM t AS h
              JOIN destination_channels AS c
                ON coalesce(c.channel, c.place) = h.place
              JOIN deliveries AS s
                ON s.destination = c.destination
               AND s.state = 'sending'
             WHERE s.place = h.place
               AND s.lease_expires_at > h.now) = 0
       AND (d.decided_by IS NOT NULL
            OR %(is_practice)s
            OR NOT EXISTS (SELECT
                             FROM deliveries AS o
                            WHERE o.post_id = p.id
                              AND o.id <> d.id
                              AND o.place = t.place
                              AND o.state IN ('posted', 'sending')))
       AND (SELECT max(l.posted_at)
              FROM deliveries AS l
             WHERE l.destination = %(destination)s
               AND l.posted_at <= botticelli_now() + interval '1 minute')
           IS NOT DISTINCT FROM %(last_posted)s
     ORDER BY d.scheduled_for, d.refused_at NULLS FIRST, p.selected_at, p.id
     LIMIT 1
       FOR UPDATE OF d, p SKIP LOCKED
"""  # noqa: S608 - all parts are constants
LEASE: Final = "lease_expires_at = botticelli_now() + %(lease)s"
REQUEST: Final = f"""text_sent = %(text)s,
           messages = %(messages)s,
           place = coalesce(nullif(botticelli_place(destination, %(place)s), ''), place),
           sent_at = coalesce(sent_at, botticelli_now()),
           attempts = attempts + 1,
           {LEASE}"""
# Of the row that is locked; with the request that is about to be made it is one version of it.
_TAKE: Final = """
    WITH post AS (
        UPDATE approved_discord_posts
           SET review_status = 'posting'
         WHERE id = %(post_id)s
    )
    UPDATE deliveries
       SET state = 'sending',
           fence = %(fence)s,
           lease_owner = %(owner)s,
           retry_at = NULL,
           {}
     WHERE id = %(id)s
    RETURNING sent_at
"""
TAKE, TAKE_BEGUN = _TAKE.format(LEASE), _TAKE.format(REQUEST)


@repeatable()
def claim_next_due(
    conn: Connection,
    destination: str,
    *,
    place: str = "",
    is_practice: bool = False,
    last_posted: datetime | None,
    owner: str,
    lease: timedelta,
    is_pin: bool = False,
    judge: Callable[[Delivery], Beginning | None] = lambda _: None,
) -> Delivery | None:
    """Lease the next delivery to `owner`, if `last_posted` still is what the destination got last.

    None if nothing waits, another delivery to it is under way, or somebody has posted meanwhile.
    One transaction, committed before it returns: what comes next talks to the network, and the
    nonce must not be lost with us. Two callers never get the same row, nor two of one destination.
    `is_pin`: one that is pinned to an instant that has come; else one that is not pinned. `judge`
    says within it, without any network, what is to be sent: that counts as begun; None: not now.
    """
    values = {
        "destination": destination,
        "place": place,
        "is_practice": is_practice,
        "last_posted": last_posted,
        "owner": owner,
        "lease": lease,
        "is_pin": is_pin,
    }
    with conn.transaction(), conn.cursor(row_factory=shaped(Delivery)) as cursor:
        conn.execute(ONE_AT_A_TIME, values)
        delivery = cursor.execute(NEXT_DUE, values).fetchone()
        if delivery is None:
            return None
        values |= {"id": delivery.id, "fence": delivery.fence, "post_id": delivery.post_id}
        if (beginning := judge(delivery)) is None:
            conn.execute(TAKE, values)
            return delivery
        row = conn.execute(TAKE_BEGUN, values | _values(beginning)).fetchone()
        return replace(delivery, sent_at=row[0] if row else None)


CLAIM_UNCERTAIN: Final = f"""
    WITH t AS (
        SELECT botticelli_now() AS now
    ), next AS MATERIALIZED (
        SELECT d.id
          FROM t, deliveries AS d
         WHERE d.destination = %(destination)s
           AND d.state = 'sending'
           AND d.lease_expires_at <= t.now
           AND (d.retry_at IS NULL OR d.retry_at <= t.now)
         ORDER BY d.id
         LIMIT 1
           FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE deliveries AS d
       SET fence = d.fence + 1,
           lease_owner = %(owner)s,
           lease_expires_at = t.now + %(lease)s,
           retry_at = NULL
      FROM t, next, approved_discord_posts AS p
     WHERE d.id = next.id
       AND p.id = d.post_id
    RETURNING d.id, d.fence, d.post_id, d.destination, d.nonce,
              coalesce(p.text_content, '') AS text, coalesce(p.generation_model, '') AS model,
              p.review_status IN ('pending', 'posting') AS is_wanted,
              {posts.IS_AS_APPROVED} AS is_approved,
              d.text_sent, d.messages, d.created_at AS planned_at, d.sent_at,
              t.now - d.sent_at AS age, d.parts,
              coalesce(d.place, '') AS place, d.steps
"""  # noqa: S608 - all parts are constants


@repeatable()
def claim_uncertain(
    conn: Connection, destination: str, *, owner: str, lease: timedelta
) -> Delivery | None:
    """Take over a delivery whose holder is gone; None if there is none. One transaction."""
    values = {"destination": destination, "owner": owner, "lease": lease}
    with conn.transaction(), conn.cursor(row_factory=shaped(Delivery)) as cursor:
        return cursor.execute(CLAIM_UNCERTAIN, values).fetchone()


BEGIN: Final = f"""
    UPDATE deliveries
       SET {REQUEST}
     WHERE id = %(id)s
       AND fence = %(fence)s
       AND state = 'sending'
    RETURNING sent_at
"""  # noqa: S608 - all parts are constants


@repeatable()
def begin(
    conn: Connection, delivery: Delivery, beginning: Beginning, *, place: str = ""
) -> datetime:
    """Write down that a request is about to be made; return when the first one was begun.

    One transaction, right before the request: from here on its outcome is unknown until settled.

    Raises:
        LostLease: The claim is no longer ours.
    """
    with conn.transaction():
        row = guarded(conn, BEGIN, delivery, **_values(beginning), place=place).fetchone()
        assert row is not None
        began: datetime = row[0]
        return began


def _values(beginning: Beginning) -> dict[str, Any]:
    return vars(beginning) | {"messages": Jsonb(list(beginning.messages))}


def guarded(conn: Connection, statement: str, delivery: Delivery, **values: Any) -> Cursor[Any]:
    """Execute a statement that changes the delivery only if the claim is still ours.

    Raises:
        LostLease: It is not; nothing was changed.
    """
    cursor = conn.execute(statement, {"id": delivery.id, "fence": delivery.fence, **values})
    if cursor.rowcount != 1:
        raise LostLease(
            "the lease ran out and somebody else took over; nothing was changed",
            where=f"delivery {delivery.id}",
        )
    return cursor


ADD_PART: Final = """
    UPDATE deliveries
       SET parts = CASE WHEN parts @> %(part)s::jsonb THEN parts ELSE parts || %(part)s::jsonb END,
           steps = %(steps)s,
           sent_at = NULL
     WHERE id = %(id)s
       AND fence = %(fence)s
       AND state = 'sending'
"""


@repeatable(pressing=True)
def add_part(
    conn: Connection,
    delivery: Delivery,
    *,
    remote_id: str,
    url: str,
    thread: str = "",
    steps: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Keep the receipt of one message of several, and what follows. One transaction.

    Raises:
        LostLease: The claim is no longer ours.
    """
    part = Jsonb([{"remote_id": remote_id, "url": url, "thread": thread}])
    with conn.transaction():
        guarded(conn, ADD_PART, delivery, part=part, steps=Jsonb(list(steps)))


FORGET_REQUEST: Final = """
    UPDATE deliveries
       SET sent_at = NULL
     WHERE id = %(id)s
       AND fence = %(fence)s
       AND state = 'sending'
"""


@repeatable(pressing=True)
def forget_request(conn: Connection, delivery: Delivery) -> None:
    """Write down that the request under way never arrived. One transaction.

    Raises:
        LostLease: The claim is no longer ours.
    """
    with conn.transaction():
        guarded(conn, FORGET_REQUEST, delivery)


KNOWN: Final = """
    SELECT d.remote_id
      FROM deliveries AS d
     WHERE d.destination = %(destination)s
       AND d.posted_at > %(since)s
     UNION
    SELECT part ->> 'remote_id'
      FROM deliveries AS d, jsonb_path_query(d.parts, '$[*]') AS part
     WHERE d.destination = %(destination)s
       AND (d.posted_at > %(since)s OR d.state = 'sending')
     UNION
    SELECT d.remote_url
      FROM deliveries AS d
     WHERE d.destination <> %(destination)s
       AND d.posted_at > %(since)s
     UNION
    SELECT part ->> 'url'
      FROM deliveries AS d, jsonb_path_query(d.parts, '$[*]') AS part
     WHERE d.destination <> %(destination)s
       AND (d.posted_at > %(since)s OR d.state = 'sending')
"""


@repeatable()
def known_ids(conn: Connection, destination: str, *, since: datetime) -> frozenset[str]:
    """Return the messages that belong to deliveries already, to tell equal texts apart.

    Those of the destination by their remote id, those of others, which may write into the same
    place, by their URL: ids alone need not be unique among places.
    """
    rows = conn.execute(KNOWN, {"destination": destination, "since": since}).fetchall()
    return frozenset(row[0] for row in rows if row[0])


LAST_REFUSAL: Final = """
    SELECT d.last_error
      FROM deliveries AS d
     WHERE d.destination = %(destination)s
       AND d.refused_at > coalesce((SELECT max(l.posted_at)
                                      FROM deliveries AS l
                                     WHERE l.destination = %(destination)s), '-infinity')
     ORDER BY d.refused_at DESC
     LIMIT 1
"""


@repeatable()
def last_refusal(conn: Connection, destination: str) -> str:
    """Return why the last post was refused, if nothing was published since; else empty.

    Reads only.
    """
    row = conn.execute(LAST_REFUSAL, {"destination": destination}).fetchone()
    return (row[0] or "") if row else ""


# Holds the post. The commit does not wait for the disk: the next claim's does, for both. Is it lost
# in a crash before, the delivery is looked for before anything else is sent, as after one of ours.
SETTLE: Final = f"""
    WITH post AS MATERIALIZED (
        SELECT id, {HASTY} AS hasty
          FROM approved_discord_posts
         WHERE id = %(post_id)s
           FOR UPDATE
    )
    UPDATE deliveries AS d
       SET state = %(state)s,
           lease_owner = NULL,
           lease_expires_at = NULL,
           retry_at = t.now + %(retry_after)s,
           last_error = %(note)s,
           remote_id = coalesce(%(remote_id)s, remote_id),
           remote_url = coalesce(%(remote_url)s, remote_url),
           posted_at = CASE WHEN %(state)s = 'posted'
                            THEN coalesce(%(posted_at)s::timestamptz, t.now) END,
           refused_at = CASE WHEN %(is_refused)s THEN t.now ELSE refused_at END,
           steps = coalesce(%(steps)s, steps),
           steps_at = CASE WHEN %(state)s = 'posted'
                            AND jsonb_path_exists(%(steps)s, '$[*] ? (@.state == "open")')
                           THEN t.now END,
           sent_at = CASE WHEN %(state)s <> 'pending' THEN sent_at END,
           text_sent = CASE WHEN %(state)s <> 'pending' THEN text_sent END,
           messages = CASE WHEN %(state)s NOT IN ('pending', 'posted') THEN messages END,
           history = history || jsonb_build_object(
               'at', t.now, 'event', %(state)s::text, 'note', %(note)s::text)
      FROM (SELECT botticelli_now() AS now) AS t, post
     WHERE d.id = %(id)s
       AND d.post_id = post.id
       AND d.fence = %(fence)s
       AND d.state = 'sending'
"""  # noqa: S608 - all parts are constants


MARK_UNCERTAIN: Final = """
    UPDATE deliveries AS d
       SET lease_expires_at = t.now,
           retry_at = t.now + %(retry_after)s,
           last_error = %(note)s,
           sent_at = CASE WHEN %(in_doubt)s THEN sent_at END,
           history = history || jsonb_build_object(
               'at', t.now, 'event', 'uncertain', 'note', %(note)s::text)
      FROM (SELECT botticelli_now() AS now) AS t
     WHERE d.id = %(id)s
       AND d.fence = %(fence)s
       AND d.state = 'sending'
"""


@record
class DeliveryResult:
    """What became of a claimed delivery.

    Args:
        state: "uncertain": it is left to be reconciled by the next run.
        note: Why, for a person; of a posted one: what went wrong afterwards.
        retry_after: Of a pending or uncertain one: how long nothing is sent to the destination.
        posted_at: When the platform published it; None if just now.
        steps: Of a posted one: what follows.
        is_refused: Whether the platform refuses it for good; a pending one goes behind the others.
        in_doubt: Of an uncertain one: whether the request under way may have arrived; if not, the
            messages so far of a split text are out and the next one is not.
    """

    state: Settled
    note: str = ""
    retry_after: timedelta | None = None
    remote_id: str | None = None
    remote_url: str | None = None
    posted_at: datetime | None = None
    steps: Sequence[Mapping[str, Any]] = ()
    is_refused: bool = False
    in_doubt: bool = True


def settle(conn: Connection, delivery: Delivery, ending: DeliveryResult) -> None:
    """Write down what became of a delivery, and let the post's state follow. One transaction.

    Raises:
        LostLease: The claim is no longer ours; nothing was changed.
    """
    steps = Jsonb(list(ending.steps)) if ending.state == "posted" else None
    values = {**vars(ending), "note": ending.note or None, "steps": steps}

    def write() -> None:
        if ending.state == "uncertain":
            guarded(conn, MARK_UNCERTAIN, delivery, **values)
            return
        guarded(conn, SETTLE, delivery, post_id=delivery.post_id, **values)
        posts.follow(conn, delivery.post_id)

    once(conn, write)
