"""No secret is ever shown: any secret, at any level, in any format, in any spelling."""

import io
import json
import logging
import re
import subprocess
import sys
from textwrap import dedent
from urllib.parse import quote

import pytest

from botticelli.cli.shell.environment import Environment, Options
from botticelli.config.hiding import (
    SHORTEST,
    Hider,
    passwords_in,
    secrets_of,
    secrets_of_environment,
)
from botticelli.tracing import here
from tests.commandline import Terminal, isolated, run_installed

AWKWARD = """it's "q\\uoted" ü\\n/&+€"""  # quotes, a backslash, letters beyond ASCII, URL signs

ENVIRON = {
    "GEMINI_API_KEY": f"gemini {AWKWARD}",
    "OPENAI_API_KEY": f"openai {AWKWARD}",
    "DISCORD_TOKEN": "MTIz.discord-token",
    "DATABASE_URL": "postgresql://bot:p%40ss%2Fw%C3%B6rd@127.0.0.1:1/x?sslpassword=key-pa%24s",
    "MASTODON_ACCESS_TOKEN": "mastodon-token",
    "OLLAMA_KEY": "ollama-secret",
}
# What is meant, and what of it a message may show apart from the rest.
MEANT = {
    "p@ss/wörd",
    "key-pa$s",
    "MTIz.discord-token",
    "mastodon-token",
    "ollama-secret",
    "dest token 'x'",
    "wh-5EcretPart",
    "ping-5EcretPart",
    "5EcretOfGenerate",
    "5EcretFailure",
    "5EcretBearerValue",
    "5EcretApprise",
    "apprise-pass",
    "5EcretBreaker",
    "5EcretEmpty",
    "plugin-token",
    "deeper plugin secret",
    "plugin-url-password",
}
TOML = """
[models.mine]
provider = "openai"
api_key = "${OLLAMA_KEY}"
[destinations.main]
platform = "discord"
channel = "1"
token = "dest token 'x'"
[destinations.hook]
platform = "discord"
webhook = "https://discord.com/api/webhooks/42/wh-5EcretPart?wait=true"
[destinations.other]
platform = "outbox"
[destinations.other.options]
access_token = "plugin-token"
server = "https://masto.example"
[destinations.other.options.login]
password = "deeper plugin secret"
proxy = "http://me:plugin-url-password@proxy.example:3128"
[hooks]
ping = "https://hc-ping.com/ping-5EcretPart"
on_success = ["curl -H 'Authorization: Bearer 5EcretBearerValue' https://example.org/ok"]
on_failure = ["https://hooks.example/services/T0/5EcretFailure"]
[hooks.generate]
ping = "https://hc-ping.com/5EcretOfGenerate"
on_failure = ["slack://5EcretApprise/x/y", "mailto://me:apprise-pass@mail.example"]
on_breaker_open = ["ntfy://ntfy.sh/5EcretBreaker"]
on_empty_queue = ["https://example.org/?key=5EcretEmpty"]
"""
STYLES = {"human": {}, "journal": {"JOURNAL_STREAM": "1:1"}, "json": {"BOTTICELLI_LOG": "json"}}
LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
SPELLINGS = {
    "bare": str,
    "percent": lambda text: quote(text, safe=""),
    "percent in lower case": lambda text: re.sub(
        "%..", lambda found: found[0].lower(), quote(text, safe="")
    ),
    "path": quote,
    "json": lambda text: json.dumps({"sent": text}),
    "json, letters as they are": lambda text: json.dumps(text, ensure_ascii=False),
    "shown by Python": repr,
    "bytes": lambda text: repr(text.encode()),
}


