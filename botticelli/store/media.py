"""Pictures, each stored once under its own hash, and the posts that have them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.pictures.reading import Picture
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, fetch_one, repeatable
from botticelli.store.delivery.posts import IS_AS_APPROVED, POST_HASH

CANDIDATES: Final = "potential_discord_posts"


@record
class NewPicture:
    """A stored picture on its way to a candidate. `origin`: what made it, or where it is from."""

    sha256: str
    origin: Mapping[str, Any]
    alt: str = ""


KEEP: Final = """
    INSERT INTO media (sha256, mime, width, height, content)
         VALUES (%(sha256)s, %(mime)s, %(width)s, %(height)s, %(content)s)
    ON CONFLICT (sha256) DO UPDATE SET created_at = botticelli_now()
"""


@repeatable(pressing=True)
def keep(conn: Connection, picture: Picture) -> None:
    """Store a picture; one that is there already counts as new again. One transaction."""
    conn.execute(KEEP, vars(picture) | {"sha256": picture.sha256})


FIND: Final = "SELECT mime, width, height, content FROM media WHERE sha256 = %(sha256)s"


def find(conn: Connection, sha256: str) -> Picture | None:
    """Return a stored picture. Reads only."""
    return fetch_one(conn, Picture, FIND, {"sha256": sha256})


ATTACH: Final = """
    INSERT INTO post_media (candidate_id, position, sha256, alt, origin)
         VALUES (%(id)s, %(position)s, %(sha256)s, %(alt)s, %(origin)s)
    ON CONFLICT (candidate_id, position) DO NOTHING
"""


def attach(conn: Connection, ids: Iterable[int], pictures: Sequence[NewPicture]) -> None:
    """Give new candidates their pictures, in the transaction that stores them."""
    for id_ in ids:
        for position, picture in enumerate(pictures, start=1):
            values = vars(picture) | {"origin": Jsonb(dict(picture.origin))}
            conn.execute(ATTACH, values | {"id": id_, "position": position})


@record
class Attached:
    """A picture of a post, as it is stored.

    Args:
        id: Of its row in post_media.
        origin: What made it: act, model, version, prompt; or where it is from.
    """

    id: int
    position: int
    sha256: str
    alt: str
    origin: dict[str, Any]
    mime: str
    width: int
    height: int
    content: bytes

    @property
    def picture(self) -> Picture:
        """The picture alone."""
        return Picture(content=self.content, mime=self.mime, width=self.width, height=self.height)

    @property
    def told(self) -> dict[str, Any]:
        """What a person is told of it, as botticelli_pictures has it."""
        names = ("position", "mime", "width", "height", "alt", "origin")
        return {name: getattr(self, name) for name in names} | {"size": len(self.content)}

    @property
    def is_generated(self) -> bool:
        """Whether a model has drawn it."""
        return bool(self.origin.get("model"))


@record
class Silent(Attached):
    """A picture without words, and the post or candidate that has it."""

    post_id: int | None
    candidate_id: int | None
    text: str
    language: str


# Of what is approved and not out yet, or is shown to a person for a decision.
SILENT: Final = """
    SELECT a.id, a.position, a.sha256, a.alt, a.origin, m.mime, m.content,
           coalesce(m.width, 0) AS width, coalesce(m.height, 0) AS height,
           w.post_id, w.candidate_id, coalesce(w.text_content, '') AS text,
           coalesce(w.language, '') AS language
      FROM (SELECT id AS post_id, NULL::bigint AS candidate_id, text_content, language
              FROM approved_discord_posts
             WHERE review_status IN ('pending', 'held')
               AND attached IS NOT NULL
             UNION ALL
            SELECT NULL, id, text_content, language
              FROM potential_discord_posts
             WHERE review_status = 'held'
               AND judging ? 'proposed'
               AND decided_by IS NULL
               AND attached IS NOT NULL) AS w
      JOIN post_media AS a
        ON a.post_id = w.post_id
        OR a.candidate_id = w.candidate_id
      JOIN media AS m USING (sha256)
     WHERE btrim(a.alt) = ''
       AND NOT a.origin ? 'alt_error'
     ORDER BY a.id
     LIMIT %(limit)s
