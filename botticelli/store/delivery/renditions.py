"""Renditions: what is sent of an approved post to one destination in place of the post itself."""

from collections.abc import Sequence
from typing import Final, Literal

from psycopg.types.json import Jsonb

from botticelli.errors import StaleError, UsageError
from botticelli.store.connection import Connection, repeatable
from botticelli.store.delivery import posts
from botticelli.store.generation.executions import LASTING
from botticelli.text import parts_of

State = Literal["open", "ready", "held"]


MINE: Final = """
    SELECT coalesce(CASE WHEN r.state <> 'open' THEN r.text_content END, p.text_content, '')
      FROM approved_discord_posts AS p
      LEFT JOIN renditions AS r
        ON r.post_id = p.id
       AND r.destination = %(destination)s
     WHERE p.id = %(post_id)s
"""


def text_for(conn: Connection, post_id: int, destination: str) -> str:
    """Return the text that a person starts from: the rendition's, or the post's own. Reads only.

    Raises:
        UsageError: There is no such post.
    """
    row = conn.execute(MINE, {"post_id": post_id, "destination": destination}).fetchone()
    if row is None:
        raise UsageError(f"there is no post {post_id}", hint="see `botticelli deliveries`")
    return str(row[0])


FORGET: Final = """
    DELETE FROM renditions
     WHERE post_id = %(post_id)s
       AND destination = %(destination)s
       AND state = %(state)s
"""
# A person wants it asked for anew: the answers that would not do are not used again.
ASK_ANEW: Final = f"""
    UPDATE model_calls
       SET state = 'unusable', error = 'asked for anew'
     WHERE item_id IS NULL
       AND place LIKE '{LASTING}%%'
       AND place = concat('{LASTING}', %(post_id)s::text, '/', %(destination)s::text, '/')
       AND state = 'done'
"""  # noqa: S608 - all parts are constants
# What a person wrote meanwhile stays, and of a post that was changed meanwhile it is none.
SETTLE: Final = f"""
    UPDATE renditions AS r
       SET state = %(state)s, text_content = %(text)s, parts = %(parts)s, note = %(note)s,
           model = nullif(%(model)s, ''),
           execution_id = (SELECT id FROM model_calls WHERE id = %(execution_id)s),
           made_at = botticelli_now()
      FROM approved_discord_posts AS p
     WHERE p.id = r.post_id
       AND r.post_id = %(post_id)s
       AND r.destination = %(destination)s
       AND r.state = 'open'
       AND r.source_hash = {posts.POST_HASH}
"""  # noqa: S608 - all parts are constants


# What waited for it is due again.
CLEAR: Final = """
    UPDATE deliveries
       SET last_error = NULL,
           retry_at = NULL
     WHERE post_id = %(post_id)s
       AND destination = %(destination)s
       AND state = 'pending'
       AND attempts = 0
"""


@repeatable()
def forget_open(conn: Connection, post_id: int, destination: str) -> None:
    """Note that a post needs no rendition for a destination any more."""
    conn.execute(FORGET, {"post_id": post_id, "destination": destination, "state": "open"})


def ask_anew(conn: Connection, post_id: int, destination: str) -> None:
    """Let a rendition be made again that could not be; part of the caller's transaction."""
    values = {"post_id": post_id, "destination": destination, "state": "held"}
    if conn.execute(FORGET, values).rowcount:
        conn.execute(ASK_ANEW, values)


@repeatable(pressing=True)
def settle(
    conn: Connection,
    post_id: int,
    destination: str,
    *,
    state: State,
    text: str,
    parts: Sequence[str] | None,
    note: str = "",
    model: str = "",
    execution_id: int | None = None,
) -> bool:
    """Store what became of an open rendition; False: post or rendition were changed meanwhile."""
    values = {
        "post_id": post_id,
        "destination": destination,
        "state": state,
        "text": text or None,
        "parts": parts and Jsonb(list(parts)),
        "note": note or None,
        "model": model,
        "execution_id": execution_id,
    }
    with conn.transaction():
        is_stored = conn.execute(SETTLE, values).rowcount == 1
        if is_stored:
            conn.execute(CLEAR, values)
    return is_stored


EDIT: Final = f"""
    INSERT INTO renditions AS r (post_id, destination, state, text_content, parts, source_hash,
                                 decided_by)
    SELECT p.id, %(destination)s, 'ready', %(text)s, %(parts)s, {posts.POST_HASH}, %(by)s
      FROM approved_discord_posts AS p
     WHERE p.id = %(post_id)s
        ON CONFLICT (post_id, destination) DO UPDATE
       SET state = 'ready', text_content = excluded.text_content, parts = excluded.parts,
           source_hash = excluded.source_hash, decided_by = excluded.decided_by, note = NULL,
           model = NULL, execution_id = NULL, made_at = botticelli_now()
"""  # noqa: S608 - all parts are constants
OUT: Final = """
    SELECT state
      FROM deliveries
     WHERE post_id = %(post_id)s
       AND destination = %(destination)s
       AND (state = 'sending' OR posted_at IS NOT NULL)
"""
RELEASE: Final = """
    UPDATE deliveries
       SET state = 'pending',
           last_error = NULL,
           history = history || jsonb_build_object(
               'at', botticelli_now(), 'event', 'adapted', 'by', %(by)s::text)
     WHERE post_id = %(post_id)s
       AND destination = %(destination)s
       AND state = 'held'
       AND attempts = 0
       AND decided_by IS NULL
"""


def edit(
    conn: Connection,
    post_id: int,
    destination: str,
    *,
    text: str,
    by: str,
    seen: str | None = None,
) -> None:
    """Let a person's text be what is sent of a post to a destination. One transaction.

    A delivery that a rule held for want of one is judged anew. `seen` is what the person started
    from: nobody may have changed it meanwhile.

    Raises:
        StaleError: It is not as it was seen.
        UsageError: The text is empty, or the post is out there already, or being sent.
    """
    if not text.strip():
        raise UsageError("the new text is empty", where=f"post {post_id}")
    values = {"post_id": post_id, "destination": destination, "by": by, "text": text}
    parts = parts_of(text)
    with posts.following(conn, post_id, by_hand=True):
        if seen is not None and text_for(conn, post_id, destination) != seen:
            raise StaleError("it was changed meanwhile", where=f"post {post_id} to '{destination}'")
        if out := conn.execute(OUT, values).fetchone():
            raise UsageError(
                f"it is {out[0]} there", where=f"post {post_id} to '{destination}'",
                hint="see `botticelli deliveries`",
            )  # fmt: skip
        for statement in (EDIT, RELEASE, CLEAR):
            conn.execute(statement, values | {"parts": parts and Jsonb(parts)})
