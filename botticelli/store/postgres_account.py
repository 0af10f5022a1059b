"""How PostgreSQL, which refuses root, is run for whoever we are.

An ordinary user runs it as himself. Root runs it inside a user namespace in which he has another
number: nothing needs to be installed, chmod-ed or moved, and the files stay root's. Where user
namespaces are forbidden (Docker's default), root runs it as the account `postgres` or `nobody`,
and what that account cannot reach (a data folder below /root, binaries in a private virtual
environment) lives below /var/lib/botticelli instead.
"""

import ctypes
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from botticelli.errors import Unavailable

CLONE_NEWUSER: Final = 0x10000000  # linux/sched.h
INNER_ID: Final = 65534  # nobody, by custom
SHARED: Final = Path("/var/lib/botticelli")


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who runs the server.

    Args:
        uid: Owner of the data folder, as seen from here.
        gid: Its group.
        spawn: Further arguments for subprocess that make a child this account.
        confined: Whether it may lack access to what we can read.
    """

    uid: int
    gid: int
    spawn: Mapping[str, Any] = field(default_factory=dict)
    confined: bool = False


def choose_account() -> Account:
    """Return the account that can run PostgreSQL here.

    Raises:
        Unavailable: We are root, and there is no way to be somebody else.
    """
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid())
    if sys.platform == "linux" and _namespaces_work():
        return Account(uid=0, gid=os.getegid(), spawn={"preexec_fn": _enter_namespace})
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(
            uid=entry.pw_uid,
            gid=entry.pw_gid,
            spawn={"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []},
            confined=True,
        )
    raise Unavailable(
        "PostgreSQL refuses to run as root, and there is no other account",
        where="embedded PostgreSQL",
        mend="run botticelli as an ordinary user, or set DATABASE_URL",
    )


def reachable(folder: Path, account: Account) -> bool:
    """Tell whether the account may pass through the nearest existing parent of `folder`."""
    if not account.confined:
        return True
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return _succeeds(["/bin/sh", "-c", 'cd "$0"', str(existing)], account.spawn)


def shared_binaries(binaries: Path, account: Account) -> Path:
    """Return a folder with the same programs that the account can run.

    A private virtual environment below /root is copied once (40 MB) to /var/lib/botticelli.
    """
    if not account.confined or _succeeds([str(binaries / "postgres"), "--version"], account.spawn):
        return binaries
    stamp = int((binaries / "postgres").stat().st_mtime)
    copy = SHARED / f"postgresql-{stamp}"
    if not copy.exists():
        SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(binaries.parent, fresh, symlinks=True)
        fresh.chmod(0o755)
        try:
            fresh.rename(copy)
        except OSError:  # another process was quicker
            shutil.rmtree(fresh)
    return copy / binaries.name


def _namespaces_work() -> bool:
    return _succeeds(["/bin/true"], {"preexec_fn": _enter_namespace})


def _enter_namespace() -> None:
    """Become somebody else in a user namespace of our own; runs in the child, before exec."""
    gid = os.getegid()  # asked before: inside, an unmapped id reads as 65534
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{INNER_ID} 0 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{INNER_ID} {gid} 1", encoding="ascii")


def _succeeds(command: list[str], spawn: Mapping[str, Any]) -> bool:
    run: Callable[..., subprocess.CompletedProcess[bytes]] = subprocess.run
    try:
        ended = run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            check=False,
            **spawn,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return ended.returncode == 0
