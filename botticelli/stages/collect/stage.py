"""The collect stage: read each source that is due; what is new is offered to narratives, once."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from botticelli import files
from botticelli.backoff import Backoff
from botticelli.config.addresses import require_trusted
from botticelli.config.operations import Source
from botticelli.errors import BotticelliError, ConfigError, Exit, Problem, UsageError
from botticelli.narrative.commands.base import CommandCall
from botticelli.narrative.errors import CommandFailed
from botticelli.narrative.run.context import RunContext
from botticelli.records import record
from botticelli.stages.collect import texts
from botticelli.stages.collect.visits import NotNow, SourceGone, Visits
from botticelli.stages.supervise import run_stage
from botticelli.stages.task import Run, Task, Worker
from botticelli.store import sources
from botticelli.store.sources import FoundItem, SourceState
from botticelli.store.tables import rows as tables
from botticelli.text import counted, shorten

LARGEST: Final = 10 * 1024 * 1024  # bytes of a feed or a page
LARGEST_FILE: Final = 1024 * 1024  # bytes
MOST_FILES: Final = 2_000
MARKDOWN: Final = (".md", ".markdown", ".mdx", ".txt")
BACKOFF: Final = Backoff(base=600, cap=86_400, jitter=0.2)  # seconds, after failures in a row
ACCEPT: Final = "application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.5"
# What reads each kind, of the extra `botticelli[sources]`.
LIBRARIES: Final[Mapping[str, tuple[str, ...]]] = {
    "feed": ("feedparser", "protego"),
    "page": ("trafilatura", "protego"),
    "github": ("feedparser",),
}
# Columns of a table in which a title, an address or a text stands, the likeliest first.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "title": ("title", "name", "subject", "headline"),
    "url": ("url", "link", "address"),
    "text": ("text", "text_content", "content", "body", "description", "summary"),
    "published_at": ("published_at", "created_at", "date"),
}


@record
class SourceResult:
    """What became of one source in a run.

    Args:
        new: Items that were not known; `offered` of them are for narratives to take.
        note: Why nothing came, or what a person should know.
    """

    source: str
    new: int = 0
    offered: int = 0
    note: str = ""
    exit_code: Exit = Exit.DONE


def require_readable(known: Mapping[str, Source]) -> None:
    """Find what keeps sources from being read at all; no network.

    Raises:
        ConfigError: A project that is not trusted names one, its folder is not there, or a library
            of `botticelli[sources]` is not installed.
    """
    problems: list[Problem] = []
    for source in known.values():
        try:
            _require_readable(source)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError.of(problems)


def _require_readable(source: Source) -> None:
    where = f"sources.{source.name}"
    require_trusted(source.url, where=where)
    if source.kind == "folder" and not source.folder.is_dir():
        what, hint = f"{source.folder} is no folder", "name a folder with Markdown files"
        raise ConfigError(what, where=where, hint=hint)
    for name in LIBRARIES.get(source.kind, ()):
        if find_spec(name) is None:
            hint = "pip install 'botticelli[sources]'"
            raise ConfigError(f"needs the library {name}", where=where, hint=hint)


@record
class CollectReport:
    """What a collect run did.

    Args:
        waiting: Sources that are not due yet.
        skipped: Why nothing was done; empty: something was.
    """

    results: tuple[SourceResult, ...] = ()
    waiting: int = 0
    skipped: str = ""
    reason: str = ""
    exit_code: Exit = Exit.DONE


@record
class CollectRequest:
    """What the command line asks for.

    Args:
        source: The one to read; empty: all that are due.
        now: Read them although they are not due.
    """

    source: str = ""
    now: bool = False

    def chosen(self, known: Mapping[str, Source]) -> tuple[Source, ...]:
        """Return the sources to look at.

        Raises:
            UsageError: There is none of that name.
            ConfigError: There is none at all.
        """
        if not known:
            raise ConfigError(
                "there is no source to collect from", hint="add a [sources.NAME] table"
            )
        if self.source and self.source not in known:
            what = f"there is no source '{self.source}'"
            raise UsageError(what, hint=f"name one of {', '.join(known)}")
        return (known[self.source],) if self.source else tuple(known.values())


def collect(context: RunContext, *, request: CollectRequest, visits: Visits) -> CollectReport:
    """Read the sources that are due, as the stage's only run.

    Raises:
        TryLater: The breaker is open or another run holds the lock.
        UsageError, ConfigError: There is no such source.
    """
    return run_stage(CollectTask(context, request, visits), context)


@record
class Reading:
    """What one reading gave; `state` is the source's from now on."""

    state: SourceState
    items: tuple[FoundItem, ...] = ()
    note: str = ""


