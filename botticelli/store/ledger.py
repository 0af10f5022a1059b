"""The shared account of requests and tokens: reserved before a call, settled after it.

The work is done by functions in schema.sql, one round trip each; here they are called. Every
function is one transaction.
"""

from collections.abc import Collection
from dataclasses import field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from psycopg.types.json import Jsonb

from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, fetch_one, repeatable

GUARD: Final = timedelta(seconds=1)
"""How long a request may take from its booked start to the provider; see Window.

Opening a connection over the Internet takes most of it. It costs 1 / 61 of what is allowed.
"""

LEARNED_FOR: Final = timedelta(days=7)  # the account may have moved to another tier since


@record
class Window:
    """How starts are booked.

    Args:
        length: Of the sliding window; with the guard, so that arrivals keep the limit as well.
        horizon: How far ahead a start may be booked; it hides the round trip to the database.
    """

    guard: timedelta = GUARD
    length: timedelta = timedelta(seconds=60) + GUARD
    horizon: timedelta = timedelta(seconds=1)


@record
class Allowance:
    """What may be used of one account: limits x multipliers; None if unlimited.

    Args:
        shares: The multipliers of rpm, tpm, rpd and tpd, for limits that the ledger has learned.
        limits: The same four before multipliers; what 429s taught under others is void.
        zone: IANA name of the zone whose midnight ends the provider's day.
        spend: US dollars that all models of the provider may cost in any 10 minutes.
        dollars: US dollars that this one may cost in a day of the provider.
    """

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    tpd: int | None = None
    shares: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    limits: tuple[int | None, ...] = ()
    zone: str = "America/Los_Angeles"
    spend: Decimal | None = None
    dollars: Decimal | None = None


@record
class CallRequest:
    """One call that wants to be made.

    Args:
        key: provider/model.
        waiter: Unique to this call, so that its place in the queue is kept.
        owner: Who is at work.
        estimate: Input tokens before calibration.
        cost: US dollars that it may cost, as far as that is known before.
    """

    key: str
    waiter: str
    owner: str
    run_id: int | None = None
    estimate: int
    cost: Decimal = Decimal(0)


@record
class Booking:
    """A grant, or why there is none.

    Args:
        seq: The grant; None if the caller has to ask again.
        wait_seconds: Until the grant's start, or until it is worth asking again.
        why: granted; to wait for: requests, tokens, spend, blocked (a 429 said so), turn (others
            were first), day or dollars (the provider's day has to end); size: one call is more
            than allowed.
        tokens: What is reserved.
    """

    seq: int | None
    wait_seconds: float | None
    why: str
    tokens: int


RESERVE: Final = """
    SELECT seq, wait_seconds, why, tokens
      FROM ledger_reserve(%(key)s, %(waiter)s, %(owner)s, %(run_id)s, %(estimate)s, %(cost)s,
                          %(rpm)s, %(tpm)s, %(rpd)s, %(tpd)s, %(shares)s, %(limits)s,
                          %(zone)s, %(spend)s, %(dollars)s,
                          %(length)s, %(guard)s, %(horizon)s)
"""


def reserve(
    conn: Connection, asked: CallRequest, *, allowance: Allowance, window: Window
) -> Booking:
    """Book one request at the first moment that breaks no limit, if that is near.

    Who has to wait keeps its place for the returned time and five seconds more.
    """
    # A file may say 1 for 1.0.
    shares = [float(share) for share in allowance.shares]
    limits = list(allowance.limits)
    values = {**vars(asked), **vars(allowance), **vars(window), "shares": shares, "limits": limits}
    booking = fetch_one(conn, Booking, RESERVE, values)
    assert booking is not None, "the function returns one row"
    return booking


SETTLE: Final = """
    SELECT ledger_settle(%(key)s, %(seq)s, %(owner)s, %(run_id)s, %(tokens)s, %(estimate)s,
                         %(cost)s, %(guard)s)
"""


