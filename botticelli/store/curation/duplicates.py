"""The index of texts that a new one may repeat, and candidates rejected before any judge sees them.

In the index is what counts: posts of the window, and candidates that wait for a judge, the choice
or a person. Each has a few terms, hashes that similar texts share; `known_terms` lists the texts of
a term. Of each list the newest are read, so that a look costs the same after a million posts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any, Final

from psycopg.types.json import Jsonb

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, lasting, repeatable
from botticelli.store.queue import CANDIDATES, Claim, settling_ours
from botticelli.text import fingerprint

CHUNK: Final = 500  # rows in memory at once
COMPARED: Final = 50  # of which all that may be alike is in memory at once
LONGEST: Final = 4000  # characters of a text that are compared
LISTED: Final = 16  # texts of a term that are looked at: a term of more tells little
FOUND: Final = 16  # texts that are compared with one: those that share most of what is rare
LATE: Final = 200  # posts; ids are drawn before the transactions that use them end
HASHED: Final = 500  # old rows without a hash that a run makes up for

Describe = Callable[[str], tuple[Sequence[int], bytes | None]]
"""Text -> its terms, and the vector of its meaning if that is known."""


@record
class NewText:
    """A candidate's text, or an approved post's, that is not in the index yet as it is now.

    Args:
        hash: `botticelli_text_hash` of the text.
    """

    id: int
    text: str
    hash: str


# What counts no more. The newest post stays, since it says how far the posts are known.
GONE: Final = """
    SELECT k.id
      FROM known_texts AS k
      LEFT JOIN potential_discord_posts AS c
        ON c.id = k.candidate_id
       AND c.review_status IN ('pending', 'judging', 'held')
     WHERE k.candidate_id IS NOT NULL
       AND c.id IS NULL
     UNION ALL
    SELECT id
      FROM (SELECT * FROM known_texts WHERE post_id > 0 ORDER BY post_id LIMIT %(limit)s) AS oldest
     WHERE post_id < (SELECT max(post_id) FROM known_texts)
       AND known_at < botticelli_now() - 2 * %(window)s::interval
     LIMIT %(limit)s
"""
REPLACED: Final = "SELECT id FROM known_texts WHERE {column} = ANY (%(ids)s)"
FORGET: Final = """
    WITH gone AS (
        DELETE FROM known_texts WHERE id IN ({which}) RETURNING id, terms
    ), unlisted AS (
        DELETE FROM known_terms AS t
         USING gone, unnest(gone.terms) AS of_it (term)
         WHERE t.term = of_it.term
           AND t.text_id = gone.id
    )
    SELECT count(*) FROM gone
"""
# Four lists, each by an index of its own: posts whose ids are new, posts that could be edited
# since, and what waits for a person or the choice. For the judge see `list_unjudged`.
MISSING: Final = """
    SELECT n.id, n.text_content AS text, botticelli_text_hash(n.text_content) AS hash
      FROM {of} AS n
     WHERE {which}
       AND n.text_content IS NOT NULL
       AND botticelli_text_hash(n.text_content)
           IS DISTINCT FROM (SELECT hash FROM known_texts WHERE {column} = n.id)
     ORDER BY n.id
     LIMIT %(limit)s
"""
NEWEST: Final = "(SELECT coalesce(max(post_id), 0) FROM known_texts)"
IN_WINDOW: Final = "coalesce(n.posted_at, n.selected_at) > botticelli_now() - %(window)s"
POSTS: Final = {"of": "approved_discord_posts", "column": "post_id"}
WAITING: Final = {"of": "potential_discord_posts", "column": "candidate_id"}
LISTS: Final = tuple(
    (source["column"], MISSING.format(**source, which=which))
    for source, which in (
        (POSTS, f"n.id > {NEWEST} - {LATE} AND {IN_WINDOW}"),
        (POSTS, f"n.review_status IN ('pending', 'posting') AND {IN_WINDOW}"),
        (WAITING, "n.review_status = 'held'"),
        (WAITING, "n.review_status IN ('pending', 'judging') AND n.judged_at IS NOT NULL"),
    )
)
# The newest post is remembered without terms if it is out of the window.
KNOW_THROUGH: Final = """
    INSERT INTO known_texts (post_id, hash, terms)
    SELECT max(id), '', '{}'
      FROM approved_discord_posts
    HAVING max(id) > (SELECT coalesce(max(post_id), 0) FROM known_texts)
