"""The command line as a test uses it: in this process, or as the installed program."""

import io
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from botticelli.cli.main import main
from botticelli.cli.shell.environment import Environment
from tests.clock import PinnedClock, pinned_connect


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


class Botticelli:
    """`botticelli("post --dry-run")` runs that line in this process, in an empty folder.

    `environ`, `cwd`, `clock`, `chance` and `config` may be set before a call; a list of words
    can be given in place of a line. The database goes by a PinnedClock as well.
    """

    def __init__(self, folder: Path):
        self.cwd = folder
        self.environ = isolated(folder)
        self.clock = None
        self.chance = random.Random(1)
        self.config = None

    def __call__(self, line: str | list[str], *, terminal: bool = False) -> Ended:
        out, err = (Terminal() if terminal else io.StringIO()), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            env = Environment(
                environ=self.environ,
                cwd=self.cwd,
                stdout=out,
                stderr=err,
                clock=self.clock,
                chance=self.chance,
                config=self.config,
                connect=pinned_connect(self.clock) if isinstance(self.clock, PinnedClock) else None,
            )
            code = main(line.split() if isinstance(line, str) else line, env)
        return Ended(code, out.getvalue(), err.getvalue())


def isolated(folder: Path) -> dict[str, str]:
    """Variables of a user whose home is `folder`, who has set nothing of ours."""
    names = ("PATH", "LANG", "TZ", "TMPDIR")
    keep = {name: os.environ[name] for name in names if name in os.environ}
    return keep | {"HOME": str(folder), "COLUMNS": "80", "NO_PROXY": "127.0.0.1"}


def run_installed(
    line: str | list[str],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    timeout: float = 110,
) -> Ended:
    """Run `python -m botticelli LINE` as a process of its own with that environment and folder."""
    words = line.split() if isinstance(line, str) else line
    done = subprocess.run(
        [sys.executable, "-m", "botticelli", *words],
        env=dict(environ),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def botticelli(tmp_path, request):
    """The command line in an empty folder; on the test's database if the test has one."""
    commandline = Botticelli(tmp_path)
    if {"db", "db_url"} & set(request.fixturenames):
        commandline.environ["DATABASE_URL"] = request.getfixturevalue("db_url")
    return commandline
