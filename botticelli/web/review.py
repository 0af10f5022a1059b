"""The review deck: whole candidates as cards, each decided about on its own."""

import json
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from hashlib import sha256
from typing import Final, Literal, cast

from starlette.responses import Response

from botticelli.errors import BotticelliError
from botticelli.store.curation import deck, reviews, undo
from botticelli.store.curation.reviews import SHOWN, Decision, Reviewed
from botticelli.store.desk.keys import Role
from botticelli.web.app import Call, PageError

View = Literal["open", "approved", "rejected", "posted"]
STATUSES: Final[Mapping[str, tuple[str, ...]]] = {
    "open": ("held", "pending"),
    "approved": ("approved",),
    "rejected": ("rejected",),
    "posted": ("posted",),
}
CARDS: Final = 25
AT_ONCE: Final = 50
CHANGES: Final = ("approve", "reject", "hold", "undo", "save", "save-approve")


def etag(one: Reviewed) -> str:
    """Return what a person has seen of a candidate, as a hash."""
    values = [getattr(one, name) for name in SHOWN]
    return sha256(json.dumps(values, default=str).encode()).hexdigest()[:32]


def show_review(call: Call) -> Response:
    """Show the deck."""
    query = call.request.query_params
    view = query.get("view", "open")
    if view not in STATUSES:
        raise PageError(404, f"there is no view '{view}'")
    found = deck.read_deck(
        call.conn,
        STATUSES[view],
        search=query.get("q", "").strip(),
        after=query.get("after", ""),
        limit=CARDS,
    )
    return call.show(
        "review.html",
        view=view,
        views=list(STATUSES),
        search=query.get("q", ""),
        counts=deck.count_up_to(call.conn, STATUSES, most=99),
        cards=found.candidates,
        next_page=found.after,
        etag=etag,
        can_decide=call.may("approver"),
        can_edit=call.may("editor"),
    )


def change_candidate(call: Call) -> Response:
    """Carry out what a person decided about one candidate, or what he wrote."""
    id_, do = call.path("id"), call.form.get("do", "")
    if do not in CHANGES:
        raise PageError(400, "that is no decision")
    _check_role(call, do)
    [seen] = reviews.find_candidates(call.conn, [id_])
    if (given := call.form.get("etag", "")) != etag(seen):
        return _conflict(call, seen, given)
    try:
        one = _carry_out(call, seen, do)
    except BotticelliError as error:
        [now] = reviews.find_candidates(call.conn, [id_])
        if etag(now) != given:
            return _conflict(call, now, given)
        if call.is_fragment:
            return _card(call, now, status=400, problem=str(error.problems[0]))
        raise
    if call.is_fragment:
        return _card(call, one)
    return call.go(f"/review?view={_view(call)}#c{id_}")


def change_candidates(call: Call) -> Response:
    """Decide about several: all or none. Those that were changed meanwhile are named."""
    do = call.form.get("do", "")
    if do not in ("approve", "reject", "hold"):
        raise PageError(400, "that is no decision")
    _check_role(call, do)
    pairs = [value.partition(":") for name, value in call.fields if name == "one"]
    if len(pairs) > AT_ONCE or not all(id_.isdecimal() for id_, _, _ in pairs):
        raise PageError(400, f"nothing was changed: a decision is about {AT_ONCE} cards at most")
    given = {int(id_): tag for id_, _, tag in pairs}
    found = reviews.find_candidates(call.conn, list(given))
    stale = [one for one in found if etag(one) != given[one.id]]
    if stale or not found:
        names = ", ".join(f"c{one.id}" for one in stale)
        raise PageError(409, f"nothing was changed: {names or 'nothing'} is not as it was shown")
    by, note = call.by, call.form.get("note", "")
    reviews.decide(call.conn, list(given), cast("Decision", do), by=by, note=note, seen=found)
    return call.go(f"/review?view={_view(call)}")


def _view(call: Call) -> str:
    view = call.form.get("view", "open")
    return view if view in STATUSES else "open"


def _check_role(call: Call, do: str) -> None:
    wanted: Role = "editor" if do in ("hold", "save") else "approver"
    if not call.may(wanted):
        raise PageError(403, f"that is for who is {wanted}")


def _carry_out(call: Call, seen: Reviewed, do: str) -> Reviewed:
    conn, by = call.conn, call.by
    if do == "undo":
        return undo.undo(conn, [seen.id], by=by, seen=[seen])[0]
    if do.startswith("save"):
        text, approve = call.form.get("text", ""), do == "save-approve"
        if text == seen.text_content:
            decided = reviews.decide(conn, [seen.id], "approve", by=by, seen=[seen])
            return decided[0] if approve else seen
        return reviews.edit(conn, seen.id, text=text, by=by, seen=seen, approve=approve)
    note = call.form.get("note", "")
    return reviews.decide(conn, [seen.id], cast("Decision", do), by=by, note=note, seen=[seen])[0]


def _conflict(call: Call, now: Reviewed, given: str) -> Response:
    """Show what it is now beside what the person wrote; nothing was changed."""
    mine = call.form.get("text", "")
    who = next(
        (str(one.get("by")) for one in reversed(now.history) if one.get("by")), "somebody else"
    )
    values = {"mine": mine, "who": who, "changes": differences(now.text_content, mine)}
    if call.is_fragment:
        return _card(call, now, status=409, conflict=values)
    return call.show(
        "conflict.html", status=409, one=now, etag=etag, given=given, conflict=values, view="open"
    )


def _card(call: Call, one: Reviewed, *, status: int = 200, **more: object) -> Response:
    values = {"problem": "", "conflict": None, **more}
    return call.show(
        "_card.html",
        status=status,
        one=one,
        etag=etag,
        view=_view(call),
        can_decide=call.may("approver"),
        can_edit=call.may("editor"),
        **values,
    )


def differences(before: str, after: str) -> Sequence[tuple[str, str]]:
    """Return the words of two texts in order, each with "same", "gone" or "new"."""
    old, new = before.split(" "), after.split(" ")
    found: list[tuple[str, str]] = []
    for tag, a, b, c, d in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag == "equal":
            found.append(("same", " ".join(old[a:b])))
            continue
        found += [
            (kind, " ".join(words))
            for kind, words in (("gone", old[a:b]), ("new", new[c:d]))
            if words
        ]
    return found
