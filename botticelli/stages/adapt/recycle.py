"""Evergreens: the best posts of long ago said anew, while nothing fresh waits for a destination."""

from botticelli.config.model import Destination
from botticelli.models.base import PermanentError
from botticelli.narrative.answers.answer import Answer
from botticelli.narrative.errors import ActFailed
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.records import record
from botticelli.stages.adapt.telling import tell
from botticelli.store.curation import recycling
from botticelli.store.curation.recycling import OldPost


@record
class Recycled:
    """A post that was said anew.

    Args:
        candidate: What it is now: the judge looks at it as at any other.
        note: Why it is no candidate but rejected.
    """

    destination: str
    post: int
    candidate: int
    text: str
    note: str = ""
    why: str = ""


def recycle(context: RunContext, destination: Destination) -> list[Recycled]:
    """Have the best old post of a destination said anew, if it wants that and it is time for it.

    Never word for word: a text that is too much like the old one is asked for once more, and
    rejected then; it counts as one of the times that the post may be said anew.

    Raises:
        BotticelliError: No model can be asked now.
    """
    rules, name = destination.recycle, destination.name
    if not rules.after:
        return []
    old = recycling.find_best(
        context.conn,
        name,
        after=rules.after,
        at_most=rules.at_most,
        zone=destination.time_zone,
    )
    if old is None:
        return []
    text, answer, why = _write(context, destination, old, "")
    if why:
        text, answer, why = _write(context, destination, old, why)
    candidate = recycling.keep(
        context.conn,
        old,
        name,
        text=text,
        note=why,
        narrative=rules.narrative,
        model=answer.model if answer else "",
        execution_id=answer.execution_id if answer else None,
        run_id=context.run_id,
    )
    if candidate is None:
        return []
    made = Recycled(
        destination=name, post=old.id, candidate=candidate, text=text, note=why, why=old.why
    )
    return [made]


def _write(
    context: RunContext, destination: Destination, old: OldPost, reason: str
) -> tuple[str, Answer | None, str]:
    """Return the text, the answer that it is from, and why it will not do."""
    file, narrative = context.find(destination.recycle.narrative)
    again = f"An earlier version of yours will not do: {reason}. Write it anew."
    variables = {
        "text": old.text,
        "title": old.title,
        "link": old.link,
        "language": old.language,
        "destination": destination.name,
        "platform": destination.platform,
        "reason": again if reason else "",
    }
    options = RunOptions(models=context.config.models.default, variables=variables)
    place = f"recycle/{old.id}/{destination.name}/{old.times}/"
    try:
        told = tell(context, file, narrative, place=place, options=options)
    except (ActFailed, PermanentError) as error:
        return "", None, str(error.problems[0])
    return told.text, told.answer, _objection(context, told.text, old)


def _objection(context: RunContext, text: str, old: OldPost) -> str:
    """Return why a text is no new one; empty if it is."""
    from botticelli.platforms.rules.text_reading import TextReading, disallowed_host
    from botticelli.stages.curate.similarity import alike

    own = TextReading(f"{old.text} {old.link}").links
    if host := disallowed_host(TextReading(text).links, [link.host for link in own]):
        return f"it links to {host}, the old post does not"
    if alike(text, [old.text], near=context.config.similarity.near):
        return "it is too much like the old one"
    return "" if text else "it is empty"
