"""Folders and files as `doctor` sees them: room on the disk, and who may read secrets."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from botticelli.config.model import Config
from botticelli.reports.diagnosis import Diagnosis, fault, fine, warning

CREDENTIALS: Final = Path("/etc/botticelli/credentials")
FULL_SHARE: Final = 0.1  # of what `health` calls little: next to nothing
LONGEST: Final = 100_000  # characters of a file in which secrets are looked for
OTHERS: Final = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP


def disk(config: Config) -> Iterator[Diagnosis]:
    """Yield how much room there is where posts and our own database are written."""
    folders = [place.folder for place in config.destinations.values() if place.platform == "outbox"]
    if not config.database.url:
        folders.insert(0, config.database.folder)
    for folder in _one_a_disk(folders):
        yield _room(folder, little=config.health.disk_free_mb)


def _one_a_disk(folders: Iterable[Path]) -> list[Path]:
    found: dict[int, Path] = {}
    for folder in folders:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        found.setdefault(there.stat().st_dev, there)
    return list(found.values())


def _room(folder: Path, *, little: float) -> Diagnosis:
    """Return how full a disk is; `little` is in megabytes."""
    facts = os.statvfs(folder)
    free = facts.f_bavail * facts.f_frsize / 1_000_000
    hint = f"df -h {folder}"
    if facts.f_files and not facts.f_favail:
        return fault("disk", f"no more files can be made where {folder} lies", hint=hint)
    what = f"{_size(free)} free where {folder} lies"
    if free < little * FULL_SHARE:
        return fault("disk", what, hint=hint)
    if free < little:
        return warning("disk", f"{what}; db prune, or more room, soon", hint=hint)
    return fine("disk", what)


def _size(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def secrets(
    config: Config, *, environ: Mapping[str, str], cwd: Path, known: Sequence[str]
) -> Iterator[Diagnosis]:
    """Yield which files with secrets others may read; `known` are the secrets themselves."""
    seen = 0
    files = _files_with_secrets(config, environ=environ, cwd=cwd, known=known)
    for path in dict.fromkeys(files):
        mode = _mode(path)
        if mode is None:
            continue
        seen += 1
        if mode & OTHERS:
            # The services' own user has to read the settings: there the secret has to go.
            is_settings = path == config.source
            what = f"{path} can be read or changed by others ({stat.S_IMODE(mode):04o})"
            hint = "keep secrets in .env or credentials, and write ${NAME} there"
            yield warning("secrets", what, hint=hint if is_settings else f"chmod 600 {path}")
            seen -= 1
    folder = config.database.folder
    if not config.database.url and (_mode(folder) or 0) & (OTHERS | stat.S_IXOTH):
        yield warning("secrets", f"{folder} is open to others", hint=f"chmod 700 {folder}")
    if seen:
        yield fine("secrets", f"{seen} file{'s' * (seen > 1)}, read by nobody else")


def _files_with_secrets(
    config: Config, *, environ: Mapping[str, str], cwd: Path, known: Sequence[str]
) -> Iterator[Path]:
    yield (config.source.parent if config.source else cwd) / ".env"
    named = (Path(path) for name, path in environ.items() if name.endswith("_FILE") and path)
    yield from (path for path in named if _holds(path, known))
    for folder in (environ.get("CREDENTIALS_DIRECTORY"), CREDENTIALS):
        if folder and os.access(folder, os.R_OK | os.X_OK):
            yield from sorted(path for path in Path(folder).iterdir() if path.is_file())
    if config.source and _holds(config.source, known):
        yield config.source


def _holds(path: Path, known: Sequence[str]) -> bool:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            text = file.read(LONGEST)
    except OSError:
        return False
    return any(secret in text for secret in known)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except OSError:
        return None
