"""What texts mean, as vectors of a small static model that ships in a wheel: no network, no GPU.

wordllama (extra `similarity`) brings 16 MB of weights. They are read here, in place: its own loader
takes 96 MB for the same vectors, this one 37 MB with numpy. The model knows English; texts of other
languages get vectors that are all alike, so of them it says nothing. They are told by how many
pieces its tokenizer makes of a word: 1.2 in English, 1.7 in French, 2.1 in German, 2.4 in Russian,
3.8 in Turkish.
"""

import json
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from botticelli.text import normalise

LONGEST: Final = 4000  # characters that are read
MOST_PIECES: Final = 1.5  # of a word, on average, in a text whose language is known
_LINK: Final = re.compile(r"https?://\S+")


class Meanings:
    """Vectors of texts. Not for several threads at once.

    Args:
        weights: A row for each piece of a word that the tokenizer knows.
    """

    def __init__(self, weights: Any, tokenizer: Any) -> None:
        import numpy as np

        self._numpy = np
        self._weights = weights
        self._tokenizer = tokenizer

    def vector(self, text: str) -> bytes | None:
        """Return the direction of a meaning as it is stored; None for an unknown language."""
        read = _LINK.sub("", normalise(text[:LONGEST]))
        pieces = self._tokenizer.encode(read, add_special_tokens=False).ids
        if not pieces or len(pieces) > MOST_PIECES * len(read.split()) + 2:
            return None
        row = self._weights[pieces].astype(self._numpy.float32).mean(axis=0)
        length = float(self._numpy.linalg.norm(row)) or 1.0
        return bytes((row / length).astype(self._numpy.float16).tobytes())

    def cosines(self, one: bytes | None, others: Sequence[bytes | None]) -> list[float]:
        """Return how near in meaning a text is to others, from their vectors; 0 where unknown."""
        if one is None or not others:
            return [0.0] * len(others)
        nothing = bytes(len(one))
        rows = self._numpy.frombuffer(
            b"".join(each or nothing for each in others), dtype=self._numpy.float16
        ).astype(self._numpy.float32)
        own = self._numpy.frombuffer(one, dtype=self._numpy.float16).astype(self._numpy.float32)
        return [float(each) for each in rows.reshape(len(others), -1) @ own]


def open_meanings() -> Meanings | None:
    """Open the model; None if the extra is not installed."""
    found = find_spec("wordllama")
    if found is None or found.origin is None:
        return None
    import numpy as np
    from tokenizers import Tokenizer

    folder = Path(found.origin).parent
    file = folder / "weights" / "l2_supercat_256.safetensors"
    with file.open("rb") as stream:  # the length of the header, the header, the rows
        size = int.from_bytes(stream.read(8), "little")
        rows = json.loads(stream.read(size))["embedding.weight"]
    start = 8 + size + rows["data_offsets"][0]
    shape = tuple(rows["shape"])
    weights = np.memmap(file, dtype=np.float16, mode="r", offset=start, shape=shape)
    tokenizer = Tokenizer.from_file(
        str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json")
    )
    return Meanings(weights, tokenizer)
