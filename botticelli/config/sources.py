"""Where the configuration comes from: the file, the `.env` beside it, `${VARIABLES}` in values."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from botticelli import files
from botticelli.config.secrets import find_secret
from botticelli.config.trust.ownership import require_own
from botticelli.errors import ConfigError

NAME: Final = "botticelli.toml"
LARGEST: Final = 16 * 1024 * 1024  # bytes of a file of settings or narratives
REFERENCE: Final = re.compile(r"\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
ASSIGNMENT: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")

# Tables of the earlier system's files, and of ours.
THEIRS: Final = (
    r"(?m)^\s*[\[\"]*(?:providers|bot_server|inference|actors?|skills|server|generation|curation"
    r"|posting|context)\"?\s*[\].=]|^\s*(?:budget\.)?[rt]p[md]_multiplier\s*="
)
OURS: Final = (
    r"(?m)^\s*[\[\"]*(?:project|narratives|models|generate|curate|post|destinations|review|hooks"
    r"|similarity|circuit_breaker|health|retention|security)\"?\s*[\].=]"
)


def is_earlier(text: str) -> bool:
    """Return whether a text is a file of settings of the earlier system; it may be no TOML."""
    return bool(re.search(THEIRS, text)) and not re.search(OURS, text)


def find_file(*, environ: Mapping[str, str], cwd: Path, named: Path | None = None) -> Path | None:
    """Return the configuration file: `named`, BOTTICELLI_CONFIG, ./ or above, the user's, /etc.

    Raises:
        ConfigError: A file that was named is not there, or something else has its name.
    """
    if named is not None:
        return _existing(cwd / named, "the file given with --config is not there")
    if environ.get("BOTTICELLI_CONFIG"):
        path = cwd / environ["BOTTICELLI_CONFIG"]
        return _existing(path, "the file that BOTTICELLI_CONFIG names is not there")
    for folder in (cwd, *cwd.parents, *own_folders(environ)):
        path = folder / NAME
        if path.is_file():
            return path
        if path.is_dir() or path.is_symlink():  # somebody meant it: other settings would surprise
            raise ConfigError("is not a file, or a broken link", where=str(path), hint="remove it")
    return None


def own_folders(environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Return where a user's own configuration may be, and the machine's: no project's."""
    home = user_folder(environ, "XDG_CONFIG_HOME", ".config")
    return home / "botticelli", Path("/etc/botticelli")


def _existing(path: Path, what: str) -> Path:
    if not path.is_file():
        raise ConfigError(what, where=str(path), hint="write one with botticelli init")
    return path


def user_folder(environ: Mapping[str, str], variable: str, usual: str) -> Path:
    """Return a folder of the XDG base directory specification; relative values are ignored."""
    folder = environ.get(variable, "")
    if folder.startswith("/"):
        return Path(folder)
    return Path(environ.get("HOME") or "/") / usual


def with_dotenv(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return `environ` with the variables of `folder/.env` beneath it.

    Raises:
        ConfigError: A line of the file is not an assignment, or the file cannot be read.
    """
    return {**dotenv(folder), **environ}


def dotenv(folder: Path) -> dict[str, str]:
    """Return the variables of `folder/.env`; none if there is no such file.

    Raises:
        ConfigError: Another user could have written it, or it cannot be read, or a line of it is
            not an assignment.
    """
    path = folder / ".env"
    if not path.is_file():
        return {}
    require_own(path)
    found = {}
    for number, line in enumerate(read_text(path, str(path)).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = ASSIGNMENT.match(line)
        if match is None:
            raise ConfigError("not of the form NAME=value", where=f"{path}:{number}")
        found[match[1]] = _unquoted(match[2], f"{path}:{number}")
    return found


def read_text(path: Path, name: str) -> str:
    """Return the text of a file that errors call `name`; the mark of Windows editors is dropped.

    Raises:
        ConfigError: It cannot be read, or is not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for without end
            raise ConfigError("is not a regular file", where=name)
        return files.read(path, limit=LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text", where=name, hint="save it as UTF-8") from error
    except (OSError, ValueError) as error:  # no name of a file holds a NUL
        what = f"cannot be read: {getattr(error, 'strerror', error)}"
        raise ConfigError(what, where=name, hint="check its path and owner") from error


def _unquoted(value: str, where: str) -> str:
    """Return a value as a shell would read it: quotes, backslashes in double ones, comments."""
    if value[:1] == "'":
        match = re.fullmatch(r"'([^']*)'\s*(?:#.*)?", value)
    elif value[:1] == '"':
        match = re.fullmatch(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?', value)
    else:
        return re.sub(r"(^|\s+)#.*", "", value)
    if match is None:
        raise ConfigError("a quote is not closed", where=where)
    if value[0] == "'":
        return match[1]
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), match[1])


class Expander:
    """Puts environment variables into values, and remembers which ones are not set.

    `${NAME}` is the variable, `${NAME:-default}` the default if it is unset or empty, `$${NAME}`
    the text `${NAME}` itself. Credentials and `NAME_FILE` count as variables.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.unset: dict[str, str] = {}

    def expand(self, value: Any, path: str = "") -> Any:
        """Return `value` with every string in it expanded; `path` is its key path."""
        if isinstance(value, dict):
            dot = f"{path}." if path else ""
            return {key: self.expand(inner, f"{dot}{key}") for key, inner in value.items()}
        if isinstance(value, list):
            return [self.expand(inner, f"{path}[{index}]") for index, inner in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return REFERENCE.sub(lambda match: self._replace(match, path), value)
        return value

    def _replace(self, match: re.Match[str], path: str) -> str:
        escaped, name, default = match.groups()
        if escaped:
            return match[0][1:]
        value = find_secret(name, self._environ).reveal()
        if not value and default is None:
            self.unset[path] = name
        return value or default or ""
