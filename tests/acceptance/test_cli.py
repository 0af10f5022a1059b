"""The shell around every command: help, bad input, exit codes, logs, secrets."""

import io
import json
import logging
import signal
import subprocess
import sys
from importlib import import_module

import pytest
import typer

from botticelli.cli.shell import earlier
from botticelli.cli.shell.app import app, globals_first
from botticelli.cli.shell.command_table import COMMANDS
from botticelli.cli.shell.environment import Environment, Options
from botticelli.cli.shell.log import set_up
from tests.commandline import Terminal, run_installed

NOWHERE = "postgresql://user:hunter22@127.0.0.1:1/none"


def test_help_names_every_command_in_its_own_words(botticelli):
    ended = botticelli("--help")
    for command in COMMANDS.values():
        import_module(f"botticelli.cli.{command.module}")
    built = typer.main.get_group(app).commands

    assert ended.code == 0
    for name, command in COMMANDS.items():
        assert f"  {name} " in ended.out
        assert built[name].help.splitlines()[0] == command.help, name
    assert set(built) == set(COMMANDS)


def test_every_argument_and_option_says_what_it_is_for():
    for command in COMMANDS.values():
        import_module(f"botticelli.cli.{command.module}")
    groups = {"": typer.main.get_group(app)}
    silent = []
    while groups:
        path, found = groups.popitem()
        told = ("help", "hidden")
        silent += [p for p in found.params if not any(getattr(p, name, "") for name in told)]
        groups |= {f"{path} {name}": each for name, each in getattr(found, "commands", {}).items()}

    assert silent == []


def test_no_command_at_all_shows_the_help(botticelli):
    ended = botticelli("")

    assert ended.code == 2
    assert "\nPipeline:\n" in ended.out


def test_version(botticelli):
    ended = botticelli("--version")

    assert ended.code == 0
    assert ended.out.startswith("botticelli ")


BAD_INPUT = [
    ("stats", {}, "", 2, "there is no command 'stats'; did you mean 'status'?"),
    ("xyzzy", {}, "", 2, "there is no command 'xyzzy'; see botticelli --help"),
    ("--jsno", {}, "", 2, "no such option: --jsno; see botticelli --help"),
    ("status --jsno", {}, "", 2, "no such option: --jsno; did you mean '--json'?"),
    ("db prnue", {}, "", 2, "there is no command 'db prnue'; did you mean 'db prune'?"),
    ("db xyzzy", {}, "", 2, "there is no command 'db xyzzy'; see botticelli db --help"),
    ("pause", {}, "", 2, "missing argument 'STAGE'; see botticelli pause --help"),
    ("pause posst", {}, "", 2, "there is no stage 'posst'"),
    ("--config none.toml status", {}, "", 78, "none.toml: the file given with --config"),
    ("status", {"BOTTICELLI_CONFIG": "gone.toml"}, "", 78, "gone.toml: the file that BOTTI"),
    ("status", {}, "[post", 78, "botticelli.toml:1:6: broken TOML: expected ']'"),
    ("status", {}, "[pots]", 78, "botticelli.toml:1: pots: unknown key 'pots'; did you mean 'po"),
    ("status", {"DATABASE_URL": NOWHERE}, "", 69, "postgresql://127.0.0.1:1/none: the database"),
    ("status", {"DATABASE_URL": "mysql://x"}, "", 78, "is not a PostgreSQL URL"),
    ("db stop", {"DATABASE_URL": NOWHERE}, "", 2, "DATABASE_URL: another server is configured"),
    ("status", {"DISCORD_TOKEN_FILE": "/none"}, "", 78, "/none: the file that DISCORD_TOKEN_FILE"),
]


@pytest.mark.parametrize("case", BAD_INPUT, ids=lambda case: case[4])
def test_bad_input_gives_one_line_and_its_exit_code(botticelli, case):
    line, environ, config, code, says = case
    botticelli.environ |= environ
    if config:
        (botticelli.cwd / "botticelli.toml").write_text(config)

    ended = botticelli(line)

    assert ended.code == code
    assert says in ended.err
    assert ended.err.startswith("botticelli: ")
    assert len(ended.err.splitlines()) == 1
    assert "hunter22" not in ended.err
    assert ended.out == ""


