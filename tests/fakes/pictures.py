"""Pictures as models give them: PNGs that show something, broken ones, blank ones."""

import hashlib
import struct
import zlib


def png(seed: str, *, side: int = 96, is_blank: bool = False) -> bytes:
    """Return a PNG of stripes that the seed decides."""
    colors = hashlib.shake_256(seed.encode()).digest(3 * side)
    rows = [b"\xff\xff\xff" if is_blank else colors[3 * y : 3 * y + 3] for y in range(side)]
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row * side for row in rows))
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def spoiled(fault: str, seed: str) -> bytes:
    """Return the picture that a fault leaves: blank, cut off, or none at all."""
    if fault == "blank-image":
        return png(seed, is_blank=True)
    whole = png(seed)
    broken = {"half-image": whole[: len(whole) // 2], "no-png": b"<html>Sorry</html>"}
    return broken.get(fault, whole)
