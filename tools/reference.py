"""Print what is made from the keys into the pages: `python -m tools.reference`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from botticelli.config import printed

DOCS: Final = Path(__file__).parents[1] / "docs"
BEGIN: Final = "<!-- printed by `just reference`: do not edit -->\n"
END: Final = "<!-- end of what is printed -->\n"


def pages() -> Mapping[Path, str]:
    """Return the text that each page should have."""
    parts = {DOCS / "configuration.md": printed.reference()}
    return {page: replaced(page.read_text(encoding="utf-8"), part) for page, part in parts.items()}


def replaced(text: str, part: str) -> str:
    """Return the text with `part` between the two marks."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + part + END + rest.partition(END)[2]


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
