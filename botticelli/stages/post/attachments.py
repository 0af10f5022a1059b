"""The pictures of a post as a platform takes them: looked at, made to fit, the same every time."""

from functools import lru_cache

from botticelli.pictures.fitting import fitted
from botticelli.pictures.reading import (
    LARGEST,
    MOST_PIXELS,
    BadPicture,
    Picture,
    read_picture,
    refuse_blank,
)
from botticelli.platforms.base import Attachment, MessageLimits
from botticelli.store import media
from botticelli.store.connection import Connection
from botticelli.store.media import Attached
from botticelli.text import shorten


def prepared(
    conn: Connection, post_id: int, limits: MessageLimits, *, keep: bool = False
) -> tuple[Attachment, ...]:
    """Return the pictures of a post in their order; with `keep` what was made of them is stored.

    Raises:
        BadPicture: One may not go out, or cannot be made to fit.
    """
    pictures = media.attached(conn, post_id=post_id)
    return tuple(_attachment(conn, one, limits, keep=keep) for one in pictures)


def _attachment(
    conn: Connection, one: Attached, limits: MessageLimits, *, keep: bool
) -> Attachment:
    bounds = f"{','.join(limits.mimes)} {limits.attachment_bytes} {limits.pixels}"
    risky, said_by = one.origin.get("risky"), str(one.origin.get("alt_by", ""))
    if risky and said_by.startswith("model "):  # nobody has looked at it since
        hint = "if it may go out, say what it shows: botticelli edit ID --alt TEXT"
        raise BadPicture(f"the model that looked at the picture warns: {risky}", hint=hint)
    picture = media.find_fitted(conn, one.sha256, bounds=bounds)
    if picture is None:
        picture = _fit(one.content, limits, is_generated=one.is_generated)
        if keep and picture.sha256 != one.sha256:
            media.keep_fitted(conn, one.sha256, bounds=bounds, picture=picture)
    return Attachment(
        sha256=picture.sha256,
        mime=picture.mime,
        content=picture.content,
        alt=shorten(one.alt, limits.alt) if 0 < limits.alt < len(one.alt) else one.alt,
        width=picture.width,
        height=picture.height,
        name=f"{one.sha256[:16]}.{picture.mime.partition('/')[2]}",
        is_generated=one.is_generated,
    )


@lru_cache(maxsize=8)  # a post is judged, then sent; and to several destinations of one kind
def _fit(content: bytes, limits: MessageLimits, *, is_generated: bool) -> Picture:
    picture = read_picture(content)
    refuse_blank(picture)
    return fitted(
        picture,
        mimes=limits.mimes,
        size=limits.attachment_bytes or LARGEST,
        pixels=limits.pixels or MOST_PIXELS,
        is_generated=is_generated,
    )
