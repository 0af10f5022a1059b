"""Commands without a guard, for tests of what stands around them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botticelli.narrative.commands.base import CommandCall, CommandExecutor
from botticelli.narrative.errors import CommandFailed


@dataclass(frozen=True, kw_only=True)
class CommandRegistry:
    """See Commands."""

    executors: Mapping[str, CommandExecutor]

    def writes(self, platform: str, command: str) -> bool:
        executor = self.executors.get(platform)
        return executor is None or executor.writes(command)

    def run(self, call: CommandCall) -> Any:
        if call.platform not in self.executors:
            raise CommandFailed(f"there are no {call.platform} commands here", where=call.name)
        return self.executors[call.platform].run(call)
