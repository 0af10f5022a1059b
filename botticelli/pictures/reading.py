"""What a picture is, by its own bytes: neither its name nor what a server calls it is believed.

Format and size stand in the first bytes. Pillow (the extra `botticelli[images]`), where it is
there, decodes the whole; without it a picture that is broken further on is not found.
"""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Final

from botticelli.errors import BotticelliError
from botticelli.records import record

if TYPE_CHECKING:
    from PIL import Image

LARGEST: Final = 20 * 1024 * 1024  # bytes
MOST_PIXELS: Final = 50_000_000  # 200 MB when decoded; no platform takes more
FORMATS: Final = {
    "PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif",
}  # fmt: skip
MIMES: Final = tuple(FORMATS.values())
EXTRA: Final = "run: pip install 'botticelli[images]'"
# The pointer to a position on earth in a camera's EXIF, in either byte order.
_POSITIONS: Final = (b"\x88\x25\x00\x04\x00\x00\x00\x01", b"\x25\x88\x04\x00\x01\x00\x00\x00")
_FLAT: Final = 2.0  # of 255: below it a picture differs less from one color than its noise
# JPEG segments that hold the size: every "start of frame" but DHT, JPG and DAC.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class BadPicture(BotticelliError):
    """Bytes that are no picture, or none that may go out."""


@record
class Picture:
    """A picture that was looked at. `width` and `height` are pixels as stored."""

    content: bytes
    mime: str
    width: int
    height: int

    @property
    def sha256(self) -> str:
        """Its name in table media: equal bytes are one picture."""
        return sha256(self.content).hexdigest()

    @property
    def shown(self) -> str:
        """What it is, for a person: "PNG, 1024 x 768, 1.2 MB"."""
        kind, size = self.mime.partition("/")[2].upper(), len(self.content)
        words = f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.0f} kB"
        return f"{kind}, {self.width} x {self.height}, {words}"

    @property
    def facts(self) -> str:
        """What stands for it in texts and in answers of models, as JSON."""
        facts = {"sha256": self.sha256, "mime": self.mime}
        return json.dumps({**facts, "width": self.width, "height": self.height})

    @property
    def has_position(self) -> bool:
        """Whether a camera wrote down where it was."""
        return any(mark in self.content for mark in _POSITIONS) and b"xif" in self.content.lower()


def has_pillow() -> bool:
    """Return whether pictures can be decoded and changed here."""
    return find_spec("PIL") is not None


def read_picture(content: bytes, *, decode: bool = True) -> Picture:
    """Return what these bytes are; with `decode` and Pillow all of it is looked at.

    Raises:
        BadPicture: They are no PNG, JPEG, WebP or GIF, too large, or broken.
    """
    if len(content) > LARGEST:
        raise BadPicture(f"a picture of more than {LARGEST // 2**20} MiB")
    found = _head(content)
    if found is None:
        raise BadPicture("no picture: PNG, JPEG, WebP and GIF are known")
    mime, width, height = found
    if not 0 < width * height <= MOST_PIXELS:
        most = MOST_PIXELS // 1_000_000
        raise BadPicture(f"a picture of {width} x {height} pixels, and {most} million are decoded")
    picture = Picture(content=content, mime=mime, width=width, height=height)
    if decode and has_pillow():
        with opened(picture):
            pass
    return picture


def refuse_blank(picture: Picture) -> None:
    """Find with Pillow that a picture shows nothing.

    Raises:
        BadPicture: It is of one color, or all of it is transparent.
    """
    if not has_pillow():
        return
    from PIL import Image, ImageStat

    with opened(picture) as image:
        image.thumbnail((64, 64))
        seen = image.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    if max(ImageStat.Stat(flat).stddev) < _FLAT:
        raise BadPicture("a blank picture: it is of one color")


@contextmanager
def opened(picture: Picture) -> "Iterator[Image.Image]":
    """Yield the picture decoded by Pillow, of the format that its first bytes show.

    Raises:
        BadPicture: It cannot be decoded.
    """
    import warnings

    from PIL import Image

    formats = [name for name, mime in FORMATS.items() if mime == picture.mime]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(picture.content), formats=formats) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise BadPicture(f"a picture of {image.width} x {image.height} pixels")
                image.load()
                yield image
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise BadPicture(f"a broken picture: {error}") from error


def _head(content: bytes) -> tuple[str, int, int] | None:
    """Return mime, width and height as the first bytes say; None if it is no picture."""
    found = None
    with suppress(struct.error):
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            found = "image/png", *struct.unpack_from(">II", content, 16)
        elif content[:6] in (b"GIF87a", b"GIF89a"):
            found = "image/gif", *struct.unpack_from("<HH", content, 6)
        elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
            found = "image/webp", *_webp(content)
        elif content.startswith(b"\xff\xd8\xff"):
            found = "image/jpeg", *_jpeg(content)
    return found


def _webp(content: bytes) -> tuple[int, int]:
    kind = content[12:16]
    if kind == b"VP8X":
        sides = (content[24:27], content[27:30])
        width, height = (int.from_bytes(side, "little") + 1 for side in sides)
        return width, height
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", content, 26)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg(content: bytes) -> tuple[int, int]:
    place = 2
    while True:
        mark, kind, length = struct.unpack_from(">BBH", content, place)
        if mark != 0xFF:
            raise struct.error("a JPEG's segments begin with FF")
        if kind in _FRAMES:
            height, width = struct.unpack_from(">HH", content, place + 5)
            return width, height
        place += 1 if kind == 0xFF else 2 + length  # bytes of FF may fill up
