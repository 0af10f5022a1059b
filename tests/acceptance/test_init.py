"""`botticelli init`, `db` and `demo`: the first minutes of a newcomer."""

import contextlib
import json
import os
import pty
import re
import sys
from pathlib import Path

import pytest
import tomli

from botticelli.cli.setup.answers import models_of, place_of
from botticelli.cli.setup.init import project_name
from botticelli.cli.setup.sample import SHIPPED, Choices, sample
from botticelli.config.structure import schema
from botticelli.store.connection import connect
from botticelli.store.schema import EXPECTED_VERSION
from tests.commandline import run_installed
from tests.configured import load
from tests.fakes.openai import FakeOpenAI

NAMES = ("ABOUT.md", "botticelli.toml", ".env.example", ".gitignore")
OPTIONS = ["--about", "The Leeds chess club.", "--channel", "file", "--model", "offline"]
WEBHOOK = "https://discord.com/api/webhooks/123456789012345678/a-token_of_its_own"
KEY_LINE = re.compile(r'# ([\w."-]+) = ')


def settings(botticelli, folder="."):
    return tomli.loads((botticelli.cwd / folder / "botticelli.toml").read_text())


def test_init_writes_a_project_that_check_accepts(botticelli, db):
    ended = botticelli(["init", "my-channel", *OPTIONS])
    botticelli.cwd /= "my-channel"

    assert ended.code == 0, ended.err
    for name in (*NAMES, "narratives/generation_carousel.toml"):
        assert (botticelli.cwd / name).is_file()
    assert "to fill in" not in ended.out
    checked = botticelli("check")
    assert checked.code == 0, checked.out
    assert "warning" not in checked.out
    assert ".env" in (botticelli.cwd / ".gitignore").read_text().splitlines()


def test_the_first_lines_are_all_that_lives(botticelli):
    botticelli("init --yes")

    lines = (botticelli.cwd / "botticelli.toml").read_text().splitlines()
    living = [number for number, line in enumerate(lines) if line.strip() and line[0] != "#"]
    assert 3 <= len(living) <= 12
    assert living[-1] < 30
    needed = "".join(lines[:30])
    for word in ("models.default", "models.judge", "destinations.", "active_hours", "time_zone"):
        assert word in needed


def test_any_one_line_of_the_sample_can_be_uncommented(tmp_path):
    lines, file = sample().splitlines(), tmp_path / "botticelli.toml"

    found = [number for number, line in enumerate(lines) if KEY_LINE.match(line)]
    for number in found:
        file.write_text("\n".join([*lines[:number], lines[number][2:], *lines[number + 1 :]]))
        config = load(file, environ={}, cwd=tmp_path)
        assert config.source == file
    assert len(found) > 100


def test_every_key_is_in_the_sample_once():
    known = set(_keys(schema(), ()))
    shown = re.findall(r"(?m)^(?:# )?([\w.\"-]+) = ", sample())

    assert len(shown) == len(set(shown)) + 5  # a schedule of another kind is one line each
    plain = {re.sub(r'"[^"]*"', "*", name).replace("my-model", "*") for name in shown}
    missing = {key for key in known if key not in plain}
    assert not {key for key in missing if not re.search(r"schedule\.|\*\.|\.\*$|options", key)}


def _keys(rule, path):
    for name, value in rule["properties"].items():
        if value.get("type") == "object":
            yield from _keys(value, (*path, name))
        else:
            yield ".".join((*path, name))


@pytest.mark.parametrize(
    ("channel", "keys"),
    [
        ("123456789012345678", {"platform": "discord", "channel": "123456789012345678"}),
        ("<#123456789012345678>", {"platform": "discord", "channel": "123456789012345678"}),
        (
            "https://discord.com/channels/111111111111111111/222222222222222222/333333333333333333",
            {"platform": "discord", "channel": "222222222222222222"},
        ),
        (
            "https://ptb.discord.com/channels/111111111111111111/222222222222222222",
            {"platform": "discord", "channel": "222222222222222222"},
        ),
        (WEBHOOK, {"platform": "discord", "webhook": "${DISCORD_WEBHOOK}"}),
        ("file", {"platform": "outbox", "folder": "outbox"}),
        ("", {"platform": "discord"}),
    ],
)
def test_a_channel_is_given_in_any_of_its_forms(channel, keys):
    place = place_of(channel)

    assert place.keys == keys
    assert {name: value.reveal() for name, value in place.secrets.items()} == (
        {"DISCORD_WEBHOOK": channel} if channel == WEBHOOK else {}
    )


