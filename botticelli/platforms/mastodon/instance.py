"""Which server speaks, and what it takes. Pure: it reads answers, and asks nothing.

All of them speak Mastodon's API, and say different things of themselves in different places.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from botticelli.platforms.base import MessageLimits
from botticelli.records import record

KEY_SECONDS: Final = 3000.0  # of the hour in which Mastodon knows an Idempotency-Key
FORKS: Final = frozenset({"hometown", "glitchsoc", "glitch-soc", "ecko", "kmyblue", "fedibird"})
HONOUR_KEYS: Final = frozenset({"mastodon", "pleroma", "akkoma"})
IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_COMPATIBLE: Final = re.compile(r"compatible;\s*([\w-]+)", re.IGNORECASE)
_NAMED: Final = re.compile(r"gotosocial|takahe|pleroma|akkoma", re.IGNORECASE)


@record
class Instance:
    """A server as it describes itself.

    Args:
        software: In small letters; empty: it is not known, and nothing is taken on trust.
        limits: What it takes.
        per_url: Characters that a URL counts.
    """

    software: str
    version: str
    limits: MessageLimits
    per_url: int

    @property
    def idempotency_seconds(self) -> float:
        """How long a repeated Idempotency-Key makes no second status; 0: it may make one."""
        return KEY_SECONDS if self.software in HONOUR_KEYS else 0.0


def instance_of(told: Mapping[str, Any], name: str = "") -> Instance:
    """Return what an answer of /api/v2/instance or /api/v1/instance describes.

    Args:
        told: The answer; whatever is missing there is as on Mastodon.
        name: What its nodeinfo calls the software; empty: nothing.
    """
    version = str(told.get("version") or "")
    statuses = _table(told, "configuration", "statuses")
    media = _table(told, "configuration", "media_attachments")
    mimes = media.get("supported_mime_types")
    known = tuple(map(str, mimes)) if isinstance(mimes, list) else ()
    limits = MessageLimits(
        length=_number(500, statuses.get("max_characters"), told.get("max_toot_chars")),
        attachments=_number(
            4, statuses.get("max_media_attachments"), told.get("max_media_attachments")
        ),
        attachment_bytes=_number(
            8 * 1024 * 1024, media.get("image_size_limit"), told.get("upload_limit")
        ),
        pixels=_number(0, media.get("image_matrix_limit")),
        alt=_number(1500, media.get("description_limit"), told.get("description_limit")),
        mimes=tuple(one for one in known if one.startswith("image/")) or IMAGES,
    )
    return Instance(
        software=_software(version, name.strip().lower(), str(told.get("source_url") or "")),
        version=version,
        limits=limits,
        per_url=_number(23, statuses.get("characters_reserved_per_url")),
    )


def _software(version: str, name: str, source: str) -> str:
    """Return the software's name by nodeinfo, else by the version or the source it names.

    A bare version proves nothing: servers imitate Mastodon's, for the sake of its apps.
    """
    told = _COMPATIBLE.search(version)
    named = _NAMED.search(version) or _NAMED.search(source)
    if not name and (told or named):
        name = (told[1] if told else named[0] if named else "").lower()
    return "mastodon" if name in FORKS else name


def _table(found: Any, *path: str) -> Mapping[str, Any]:
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _number(usual: int, *found: Any) -> int:
    """Return the first of some values that is a positive number, as such or in words."""
    for one in found:
        try:
            number = int(one)
        except (TypeError, ValueError, OverflowError):
            continue
        if number > 0:
            return number
    return usual
