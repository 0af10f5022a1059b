"""Telling people and monitors how a run ended: URLs, commands, Apprise, dead man's switches.

A hook that fails is logged and forgotten: it never fails the run that it tells of.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
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


def tell(event: Event, *, hooks: Hooks, environ: Mapping[str, str]) -> int:
    """Tell everybody who wants to know of `event`; return how many could not be told."""
    failed = 0
    for target in _targets(event, hooks):
        kind, _, _ = target.partition(":")
        try:
            _tell_one(target, event, timeout=hooks.timeout, environ=environ)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
            failed += 1
            reason = type(error).__name__
            log.warning(
                "hook failed",
                extra={"hook": kind.split(" ")[0], "of": event.kind, "reason": reason},
            )
    return failed


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


def _tell_one(target: str, event: Event, *, timeout: timedelta, environ: Mapping[str, str]) -> None:
    scheme, separator, _ = target.partition("://")
    if target.startswith("ping:"):
        _post(target.removeprefix("ping:"), event, timeout=timeout, as_text=True)
    elif scheme in ("http", "https"):
        _post(target, event, timeout=timeout)
    elif separator and " " not in scheme and "/" not in scheme:
        _apprise(target, event)
    else:
        _command(target, event, timeout=timeout, environ=environ)


def _post(url: str, event: Event, *, timeout: timedelta, as_text: bool = False) -> None:
    import requests

    seconds = timeout.total_seconds()
    if as_text:
        answer = requests.post(url, data=event.text.encode(), timeout=seconds)
    else:
        answer = requests.post(url, json=event.facts(), timeout=seconds)
    answer.raise_for_status()


def _apprise(address: str, event: Event) -> None:
    try:
        import apprise
    except ImportError:
        log.warning("hook needs a package", extra={"mend": "pip install 'botticelli[apprise]'"})
        raise
    messenger = apprise.Apprise()
    if not messenger.add(address) or not messenger.notify(title=event.title, body=event.text):
        raise ValueError("Apprise could not deliver it")


def _command(line: str, event: Event, *, timeout: timedelta, environ: Mapping[str, str]) -> None:
    """Run a command without a shell: facts in BOTTICELLI_* variables, and as JSON on stdin."""
    import shlex
    import subprocess

    facts = event.facts()
    told = {
        f"BOTTICELLI_{key.upper()}": "" if value is None else str(value)
        for key, value in facts.items()
        if key != "summary"
    }
    harmless = {name: text for name, text in environ.items() if not name.endswith(SECRET_ENDINGS)}
    subprocess.run(  # noqa: S603 - the operator's own command, without a shell
        shlex.split(line),
        env={**harmless, **told, "BOTTICELLI_TEXT": event.text},
        input=json.dumps(facts),
        text=True,
        capture_output=True,
        timeout=timeout.total_seconds(),
        check=True,
    )
