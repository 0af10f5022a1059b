"""Pictures for a person: in words, and on terminals that can draw them, as they are."""

import base64
import os
import select
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TextIO

from botticelli.pictures.reading import BadPicture, Picture, has_pillow, opened

KITTY: Final = ("kitty", "ghostty", "WezTerm", "konsole")
SIXEL: Final = ("mintty", "contour", "foot", "mlterm", "yaft", "sixel")
PATIENCE: Final = 0.3  # s; a terminal that does not say by then what it can draws nothing
SIDE: Final = 480  # pixels of a picture that is drawn
COLORS: Final = 64


def picture_facts(pictures: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return what pictures are, what is on them and what made them: (name, words) of each."""
    facts: list[tuple[str, str]] = []
    for one in pictures:
        origin, name = one["origin"], f"picture {one['position']}"
        kind, size = one["mime"].partition("/")[2].upper(), one["size"] / 1000
        sides = f", {one['width']} x {one['height']}" if one["width"] else ""
        model = " ".join(dict.fromkeys(filter(None, map(origin.get, ("model", "version")))))
        by = f", by {model}" if model else ""
        facts += [
            (name, f"{kind}{sides}, {size:,.0f} kB{by}"),
            (f"{name} shows", one["alt"] or origin.get("alt_error") or "nobody has said it yet"),
            (f"{name} warns", origin.get("risky") or ""),
            (f"{name} was asked for by", origin.get("prompt") or ""),
        ]
    return [(name, str(words)) for name, words in facts if words]


def drawn(picture: Picture, *, on: TextIO, environ: Mapping[str, str]) -> str:
    """Return what makes a terminal draw a picture; empty if it cannot, or `on` is none."""
    if not on.isatty() or environ.get("TERM", "dumb") == "dumb" or environ.get("TMUX"):
        return ""
    named = " ".join(environ.get(name, "") for name in ("TERM", "TERM_PROGRAM"))
    named += " kitty" * ("KITTY_WINDOW_ID" in environ) + " konsole" * ("KONSOLE_VERSION" in environ)
    try:
        if any(name in named for name in KITTY):
            return "".join(_kitty(_png(picture), columns=min(60, picture.width // 8 + 8)))
        if any(name in named for name in SIXEL) or _says_sixel(on):
            return _sixel(picture) if has_pillow() else ""
    except BadPicture:
        pass
    return ""


def _png(picture: Picture) -> bytes:
    if picture.mime == "image/png":
        return picture.content
    if not has_pillow():
        raise BadPicture("only PNGs are drawn without Pillow")
    from io import BytesIO

    out = BytesIO()
    with opened(picture) as image:
        image.save(out, format="PNG")
    return out.getvalue()


def _kitty(content: bytes, *, columns: int) -> Iterator[str]:
    """Yield a PNG in kitty's graphics protocol: in base64, 4 kB at a time."""
    written = base64.b64encode(content).decode()
    parts = [written[at : at + 4096] for at in range(0, len(written), 4096)]
    for number, part in enumerate(parts):
        head = f"a=T,f=100,q=2,c={columns}," if number == 0 else ""
        yield f"\x1b_G{head}m={int(number < len(parts) - 1)};{part}\x1b\\"
    yield "\n"


def _says_sixel(on: TextIO) -> bool:
    """Ask the terminal what it can (primary device attributes); 4 among them is sixel."""
    if not sys.stdin.isatty():
        return False
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before, said = termios.tcgetattr(keyboard), b""
    try:
        tty.setcbreak(keyboard, termios.TCSAFLUSH)
        on.write("\x1b[c")
        on.flush()
        while b"c" not in said and select.select([keyboard], [], [], PATIENCE)[0]:
            said += os.read(keyboard, 64)
    finally:
        termios.tcsetattr(keyboard, termios.TCSAFLUSH, before)
    return b"4" in said.partition(b"?")[2].rstrip(b"c").split(b";")


def _sixel(picture: Picture) -> str:
    """Return a picture in sixels: bands of six rows, color by color, equal columns counted."""
    with opened(picture) as image:
        image.thumbnail((SIDE, SIDE))
        flat = image.convert("RGB").quantize(COLORS)
    width, height = flat.size
    pixels, palette = flat.tobytes(), flat.getpalette() or []
    colors = (palette[3 * n : 3 * n + 3] for n in range(len(palette) // 3))
    lines = [f'\x1bPq"1;1;{width};{height}']
    for number, rgb in enumerate(colors):
        lines.append(f"#{number};2;" + ";".join(str(one * 100 // 255) for one in rgb))
    for top in range(0, height, 6):
        rows = [pixels[y * width : (y + 1) * width] for y in range(top, min(top + 6, height))]
        for color in sorted(set(b"".join(rows))):
            masks = [
                sum((row[x] == color) << bit for bit, row in enumerate(rows)) for x in range(width)
            ]
            lines.append(f"#{color}{_counted(masks)}$")
        lines.append("-")
    return "".join(lines) + "\x1b\\\n"


def _counted(masks: Sequence[int]) -> str:
    from itertools import groupby

    runs = ((chr(63 + mask), len(list(same))) for mask, same in groupby(masks))
    return "".join(sign * count if count < 4 else f"!{count}{sign}" for sign, count in runs)
