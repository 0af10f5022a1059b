"""What running narratives needs of the world, in tests: the one place that makes a RunContext."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botticelli.clock import SystemClock
from botticelli.config.model import Config, DatabaseConfig
from botticelli.models.open import Drivers
from botticelli.narrative.checks.asks import Rights
from botticelli.narrative.commands.base import CommandCall
from botticelli.narrative.commands.database import DatabaseCommands
from botticelli.narrative.errors import CommandFailed
from botticelli.narrative.files.fetch import Fetched
from botticelli.narrative.run.context import RunContext
from botticelli.store.leases import Identity


@dataclass(frozen=True, kw_only=True)
class CommandRegistry:
    """Commands without a guard; see Commands."""

    executors: Mapping[str, Any]

    def writes(self, platform: str, command: str) -> bool:
        executor = self.executors.get(platform)
        unread = executor is None or isinstance(executor, DatabaseCommands)
        return unread or executor.writes(command)

    def run(self, call: CommandCall) -> Any:
        if call.platform not in self.executors:
            raise CommandFailed(f"there are no {call.platform} commands here", where=call.name)
        found = self.executors[call.platform]
        if isinstance(found, DatabaseCommands):
            return found.of(call).run(call.command, call.args)
        return found.run(call)


def identity(owner="test:1:a"):
    """Return who owns leases under a name of HOST:PID:REST."""
    host, pid, _ = owner.split(":")
    return Identity(host=host, pid=int(pid), owner=owner)


def seen(url: str) -> Fetched:
    """Return what every address holds here."""
    mark = b"%PDF-" if url.endswith(".pdf") else b""
    return Fetched(content=mark + b"seen at " + url.encode(), mime="")


def run_context(conn, *, folder=Path("/nowhere"), executors=None, **more) -> RunContext:
    """Return a context on that connection; `more` are its fields, `executors` its commands."""
    config = more.pop("config", None) or Config(database=DatabaseConfig(url="", folder=folder))
    return RunContext(
        **{
            "conn": conn,
            "connect": lambda: conn,
            "config": config,
            "identity": identity(),
            "clock": SystemClock(),
            "chance": random.Random(1),
            "environ": {},
            "cwd": folder,
            "drivers": Drivers(config.models),
            "open_commands": lambda _conn: CommandRegistry(executors=executors or {}),
            "fetch": seen,
            "note": lambda _line: None,
            "rights": Rights(everything=True),
            **more,
        }
    )
