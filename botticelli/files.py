"""Files without surprises: regular, bounded, opened once, never through a planted link."""

import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, TypeAlias

READ: Final = (
    os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
)  # a FIFO without a writer keeps nobody waiting
FOLDER: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Identity: TypeAlias = tuple[int, int]  # device and inode


class NotReadable(OSError):
    """It is no regular file, or too large; `strerror` says which."""


def identity(path: Path) -> Identity | None:
    """Return what a file is whatever it is called; None if it is not there."""
    try:
        info = path.stat()
    except (OSError, ValueError):
        return None
    return info.st_dev, info.st_ino


def read(
    path: Path,
    *,
    limit: int,
    below: Path | None = None,
    but_not: Collection[Identity | None] = (),
) -> bytes:
    """Return what a regular file holds.

    Args:
        path: The file.
        limit: Most bytes.
        below: A folder that `path` lies in: below it no link is followed, also one that takes a
            folder's place meanwhile.
        but_not: Files that are never read, by whatever name.

    Raises:
        NotReadable: It is something else, or larger, or one of `but_not`.
        OSError: It is not there, or may not be read.
    """
    descriptor = os.open(path, READ) if below is None else _open_below(below, path)
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        os.close(descriptor)
        raise NotReadable(0, "is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        if (info.st_dev, info.st_ino) in but_not:
            raise NotReadable(0, "is another name of a file with keys or settings")
        content = file.read(limit + 1)  # it may grow, and those of /proc say that they are empty
    if len(content) > limit:
        raise NotReadable(0, f"is larger than {limit / 2**20:.3g} MiB")
    return content


def _open_below(folder: Path, path: Path) -> int:
    inner = path.relative_to(folder).parts
    here = os.open(folder, FOLDER)
    try:
        for part in inner[:-1]:
            there = os.open(part, FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = there
        return os.open(inner[-1], READ | os.O_NOFOLLOW, dir_fd=here)
    finally:
        os.close(here)


@contextmanager
def written(path: Path, *, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """Yield a new file that takes the place of `path` at the end, or never.

    It has a name that nobody can guess and plant something at; a link that stands at `path` is
    replaced, not followed. `mode` is cut by the umask.

    Raises:
        OSError: It cannot be written.
    """
    half = path.with_name(f".{path.name[:200]}.{os.urandom(8).hex()}.partial")
    try:
        with os.fdopen(os.open(half, NEW, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def write(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write a file, all or nothing, as `written` does.

    Raises:
        OSError: It cannot be written.
    """
    with written(path, mode=mode) as file:
        file.write(content)