def test_without_a_key_generate_says_which_variable_to_set(botticelli, db):
    ended = botticelli("generate --iterations 1")

    assert ended.code == 78
    assert "GEMINI_API_KEY" in ended.err
    assert "Traceback" not in ended.err


def test_global_options_may_stand_anywhere_before_a_double_dash():
    line = ["run", "x.toml", "--debug", "--config", "a.toml", "--", "--quiet"]

    assert globals_first(line) == [
        "--debug",
        "--config",
        "a.toml",
        "run",
        "x.toml",
        "--",
        "--quiet",
    ]


def test_a_bug_ends_with_70_and_a_trace_without_secrets(botticelli, monkeypatch):
    botticelli.environ["DATABASE_URL"] = NOWHERE

    def broken(self):
        raise ZeroDivisionError(self.config.database.url)

    monkeypatch.setattr(Environment, "database_url", broken)
    ended = botticelli("db url")

    assert ended.code == 70
    assert "Traceback" in ended.err
    assert "hunter22" not in ended.err
    assert ended.err.splitlines()[-1].startswith("botticelli: this is a bug")


def test_debug_shows_where_an_error_came_from(botticelli):
    ended = botticelli("pause posst --debug")

    assert "Traceback" in ended.err
    assert ended.err.splitlines()[-1].startswith("botticelli: there is no stage 'posst'")


def test_quiet_leaves_only_results(botticelli, db):
    assert botticelli("pause post").err != ""
    assert botticelli("pause post --quiet").err == ""


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_are_for_terminals_that_want_them(botticelli, db, no_color):
    botticelli.environ |= {"NO_COLOR": no_color, "TERM": "xterm"}

    on_terminal = botticelli("status", terminal=True).out
    in_a_pipe = botticelli("status").out

    assert ("\x1b[" in on_terminal.replace("\x1b[1m", "").replace("\x1b[0m", "")) or no_color
    assert "\x1b[3" not in on_terminal or not no_color
    assert "\x1b" not in in_a_pipe


# --- logs ------------------------------------------------------------------------------------


def quiet_again():
    """Take the command line's handler off again."""
    root = logging.getLogger()
    root.handlers[:] = [one for one in root.handlers if "botticelli" not in repr(one.formatter)]


@pytest.fixture
def logged(tmp_path):
    """What a log line looks like for an environment."""

    def log(environ, *, quiet=False, stream=io.StringIO, **fields):
        err = stream()
        env = Environment(environ=environ, cwd=tmp_path, stdout=io.StringIO(), stderr=err)
        env.take(Options(quiet=quiet))
        assert env.config.post.limit == 1
        logging.getLogger("botticelli.test").warning("posted it", extra=fields)
        return err.getvalue()

    yield log
    quiet_again()


def test_a_person_reads_time_level_event_and_fields(logged):
    line = logged({}, delivery=17, state="put back")

    assert line[8:] == ' warning posted it delivery=17 state="put back"\n'


def test_journald_gets_a_priority_and_key_value_pairs(logged):
    line = logged({"JOURNAL_STREAM": "9:1"}, delivery=17, note='say "no"\nnow')

    assert line == '<4>event="posted it" delivery=17 note="say \\"no\\"\\nnow"\n'


def test_json_is_one_object_a_line(logged):
    line = logged({"BOTTICELLI_LOG": "json"}, delivery=17)

    assert (
        json.loads(line).items()
        >= {"event": "posted it", "level": "warning", "delivery": 17}.items()
    )


SECRETS = {
    "GEMINI_API_KEY": "AIza-very-secret",
    "DISCORD_TOKEN": "MTIz.very.secret",
    "OPENAI_API_KEY": "sk-very-secret",
    "DATABASE_URL": "postgresql://bot:p%40ssword-secret@127.0.0.1:1/x",
}


