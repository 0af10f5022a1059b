"""Renditions: an approved post in the form of a destination that it is too long for.

One call each, after the approval and before the post is due: no model stands in the way of a post.
The answer is stored before anything else, so that a run that was killed pays for it once; what is
made of it is judged by the rules of the destination, as the post itself would be.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from botticelli.config.model import Destination
from botticelli.errors import BotticelliError, Exit
from botticelli.models.base import PermanentError
from botticelli.narrative.answers.answer import Answer
from botticelli.narrative.answers.dry_run import CallsEstimate, PlannedCall, estimate
from botticelli.narrative.errors import ActFailed
from botticelli.narrative.language.model import Narrative, NarrativeFile
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.runner import dry_runner
from botticelli.platforms.open import wanted_by
from botticelli.records import record
from botticelli.stages.adapt.pictures import describe_waiting
from botticelli.stages.adapt.recycle import Recycled, recycle
from botticelli.stages.adapt.telling import tell
from botticelli.stages.aside import AsideReport, run_aside
from botticelli.store.delivery import posts, renditions
from botticelli.store.delivery.posts import PostContent
from botticelli.store.delivery.renditions import State

if TYPE_CHECKING:
    from botticelli.stages.post.target import PostTarget

MOST: Final = 200  # posts that are looked at for one destination, those that are due first


OpenTarget = Callable[[Destination], "PostTarget"]


@record
class Adapted:
    """What became of one rendition, or of the words for a picture; `note`: why there are none.

    `picture`: its number among those of the post; 0: it is a rendition.
    """

    destination: str
    post: int
    state: State
    text: str = ""
    note: str = ""
    picture: int = 0


@record
class AdaptReport(AsideReport):
    """What a run has adapted, and said anew."""

    adapted: tuple[Adapted, ...] = ()
    recycled: tuple[Recycled, ...] = ()

    @property
    def summary(self) -> dict[str, Any]:
        """What is stored with the run."""
        states = [one.state for one in self.adapted if not one.picture]
        counts = {"adapted": states.count("ready"), "not_adapted": states.count("held")}
        return counts | ({"recycled": len(self.recycled)} if self.recycled else {})


def adapt(context: RunContext, open_target: OpenTarget, *, to: str = "") -> AdaptReport:
    """Make every rendition that is wanted, as a run of curation; `to`: for one destination.

    Raises:
        TryLater: The stage is locked, its breaker is open, or a signal broke it off.
    """
    return run_aside(context, lambda mine: adapt_waiting(mine, open_target, to=to), AdaptReport)


def adapt_waiting(context: RunContext, open_target: OpenTarget, *, to: str = "") -> AdaptReport:
    """Make every rendition that is wanted, words for pictures that have none, and posts anew.

    What fails for one destination costs no other.
    """
    adapted: list[Adapted] = []
    recycled: list[Recycled] = []
    problems: dict[str, Exit] = {}
    try:
        for one, alt, note in describe_waiting(context):
            adapted.append(
                Adapted(
                    destination="",
                    post=one.post_id or one.candidate_id or 0,
                    state="ready" if alt else "held",
                    text=alt,
                    note=note,
                    picture=one.position,
                )
            )
    except BotticelliError as error:
        problems[f"pictures: {error.problems[0]}"] = error.exit_code
    for destination in context.config.destinations.values():
        if to and destination.name != to:
            continue
        try:
            adapted += _adapted(context, destination, open_target)
            recycled += recycle(context, destination)
        except BotticelliError as error:
            problems[f"{destination.name}: {error.problems[0]}"] = error.exit_code
            if context.stop.is_set():
                break
    codes = problems.values()
    return AdaptReport(
        adapted=tuple(adapted),
        recycled=tuple(recycled),
        problems=tuple(problems),
        exit_code=next((code for code in (Exit.CONFIG, *codes) if code in codes), Exit.DONE),
    )


def _adapted(
    context: RunContext, destination: Destination, open_target: OpenTarget
) -> Iterator[Adapted]:
    if destination.adapt:
        for wanted in _wanted(context, destination, open_target):
            yield from wanted.make()


@record
class AdaptDryRun(CallsEstimate):
    """What adapting would cost.

    Args:
        wanted: The posts that are too long, with the destination of each.
    """

    wanted: tuple[Adapted, ...] = ()
    exit_code: Exit = Exit.DONE


def dry_run_adapt(context: RunContext, open_target: OpenTarget, *, to: str = "") -> AdaptDryRun:
    """Return what would be adapted and what it would cost. Nothing is spent or written."""
    calls: list[PlannedCall] = []
    found: list[Adapted] = []
    for destination in context.config.destinations.values():
        if destination.adapt and to in ("", destination.name):
            for one in _wanted(context, destination, open_target, is_dry=True):
                calls += one.calls()
                found.append(one.result("open", one.content.text))
    return AdaptDryRun(wanted=tuple(found), **vars(estimate(calls)))


def _wanted(
    context: RunContext, destination: Destination, open_target: OpenTarget, *, is_dry: bool = False
) -> "Iterator[Wanted]":
    """Yield the posts that are too long for a destination, and have no rendition for it."""
    conn, name = context.conn, destination.name
    names = tuple(context.config.destinations)
    waiting = posts.peek(conn, wanted_by(destination), names=names, limit=MOST)
    if not waiting:
        return
    file, narrative = context.find(destination.adapt)
    target = open_target(destination)
    for one in waiting:
        content = target.content(one.post_id)
        if not content.is_approved or content.rendition in ("ready", "held"):
            continue
        if not target.fits(content):
            yield Wanted(
                context=context, target=target, file=file, narrative=narrative, content=content
            )
        elif content.rendition and not is_dry:
            renditions.forget_open(conn, one.post_id, name)


@record
class Wanted:
    """A post that is to be adapted to a destination."""

    context: RunContext
    target: "PostTarget"
    file: NarrativeFile
    narrative: Narrative
    content: PostContent

    def make(self) -> list[Adapted]:
        """Ask for the rendition, once more if the first one will not do, and store it.

        Raises:
            BotticelliError: No model can be asked now, or no platform; it stays open.
        """
        conn, name = self.context.conn, self.target.destination.name
        posts.ask_for_rendition(conn, self.content.post_id, name)
        made, answer, why = self._write("")
        if why:
            made, answer, why = self._write(why)
        is_stored = renditions.settle(
            conn,
            self.content.post_id,
            name,
            state="held" if why else "ready",
            text=made.text,
            parts=made.parts,
            note=why,
            model=answer.model if answer else "",
            execution_id=answer.execution_id if answer else None,
        )
        return [self.result("held" if why else "ready", made.text, why)] if is_stored else []

    def result(self, state: State, text: str, note: str = "") -> Adapted:
        """Return what is reported of it."""
        name, post = self.target.destination.name, self.content.post_id
        return Adapted(destination=name, post=post, state=state, text=text, note=note)

    def calls(self) -> list[PlannedCall]:
        """Return the calls that it takes. Nothing is asked."""
        runner, caller = dry_runner(self.context, self.file, options=self._options(""))
        runner.run(self.narrative)
        return caller.calls

    def _write(self, reason: str) -> tuple[PostContent, Answer | None, str]:
        """Return the post as the narrative says it, its answer, and why it may not be sent.

        `reason`: why an earlier one may not.
        """
        try:
            made, answer = self._ask(reason)
            return made, answer, self._objection(made)
        except (ActFailed, PermanentError) as error:
            return replace(self.content, text="", parts=None), None, str(error.problems[0])

    def _ask(self, reason: str) -> tuple[PostContent, Answer | None]:
        """Return the post as the narrative says it; what was answered before is not asked again."""
        place = f"{self.content.post_id}/{self.target.destination.name}/"
        told = tell(
            self.context, self.file, self.narrative, place=place, options=self._options(reason)
        )
        model = told.answer.model if told.answer else ""
        made = replace(self.content, text=told.text, parts=told.post.get("parts"), model=model)
        return made, told.answer

    def _options(self, reason: str) -> RunOptions:
        content, destination = self.content, self.target.destination
        again = f"An earlier version of yours cannot be sent: {reason}. Write it anew."
        variables = {
            "text": content.text,
            "title": content.title,
            "link": content.link,
            "language": content.language,
            "destination": destination.name,
            "platform": destination.platform,
            "length": str(self._room()),
            "reason": again if reason else "",
        }
        return RunOptions(models=self.context.config.models.default, variables=variables)

    def _room(self) -> int:
        """Return how long a text may be there; its link is added to it where none is shown."""
        platform, link = self.target.platform, self.content.link
        is_added = link and not platform.shows_link and link not in self.content.text
        return platform.limits.length - (platform.length(f"\n\n{link}") if is_added else 0)

    def _objection(self, made: PostContent) -> str:
        """Return why a rendition may not be sent; empty if it may."""
        from botticelli.platforms.rules.post_rules import objections
        from botticelli.platforms.rules.text_reading import TextReading, disallowed_host

        own = TextReading(f"{self.content.text} {self.content.link}").links
        if host := disallowed_host(TextReading(made.text).links, [link.host for link in own]):
            return f"it links to {host}, the post does not"
        whole = replace(self.target.destination, too_long="refuse")
        return objections(replace(self.target, destination=whole).judge(made))
