"""The whole life of a post: written, judged, decided about, sent, changed."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Final

from botticelli.errors import Exit, UsageError
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import Reviewed
from botticelli.store.delivery import decisions
from botticelli.store.delivery.decisions import Seen
from botticelli.store.reads import trace as lives
from botticelli.store.reads.trace import Call, Kind, Post

SNOWFLAKE: Final = 15  # digits: no id of ours is as long, every one of Discord's is longer
MOST: Final = 2**63 - 1  # what an id of ours can be

_NAMED: Final = re.compile(r"(?:(candidate|post|delivery)[: #]?)?#?(\d+)")
_IN_URL: Final = re.compile(r"https?://\S+?/([^/?#]+)/?(?:[?#]\S*)?")


@record
class Life:
    """All that is known of a post.

    Args:
        candidate: None: the post came in by SQL.
        writing: The calls that wrote it, failed ones too.
        judging: The calls it was judged with; each was about a whole batch.
        post: None: it was not approved.
        cost_usd: Of the writing.
    """

    candidate: Reviewed | None
    writing: tuple[Call, ...]
    judging: tuple[Call, ...]
    post: Post | None
    deliveries: tuple[Seen, ...]
    tokens: int
    cost_usd: Decimal
    exit_code: Exit = Exit.DONE


def reference(text: str) -> tuple[Kind, str]:
    """Return what a person means: 12 is a candidate; post:5, delivery:7, a message's id or URL.

    Raises:
        UsageError: It is nothing of the kind.
    """
    named = _NAMED.fullmatch(text.strip())
    if named and (named[1] or len(named[2]) < SNOWFLAKE):
        kind: Kind = named[1] or "candidate"  # type: ignore[assignment]  # one of the pattern's words
        if int(named[2]) <= MOST:
            return kind, named[2]
    elif named:
        return "message", named[2]
    elif in_url := _IN_URL.fullmatch(text.strip()):
        return "message", in_url[1]
    raise UsageError(
        f"'{text}' is no id and no address of a message",
        hint="give a candidate's id, post:ID, delivery:ID or the URL of a message",
    )


def trace(conn: Connection, text: str, *, now: datetime | None = None) -> Life:
    """Return the life of what `text` names. Reads only.

    Raises:
        UsageError: There is no such thing.
    """
    kind, name = reference(text)
    found = lives.find(conn, kind, name)
    if found is None:
        raise UsageError(
            f"no post is known by {kind} {name}",
            hint="see `botticelli review --list` and `botticelli deliveries`",
        )
    id_, post_id = found.candidate_id, found.post_id
    writing = tuple(lives.calls_of(conn, id_, "writing")) if id_ else ()
    return Life(
        candidate=reviews.find_candidates(conn, [id_])[0] if id_ else None,
        writing=writing,
        judging=tuple(lives.calls_of(conn, id_, "judging")) if id_ else (),
        post=lives.find_post(conn, post_id) if post_id else None,
        deliveries=_deliveries(conn, post_id, now=now) if post_id else (),
        tokens=sum(_tokens(call) for call in writing),
        cost_usd=sum((call.cost_usd or Decimal(0) for call in writing), Decimal(0)),
    )


def _deliveries(conn: Connection, post_id: int, *, now: datetime | None) -> tuple[Seen, ...]:
    newest_first = decisions.list_deliveries(conn, post_id=post_id, limit=1000, now=now)
    return tuple(reversed(newest_first))


def _tokens(call: Call) -> int:
    return sum(each or 0 for each in (call.input_tokens, call.output_tokens, call.thought_tokens))
