"""A picture without any model: squares whose colors and places the prompt decides.

It needs no library, so that a narrative with pictures can be tried with nothing installed.
"""

import hashlib
import struct
import zlib
from typing import Final

CELLS: Final = 8  # in each direction; the right half mirrors the left one
SIDE: Final = 48  # pixels of a cell


def drawn_picture(prompt: str) -> bytes:
    """Return a PNG of 384 x 384 pixels, the same bytes for the same prompt."""
    seed = hashlib.shake_256(prompt.encode("utf-8", "replace")).digest(6 + CELLS * CELLS // 2)
    dark = bytes(one // 2 for one in seed[:3])
    light = bytes(255 - one // 3 for one in seed[3:6])
    rows = []
    for row in range(CELLS):
        half = [seed[6 + row * CELLS // 2 + cell] % 2 for cell in range(CELLS // 2)]
        half[row % 2] = row % 3 % 2  # never all of one color
        line = b"".join((dark if is_dark else light) * SIDE for is_dark in (*half, *half[::-1]))
        rows.append((b"\0" + line) * SIDE)
    side = CELLS * SIDE
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
