"""`botticelli init`, `db` and `demo`: the first minutes of a newcomer."""

import json
import re

import pytest
import tomli

from botticelli.store.connection import connect
from botticelli.store.schema import EXPECTED_VERSION
from tests.commandline import run_installed


def test_init_writes_a_project_that_check_accepts(botticelli, db):
    ended = botticelli("init my-channel")
    botticelli.cwd /= "my-channel"

    assert ended.code == 0
    for name in ("botticelli.toml", ".env.example", "narratives/generation_carousel.toml"):
        assert (botticelli.cwd / name).is_file()
    assert botticelli("check --offline").code == 0


def test_every_commented_key_of_the_sample_can_be_uncommented(botticelli):
    botticelli("init")
    file = botticelli.cwd / "botticelli.toml"
    keys_of_other_types = r"(?m)^# .*\((Daily|Cron|Daily, Cron)\)\.\n# .*\n"
    text = re.sub(keys_of_other_types, "", file.read_text())
    file.write_text(re.sub(r"(?m)^# (?=(\[|[A-Za-z_]+ = ))", "", text))

    assert tomli.loads(file.read_text())["post"]["schedule"]["seconds"] == 7200
    assert botticelli("timers render").code == 0


def test_init_never_overwrites_unless_forced(botticelli):
    file = botticelli.cwd / "botticelli.toml"
    file.write_text("# mine\n")

    kept = botticelli("init")
    assert file.read_text() == "# mine\n"
    assert f"kept  {file}" in kept.out

    botticelli("init --force")
    assert file.read_text() != "# mine\n"


def test_init_where_nothing_can_be_written_is_told(botticelli):
    (botticelli.cwd / "file").write_text("")

    ended = botticelli("init file/below")

    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1


def test_db_init_makes_the_schema_and_may_be_repeated(botticelli, empty_url):
    botticelli.environ["DATABASE_URL"] = empty_url

    assert botticelli("db init").code == 0
    assert botticelli("db init").code == 0
    assert json.loads(botticelli("db status --json").out)["schema_version"] == EXPECTED_VERSION


@pytest.fixture
def machine(postgres_home, botticelli):
    """A machine on which nothing of ours has ever run: run a line as a process on it."""
    environ = {**botticelli.environ, "XDG_STATE_HOME": str(postgres_home)}

    def run(line, **more):
        return run_installed(line, environ=environ | more, cwd=botticelli.cwd)

    yield run
    run("db stop")


def test_demo_shows_the_whole_line_twice_in_a_row(machine, botticelli):
    first = machine("demo", DATABASE_URL="postgresql://127.0.0.1:1/ignored")
    second = machine("demo")

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "10 new candidates" in first.out
    assert "3 approved" in first.out
    assert "botticelli init" in first.out
    assert len(list((botticelli.cwd / "outbox").glob("*.md"))) == 2
    assert [json.loads(machine("status --json").out)["queues"]["approved"]["posted"]] == [2]


def test_demo_says_that_it_waits_while_the_stage_runs_elsewhere(machine):
    machine("db start")
    url = machine("db url").out.strip()
    machine("db init")
    with connect(url) as conn:
        conn.execute(
            "INSERT INTO locks (name, holder, host, pid, expires_at)"
            " VALUES ('generate', 'x', 'other', 7, now() + interval '8 seconds')"
        )

        ended = machine("demo")

    assert ended.code == 0, ended.err
    assert "waiting up to 30 s: generate is already running on other (pid 7)" in ended.err


def test_our_own_postgres_starts_stops_and_tells(machine):
    assert json.loads(machine("db status --json").out)["running"] is False
    assert machine("db start").code == 0
    assert json.loads(machine("db status --json").out)["running"] is True
    assert machine(["db", "psql", "-Atc", "SELECT 42"]).out == "42\n"
    assert machine("db stop").code == 0
    assert json.loads(machine("db status --json").out)["running"] is False


def test_inside_a_unit_the_server_ends_with_the_command(machine):
    assert machine("pause post", INVOCATION_ID="x").code == 0

    assert json.loads(machine("db status --json").out)["running"] is False


def test_demo_keeps_out_of_a_database_that_serves_a_real_channel(machine, botticelli):
    machine("db init")
    with connect(machine("db url").out.strip()) as conn:
        conn.execute("INSERT INTO approved_discord_posts (text_content) VALUES ('mine')")

        ended = machine("demo")

        assert ended.code == 0, ended.err
        assert "a database beside them" in ended.out
        assert "10 new candidates" in ended.out
        (counts,) = conn.execute(
            "SELECT (SELECT count(*) FROM potential_discord_posts),"
            " (SELECT count(*) FROM approved_discord_posts WHERE review_status = 'pending')"
        )
    assert counts == (0, 1)
