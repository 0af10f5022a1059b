"""The narratives in files: their acts, rounds and model calls."""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from botticelli.config.sources import read_text
from botticelli.errors import ConfigError, Exit
from botticelli.narrative.checks.needs import calls_per_run
from botticelli.narrative.language.cycles import check_nested
from botticelli.narrative.language.document import Shape, shape_of
from botticelli.narrative.language.load import load_file, resolve_nested
from botticelli.narrative.language.model import Narrative, NarrativeFile
from botticelli.records import record

LEFT_OUT: Final = frozenset({"target", "node_modules", "__pycache__"})


@record
class ListedNarrative:
    """One narrative that can be run.

    Args:
        reference: What to type after `botticelli run`.
        rounds: Of its carousel.
        target: Table that receives its rows; None if it stores none.
        calls_least, calls_most: Model calls of one run; fewer if acts may be skipped.
    """

    reference: str
    name: str
    description: str
    acts: tuple[str, ...]
    rounds: int
    target: str | None
    calls_least: int
    calls_most: int


@record
class ListedFile:
    """One file: its narratives, or what is wrong with it."""

    file: Path
    narratives: tuple[ListedNarrative, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@record
class NarrativesReport:
    """Files with their narratives. One that has to be fixed makes the exit code 78."""

    exit_code: int
    files: tuple[ListedFile, ...]


def list_narratives(
    places: Sequence[Path], *, folders: Sequence[Path], cwd: Path
) -> NarrativesReport:
    """Return the narratives of the files, and of the narrative files in the folders, in `places`.

    A narrative in one of the `folders` is referred to by its file's bare name.
    """
    found = narrative_files(places, folders=folders)
    files = tuple(_listed_file(path, folders=folders, cwd=cwd) for path in found)
    bad = any(each.problems for each in files)
    return NarrativesReport(exit_code=Exit.CONFIG if bad else Exit.DONE, files=files)


def narrative_files(places: Iterable[Path], *, folders: Sequence[Path] = ()) -> Iterator[Path]:
    """Yield each file once: those named, and in folders those that look like narratives.

    Of one name in several of the `folders` the first counts, as it does when it is run.
    """
    seen: set[Path] = set()
    for place in places:
        found = filter(_is_narrative, sorted(_below(place))) if place.is_dir() else [place]
        for path in found:
            name = path.relative_to(place) if place in folders else path.resolve()
            if name not in seen:
                seen.add(name)
                yield path


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*.toml"):
        inner = path.relative_to(folder).parts
        if not any(part.startswith(".") or part in LEFT_OUT for part in inner):
            yield path


def _is_narrative(path: Path) -> bool:
    """Return whether a file has the shape of a narrative; a broken one is shown, not hidden."""
    try:
        return shape_of(tomllib.loads(read_text(path, str(path)))) is not Shape.NONE
    except (ConfigError, OSError, ValueError, RecursionError):
        return True


def _listed_file(path: Path, *, folders: Sequence[Path], cwd: Path) -> ListedFile:
    is_usual = any(path.parent == folder for folder in folders)
    inner = path.relative_to(cwd) if path.is_relative_to(cwd) else path
    reference = path.stem if is_usual else str(inner.with_suffix(""))
    try:
        file = load_file(path)
        narratives = tuple(
            _listed(file, each, reference=reference, cwd=cwd) for each in file.narratives.values()
        )
    except ConfigError as error:
        return ListedFile(file=path, problems=tuple(map(str, error.problems)))
    return ListedFile(file=path, narratives=narratives, warnings=file.warnings)


def _listed(
    file: NarrativeFile, narrative: Narrative, *, reference: str, cwd: Path
) -> ListedNarrative:
    resolve = partial(resolve_nested, cwd=cwd)
    check_nested(file, narrative, resolve=resolve)
    calls = calls_per_run(file, narrative, resolve=resolve)
    is_default = file.default == narrative.key
    return ListedNarrative(
        reference=reference if is_default else f"{reference}:{narrative.key}",
        name=narrative.name,
        description=narrative.description,
        acts=tuple(act.name for act in narrative.acts),
        rounds=narrative.carousel.iterations if narrative.carousel else 1,
        target=_target(narrative),
        calls_least=calls.least,
        calls_most=calls.most,
    )


def _target(narrative: Narrative) -> str | None:
    """Return the table that receives the rows (docs/dialect.md §11.2); None if it stores none."""
    return None if narrative.skip_content_generation else narrative.target or narrative.name