@repeatable(pressing=True)
def settle(
    conn: Connection,
    asked: CallRequest,
    *,
    seq: int,
    tokens: int | None,
    cost: Decimal | None = None,
) -> None:
    """Replace a reservation by what the provider reported; None keeps it. Works once."""
    values = {**vars(asked), "seq": seq, "tokens": tokens, "cost": cost, "guard": GUARD}
    conn.execute(SETTLE, values)


RELEASE: Final = "SELECT ledger_release(%(key)s, %(seq)s, %(owner)s, %(guard)s)"


@repeatable()
def release(conn: Connection, asked: CallRequest, *, seq: int) -> None:
    """Give back a grant whose request was certainly never sent."""
    conn.execute(RELEASE, {**vars(asked), "seq": seq, "guard": GUARD})


LEAVE: Final = "DELETE FROM ledger_waiters WHERE key = %(key)s AND waiter = %(waiter)s"


@repeatable()
def leave(conn: Connection, asked: CallRequest) -> None:
    """Give up a place in the queue, so that nobody waits for us."""
    conn.execute(LEAVE, {"key": asked.key, "waiter": asked.waiter})


CHARGE: Final = """
    SELECT ledger_charge(%(key)s, %(owner)s, %(run_id)s, %(tokens)s, %(zone)s)
"""


@repeatable(pressing=True)
def charge(conn: Connection, asked: CallRequest, *, key: str, tokens: int, zone: str) -> None:
    """Count a request that was sent for another account on the account `key` as well."""
    conn.execute(CHARGE, {**vars(asked), "key": key, "tokens": tokens, "zone": zone})


@record
class Lesson:
    """What a 429 said.

    Args:
        scope: minute, day or spend.
        wait: How long to hold every caller; for a day only meant if it is an hour or more.
        rate: rpm, tpm, rpd or tpd, if it named a limit; then `limit` is its value.
    """

    scope: str
    wait: timedelta
    rate: str = ""
    limit: int | None = None


# The day ends at its zone's midnight, or earlier if the provider names an hour or more:
# shorter delays beside a daily quota were often wrong.
LEARN: Final = """
    UPDATE ledger AS a
       SET blocked_until = CASE
               WHEN a.blocked_why = 'day' AND a.blocked_until > m.moment AND %(scope)s <> 'day'
               THEN a.blocked_until
               WHEN %(scope)s = 'day' AND %(wait)s >= interval '1 hour'
               THEN least(m.midnight, m.moment + %(wait)s)
               WHEN %(scope)s = 'day' THEN m.midnight
               ELSE greatest(a.blocked_until, m.moment + %(wait)s) END,
           blocked_why = CASE
               WHEN a.blocked_why = 'day' AND a.blocked_until > m.moment THEN 'day'
               ELSE %(scope)s END,
           learned = CASE WHEN %(under)s::jsonb IS NULL OR a.learned -> 'under' = %(under)s::jsonb
                          THEN a.learned
                          ELSE jsonb_build_object('under', %(under)s::jsonb)
                               || jsonb_strip_nulls(jsonb_build_object('refused',
                                                                       a.learned -> 'refused')) END
               || CASE WHEN %(limit)s::bigint IS NULL THEN '{}'::jsonb
               ELSE jsonb_build_object(%(rate)s::text, jsonb_build_object(
                    'limit', %(limit)s::bigint, 'until', m.moment + %(learned_for)s)) END,
           updated_at = m.moment
      FROM (SELECT key, botticelli_now() AS moment,
                   ((botticelli_now() AT TIME ZONE time_zone)::date
                    + 1)::timestamp AT TIME ZONE time_zone AS midnight
              FROM ledger
             WHERE key = %(key)s) AS m
     WHERE a.key = %(key)s
       AND m.key = a.key
"""


