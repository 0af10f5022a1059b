"""Whether a file is the user's own word: nobody else could have written it, or put it there."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from botticelli.errors import ConfigError

ROOT: Final = 0


def require_own(path: Path) -> None:
    """Check that a file may be obeyed.

    Raises:
        ConfigError: Another user owns it or one of its folders, or may write to them.
    """
    if why := why_not_own(path):
        raise ConfigError(
            f"is not obeyed: {why}",
            where=str(path),
            hint="if it is meant, make it your own (chown, chmod go-w)",
        )


def why_not_own(path: Path) -> str:
    """Return who else could have written a file; empty if nobody but the user and root.

    In a folder that all may write to, such as /tmp, its sticky bit protects what is ours. A link
    is as good as the folder that holds it and what it leads to.
    """
    for place in _places(path):
        try:
            found = place.lstat()
        except OSError as error:
            return f"{place} cannot be looked at: {error.strerror}"
        if place.parent == place:
            continue  # who owns / owns everything
        if found.st_uid not in (ROOT, os.geteuid()):
            return f"{_shown(place, path)} belongs to {_name(found.st_uid)}"
        if stat.S_ISLNK(found.st_mode) or (
            stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        ):
            continue
        if found.st_mode & stat.S_IWOTH:
            return f"everybody can write to {_shown(place, path)}"
        if found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid, found.st_uid):
            return f"a group can write to {_shown(place, path)}"
    return ""


def _places(path: Path) -> Iterator[Path]:
    """Yield a path and its folders, and those of what its links lead to."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the links
    yield path
    yield from path.parents
    real = path.resolve()
    if real != path:
        yield real
        yield from real.parents


def _is_private(group: int, owner: int) -> bool:
    """Return whether a group is the owner's alone, as many systems give each user one."""
    import grp
    import pwd

    try:
        user, members = pwd.getpwuid(owner), grp.getgrgid(group).gr_mem
    except KeyError:
        return False
    return user.pw_gid == group and set(members) <= {user.pw_name}


def _shown(place: Path, path: Path) -> str:
    return "it" if place == path else str(place)


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
