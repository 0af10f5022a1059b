"""A folder as a platform: one Markdown file per post, for trying things out and for the demo."""

import contextlib
import glob
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from botticelli import files
from botticelli.clock import Clock
from botticelli.config.addresses import require_trusted
from botticelli.config.model import Destination
from botticelli.errors import ConfigError
from botticelli.platforms.base import (
    Looked,
    MessageLimits,
    NotSent,
    OutgoingMessage,
    Platform,
    Receipt,
    Refused,
    Room,
)
from botticelli.platforms.rate_limits import SharedLimits

FACTS: Final = ("title", "link")  # what stands in front of the text
NEVER: Final = (PermissionError, NotADirectoryError, FileExistsError, files.NotReadable)
FILE_NAME: Final = re.compile(r"\d{8}T\d{6}Z-[\w-]+\.md")


class FolderPlatform(Platform):
    """A platform that is a folder on this machine: a nonce makes one entry, however late.

    Args:
        name: The destination's name.
        folder: Made when the first entry is written.
        clock: What the times of entries come from.
    """

    kind = "outbox"  # as messages call it
    shows_link = True
    idempotency_seconds = float("inf")

    def __init__(self, name: str, *, folder: Path, clock: Clock) -> None:
        self.name = name
        self._folder = folder
        self._clock = clock

    def problems(self) -> Iterable[str]:
        """See Platform."""
        folder = self._folder
        while not folder.exists():
            folder = folder.parent
        if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            yield f"the {self.kind} {self._folder} cannot be written: {folder} does not let us"

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Raise NotSent for what the disk does not do now, ConfigError if it never will."""
        try:
            yield
        except OSError as error:
            what, where = f"the {self.kind} cannot be written ({error.strerror})", str(self._folder)
            if isinstance(error, NEVER):
                hint = "give this user the folder, or name another one as `folder`"
                raise ConfigError(what, where=where, hint=hint) from error
            raise NotSent(what, where=where) from error


class Outbox(FolderPlatform):
    """One folder. A file holds the text of its post, byte for byte.

    What a post has besides stands in front of the text, as YAML; pictures are files beside it,
    named by their content. The name is `<UTC time>-<nonce>.md`, so that the same nonce never makes
    a second file however long ago the first was written, and the remote id is the name.

    Args:
        name: The destination's name.
        folder: Made when the first post is written.
        clock: What the times in file names come from.
    """

    limits = MessageLimits(length=100_000, attachments=100)
    real = False

    def preview(self, message: OutgoingMessage) -> Sequence[dict[str, Any]]:
        """See Platform."""
        path = self._folder / self._file_name(message)
        files = [
            {"method": "WRITE", "url": str(self._folder / one.stored_as), "files": one.shown}
            for one in message.attachments
        ]
        return [*files, {"method": "WRITE", "url": str(path), "json": {"content": _body(message)}}]

    def send(self, message: OutgoingMessage) -> Receipt:
        """See Platform."""
        if there := self._there(message.nonce):
            return there
        for one in message.attachments:
            self._write(self._folder / one.stored_as, one.content)
        path = self._folder / self._file_name(message)
        self._write(path, _body(message).encode())
        return self._receipt(path)

    def find(
        self, message: OutgoingMessage, *, since: datetime, known: Collection[str] = ()
    ) -> Looked:
        """See Platform. A folder can always be believed."""
        del since, known
        return Looked(receipt=self._there(message.nonce), certain=True)

    def edit(self, remote_id: str, message: OutgoingMessage) -> Receipt:
        """See Platform."""
        path = self._path(remote_id)
        if not path.is_file():
            raise Refused("this post is no longer in the outbox", where=str(path))
        self._write(path, _body(message).encode())
        return self._receipt(path)

    def delete(self, remote_id: str, *, thread: str = "") -> None:
        """See Platform."""
        del thread
        with self.writing():
            self._path(remote_id).unlink(missing_ok=True)

    def _file_name(self, message: OutgoingMessage) -> str:
        return f"{self._clock.now().astimezone(UTC):%Y%m%dT%H%M%SZ}-{message.nonce}.md"

    def _path(self, remote_id: str) -> Path:
        """Return the file of a post. The database says which, and whoever writes there may lie."""
        if not FILE_NAME.fullmatch(remote_id):
            raise Refused(f"'{remote_id[:60]}' is no post of an outbox", where=str(self._folder))
        return self._folder / remote_id

    def _there(self, nonce: str) -> Receipt | None:
        path = next(iter(sorted(self._folder.glob(f"*-{glob.escape(nonce)}.md"))), None)
        return self._receipt(path) if path else None

    def _receipt(self, path: Path) -> Receipt:
        at = None
        with contextlib.suppress(ValueError):
            at = datetime.strptime(path.name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return Receipt(remote_id=path.name, url=str(path), at=at)

    def _write(self, path: Path, content: bytes) -> None:
        """Write all or nothing: a killed process leaves at most a hidden file behind."""
        with self.writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, content)


def _body(message: OutgoingMessage) -> str:
    """Return what a post's file holds: what it has besides the text is in YAML in front of it."""
    facts = [(key, value) for key in FACTS if (value := getattr(message, key))]
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in facts]
    for number, one in enumerate(message.attachments):
        lines += ["attachments:"] * (number == 0)
        lines += [
            f"  - file: {one.stored_as}",
            f"    alt: {json.dumps(one.alt, ensure_ascii=False)}",
        ]
    if not lines:
        return message.text
    lines += [f"language: {message.language}"] * bool(message.language)
    return "\n".join(["---", *lines, "---", "", message.text])


class FolderRoom(Room):
    """A platform that is a folder."""

    writes_files = True

    def place(self, destination: Destination) -> str:
        """See Room."""
        return str(destination.folder)


class _OutboxRoom(FolderRoom):
    real = False
    longest = Outbox.limits.length

    def opened(self, destination: Destination, *, clock: Clock, limits: SharedLimits) -> Platform:
        """See Room."""
        del limits
        require_trusted(destination.base_url, where=f"destinations.{destination.name}.folder")
        return Outbox(destination.name, folder=destination.folder, clock=clock)


ROOM: Final = _OutboxRoom()