@repeatable(pressing=True)
def learn(
    conn: Connection, key: str, *, lesson: Lesson, limits: tuple[int | None, ...] = ()
) -> None:
    """Hold all callers of an account as a 429 asked, or close its day; keep the limit it named.

    `limits`: As in Allowance; the lesson holds while they are the same.
    """
    limit = lesson.limit if lesson.rate else None
    under = Jsonb(list(limits)) if limits else None
    more = {"key": key, "limit": limit, "under": under, "learned_for": LEARNED_FOR}
    values = {**vars(lesson), **more}
    conn.execute(LEARN, values)


LEARN_REFUSED: Final = """
    UPDATE ledger
       SET learned = jsonb_set(
               CASE jsonb_typeof(learned -> 'refused') WHEN 'object' THEN learned
               ELSE learned || '{"refused": {}}' END,
               ARRAY['refused', %(server)s],
               coalesce(learned -> 'refused' -> %(server)s, '{}')
               || (SELECT jsonb_object_agg(name, botticelli_now() + %(learned_for)s)
                     FROM unnest(%(settings)s::text[]) AS name)),
           updated_at = botticelli_now()
     WHERE key = %(key)s
"""


@repeatable(pressing=True)
def learn_refused(conn: Connection, key: str, *, server: str, settings: Collection[str]) -> None:
    """Note that a server takes no request for a model with these settings: the next leave them out.

    It holds for LEARNED_FOR, whatever the limits: the server may be another version by then.
    """
    more = {"settings": sorted(settings), "learned_for": LEARNED_FOR}
    conn.execute(LEARN_REFUSED, {"key": key, "server": server, **more})


FORGET: Final = """
    UPDATE ledger
       SET learned = '{}',
           blocked_until = '-infinity',
           blocked_why = NULL,
           updated_at = botticelli_now()
     WHERE %(model)s IN (key, substr(key, strpos(key, '/') + 1))
    RETURNING key
"""


def forget(conn: Connection, model: str) -> list[str]:
    """Lift what refusals taught of a model, or of provider/model; return the accounts."""
    return [row[0] for row in conn.execute(FORGET, {"model": model}).fetchall()]


@record
class Account:
    """One account as it stands.

    Args:
        minute_requests, minute_tokens: Started within the last sliding window, reserved included.
        reserved_requests, reserved_tokens: Of these, calls whose answer has not come yet.
        day_requests, day_tokens: Since the provider's midnight, reserved included.
        window_frees_at: When the oldest start leaves the window; None if it is empty.
        day_ends_at: The provider's next midnight.
        blocked_until: Until when a 429 holds all callers; None if it does not.
        learned: rate -> the limit that a 429 named lately, before any multiplier.
        learned_under: The limits of the configuration at that time; None if not known.
        refused: Server ("": the provider's own) -> the settings that it takes no request with.
    """

    key: str
    rpm: int | None
    tpm: int | None
    rpd: int | None
    tpd: int | None
    minute_requests: int
    minute_tokens: int
    reserved_requests: int
    reserved_tokens: int
    waiting: int
    day_requests: int
    day_tokens: int
    window_frees_at: datetime | None
    day_ends_at: datetime
    blocked_until: datetime | None
    blocked_why: str | None
    learned: dict[str, int] = field(default_factory=dict)
    learned_under: list[int | None] | None = None
    refused: dict[str, list[str]] = field(default_factory=dict)


