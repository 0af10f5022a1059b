"""One post's life, its pictures, and what a person decides about its deliveries."""

from hashlib import sha256
from typing import Final, cast

from starlette.responses import Response

from botticelli.stages.post.edit import withdraw_post
from botticelli.store import media
from botticelli.store.curation import reviews
from botticelli.store.delivery import decisions, renditions
from botticelli.store.delivery.decisions import Decision, DeliveryView
from botticelli.store.reads.trace import IdKind, trace_post
from botticelli.web import review
from botticelli.web.app import Call, PageError

KINDS: Final[dict[str, IdKind]] = {"c": "candidate", "p": "post", "d": "delivery"}
SETTLES: Final = ("hold", "retry", "mark-posted", "drop", "withdraw")


def show_post(call: Call) -> Response:
    """Show all that is known of a post, by the id of its candidate, post or delivery."""
    name = str(call.request.path_params["name"])
    kind, number = KINDS.get(name[:1]), name[1:]
    found = None
    if kind and number.isdecimal() and len(number) <= 18:
        found = trace_post(call.conn, kind, number)
    if found is None:
        raise PageError(404, f"there is no post {name}")
    return call.show(
        "post.html",
        trace=found,
        one=found.candidate,
        etag=review.etag,
        tag=tag,
        destinations=call.desk.config.destinations,
        can_decide=call.may("approver"),
        can_edit=call.may("editor"),
        can_settle=call.may("approver"),
    )


def tag(one: DeliveryView) -> str:
    """Return what a person has seen of a delivery, as a hash."""
    seen = f"{one.state} {one.attempts} {len(one.history)} {one.remote_id}"
    return sha256(seen.encode()).hexdigest()[:32]


def settle(call: Call) -> Response:
    """Carry out a decision about a delivery, if it is as it was shown."""
    id_, do = call.path("id"), call.form.get("do", "")
    if do not in SETTLES:
        raise PageError(400, "that is no decision about a delivery")
    seen = decisions.find_delivery(call.conn, id_)
    if call.form.get("tag") != tag(seen):
        raise PageError(409, f"delivery {id_} is {seen.state} by now; nothing was changed")
    if do == "withdraw":
        if call.form.get("sure") != "yes":
            raise PageError(400, "say that you are sure: it is deleted from the channel")
        withdraw_post(call.desk.post_context(call.conn), id_, by=call.by)
    else:
        message = call.form.get("message", "").strip() or None
        note = call.form.get("note", "") or ("held by hand" if do == "hold" else "")
        decision = cast("Decision", do)
        decisions.decide(call.conn, id_, decision, by=call.by, note=note, remote_id=message)
    return call.go("/stages" if call.form.get("from") == "stages" else f"/posts/d{id_}")


def edit_rendition(call: Call) -> Response:
    """Replace what one destination gets in place of a post."""
    id_, name = call.path("id"), call.form.get("to", "")
    if name not in call.desk.config.destinations:
        raise PageError(404, f"there is no destination '{name}'")
    text, before = call.form.get("text", ""), call.form.get("before", "")
    renditions.edit(call.conn, id_, name, text=text, by=call.by, seen=before)
    return call.go(f"/posts/p{id_}")


def describe_picture(call: Call) -> Response:
    """Say what a picture of a candidate shows."""
    number, alt = call.form.get("picture", ""), call.form.get("alt", "")
    if not number.isdecimal():
        raise PageError(400, "which picture?")
    id_ = call.path("id")
    seen = reviews.find_candidates(call.conn, [id_])
    if call.form.get("etag") != review.etag(seen[0]):
        raise PageError(409, f"candidate {id_} was changed meanwhile; nothing was changed")
    reviews.describe(call.conn, id_, picture=int(number), alt=alt, by=call.by, seen=seen)
    return call.go(f"/posts/c{id_}")


def show_picture(call: Call) -> Response:
    """Send a picture; its address is its hash, so that it never changes."""
    found = media.find(call.conn, str(call.request.path_params["sha256"]))
    if found is None:
        raise PageError(404, "there is no such picture")
    headers = {
        "cache-control": "private, max-age=31536000, immutable",
        "content-security-policy": "default-src 'none'; sandbox",
    }
    return Response(found.content, 200, headers, found.mime)
