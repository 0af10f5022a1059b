"""Our own PostgreSQL: a real server in a folder, shared by all processes of one user.

The usual case takes no lock and starts no process: the server is there, its socket lies in the
data folder. Otherwise one process at a time makes and starts the cluster. It is left running for
the next command (15 MB idle), except inside a systemd unit, whose end would kill it.

Everything lies in one folder: `data` (the cluster, with the socket), `lock`, `server.log`,
`control.log`.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg

from botticelli.errors import ConfigError, Unavailable
from botticelli.store import postgres_account, postgres_files
from botticelli.store.postgres_account import Account

NAME: Final = "botticelli"  # of the database and of its only role
START_TIMEOUT: Final = 60  # seconds; a long crash recovery needs it
STOP_TIMEOUT: Final = 60
PING_TIMEOUT: Final = 5
GUESTS_TIMEOUT: Final = 600  # how long a server that must end waits for other processes' work
SOCKET_LENGTH: Final = 107 - len("/.s.PGSQL.5432")  # sun_path, unix(7)

SETTINGS: Final = (
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "shared_buffers=32MB",
    "max_connections=100",
)

OTHERS: Final = """
    SELECT count(*)
      FROM pg_stat_activity
     WHERE backend_type = 'client backend'
       AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """What `db status` tells. `size` is in bytes."""

    running: bool
    pid: int | None
    folder: Path
    version: str
    size: int


