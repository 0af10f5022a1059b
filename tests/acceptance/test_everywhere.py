"""What holds for every command: --json, --quiet, --version, NO_COLOR, and the list in README."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
import typer

from botticelli.cli.shell.app import app
from botticelli.cli.shell.command_table import COMMANDS

ROOT = Path(__file__).parents[2]

# Commands without --json, and why.
WITHOUT_JSON = {
    "demo": "tells a story, in the reports of the stages",
    "import": "its result is a file",
    "metrics": "is made for a program already: Prometheus' format",
    "notify": "is called by systemd and answers nobody",
    "completion": "its result is a script",
    "rules review": "asks a person at a terminal",
    "db psql": "is psql from there on",
    "desk serve": "serves until it is ended",
}
# Lines that need nothing but a database, and what each answers with --json.
REPORTS = [
    ("status", "stages"),
    ("health", None),
    ("check", "findings"),
    ("doctor", "findings"),
    ("budget", "models"),
    ("models list", "models"),
    ("deliveries", "deliveries"),
    ("locks", "locks"),
    ("narratives", "files"),
    ("commands", "commands"),
    ("content list", "tables"),
    ("approvals list", None),
    ("state list", "entries"),
    ("db status", "kind"),
    ("db doctor", "differences"),
    ("projects", "projects"),
    ("timers render --cron", "files"),
]
DEEDS = [
    ("pause post", {"paused": ["post"]}),
    ("resume all", {"resumed": ["collect", "generate", "curate", "post", "observe"]}),
    ("state set KEY 7", {"scope": "global", "key": "KEY", "value": "7"}),
    ("state get KEY", {"scope": "global", "key": "KEY", "value": "7"}),
    ("db init", {}),
    ("db migrate", {}),
    ("db prune", {}),
    ("db url", {}),
    ("db backup copy.dump", {}),
    ("db restore copy.dump --yes", {"paused": ["post"]}),
    ("timers render --to units", {}),
    ("timers install --user --dry-run", {}),
    ("init started --yes", {}),
]
# Global options may follow any command; a bot command's arguments are not options of `command`.
GLOBALS = {"--offline", "--debug", "--quiet", "--config"}
ARGUMENTS = {"command": {"--guild-id", "--channel-id"}}


def every():
    """Yield (line, command) of all that can be run; a group only if it does something itself."""
    yield from _below(root(), [])


def root():
    for command in COMMANDS.values():
        import_module(f"botticelli.cli.{command.module}")
    return typer.main.get_group(app)


def _below(command, path):
    inner = getattr(command, "commands", None)
    if path and (inner is None or command.invoke_without_command):
        yield " ".join(path), command
    for name, each in (inner or {}).items():
        yield from _below(each, [*path, name])


def test_help_is_whole_lines_of_plain_words_with_examples(botticelli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = {*COMMANDS, *(line for line, _ in every())}
    for line in sorted(lines):
        ended = botticelli(f"{line} --help")

        assert (ended.code, ended.err) == (0, ""), line
        assert ended.out.startswith(f"Usage: botticelli {line} [OPTIONS]"), line
        assert max(map(len, ended.out.splitlines())) <= 80, line
        assert not re.search(r"\w-$|[a-z]\.\.\.$|<\w+( range)?>", ended.out, re.MULTILINE), line
        examples = ended.out.partition("\nExamples:\n")[2].split("\n")
        assert len(examples) > 1 or line not in COMMANDS, line


@pytest.mark.slow
def test_the_examples_of_the_help_name_options_that_there_are(botticelli):
    """They name only options that the command has."""
    paths = {line for line, _ in every()}
    for name in COMMANDS:
        examples = botticelli(f"{name} --help").out.partition("\nExamples:\n")[2]
        for line in re.findall(r"botticelli ([^|#>)\n]*)", examples):
            words = line.split()
            path = [word for word in words[:2] if word == name or f"{name} {word}" in paths]
            shown = botticelli(" ".join([*path, "--help"])).out
            used = {word.partition("=")[0] for word in words if word.startswith("--")}
            known = set(re.findall(r"--[a-z-]+", shown))
            assert used - known <= GLOBALS | ARGUMENTS.get(name, set()), line


def test_a_group_without_a_subcommand_does_its_list_or_prints_its_help(botticelli, db):
    groups = {name: each for name, each in root().commands.items() if hasattr(each, "commands")}
    listing = {name for name, each in groups.items() if "list" in each.commands}

    assert listing >= {"approvals", "state", "models", "content", "deliveries", "locks"}
    assert groups.keys() - listing >= {"db", "timers"}
    for name in listing:
        assert botticelli(name).out == botticelli(f"{name} list").out, name
    for name in groups.keys() - listing - {"desk"}:  # which serves
        ended = botticelli(name)

        assert (ended.code, ended.err) == (2, ""), name
        assert ended.out == botticelli(f"{name} --help").out, name


def test_every_command_reports_as_json_or_says_why_not():
    without = {
        line
        for line, command in every()
        if not any("--json" in option.opts for option in command.params)
    }

    assert without == set(WITHOUT_JSON), "give it --json, or a reason in WITHOUT_JSON"


@pytest.mark.parametrize(("line", "key"), REPORTS)
def test_reports_are_one_json_value_and_nothing_else(botticelli, db, line, key):
    ended = botticelli(f"{line} --json")

    facts = json.loads(ended.out)
    assert key is None or key in facts


def test_deeds_are_told_as_json_too(botticelli, db):
    db.close()
    for line, facts in DEEDS:
        ended = botticelli(f"{line} --json")

        assert ended.code == 0, (line, ended.err)
        told = json.loads(ended.out)
        assert told, line
        assert {name: told[name] for name in facts} == facts
        assert ended.err == "", line


def test_quiet_leaves_results_only_whatever_the_command(botticelli, db):
    db.close()
    for line, _ in DEEDS:
        ended = botticelli(f"{line} --quiet")

        assert ended.code == 0, (line, ended.err)
        assert ended.err == "", line
    assert botticelli("state get KEY --quiet").out == "7\n"


@pytest.mark.parametrize(("line", "key"), REPORTS)
def test_no_color_and_pipes_are_without_colours(botticelli, db, line, key):
    botticelli.environ |= {"TERM": "xterm-256color", "NO_COLOR": "1"}

    on_terminal, piped = botticelli(line, terminal=True), botticelli(line)

    assert not re.search(r"\x1b\[[0-9;]*[349][0-7]m", on_terminal.out)
    assert "\x1b" not in piped.out


def test_the_version_is_told_wherever_it_is_asked_for(botticelli):
    for line, _ in every():
        ended = botticelli(f"{line} --version")

        assert (ended.code, ended.out.split()[0]) == (0, "botticelli"), line


def readme_commands():
    """Yield every command that README's table names: `db init|url` is two."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.search(
        r"^\| command \| what it does \|\n\|[-| ]+\n((?:\|.*\n)+)", text, re.MULTILINE
    )
    for row in table[1].splitlines():
        cell = re.split(r"(?<!\\)\|", row)[1].replace("\\|", "|")
        yield from re.findall(r"`([^`]+)`", cell)


def test_readme_names_every_command_and_no_other():
    known = {line for line, _ in every()} | set(COMMANDS)
    named = set()
    for text in readme_commands():
        words = text.split()
        heads = [words[0]]
        if words[1:] and words[0] in {"db", "timers", "content"} and words[1][0] != "[":
            heads = [f"{words[0]} {inner}" for inner in words[1].split("|")]
        named |= set(heads)

    assert named - known == set(), "README names what is not there"
    assert set(COMMANDS) - {one.split()[0] for one in named} == set(), "README leaves them out"


def test_every_option_that_readme_names_is_there(botticelli):
    for text in readme_commands():
        command = text.split()[0]
        help_text = botticelli(f"{command} --help").out
        for option in re.findall(r"--[a-z-]+", text):
            assert option in help_text, text


def test_every_line_of_its_examples_is_understood(botticelli):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^botticelli ((?:[^#\n])+)", text, re.MULTILINE)
    assert len(lines) > 5
    for line in lines:
        ended = botticelli([*line.split(), "--help"])
        assert ended.code == 0, line
        options = re.findall(r"--[a-z-]+", line)
        assert [one for one in options if one not in ended.out] == [], line
