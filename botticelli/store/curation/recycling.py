"""Posts to be said anew: the best that went out long ago, while nothing fresh waits."""

from datetime import timedelta
from typing import Final

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_one, repeatable


@record
class OldPost:
    """A post that is due to be said anew at a destination.

    Args:
        times: How often that was done before.
        why: Why it is the best one, for a person.
    """

    id: int
    text: str
    title: str
    link: str
    language: str
    times: int
    why: str


FRESH_WAITS: Final = """
    SELECT EXISTS (SELECT FROM deliveries
                    WHERE destination = %(name)s AND state IN ('pending', 'sending'))
        OR EXISTS (SELECT FROM approved_discord_posts
                    WHERE review_status = 'pending' AND coalesce(only_to, %(name)s) = %(name)s)
        OR EXISTS (SELECT FROM potential_discord_posts
                    WHERE review_status IN ('pending', 'judging')
                      AND coalesce(only_to, %(name)s) = %(name)s)
        OR EXISTS (SELECT FROM potential_discord_posts
                    WHERE review_status = 'held' AND only_to = %(name)s)
"""
# What readers liked most, as far as that is known, then what the judge did. A post of a theme, or
# one that expires, had its time. The last thousand of a destination are looked at.
BEST: Final = """
    SELECT p.id, coalesce(p.text_content, '') AS text, coalesce(p.title, '') AS title,
           coalesce(p.link, '') AS link, coalesce(p.language, '') AS language, r.times,
           CASE WHEN s.percentile IS NOT NULL
                THEN format('readers liked it more than %%s %%%% of the others',
                            round(s.percentile * 100))
                ELSE format('the judge gave it %%s', coalesce(p.curation_score, 0)) END AS why
      FROM (SELECT id, post_id, posted_at
              FROM deliveries
             WHERE destination = %(name)s
               AND posted_at < botticelli_now() - %(after)s
             ORDER BY posted_at DESC
             LIMIT 1000) AS d
      JOIN approved_discord_posts AS p
        ON p.id = d.post_id
      LEFT JOIN botticelli_scores(%(name)s, %(zone)s) AS s
        ON s.delivery_id = d.id
     CROSS JOIN LATERAL (
           SELECT count(*) AS times, max(c.generated_at) AS last
             FROM potential_discord_posts AS c
            WHERE c.recycled_from = p.id
              AND c.only_to = %(name)s) AS r
     WHERE p.review_status = 'posted'
       AND p.recycled_from IS NULL
       AND p.theme IS NULL
       AND p.expires_at IS NULL
       AND NOT coalesce(s.is_angry, false)
       AND r.times < %(at_most)s
       AND coalesce(r.last, '-infinity') < botticelli_now() - %(after)s
     ORDER BY coalesce(s.percentile, 0.5) DESC, p.curation_score DESC NULLS LAST, p.id
     LIMIT 1
"""
# A run that was killed behind its answer comes here again: it is one candidate all the same.
KEEP: Final = """
    INSERT INTO potential_discord_posts
           (text_content, content_type, tags, title, link, language, source_narrative,
            generation_model, review_status, decided_by, decided_at, decision_reason,
            execution_id, run_id, recycled_from, only_to)
    SELECT %(text)s, p.content_type, p.tags, p.title, p.link, p.language, %(narrative)s, %(model)s,
           CASE WHEN %(note)s = '' THEN 'pending' ELSE 'rejected' END,
           CASE WHEN %(note)s <> '' THEN 'auto' END,
           CASE WHEN %(note)s <> '' THEN botticelli_now() END,
           nullif(%(note)s, ''), (SELECT id FROM model_calls WHERE id = %(execution_id)s),
           (SELECT id FROM runs WHERE id = %(run_id)s), p.id, %(name)s
      FROM approved_discord_posts AS p
     WHERE p.id = %(id)s
       AND (SELECT count(*)
              FROM potential_discord_posts AS c
             WHERE c.recycled_from = p.id
               AND c.only_to = %(name)s) = %(times)s
    RETURNING id
"""


def find_best(
    conn: Connection, name: str, *, after: timedelta, at_most: int, zone: str
) -> OldPost | None:
    """Return the post that a destination is to get anew; None while fresh ones wait. Reads only."""
    if conn.execute(FRESH_WAITS, {"name": name}).fetchone() == (True,):
        return None
    values = {"name": name, "after": after, "at_most": at_most, "zone": zone}
    return fetch_one(conn, OldPost, BEST, values)


@repeatable(pressing=True)
def keep(
    conn: Connection,
    old: OldPost,
    name: str,
    *,
    text: str,
    note: str,
    narrative: str,
    model: str,
    execution_id: int | None,
    run_id: int | None,
) -> int | None:
    """Store a post that was said anew as a candidate; `note`: why it may not be one.

    Returns its id, None if that was done before. One statement.
    """
    values = {
        "id": old.id,
        "times": old.times,
        "name": name,
        "text": text,
        "note": note,
        "narrative": narrative,
        "model": model,
        "execution_id": execution_id,
        "run_id": run_id,
    }
    row = conn.execute(KEEP, values).fetchone()
    return row[0] if row else None
