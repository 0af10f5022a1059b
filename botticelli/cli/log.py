"""Logs: events with fields, on stderr. Never a secret in them.

`logging.getLogger(__name__).info("posted", extra={"delivery": 17})` becomes
`12:03:44 info  posted delivery=17` for a person, `<6>event=posted delivery=17` under systemd
(whose journal reads the number as a priority) and one JSON object with BOTTICELLI_LOG=json.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botticelli.config.model import Config
from botticelli.config.secrets import Secret

if TYPE_CHECKING:
    from botticelli.cli.environment import Environment

STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
PRIORITIES: Final = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
SHORTEST_SECRET: Final = 6  # anything shorter would blacken ordinary words


def set_up(env: "Environment") -> None:
    """Send the log of this process to `env.stderr` in the form that fits its reader."""
    words = env.environ.get("BOTTICELLI_LOG", "").lower().replace(",", " ").split()
    journal = "JOURNAL_STREAM" in env.environ and not env.stderr.isatty()
    style = _json_line if "json" in words else _journal_line if journal else _human_line
    handler = logging.StreamHandler(env.stderr)
    handler.setFormatter(_Formatter(style, env.hide))
    root = logging.getLogger("botticelli")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(_level(env, loud=journal or "json" in words, words=words))


def _level(env: "Environment", *, loud: bool, words: list[str]) -> int:
    if env.options.debug or "debug" in words:
        return logging.DEBUG
    if env.options.quiet:
        return logging.ERROR
    return logging.INFO if loud or "info" in words else logging.WARNING


class _Formatter(logging.Formatter):
    def __init__(
        self,
        style: Callable[[logging.LogRecord, Mapping[str, Any]], str],
        hide: Callable[[str], str],
    ) -> None:
        super().__init__()
        self._line = style
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        fields = {key: value for key, value in vars(record).items() if key not in STANDARD}
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return self._hide(self._line(record, fields))


def _human_line(record: logging.LogRecord, fields: Mapping[str, Any]) -> str:
    at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
    return f"{at} {record.levelname.lower():7} {record.getMessage()}{_pairs(fields)}"


def _journal_line(record: logging.LogRecord, fields: Mapping[str, Any]) -> str:
    priority = PRIORITIES.get(record.levelname, 6)
    return f"<{priority}>event={_word(record.getMessage())}{_pairs(fields)}"


def _json_line(record: logging.LogRecord, fields: Mapping[str, Any]) -> str:
    import json

    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    head = {"time": at, "level": record.levelname.lower(), "logger": record.name}
    return json.dumps({**head, "event": record.getMessage(), **fields}, default=str)


def _pairs(fields: Mapping[str, Any]) -> str:
    return "".join(f" {key}={_word(value)}" for key, value in fields.items())


def _word(value: Any) -> str:
    """Return a value as one word: quoted and escaped if it holds blanks, quotes or line ends."""
    text = str(value)
    if text and not any(char in text for char in ' "=\n\r\t'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + escaped.replace("\r", "\\r").replace("\t", "\\t") + '"'


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every secret in it replaced by asterisks."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "********")
    return text


def secrets_of(config: Config) -> list[str]:
    """Return every secret that the configuration holds, the longest first."""
    found: list[Secret] = [config.models.gemini_key, config.models.openai_key]
    found += [model.api_key for model in config.models.named.values()]
    for destination in config.destinations.values():
        found += [destination.token, destination.webhook]
    texts = [secret.reveal() for secret in found if secret]
    return sorted([*texts, *_passwords(config.database.url)], key=len, reverse=True)


def _passwords(url: str) -> list[str]:
    """Return the password in a database URL, as it stands there and as it is meant."""
    if "@" not in url or "://" not in url:
        return []
    from urllib.parse import unquote, urlsplit

    _, _, password = urlsplit(url).netloc.rpartition("@")[0].partition(":")
    return [password, unquote(password)] if password else []
