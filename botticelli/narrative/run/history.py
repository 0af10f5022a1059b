"""What later acts still see of the conversation (docs/dialect.md §10).

Retention belongs to each piece of an input, not to what it was turned into, and takes effect
after its own act. Rows and answers stay addressable by placeholder whatever happens here.
"""

from collections.abc import Sequence
from typing import Final, Literal

from botticelli.models.base import Message, Part
from botticelli.narrative.language.model import Retention
from botticelli.records import record

LONGEST: Final = 10_000  # bytes of a piece that later acts see whole
KEPT_ANYWAY: Final = 1_000  # bytes of a text that a summary would not make shorter


@record
class Piece:
    """One part of a prompt and what becomes of it.

    Args:
        note: The line that stands for it where a summary is due; empty: made from its size.
    """

    part: Part
    retention: Retention = Retention.FULL
    note: str = ""


@record
class Turn:
    """What one side said."""

    role: Literal["user", "assistant"]
    pieces: tuple[Piece, ...]


def messages(history: Sequence[Turn], *, latest: Turn) -> tuple[Message, ...]:
    """Return the conversation as a model gets it: `latest` whole, what came before as retained.

    Neighbouring turns of one side become one message, because some providers insist on turns.
    """
    sides: list[tuple[Literal["user", "assistant"], list[Part]]] = []
    kept = [(turn.role, tuple(_kept(turn))) for turn in history]
    for role, parts in [*kept, (latest.role, tuple(piece.part for piece in latest.pieces))]:
        if not parts:
            continue
        if sides and sides[-1][0] == role:
            sides[-1][1].extend(parts)
        else:
            sides.append((role, list(parts)))
    return tuple(Message(role=role, parts=tuple(parts)) for role, parts in sides)


def _kept(turn: Turn) -> list[Part]:
    if turn.role == "assistant":
        return [piece.part for piece in turn.pieces]
    return [part for piece in turn.pieces if (part := _retained(piece)) is not None]


def _retained(piece: Piece) -> Part | None:
    size = _size(piece.part)
    if piece.retention is Retention.DROP:
        return None
    if piece.retention is Retention.FULL and size <= LONGEST:
        return piece.part
    if piece.part.text is not None and size <= KEPT_ANYWAY:
        return piece.part
    return Part(text=piece.note or _note(piece.part, size))


def _size(part: Part) -> int:
    if part.text is not None:
        return len(part.text.encode())
    return len(part.data) if part.data is not None else 0


def _note(part: Part, size: int) -> str:
    if part.text is not None:
        return f"[Text: ~{size // 1024}KB]"
    kind = (part.mime or "").partition("/")[0]
    name = kind.capitalize() if kind in ("image", "audio", "video") else "Document"
    return f"[{name}: {part.mime or 'unknown'}]"
