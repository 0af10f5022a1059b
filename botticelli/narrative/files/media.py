"""The kind of a medium: by what is written, its name, its server or its content."""

import base64
import binascii
import mimetypes
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from botticelli.errors import ConfigError
from botticelli.narrative.language.model import Media

LARGEST: Final = 20 * 1024 * 1024  # bytes; Gemini's bound for a whole request
BY_SUFFIX: Final[Mapping[str, str]] = {
    ".mp3": "audio/mpeg", ".wav": "audio/wav", ".ogg": "audio/ogg", ".webp": "image/webp",
    ".md": "text/markdown", ".mov": "video/quicktime", ".avi": "video/x-msvideo",
    ".m4a": "audio/mp4", ".flac": "audio/flac", ".mkv": "video/x-matroska", ".heic": "image/heic",
}  # fmt: skip
PDF: Final = "application/pdf"
# First bytes -> what they begin.
MARKS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", PDF),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
RIFF: Final[Mapping[bytes, str]] = {
    b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo",
}  # fmt: skip
OF_FTYP: Final[Mapping[bytes, str]] = {
    b"heic": "image/heic", b"mif1": "image/heif", b"avif": "image/avif", b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
}  # fmt: skip
# These hold sound or pictures.
CONTAINERS: Final = frozenset(("audio/ogg", "video/webm", "video/mp4", "audio/mp4"))
VAGUE: Final = frozenset(("", "application/octet-stream", "binary/octet-stream"))


def mime_of(kind: str, name: str, *, served_as: str = "", content: bytes = b"") -> str:
    """Return the MIME type of a medium that names none: by content, name, or its server's word.

    Empty if none of them says.
    """
    path = urlsplit(name).path if "://" in name else name
    suffix = PurePosixPath(path).suffix.lower()
    by_name = BY_SUFFIX.get(suffix) or mimetypes.guess_type("x" + suffix)[0]
    found = sniff(content) or by_name or ("" if served_as in VAGUE else served_as)
    if kind == "audio" and found in CONTAINERS:
        return found.replace("video/", "audio/")
    return found


def decoded(written: str) -> bytes:
    """Return what a text in base64 holds.

    Raises:
        ConfigError: It is none, or holds more than may be sent.
    """
    try:
        content = base64.b64decode(written, validate=True)
    except binascii.Error as error:
        raise ConfigError("is no base64", hint="encode it anew") from error
    if len(content) > LARGEST:
        raise ConfigError(f"the base64 is larger than {LARGEST // 2**20} MiB")
    return content


def checked_mime(media: Media, content: bytes, *, name: str, served_as: str = "") -> str:
    """Return the MIME type of a medium that holds this.

    Raises:
        ConfigError: Nobody knows it, or it is not what it is said to be.
    """
    mime = media.mime or mime_of(media.kind, name, served_as=served_as, content=content)
    shown = f"'{name}'" if name else "the base64"
    if not mime:
        what = f"nobody knows what kind of {media.kind} {shown} is"
        raise ConfigError(what, hint='add mime = "type/subtype"')
    if wrong := mismatch(media.kind, mime, content=content):
        raise ConfigError(f"{shown} {wrong}", hint="name the right file, type and mime")
    return mime


def sniff(content: bytes) -> str:
    """Return the MIME type that the first bytes show, or ""."""
    if content.startswith(b"RIFF"):
        return RIFF.get(content[8:12], "")
    if content[4:8] == b"ftyp":
        return OF_FTYP.get(content[8:12], "video/mp4")
    is_page = content[:64].lstrip().lower().startswith((b"<!doctype html", b"<html"))
    if is_page:
        return "text/html"
    return next((mime for mark, mime in MARKS if content.startswith(mark)), "")


def mismatch(kind: str, mime: str, *, content: bytes) -> str:
    """Return what is wrong with a medium of that kind that holds this, or ""."""
    if not content:
        return "is empty"
    if kind == "document":
        is_pdf = b"%PDF-" in content[:1024]
        return "is no PDF, whatever it is called" if mime == PDF and not is_pdf else ""
    real = sniff(content)
    if not real or real.startswith(f"{kind}/") or (kind != "image" and real in CONTAINERS):
        return ""
    return f"is no {kind}: it holds {real}"