"""
REMEMBER: Final = """
    WITH new AS (
        INSERT INTO known_texts ({column}, hash, terms, meaning)
        SELECT id, hash, string_to_array(terms, ' ')::integer[], meaning
          FROM unnest(%(ids)s::bigint[], %(hashes)s::text[], %(terms)s::text[],
                      %(meanings)s::bytea[])
               AS n (id, hash, terms, meaning)
         ORDER BY id
        RETURNING id, terms
    )
    INSERT INTO known_terms (term, text_id)
    SELECT unnest(terms) AS term, id FROM new ORDER BY term
"""


def refresh(conn: Connection, *, window: timedelta, describe: Describe) -> None:
    """Bring the index up to what counts now, in steps of a bounded size, each a transaction.

    The first run after an upgrade reads the posts of the window once.
    """
    values = {"window": window, "limit": CHUNK}
    _hash_old(conn)
    while _forget(conn, GONE, values):
        pass
    for column, statement in LISTS:
        while found := fetch_all(conn, NewText, statement, values):
            _remember(conn, found, column=column, describe=describe)
    lasting(conn, lambda: conn.execute(KNOW_THROUGH))


@repeatable()
def _forget(conn: Connection, which: str, values: Mapping[str, Any]) -> int:
    row = conn.execute(FORGET.format(which=which), values).fetchone()
    return int(row[0]) if row else 0


@repeatable()
def _remember(conn: Connection, new: Sequence[NewText], *, column: str, describe: Describe) -> None:
    """Put texts into the index, in place of what is there of them. One transaction."""
    described = [describe(one.text) for one in new]
    values = {
        "ids": [one.id for one in new],
        "hashes": [one.hash for one in new],
        "terms": [" ".join(map(str, terms)) for terms, _ in described],
        "meanings": [meaning for _, meaning in described],
    }
    with conn.transaction():
        _forget(conn, REPLACED.format(column=column), values)
        conn.execute(REMEMBER.format(column=column), values)


# Rows that came in by plain SQL have no hash; those of blank texts get one, too.
UNHASHED: Final = """
    SELECT id, coalesce(text_content, '')
      FROM potential_discord_posts
     WHERE content_hash IS NULL
       AND review_status NOT IN ('pending', 'judging')
     ORDER BY generated_at DESC
     LIMIT %(limit)s
"""
SET_HASHES: Final = """
    UPDATE potential_discord_posts AS c
       SET content_hash = new.hash
      FROM unnest(%(ids)s::bigint[], %(hashes)s::text[]) AS new (id, hash)
     WHERE c.id = new.id
       AND c.content_hash IS DISTINCT FROM new.hash
"""


@repeatable()
def _hash_old(conn: Connection) -> None:
    hashes = {
        id_: fingerprint(text) for id_, text in conn.execute(UNHASHED, {"limit": HASHED}).fetchall()
    }
    if hashes:
        conn.execute(SET_HASHES, {"ids": list(hashes), "hashes": list(hashes.values())})


TEXTS: Final = """
    SELECT c.id, coalesce(c.text_content, '') AS text, botticelli_text_hash(c.text_content) AS hash
      FROM potential_discord_posts AS c
      LEFT JOIN known_texts AS k
        ON k.candidate_id = c.id
     WHERE {which}
     ORDER BY c.id
     LIMIT %(limit)s
"""
NEVER_LOOKED_AT: Final = """
           c.review_status IN ('pending', 'judging')
       AND c.judged_at IS NULL
       AND (c.lease_expires_at IS NULL
            OR c.lease_expires_at <= botticelli_now())
       AND c.id > %(after)s
       AND (k.nearest IS NULL
            OR k.hash IS DISTINCT FROM botticelli_text_hash(c.text_content))
"""


def list_unjudged(conn: Connection, *, after: int) -> tuple[NewText, ...]:
    """Return the next candidates that wait for the judge and were never looked at. Reads only."""
    values = {"after": after, "limit": CHUNK}
    return tuple(fetch_all(conn, NewText, TEXTS.format(which=NEVER_LOOKED_AT), values))


def list_claimed(conn: Connection, ids: Sequence[int]) -> tuple[NewText, ...]:
    """Return the texts of these candidates. Reads only."""
    values = {"ids": list(ids), "limit": None}
    return tuple(fetch_all(conn, NewText, TEXTS.format(which="c.id = ANY (%(ids)s)"), values))


# Of two that wait for the judge the older one is the first; a repeat is nobody's first.
COPIES: Final = """
    SELECT n.id, first.id
      FROM unnest(%(ids)s::bigint[], %(hashes)s::text[]) AS n (id, hash)
     CROSS JOIN LATERAL (
           SELECT c.id
             FROM potential_discord_posts AS c
            WHERE c.content_hash = n.hash
              AND c.id <> n.id
              AND (c.review_status IN ('approved', 'posted')
                   OR c.generated_at > botticelli_now() - %(window)s)
              AND (c.id < n.id
                   OR c.judged_at IS NOT NULL
                   OR c.review_status NOT IN ('pending', 'judging'))
              AND (c.review_status <> 'rejected'
                   OR c.judged_at IS NOT NULL
                   OR c.duplicate_of IS NULL)
            ORDER BY c.id
            LIMIT 1) AS first