@pytest.mark.parametrize(
    "channel",
    [
        "#general",
        "1234",
        "https://discord.evil.example/api/webhooks/123456789012345678/token",
        "https://discord.com.evil.example/channels/111111111111111111/222222222222222222",
        "https://discord.com/invite/abc",
        "https://discord.com/channels/@me/222222222222222222",
        "ftp://discord.com/channels/111111111111111111/222222222222222222",
        "https://[discord.com",
    ],
)
def test_what_is_no_channel_is_refused_in_one_line_and_nothing_is_written(botticelli, channel):
    ended = botticelli(["init", "new", "--yes", "--channel", channel])

    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert "webhook" in ended.err
    assert not (botticelli.cwd / "new").exists()


def own(name, address, table=None):
    table = table or name
    return {
        ("models", "default"): table,
        ("models", "judge"): table,
        ("models", "timeout_seconds"): 600,
        ("models", table, "provider"): "openai",
        ("models", table, "model"): name,
        ("models", table, "base_url"): address,
    }


def pair(writer, judge):
    return {("models", "default"): writer, ("models", "judge"): judge}


@pytest.mark.parametrize(
    ("model", "chosen"),
    [
        ("gemini", pair("gemini-3.5-flash-lite", "gemini-3.8-flash")),
        ("gemini-2.5-flash", pair("gemini-2.5-flash", "gemini-3.8-flash")),
        ("gpt-5-mini", pair("gpt-5-mini", "gpt-5-mini")),
        ("offline", pair("offline", "offline")),
        ("ollama:qwen3:8b", own("qwen3:8b", "http://localhost:11434/v1")),
        ("lmstudio:a/b", own("a/b", "http://localhost:1234/v1")),
        ("m@http://box:8000/v1/", own("m", "http://box:8000/v1")),
        ("m@https://box", own("m", "https://box/v1")),
        ("tier@http://box/v1", own("tier", "http://box/v1", "served")),
        ("http://one/v1", own("only-one", "http://one/v1")),
        ("ollama", own("qwen3:8b", "http://localhost:11434/v1")),
    ],
)
def test_a_model_is_given_in_any_of_its_forms(model, chosen, tmp_path):
    found = models_of(model, ask=lambda url: ["only-one"] if "one" in url else [])

    assert found == chosen
    file = tmp_path / "botticelli.toml"
    file.write_text(sample(Choices(destination="discord", values={**SHIPPED.values, **found})))
    assert load(file, environ={}, cwd=tmp_path).models.default == (chosen["models", "default"],)


def test_a_small_local_model_writes_short_posts_for_people_to_approve():
    found = models_of("local", ask=None)

    assert found["generate", "narrative"] == "short_posts.batch"
    assert found["curate", "mode"] == "human"


@pytest.mark.parametrize(
    "model", ["claude-3-opus", "nonsense", "http://", "m@ftp://box/v1", "m@http://u:p@box/v1"]
)
def test_what_is_no_model_is_refused_in_one_line(botticelli, model):
    ended = botticelli(["init", "new", "--yes", "--model", model])

    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "ollama:NAME" in ended.err
    assert not (botticelli.cwd / "new").exists()


def test_a_server_is_asked_for_its_models(botticelli):
    with FakeOpenAI(key=None, models=("small", "large")) as server:
        several = botticelli(["init", "--yes", "--model", f"{server.url}/v1"])
        server.models = ("small",)
        one = botticelli(["init", "--yes", "--model", f"{server.url}/v1"])

    assert (several.code, one.code) == (2, 0), several.err + one.err
    assert "small, large" in several.err
    assert settings(botticelli)["models"]["default"] == "small"


