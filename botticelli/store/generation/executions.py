"""What models were asked and what they said: every attempt, failed ones too. Append-only."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Final, Literal

from botticelli.pictures.reading import Picture
from botticelli.records import record
from botticelli.store import media
from botticelli.store.connection import Connection, fetch_one, lasting, repeatable
from botticelli.text import storable

State = Literal["done", "failed", "unusable"]
LASTING: Final = "rendition:"  # begins the place of what has no item, and is resumed all the same


@record
class ActKey:
    """Which act of which run asks.

    Args:
        item_id: The item that may be resumed; None if nothing is ever reused, but for LASTING.
        place: Of the narrative in the item: "" for its own, else whose act calls it.
        iteration: From 1.
        sequence_number: Place in the run of its narrative, from 0.
    """

    run_id: int | None = None
    item_id: int | None = None
    narrative: str
    iteration: int = 1
    act_name: str
    place: str = ""
    sequence_number: int


@record
class Attempt(ActKey):
    """One attempt at one act, as it ended. Tokens and cost are the provider's, or estimated."""

    attempt: int
    inputs_digest: str
    prompt: str
    state: State
    provider: str
    model: str
    model_version: str | None = None
    provider_request_id: str | None = None
    finish_reason: str | None = None
    response: str | None = None
    error: str | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    thought_tokens: int | None = None
    cost_usd: Decimal | None = None
    latency_ms: int | None = None
    grant_seq: int | None = None


_COLUMNS: Final = tuple(each.name for each in fields(Attempt))
RECORD: Final = f"""
    INSERT INTO act_executions ({", ".join(_COLUMNS)}, created_at)
    VALUES ({", ".join(f"%({name})s" for name in _COLUMNS)}, botticelli_now())
    RETURNING id
"""  # noqa: S608 - names of our own


# In the same statement: a picture without its call would be paid for again.
RECORD_PICTURE: Final = f"""
    WITH kept AS ({media.KEEP})
    {RECORD}
"""

# Whether an attempt is there already of whose row no more is known than that it was written.
WRITTEN: Final = """
    SELECT id
      FROM act_executions
     WHERE created_at > botticelli_now() - interval '1 hour'
       AND (run_id, item_id, narrative, iteration, act_name, place, sequence_number, attempt,
            inputs_digest, model, latency_ms, grant_seq, response)
           IS NOT DISTINCT FROM
           (%(run_id)s, %(item_id)s, %(narrative)s, %(iteration)s, %(act_name)s, %(place)s,
            %(sequence_number)s, %(attempt)s, %(inputs_digest)s, %(model)s, %(latency_ms)s,
            %(grant_seq)s, %(response)s)
     LIMIT 1
"""


def insert(conn: Connection, attempt: Attempt, picture: Picture | None = None) -> int:
    """Store one attempt and return its id. One transaction, with patience: it may be paid for.

    `picture`: What the answer holds besides its text, which is stored with it.

    What PostgreSQL cannot hold (NUL, half a surrogate pair) must not lose an answer that is paid:
    it is dropped, or becomes a question mark.
    """
    values = {
        name: storable(value) if isinstance(value, str) else value
        for name, value in asdict(attempt).items()
    }
    if picture is not None:
        values |= vars(picture) | {"sha256": picture.sha256}

    def run(statement: str) -> int | None:
        row = conn.execute(statement, values).fetchone()
        return int(row[0]) if row else None

    statement = RECORD if picture is None else RECORD_PICTURE
    id_ = lasting(conn, lambda: run(statement), found=lambda: run(WRITTEN), pressing=True)
    assert id_ is not None, "INSERT .. RETURNING gives a row"
    return id_


@record
class StoredAnswer:
    """An answer that was paid for before."""

    id: int
    response: str
    model: str
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    thought_tokens: int | None


FIND_FINISHED: Final = """
    SELECT id, response, coalesce(nullif(model_version, ''), model, '') AS model,
           input_tokens, cached_tokens, output_tokens, thought_tokens
      FROM act_executions
     WHERE item_id = %(item_id)s
       AND place = %(place)s
       AND sequence_number = %(sequence_number)s
       AND inputs_digest = %(digest)s
       AND state = 'done'
     ORDER BY id DESC
     LIMIT 1
"""


# By an index of its own: what has no item is a rendition, rules, or a trial of a judge.
FIND_LASTING: Final = FIND_FINISHED.replace(
    "item_id = %(item_id)s", f"item_id IS NULL AND place LIKE '{LASTING}%%'"
)


@repeatable()
def find_finished(conn: Connection, key: ActKey, *, digest: str) -> StoredAnswer | None:
    """Return the stored answer to the same inputs at the same place of the same item."""
    statement = FIND_LASTING if key.item_id is None else FIND_FINISHED
    return fetch_one(conn, StoredAnswer, statement, {**vars(key), "digest": digest})


AT: Final = f"""
    SELECT id, response, coalesce(nullif(model_version, ''), model, '') AS model,
           input_tokens, cached_tokens, output_tokens, thought_tokens
      FROM act_executions
     WHERE item_id IS NULL
       AND place LIKE '{LASTING}%%'
       AND place = %(place)s
       AND state = 'done'
     ORDER BY id DESC
     LIMIT 1
"""  # noqa: S608 - all parts are constants


@repeatable()
def find_at(conn: Connection, place: str) -> StoredAnswer | None:
    """Return the last answer at a LASTING place, whatever was asked there exactly."""
    return fetch_one(conn, StoredAnswer, AT, {"place": place})


COST: Final = "SELECT coalesce(sum(cost_usd), 0) FROM model_calls WHERE id = ANY (%(ids)s)"


def cost_of(conn: Connection, ids: Sequence[int]) -> Decimal:
    """Return what these calls cost in US dollars, whenever they were made. Reads only."""
    [(dollars,)] = conn.execute(COST, {"ids": list(ids)})
    return Decimal(dollars)


FIND_REFUSED: Final = """
    SELECT error
      FROM act_executions
     WHERE item_id = %(item_id)s
       AND place = %(place)s
       AND sequence_number = %(sequence_number)s
       AND inputs_digest = %(digest)s
       AND model = %(model)s
       AND state = 'unusable'
     LIMIT 1
"""


@repeatable()
def find_refused(conn: Connection, key: ActKey, *, digest: str, model: str) -> str:
    """Return why the model's answer to the same inputs could not be used; empty: there is none."""
    values = {**vars(key), "digest": digest, "model": model}
    row = conn.execute(FIND_REFUSED, values).fetchone()
    return str(row[0]) if row else ""


MARK_UNUSABLE: Final = """
    UPDATE act_executions
       SET state = 'unusable', error = %(reason)s
     WHERE id = %(id)s
       AND state = 'done'
"""


@repeatable(pressing=True)
def mark_unusable(conn: Connection, execution_id: int, *, reason: str) -> None:
    """Note that an answer could not be used, so that it is not reused. One transaction."""
    conn.execute(MARK_UNUSABLE, {"id": execution_id, "reason": storable(reason)})