"""


@repeatable()
def remember(
    conn: Connection, new: Sequence[NewText], *, window: timedelta, describe: Describe
) -> dict[int, int]:
    """Put candidates into the index; return id -> the oldest with the same words, if there is one.

    Of these any counts, rejected ones, too: what was decided about the very text is known.
    """
    hashes = {one.id: fingerprint(one.text) for one in new}
    values = {"ids": list(hashes), "hashes": list(hashes.values()), "window": window}
    with conn.transaction():
        _remember(conn, new, column="candidate_id", describe=describe)
        conn.execute(SET_HASHES, values)
        return dict(conn.execute(COPIES, values).fetchall())


@record
class KnownText:
    """A text of the index: a candidate's, or an approved post's.

    Args:
        meaning: Its vector, if that is known.
        shared: How many terms it has in common with what may be a repeat of it.
        near_to: The candidate that may be one.
    """

    id: int
    is_post: bool
    text: str
    meaning: bytes | None = None
    shared: int = 0
    near_to: int = 0

    def __str__(self) -> str:
        """Return what a person finds it by."""
        return f"{'p' if self.is_post else 'c'}{self.id}"


# Rare terms count most. What waits for the judge is compared with what came before it only.
LOOK: Final = """
    SELECT r.near_to, r.shared, known.*
      FROM (SELECT near_to, text_id, count(*) AS shared,
                   row_number() OVER (PARTITION BY near_to ORDER BY sum(weight) DESC, text_id)
                       AS place
              FROM (SELECT k.candidate_id AS near_to, of_it.*
                      FROM known_texts AS k
                     CROSS JOIN LATERAL unnest(k.terms) AS t (term)
                     CROSS JOIN LATERAL (
                           SELECT text_id, 1 / count(*) OVER ()::float8 AS weight
                             FROM (SELECT text_id
                                     FROM known_terms
                                    WHERE term = t.term
                                      AND text_id <> k.id
                                    ORDER BY text_id DESC
                                    LIMIT %(listed)s) AS newest) AS of_it
                     WHERE k.candidate_id = ANY (%(ids)s)) AS listed
             GROUP BY near_to, text_id) AS r
     CROSS JOIN LATERAL (
           SELECT coalesce(p.id, c.id) AS id, p.id IS NOT NULL AS is_post, k.meaning,
                  left(coalesce(p.text_content, c.text_content), %(longest)s) AS text
             FROM known_texts AS k
             LEFT JOIN potential_discord_posts AS c
               ON c.id = k.candidate_id
              AND c.generated_at > botticelli_now() - %(window)s
              AND (c.review_status = 'held'
                   OR c.review_status IN ('pending', 'judging')
                      AND (c.judged_at IS NOT NULL OR c.id < r.near_to))
             LEFT JOIN approved_discord_posts AS p
               ON p.id = k.post_id
              AND p.review_status <> 'withdrawn'
              AND coalesce(p.posted_at, p.selected_at) > botticelli_now() - %(window)s
              AND p.candidate_id IS DISTINCT FROM r.near_to
              AND p.id IS DISTINCT FROM (SELECT n.recycled_from
                                           FROM potential_discord_posts AS n
                                          WHERE n.id = r.near_to)
            WHERE k.id = r.text_id
            LIMIT 1) AS known  -- one by one, by their keys
     WHERE r.place <= %(found)s
       AND known.text IS NOT NULL
     ORDER BY r.near_to, r.place
