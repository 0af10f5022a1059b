"""House rules: what a model proposed or a person wrote, and which of them hold in which version.

A rule is never changed: an edit ends it and puts another in its place, so that what a candidate was
written and judged under can be read for ever. Only people decide.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from botticelli.errors import UsageError
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, repeatable
from botticelli.store.curation.lessons import TOUCHED
from botticelli.text import storable

LONGEST: Final = 300  # characters of a rule
MOST: Final = 30  # that hold at once: each stands in every prompt
Decision = Literal["accept", "edit", "drop"]


@record
class HouseRules:
    """The rules that hold.

    Args:
        version: 0: none ever did.
        text: A line each, as {{house_rules}}; empty: none.
    """

    version: int = 0
    text: str = ""

    @property
    def words(self) -> dict[str, str]:
        """The variables of narratives; none without a rule, so that prompts stay as they were."""
        return {"house_rules": self.text} if self.text else {}


@record
class HouseRule:
    """A rule with its life, and people's decisions about candidates before and under it.

    Args:
        cases: What it was made of: case and quote.
        since, until: The versions of the rules that it holds in: from `since` to before `until`.
        replaces: The rule that it was edited from.
        written: Candidates written under it that people decided about; `approved` of them.
        written_before: Such candidates that were written before; `approved_before` of them.
    """

    id: int
    text: str
    state: Literal["proposed", "accepted", "dropped"]
    why: str
    cases: Sequence[Mapping[str, str]]
    proposed_by: str
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    since: int | None
    until: int | None
    replaces: int | None
    written: int
    approved: int
    written_before: int
    approved_before: int


CURRENT: Final = """
    SELECT coalesce(greatest(max(since), max(until)), 0) AS version,
           coalesce(string_agg('- ' || text, E'\\n' ORDER BY since, id)
                    FILTER (WHERE state = 'accepted'), '') AS text
      FROM house_rules
"""


@repeatable()
def current(conn: Connection) -> HouseRules:
    """Return the rules that hold now. Reads only."""
    return fetch_all(conn, HouseRules, CURRENT)[0]


# Of those that people said something about last.
LIST: Final = f"""
    WITH decided AS MATERIALIZED (
        SELECT id, rules_version, review_status <> 'rejected' AS is_approved
          FROM potential_discord_posts
         WHERE id = ANY (ARRAY ({TOUCHED}))
           AND decided_by <> 'auto'
           AND review_status IN ('approved', 'posted', 'rejected')
    )
    SELECT r.id, r.text, r.state, r.why, r.cases, r.proposed_by, r.created_at, r.decided_at,
           r.decided_by, r.since, r.until, r.replaces,
           u.written, u.approved, b.written AS written_before, b.approved AS approved_before
      FROM house_rules AS r
     CROSS JOIN LATERAL (
           SELECT count(*) AS written, count(*) FILTER (WHERE is_approved) AS approved,
                  min(id) AS first
             FROM decided
            WHERE rules_version >= r.since
              AND rules_version < coalesce(r.until, rules_version + 1)) AS u
     CROSS JOIN LATERAL (
           SELECT count(*) AS written, count(*) FILTER (WHERE is_approved) AS approved
             FROM decided
            WHERE id < u.first) AS b
     WHERE %(everything)s
        OR r.state <> 'dropped'
     ORDER BY array_position(ARRAY['proposed', 'accepted', 'dropped'], r.state), r.id
"""  # noqa: S608 - all parts are constants


def list_rules(conn: Connection, *, everything: bool = False) -> list[HouseRule]:
    """Return the rules, those that wait for a decision first; `everything`: dropped ones, too."""
    return fetch_all(conn, HouseRule, LIST, {"everything": everything})


KNOWN: Final = "SELECT text FROM house_rules ORDER BY id DESC LIMIT 500"


def list_texts(conn: Connection) -> list[str]:
    """Return the newest rules whatever became of them, so that none is proposed again."""
    return [row[0] for row in conn.execute(KNOWN)]


# Two that decide at once would make the same version.
ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(hashtextextended('botticelli house rules', 0))"
FIND: Final = "SELECT state, since, text FROM house_rules WHERE id = %(id)s"
HOLDING: Final = "SELECT count(*) FROM house_rules WHERE state = 'accepted' AND id <> %(id)s"
ACCEPT: Final = """
    UPDATE house_rules
       SET state = 'accepted', since = %(version)s, decided_at = botticelli_now(),
           decided_by = %(by)s
     WHERE id = %(id)s
"""
DROP: Final = """
    UPDATE house_rules
       SET state = 'dropped', until = CASE WHEN since IS NOT NULL THEN %(version)s::integer END,
           decided_at = botticelli_now(), decided_by = %(by)s
     WHERE id = %(id)s
"""
ADD: Final = """
    INSERT INTO house_rules (text, state, why, cases, proposed_by, execution_id, since, decided_at,
                             decided_by, replaces)
    SELECT %(text)s, 'accepted', coalesce(r.why, ''), coalesce(r.cases, '[]'), %(by)s,
           r.execution_id, %(version)s, botticelli_now(), %(by)s, r.id
      FROM (VALUES (1)) AS one
      LEFT JOIN house_rules AS r
        ON r.id = %(id)s
    RETURNING id
"""


def decide(conn: Connection, id_: int, decision: Decision, *, by: str, text: str = "") -> int:
    """Carry out a person's decision about a rule; return the id of the rule that it is then.

    Accepted is what was proposed, or dropped before it ever held. An edit puts a rule with `text`
    in its place, which holds at once; `id_` 0: in no other's place. One transaction.

    Raises:
        UsageError: There is no such rule, it is decided already, the text is none of a rule, or
            too many hold.
    """
    with conn.transaction():
        conn.execute(ONE_AT_A_TIME)
        values = {"id": id_, "by": by, "version": current(conn).version + 1}
        state, since, before = _find(conn, id_) if id_ else ("proposed", None, "")
        if decision == "edit":
            values["text"] = text = rule_text(text)
            if text == before:
                raise UsageError("the new text is the same", where=f"rule {id_}")
        is_over = since is not None and state == "dropped"
        if (decision, state) in {("accept", "accepted"), ("drop", "dropped")} or is_over:
            hint = "`botticelli rules add` makes a new one" if is_over else ""
            raise UsageError(f"it is {state} already", where=f"rule {id_}", hint=hint)
        [(holding,)] = conn.execute(HOLDING, values)
        if decision != "drop" and holding >= MOST:
            raise UsageError(
                f"{MOST} rules hold already, each in every prompt", hint="drop one first"
            )
        if decision == "accept":
            conn.execute(ACCEPT, values)
        if decision == "drop" or (id_ and decision == "edit"):
            conn.execute(DROP, values)
        [(new,)] = conn.execute(ADD, values) if decision == "edit" else [(id_,)]
        return int(new)


def _find(conn: Connection, id_: int) -> tuple[str, int | None, str]:
    row = conn.execute(FIND, {"id": id_}).fetchone()
    if row is None:
        raise UsageError(f"there is no rule {id_}", hint="see `botticelli rules`")
    state, since, text = row
    return state, since, text


def rule_text(text: str) -> str:
    """Return a rule as it stands in prompts: one line.

    Raises:
        UsageError: It is empty or too long.
    """
    line = " ".join(storable(text).split())
    if not line or len(line) > LONGEST:
        what = f"a rule has 1 to {LONGEST} characters, this one {len(line)}"
        raise UsageError(what, hint="say one thing in one sentence")
    return line
