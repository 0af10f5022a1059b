"""Lessons: what people's edits, rejections and approvals say, kept until rules are made of them.

They are read from the candidates' histories (view candidate_lessons) when `learn` asks, and before
`db prune` removes a candidate. A round is one question to a model: a run that was killed asks about
the same lessons again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from psycopg.types.json import Jsonb

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, repeatable
from botticelli.text import normalise

LEAST_QUOTE: Final = 12  # characters; less proves nothing, unless it is all that a note says


@record
class LessonCase:
    """One decision or edit of a person.

    Args:
        case: What it is called: c12.2 is the second entry of candidate 12's history.
        was: The text that was decided about, or edited.
        now: What an edit made of it; None: it was no edit.
        note: What the person said; of an approval against the judge what the judge said.
    """

    case: str
    kind: Literal["edit", "rejection", "approval"]
    at: datetime
    was: str
    now: str | None
    note: str
    round: int | None = None

    def holds(self, quote: str) -> bool:
        """Return whether these words stand in it."""
        words, note = normalise(quote), normalise(self.note)
        if len(words) < LEAST_QUOTE:
            return bool(words) and words == note
        return any(words in text for text in (normalise(self.was), normalise(self.now or ""), note))


# The candidates that people said something about last: no history is read twice a day for ever.
TOUCHED: Final = """
    SELECT id
      FROM potential_discord_posts
     WHERE history <> '[]'
     ORDER BY history -> -1 ->> 'at' DESC, id DESC
     LIMIT 1000
"""
KEEP: Final = f"""
    INSERT INTO lessons (candidate_id, entry, at, kind, was, now, note)
    SELECT candidate_id, entry, at, kind, was, now, note
      FROM candidate_lessons
     WHERE candidate_id = ANY (ARRAY ({TOUCHED}))
        ON CONFLICT (candidate_id, entry) DO NOTHING
"""  # noqa: S608 - all parts are constants
WAITING: Final = f"""
    SELECT concat('c', candidate_id, '.', entry) AS case, kind, at, was, now, note, round
      FROM (SELECT * FROM lessons WHERE learned_at IS NULL
             UNION ALL
            SELECT NULL, v.*, NULL, NULL
              FROM candidate_lessons AS v
             WHERE v.candidate_id = ANY (ARRAY ({TOUCHED}))
               AND NOT EXISTS (SELECT
                                 FROM lessons AS l
                                WHERE (l.candidate_id, l.entry) = (v.candidate_id, v.entry))) AS w
     ORDER BY round, at, candidate_id, entry
"""  # noqa: S608 - all parts are constants
TAKE: Final = """
    UPDATE lessons
       SET round = (SELECT coalesce(max(round), 0) + 1 FROM lessons)
     WHERE learned_at IS NULL
       AND concat('c', candidate_id, '.', entry) = ANY (%(cases)s)
"""


@repeatable()
def list_waiting(conn: Connection) -> list[LessonCase]:
    """Return the lessons that no rules were made of: those of an unfinished round, then oldest.

    Reads only.
    """
    return fetch_all(conn, LessonCase, WAITING)


@repeatable()
def take_round(conn: Connection, *, least: int, most: int) -> list[LessonCase]:
    """Return the lessons of the unfinished round, or of a new one; empty if there are too few.

    One transaction. For who holds the stage's lock.
    """
    with conn.transaction():
        conn.execute(KEEP)
        waiting = list_waiting(conn)
        if waiting and waiting[0].round is None:
            if len(waiting) < least:
                return []
            conn.execute(TAKE, {"cases": [one.case for one in waiting[:most]]})
            waiting = list_waiting(conn)
        return [one for one in waiting if one.round is not None]


PROPOSE: Final = """
    INSERT INTO house_rules (text, state, why, cases, proposed_by, execution_id)
    SELECT r ->> 'text', 'proposed', r ->> 'why', r -> 'cases', %(by)s,
           (SELECT id FROM model_calls WHERE id = %(execution)s)
      FROM jsonb_array_elements(%(rules)s::jsonb) AS r
"""
LEARNED: Final = """
    UPDATE lessons
       SET learned_at = botticelli_now()
     WHERE round = %(round)s
       AND learned_at IS NULL
"""


@repeatable(pressing=True)
def finish_round(
    conn: Connection,
    number: int,
    rules: Sequence[Mapping[str, object]],
    *,
    by: str,
    execution_id: int | None,
) -> None:
    """Store the proposals of a round and that it is done; nothing if it was done. One transaction.

    `rules`: text, why, and cases with what is quoted of each.
    """
    with conn.transaction():
        if conn.execute(LEARNED, {"round": number}).rowcount:
            values = {"rules": Jsonb(list(rules)), "by": by, "execution": execution_id}
            conn.execute(PROPOSE, values)