@pytest.fixture
def world(tmp_path):
    """An environment with every kind of secret, and its stream."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)

    def make(style, *, read=True, **options):
        (tmp_path / "botticelli.toml").write_text(TOML)
        err = Terminal() if style == "human" else io.StringIO()
        environ = isolated(tmp_path) | ENVIRON | STYLES[style]
        env = Environment(environ=environ, cwd=tmp_path, stdout=err, stderr=err)
        root.handlers.clear()  # pytest's own
        env.take(Options(debug=True, **options))
        if read:
            assert env.config.hooks.every.ping
        return env, err

    yield make
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("botticelli").setLevel(logging.NOTSET)
    here.run = None


def secrets():
    return {*MEANT, ENVIRON["GEMINI_API_KEY"], ENVIRON["OPENAI_API_KEY"]}


def leaks(shown, spelt):
    """Return the secrets that can be read in what was shown, however it was escaped."""
    texts = [shown, shown.replace("\\\\", "\\").replace('\\"', '"')]
    for line in shown.splitlines():
        if line.startswith("{"):
            texts += [str(value) for value in json.loads(line).values()]
    return {text for text in spelt if any(text in each for each in texts)}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_secret_is_logged_at_any_level_by_anybody(world, style, spelling):
    _, err = world(style)
    spelt = {SPELLINGS[spelling](secret): secret for secret in secrets()}
    for text in spelt:
        for level in LEVELS:
            for logger in ("botticelli.test", "urllib3.connectionpool"):
                log = logging.getLogger(logger)
                log.log(level, "said %s", text, extra={"field": text, "deep": [{"a": (text,)}]})
            try:
                raise ValueError(text)  # noqa: TRY301 - for its traceback
            except ValueError:
                logging.getLogger("botticelli").log(level, "failed", exc_info=True)

    shown = err.getvalue()
    assert shown.count("********") >= len(spelt) * len(LEVELS) * 7
    assert leaks(shown, {*spelt, *MEANT}) == set()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("how", ["say", "complain"])
def test_no_secret_is_told(world, style, how):
    env, err = world(style)
    for text in secrets():
        getattr(env, how)(f"it is {text}, in a URL {quote(text)}")

    assert leaks(err.getvalue(), secrets()) == set()
    assert err.getvalue().count("********") >= 2 * len(secrets())


@pytest.mark.parametrize("style", STYLES)
def test_secrets_of_the_environment_are_hidden_before_any_file_is_read(world, style):
    env, err = world(style, read=False)
    env.complain(" ".join([*ENVIRON.values(), "p@ss/wörd"]))

    assert "config" not in vars(env)
    assert leaks(err.getvalue(), {*ENVIRON.values(), "p@ss/wörd", "p%40ss%2Fw%C3%B6rd"}) == set()


def test_credentials_and_named_files_are_hidden_before_any_file_is_read(tmp_path):
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "discord-token").write_text("of systemd\n")
    (tmp_path / "key").write_text("of a file\n")
    environ = {"CREDENTIALS_DIRECTORY": str(folder), "GEMINI_API_KEY_FILE": str(tmp_path / "key")}
    err = Terminal()
    env = Environment(environ=environ, cwd=tmp_path, stdout=err, stderr=err)

    env.complain(f"of systemd, of a file, {folder}, {tmp_path / 'key'}")

    told = " ".join(err.getvalue().split())  # a long path begins a line of its own
    assert told == f"botticelli: ********, ********, {folder}, {tmp_path / 'key'}", (
        "where they lie is no secret"
    )


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgresql://bot:s%3Cecret@h/x", "s<ecret"),
        ("postgresql://bot@h/x?password=s%3Cecret", "s<ecret"),
        ("postgresql://bot:se/cret@h/x", "se/cret"),
        ("postgresql://bot:se@cret@h/x", "se@cret"),
        ("host=h user=bot password=s<ecret dbname=x", "s<ecret"),
        ("host=h password = 'it\\'s s<ecret' user=bot", "it's s<ecret"),
        ("host=h password=se\\ cret user=bot", "se cret"),
    ],
)
def test_the_databases_password_is_known_in_every_spelling(tmp_path, url, password):
    assert password in passwords_in(url)
    err = Terminal()
    env = Environment(environ={"DATABASE_URL": url}, cwd=tmp_path, stdout=err, stderr=err)
    env.complain(f"{url} {password} {quote(password, safe='')}")

    assert leaks(err.getvalue(), {password, quote(password, safe="")}) == set()


def test_passwords_in_addresses_are_hidden_though_nobody_told_us():
    hide = Hider([]).hide

    assert hide("at https://me:abc@x.org:8080/y") == "at https://me:********@x.org:8080/y"
    assert hide("host=x password=abc user=me") == "host=x password=******** user=me"
    assert hide("time 12:03, mail me@x.org, http://x.org:80/a") == (
        "time 12:03, mail me@x.org, http://x.org:80/a"
    )
    advice = "write postgresql://USER:PASSWORD@HOST:5432/NAME"
    assert hide(advice) == advice


@pytest.mark.parametrize("spell", [json.dumps, repr, str, quote])
def test_nothing_is_left_of_a_secret_that_is_spelt_otherwise(spell):
    secret = 'awk"ward\\' + "'s"

    assert secret not in Hider([secret]).hide(f"<{spell(secret)}>")
    assert re.fullmatch(r"""<['"]?\*{8}['"]?>""", Hider([secret]).hide(f"<{spell(secret)}>"))


