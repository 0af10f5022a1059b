"""What follows a published message, kept with its delivery: claimed when it is due, settled."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.store.adapters import shaped
from botticelli.store.connection import Connection, once, repeatable
from botticelli.store.delivery.deliveries import Delivery, guarded

# Nobody else takes them up before the lease is over; a killed holder needs no more cleaning up.
CLAIM_STEPS: Final = """
    UPDATE deliveries AS d
       SET fence = d.fence + 1,
           steps_at = botticelli_now() + %(lease)s
      FROM approved_discord_posts AS p
     WHERE p.id = d.post_id
       AND d.id = (SELECT n.id
                     FROM deliveries AS n
                    WHERE n.destination = %(destination)s
                      AND n.steps_at <= botticelli_now()
                      AND n.state = 'posted'
                    ORDER BY n.steps_at, n.id
                    LIMIT 1
                      FOR UPDATE SKIP LOCKED)
    RETURNING d.id, d.fence, d.post_id, d.destination, d.nonce,
              coalesce(d.text_sent, p.text_content, '') AS text,
              coalesce(p.generation_model, '') AS model, true AS is_wanted, true AS is_approved,
              d.parts, d.steps, d.remote_id, d.remote_url
"""


@repeatable()
def claim_steps(conn: Connection, destination: str, *, lease: timedelta) -> Delivery | None:
    """Take a published delivery whose further steps are due; None if there is none. Commits."""
    values = {"destination": destination, "lease": lease}
    with conn.transaction(), conn.cursor(row_factory=shaped(Delivery)) as cursor:
        return cursor.execute(CLAIM_STEPS, values).fetchone()


SETTLE_STEPS: Final = """
    UPDATE deliveries AS d
       SET steps = %(steps)s,
           steps_at = t.now + %(retry_after)s,
           remote_url = coalesce(%(remote_url)s, d.remote_url),
           history = d.history
                     || coalesce(%(event)s::jsonb || jsonb_build_object('at', t.now), '[]')
      FROM (SELECT botticelli_now() AS now) AS t
     WHERE d.id = %(id)s
       AND d.fence = %(fence)s
       AND d.state = 'posted'
"""


def settle_steps(
    conn: Connection,
    delivery: Delivery,
    steps: Sequence[Mapping[str, Any]],
    *,
    retry_after: timedelta | None,
    remote_url: str | None,
) -> None:
    """Write down how far the steps of a published delivery are. One transaction.

    `retry_after`: when open ones are due again; None: none is open.

    Raises:
        LostLease: The claim is no longer ours.
    """
    said = "; ".join(f"{one['step']}: {one['note']}" for one in steps if one.get("note"))
    again = ", ".join(one["step"] for one in steps if one["state"] == "done" and one["tries"] > 1)
    event = (
        {"event": "not followed up", "note": said} if said else {"event": f"followed by {again}"}
    )
    values: dict[str, Any] = {
        "steps": Jsonb(list(steps)),
        "retry_after": retry_after,
        "remote_url": remote_url,
        "event": Jsonb(event) if said or again else None,  # what went well at once is no news
    }

    def write() -> None:
        guarded(conn, SETTLE_STEPS, delivery, **values)

    once(conn, write)
