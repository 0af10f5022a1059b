"""`botticelli deliveries`, `edit` and `withdraw`: where posts are, and decisions on them."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from botticelli.cli.reports.trace import print_delivery
from botticelli.cli.review.decide import candidate_ids, decided
from botticelli.cli.shared import choices
from botticelli.cli.shared.ids import Id, argument, number_of, parser_of
from botticelli.cli.shell.command import Done, command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Console, Lines, Listing, render, state
from botticelli.cli.work.post import context_of
from botticelli.errors import Exit, UsageError
from botticelli.platforms.open import wanted_by
from botticelli.records import record
from botticelli.stages.post.edit import edit_post, withdraw_post
from botticelli.stages.post.target import PostRequest
from botticelli.store.connection import Connection
from botticelli.store.curation import reviews
from botticelli.store.delivery import channels, decisions, renditions
from botticelli.store.delivery.decisions import Decision, DeliveryView
from botticelli.text import shorten

ID: Final = number_of("delivery")
Deliveries = Annotated[list[int], argument(ID, "Ids of deliveries (4 or d4).", metavar="ID...")]
Delivery = Annotated[int, argument(ID, "The id of the delivery (4 or d4).")]
Editable = Annotated[Id, argument(parser_of("delivery", "candidate", "post"), "")]
SHOWN: Final[Columns] = {
    "id>": lambda one: f"d{one.id}",
    "post>": lambda one: f"p{one.post_id}",
    "to": "destination",
    "state": lambda one: state(one.state),
    "tries>": "attempts",
    "posted": lambda one: f"{one.posted_at:%m-%d %H:%M}" if one.posted_at else None,
    "text or reason": lambda one: shorten(one.last_error or one.text, 60),
}
deliveries = group(
    "deliveries",
    examples="""
    botticelli deliveries
    botticelli deliveries show 4
    botticelli deliveries mark-posted 4   # it is in the channel, as you have seen
    """,
)


@record
class DeliveryDetails:
    """One delivery with its history."""

    delivery: DeliveryView


@command(deliveries, "list")
def list_deliveries(conn: Connection, *, limit: int = 50) -> Listing:
    """List deliveries, the newest first.

    Takes:
        limit N: Show at most N deliveries.
    """
    return _listed(decisions.list_deliveries(conn, states=None, limit=limit))


@command(deliveries)
def held(conn: Connection) -> Listing:
    """List held and failed deliveries, which wait for a decision."""
    return _listed(decisions.list_deliveries(conn, states=("held", "failed"), limit=1000))


def _listed(found: Sequence[DeliveryView]) -> Listing:
    return Listing(name="deliveries", rows=found, columns=SHOWN, empty="no deliveries")


@command(deliveries)
def show(conn: Connection, delivery: Delivery) -> DeliveryDetails:
    """Show a delivery with its text and history."""
    return DeliveryDetails(delivery=decisions.find_delivery(conn, delivery))


@command(deliveries, decides=True)
def hold(env: Environment, conn: Connection, delivery: Delivery) -> Lines:
    """Keep a delivery from being sent until `retry`."""
    return _decide(env, conn, delivery, "hold", note="held by hand")


@command(deliveries, decides=True)
def retry(env: Environment, conn: Connection, delivery: Deliveries) -> Lines:
    """Send held or failed deliveries again; look into the channel first.

    Of one that is posted, what should follow is tried again.
    """
    with conn.transaction():  # all of them, or none
        made = [_decide(env, conn, one, "retry") for one in dict.fromkeys(delivery)]
    facts = made[0].facts if len(made) == 1 else {"decisions": [one.facts for one in made]}
    return Lines(text=[str(one.text) for one in made], facts=facts)


@command(deliveries, "mark-posted", decides=True)
def mark_posted(
    env: Environment, conn: Connection, delivery: Delivery, *, message: str | None = None
) -> Lines:
    """Record that a delivery is in the channel already.

    Takes:
        message ID: The id of the message in the channel.
    """
    return _decide(env, conn, delivery, "mark-posted", remote_id=message)


@command(deliveries, writes=True)
def confirm(env: Environment, conn: Connection, name: choices.Destination) -> Done:
    """Let a destination post to its new channel from now on.

    Takes:
        name NAME: The destination.
    """
    destination = env.config.destinations.get(name)
    wanted = None if destination is None else wanted_by(destination)
    if wanted is None or not wanted.place:
        known = ", ".join(env.config.destinations)
        raise UsageError(f"there is no destination '{name}' with a channel", hint=f"name {known}")
    channels.confirm(conn, wanted)
    line = f"'{name}' posts to {wanted.place} from now on"
    return Done(line=line, facts={"destination": name, "place": wanted.place})


@command(deliveries, decides=True)
def drop(env: Environment, conn: Connection, delivery: Delivery) -> Lines:
    """Never send a delivery; its row is kept."""
    return _decide(env, conn, delivery, "drop")


def _decide(
    env: Environment, conn: Connection, delivery: int, decision: Decision, **more: Any
) -> Lines:
    seen = decisions.decide(conn, delivery, decision, by=env.user, **more)
    return _decided(decision, seen)


def _decided(decision: str, one: DeliveryView) -> Lines:
    """Return a delivery after a person's decision."""
    text = f"delivery {one.id} to '{one.destination}' is {one.state} now"
    return Lines(text=text, facts={"decision": decision, "delivery": one})


@render.register
def _(report: DeliveryDetails, console: Console) -> None:
    print_delivery(report.delivery, console, is_full=True)
    console.line("\n" + report.delivery.text, indent=0)


