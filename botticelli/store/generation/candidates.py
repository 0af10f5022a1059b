"""potential_discord_posts: what a model wrote comes in once."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.tables.columns import as_post, clean
from botticelli.text import fingerprint


@record
class Origin:
    """Where new candidates come from. `execution_id`: the answer they were read from."""

    narrative: str
    act: str
    model: str = ""
    run_id: int | None = None
    item_id: int | None = None
    execution_id: int | None = None


@record
class Inserted:
    """What became of new rows.

    Args:
        ids: Of all rows, in the order they were given; those stored by an earlier attempt, too.
        repeats: Id of a new row -> id of the oldest candidate with the same text.
        known: How many rows an earlier attempt at the same item had stored already.
    """

    ids: tuple[int, ...]
    repeats: Mapping[int, int]
    known: int = 0


# The same answer read again, after a crash between its rows and the end of its item.
STORED_BEFORE: Final = """
    SELECT id
      FROM potential_discord_posts
     WHERE item_id = %(item_id)s
       AND execution_id = %(execution_id)s
     ORDER BY id
"""
# Two workers with the same text: the second waits here and then sees the first one's row.
LOCK_TEXTS: Final = """
    SELECT pg_advisory_xact_lock(hashtextextended(hash, 0))
      FROM (SELECT DISTINCT unnest(%(hashes)s::text[]) AS hash ORDER BY 1) AS sorted
"""
INSERT: Final = """
    INSERT INTO potential_discord_posts
           (text_content, content_type, source, tags, rating, title, link, language, parts, extra,
            content_hash, generated_at, source_narrative, source_act, generation_model, run_id,
            item_id, execution_id, duplicate_of)
    VALUES (%(text_content)s, %(content_type)s, %(source)s, %(tags)s, %(rating)s, %(title)s,
            %(link)s, %(language)s, %(parts)s, %(extra)s, %(hash)s, botticelli_now(),
            %(narrative)s, %(act)s, nullif(%(model)s, ''), %(run_id)s, %(item_id)s,
            %(execution_id)s,
            (SELECT min(first.id)
               FROM potential_discord_posts AS first
              WHERE first.content_hash = %(hash)s))
    RETURNING id, duplicate_of
"""


def insert(conn: Connection, rows: Iterable[Mapping[str, Any]], *, origin: Origin) -> Inserted:
    """Store every row that a model made; one whose text is there already points to the oldest.

    Texts are compared by `text.fingerprint`. Keys without a column are kept in `extra`. Rows of an
    answer that the same item has stored before are not stored again. One transaction; inside
    `queue.settling` a part of that one, so that an item leaves its rows once.
    """
    values = [_columns(clean(row)) for row in rows]
    hashes = [each["hash"] for each in values if each["hash"]]
    shared = vars(origin)
    ids: list[int] = []
    repeats: dict[int, int] = {}
    with conn.transaction():
        before = [row[0] for row in conn.execute(STORED_BEFORE, shared).fetchall()]
        conn.execute(LOCK_TEXTS, {"hashes": hashes})
        for each in values[len(before) :]:
            row = conn.execute(INSERT, {**each, **shared}).fetchone()
            assert row is not None
            ids.append(row[0])
            if row[1] is not None:
                repeats[row[0]] = row[1]
    return Inserted(ids=(*before, *ids), repeats=repeats, known=len(before))


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Sort a model's keys into columns of the right type; what does not fit goes to `extra`."""
    extra, rest = as_post(row)
    values: dict[str, Any] = {}
    for key in ("text_content", "content_type", "source", "title", "link", "language"):
        values[key] = extra.pop(key) if isinstance(extra.get(key), str) else None
    parts = extra.pop("parts", None)
    rating = row.get("rating")
    fits = isinstance(rating, int) and not isinstance(rating, bool) and abs(rating) < 2**31
    values["rating"] = extra.pop("rating") if fits else None
    tags = extra.pop("tags", None)
    text = values["text_content"]
    return {
        **values,
        "tags": None if tags is None else Jsonb(tags),
        "parts": parts and Jsonb(parts),
        "extra": Jsonb(extra | rest),
        "hash": fingerprint(text) if text and text.strip() else None,
    }


ABOUT_THEME: Final = """
    UPDATE potential_discord_posts
       SET theme = %(theme)s,
           expires_at = %(expires_at)s,
           tags = CASE WHEN %(tags)s = '[]'::jsonb THEN tags
                       WHEN jsonb_typeof(tags) = 'array' THEN tags || %(tags)s ELSE %(tags)s END
     WHERE id = ANY (%(ids)s::bigint[])
"""


def note_theme(
    conn: Connection, ids: Iterable[int], *, theme: str, tags: Iterable[str], expires_at: str
) -> None:
    """Write down which theme candidates are about, and when it is over. Part of a transaction."""
    values = {"ids": list(ids), "theme": theme, "tags": Jsonb(list(tags)), "expires_at": expires_at}
    conn.execute(ABOUT_THEME, values)


WITH_ARMS: Final = """
    UPDATE potential_discord_posts
       SET features = coalesce(features, '{}') || %(arms)s::jsonb
     WHERE id = ANY (%(ids)s::bigint[])
"""


def note_arms(conn: Connection, ids: Iterable[int], *, arms: Mapping[str, str]) -> None:
    """Write down candidates' arms by experiment. Part of a transaction."""
    features = {f"experiment.{name}": arm for name, arm in arms.items()}
    conn.execute(WITH_ARMS, {"ids": list(ids), "arms": Jsonb(features)})


UNDER_RULES: Final = """
    UPDATE potential_discord_posts
       SET rules_version = %(version)s
     WHERE id = ANY (%(ids)s::bigint[])
"""


def note_rules(conn: Connection, ids: Iterable[int], *, version: int) -> None:
    """Write down under which house rules candidates were written. Part of a transaction."""
    conn.execute(UNDER_RULES, {"ids": list(ids), "version": version})


RECENT: Final = """
    SELECT left(text_content, 400)
      FROM potential_discord_posts
     WHERE btrim(coalesce(text_content, ''), E' \\t\\r\\n') <> ''
       AND duplicate_of IS NULL
     ORDER BY id DESC
     LIMIT %(limit)s
"""


def list_recent(conn: Connection, *, limit: int) -> tuple[str, ...]:
    """Return how the texts of the newest candidates begin, newest first."""
    return tuple(row[0] for row in conn.execute(RECENT, {"limit": limit}).fetchall())
