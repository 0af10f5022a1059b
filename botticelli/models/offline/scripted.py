"""Answers from a list or a file: for tests and for trying a narrative out."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from botticelli.errors import ConfigError
from botticelli.models.base import (
    Finish,
    PermanentError,
    QuotaError,
    Reply,
    Request,
    TransientError,
    Usage,
)
from botticelli.models.driver import Driver
from botticelli.models.prompts import readable


class Scripted(Driver[None]):
    """Gives its answers in order. Safe to share between threads.

    An answer is a text, or a mapping with `text`, `json` or `image` (base64), and optionally
    `finish`, `usage` (input, cached, output, thoughts, image), `model_version`, `error`
    (transient, minute, day, spend, none, permanent) with `retry_after`, and `when`: given for every
    prompt that holds this text,
    before the others, and never used up.
    """

    provider = "scripted"

    def __init__(self, answers: Sequence[str | Mapping[str, Any]]) -> None:
        super().__init__()
        steps: list[Mapping[str, Any]] = [
            {"text": one} if isinstance(one, str) else one for one in answers
        ]
        self._standing = [step for step in steps if "when" in step]
        self._queue = [step for step in steps if "when" not in step]
        self.requests: list[Request] = []

    @classmethod
    def from_file(cls, path: Path) -> "Scripted":
        """Read a JSON list, or one JSON value a line.

        Raises:
            ConfigError: There is no such file, or it is not JSON.
        """
        try:
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".jsonl":
                return cls([json.loads(line) for line in text.splitlines() if line.strip()])
            return cls(json.loads(text))
        except (OSError, ValueError) as error:
            raise ConfigError(
                "the script of answers cannot be read", where=str(path), hint=f"see: {error}"
            ) from error

    def generate(self, request: Request) -> Reply:
        """See Model."""
        with self._lock:
            self.requests.append(request)
            step = self._next(readable(request))
        if "error" in step:
            raise _failure(step)
        text = json.dumps(step["json"]) if "json" in step else str(step.get("text", ""))
        finish = Finish(step.get("finish", "stop"))
        return Reply(
            text=text,
            image=base64.b64decode(step.get("image", "")),
            finish=finish,
            finish_detail=finish.upper(),
            usage=Usage(**step["usage"]) if "usage" in step else None,
            model_version=str(step.get("model_version", "")),
        )

    def _make(self) -> None:
        """There is nothing to make."""

    def _next(self, prompt: str) -> Mapping[str, Any]:
        for step in self._standing:
            if step["when"] in prompt:
                return step
        if not self._queue:
            raise PermanentError(
                "the script has no answer left", where="scripted", hint="add answers to its file"
            )
        return self._queue.pop(0)


def _failure(step: Mapping[str, Any]) -> Exception:
    kind, wait = str(step["error"]), step.get("retry_after")
    if kind == "transient":
        return TransientError("the script says so", where="scripted", retry_after=wait)
    if kind == "permanent":
        return PermanentError(
            "the script says so", where="scripted", unrecoverable=bool(step.get("unrecoverable"))
        )
    return QuotaError(
        "the script says so",
        where="scripted",
        scope=kind,  # type: ignore[arg-type]  # a JSON border: a wrong word fails in the test
        retry_after=wait,
        limit=step.get("limit"),
    )
