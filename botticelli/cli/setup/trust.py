"""`botticelli trust`."""

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from botticelli.cli.shared.command_guard import asking
from botticelli.cli.shared.trusting import record_of, rights
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.config.addresses import trust_line
from botticelli.config.trust.records import TrustRecord
from botticelli.errors import BotticelliError, UsageError
from botticelli.records import record
from botticelli.text import shorten


@record
class TrustReport:
    """Records of what the user trusts.

    Args:
        removed: How many were taken back.
    """

    trusted: tuple[TrustRecord, ...] = ()
    removed: int = 0


@command()
def trust(
    env: Environment, paths: list[Path] | None = None, *, listed: bool = False, remove: bool = False
) -> TrustReport:
    """Trust a narrative or a project with what it asks for.

    Prints what that is. Whatever changes in the files is asked about again.

    Takes:
        paths [FILE|DIR]...: Narrative files, or a project's folder.
        listed --list: List what is trusted.
        remove: Take the trust back.

    Examples:
        botticelli trust narratives/poster.toml
        botticelli trust .
        botticelli trust --list
    """
    places = [(env.cwd / path).resolve() for path in paths or ()]
    if listed:
        known = env.trust.records()
        return TrustReport(
            trusted=tuple(each for each in known if not places or _is_in(each, places))
        )
    if not places:
        raise UsageError("nothing is named", hint="name a narrative file or a folder, or --list")
    if remove:
        digests = [each.digest for each in env.trust.records() if _is_in(each, places)]
        return TrustReport(removed=env.trust.remove(digests))
    return TrustReport(trusted=tuple(each for place in places for each in trust_place(env, place)))


def _is_in(entry: TrustRecord, places: list[Path]) -> bool:
    return any(Path(entry.path).is_relative_to(place) for place in places)


def trust_place(env: Environment, place: Path) -> list[TrustRecord]:
    """Trust a narrative file, or a project with the narratives in its folder; return the records.

    What cannot be trusted in a folder is complained about, and the rest is.

    Raises:
        UsageError: There is no such file.
        ConfigError: The file holds mistakes, or another user could have written it.
    """
    made = list(_records(env, place))
    for entry in made:
        env.trust.write(entry)
    return made


def trust_own(env: Environment, folder: Path, *, written: Collection[Path], yes: bool) -> None:
    """Trust what a person has just made in a folder; what was there before is theirs to judge.

    It is shown, and asked about at a terminal unless they have said `yes`.
    """
    entries = list(_records(env, folder))
    strange = [
        each for each in entries if Path(each.path) not in written and needs_trust(env, each)
    ]
    for entry in strange:
        env.say(f"{entry.path} was here before, and asks for:")
        for line in entry.asks:
            env.say(f"  {shorten(line, 200)}")
    ask = None if yes or not strange else asking(env)
    if strange and not yes and (ask is None or ask("Trust all of it?") == "no"):
        entries = [each for each in entries if each not in strange]
        env.say(f"it is not trusted; once you have read it: {trust_line(folder)}")
    for entry in entries:
        env.trust.write(entry)


def needs_trust(env: Environment, entry: TrustRecord) -> bool:
    """Return whether what a record stands for asks for something that is not granted yet."""
    path = Path(entry.path)
    if path.is_dir():
        known = env.trust.get(entry.digest)
        return not set(entry.asks) <= set(known.asks if known else ())
    from botticelli.narrative.checks.asks import asks_of, files_run
    from botticelli.narrative.language.load import load_file, resolve_nested

    file, granted = load_file(path), rights(env)
    resolve = partial(resolve_nested, cwd=env.cwd)
    asks = asks_of(each for one in files_run(file, resolve) for each in one.narratives.values())
    missing = granted.missing(asks, None)
    return not (missing.is_empty or granted.trusted(file, resolve))


def _records(env: Environment, place: Path) -> Iterator[TrustRecord]:
    """Yield what stands for a yes to a file, or to all that lies in a folder.

    What cannot be trusted in a folder is complained about.

    Raises:
        UsageError: There is no such file.
        ConfigError: The file holds mistakes, or another user could have written it.
    """
    from botticelli.narrative.language.load import load_file, resolve_nested
    from botticelli.reports.narratives import narrative_files

    if not place.exists():
        raise UsageError(f"there is no {place}", hint="name a narrative file or a folder")
    resolve = partial(resolve_nested, cwd=env.cwd)

    def narrative(path: Path) -> TrustRecord:
        return record_of(env, load_file(path), resolve)

    if not place.is_dir():
        yield narrative(place)
        return
    parts: list[Callable[[], TrustRecord | None]] = [partial(_project, env, place)]
    parts += [partial(narrative, path) for path in narrative_files([place])]
    for part in parts:
        try:
            if entry := part():
                yield entry
        except BotticelliError as error:
            env.complain(f"not trusted: {error}")


def _project(env: Environment, folder: Path) -> TrustRecord | None:
    """Return the record of the project that begins in a folder; None if none does."""
    from botticelli.config.trust.project import record_of as record_of_project

    inner = env.at(folder)
    inner.config  # noqa: B018 - reads the files
    if inner.files is None or inner.files.root.resolve() != folder:
        return None
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return record_of_project(folder, inner.asks, by=env.user, at=at)


@render.register
def _(report: TrustReport, console: Console) -> None:
    for entry in report.trusted:
        console.line(entry.path, style="bold")
        for line in entry.asks or ("asks for nothing",):
            console.line(f"  {shorten(line, 200)}")
        console.line(f"  trusted by {entry.by}, {entry.at}")
    if report.removed:
        console.line(f"{report.removed} taken back")
    elif not report.trusted:
        console.line("nothing is trusted")