class CollectTask(Task[SourceState, Reading, CollectReport]):
    """One run; a piece is a source that is due."""

    stage = "collect"
    report = CollectReport

    def __init__(self, context: RunContext, request: CollectRequest, visits: Visits) -> None:
        self._context = context
        self._request = request
        self._sources = {one.name: one for one in request.chosen(context.config.sources)}
        self._visits = visits
        self._results: list[SourceResult] = []

    def plan(self, run: Run) -> int:
        """See Task."""
        self._run = run
        wanted = [(one.name, one.place) for one in self._sources.values()]
        states = sources.read_states(self._context.conn, wanted)
        is_asked = self._request.now or self._request.source
        due = [state for state in states if state.due or is_asked]
        self._waiting, self._due = len(states) - len(due), iter(due)
        return len(due)

    def claim(self, worker: Worker) -> SourceState | None:
        """See Task."""
        return None if worker.pool.is_closing else next(self._due, None)

    def do(self, worker: Worker, piece: SourceState) -> Reading:  # noqa: ARG002 - Task's signature
        """See Task."""
        source = self._sources[piece.name]
        return Reader(context=self._context, source=source, visits=self._visits).read(piece)

    def settle(self, worker: Worker, piece: SourceState, made: Reading | BotticelliError) -> None:
        """See Task. A source that fails costs the others nothing."""
        source = self._sources[piece.name]
        if isinstance(made, Reading):
            kept = sources.keep(
                worker.conn,
                replace(made.state, failures=0, last_error="", is_gone=False),
                made.items,
                wait=source.interval,
                max_age=source.max_age,
                reuse_after=source.reuse_after,
            )
            self._results.append(SourceResult(source=piece.name, note=made.note, **vars(kept)))
            return
        failures = piece.failures + 1
        asked = made.wait.total_seconds() if isinstance(made, NotNow) and made.wait else None
        wait = BACKOFF.after(min(failures, 12), asked=asked, chance=self._context.chance)
        state = replace(
            piece, failures=failures, last_error=made.what, is_gone=isinstance(made, SourceGone)
        )
        sources.note(worker.conn, state, wait=max(source.interval, timedelta(seconds=wait)))
        code = Exit.UNAVAILABLE if isinstance(made, NotNow) else made.exit_code
        self._results.append(SourceResult(source=piece.name, note=str(made), exit_code=code))

    def finish(self, trouble: BotticelliError | None) -> CollectReport:
        """See Task."""
        if trouble is not None:
            raise trouble
        # One that fails while others work is a line in the log, and `sources` and `doctor` tell it.
        codes = [one.exit_code for one in self._results]
        codes = [] if Exit.DONE in codes else codes
        return CollectReport(
            results=tuple(self._results),
            waiting=self._waiting,
            reason=self._run.why_early(None),
            exit_code=codes[0] if codes else Exit.DONE,
        )

    def summary(self, report: CollectReport) -> dict[str, Any]:
        """See Task."""
        failed = [f"{one.source}: {one.note}" for one in report.results if one.exit_code]
        return {
            "sources": len(report.results),
            "new": sum(one.new for one in report.results),
            "offered": sum(one.offered for one in report.results),
            "waiting": report.waiting,
            **({"error": failed[0]} if failed else {}),
        }