@command(decides=True)
def edit(
    env: Environment,
    conn: Connection,
    post: Editable,
    *,
    text: str | None = None,
    file: Path | None = None,
    to: choices.ToDestination = None,
    alt: str | None = None,
    picture: int = 1,
    approve: bool = False,
) -> Lines:
    """Edit a post, published or not.

    Without --text and --file the text is opened in $VISUAL or $EDITOR.

    Takes:
        post ID: A published delivery (4 or d4), or a candidate (c12) or post (p5) not sent yet.
        text TEXT: The new text.
        file FILE: Read the new text from a file; - is stdin.
        to NAME: Edit what this destination gets in place of an approved post.
        alt TEXT: Say what its picture shows, for those who do not see it; its text stays.
        picture N: Which of its pictures --alt is about.
        approve: Also approve it, if it is not sent yet.

    Examples:
        botticelli edit 4
        botticelli edit 4 --text "The meeting is on Friday."
        botticelli edit c12 --file better.md --approve
        botticelli edit p5 --to mastodon
        botticelli edit c12 --alt "A cat asleep on a keyboard"
    """
    if alt is not None and (text or file or to or approve):
        raise UsageError("--alt excludes --text, --file, --to and --approve")
    if to:
        return _edit_rendition(env, conn, post, to, text=text, file=file)
    if post.kind == "delivery":
        if approve or alt is not None:
            raise UsageError("--approve and --alt are for candidates", hint="name one, such as c12")
        new = _new_text(env, text, file, before=decisions.find_delivery(conn, post.number).text)
        seen = edit_post(context_of(env, conn), post.number, text=new, by=env.user)
        return _decided("edit", seen)
    [candidate] = reviews.find_candidates(conn, candidate_ids(conn, [post]))
    if alt is not None:
        found = reviews.describe(conn, candidate.id, picture=picture, alt=alt, by=env.user)
        return decided(env, "edit", [found])
    new = _new_text(env, text, file, before=candidate.text_content)
    found = reviews.edit(conn, candidate.id, text=new, by=env.user, seen=candidate, approve=approve)
    return decided(env, "edit", [found])


def _edit_rendition(
    env: Environment, conn: Connection, post: Id, to: str, *, text: str | None, file: Path | None
) -> Lines:
    """Replace the text that a destination gets in place of a post."""
    PostRequest(to=to).destinations(env.config)
    if post.kind == "delivery":
        raise UsageError("--to is for posts", hint="name one, such as p5")
    number = post.number
    if post.kind == "candidate":
        [candidate] = reviews.find_candidates(conn, [number])
        if candidate.post_id is None or candidate.review_status != "approved":
            what = f"it is {candidate.status}; only what is approved has a text for one destination"
            raise UsageError(what, where=f"candidate {number}")
        number = candidate.post_id
    new = _new_text(env, text, file, before=renditions.text_for(conn, number, to))
    renditions.edit(conn, number, to, text=new, by=env.user)
    line = f"p{number} has a text of its own for '{to}' now: {shorten(new, 60)}"
    return Lines(text=line, facts={"post": number, "destination": to, "text": new})


@command(decides=True)
def withdraw(
    env: Environment, conn: Connection, delivery: Delivery, *, yes: bool = False
) -> Lines | int:
    """Delete a published post from its channel.

    Takes:
        yes: Do not ask.

    Examples:
        botticelli withdraw 4
        botticelli withdraw 4 --yes
    """
    one = decisions.find_delivery(conn, delivery)
    if one.state == "posted" and not yes:
        if not (env.is_terminal and sys.stdin.isatty()):
            raise UsageError(
                "nobody is there to confirm it",
                where=f"delivery {delivery}",
                hint=f"`botticelli withdraw {delivery} --yes` deletes it",
            )
        env.console.line(one.remote_url or one.remote_id or "")
        env.console.line(one.text, indent=0)
        if not typer.confirm(f"Delete this from '{one.destination}'?"):
            env.say("nothing was changed")
            return Exit.FAILED
    seen = withdraw_post(context_of(env, conn), delivery, by=env.user)
    return _decided("withdraw", seen)


def _new_text(env: Environment, text: str | None, file: Path | None, *, before: str) -> str:
    """Return the text of --text, --file or the editor.

    Raises:
        UsageError: There is none, it cannot be read, or it is the same as before.
    """
    if text is not None and file is not None:
        raise UsageError("--text and --file exclude each other")
    try:
        if text is not None:
            new = text
        elif str(file) == "-":
            new = typer.get_text_stream("stdin").read()
        else:
            new = _read(env.cwd / file) if file else _ask_editor(env, before)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"it cannot be read ({error})", where=str(file or "editor")) from error
    if new == before:
        raise UsageError("the new text is the same")
    return new


def _read(path: Path) -> str:
    """Return a file's text; the newline that editors put at the end is not part of it."""
    return path.read_text(encoding="utf-8").removesuffix("\n")


def _ask_editor(env: Environment, before: str) -> str:
    import shlex
    import subprocess

    editor = env.environ.get("VISUAL") or env.environ.get("EDITOR")
    if not editor:
        raise UsageError("there is no new text", hint="give --text or --file, or set EDITOR")
    with tempfile.TemporaryDirectory(prefix="botticelli-") as folder:
        path = Path(folder, "post.md")
        path.write_text(before + "\n", encoding="utf-8")
        try:
            done = subprocess.run([*shlex.split(editor), path], check=False)  # noqa: S603 - the user's own
        except OSError as error:
            what = f"'{editor}' cannot be run ({error.strerror})"
            raise UsageError(what, hint="fix EDITOR") from error
        if done.returncode:
            raise UsageError(f"the editor ended with {done.returncode}; nothing was changed")
        return _read(path)
