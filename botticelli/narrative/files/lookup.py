"""Files that a narrative names: beside it, in a context folder, else once in the project tree.

The search (docs/dialect.md §9.2) follows no links, leaves hidden and build folders out, is bounded
in depth and count, and never takes one of two equal names by chance. Nothing outside these folders
is ever read, so a narrative from elsewhere cannot hand the user's files to a model.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from botticelli import files
from botticelli.config.model import Config
from botticelli.errors import ConfigError
from botticelli.narrative.files import about
from botticelli.records import record
from botticelli.text import nearest

ROOT_MARKS: Final = (".git", "pyproject.toml", "Cargo.toml", "botticelli.toml")
LEFT_OUT: Final = frozenset({"target", "node_modules", "__pycache__"})
PRIVATE: Final = ("botticelli.toml", ".env", ".env.local")
# In lower case: our own settings, variables with keys, private keys, lists of passwords.
KEY_NAME: Final = re.compile(
    r"botticelli\.toml|(?:.*\.)?env|env\..*|.*\.(?:pem|key|p12|pfx|jks|kdbx|ppk|keytab)"
    r"|id_(?:rsa|dsa|ecdsa|ed25519).*|(?:credentials|secrets?)(?:\.(?:json|toml|ya?ml|ini|txt))?"
)
DEEPEST: Final = 8
MOST_ENTRIES: Final = 20_000


@record
class Folders:
    """Where the files of one narrative may be.

    Args:
        own: The folder of the narrative file.
        context: `[narratives] context` and BOTTICELLI_CONTEXT_PATH.
        project: The project's root, whose ABOUT.md goes before any other; None if there is none.
    """

    own: Path
    context: tuple[Path, ...] = ()
    project: Path | None = None

    @cached_property
    def root(self) -> Path:
        """The project's folder: the nearest one above that looks like one, else `own`."""
        own = self.own.resolve()
        for folder in (own, *own.parents):
            if any((folder / mark).exists() for mark in ROOT_MARKS):
                return folder
        return own

    @cached_property
    def all(self) -> frozenset[Path]:
        """Every folder that has a part in it."""
        return frozenset((*self.places(about.NAME), *self.places("")))

    def places(self, name: str) -> tuple[Path, ...]:
        """The folders in which a file of that name may be; the first that has it is read."""
        if name != about.NAME:
            return (self.own, *self.context, self.root)
        project = () if self.project is None else (self.project,)
        return (*project, *self.context, self.own, self.root, about.SHIPPED)


def folders_of(
    file: Path, config: Config | None, *, environ: Mapping[str, str], cwd: Path
) -> Folders:
    """Return where the files that a narrative file names are looked up."""
    named = environ.get("BOTTICELLI_CONTEXT_PATH", "")
    context = config.narratives.context if config else ()
    return Folders(
        own=file.parent,
        context=(*context, cwd / named) if named else context,
        project=(config.project.root if config else None) or cwd,
    )


def read_file(name: str, *, folders: Folders, limit: int) -> bytes:
    """Return what the file that a narrative calls `name` holds.

    Raises:
        ConfigError: As `find_file`; or it has become something else, or is larger than `limit`.
    """
    path, holder = _find(name, folders=folders)
    private = [files.identity(folder / each) for folder in folders.all for each in PRIVATE]
    try:
        return files.read(path, limit=limit, below=holder, but_not=private)
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise ConfigError(f"'{name}' {reason}", where=str(path)) from error


def find_file(name: str, *, folders: Folders) -> Path:
    """Return the path of the file that a narrative calls `name`.

    Raises:
        ConfigError: There is none, or two, or it lies outside the folders that may be read.
    """
    return _find(name, folders=folders)[0]


def _find(name: str, *, folders: Folders) -> tuple[Path, Path]:
    """Return a file's real path, and the real folder that lets it be read."""
    try:
        wanted = Path(name).expanduser()
    except RuntimeError:  # ~SOMEBODY who has no home here
        raise _missing(name, folders) from None
    for folder in folders.places(name):
        path = folder / wanted
        if is_file(path):
            return _inside(path, name, folders=folders)
    if wanted.is_absolute() or len(wanted.parts) > 1:
        raise _missing(name, folders)
    return _inside(_search(name, folders), name, folders=folders)


def is_file(path: Path) -> bool:
    """Return whether there is such a file; a name that is too long is none."""
    try:
        return path.is_file()
    except OSError:  # the name is too long to be one
        return False


def _inside(path: Path, name: str, *, folders: Folders) -> tuple[Path, Path]:
    try:
        real = path.resolve()
    except OSError:  # a link was put in its place, or taken from it, at this very moment
        raise _missing(name, folders) from None
    allowed = [each.resolve() for each in folders.places(name)]
    holders = [folder for folder in allowed if real.is_relative_to(folder)]
    if not holders:
        raise ConfigError(
            f"'{name}' lies outside the narrative's project",
            where=str(folders.own),
            hint="move it beside the narrative, or name its folder in [narratives] context",
        )
    holder = next((each for each in holders if not _is_private(real, below=each)), None)
    if holder is None:
        raise ConfigError(
            f"'{name}' is no file for narratives: keys and passwords are kept in such",
            where=str(folders.own),
            hint="copy what the narrative needs into a file of its own",
        )
    return real, holder


def _is_private(path: Path, *, below: Path) -> bool:
    """Return whether it is hidden, settings or a key by its name, or part of a database."""
    inner = path.relative_to(below)
    name = unicodedata.normalize("NFKC", path.name).casefold()
    return (
        any(part.startswith(".") for part in inner.parts)
        or KEY_NAME.fullmatch(name) is not None
        or any((below / each / "PG_VERSION").exists() for each in inner.parents)
    )


def _search(name: str, folders: Folders) -> Path:
    found = [path for path in _tree(folders.root) if path.name == name]
    if not found:
        raise _missing(name, folders)
    if len(found) > 1:
        raise ConfigError(
            f"'{name}' is there twice: {found[0]} and {found[1]}",
            where=str(folders.own),
            hint="write the path of the one that is meant",
        )
    return found[0]


def _tree(root: Path) -> Iterator[Path]:
    """Files below `root` in sorted order, breadth first."""
    level: Sequence[Path] = [root]
    seen = 0
    for _ in range(DEEPEST):
        below: list[Path] = []
        for folder in level:
            for path in _entries(folder):
                seen += 1
                if seen > MOST_ENTRIES:
                    return
                if path.is_dir():
                    below.append(path)
                elif path.is_file():
                    yield path
        level = below


def _entries(folder: Path) -> list[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return []
    return [
        path
        for path in paths
        if not path.name.startswith(".") and path.name not in LEFT_OUT and not path.is_symlink()
    ]


def _missing(name: str, folders: Folders) -> ConfigError:
    return ConfigError(
        f"there is no file '{name}'",
        where=str(folders.own),
        hint=nearest(name, [path.name for path in _entries(folders.own)])
        or "put it beside the narrative, or name its folder in [narratives] context",
    )
