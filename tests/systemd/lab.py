"""A real systemd as PID 1 of namespaces of its own, with our units in it; gone after the test.

Needs root, the right to make namespaces and a cgroup, and overlayfs: where the machine refuses
one of them, `boot` says which, and the tests skip.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SYSTEMD = Path("/lib/systemd/systemd")
TOOLS = ("unshare", "nsenter", "setpriv", "pivot_root", "systemctl", "mount")
# The clock, modules, raw devices and the power switch are the machine's own: not for a test.
DROPPED = "-sys_time,-sys_module,-sys_rawio,-sys_boot,-syslog,-mknod,-wake_alarm"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "SYSTEMD_PAGER": "cat",
    "container": "lab",
}

PROGRAM = """\
#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH=/opt/botticelli:/opt/packages
exec /opt/python/bin/{python} {what} "$@"
"""


class Refused(Exception):
    """This machine does not let us boot a systemd; says why."""


def hindrance() -> str:
    """Return why no systemd can be booted here; empty if it is worth a try."""
    if os.geteuid() != 0:
        return "booting a systemd needs root"
    if not SYSTEMD.exists():
        return "systemd is not installed"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    return "" if _cgroup2() else "no cgroup2 file system is mounted"


def _cgroup2() -> Path | None:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None


@dataclass
class Done:
    """How a command inside ended."""

    code: int
    out: str


@dataclass
class Lab:
    """One machine. Put files into `files`, then `boot()`, `run(...)`, and `close()`."""

    work: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="botticelli-lab-")))

    def __post_init__(self):
        self.files = Path(f"{self.work}.files")
        self.files.mkdir()
        self.console = Path(f"{self.work}.log")
        self.console.touch()
        self.group = _cgroup2() / self.work.name
        self.init = None
        self._outer = None
        self.put("/usr/local/bin/botticelli", program("-m botticelli"), mode=0o755)

    def put(self, path, text, mode=0o644):
        """Write a file that is there when the machine boots."""
        file = self.files / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def boot(self):
        """Start systemd and wait until it is up.

        Raises:
            Refused: It does not come up.
        """
        try:
            self.group.mkdir()
        except OSError as error:
            raise Refused(f"no cgroup may be made: {error.strerror}") from error
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        binds = [
            f"{ROOT}:/opt/botticelli",
            f"{packages}:/opt/packages",
            f"{sys.base_prefix}:/opt/python",
        ]
        environ = ENVIRONMENT | {
            "WORK": str(self.work),
            "FILES": str(self.files),
            "BINDS": " ".join(binds),
            "DROPPED": DROPPED,
            "SYSTEMD": str(SYSTEMD),
        }
        namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts", "--net"]
        enter = f'echo $$ > {self.group}/cgroup.procs && exec unshare --cgroup "$@"'
        self._outer = subprocess.Popen(
            ["sh", "-c", enter, "sh", *namespaces, "bash", str(HERE / "boot.sh")],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._wait_for_init()
        self._wait_for("systemctl is-active lab.target", "active", seconds=20)
        self.run("ip link set lo up")

    def _wait_for_init(self):
        deadline = time.monotonic() + 20
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        while time.monotonic() < deadline:
            if self._outer.poll() is not None:
                said = self._outer.stderr.read().strip().splitlines()
                raise Refused(
                    f"no systemd may be booted: {said[-1] if said else 'no reason given'}"
                )
            found = children.read_text().split()
            if found and Path(f"/proc/{found[0]}/comm").read_text().strip() == "systemd":
                self.init = int(found[0])
                if Path(f"/proc/{self.init}/root/run/systemd/private").exists():
                    return
            time.sleep(0.02)
        raise Refused(f"systemd does not come up: {self.console.read_text()[-500:]}")

    def _wait_for(self, command, answer, *, seconds):
        deadline = time.monotonic() + seconds
        while (done := self.run(command)).out.strip() != answer:
            if time.monotonic() > deadline:
                raise Refused(
                    f"{command} says {done.out.strip()}: {self.console.read_text()[-500:]}"
                )
            time.sleep(0.05)

    def run(self, command, *, timeout=60):
        """Run a shell command inside; what it says on both streams is `out`."""
        words = ["-t", str(self.init), "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w", "--"]
        inner = [
            "setpriv",
            f"--bounding-set={DROPPED}",
            f"--inh-caps={DROPPED}",
            "sh",
            "-c",
            command,
        ]
        (self.group / "cmd").mkdir(exist_ok=True)
        enter = f'echo $$ > {self.group}/cmd/cgroup.procs && exec nsenter "$@"'
        done = subprocess.run(
            ["sh", "-c", enter, "sh", *words, *inner],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def until(self, command, *, seconds=30):
        """Run a command again and again until it succeeds; return its last ending."""
        deadline = time.monotonic() + seconds
        while (done := self.run(command)).code != 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        return done

    def close(self):
        """Power off, and take the cgroup and the folder away."""
        if self._outer is not None:
            if self.init is not None:
                os.kill(self.init, signal.SIGRTMIN + 4)  # systemd(1): power off
            try:
                self._outer.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._outer.kill()
                self._outer.wait()
            self._outer.stderr.close()
        _remove_groups(self.group)
        shutil.rmtree(self.files)
        self.console.unlink()
        self.work.rmdir()


def _remove_groups(group: Path) -> None:
    for _ in range(50):
        for folder, _, _ in os.walk(group, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                continue
        if not group.exists():
            return
        time.sleep(0.1)


def program(what: str) -> str:
    """Return a script for the machine that has this Python run `what`."""
    return PROGRAM.format(python=Path(os.path.realpath(sys.executable)).name, what=what)