@pytest.mark.parametrize("style", [{}, {"BOTTICELLI_LOG": "json"}, {"JOURNAL_STREAM": "1:1"}])
def test_no_secret_is_ever_logged(logged, style):
    line = logged({**SECRETS, **style}, all=" ".join([*SECRETS.values(), "p@ssword-secret"]))

    assert "********" in line
    assert "secret" not in line


def test_quiet_keeps_warnings_out(logged):
    assert logged({}, quiet=True) == ""


def test_logging_is_set_up_once_for_many_commands(tmp_path):
    streams = [Terminal(), Terminal()]
    for stream in streams:
        set_up(
            Environment(environ={}, cwd=tmp_path, stdout=io.StringIO(), stderr=stream),
            debug=False,
            quiet=False,
        )

    logging.getLogger("botticelli").warning("x")

    assert [stream.getvalue().count("x") for stream in streams] == [0, 1]
    quiet_again()


# --- as a process ----------------------------------------------------------------------------


def test_a_reader_that_goes_away_is_no_bug(botticelli):
    process = subprocess.Popen(
        [sys.executable, "-m", "botticelli", "timers", "render"],
        env=botticelli.environ,
        cwd=botticelli.cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()

    assert process.wait(30) == 141
    assert err == b""


def test_the_installed_command_reports_its_exit_code(botticelli):
    ended = run_installed("pause posst", environ=botticelli.environ, cwd=botticelli.cwd)

    assert ended.code == 2
    assert ended.err.startswith("botticelli: there is no stage")


def pressing_ctrl_c(script, botticelli):
    """Run a script that sends itself SIGINT, which means Ctrl-C there whoever started us."""
    return subprocess.run(
        [sys.executable, "-c", script],
        env=botticelli.environ,
        cwd=botticelli.cwd,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_ctrl_c_ends_with_130_and_one_line(botticelli, db_url):
    script = (
        "import os, signal\n"
        "from botticelli.cli.shell.environment import Environment\n"
        "from botticelli.cli.main import run\n"
        "Environment.database_url = lambda self: os.kill(os.getpid(), signal.SIGINT)\n"
        "import sys; sys.argv = ['botticelli', 'db', 'url']\n"
        "run()\n"
    )
    botticelli.environ["DATABASE_URL"] = db_url
    ended = pressing_ctrl_c(script, botticelli)

    assert ended.returncode == 130
    assert ended.stderr == "botticelli: interrupted; what was claimed is free again\n"


def test_ctrl_c_while_the_program_is_being_loaded_shows_no_traceback(botticelli):
    script = (
        "import os, signal, sys\n"
        "class Press:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'botticelli.cli.main':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Press())\n"
        "from botticelli.__main__ import run\n"
        "run()\n"
    )
    ended = pressing_ctrl_c(script, botticelli)

    assert ended.returncode == 130
    assert ended.stderr == "botticelli: interrupted\n"


def test_the_door_loads_nothing_of_ours_before_it_is_opened(botticelli):
    script = (
        "import sys, botticelli.__main__\n"
        "print([name for name in sys.modules if name.startswith('botticelli.')])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=botticelli.environ,
        cwd=botticelli.cwd,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.stdout == "['botticelli.__main__']\n", ended.stderr


@pytest.mark.parametrize("words", [*earlier.COMMANDS])
def test_an_earlier_command_names_its_successor(botticelli, words):
    ended = botticelli(f"{words} potential_discord_posts --only x")

    assert ended.code == 2
    assert ended.err.strip() == (
        f"botticelli: there is no command '{words}'; use {earlier.COMMANDS[words]}"
    )


@pytest.mark.parametrize("option", [*earlier.OPTIONS])
def test_an_earlier_option_names_its_successor(botticelli, option):
    ended = botticelli(f"run x.toml {option} 1")

    assert ended.code == 2
    assert f"use {earlier.OPTIONS[option]}" in ended.err
