"""The pictures of a post as a platform takes them."""

from botticelli.platforms.base import Attachment, MessageLimits
from botticelli.store.connection import Connection
from botticelli.store.delivery import posts


def prepared(conn: Connection, post_id: int, limits: MessageLimits) -> tuple[Attachment, ...]:
    """Return the pictures of a post in their order; equal bytes every time."""
    del limits
    return tuple(
        Attachment(**{**one, "name": f"{one['sha256'][:16]}.{one['mime'].partition('/')[2]}"})
        for one in posts.read_attached(conn, post_id)
    )
