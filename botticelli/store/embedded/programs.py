"""Runs initdb and pg_ctl so that the server owes nothing to the process that started it."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from botticelli.records import record
from botticelli.store.embedded import files
from botticelli.store.embedded.account import ServerUser


@record
class Programs:
    """PostgreSQL's programs, run as one account on one folder, whose lock the caller holds.

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

    def make_cluster(self, *, role: str, in_a_hurry: bool) -> None:
        """Make the cluster beside its place and move it: a kill in between leaves no half one.

        Raises:
            Unavailable: initdb failed; says why.
        """
        fresh = self.folder / "data.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        log = self.folder / "initdb.log"
        log.write_bytes(b"")
        is_builtin = files.major_version(self.binaries) >= 17
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        self._run(
            [
                self.binaries / "initdb", "-D", fresh, "-U", role, "--auth=trust",
                "--encoding=UTF8",
                *(builtin if is_builtin else ["--locale=C.UTF-8"]),
                *(["--no-sync"] if in_a_hurry else []),
            ],
            log=log,
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
        self, command: Sequence[str | Path], *, log: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        """Run a program in a session of its own: Ctrl-C is not meant for it.

        Its words go to a file, never a pipe, since a server keeps it open; it gets none of our
        variables, which may hold secrets, and of our files only the lifeline.
        """
        before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            ended = subprocess.run(  # noqa: S603 - our own programs and paths
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **(environ or {})},
                pass_fds=(self.lifeline,),
                start_new_session=True,
                preexec_fn=self.account.become,
                cwd="/",
                check=False,
            )
        if ended.returncode != 0:
            raise files.explain(Path(command[0]).name, log, since=before)
