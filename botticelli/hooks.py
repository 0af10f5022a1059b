"""Notify people and monitors about a stage's run: URLs, commands, Apprise, dead man's switches.

A hook that fails is logged and never fails the run that it reports on.
"""

import contextlib
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from typing import Any, Final, Literal

from botticelli.config.hiding import secrets_of_environment
from botticelli.config.operations import Hooks, StageHooks
from botticelli.records import record

EventKind = Literal["start", "success", "failure", "breaker_open", "empty_queue"]

PHRASES: Final[Mapping[EventKind, str]] = {
    "start": "has started",
    "success": "succeeded",
    "failure": "failed",
    "breaker_open": "failed repeatedly and is stopped for a while",
    "empty_queue": "found nothing to do",
}
# healthchecks.io/docs/http_api: the bare URL means success.
PINGS: Final = {"start": "/start", "success": "", "failure": "/fail"}
# What commands get of our environment. A list of what they do not get would never be complete.
PASSED_ON: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TERM|TMPDIR|XDG_\w+|DISPLAY|WAYLAND_DISPLAY"
    r"|DBUS_SESSION_BUS_ADDRESS|SSL_CERT_(?:FILE|DIR)|(?i:(?:https?|all|no)_proxy)|BOTTICELLI_\w+"
)

log = logging.getLogger(__name__)


@record
class Event:
    """Something that happened to a stage.

    Args:
        stage: Or the name of a systemd unit that is not one of our stages.
        run: None if it failed before a run was recorded.
        exit_code: None if unknown (killed, or not yet ended).
        error: One line; empty if there is none.
        summary: What the run recorded about itself.
        project: Its name; empty if there is none.
        project_path: Its folder, in which commands are run.
    """

    kind: EventKind
    stage: str
    host: str
    run: int | None = None
    exit_code: int | None = None
    error: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)
    project: str = ""
    project_path: str = ""

    @property
    def title(self) -> str:
        """The event in a few words."""
        return f"botticelli: {self.stage} {PHRASES[self.kind]} on {self.host}"

    @property
    def text(self) -> str:
        """The event as a message to a person."""
        lines = [self.title]
        if self.error:
            lines.append(self.error)
        if self.project:
            lines.append(f"project {self.project} in {self.project_path}")
        if self.run is not None:
            lines.append(f"run {self.run}; see: botticelli logs {self.run}")
        return "\n".join(lines)

    def facts(self) -> dict[str, Any]:
        """Return the event as JSON can hold it."""
        facts = {**vars(self), "summary": dict(self.summary)}
        return {"event": facts.pop("kind"), **facts}


def notify(*events: Event, hooks: Hooks, environ: Mapping[str, str]) -> int:
    """Run every hook that is configured for these events; return how many failed.

    All run at the same time, so that one that hangs delays no other one, and all of them
    together delay a run by no more than `hooks.timeout`.
    """
    seconds = hooks.timeout.total_seconds()
    passed_on = _passed_on(environ, wanted=hooks.environment)
    calls = [
        _HookCall(target, event, seconds=seconds, environ=passed_on)
        for event in events
        for target in _targets(event, hooks)
    ]
    for call in calls:
        call.start()
    deadline = time.monotonic() + seconds
    try:
        for call in calls:
            call.join(max(0.0, deadline - time.monotonic()))
    finally:  # also if a signal ends us
        for call in calls:
            call.abandon()
    failed = [call for call in calls if call.failure]
    for call in failed:
        log.warning(
            "hook failed",
            extra={"hook": call.hook, "of": call.event.kind, "reason": call.failure},
        )
    return len(failed)


class Redirected(Exception):
    """The server names another address, which is not followed."""


class _HookCall(threading.Thread):
    """One call of one hook. A daemon: what hangs is left behind.

    Args:
        seconds: Longest wait for an answer.
        environ: What a command gets besides the facts.
    """

    def __init__(
        self, target: str, event: Event, *, seconds: float, environ: Mapping[str, str]
    ) -> None:
        # The first word of a command may be logged; the rest, and addresses, may be secrets.
        self.hook = target.partition(":")[0].split(" ")[0]
        super().__init__(name=f"hook {self.hook}", daemon=True)
        self.event = event
        self.failure = ""
        self._target = target
        self._seconds = seconds
        self._environ = environ
        self._process: subprocess.Popen[str] | None = None
        self._abandoned = threading.Event()

    def run(self) -> None:
        """Call the hook and keep the kind of its failure."""
        try:
            self._send()
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
            self.failure = type(error).__name__

    def abandon(self) -> None:
        """Stop waiting, and kill every process that it has started; nothing if it has ended."""
        if not self.is_alive():
            return
        self.failure = "no answer in time"
        self._abandoned.set()
        self._kill()

    def _send(self) -> None:
        target, event = self._target, self.event
        scheme, separator, _ = target.partition("://")
        if target.startswith("ping:"):
            _post(target.removeprefix("ping:"), event, seconds=self._seconds, as_text=True)
        elif scheme in ("http", "https"):
            _post(target, event, seconds=self._seconds)
        elif separator and " " not in scheme and "/" not in scheme:
            _apprise(target, event)
        else:
            self._command()

    def _command(self) -> None:
        """Run a command without a shell: facts in BOTTICELLI_* variables, and as JSON on stdin.

        Its output is not read: a pipe would stay open as long as the last of its children.
        """
        facts = self.event.facts()
        variables = {
            f"BOTTICELLI_{key.upper()}": "" if value is None else str(value)
            for key, value in facts.items()
            if key != "summary"
        }
        self._process = subprocess.Popen(  # noqa: S603 - the operator's own command, without a shell
            shlex.split(self._target),
            env={**self._environ, **variables, "BOTTICELLI_TEXT": self.event.text},
            cwd=self.event.project_path or None,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # so that all its children can be ended with it
        )
        if self._abandoned.is_set():
            self._kill()
        self._process.communicate(json.dumps(facts))
        if self._process.returncode:
            raise subprocess.CalledProcessError(self._process.returncode, "hook")

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _passed_on(environ: Mapping[str, str], *, wanted: Collection[str]) -> dict[str, str]:
    """Return the variables that commands get: harmless ones without a secret, and those asked for.

    Secrets in `environ` are found by name and by shape, a password in a proxy's address as well.
    """
    return {
        name: text
        for name, text in environ.items()
        if name in wanted
        or (PASSED_ON.fullmatch(name) and not secrets_of_environment({name: text}))
    }


def _targets(event: Event, hooks: Hooks) -> Iterator[str]:
    for group in (hooks.every, vars(hooks).get(event.stage, StageHooks())):
        if group.ping and event.kind in PINGS:
            yield f"ping:{group.ping.reveal().rstrip('/')}{PINGS[event.kind]}"
        if event.kind != "start":
            for target in getattr(group, f"on_{event.kind}"):
                yield target.reveal()


def _post(url: str, event: Event, *, seconds: float, as_text: bool = False) -> None:
    from botticelli.web_session import Session

    body = {"data": event.text.encode()} if as_text else {"json": event.facts()}
    with Session() as session:
        answer = session.post(url, timeout=seconds, **body)
    answer.raise_for_status()
    if answer.status_code >= 300:
        raise Redirected


def _apprise(address: str, event: Event) -> None:
    try:
        import apprise
    except ImportError:
        log.warning("hook needs a package", extra={"hint": "pip install 'botticelli[apprise]'"})
        raise
    messenger = apprise.Apprise(asset=apprise.AppriseAsset(http_redirects=False))
    if not messenger.add(address) or not messenger.notify(title=event.title, body=event.text):
        raise ValueError("Apprise could not deliver it")
