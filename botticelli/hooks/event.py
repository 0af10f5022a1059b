"""What a hook is told: one fact about one run of a stage."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from botticelli.records import record

Kind = Literal["start", "success", "failure", "breaker_open", "empty_queue"]

WORDS: Mapping[Kind, str] = {
    "start": "has started",
    "success": "has done its work",
    "failure": "failed",
    "breaker_open": "failed so often that it is left alone for a while",
    "empty_queue": "found nothing to work on",
}


@record
class Event:
    """Something that happened to a stage.

    Args:
        stage: Or the name of a systemd unit that is none of our stages.
        run: None: it did not get as far as a run.
        exit_code: None: not known (killed, or not yet ended).
        error: One line; empty: none.
        summary: What the run recorded about itself.
    """

    kind: Kind
    stage: str
    host: str
    run: int | None = None
    exit_code: int | None = None
    error: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the event in a few words."""
        return f"botticelli: {self.stage} {WORDS[self.kind]} on {self.host}"

    @property
    def text(self) -> str:
        """Return the event as a person would read it in a message."""
        lines = [self.title]
        if self.error:
            lines.append(self.error)
        if self.run is not None:
            lines.append(f"run {self.run}; see: botticelli logs {self.run}")
        return "\n".join(lines)

    def facts(self) -> dict[str, Any]:
        """Return the event as JSON can hold it."""
        return {
            "event": self.kind,
            "stage": self.stage,
            "host": self.host,
            "run": self.run,
            "exit_code": self.exit_code,
            "error": self.error,
            "summary": dict(self.summary),
        }
