"""deploy/: what is started there is what the command line understands."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JOBS = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))


def args_of(path):
    """The arguments of a CronJob's container, which stand on one line as JSON."""
    return json.loads(re.search(r"^ +args: (\[.*\])$", path.read_text(), re.MULTILINE)[1])


def test_every_stage_and_pruning_has_a_job():
    found = {path.stem: args_of(path) for path in JOBS}

    assert {name: args[0] for name, args in found.items()} == {
        "curate": "curate",
        "generate": "generate",
        "post": "post",
        "prune": "db",
    }


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_its_arguments_are_understood(botticelli, path):
    args = args_of(path)

    ended = botticelli([*args, "--help"])

    assert ended.code == 0
    assert [one for one in args if one.startswith("--") and one not in ended.out] == []


def test_the_jobs_differ_in_nothing_but_what_they_do():
    own = (
        r"^( +name: botticelli-\w+| +- name: \w+| +schedule:.*| +activeDeadline.*| +args:.*| +#.*)$"
    )
    bodies = {
        re.sub(own, "", path.read_text(), flags=re.MULTILINE).replace("\n\n", "\n") for path in JOBS
    }

    assert len({re.sub(r"\n+", "\n", body) for body in bodies}) == 1


def test_the_image_is_made_of_files_that_are_there():
    kept = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    text = (ROOT / "pyproject.toml").read_text()
    needed = re.findall(r'^"([^"]+)" = "share/', text, re.MULTILINE)

    assert [name for name in kept if not (ROOT / name).exists()] == []
    assert [name for name in needed if not any(name.startswith(one) for one in kept)] == []