def test_six_characters_are_a_secret_and_five_a_word():
    assert Hider(["secret", "words"]).hide("secret words") == "******** words"


@pytest.mark.parametrize(
    ("word", "known"),
    [("abcdefg1", True), ("abcdef1", False), ("a" * 20, True), ("a" * 19, False)],
)
def test_what_looks_like_a_key_in_an_address_is_known_apart_from_it(word, known):
    found = secrets_of_environment({"PING_TOKEN": f"https://example.org/ping/{word}"})

    assert (word in found) == known


def test_ordinary_words_in_hooks_stay_readable(botticelli):
    config = dedent("""
        [hooks]
        ping = "https://status.example/health"
        on_failure = ["notify", "/usr/local/bin/tell-me", "https://example.org/notify"]
    """)
    (botticelli.cwd / "botticelli.toml").write_text(config)
    env = Environment(environ=botticelli.environ, cwd=botticelli.cwd, stdout=None, stderr=None)
    known = secrets_of(env.config)
    plain = "notify /usr/local/bin/tell-me health status.example"

    assert Hider(known).hide(plain) == plain
    assert Hider(known).hide("at https://status.example/health/fail") == "at ********/fail"


def test_names_and_places_stay_readable(world):
    env, _ = world("human")
    plain = (
        "https://masto.example https://hc-ping.com hooks.example discord.com channel 1"
        " curl Authorization: Bearer api webhooks services DISCORD_TOKEN 127.0.0.1:1/x"
    )

    assert env.hide(plain) == plain


@pytest.mark.parametrize(
    "line",
    ["token = 123456789012", "webhook = 98765432109", 'active_hours = "${DISCORD_TOKEN}"'],
)
def test_a_mistake_does_not_show_the_secret_it_is_about(botticelli, line):
    botticelli.environ["DISCORD_TOKEN"] = "MTIz.discord-token"
    text = f'[destinations.main]\nplatform = "discord"\n{line}\n'
    (botticelli.cwd / "botticelli.toml").write_text(text)

    ended = botticelli("status --debug")

    assert ended.code == 78
    assert "********" in ended.err
    for secret in ("123456789012", "98765432109", "MTIz.discord-token"):
        assert secret not in ended.err


@pytest.mark.parametrize("style", STYLES)
def test_every_line_of_a_run_has_its_id(world, style):
    env, err = world(style)
    here.run = 17
    logging.getLogger("botticelli.x").warning("one")
    logging.getLogger("urllib3").warning("two")
    logging.getLogger("botticelli.x").warning("three", extra={"run": 5})
    env.complain("four")

    lines = err.getvalue().splitlines()
    assert len(lines) == 4
    if style == "json":
        assert [json.loads(line)["run"] for line in lines] == [17, 17, 5, 17]
    else:
        assert [line.rpartition("run=")[2] for line in lines[:3]] == ["17", "17", "5"]
        assert (
            lines[3]
            == {
                "journal": "<3>botticelli: four run=17",
                "human": "botticelli: four",  # a person sees what they have started
            }[style]
        )