ACCOUNTS: Final = """
    WITH present AS (
        SELECT a.*, botticelli_now() AS moment,
               (botticelli_now() AT TIME ZONE a.time_zone)::date AS today
          FROM ledger AS a
         WHERE coalesce(a.key = %(key)s, true)
    )
    SELECT a.key, a.rpm, a.tpm, a.rpd, a.tpd,
           (SELECT coalesce(jsonb_object_agg(l.key, l.value -> 'limit'), '{}')
              FROM jsonb_each(CASE jsonb_typeof(a.learned) WHEN 'object' THEN a.learned END) AS l
             WHERE botticelli_time(l.value ->> 'until') > a.moment
               AND l.value ->> 'limit' ~ '^[0-9]{1,18}$') AS learned,
           a.learned -> 'under' AS learned_under,
           (SELECT coalesce(jsonb_object_agg(s.key, s.names), '{}')
              FROM (SELECT s.key, jsonb_agg(n.key ORDER BY n.key) AS names
                      FROM jsonb_each(CASE jsonb_typeof(a.learned -> 'refused')
                                      WHEN 'object' THEN a.learned -> 'refused' END) AS s,
                           jsonb_each_text(CASE jsonb_typeof(s.value)
                                           WHEN 'object' THEN s.value END) AS n
                     WHERE botticelli_time(n.value) BETWEEN a.moment
                                                        AND a.moment + interval '8 days'
                     GROUP BY s.key) AS s) AS refused,
           w.requests AS minute_requests, w.tokens AS minute_tokens,
           w.open AS reserved_requests, w.open_tokens AS reserved_tokens,
           (SELECT count(*) FROM ledger_waiters AS q
             WHERE q.key = a.key AND q.expires_at > a.moment) AS waiting,
           CASE a.day WHEN a.today THEN a.day_requests
                      WHEN a.today - 1 THEN a.next_requests ELSE 0 END AS day_requests,
           CASE a.day WHEN a.today THEN a.day_tokens
                      WHEN a.today - 1 THEN a.next_tokens ELSE 0 END AS day_tokens,
           w.oldest + %(length)s AS window_frees_at,
           (a.today + 1)::timestamp AT TIME ZONE a.time_zone AS day_ends_at,
           CASE WHEN a.blocked_until > a.moment THEN a.blocked_until END AS blocked_until,
           CASE WHEN a.blocked_until > a.moment THEN a.blocked_why END AS blocked_why
      FROM present AS a
      CROSS JOIN LATERAL (
            SELECT count(*) AS requests,
                   coalesce(sum(g.tokens), 0)::bigint AS tokens,
                   count(*) FILTER (WHERE g.settled_at IS NULL) AS open,
                   coalesce(sum(g.tokens) FILTER (WHERE g.settled_at IS NULL), 0)::bigint
                       AS open_tokens,
                   min(g.start_at) AS oldest
              FROM ledger_grants AS g
             WHERE g.key = a.key
               AND g.start_at > a.moment - %(length)s) AS w
     ORDER BY a.key
"""


@repeatable()
def accounts(conn: Connection, *, key: str | None = None, window: Window) -> list[Account]:
    """Return every account, or the one of that key, as it stands. Locks nothing."""
    return fetch_all(conn, Account, ACCOUNTS, {"key": key, "length": window.length})


SPENT: Final = """
    SELECT coalesce(sum(g.cost_usd), 0)
      FROM ledger AS a
      JOIN ledger_grants AS g
        ON g.key = a.key
       AND g.start_at >= (botticelli_now() AT TIME ZONE a.time_zone)::date::timestamp
                         AT TIME ZONE a.time_zone
     WHERE a.key = %(key)s
"""


def dollars_today(conn: Connection, key: str) -> Decimal:
    """Return what calls have cost, or may yet, since the provider's midnight."""
    row = conn.execute(SPENT, {"key": key}).fetchone()
    return Decimal(row[0]) if row else Decimal(0)


PRUNE: Final = """
    DELETE FROM ledger_grants
     WHERE (key, seq) IN (
           SELECT key, seq
             FROM ledger_grants
            WHERE start_at < botticelli_now() - interval '2 days'
            LIMIT %(batch)s)
"""


@repeatable()
def prune(conn: Connection, *, batch: int = 5000) -> int:
    """Remove up to `batch` grants that no window reaches any more; return how many.

    What was used and paid stays in act_executions.
    """
    return conn.execute(PRUNE, {"batch": batch}).rowcount
