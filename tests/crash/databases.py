"""A database of a test's own, and what happens to it: restarts, freezes, full disks, failovers."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from contextlib import closing, suppress

import psycopg

from botticelli.errors import Unavailable
from botticelli.store.connection import connect
from botticelli.store.embedded import files, roles
from botticelli.store.embedded.account import choose_account
from botticelli.store.embedded.server import SETTINGS, Embedded, Programs
from botticelli.store.schema import apply_schema
from tests.store.servers import kill_postmaster, wait_until

# The machine lives on; only its processes die. The disk is a small one.
SAFE = ("fsync=off", "full_page_writes=off", "max_wal_size=48MB", "min_wal_size=32MB")
DISK = 220  # megabytes
EVERYBODY = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
IN_STEP = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"


class Faults:
    """A server of our own, and what happens to it.

    `longest`: seconds that it is frozen at most.
    """

    kinds = ("terminate", "restart", "crash", "freeze", "full")

    def __init__(self, home, *, longest=3.0):
        self.home, self.longest, self.seen = home, longest, Counter()
        self.is_small = self._mount()
        self.server = Embedded(home / "postgres", settings=SAFE)
        self.url = self.server.ensure()
        with connect(self.url) as conn:
            apply_schema(conn)

    def _mount(self):
        """Put the home onto a disk that can be filled; False if we may not."""
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=0700", "botticelli", self.home]
        if shutil.which("mount") is None or os.geteuid() != 0:
            return False
        return subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def close(self):
        self.server.stop()
        if self.is_small:
            subprocess.run(["umount", "-l", self.home], check=True)

    def terminate(self, _chance):
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(EVERYBODY)

    def restart(self, chance):
        self.server.stop()
        time.sleep(chance.uniform(0, 1))
        self.server.ensure()

    def crash(self, _chance):
        kill_postmaster(self.server)
        self.server.ensure()

    def freeze(self, chance):
        pid = self.server.status().pid
        said = subprocess.run(
            ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
        )
        frozen = [pid, *map(int, said.stdout.split())]
        for each in frozen:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGSTOP)
        time.sleep(chance.uniform(0.2, self.longest))
        for each in frozen:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)

    def full(self, chance):
        if not self.is_small:
            self.terminate(chance)
            return
        balloon = self.home / "balloon"
        with suppress(OSError), balloon.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65_536))
        time.sleep(chance.uniform(0.5, 3))
        balloon.unlink(missing_ok=True)
        self.server.ensure()  # it gave up if it had no room for its log

    def connected(self):
        """Return a connection of the test's own, as soon as the server takes one again."""
        for _ in range(100):
            with suppress(Unavailable):
                return connect(self.url)
            time.sleep(0.1)
        return connect(self.url)

    def wait_for_a_run(self):
        """Wait until a run is at work: what finds no database at its start ends, as always."""
        with self.connected() as conn:
            running = "SELECT count(*) FROM runs WHERE state = 'running'"
            while conn.execute(running).fetchone() == (0,):
                time.sleep(0.05)

    def during(self, process, chance):
        """Do one after the other until the process has ended."""
        while process.poll() is None:
            time.sleep(chance.uniform(0.2, 1.2))
            if process.poll() is None:
                kind = chance.choice(self.kinds)
                getattr(self, kind)(chance)
                self.seen[kind] += 1


class Failovers(Faults):
    """A primary and its standby behind one address: whichever lives answers there."""

    kinds = ("failover", "failover", "terminate")

    def __init__(self, home, **options):
        super().__init__(home, **options)
        self.number = 0
        self.address = Address(home / "address", self.server.socket_folder / files.SOCKET)
        self.standby = self._follow()
        old, new = str(self.server.socket_folder), str(self.address.folder)
        self.url = self.url.replace(old.replace("/", "%2F"), new).replace(old, new)

    def failover(self, _chance):
        """Let the primary die, and its standby take its place and get one of its own."""
        folder = self.server.folder
        kill_postmaster(self.server, and_wait=True)
        self.server = self.standby
        with closing(self._superuser()) as conn:
            conn.execute("SELECT pg_promote(true, 30)")
        self.address.lead_to(self.server.socket_folder / files.SOCKET)
        shutil.rmtree(folder)
        self.standby = self._follow()

    def close(self):
        self.address.close()
        self.standby.stop()
        super().close()

    def _superuser(self):
        url = self.server.url_of(roles.MAINTENANCE, role=roles.SUPERUSER)
        return psycopg.connect(url, autocommit=True)

    def _follow(self):
        """Return a standby without which the primary confirms nothing."""
        self.number += 1
        folder = self.home / f"standby{self.number}"
        folder.mkdir(mode=0o700)
        standby, binaries = Embedded(folder, settings=SAFE), self.server.binaries()
        account = choose_account(binaries / "initdb", folder=folder, makes_cluster=True)
        with files.lifeline(folder) as line:
            programs = Programs(binaries=binaries, account=account, folder=folder, lifeline=line)
            (folder / "data").mkdir(mode=0o700)
            programs._give(folder / "data")
            source = ["-h", self.server.socket_folder, "-p", "5432", "-U", roles.SUPERUSER]
            backup = [
                binaries / "pg_basebackup",
                *source,
                "-D",
                folder / "data",
                "-R",
                "-c",
                "fast",
            ]
            programs._run(backup, log=folder / "backup.log")
            programs.start_server(socket_folder=standby.socket_folder, settings=(*SETTINGS, *SAFE))
        with closing(self._superuser()) as conn:
            conn.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            conn.execute("SELECT pg_reload_conf()")
            wait_until(lambda: conn.execute(IN_STEP).fetchone() == (1,))
        return standby


class Address:
    """A socket behind which another one answers."""

    def __init__(self, folder, target):
        folder.mkdir(mode=0o700)
        self.folder, self.target, self.open = folder, str(target), set()
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(folder / files.SOCKET))
        self.listening.listen(100)
        threading.Thread(target=self._serve, daemon=True).start()

    def lead_to(self, target):
        self.target = str(target)
        for each in list(self.open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listening.close()
        self.lead_to("")

    def _serve(self):
        with suppress(OSError):
            while True:
                ours, _ = self.listening.accept()
                theirs = socket.socket(socket.AF_UNIX)
                try:
                    theirs.connect(self.target)
                except OSError:
                    ours.close()
                    theirs.close()
                    continue
                self.open |= {ours, theirs}
                threading.Thread(target=self._join, args=(ours, theirs), daemon=True).start()

    def _join(self, ours, theirs):
        """Pass on what either says, and close both together.

        A socket that is closed while a thread still reads from it may be the next connection's.
        """
        back = threading.Thread(target=self._pass_on, args=(theirs, ours), daemon=True)
        back.start()
        self._pass_on(ours, theirs)
        back.join()
        self.open -= {ours, theirs}
        ours.close()
        theirs.close()

    def _pass_on(self, one, other):
        with suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