def test_a_line_that_a_library_wrote_wrongly_is_shown_hidden(world, capfd):
    _, err = world("human")
    logging.getLogger("lib").error("%d posts", "mastodon-token")

    assert "********" in err.getvalue()
    assert "mastodon-token" not in err.getvalue() + capfd.readouterr().err


STRAY = """
import threading, warnings
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.log import catch_strays
from botticelli.cli.shell.environment import Options

catch_strays()
Environment.of_process().take(Options())
warnings.warn("warned of mastodon-token", UserWarning)
def fail():
    raise ValueError("mastodon-token")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
class Bad:
    def __del__(self):
        raise ValueError("mastodon-token")
Bad()
"""


def test_warnings_and_dying_threads_are_shown_hidden(botticelli):
    done = subprocess.run(
        [sys.executable, "-c", STRAY],
        env=botticelli.environ | ENVIRON,
        cwd=botticelli.cwd,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr.count("********") >= 3
    assert "mastodon-token" not in done.stderr


def test_a_stage_tells_its_run_in_json_lines(botticelli, db):
    botticelli.environ |= {"DISCORD_TOKEN": "x", "POSTING_CHANNEL_ID": "1"}
    botticelli.environ["BOTTICELLI_LOG"] = "json"
    ended = run_installed("post", environ=botticelli.environ, cwd=botticelli.cwd)

    events = [json.loads(line) for line in ended.err.splitlines()]
    assert [(one["event"], one["run"]) for one in events] == [("run started", 1), ("run ended", 1)]
    assert events[1].items() >= {"stage": "post", "state": "done", "exit_code": 0}.items()


def test_every_secret_of_the_configuration_is_known(world):
    """Whoever adds a Secret to the configuration has it hidden without doing anything."""
    env, _ = world("human")
    known = secrets_of(env.config)

    assert {text for text in MEANT if not text.startswith("mastodon")} <= set(known)
    assert all(len(text) >= SHORTEST for text in MEANT)


FORMER, PRESENT = "gemkey-7777abcdEFGH9999ijkl", "gemkey-8888abcdEFGH0000ijkl"
PLANTED = (
    "UPDATE runs SET summary = jsonb_build_object('narrative', %(text)s::text), error = %(text)s",
    "UPDATE actor_server_state SET last_error = %(text)s, circuit_opened_at = now()",
    "INSERT INTO actor_server_state (task_id, actor_name) VALUES (%(text)s, %(text)s)",
    "INSERT INTO potential_discord_posts (text_content, content_type) VALUES (%(text)s, %(text)s)",
)


@pytest.mark.slow
@pytest.mark.parametrize("length", [0, 20])  # of rows that are nobody's keys
def test_what_only_reads_hides_present_and_former_keys_in_rows_of_anybody(botticelli, db, length):
    for key in (FORMER, PRESENT):
        botticelli.environ["GEMINI_API_KEY"] = key
        assert botticelli("post --now").code == 0
    for statement in PLANTED:
        db.execute(statement, {"text": f"{FORMER} {PRESENT}"})
    db.execute(
        "INSERT INTO known_secrets (digest, salt, length, seen_at) SELECT sha256(n::text::bytea),"
        " salt, %s + n * 1000, 'infinity' FROM known_secrets, generate_series(1, 50) AS n"
        " ON CONFLICT DO NOTHING",
        (length,),
    )
    for line in ("status", "runs", "deliveries", "content list", "metrics", "doctor", "health"):
        for form in (line, f"{line} --json") if line != "metrics" else (line,):
            said = botticelli(form)
            assert not re.search(f"{FORMER}|{PRESENT}", said.out + said.err), form
    assert "********" in botticelli("metrics").out