def test_a_webhook_is_kept_in_a_file_of_ones_own_and_never_shown(botticelli):
    ended = botticelli(["init", "--yes", "--channel", WEBHOOK])

    env = botticelli.cwd / ".env"
    assert env.stat().st_mode & 0o777 == 0o600
    assert env.read_text() == f"DISCORD_WEBHOOK={WEBHOOK}\n"
    others = [path for path in botticelli.cwd.rglob("*") if path.is_file() and path != env]
    assert not [path for path in others if "a-token_of" in path.read_text()]
    assert "a-token_of" not in ended.out + ended.err
    assert "is a secret" in ended.err


def test_without_a_terminal_the_options_are_named_and_nothing_is_written(botticelli):
    ended = botticelli("init new")

    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    for option in ("--about", "--channel", "--model", "--yes"):
        assert option in ended.err
    assert not (botticelli.cwd / "new").exists()


def test_what_is_left_for_later_is_named(botticelli):
    ended = botticelli("init --yes --json")

    report = json.loads(ended.out)
    assert report["to_fill_in"][0].startswith(
        ".env: GEMINI_API_KEY, DISCORD_TOKEN, POSTING_CHANNEL_ID"
    )
    assert [line.partition(" ")[0] for line in report["to_fill_in"][1:]] == [
        "ABOUT.md:5",
        "ABOUT.md:9",
    ]
    assert [line.split()[1] for line in report["next"]] == [
        "db",
        "check",
        "generate",
        "curate",
        "post",
    ]


@pytest.mark.parametrize("force", ["", " --force"])
def test_init_never_overwrites_what_a_person_wrote(botticelli, force):
    mine = {name: f"# mine: {name}\n" for name in ("ABOUT.md", ".env", ".gitignore")}
    for name, text in mine.items():
        (botticelli.cwd / name).write_text(text)
    (botticelli.cwd / "botticelli.toml").write_text("# mine\n")
    (botticelli.cwd / ".env").write_text("A=1\n")
    mine[".env"] = "A=1\n"

    ended = botticelli(f"init --yes --channel {WEBHOOK}{force}")

    assert ended.code == 0, ended.err
    assert {name: (botticelli.cwd / name).read_text() for name in mine} == mine
    assert f"kept  {botticelli.cwd / 'ABOUT.md'}" in ended.out
    assert ".gitignore: add .env" in ended.out
    is_kept = (botticelli.cwd / "botticelli.toml").read_text() == "# mine\n"
    assert is_kept == (not force)
    assert ("--channel left aside" in ended.err) == (not force)
    assert ("DISCORD_WEBHOOK" in ended.out) == bool(force)


def test_a_second_init_asks_nothing(botticelli):
    botticelli(["init", *OPTIONS])

    ended = botticelli("init")

    assert ended.code == 0, ended.err
    assert "wrote" not in ended.out


@pytest.mark.parametrize(
    ("folder", "name"),
    [("my-channel", "my-channel"), ("schach & café", "schach - café"), ("...", "project")],
)
def test_the_project_is_called_as_its_folder_as_far_as_a_name_can(folder, name):
    assert project_name(Path("/srv") / folder) == name


def test_the_four_questions_are_asked_until_each_answer_means_something(botticelli):
    said, code = at_a_terminal(
        botticelli,
        ["init", "chess"],
        ["The Leeds chess club", "openings", "#general", "file", "nonsense", "offline"],
    )

    assert code == 0, said
    assert re.findall(r"(?m)^(\d)\. ", said) == ["1", "2", "3", "4"]
    assert max(map(len, said.partition("wrote")[0].splitlines())) <= 80
    assert "'#general' is not a channel" in said
    page = (botticelli.cwd / "chess/ABOUT.md").read_text()
    assert "The Leeds chess club" in page
    assert "openings" in page
    assert "[fill in" not in page
    assert settings(botticelli, "chess")["models"] == {"default": "offline", "judge": "offline"}
    assert "outbox" in settings(botticelli, "chess")["destinations"]


