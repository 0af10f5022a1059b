"""What a command may use: streams, clock, randomness, variables, configuration, database."""

import logging
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from botticelli.cli.shell import log
from botticelli.clock import Clock, SystemClock
from botticelli.config.model import Config
from botticelli.config.operations import Hooks
from botticelli.config.project import Project
from botticelli.records import record

if TYPE_CHECKING:
    from botticelli.cli.shell.output import Console
    from botticelli.config.hiding import Hider
    from botticelli.config.trust.project import ProjectFiles
    from botticelli.config.trust.records import TrustStore
    from botticelli.store.connection import Connection
    from botticelli.store.embedded.server import Embedded
    from botticelli.store.leases import Identity


@record
class Options:
    """The global options of the command line."""

    config: Path | None = None
    offline: bool = False
    debug: bool = False
    quiet: bool = False


class Environment:
    """The surroundings of one command; a test passes its own.

    Args:
        environ: Environment variables.
        cwd: Folder that relative paths start from.
        stdout: Where results go.
        stderr: Where everything else goes.
        clock: Time.
        chance: Randomness.
        files: What speaks for the project, once the configuration is read; None: nothing does.
        trust: What the user has said yes to; trusted_once: for this process alone.
        config: Used as it is instead of being looked for in files and variables.
        connect: Opens a connection to a URL; a test's own pins the database's clock.

    Attributes:
        words: The command line, global options first.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        cwd: Path,
        stdout: TextIO,
        stderr: TextIO,
        clock: Clock | None = None,
        chance: random.Random | None = None,
        config: Config | None = None,
        connect: "Callable[[str], Connection] | None" = None,
    ) -> None:
        self.environ = dict(environ)
        self._process = dict(environ)  # without what a .env adds
        self.cwd = cwd
        self.stdout = stdout
        self.stderr = stderr
        self.clock: Clock = clock or SystemClock()
        self.chance = chance or random.Random()  # noqa: S311 - jitter, not secrets
        self.options = Options()
        self.decider = ""  # as --by says
        self.writes = False  # whether the command changes the database; the decorator says so
        self.is_dry_run = False
        self.words: Sequence[str] = ()
        self._given = config
        self._connect = connect
        self._url: str | None = None  # of the embedded database, once it is found
        self._hider: tuple[Config | None, Hider] | None = None
        self.files: ProjectFiles | None = None  # of the project, once `config` is read
        self.asks: tuple[str, ...] = ()  # of those files, beyond what needs no trust
        self.trusted_once: set[str] = set()  # digests that a person said yes to for this process

    @classmethod
    def of_process(cls) -> "Environment":
        """Return the environment of this process."""
        return cls(environ=os.environ, cwd=Path.cwd(), stdout=sys.stdout, stderr=sys.stderr)

    def take(self, options: Options) -> None:
        """Remember the global options and set logging up accordingly."""
        self.options = options
        log.set_up(self, debug=options.debug, quiet=options.quiet)

    def with_config(self, config: Config, *, cwd: Path) -> "Environment":
        """Return an environment with `config` instead of the one found, in another folder."""
        other = Environment(
            environ=self.environ,
            cwd=cwd,
            stdout=self.stdout,
            stderr=self.stderr,
            clock=self.clock,
            chance=self.chance,
            config=config,
            connect=self._connect,
        )
        other.writes = self.writes
        other.options = replace(self.options, offline=False)
        return other

    @cached_property
    def config(self) -> Config:
        """The configuration, read on first use.

        Raises:
            ConfigError: The file or a variable has to be fixed; carries every mistake.
        """
        config = self._given or self._load()
        if not self.options.offline:
            return config
        from botticelli.platforms.open import offline

        return offline(config, cwd=self.cwd)

    def at(self, folder: Path) -> "Environment":
        """Return the environment that a command would have in another folder."""
        return Environment(
            environ=self._process, cwd=folder, stdout=self.stdout, stderr=self.stderr
        )

    def _load(self) -> Config:
        """Return the configuration of files and variables, as far as they may be obeyed."""
        from botticelli.config.load import load
        from botticelli.config.sources import dotenv, find_file, own_folders
        from botticelli.config.trust.ownership import require_own
        from botticelli.platforms.open import PLATFORMS

        is_named = bool(self.options.config or self.environ.get("BOTTICELLI_CONFIG"))
        file = find_file(environ=self.environ, cwd=self.cwd, named=self.options.config)
        if file and not is_named:
            require_own(file)
        root = file.parent if file else self.cwd
        assigned = dotenv(root)
        self.environ = {**assigned, **self._process}
        self._hider = None
        config = load(file, environ=self.environ, cwd=self.cwd, platforms=PLATFORMS)
        if root in own_folders(self._process) and not is_named:
            return config
        speaks = file is not None and not is_named
        return self._trusted(config, file, assigned=assigned, speaks=speaks)

    def _trusted(
        self, config: Config, file: Path | None, *, assigned: dict[str, str], speaks: bool
    ) -> Config:
        """Return a project's configuration, narrowed if the user has not said yes to it."""
        from botticelli.config.load import load
        from botticelli.config.trust import project as project_trust
        from botticelli.config.trust.records import digest_of_project
        from botticelli.platforms.open import PLATFORMS

        root = file.parent if file else self.cwd
        self.files = project_trust.ProjectFiles(
            root=root, assigned=assigned, process=self._process, speaks=speaks
        )
        self.asks = project_trust.asks_of(config, self.files)
        known = self.trust.get(digest_of_project(root.resolve())) if self.asks else None
        if set(self.asks) <= set(known.asks if known else ()):
            return config
        for name in self.files.steering:
            del self.environ[name]
        if self.files.steering:
            config = load(file, environ=self.environ, cwd=self.cwd, platforms=PLATFORMS)
        return project_trust.narrowed(config, self.files)

    @property
    def hooks(self) -> Hooks:
        """The hooks that may run: of a project that is not trusted those on this machine alone."""
        from botticelli.config.trust.project import only_here

        is_theirs = self.config.untrusted and self.files and self.files.speaks
        return only_here(self.config.hooks) if is_theirs else self.config.hooks

    @cached_property
    def trust(self) -> "TrustStore":
        """What the user has said yes to; no file of a project can move it."""
        from botticelli.config.sources import user_folder
        from botticelli.config.trust.records import TrustStore

        state = user_folder(self._process, "XDG_STATE_HOME", ".local/state")
        return TrustStore(state / "botticelli/trust")

    @property
    def project(self) -> Project:
        """The project that this command is for.

        Raises:
            ConfigError: There is none.
        """
        from botticelli.errors import ConfigError

        if self.config.project.root is None:
            raise ConfigError(
                "there is no project here",
                where=str(self.cwd),
                hint="create one with botticelli init, or go into its folder",
            )
        return self.config.project

    @cached_property
    def identity(self) -> "Identity":
        """Who we are on locks, leases and runs."""
        from socket import gethostname

        from botticelli.store.leases import Identity

        host, pid = gethostname(), os.getpid()
        return Identity(host=host, pid=pid, owner=f"{host}:{pid}:{os.urandom(4).hex()}")

    @property
    def user(self) -> str:
        """Who decides, as decisions are recorded: --by, else [review] who, else user@host."""
        if named := self.decider.strip() or self.config.review.who.strip():
            return named
        user = self.environ.get("LOGNAME") or self.environ.get("USER") or "somebody"
        return f"{user}@{self.identity.host}"

    @property
    def is_terminal(self) -> bool:
        """Whether a person is reading stdout."""
        return self.stdout.isatty()

    @cached_property
    def console(self) -> "Console":
        """Where reports are written."""
        from botticelli.cli.shell.output import Console

        return Console(self.stdout, colour=not self.environ.get("NO_COLOR"))

    def show(self, report: Any, *, as_json: bool = False) -> None:
        """Write a report to stdout: for a person, or as JSON with the same facts."""
        from botticelli.cli.shell import output

        output.show(report, self.console, as_json=as_json)

    def say(self, line: str) -> None:
        """Print a line on stderr, unless --quiet."""
        if not self.options.quiet:
            log.write(self, line, logging.INFO)

    def complain(self, line: str) -> None:
        """Write `botticelli: line` to stderr, also with --quiet."""
        log.write(self, f"botticelli: {line}", logging.ERROR)

    def hide(self, text: str) -> str:
        """Return `text` with every secret we know of replaced by asterisks."""
        return self.hider.hide(text)

    @property
    def hider(self) -> "Hider":
        """What hides the secrets that we know of: those of the environment even without a file."""
        from botticelli.config.hiding import Hider, secrets_of, secrets_of_environment

        config = self._given or self.__dict__.get("config")
        if self._hider is None or self._hider[0] is not config:
            known = secrets_of_environment(self.environ)
            self._hider = config, Hider([*known, *(secrets_of(config) if config else ())])
        return self._hider[1]

    @contextmanager
    def database(self, *, lock: float | None = None) -> Iterator["Connection"]:
        """Open the project's database; the embedded server is started if needed.

        For a command that `writes`, the database, its schema and the project's stamp are put in
        place; else nothing is. A dry run sees an empty one in place of one that is missing.

        `lock`: seconds to wait for a lock, for who is in a hurry.

        Raises:
            NothingYet: The database or its schema is missing, and nothing is to be written.
            ConfigError: It is another application's or another project's, or there is no project.
            TryLater: Somebody else's session is in the way.
            Unavailable: It cannot be reached or started.
        """
        import signal
        from contextlib import ExitStack, suppress

        from botticelli.store.connection import connect, mapped_errors
        from botticelli.store.known_secrets import recognize
        from botticelli.store.projects import admit, throwaway_database
        from botticelli.store.schema import NothingYet
        from botticelli.store.session import DatabaseSession

        try:
            with mapped_errors(), ExitStack() as stack:
                try:
                    conn = stack.enter_context(self.connect())
                    if lock is not None and isinstance(conn, DatabaseSession):
                        conn.lock_timeout, conn.heals = lock, False
                    found = admit(conn, self.config, writes=self.writes)
                    recognize(conn, found.secrets)
                except NothingYet as error:
                    if not self.is_dry_run:
                        raise
                    self.say(f"{error}; this dry run takes it for empty")
                    with suppress(ValueError):  # a test's own thread
                        signal.signal(signal.SIGTERM, signal.default_int_handler)
                    self._url = stack.enter_context(
                        throwaway_database(self.config.database.binaries)
                    )
                    conn = stack.enter_context((self._connect or connect)(self._url))
                yield conn
        finally:
            if "embedded" in self.__dict__:
                self.embedded.release()

    def keep_apart(self, conn: "Connection") -> None:
        """Let `--offline` touch nothing that waits for a real channel.

        Raises:
            ConfigError: The database holds posts that the offline model did not write.
        """
        if not self.options.offline:
            return
        from botticelli.errors import ConfigError
        from botticelli.store.projects import holds_real_work

        if holds_real_work(conn):
            raise ConfigError(
                "this database holds posts for a real channel",
                where="--offline",
                hint="practise in another (DATABASE_URL, XDG_STATE_HOME), or run botticelli demo",
            )

    def write(self, path: Path, text: str, *, mode: int | None = None) -> Path:
        """Write a file that the user named, all or nothing, without secrets; return its path.

        `mode` holds whatever the umask says. What is no plain file is written to as it is.

        Raises:
            ConfigError: The folder is not there, or is not ours to write.
        """
        import errno

        from botticelli import files
        from botticelli.errors import ConfigError

        path, content = self.cwd / path, self.hide(text).encode()
        try:
            if path.is_symlink() or (path.exists() and not path.is_file()):
                path.write_bytes(content)
                return path
            with files.written(path) as file:
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                file.write(content)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ConfigError(
                f"cannot be written ({error.strerror})",
                where=str(path),
                hint="make the folder and let this user write there",
            ) from error
        return path

    def connect(self) -> "Connection":
        """Return one more connection, for a thread; the caller closes it."""
        from botticelli.store.session import DatabaseSession

        conn = self._open()
        if isinstance(conn, DatabaseSession):
            conn.reopen, conn.heals = self._open, True
        return conn

    def _open(self) -> "Connection":
        from botticelli.store.connection import connect

        opened = self._connect or connect
        if self._url is None and not self.config.database.url and self.embedded.is_listening:
            from botticelli.errors import ConfigError, Unavailable
            from botticelli.store.connection import DatabaseFull
            from botticelli.store.projects import database_name

            url = self.embedded.url_of(database_name(self.project))
            try:
                conn, self._url = opened(url), url
            except DatabaseFull:
                raise
            except (ConfigError, Unavailable):  # `locate` finds out why, and helps
                pass
            else:
                return conn
        return opened(self.database_url())

    def database_url(self) -> str:
        """Return the URL of the project's database, as `database` finds it."""
        from botticelli.config.addresses import require_trusted

        if self.config.database.url:
            require_trusted(self.config.database.url, where="the database")
            return self.config.database.url
        if self._url is None:
            from botticelli.store.projects import locate

            self._url = locate(self.embedded, self.config, project=self.project, writes=self.writes)
        return self._url

    @cached_property
    def embedded(self) -> "Embedded":
        """The embedded PostgreSQL."""
        from botticelli.store.embedded.server import Embedded

        if self.config.untrusted and self.files:
            self._refuse_server(self.config.untrusted, self.files)
        # A terminal below systemd's user manager has INVOCATION_ID, too, but no unit to end.
        in_unit = "INVOCATION_ID" in self.environ and not self.stderr.isatty()
        database = self.config.database
        return Embedded(database.folder, binaries=database.binaries, stop_when_last=in_unit)

    def _refuse_server(self, root: Path, files: "ProjectFiles") -> None:
        from botticelli.config.addresses import trust_line
        from botticelli.config.trust.project import server_of
        from botticelli.errors import ConfigError

        for key, path in server_of(self.config, files):
            raise ConfigError(
                f"{path} may hold programs, and is named by a project that is not trusted",
                where=key,
                hint=f"if it is right: {trust_line(root)}",
            )
