"""A narrative file, read and checked; narratives found by what a user calls them."""

import os
import re
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path

from botticelli.config.sources import read_text
from botticelli.errors import ConfigError
from botticelli.narrative.files.lookup import ROOT_MARKS, is_file
from botticelli.narrative.language.cycles import check_nested
from botticelli.narrative.language.document import read_document
from botticelli.narrative.language.inputs import readings
from botticelli.narrative.language.model import Narrative, NarrativeFile, Nested
from botticelli.narrative.language.table import Findings
from botticelli.text import nearest
from botticelli.toml_lines import parse


def load_file(path: Path) -> NarrativeFile:
    """Read a narrative file in any spelling; text and media files it names are not opened.

    Raises:
        ConfigError: It cannot be read, is not TOML or holds mistakes; carries every one of them.
    """
    return load_text(read_text(path, str(path)), path)


def load_text(text: str, path: Path) -> NarrativeFile:
    """Read the text of a narrative file; `path` names it and is where its files are looked up.

    Raises:
        ConfigError: The text is not TOML or holds mistakes; carries every one of them.
    """
    document = parse(text, str(path))
    findings = Findings(path=path, text=text)
    file = read_document(document, findings=findings)
    findings.raise_problems()
    return file


def find_narrative(
    reference: str, *, folders: Sequence[Path], cwd: Path
) -> tuple[NarrativeFile, Narrative]:
    """Return the narrative that FILE, FILE:NAME or FILE.NAME means, with its file.

    FILE, with or without ".toml", is looked for from the working directory, then in the folders,
    then among the shipped narratives; shipped/FILE is one of these, whatever the folders hold.

    Raises:
        ConfigError: There is no such file or narrative, the file holds mistakes, a file that it
            runs is missing or runs it in turn.
    """
    bare = reference.removeprefix("shipped/")
    places = (*(() if bare != reference else (cwd, *folders)), shipped_narratives())
    found = _locate(bare, places)
    if found is None:
        there = [place for place in places if os.path.isdir(place)]  # noqa: PTH112 - of any text
        stems = {path.stem for place in there for path in place.glob("*.toml")}
        near = nearest(re.split(r"[:.]", Path(reference).name)[0], stems)
        what = f"there is no narrative '{reference}'"
        raise ConfigError(what, hint=near or "see `botticelli narratives`")
    file = load_file(found[0])
    narrative = choose(file, found[1])
    check_nested(file, narrative, resolve=partial(resolve_nested, cwd=cwd))
    return file, narrative


def resolve_nested(
    file: NarrativeFile, nested: Nested, *, cwd: Path
) -> tuple[NarrativeFile, Narrative]:
    """Return what a nested input runs: a narrative of the file itself, else of another file.

    Looked for beside the calling file, then from the working directory, then from the project's
    root, and last by its bare name beside the calling file, in case both were moved.

    Raises:
        ConfigError: There is no such file or narrative, or the file holds mistakes.
    """
    if nested.name not in file.nested and nested.name in file.narratives:
        return file, file.narratives[nested.name]
    beside = file.path.parent
    places = (beside, cwd, *_project_roots(cwd), *_project_roots(beside.absolute()))
    found = _locate(nested.path, places) or _locate(Path(nested.path).name, (beside,))
    if found is None:
        raise ConfigError(
            f"nested narrative '{nested.name}': there is no file {nested.path}",
            where=str(file.path),
            hint=f"looked beside this file, in {cwd} and from the project's root",
        )
    allowed = [place.resolve() for place in places]
    if not any(found[0].resolve().is_relative_to(place) for place in allowed):
        raise ConfigError(
            f"nested narrative '{nested.name}': {nested.path} lies outside the project",
            where=str(file.path),
            hint="move it into the project's folder",
        )
    inner = load_file(found[0])
    return inner, choose(inner, found[1])


def choose(file: NarrativeFile, name: str = "") -> Narrative:
    """Return the narrative of that name (key, own name; of a single form also the file's stem).

    Without a name: the only one, the one of a single form, or the one that is called as its file.

    Raises:
        ConfigError: There is no such narrative, or several and no name.
    """
    listed = ", ".join(file.narratives)
    if not name:
        if file.default:
            return file.narratives[file.default]
        if file.path.stem in file.narratives:
            return file.narratives[file.path.stem]
        hint = f"say which: {file.path.stem}:NAME with one of {listed}"
        raise ConfigError("holds several narratives", where=str(file.path), hint=hint)
    if name in file.narratives:
        return file.narratives[name]
    named = [each for each in file.narratives.values() if each.name == name]
    if len(named) == 1:
        return named[0]
    if name == file.path.stem and file.default:
        return file.narratives[file.default]
    hint = nearest(name, file.narratives) or f"it holds {listed}"
    raise ConfigError(f"there is no narrative '{name}'", where=str(file.path), hint=hint)


def shipped_narratives() -> Path:
    """Return the folder of the narratives that come with Botticelli."""
    return Path(str(files("botticelli") / "narratives"))


def _locate(reference: str, places: Sequence[Path]) -> tuple[Path, str] | None:
    """Return the first file that the reference can mean, with the name of the narrative or ""."""
    for file, name in readings(reference):
        for place in places:
            for path in (place / file, place / f"{file}.toml"):
                if is_file(path):
                    return path, name
    return None


def _project_roots(folder: Path) -> list[Path]:
    """Return the nearest folder above (or the folder itself) that is the root of a project."""
    above = (folder, *folder.parents)
    return [each for each in above if any((each / mark).exists() for mark in ROOT_MARKS)][:1]
