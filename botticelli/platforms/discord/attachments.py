"""The files of a Discord message: as they are sent, kept in an edit, and known again. Pure.

Source: docs.discord.com/developers, "Uploading Files": `attachments` names `files[n]` by its n.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from botticelli.platforms.base import Attachment, MessageLimits
from botticelli.platforms.discord.errors import MAX_LENGTH

MIB: Final = 1 << 20
LIMITS: Final = MessageLimits(
    length=MAX_LENGTH,
    attachments=10,
    attachment_bytes=10 * MIB,
    alt=1024,
    mimes=("image/png", "image/jpeg", "image/webp", "image/gif"),
)
LARGEST: Final = 24 * MIB  # of all files; a request has at most 25 MiB, its form within

Json = dict[str, Any]


def file_name(attachment: Attachment) -> str:
    """Return a name that Discord keeps as it is; it shows by the ending what a file is."""
    name = re.sub(r"[^\w.-]+", "_", attachment.name, flags=re.ASCII).strip("._")
    return name or f"{attachment.sha256[:16]}.{attachment.mime.rpartition('/')[2]}"


def files(attachments: Sequence[Attachment]) -> dict[str, Attachment]:
    """Return the parts of a form that hold the files."""
    named = [replace(one, name=file_name(one)) for one in attachments]
    return {f"files[{number}]": one for number, one in enumerate(named)}


def listed(attachments: Sequence[Attachment]) -> list[Json]:
    """Return how a new message names its files."""
    return [
        {"id": number, "filename": file_name(one), "description": one.alt}
        for number, one in enumerate(attachments)
    ]


def kept(there: Sequence[Mapping[str, Any]], attachments: Sequence[Attachment]) -> list[Json]:
    """Return how an edit names the files that a message has: it removes what is not named."""
    alts = {file_name(one): one.alt for one in attachments}
    return [
        {"id": str(one["id"])}
        | ({"description": alts[one["filename"]]} if one.get("filename") in alts else {})
        for one in there
    ]


def are_alike(there: Any, attachments: Sequence[Attachment]) -> bool:
    """Whether the files of a message are those that were to be sent."""
    found = [(one.get("filename"), one.get("size")) for one in there or ()]
    return found == [(file_name(one), len(one.content)) for one in attachments]
