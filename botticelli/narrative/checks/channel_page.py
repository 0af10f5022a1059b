"""What the writer is told of the channel: is it there, is it written, and of which channel?"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from botticelli.config.model import Config
from botticelli.config.sources import read_text
from botticelli.errors import ConfigError, Problem
from botticelli.narrative.files import about
from botticelli.narrative.files.lookup import find_file, folders_of
from botticelli.narrative.language.model import NarrativeFile, Text

HINT: Final = "write it, or have it drafted: botticelli init --from URL"


def missing_words(
    files: Iterable[NarrativeFile], config: Config, *, environ: Mapping[str, str], cwd: Path
) -> Iterator[Problem]:
    """Yield what an ABOUT.md that these narratives read still lacks, each once."""
    for path in dict.fromkeys(_pages(files, config, environ=environ, cwd=cwd)):
        if path.parent == about.SHIPPED.resolve():
            if not config.models.only:
                what = "not there: posts are about no channel in particular"
                yield Problem(where=about.NAME, what=what, hint="write one: botticelli init")
            continue
        try:
            text = read_text(path, str(path))
        except ConfigError as error:
            yield from error.problems
            continue
        if about.advertises(text):
            hint = f"say in {about.NAME} what your channel is about"
            yield Problem(where=str(path), what="is about Botticelli itself", hint=hint)
        elif path.name == about.NAME:
            for line, what in about.unfinished(text):
                yield Problem(where=f"{path}:{line}", what=what, hint=HINT)


def _pages(
    files: Iterable[NarrativeFile], config: Config, *, environ: Mapping[str, str], cwd: Path
) -> Iterator[Path]:
    for file in files:
        folders = folders_of(file.path, config, environ=environ, cwd=cwd)
        for _, _, given in file.inputs():
            if isinstance(given, Text) and given.file:
                try:
                    yield find_file(given.file, folders=folders)
                except ConfigError:
                    continue  # reported with the narrative