@record
class Reader:
    """Reads one source."""

    context: RunContext
    source: Source
    visits: Visits

    def read(self, state: SourceState) -> Reading:
        """Return what the source holds now.

        Raises:
            NotNow, SourceGone, UnreadableSource, ConfigError: See Visits.
        """
        source, read = self.source, getattr(self, f"_read_{self.source.kind}")
        _require_readable(source)
        reading: Reading = read(state)
        return reading

    def _read_feed(self, state: SourceState) -> Reading:
        where = state.moved_to or self.source.place
        asked = {"If-None-Match": state.etag, "If-Modified-Since": state.last_modified}
        found = self.visits.read(
            where,
            limit=LARGEST,
            headers={"Accept": ACCEPT, **{name: value for name, value in asked.items() if value}},
            obeys_robots=self.source.kind != "github",
        )
        moved = found.moved_to
        state = replace(state, moved_to=moved or state.moved_to)
        note = f"it has moved for good to {moved}: change its address" if moved else ""
        if found.status == 304:
            return Reading(state=state, note=note)
        state = replace(
            state,
            etag=found.headers.get("etag", "")[:1000],
            last_modified=found.headers.get("last-modified", "")[:100],
        )
        if self.source.kind == "page":
            items = [texts.page_item(found.content, url=found.url)]
        else:
            mime = found.headers.get("content-type", "")
            items = texts.feed_items(found.content, url=found.url, mime=mime)
        return Reading(state=state, items=tuple(items), note=note)

    _read_page = _read_github = _read_feed

    def _read_folder(self, state: SourceState) -> Reading:
        found = _markdown(self.source.folder.resolve())
        items = [texts.file_item(name, text) for name, text in found]
        return Reading(state=state, items=tuple(item for item in items if item))

    def _read_discord(self, state: SourceState) -> Reading:
        call = CommandCall(
            platform=self.source.kind,
            command="messages.list",
            args={"channel_id": self.source.channel, "limit": 100},
        )
        try:
            found = self.context.commands.run(call)
        except CommandFailed as error:
            raise NotNow(error.what, where=f"sources.{self.source.name}") from error
        messages = found if isinstance(found, list) else found.get("messages", [])
        return Reading(state=state, items=tuple(_messages(messages)))

    def _read_table(self, state: SourceState) -> Reading:
        query = tables.Query(
            table=self.source.table, where=self.source.where, limit=texts.MOST_ITEMS
        )
        found = tables.read_rows(self.context.conn, query)
        places = {
            field: next((name for name in names if name in found.columns), "")
            for field, names in COLUMNS.items()
        }
        items = []
        for key, row in zip(found.keys, found.rows, strict=True):
            said = {field: row.get(name) for field, name in places.items()}
            url = str(said["url"] or "")
            items.append(
                FoundItem(
                    guid=key,
                    url=url,
                    address=texts.address_key(url),
                    title=shorten(str(said["title"] or ""), texts.LONGEST_TITLE),
                    text=str(said["text"] or "")[: texts.LONGEST_TEXT],
                    published_at=texts.day(said["published_at"]),
                )
            )
        return Reading(state=state, items=tuple(items))


def _markdown(root: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of the Markdown files below a folder; no link, nothing hidden."""
    found = (path for path in sorted(root.rglob("*")) if path.suffix.lower() in MARKDOWN)
    for number, path in enumerate(found):
        name = path.relative_to(root)
        if number >= MOST_FILES or any(part.startswith(".") for part in name.parts):
            continue
        try:
            content = files.read(path, limit=LARGEST_FILE, below=root)
        except OSError:
            continue
        yield str(name), content.decode(errors="replace")


def _messages(found: list[Mapping[str, Any]]) -> Iterator[FoundItem]:
    """Yield what people wrote; bots' own messages, ours among them, are no source."""
    for message in found:
        text = str(message.get("content") or "").strip()
        author = message.get("author")
        if text and not (isinstance(author, Mapping) and author.get("bot")):
            yield FoundItem(
                guid=str(message.get("id")),
                title=shorten(text, 80),
                text=text,
                published_at=texts.day(message.get("timestamp")),
            )


def found_words(result: SourceResult) -> str:
    """Return what became of a source, in words."""
    if result.exit_code != Exit.DONE:
        return result.note
    words = f"{counted(result.new, 'new item')}, {result.offered} to write about"
    return f"{words}; {result.note}" if result.note else words
