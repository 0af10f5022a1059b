"""The manual page: made from the commands, and readable by what reads such pages."""

import shutil
import subprocess
import tomllib

import pytest

from botticelli.cli.shell.command_table import COMMANDS
from tools.manual import DOCS, ROOT, page

FILE = DOCS / "botticelli.1"
# A page has no date: it is that of the program, which its version tells.
READERS = {
    "groff": ["groff", "-ww", "-man", "-Tutf8", str(FILE)],
    "mandoc": ["mandoc", "-T", "lint", "-W", "error", str(FILE)],
    "man": ["man", "--warnings", "-l", str(FILE)],
}


def test_it_is_what_the_commands_say():
    assert FILE.read_text(encoding="utf-8") == page(), "run: just man"


def test_every_command_has_its_part():
    text = FILE.read_text(encoding="utf-8").replace("\\-", "-")

    assert [name for name in COMMANDS if f'.SS "botticelli {name} ' not in text] == []
    for word in ("deliveries mark-posted", "db restore", "--dry-run", "GEMINI_API_KEY", "fB75"):
        assert word in text


@pytest.mark.parametrize("reader", READERS)
def test_readers_find_nothing_wrong_with_it(reader):
    if shutil.which(reader) is None:
        pytest.skip(f"{reader} is not installed")

    done = subprocess.run(READERS[reader], capture_output=True, text=True, check=True, timeout=60)

    assert done.stderr == ""
    if reader == "mandoc":
        assert done.stdout == ""
    else:
        assert done.stdout.startswith("BOTTICELLI(1)")


def test_the_wheel_installs_it_and_the_completions():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    shared = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]

    assert shared["docs/botticelli.1"] == "share/man/man1/botticelli.1"
    assert len(shared) == 4
    assert [source for source in shared if not (ROOT / source).is_file()] == []
