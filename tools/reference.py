"""Print what is made from the keys into its files: `python -m tools.reference`.

The schema of narrative files is published at its address in the repository, so it is kept here;
the schema of botticelli.toml is printed when the package is built (hatch_build.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools import config_reference, narrative_schema

ROOT: Final = Path(__file__).parents[1]
BEGIN: Final = "<!-- printed by `just reference`: do not edit -->\n"
END: Final = "<!-- end of what is printed -->\n"


def files() -> Mapping[Path, str]:
    """Return the text that each file should have."""
    parts = {
        ROOT / "docs" / "configuration.md": config_reference.reference(),
        ROOT / "docs" / "narratives.md": narrative_schema.reference(),
    }
    pages = {page: replaced(page.read_text(encoding="utf-8"), part) for page, part in parts.items()}
    return {
        ROOT / "botticelli" / "narrative" / "dialect.schema.json": narrative_schema.printed(),
        **pages,
    }


def replaced(text: str, part: str) -> str:
    """Return the text with `part` between the two marks."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + part + END + rest.partition(END)[2]


if __name__ == "__main__":
    for file, text in files().items():
        file.write_text(text, encoding="utf-8")
