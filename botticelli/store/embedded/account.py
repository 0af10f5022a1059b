"""How PostgreSQL, which refuses root, is run for whoever we are.

An ordinary user runs it as himself. Root runs it as the account `nobody` that keeps one power:
to reach files whoever owns them. So nothing has to be installed, chmod-ed or moved: the data may
lie below /root, the programs in a private virtual environment. Where root may not become somebody
else (a container of one user), he enters a user namespace in which he has another number. The
same serves a user without a name, whom initdb refuses.

The server's socket lies in a folder of root's own (0700), so nobody but root gets to that server.
"""

import ctypes
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from botticelli.errors import Unavailable
from botticelli.records import record

CLONE_NEWUSER: Final = 0x10000000  # linux/sched.h
PR_SET_SECUREBITS: Final = 28  # linux/prctl.h
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_RAISE: Final = 2
SECBIT_NO_SETUID_FIXUP: Final = 1 << 2  # linux/securebits.h; else access(2) forgets capabilities
CAP_DAC_OVERRIDE: Final = 1  # linux/capability.h; Docker leaves it to root by default
CAPABILITY_VERSION_3: Final = 0x20080522


@record
class ServerUser:
    """Who runs the server.

    Args:
        uid: Owner of the cluster's files, as seen from here.
        gid: Its group.
        become: Makes a forked child this account, before it turns into a program.
    """

    uid: int
    gid: int
    become: Callable[[], None] | None = None


def choose_account(program: Path, *, folder: Path, makes_cluster: bool) -> ServerUser:
    """Return the account that can run PostgreSQL's `program` in `folder`.

    Raises:
        Unavailable: There is none.
    """
    itself = ServerUser(uid=os.geteuid(), gid=os.getegid())
    is_root = itself.uid == 0
    if not is_root and (_has_name(itself.uid) or not makes_cluster):
        return itself
    if sys.platform == "linux":
        uid, gid = _somebody()
        namespace = ServerUser(
            uid=itself.uid, gid=itself.gid, become=partial(_enter_namespace, uid, gid, folder)
        )
        nobody = ServerUser(uid=uid, gid=gid, become=partial(_become, uid, gid, folder))
        for account in (nobody, namespace) if is_root else (namespace,):
            if _can_run(program, account):
                return account
    what = "PostgreSQL refuses to run as root, and root may not become another account here"
    hint = "run botticelli as an ordinary user, or set DATABASE_URL"
    if not is_root:
        what = f"initdb refuses user {itself.uid}, who has no name"
        hint = f"give user {itself.uid} a line in /etc/passwd, or set DATABASE_URL"
    raise Unavailable(what, where="embedded PostgreSQL", hint=hint)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _somebody() -> tuple[int, int]:
    """Return uid and gid of an account that is not root and that initdb finds a name for."""
    entries = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    entries.sort(key=lambda entry: entry.pw_name != "nobody")
    return (entries[0].pw_uid, entries[0].pw_gid) if entries else (65534, 65534)


def _can_run(program: Path, account: ServerUser) -> bool:
    try:
        subprocess.run(  # noqa: S603 - our own program
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            preexec_fn=account.become,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


# -- what follows runs in the forked child


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _become(uid: int, gid: int, folder: Path) -> None:
    """Become that account for good, keeping CAP_DAC_OVERRIDE alone. Source: capabilities(7)."""
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    power = 1 << CAP_DAC_OVERRIDE
    kept = (_Capabilities * 2)(_Capabilities(power, power, power))
    _checked(libc.capset(ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), kept))
    _checked(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))
    os.chdir(folder)


def _enter_namespace(uid: int, gid: int, folder: Path) -> None:
    """Be called `uid` from now on, while staying who we are. Source: user_namespaces(7)."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.unshare(CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside_uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {outside_gid} 1", encoding="ascii")
    os.chdir(folder)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