def test_questions_left_unanswered_leave_nothing_behind(botticelli):
    said, code = at_a_terminal(botticelli, ["init", "chess"], ["The Leeds chess club", "\x04"])

    assert code == 2
    assert "nothing is written" in said
    assert not (botticelli.cwd / "chess").exists()


def at_a_terminal(botticelli, words, answers):
    """Run a command at a terminal of its own that answers each prompt; return what it shows."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(botticelli.cwd)
        os.execve(sys.executable, [sys.executable, "-m", "botticelli", *words], botticelli.environ)
    said = ""
    with contextlib.suppress(OSError), os.fdopen(terminal, "r+b", buffering=0) as stream:
        while part := stream.read(4096):
            said += part.decode()
            if said.endswith("> ") and answers:
                answer = answers.pop(0)
                stream.write((answer if answer == "\x04" else f"{answer}\n").encode())
    return said.replace("\r\n", "\n"), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_init_where_nothing_can_be_written_is_told(botticelli):
    (botticelli.cwd / "file").write_text("")

    ended = botticelli("init --yes file/below")

    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1


def test_db_init_makes_the_schema_and_may_be_repeated(botticelli, empty_url):
    botticelli.environ["DATABASE_URL"] = empty_url

    assert botticelli("db init").code == 0
    assert botticelli("db init").code == 0
    assert json.loads(botticelli("db status --json").out)["schema_version"] == EXPECTED_VERSION


@pytest.fixture
def machine(postgres_home, botticelli):
    """A machine with a project, on which nothing has run yet: run a line as a process there."""
    (botticelli.cwd / "botticelli.toml").touch()
    environ = {**botticelli.environ, "XDG_STATE_HOME": str(postgres_home)}

    def run(line, **more):
        return run_installed(line, environ=environ | more, cwd=botticelli.cwd)

    yield run
    run("db stop")


@pytest.mark.slow
def test_demo_shows_the_whole_line_twice_in_a_row(machine, botticelli, postgres_home):
    before = sorted(botticelli.cwd.rglob("*"))
    first = machine("demo", DATABASE_URL="postgresql://127.0.0.1:1/ignored")
    second = machine("demo")
    demo = postgres_home / "botticelli/demo"

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "10 new candidates" in first.out
    assert "3 approved" in first.out
    assert "botticelli init" in first.out
    assert len(list((demo / "outbox").glob("*.md"))) == 2
    assert sorted(botticelli.cwd.rglob("*")) == before, "the demo leaves nothing in a project"
    look = re.search(r"botticelli (--config \S+ status)\n", first.out)[1]
    status = json.loads(machine(f"{look} --json").out)
    assert (status["project"], status["queues"]["approved"]["posted"]) == ("demo-project", 2)
    assert "no database yet" in machine("status").err, "the project has none of it"


@pytest.mark.slow
def test_demo_says_that_it_waits_while_the_stage_runs_elsewhere(machine, postgres_home):
    own = f"--config {postgres_home}/botticelli/demo/botticelli.toml"
    machine("demo")
    url = machine(f"{own} db url").out.strip()
    with connect(url) as conn:
        conn.execute(
            "UPDATE locks SET holder = 'x', host = 'other', pid = 7,"
            " expires_at = now() + interval '8 seconds' WHERE name = 'generate'"
        )

        ended = machine("demo")

    assert ended.code == 0, ended.err
    assert "waiting up to 30 s: generate is already running on other (pid 7)" in ended.err


@pytest.mark.slow
def test_our_own_postgres_starts_stops_and_tells(machine):
    assert json.loads(machine("db status --json").out)["running"] is False
    assert machine("db start").code == 0
    assert json.loads(machine("db status --json").out)["running"] is True
    assert machine(["db", "psql", "-Atc", "SELECT 42"]).out == "42\n"
    assert machine("db stop").code == 0
    assert json.loads(machine("db status --json").out)["running"] is False


@pytest.mark.slow
def test_inside_a_unit_the_server_ends_with_the_command(machine):
    assert machine("pause post", INVOCATION_ID="x").code == 0

    assert json.loads(machine("db status --json").out)["running"] is False