"""


def list_silent(conn: Connection, *, limit: int) -> list[Silent]:
    """Return pictures that nobody has described, and no model was asked about in vain."""
    return fetch_all(conn, Silent, SILENT, {"limit": limit})


DESCRIBE: Final = f"""
    WITH post AS (
        SELECT p.id, p.approved_hash IS NOT NULL AND {IS_AS_APPROVED} AS is_approved
          FROM approved_discord_posts AS p
         WHERE p.id = %(post_id)s
           FOR UPDATE)
    UPDATE post_media AS a
       SET alt = %(alt)s,
           origin = a.origin || %(facts)s
      FROM (SELECT) AS always
      LEFT JOIN post ON true
     WHERE a.id = %(id)s
       AND btrim(a.alt) = ''
    RETURNING coalesce(post.is_approved, false)
"""  # noqa: S608 - a constant
APPROVE_WITH_WORDS: Final = f"""
    UPDATE approved_discord_posts AS p
       SET approved_hash = {POST_HASH}
     WHERE p.id = %(post_id)s
"""  # noqa: S608 - a constant
# What the rules have held for want of words is judged by them again.
RELEASE: Final = """
    WITH released AS (
        UPDATE deliveries
           SET state = 'pending',
               last_error = NULL
         WHERE post_id = %(post_id)s
           AND state = 'held'
           AND attempts = 0
           AND decided_by IS NULL
        RETURNING post_id)
    UPDATE approved_discord_posts
       SET review_status = 'pending'
     WHERE id IN (SELECT post_id FROM released)
       AND review_status = 'held'
"""


@repeatable(pressing=True)
def describe(conn: Connection, silent: Silent, *, alt: str, facts: Mapping[str, Any]) -> None:
    """Give a picture its words, unless it has some by now. A post stays approved if it was."""
    values = {"id": silent.id, "post_id": silent.post_id, "alt": alt, "facts": Jsonb(dict(facts))}
    with conn.transaction():
        row = conn.execute(DESCRIBE, values).fetchone()
        if row and row[0] and alt:
            conn.execute(APPROVE_WITH_WORDS, values)
        if row and alt:
            conn.execute(RELEASE, values)


ATTACHED: Final = """
    SELECT a.id, a.position, a.sha256, a.alt, a.origin,
           m.mime, coalesce(m.width, 0) AS width, coalesce(m.height, 0) AS height, m.content
      FROM post_media AS a
      JOIN media AS m USING (sha256)
     WHERE a.post_id = %(post_id)s
        OR a.candidate_id = %(candidate_id)s
     ORDER BY a.position
"""


@repeatable()
def attached(
    conn: Connection, *, post_id: int | None = None, candidate_id: int | None = None
) -> list[Attached]:
    """Return the pictures of an approved post or of a candidate, in their order."""
    values = {"post_id": post_id, "candidate_id": candidate_id}
    return fetch_all(conn, Attached, ATTACHED, values)


FITTED: Final = """
    SELECT m.content, m.mime, coalesce(m.width, 0) AS width, coalesce(m.height, 0) AS height
      FROM fitted_media AS f
      JOIN media AS m USING (sha256)
     WHERE f.source = %(source)s
       AND f.bounds = %(bounds)s
"""
KEEP_FITTED: Final = """
    INSERT INTO fitted_media (source, bounds, sha256)
         VALUES (%(source)s, %(bounds)s, %(sha256)s)
    ON CONFLICT (source, bounds) DO NOTHING
"""


@repeatable()
def find_fitted(conn: Connection, source: str, *, bounds: str) -> Picture | None:
    """Return what was made of a picture for a place with these bounds; None if nothing was."""
    return fetch_one(conn, Picture, FITTED, {"source": source, "bounds": bounds})


@repeatable(pressing=True)
def keep_fitted(conn: Connection, source: str, *, bounds: str, picture: Picture) -> None:
    """Keep what was made of a picture, so that the same bytes go out again. One transaction."""
    with conn.transaction():
        keep(conn, picture)
        values = {"source": source, "bounds": bounds, "sha256": picture.sha256}
        conn.execute(KEEP_FITTED, values)
