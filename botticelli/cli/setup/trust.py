"""`botticelli trust`."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from botticelli.cli.shared.command_guard import asking, record_of, rights
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Lines, Styled
from botticelli.config.addresses import trust_line
from botticelli.config.trust.records import TrustRecord
from botticelli.errors import BotticelliError, UsageError
from botticelli.text import shorten


@command()
def trust(
    env: Environment, paths: list[Path] | None = None, *, listed: bool = False, remove: bool = False
) -> Lines:
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
    known = [
        each
        for each in env.trust.records()
        if any(Path(each.path).is_relative_to(place) for place in places) or (listed and not places)
    ]
    if listed:
        return _shown(known)
    if not places:
        raise UsageError("nothing is named", hint="name a narrative file or a folder, or --list")
    if remove:
        return _shown(removed=env.trust.remove([each.digest for each in known]))
    made: list[TrustRecord] = []
    for place in places:
        found = list(_records(env, place))
        for entry in found:
            env.trust.write(entry)
        made += found
    return _shown(made)


def _shown(trusted: Sequence[TrustRecord] = (), *, removed: int = 0) -> Lines:
    """Return the report of what the user trusts, or how many records were taken back."""
    lines: list[str | Styled] = []
    for entry in trusted:
        asks = (f"  {shorten(line, 200)}" for line in entry.asks or ("asks for nothing",))
        lines += [Styled(entry.path, "bold"), *asks, f"  trusted by {entry.by}, {entry.at}"]
    if removed or not trusted:
        lines.append(f"{removed} taken back" if removed else "nothing is trusted")
    return Lines(text=lines, facts={"trusted": trusted, "removed": removed})


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
    from botticelli.narrative.language.load import load_file, resolve_nested

    return not rights(env).judge(load_file(path), partial(resolve_nested, cwd=env.cwd))[1]


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
