"""Logs: events with fields, on stderr. Never a secret in them.

`logging.getLogger(__name__).info("posted", extra={"delivery": 17})` becomes
`12:03:44 info    posted delivery=17` for a person, `<6>event=posted delivery=17` under systemd
(whose journal reads the number as a priority) and one JSON object with BOTTICELLI_LOG=json. What
libraries log, and what commands print on stderr, takes the same way. Lines of a run carry its id.
"""

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botticelli.text import exposed, visible, wrapped
from botticelli.tracing import here

if TYPE_CHECKING:
    import threading

    from botticelli.cli.shell.environment import Environment
    from botticelli.config.hiding import Hider

STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
PRIORITIES: Final = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


def set_up(process: "Environment", *, debug: bool, quiet: bool) -> None:
    """Send the log of this process to `process.stderr` in the form that fits its reader.

    Libraries speak from warnings on, or from debug on with --debug.
    """
    from botticelli.config import hiding

    here.run = None
    hiding.use(lambda: process.hider)
    handler = logging.StreamHandler(process.stderr)
    handler.setFormatter(_Formatter(_style(process), lambda: process.hider))
    level = _level(process, debug=debug, quiet=quiet)
    root = logging.getLogger()
    others = [each for each in root.handlers if not isinstance(each.formatter, _Formatter)]
    root.handlers[:] = [*others, handler]
    root.setLevel(logging.WARNING if level == logging.INFO else level)
    logging.getLogger("botticelli").setLevel(level)


def catch_strays() -> None:
    """Send warnings, and what ends a thread or cannot be raised, through the log as well.

    Python would write them to stderr as they are. For a process of its own only.
    """
    import sys
    import threading

    log = logging.getLogger(__name__)

    def ended(args: "threading.ExceptHookArgs") -> None:
        if args.exc_value is not None and args.exc_type is not SystemExit:
            trace = (args.exc_type, args.exc_value, args.exc_traceback)
            name = args.thread.name if args.thread else "?"
            log.error("a thread ended by a bug", exc_info=trace, extra={"of": name})

    def unraisable(args: "sys.UnraisableHookArgs") -> None:
        if args.exc_value is not None:
            trace = (args.exc_type, args.exc_value, args.exc_traceback)
            log.error("an error could not be raised", exc_info=trace)

    logging.captureWarnings(True)
    threading.excepthook = ended
    sys.unraisablehook = unraisable


def write(process: "Environment", text: str, level: int) -> None:
    """Write what a command says to stderr: as it is for a person, else as a log line.

    A terminal gets it in lines of its width. Under systemd every line has its priority, and the
    run's id at its end.
    """
    style = _style(process)
    if style is _json_line:
        record = logging.LogRecord("botticelli", level, "", 0, text, None, None)
        lines = [_Formatter(style, lambda: process.hider).format(record)]
    else:
        lines = visible(process.hider.hide(text)).rstrip("\n").split("\n")
    if style is _human_line and process.stderr.isatty():
        width = shutil.get_terminal_size().columns
        lines = [wrapped(line, width) for line in lines]
    if style is _journal_line:
        mark = f"<{PRIORITIES[logging.getLevelName(level)]}>"
        run = f" run={here.run}" if here.run is not None else ""
        lines = [f"{mark}{line}{run}" for line in lines]
    process.stderr.write("".join(f"{line}\n" for line in lines))
    process.stderr.flush()


def _words(process: "Environment") -> list[str]:
    return process.environ.get("BOTTICELLI_LOG", "").lower().replace(",", " ").split()


def _style(process: "Environment") -> Callable[[logging.LogRecord, Mapping[str, Any]], str]:
    if "json" in _words(process):
        return _json_line
    return _journal_line if _is_journal(process) else _human_line


def _is_journal(process: "Environment") -> bool:
    """Return whether journald reads our stderr; a child of a service inherits only the variable."""
    stream = process.environ.get("JOURNAL_STREAM", "")
    if not stream or process.stderr.isatty():
        return False
    try:
        stderr = os.fstat(process.stderr.fileno())
    except OSError:  # also what a stream without a file raises
        return True
    return stream == f"{stderr.st_dev}:{stderr.st_ino}"


def _level(process: "Environment", *, debug: bool, quiet: bool) -> int:
    words = _words(process)
    if debug or "debug" in words:
        return logging.DEBUG
    if quiet:
        return logging.ERROR
    loud = "json" in words or "info" in words or _is_journal(process)
    return logging.INFO if loud else logging.WARNING


class _Formatter(logging.Formatter):
    def __init__(
        self,
        style: Callable[[logging.LogRecord, Mapping[str, Any]], str],
        hider: "Callable[[], Hider]",
    ) -> None:
        super().__init__()
        self._line = style
        self._hider = hider

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, in which secrets were hidden before anything was escaped."""
        fields = {key: value for key, value in vars(record).items() if key not in STANDARD}
        if here.run is not None:
            fields.setdefault("run", here.run)
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = record.stack_info
        hider = self._hider()
        shown = logging.makeLogRecord(vars(record) | {"args": None})
        shown.msg = hider.hide(_message(record))
        return self._line(shown, hider.hide_within(fields))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (
        TypeError,
        ValueError,
        KeyError,
    ):  # a library's slip, which logging would print with its secrets
        return f"{record.msg} {record.args}"


def _human_line(record: logging.LogRecord, fields: Mapping[str, Any]) -> str:
    at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
    return visible(f"{at} {record.levelname.lower():7} {record.msg}{_pairs(fields)}")


def _journal_line(record: logging.LogRecord, fields: Mapping[str, Any]) -> str:
    priority = PRIORITIES.get(record.levelname, 6)
    return visible(f"<{priority}>event={_word(record.msg)}{_pairs(fields)}")


def _json_line(record: logging.LogRecord, fields: Mapping[str, Any]) -> str:
    import json

    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    head = {
        "time": at,
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": record.msg,
    }
    line = json.dumps({**head, **fields, **head}, ensure_ascii=False)  # head first, and it stands
    return exposed(line)


def _pairs(fields: Mapping[str, Any]) -> str:
    return "".join(f" {key}={_word(value)}" for key, value in fields.items())


def _word(value: Any) -> str:
    """Return a value as one word: quoted and escaped if it holds blanks, quotes or line ends."""
    text = str(value)
    if text and not any(char in text for char in ' "=\n\r\t'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + escaped.replace("\r", "\\r").replace("\t", "\\t") + '"'
