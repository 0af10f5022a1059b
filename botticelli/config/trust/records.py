"""What the user has said yes to: records in their state folder, outside of any project.

A record stands for one content: what was trusted is known by its hash, so that whatever changes is
asked about again. A record that another user could have written is none.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from botticelli import files
from botticelli.config.trust.ownership import why_not_own
from botticelli.errors import ConfigError
from botticelli.records import record

LARGEST: Final = 1_000_000  # bytes of a record


@record
class TrustRecord:
    """One yes of the user.

    Args:
        digest: Of what was trusted.
        path: Where it was; what has moved is still trusted.
        asks: What it asked for, a line each.
        by: Who said yes (user@host).
        at: When, ISO 8601.
    """

    digest: str
    path: str
    asks: tuple[str, ...] = ()
    by: str = ""
    at: str = ""


class TrustStore:
    """The records of one user.

    Args:
        folder: Where they are kept, one file each; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, digest: str) -> TrustRecord | None:
        """Return the record of a digest; None if there is none."""
        return self._read(self.folder / f"{digest}.json")

    def records(self) -> list[TrustRecord]:
        """Return all records by path."""
        files = self.folder.glob("*.json") if self.folder.is_dir() else ()
        found = filter(None, map(self._read, files))
        return sorted(found, key=lambda each: (each.path, each.at))

    def write(self, entry: TrustRecord) -> None:
        """Keep a record; one of the same digest is replaced.

        Raises:
            ConfigError: It cannot be written, or others may write there.
        """
        target = self.folder / f"{entry.digest}.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if why := why_not_own(self.folder):
                raise ConfigError(why, where=str(self.folder), hint="nothing there can be believed")
            files.write(target, json.dumps(vars(entry), indent=1).encode(), mode=0o600)
        except OSError as error:
            what = f"cannot be written: {error.strerror}"
            raise ConfigError(what, where=str(self.folder), hint="check its owner") from error

    def remove(self, digests: Sequence[str]) -> int:
        """Take records back; return how many there were."""
        removed = 0
        for digest in digests:
            with suppress(FileNotFoundError):
                (self.folder / f"{digest}.json").unlink()
                removed += 1
        return removed

    def _read(self, path: Path) -> TrustRecord | None:
        try:
            if why_not_own(path):
                return None
            known = TrustRecord.__dataclass_fields__
            said: Mapping[str, Any] = json.loads(files.read(path, limit=LARGEST, below=self.folder))
            entry = TrustRecord(**{name: said[name] for name in said if name in known})
            entry = replace(entry, asks=tuple(entry.asks))
        except (OSError, ValueError, TypeError, AttributeError):
            return None
        return entry if entry.digest == path.stem else None


def digest_of_project(root: Path) -> str:
    """Return what stands for a project: its folder. What it may do is in the record's `asks`."""
    from hashlib import sha256

    return sha256(f"project {root}".encode("utf-8", "surrogateescape")).hexdigest()
