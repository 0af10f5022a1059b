"""Telling people and monitors how a run ended: URLs, commands, Apprise, dead man's switches.

A hook that fails is logged and forgotten: it never fails the run that it tells of.
"""

import contextlib
import json
import logging
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Final

from botticelli.config.operations import Hooks, StageHooks
from botticelli.hooks.event import Event

# healthchecks.io/docs/http_api: the bare URL means success.
PINGS: Final = {"start": "/start", "success": "", "failure": "/fail"}
SECRET_ENDINGS: Final = ("TOKEN", "KEY", "SECRET", "PASSWORD", "DATABASE_URL", "_FILE")

log = logging.getLogger(__name__)


def wanted(hooks: Hooks, stage: str) -> bool:
    """Tell whether anybody wants to know anything about a stage."""
    return any(told != StageHooks() for told in _groups(hooks, stage))


def tell(*events: Event, hooks: Hooks, environ: Mapping[str, str]) -> int:
    """Tell everybody who wants to know of these events; return how many could not be told.

    All are told at the same time, so that one that hangs holds up no other one, and all of them
    together hold up a run for no longer than `hooks.timeout`.
    """
    seconds = hooks.timeout.total_seconds()
    calls = [
        _Call(target, event, seconds=seconds, environ=environ)
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
            call.give_up()
    failed = [call for call in calls if call.failure]
    for call in failed:
        log.warning(
            "hook failed",
            extra={"hook": call.hook, "of": call.event.kind, "reason": call.failure},
        )
    return len(failed)


class _Call(threading.Thread):
    """One hook being told. A daemon: what hangs is left behind.

    Args:
        seconds: Longest wait for an answer.
    """

    def __init__(
        self, target: str, event: Event, *, seconds: float, environ: Mapping[str, str]
    ) -> None:
        # The word that begins a command may be told; the rest, and addresses, may be secrets.
        self.hook = target.partition(":")[0].split(" ")[0]
        super().__init__(name=f"hook {self.hook}", daemon=True)
        self.event = event
        self.failure = ""
        self._target = target
        self._seconds = seconds
        self._environ = environ
        self._process: subprocess.Popen[str] | None = None
        self._given_up = threading.Event()

    def run(self) -> None:
        """Tell it."""
        try:
            self._tell()
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
            self.failure = type(error).__name__

    def give_up(self) -> None:
        """Let it go, with every process that it has started; nothing if it has ended."""
        if not self.is_alive():
            return
        self.failure = "no answer in time"
        self._given_up.set()
        self._kill()

    def _tell(self) -> None:
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

        Nobody reads what it says: a pipe would stay open as long as the last of its children.
        """
        facts = self.event.facts()
        told = {
            f"BOTTICELLI_{key.upper()}": "" if value is None else str(value)
            for key, value in facts.items()
            if key != "summary"
        }
        environ = {
            name: text for name, text in self._environ.items() if not name.endswith(SECRET_ENDINGS)
        }
        self._process = subprocess.Popen(  # noqa: S603 - the operator's own command, without a shell
            shlex.split(self._target),
            env={**environ, **told, "BOTTICELLI_TEXT": self.event.text},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # so that all its children can be ended with it
        )
        if self._given_up.is_set():
            self._kill()
        self._process.communicate(json.dumps(facts))
        if self._process.returncode:
            raise subprocess.CalledProcessError(self._process.returncode, "hook")

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _groups(hooks: Hooks, stage: str) -> Iterator[StageHooks]:
    yield hooks.every
    if stage in hooks.stages:
        yield hooks.stages[stage]


def _targets(event: Event, hooks: Hooks) -> Iterator[str]:
    for told in _groups(hooks, event.stage):
        if told.ping and event.kind in PINGS:
            yield f"ping:{told.ping.reveal().rstrip('/')}{PINGS[event.kind]}"
        if event.kind != "start":
            for target in getattr(told, f"on_{event.kind}"):
                yield target.reveal()


def _post(url: str, event: Event, *, seconds: float, as_text: bool = False) -> None:
    import requests

    if as_text:
        answer = requests.post(url, data=event.text.encode(), timeout=seconds)
    else:
        answer = requests.post(url, json=event.facts(), timeout=seconds)
    answer.raise_for_status()


def _apprise(address: str, event: Event) -> None:
    try:
        import apprise
    except ImportError:
        log.warning("hook needs a package", extra={"hint": "pip install 'botticelli[apprise]'"})
        raise
    messenger = apprise.Apprise()
    if not messenger.add(address) or not messenger.notify(title=event.title, body=event.text):
        raise ValueError("Apprise could not deliver it")