class Embedded:
    """The PostgreSQL of one folder.

    Args:
        folder: Made if it is missing, readable by its owner only.
        binaries: Folder with initdb and postgres; None: those of the wheel, else the system's.
        settings: Further `name=value` for the server, stronger than ours.
        stop_when_last: `release` stops a server that this process started (systemd units).
    """

    def __init__(
        self,
        folder: Path,
        *,
        binaries: Path | None = None,
        settings: Sequence[str] = (),
        stop_when_last: bool = False,
    ) -> None:
        self._asked = folder.expanduser().absolute()
        self._binaries = binaries
        self._settings = (*SETTINGS, *settings)
        self._stop_when_last = stop_when_last
        self._started = False

    @cached_property
    def _account(self) -> Account:
        return postgres_account.choose_account()

    @cached_property
    def folder(self) -> Path:
        """Where everything lies; below /var/lib/botticelli if the account cannot go there."""
        if os.geteuid() != 0 or postgres_account.reachable(self._asked, self._account):
            return self._asked
        return postgres_account.SHARED / quote(str(self._asked), safe="")

    @property
    def data(self) -> Path:
        """The cluster itself, and its socket."""
        return self.folder / "data"

    @cached_property
    def socket_folder(self) -> Path:
        """Where the socket lies: in the cluster, or in a short private place if that is too deep.

        It follows from the data folder alone, so that cron and a login shell find the same server.
        """
        if len(os.fsencode(self.data)) <= SOCKET_LENGTH:
            return self.data
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]
        return Path("/tmp") / f"botticelli-{self._account.uid}-{digest}"  # noqa: S108 - owner is checked

    @property
    def url(self) -> str:
        """The URL of the running server, which is started if it is not."""
        return self.ensure()

    def ensure(self) -> str:
        """Return the URL of the server, after making and starting it where that is needed.

        Raises:
            Unavailable: It cannot be made or started; says why.
            ConfigError: The folder cannot be used, or its cluster is of another major version.
        """
        if self._answers(NAME):
            return self._url(NAME)
        with self._lock():
            if not self._answers(NAME):
                self._start()
        return self._url(NAME)

    def stop(self) -> bool:
        """Stop the server in good order, open transactions rolled back; False: it did not run.

        Raises:
            Unavailable: It did not end in time.
        """
        if not self.data.exists():
            return False
        with self._lock():
            return self._signal_and_wait(signal.SIGINT)  # "fast" shutdown, postgres(1)

    def release(self) -> None:
        """Stop a server that this process started and that would die with its unit anyway.

        Waits until no other process is connected, for at most ten minutes.
        """
        if not (self._stop_when_last and self._started):
            return
        deadline = time.monotonic() + GUESTS_TIMEOUT
        while time.monotonic() < deadline:
            with psycopg.connect(self._url("postgres"), autocommit=True) as conn:
                row = conn.execute(OTHERS).fetchone()
            if row and row[0] == 0:
                self.stop()
                return
            time.sleep(0.5)

    def status(self) -> ServerStatus:
        """Look at the server without starting it."""
        pids = postgres_files.processes_in(self.data)
        version = self.data / "PG_VERSION"
        return ServerStatus(
            running=self._answers("postgres"),
            pid=postgres_files.postmaster_pid(self.data) if pids else None,
            folder=self.folder,
            version=version.read_text(encoding="ascii").strip() if version.exists() else "",
            size=postgres_files.size_of(self.data),
        )

    def psql(self) -> Path:
        """Return the psql that belongs to this server.

        Raises:
            ConfigError: There is none.
        """
        psql = postgres_files.find_binaries(self._binaries, major=self._major()) / "psql"
        if not psql.exists():
            raise ConfigError(
                "there is no psql", where=str(psql.parent), mend="install postgresql-client"
            )
        return psql

    # -- the slow path, behind the lock

    def _start(self) -> None:
        self._settle_leftovers()
        if self._answers("postgres"):
            self._make_database()
            return
        binaries = postgres_account.shared_binaries(
            postgres_files.find_binaries(self._binaries, major=self._major()), self._account
        )
        if not (self.data / "PG_VERSION").exists():
            self._initialise(binaries)
        postgres_files.drop_stale(self.data, self.socket_folder)
        self._prepare_socket_folder()
        self._run(
            [
                binaries / "pg_ctl", "start", "-w", "-s",
                "-t", str(START_TIMEOUT),
                "-D", self.data,
                "-l", self.data / "server.log",
                "-o", self._server_options(),
            ]
        )  # fmt: skip
        self._started = True
        self._make_database()

    def _server_options(self) -> str:
        settings = (f"unix_socket_directories={self.socket_folder}", *self._settings)
        quoted = (setting.replace("\\", "\\\\").replace(" ", "\\ ") for setting in settings)
        return " ".join(f"-c '{setting}'" for setting in quoted)

    def _initialise(self, binaries: Path) -> None:
        """Make the cluster beside its place and move it: a kill in between leaves no half one."""
        fresh = self.folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        major = postgres_files.major_version(binaries)
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        locale = builtin if major >= 17 else ["--locale=C.UTF-8"]
        self._run(
            [
                binaries / "initdb", "-D", fresh, "-U", NAME, "--auth=trust", "--encoding=UTF8",
                "--no-instructions", *locale,
            ]
        )  # fmt: skip
        fresh.rename(self.data)

    def _make_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as conn:
            known = conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (NAME,)).fetchone()
            if known is None:
                conn.execute("CREATE DATABASE botticelli")

    def _settle_leftovers(self) -> None:
        """Wait for a server that is starting, or for orphans of one that was killed."""
        deadline = time.monotonic() + START_TIMEOUT
        while postgres_files.processes_in(self.data):
            if self._answers("postgres"):
                return
            if time.monotonic() > deadline:
                raise Unavailable(
                    "a server runs here and does not answer",
                    where=str(self.data),
                    mend=f"look at {self.data / 'server.log'}, or end those processes",
                )
            time.sleep(0.02)

    def _signal_and_wait(self, number: signal.Signals) -> bool:
        pid = postgres_files.postmaster_pid(self.data)
        if pid is None or pid not in postgres_files.processes_in(self.data):
            return False
        os.kill(pid, number)
        deadline = time.monotonic() + STOP_TIMEOUT
        while postgres_files.processes_in(self.data):
            if time.monotonic() > deadline:
                raise Unavailable(f"the server (process {pid}) does not end", where=str(self.data))
            time.sleep(0.01)
        return True

    # -- small parts

    def _url(self, database: str) -> str:
        return f"postgresql://{NAME}@/{database}?host={quote(str(self.socket_folder), safe='')}"

    def _answers(self, database: str) -> bool:
        if not (self.socket_folder / ".s.PGSQL.5432").exists():
            return False
        try:
            psycopg.connect(self._url(database), connect_timeout=PING_TIMEOUT).close()
        except psycopg.OperationalError:
            return False
        return True

    def _major(self) -> int | None:
        version = self.data / "PG_VERSION"
        return int(version.read_text(encoding="ascii")) if version.exists() else None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self._prepare_folder()
        with (self.folder / "lock").open("a", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _prepare_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._give(self.folder)
        except OSError as error:
            raise ConfigError(
                f"the folder for the embedded PostgreSQL cannot be used: {error.strerror}",
                where=str(self.folder),
                mend="set [database] folder or XDG_STATE_HOME to one of yours, or set DATABASE_URL",
            ) from error

    def _prepare_socket_folder(self) -> None:
        if self.socket_folder == self.data:
            return
        self.socket_folder.mkdir(mode=0o700, exist_ok=True)
        self._give(self.socket_folder)
        seen = self.socket_folder.lstat()
        if (
            not stat.S_ISDIR(seen.st_mode)
            or seen.st_uid != self._account.uid
            or seen.st_mode & 0o077
        ):
            raise ConfigError(
                "the folder for the database's socket belongs to somebody else",
                where=str(self.socket_folder),
                mend="remove it, or set [database] folder to a shorter path",
            )

    def _give(self, path: Path) -> None:
        """Make the account that runs the server the owner of `path` and of all below it."""
        if os.geteuid() != 0 or path.stat().st_uid == self._account.uid:
            return
        for each in (path, *path.rglob("*")):
            os.chown(each, self._account.uid, self._account.gid, follow_symlinks=False)

    def _run(self, command: Sequence[Any]) -> None:
        """Run one of PostgreSQL's programs; its words go to a file: the server keeps that open."""
        log = self.folder / "control.log"
        environ: Mapping[str, str] = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        with log.open("wb") as output:
            ended = subprocess.run(  # noqa: S603 - our own programs and paths
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environ,
                check=False,
                start_new_session=True,
                **self._account.spawn,
            )
        if ended.returncode != 0:
            raise postgres_files.explain(Path(str(command[0])).name, log, self.data / "server.log")
