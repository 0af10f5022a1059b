"""Tab in bash, zsh and fish, as a person presses it."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commandline import run_installed

pytestmark = pytest.mark.slow  # whole commands and servers, seconds each

BIN = Path(sys.executable).parent
PRESS = """
eval "$(botticelli completion bash)"
COMP_LINE=$1 COMP_POINT=${#1}
_botticelli
printf '%s\\n' "${COMPREPLY[@]}"
"""


def needs(shell):
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


@pytest.fixture
def environ(botticelli):
    """A home without settings, with this botticelli in PATH."""
    return botticelli.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "TERM": "dumb"}


@pytest.fixture
def press(botticelli, environ):
    """What bash is offered for a line."""

    def offered(line):
        done = subprocess.run(
            ["bash", "--norc", "-c", PRESS, "bash", line],
            env=environ,
            cwd=botticelli.cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout.split()

    return offered


def in_terminal(words, lines, *, environ, cwd, until):
    """Type lines into a shell on a terminal of its own; return all that it shows."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(words[0], words, environ)
    shown, deadline = "", time.monotonic() + 30
    waiting = list(lines)
    try:
        while until not in shown.replace("\x08", "") and time.monotonic() < deadline:
            if select.select([master], [], [], 0.3)[0]:
                shown += os.read(master, 4096).decode(errors="replace")
            elif waiting:
                os.write(master, waiting.pop(0).encode())
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(master)
    return shown


@needs("bash")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("botticelli pau", ["pause"]),
        ("botticelli post --dry", ["--dry-run"]),
        ("botticelli post --offl", ["--offline"]),
        ("botticelli --offline po", ["post"]),
        ("botticelli pause ", ["collect", "generate", "curate", "post", "observe", "all"]),
        ("botticelli locks break p", ["post"]),
        ("botticelli deliveries m", ["mark-posted"]),
        ("botticelli db ba", ["backup"]),
        ("botticelli generate generation_carousel:u", ["usecase"]),
        ("botticelli command dis", ["discord"]),
        ("botticelli command discord channels.l", ["channels.list"]),
        ("botticelli content list --format j", ["json"]),
        ("botticelli db backup ", []),
        ("botticelli no-such-command ", []),
    ],
)
def test_bash_is_offered_what_may_stand_there(press, line, offered):
    assert press(line) == offered


@needs("bash")
def test_destinations_and_narratives_are_those_of_the_configuration(botticelli, press):
    (botticelli.cwd / "botticelli.toml").write_text(
        "[destinations.news]\nplatform = 'outbox'\n[destinations.town]\nplatform = 'outbox'\n"
    )
    (botticelli.cwd / "other.toml").write_text("[destinations.else]\nplatform = 'outbox'\n")
    (botticelli.cwd / "narratives").mkdir()
    (botticelli.cwd / "narratives/mine.toml").write_text(
        "[narrative]\nname = 'mine'\ndescription = 'x'\n[toc]\norder = ['a']\n[acts]\na = 'Hi'\n"
    )

    assert press("botticelli post --to ") == ["news", "town"]
    assert press("botticelli post --to=t") == ["town"]
    assert press("botticelli --config other.toml post --to ") == ["else"]
    assert press("botticelli run mi") == ["mine"]


@needs("bash")
def test_a_broken_configuration_is_no_place_to_complain(botticelli, press):
    (botticelli.cwd / "botticelli.toml").write_text("[")

    assert press("botticelli post --to ") == []
    assert press("botticelli post --l") == ["--limit"]


@needs("bash")
def test_bash_itself_completes_on_a_terminal(botticelli, environ):
    (botticelli.cwd / "a_file.dump").write_text("")
    lines = [
        "source <(botticelli completion bash)\n",
        "botticelli pau\tpo\t\n",
        "botticelli db restore a_f\t --\n",
    ]

    shown = in_terminal(
        [shutil.which("bash"), "--norc", "--noprofile", "-i"],
        lines,
        environ=environ | {"PS1": "$ "},
        cwd=botticelli.cwd,
        until="botticelli db restore a_file.dump",
    )

    assert "botticelli pause post" in shown
    assert "botticelli db restore a_file.dump" in shown


@needs("fish")
def test_fish_is_offered_the_same_with_help(botticelli, environ):
    script = "botticelli completion fish | source; complete -C 'botticelli pau'"

    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=environ,
        cwd=botticelli.cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == "pause\tStop a stage from doing anything until it is resumed.\n"


@needs("zsh")
def test_zsh_itself_completes_on_a_terminal(botticelli, environ):
    lines = [
        'autoload -Uz compinit; compinit -u; eval "$(botticelli completion zsh)"\n',
        "botticelli pau\tpo\t\n",
        "botticelli generate generation_carousel:use\t\n",
    ]

    shown = in_terminal(
        [shutil.which("zsh"), "-f", "-i"],
        lines,
        environ=environ,
        cwd=botticelli.cwd,
        until="generation_carousel:usecase",
    )

    assert "generation_carousel:usecase" in shown


def test_the_first_words_cost_no_import_of_a_command(botticelli):
    environ = botticelli.environ | {"_BOTTICELLI_COMPLETE": "bash", "PYTHONVERBOSE": "1"}

    ended = run_installed(["po"], environ=environ, cwd=botticelli.cwd)

    assert ended.out.startswith("post\t")
    assert "import 'botticelli.cli.work.post'" not in ended.err
    assert "import 'psycopg'" not in ended.err
