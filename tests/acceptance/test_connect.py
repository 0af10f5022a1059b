"""`botticelli connect`: credentials are got, tried, and kept where only their owner reads them."""

import io
import json
import os
import pty
import re
import subprocess
import sys

import pytest
import tomli

from tests.fakes.mastodon import TOKEN, FakeMastodon
from tests.fakes.matrix import ALIAS, BOT, FakeMatrix
from tests.fakes.x import FakeX

INIT = ["init", "--about", "A club.", "--channel", "file", "--model", "offline"]


@pytest.fixture(params=["mastodon"])
def server(request):
    with FakeMastodon(request.param) as fake:
        yield fake


@pytest.fixture
def project(botticelli):
    assert botticelli(INIT).code == 0
    return botticelli


@pytest.fixture
def write(monkeypatch):
    """What stands on standard input."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def kept(project):
    return (project.cwd / ".env").read_text()


def test_a_pasted_token_is_tried_and_kept(project, server, write):
    write(f"{TOKEN}\n")

    ended = project(["connect", "mastodon", "--server", server.url])

    assert ended.code == 0, ended.err
    assert kept(project) == f"MASTODON_TOKEN={TOKEN}\n"
    assert (project.cwd / ".env").stat().st_mode & 0o777 == 0o600
    table = tomli.loads(ended.out[ended.out.index("[destinations") :])
    assert table["destinations"]["mastodon"] == {
        "platform": "mastodon",
        "base_url": server.url,
        "account": "@bot",
        "token": "${MASTODON_TOKEN}",
    }
    assert "connected: mastodon 4.5.3; as @bot" in ended.out
    assert TOKEN not in ended.out + ended.err


@pytest.mark.parametrize("server", ["mastodon", "gotosocial"], indirect=True)
def test_a_code_from_the_browser_becomes_a_token(project, server, write):
    write("\nthe-code\n")

    ended = project(["connect", "mastodon", "--server", server.url, "--add"])

    assert ended.code == 0, ended.err
    page = re.search(r"http\S+/oauth/authorize\?\S+", ended.err)[0]
    assert "redirect_uri=urn%3Aietf%3Awg%3Aoauth%3A2.0%3Aoob" in page
    assert ("code_challenge_method=S256" in page) == (server.software == "mastodon")
    assert server.apps["the-app"]["scopes"].split() == [
        "read:accounts",
        "read:statuses",
        "write:media",
        "write:statuses",
    ]
    assert kept(project) == f"MASTODON_TOKEN={TOKEN}\n"
    for secret in (TOKEN, "app-secret"):
        assert secret not in ended.out + ended.err


def test_the_destination_is_added_and_posts(project, server, write):
    write(f"{TOKEN}\n")

    line = ["connect", "mastodon", "--server", server.url, "--add", "--name", "fedi"]
    assert project(line).code == 0

    text = (project.cwd / "botticelli.toml").read_text()
    assert tomli.loads(text)["destinations"]["fedi"]["token"] == "${FEDI_TOKEN}"
    assert "outbox" in tomli.loads(text)["destinations"]
    checked = " ".join(project("check --online").out.split())
    assert "lets us post (mastodon 4.5.3; as @bot; length up to 500; 4 pictures)" in checked
    (project.cwd / "botticelli.toml").write_text(f'{text}alt = "none"\n')
    checked = " ".join(project("check --online").out.split())
    assert "4 pictures; pictures without alternative texts)" in checked


def test_other_lines_of_env_stay(project, server, write):
    before = "# mine\nexport MASTODON_TOKEN='old'\nOTHER=1 # one\n"
    (project.cwd / ".env").write_text(before)
    write(f"{TOKEN}\n")

    assert project(["connect", "mastodon", "--server", server.url]).code == 0

    assert kept(project) == f"# mine\nOTHER=1 # one\nMASTODON_TOKEN={TOKEN}\n"


def test_printed_it_is_kept_nowhere(botticelli, server, write):
    write(f"{TOKEN}\n")

    ended = botticelli(["connect", "mastodon", "--server", server.url, "--print"])

    assert (ended.code, ended.out) == (0, f"MASTODON_TOKEN={TOKEN}\n")
    assert "[destinations.mastodon]" in ended.err
    assert list(botticelli.cwd.rglob(".env")) == []


def test_the_report_in_json_has_no_secret(project, server, write):
    write(f"{TOKEN}\n")

    ended = project(["connect", "mastodon", "--server", server.url, "--json"])

    assert json.loads(ended.out)["variables"] == ["MASTODON_TOKEN"]
    assert TOKEN not in ended.out + ended.err


@pytest.mark.parametrize(
    "case",
    [
        (["--server", "URL"], "", 2, "the token is missing"),
        (["--server", "URL"], "\n", 2, "the code is missing"),
        ([], f"{TOKEN}\n", 2, "the server is missing; give --server"),
        (["--server", "URL"], "wrong-token\n", 78, "does not accept the credentials"),
        (["--server", "URL"], "two words\n", 78, "characters that no token has"),
        (["--server", "URL"], "\nwrong-code\n", 78, "the code is not accepted"),
        (["--server", "http://social.example"], f"{TOKEN}\n", 78, "unencrypted"),
        (["--server", "URL", "--name", "my name"], f"{TOKEN}\n", 2, "is not a name"),
        (["--server", "URL", "--name", "outbox", "--add"], f"{TOKEN}\n", 2, "already"),
    ],
)
def test_what_does_not_do_is_said_and_nothing_is_kept(project, server, write, case):
    options, said, code, words = case
    settings = (project.cwd / "botticelli.toml").read_text()
    write(said)

    ended = project(["connect", "mastodon", *(server.url if o == "URL" else o for o in options)])

    assert (ended.code, words in ended.err) == (code, True), ended.err
    assert not (project.cwd / ".env").exists()
    assert (project.cwd / "botticelli.toml").read_text() == settings


@pytest.mark.parametrize("fault", ["scope", "suspended"])
def test_an_account_that_may_not_post_is_not_kept(project, server, write, fault):
    server.script.add(fault, to="delete")
    write(f"{TOKEN}\n")

    assert project(["connect", "mastodon", "--server", server.url]).code == 78
    assert not (project.cwd / ".env").exists()


def test_without_a_project_there_is_nowhere_to_keep_it(botticelli, server, write):
    write(f"{TOKEN}\n")

    ended = botticelli(["connect", "mastodon", "--server", server.url])

    assert ended.code == 2
    assert "no project here" in ended.err
    assert "botticelli init" in ended.err


def test_a_discord_bot_is_tried_in_its_channel(project, discord, write):
    line = ["connect", "discord", "--server", discord.api, "--channel", discord.channel]
    write("wrong-token\n")
    assert project(line).code == 78

    write(f"{discord.token}\n")
    ended = project(line)

    assert ended.code == 0, ended.err
    assert kept(project) == f"DISCORD_TOKEN={discord.token}\n"
    assert f'channel = "{discord.channel}"' in ended.out


@pytest.mark.parametrize("platform", ["outbox", "nothing"])
def test_a_platform_without_credentials_says_so(project, platform):
    assert project(["connect", platform]).code == 78


def test_at_a_terminal_the_token_is_not_shown(project, server):
    here, there = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "botticelli", "connect", "mastodon"],
        env=project.environ,
        cwd=project.cwd,
        stdin=there,
        stdout=subprocess.PIPE,
        stderr=there,
        start_new_session=True,
    )
    os.close(there)
    shown = _until(here, "mastodon.social: ")
    os.write(here, f"{server.url}\n".encode())
    shown += _until(here, "browser: ")
    os.write(here, f"{TOKEN}\n".encode())
    out, _ = running.communicate(timeout=60)
    os.close(here)

    assert running.returncode == 0, shown
    assert TOKEN not in shown + out.decode()
    assert kept(project) == f"MASTODON_TOKEN={TOKEN}\n"


def _until(terminal, words):
    shown = ""
    while words not in shown:
        shown += os.read(terminal, 1024).decode()
    return shown


@pytest.mark.parametrize("said", ["syt_bot\n", "\na password\n"])
def test_a_matrix_account_gets_its_token_and_into_its_room(project, write, said):
    with FakeMatrix() as server:
        server.state.is_member = False
        write(said)
        line = ["connect", "matrix", "--server", server.url, "--account", BOT, "--channel", ALIAS]

        ended = project([*line, "--add"])

        assert ended.code == 0, ended.err
        assert kept(project) == "MATRIX_TOKEN=syt_bot\n"
        assert "lets us post (as @bot:test.example; length" in " ".join(
            project("check --online").out.split()
        )


@pytest.mark.parametrize("said", ["syt_wrong\n", "\nwrong\n"])
def test_a_wrong_matrix_token_or_password_is_not_kept(project, write, said):
    with FakeMatrix() as server:
        write(said)
        line = ["connect", "matrix", "--server", server.url, "--account", BOT, "--channel", ALIAS]

        ended = project([*line, "--add"])

        assert ended.code == 78
        assert not (project.cwd / ".env").exists()


def test_the_four_keys_of_x_are_tried_and_kept(project, write):
    with FakeX() as server:
        write("\n".join((*server.keys.values(), "")))

        ended = project(["connect", "x", "--server", server.url, "--add"])

        assert ended.code == 0, ended.err
        assert "account 1234567; $0.015 a post, $0.200 with a link" in ended.out
        assert kept(project).splitlines() == [
            "X_API_KEY=app",
            "X_API_SECRET='app secret&'",
            "X_TOKEN=1234567-account",
            "X_TOKEN_SECRET='account secret='",
        ]
        assert "lets us post" in " ".join(project("check --online").out.split())


def test_a_wrong_key_of_x_is_not_kept(project, write):
    with FakeX() as server:
        write("app\nwrong\n1234567-account\nwrong\n")

        ended = project(["connect", "x", "--server", server.url])

        assert ended.code == 78
        assert "does not accept the keys (Invalid signature.)" in ended.err
        assert not (project.cwd / ".env").exists()
