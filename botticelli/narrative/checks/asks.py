"""What a narrative file asks for, and what of it only a person may grant (docs/security.md).

Any file may be looked at and may write candidates. What goes beyond that, such as commands or other
tables, is granted to one content: that of the file and of all files that it runs.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from botticelli.config.addresses import trust_line
from botticelli.config.trust.ownership import why_not_own
from botticelli.errors import ConfigError
from botticelli.narrative.language.cycles import Resolve, next_places
from botticelli.narrative.language.load import shipped_narratives
from botticelli.narrative.language.model import (
    BotCommand,
    Input,
    Media,
    Narrative,
    NarrativeFile,
    Nested,
    TableRead,
    Text,
)
from botticelli.narrative.language.template import Placeholder, placeholders
from botticelli.narrative.run.variables import ENVIRONMENT_NAME
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.tables.columns import GUARDED, TableError, answers_table
from botticelli.store.tables.inference import base_tables, foreign_tables

CANDIDATES: Final = "potential_discord_posts"
APPROVED: Final = "approved_discord_posts"
CONTENT: Final = frozenset({CANDIDATES, APPROVED, "content", "post_history"})


class Untrusted(ConfigError):
    """A narrative asks for more than nobody has granted it."""

    asks: "Asks"


@record
class Asks:
    """What a file asks for, each in order of its name.

    Args:
        commands: platform.command of its bot commands.
        targets: Tables that receive its rows.
        updates: Tables that update_table changes; "?" for a name that is only known in the run.
        removes: Tables whose rows it takes out (pull_and_delete).
        reads: Tables that it reads.
        hosts: Hosts that media are read from.
        environment: Variables that its prompts and arguments name.
    """

    commands: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it, a line for each kind."""
        return tuple(f"{name} {', '.join(each)}" for name, each in vars(self).items() if each)

    def __str__(self) -> str:
        """Return all of it in one line."""
        return "; ".join(self.lines) or "nothing"

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for."""
        return not any(vars(self).values())


def asks_of(narratives: Iterable[Narrative]) -> Asks:
    """Return what these narratives ask for by themselves."""
    found: dict[str, set[str]] = {each.name: set() for each in fields(Asks)}
    for narrative in narratives:
        for kind, name in _asked(narrative):
            found[kind].add(name)
    return Asks(**{kind: tuple(sorted(names)) for kind, names in found.items()})


def _asked(narrative: Narrative) -> Iterator[tuple[str, str]]:
    if not narrative.skip_content_generation or any(act.extract_output for act in narrative.acts):
        with suppress(TableError):  # the run ends with it
            yield "targets", answers_table(target=narrative.target, narrative=narrative.name)
    for _, given in narrative.inputs():
        yield from _asked_by(given)
    for placeholder in environment_names(narrative):
        yield "environment", placeholder.name.removeprefix("env:")


def _asked_by(given: Input) -> Iterator[tuple[str, str]]:
    if isinstance(given, BotCommand):
        yield "commands", f"{given.platform}.{given.command}"
        if given.platform == "database":
            table = str(given.args.get("table_name", ""))
            yield "updates", "?" if any(placeholders(table)) else table
    elif isinstance(given, TableRead) and not given.source:  # sources are the user's own settings
        yield "removes" if given.pull_and_delete else "reads", given.table
    elif isinstance(given, Media) and given.url:
        yield "hosts", urlsplit(given.url).netloc.rpartition("@")[2] or given.url


def environment_names(narrative: Narrative) -> Iterator[Placeholder]:
    """Yield the placeholders of a narrative that mean variables of the environment."""
    for act, given in narrative.inputs():
        texts: list[object] = [act.system]
        if isinstance(given, Text):
            texts.append(given.content or "")
        elif isinstance(given, BotCommand):
            texts.append(given.args)
        elif isinstance(given, TableRead):
            texts.append(given.where)
        yield from filter(is_variable, placeholders(texts))


def is_variable(placeholder: Placeholder) -> bool:
    """Return whether a placeholder looks like a variable of the environment."""
    name = placeholder.name
    is_dollar = placeholder.style == "dollar"
    return name.startswith("env:") or bool(is_dollar and ENVIRONMENT_NAME.fullmatch(name))


def reached(
    file: NarrativeFile, narrative: Narrative, resolve: Resolve
) -> Iterator[tuple[NarrativeFile, Narrative]]:
    """Yield a narrative and all that it runs and that can be found, each once."""
    waiting, seen = [(file, narrative)], set[str]()
    while waiting:
        place = waiting.pop()
        name = f"{place[0].path.resolve()}:{place[1].key}"
        if name not in seen:
            seen.add(name)
            yield place
            with suppress(ConfigError):  # where one is missing, `check` and the run say so
                waiting += next_places(*place, resolve=resolve)


def files_run(file: NarrativeFile, resolve: Resolve) -> tuple[NarrativeFile, ...]:
    """Return a file with all files that its narratives run, in the order in which they do."""
    found: dict[Path, NarrativeFile] = {}
    waiting = [file]
    while waiting:
        one = waiting.pop(0)
        if one.path.resolve() in found:
            continue
        found[one.path.resolve()] = one
        for _, _, given in one.inputs():
            if isinstance(given, Nested):
                with suppress(ConfigError):  # where it is missing, `check` and the run say so
                    waiting.append(resolve(one, given)[0])
    return tuple(found.values())


def content_hash(file: NarrativeFile) -> str:
    """Return the hash of the content that was read."""
    return hashlib.sha256(file.text.encode("utf-8", "surrogatepass")).hexdigest()


def digest(hashes: Sequence[str]) -> str:
    """Return the one hash that stands for the contents of a file and of those that it runs."""
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


@cache
def _shipped() -> frozenset[str]:
    files = shipped_narratives().glob("*.toml")
    texts = (path.read_text(encoding="utf-8-sig") for path in files)
    return frozenset(hashlib.sha256(text.encode()).hexdigest() for text in texts)


def nobody(_digest: str) -> bool:
    """Trust nothing."""
    return False


@record
class Rights:
    """What the user has granted to narratives.

    Args:
        is_trusted: Whether the user has granted a content (`digest`) what it asks for.
        granted: Whether the user's own configuration lets every narrative run a command.
        approves: Whether narratives may write approved posts
            ([security] approve_without_review).
        everything: The person has said so for this run (--allow-writes).
    """

    is_trusted: Callable[[str], bool] = nobody
    granted: Callable[[str], bool] = nobody
    approves: bool = False
    everything: bool = False

    def trusted(self, file: NarrativeFile, resolve: Resolve) -> frozenset[str]:
        """Return the hashes of what may be run for a file: all that it runs, or nothing."""
        files = files_run(file, resolve)
        hashes = [content_hash(each) for each in files]
        if _shipped().issuperset(hashes):
            return frozenset(hashes)
        is_own = not any(why_not_own(each.path) for each in files)
        return frozenset(hashes if is_own and self.is_trusted(digest(hashes)) else ())

    def judge(self, file: NarrativeFile, resolve: Resolve) -> tuple[Asks, bool]:
        """Return what a file and all that it runs ask for, and whether it may. No database."""
        run = files_run(file, resolve)
        asks = asks_of(each for one in run for each in one.narratives.values())
        return asks, self.missing(asks, None).is_empty or bool(self.trusted(file, resolve))

    def missing(self, asks: Asks, conn: Connection | None) -> Asks:
        """Return what of it a person has to grant.

        That is everything but to write candidates, to read content, and what is done with tables
        that narratives have made for themselves: without a database all tables that are not ours.
        """
        named = {*asks.targets, *asks.removes}
        foreign = named & CONTENT if conn is None else foreign_tables(conn, named)
        return Asks(
            commands=tuple(each for each in asks.commands if not self.granted(each)),
            targets=tuple(each for each in asks.targets if each in foreign - {CANDIDATES}),
            removes=tuple(each for each in asks.removes if each in foreign),
            reads=tuple(each for each in asks.reads if each in GUARDED),
            hosts=asks.hosts,
        )


def refuse_untrusted(
    narrative: Narrative,
    file: NarrativeFile,
    *,
    conn: Connection,
    rights: Rights,
    trusted: Callable[[], frozenset[str]],
    stores: bool = True,
) -> None:
    """Check that a narrative may do what it asks for.

    Args:
        narrative: The one that is about to run.
        file: Where it stands.
        conn: Knows which tables are there.
        rights: What the user has granted.
        trusted: Returns the hashes of contents that may run what they ask for.
        stores: Whether its rows go anywhere.

    Raises:
        Untrusted: It may not; the hint is the line to type.
    """
    if rights.everything:
        return
    asks = asks_of([narrative])
    asks = asks if stores else replace(asks, targets=())
    missing = rights.missing(asks, conn)
    if not missing.is_empty and content_hash(file) not in trusted():
        raise untrusted(file.path, missing)
    if not rights.approves and APPROVED in base_tables(conn, {*missing.targets, *missing.removes}):
        raise ConfigError(
            "approved posts are written by `botticelli curate` and by people",
            where=f"{file.path}: {narrative.name}",
            hint="let it write candidates, or set [security] approve_without_review = true",
        )


def untrusted(path: Path, asks: Asks) -> Untrusted:
    """Return the refusal of a file that asks for more than candidates."""
    why = why_not_own(path)
    refusal = Untrusted(
        f"is not trusted, and asks for more than to write candidates ({asks})",
        where=str(path),
        hint=f"{f'first make it your own: {why}' if why else 'read it'}, then: {trust_line(path)}",
    )
    refusal.asks = asks
    return refusal
