"""`botticelli connect`: a platform's credentials, kept in the project's .env or printed."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from botticelli import files
from botticelli.cli.setup.trust import trust_own
from botticelli.cli.shell.command import PlainText, command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Lines
from botticelli.config.secrets import Secret
from botticelli.config.sources import ASSIGNMENT, NAME, dotenv, read_text
from botticelli.errors import ConfigError, UsageError
from botticelli.platforms.connecting import Credentials
from botticelli.platforms.open import room_of
from botticelli.toml_lines import parse

PLAIN: Final = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


@command()
def connect(
    env: Environment,
    platform: str,
    *,
    name: str = "",
    server: str = "",
    account: str = "",
    channel: str = "",
    add: bool = False,
    is_printed: bool = False,
) -> Lines | PlainText:
    """Get the credentials of a platform and keep them.

    Asks at the terminal. Without one, secrets are read from standard input, a line each, in the
    order of the questions. Tries the credentials, then writes them into the project's .env.

    Takes:
        platform PLATFORM: Such as mastodon.
        name NAME: The destination's name; the platform's by default.
        server URL: The server, where the platform has several.
        account NAME: The account, where the platform asks for it.
        channel ID: The channel or room, where the platform has them.
        add: Add the destination to botticelli.toml.
        is_printed --print: Print the variables for a secret store, and keep nothing.

    Examples:
        botticelli connect mastodon --server mastodon.social --add
        botticelli connect mastodon --server mastodon.social --print < token.txt
    """
    name = _name(name or platform)
    root = None if is_printed else _root(env, name, is_new=add)
    given = {"server": server, "account": account, "channel": channel}
    found = room_of(platform).connect(_Answers(env, given), clock=env.clock)
    prefix = name.replace("-", "_").upper()
    table = _table(name, found, prefix)
    variables = {f"{prefix}_{key.upper()}": value for key, value in found.secrets.items()}
    if root is None:
        lines = _assignments(variables)
        env.say(f"add to botticelli.toml:\n{table}")
        return PlainText(text=lines, facts={"variables": lines.splitlines(), "table": table})
    _keep(root / ".env", variables)
    if add:
        _add(env, root, table)
    text = (
        f"connected: {'; '.join(found.notes) or platform}\n"
        f"{root / '.env'} has {', '.join(variables)}\n"
        f"{'added' if add else 'add'} to {root / NAME}:\n{table}"
    )
    return Lines(text=text, facts={"variables": list(variables), "table": table, "added": add})


def _name(name: str) -> str:
    """Return a name that a destination and its variables may have.

    Raises:
        UsageError: It is none.
    """
    if not re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII):
        raise UsageError(f"'{name}' is not a name", where="--name", hint="use letters and digits")
    return name


class _Answers:
    """The person's answers: options, then the terminal, or lines of standard input."""

    def __init__(self, env: Environment, given: Mapping[str, str]) -> None:
        self._env = env
        self._given = given

    def __call__(
        self, name: str, question: str, *, secret: bool = False, optional: bool = False
    ) -> str:
        """See Asker."""
        is_option = name in self._given
        if said := self._given.get(name, "").strip():
            return said
        is_terminal = sys.stdin is not None and sys.stdin.isatty()
        if is_option and not is_terminal:
            line = "\n" if optional else ""
        else:
            line = self._read(question, secret=secret)
            while is_terminal and line and not (optional or line.strip()):
                line = self._read(question, secret=secret)
        if line and (optional or line.strip()):
            return line.strip()
        hint = f"give --{name}" if is_option else "write it to standard input, or use a terminal"
        raise UsageError(f"the {name} is missing", hint=hint)

    def _read(self, question: str, *, secret: bool) -> str:
        """Return a line with its end, or nothing if there is no more."""
        if secret and sys.stdin is not None and sys.stdin.isatty():
            from getpass import getpass

            try:
                return getpass(f"{question}: ", stream=self._env.stderr) + "\n"
            except EOFError:
                return ""
        self._env.stderr.write(f"{question}: ")
        self._env.stderr.flush()
        return "" if sys.stdin is None else sys.stdin.readline(65_536)


def _root(env: Environment, name: str, *, is_new: bool) -> Path:
    """Return the project's folder, in which there is room for what is to be kept.

    Raises:
        UsageError: There is no project, or it has a destination of that name already.
    """
    root = env.config.project.root
    if root is None:
        hint = "create it with `botticelli init`, or --print the variables"
        raise UsageError("there is no project here to keep them in", hint=hint)
    try:
        parse(_with(root / NAME, f"[destinations.{name}]\n") if is_new else "", NAME)
    except ConfigError as error:
        what = f"there is a destination '{name}' already"
        hint = "give it another name, or leave out --add"
        raise UsageError(what, where="--name", hint=hint) from error
    return root


def _table(name: str, found: Credentials, prefix: str) -> str:
    keys = dict(found.keys) | {key: f"${{{prefix}_{key.upper()}}}" for key in found.secrets}
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items() if value
    ]
    return "\n".join((f"[destinations.{name}]", *lines, ""))


def _assignments(variables: Mapping[str, Secret]) -> str:
    """Return lines of a .env file.

    Raises:
        ConfigError: A value cannot stand in one.
    """
    lines = []
    for name, secret in variables.items():
        value = secret.reveal()
        if not value.isprintable() or ("'" in value and not PLAIN.fullmatch(value)):
            raise ConfigError("has characters that cannot stand in a .env file", where=name)
        lines.append(f"{name}={value}\n" if PLAIN.fullmatch(value) else f"{name}='{value}'\n")
    return "".join(lines)


def _keep(path: Path, variables: Mapping[str, Secret]) -> None:
    """Write variables into a .env that only its owner can read; the lines of others stay.

    Raises:
        ConfigError: It is not the user's own, or no such file.
        UsageError: It cannot be written.
    """
    dotenv(path.parent)
    before = read_text(path, str(path)).splitlines() if path.exists() else []
    kept = [one for one in before if not ((f := ASSIGNMENT.match(one)) and f[1] in variables)]
    _write(path, "".join(f"{one}\n" for one in kept) + _assignments(variables), mode=0o600)


def _add(env: Environment, root: Path, table: str) -> None:
    """Add a table to botticelli.toml; what it asks for is the person's to trust."""
    settings = root / NAME
    _write(settings, _with(settings, table), mode=settings.stat().st_mode & 0o777)
    trust_own(env.at(root), root, written=(), yes=False)


def _with(path: Path, table: str) -> str:
    return f"{read_text(path, str(path)).rstrip()}\n\n{table}"


def _write(path: Path, text: str, *, mode: int) -> None:
    real = path.resolve()  # a link is the user's own: what it leads to is written
    try:
        files.write(real, text.encode(), mode=mode)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from error
