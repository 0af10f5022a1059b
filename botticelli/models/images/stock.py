"""No model: pictures that are there already, in a folder or at an address.

What a picture is taken for decides which one: the file that the prompt names, else one drawn by
the prompt's text, the same for the same prompt.
"""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from botticelli.errors import ConfigError
from botticelli.files import read
from botticelli.models.base import LARGEST_ANSWER, PermanentError, Reply, Request
from botticelli.models.driver import Driver
from botticelli.models.prompts import last_user_text
from botticelli.models.refusals import no_answer
from botticelli.web_bounds import bounded, guarded

if TYPE_CHECKING:
    import httpx2

SUFFIXES: Final = frozenset((".png", ".jpg", ".jpeg", ".webp", ".gif"))


class Stock(Driver["httpx2.Client"]):
    """See Model. Give it a `path` or a `base_url`; `model_version` says which picture it was."""

    provider = "pictures"

    def __init__(self, *, path: Path | None, base_url: str, timeout: timedelta) -> None:
        super().__init__()
        if (path is None) == (not base_url):
            what, hint = "pictures come from one place", "give [models.NAME] a path or a base_url"
            raise ConfigError(what, where="pictures", hint=hint)
        if path is not None and not path.is_dir():
            raise ConfigError("there is no such folder with pictures", where=str(path))
        self._path, self._url, self._timeout = path, base_url, timeout

    def generate(self, request: Request) -> Reply:
        """See Model. Costs nothing."""
        if request.image is None:
            raise PermanentError("pictures write no text", where=f"model {request.model}")
        if self._path is None:
            name = urlsplit(self._url).hostname or ""
            return Reply(text="", image=self._fetched(request.model), model_version=name)
        try:
            chosen = self._chosen(self._path, last_user_text(request.messages))
            content = read(chosen, limit=LARGEST_ANSWER, below=self._path)
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
            raise ConfigError(what, where=str(error.filename or self._path)) from error
        return Reply(text="", image=content, model_version=chosen.name)

    def _chosen(self, folder: Path, prompt: str) -> Path:
        known = sorted(each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES)
        if not known:
            raise ConfigError("there is no picture in it", where=str(folder))
        named = [each for each in known if each.name in prompt or f" {each.stem} " in f" {prompt} "]
        number = int.from_bytes(hashlib.sha256(prompt.encode("utf-8", "replace")).digest()[:8])
        return named[0] if named else known[number % len(known)]

    def _fetched(self, model: str) -> bytes:
        import httpx2

        where, seconds = f"model {model}", self._timeout.total_seconds()
        try:
            with bounded(seconds=seconds, size=LARGEST_ANSWER):
                answer = self._client().get(self._url)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise no_answer(error, where=where, server=self._url, seconds=seconds) from error
        if answer.status_code != 200:
            what = f"there is no picture at {self._url}: answered {answer.status_code}"
            raise PermanentError(what, where=where)
        return answer.content

    def _make(self) -> "httpx2.Client":
        import httpx2

        client: httpx2.Client = guarded(httpx2.Client)
        return client