"""


def list_alike(
    conn: Connection, ids: Sequence[int], *, window: timedelta
) -> Iterator[tuple[int, list[KnownText]]]:
    """Yield each of these candidates with what may be alike, best first. Reads only."""
    values = {"window": window, "listed": LISTED, "found": FOUND, "longest": LONGEST}
    for start in range(0, len(ids), COMPARED):
        some = list(ids[start : start + COMPARED])
        found = fetch_all(conn, KnownText, LOOK, {**values, "ids": some})
        for id_, known in groupby(found, key=lambda one: one.near_to):
            yield id_, list(known)


Nearest = Mapping[str, Any]
"""What a candidate may repeat, as it is stored: `candidate` or `post`, `share`, `perhaps` (so near
that a person should look at both if the judge does not)."""


@record
class NearText:
    """A known text that a candidate may repeat; see Nearest."""

    near_to: int
    text: str
    candidate: int | None = None
    post: int | None = None
    share: float = 0.0
    perhaps: bool = False


NEAREST: Final = """
    SELECT k.candidate_id AS near_to, coalesce(p.text_content, c.text_content) AS text,
           near.candidate, near.post, near.share, near.perhaps
      FROM known_texts AS k
     CROSS JOIN LATERAL jsonb_to_recordset(k.nearest)
           AS near (candidate bigint, post bigint, share float8, perhaps boolean)
      LEFT JOIN potential_discord_posts AS c
        ON c.id = near.candidate
       AND c.review_status <> 'rejected'
      LEFT JOIN approved_discord_posts AS p
        ON p.id = near.post
       AND p.review_status <> 'withdrawn'
     WHERE k.candidate_id = ANY (%(ids)s)
       AND coalesce(p.text_content, c.text_content) IS NOT NULL
     ORDER BY k.candidate_id, near.share DESC
"""


def list_nearest(conn: Connection, ids: Sequence[int]) -> dict[int, list[NearText]]:
    """Return candidate -> what it may repeat and still counts, nearest first. Reads only."""
    found = fetch_all(conn, NearText, NEAREST, {"ids": list(ids)})
    return {id_: list(near) for id_, near in groupby(found, key=lambda one: one.near_to)}


@record
class EarlyRejection:
    """A candidate that is not worth a judge, and why.

    Args:
        duplicate_of: The candidate that it repeats.
        post: The post that it repeats.
    """

    id: int
    note: str
    duplicate_of: int | None = None
    post: int | None = None


REJECT: Final = """
    UPDATE potential_discord_posts AS c
       SET review_status = 'rejected',
           duplicate_of = aside.first,
           judging = c.judging || CASE WHEN aside.post IS NULL THEN '{}' ELSE
                         jsonb_build_object('repeats', jsonb_build_object('post', aside.post)) END,
           curation_notes = aside.note,
           decision_reason = aside.note,
           decided_at = botticelli_now(),
           decided_by = 'auto',
           lease_owner = NULL,
           lease_expires_at = NULL
      FROM unnest(%(ids)s::bigint[], %(firsts)s::bigint[], %(posts)s::bigint[],
                  %(notes)s::text[]) AS aside (id, first, post, note)
     WHERE c.id = aside.id
       AND c.review_status IN ('pending', 'judging')
       AND c.judged_at IS NULL
       AND (%(is_claimed)s
            OR c.lease_expires_at IS NULL
            OR c.lease_expires_at <= botticelli_now())
"""
LOOKED_AT: Final = """
    UPDATE known_texts AS k
       SET nearest = new.nearest
      FROM unnest(%(seen)s::bigint[], %(nearest)s::jsonb[]) AS new (id, nearest)
     WHERE k.candidate_id = new.id
"""


@repeatable()
def reject_unjudged(
    conn: Connection,
    seen: Mapping[int, Sequence[Nearest]],
    aside: Sequence[EarlyRejection],
    *,
    claims: Sequence[Claim] = (),
) -> int:
    """Reject some before judging; return how many that were. One transaction.

    Of those `seen` (id -> what it may repeat) that is stored, for the judge. What somebody has
    claimed, judged or decided on meanwhile stays as it is; with `claims`, what is no longer ours.
    """
    with settling_ours(conn, CANDIDATES, claims=claims) as held:
        ours = {claim.id for claim in held}
        rejected = [one for one in aside if not claims or one.id in ours]
        values = {
            "seen": list(seen),
            "nearest": [Jsonb(nearest) for nearest in seen.values()],
            "ids": [one.id for one in rejected],
            "firsts": [one.duplicate_of for one in rejected],
            "posts": [one.post for one in rejected],
            "notes": [one.note for one in rejected],
            "is_claimed": bool(claims),
        }
        conn.execute(LOOKED_AT, values)
        return conn.execute(REJECT, values).rowcount
