"""ABOUT.md: who the channel is for and what it writes about; all shipped narratives read it.

The project's own page is read wherever a narrative names it (lookup.py). Without one the shipped
page stands in, which says nothing about anybody.
"""

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

NAME: Final = "ABOUT.md"
SHIPPED: Final = Path(__file__).parents[2] / "narratives"
DEMO: Final = SHIPPED / "demo"  # its page is about a garden that is not there
# Of the page about Botticelli itself that projects were once given.
ADVERT: Final = "32484a56cf3e83fbef828349395fade3d1a49001d80910833eade2a084aaf4bf"
LEAST: Final = 60  # characters; less is no page that anybody could write from
WHO: Final = "[fill in: who you are, who reads the channel, and what they care about]"
WHAT: Final = "[fill in: three to ten subjects, as concrete as you can]"
PLACEHOLDER: Final = re.compile(r"\[fill in\b[^\]\n]*\]?", re.IGNORECASE)
PAGE: Final = """\
# About this channel

{sections}
## How we speak

Warm, concrete and brief, as one person to another. No hype, no hashtags.
We ask real questions and leave room for an answer.

## Facts that posts may use

Posts claim nothing about us that does not stand on this page.
"""


def page(*, who: str = "", what: str = "", both: str = "") -> str:
    """Return the text of an ABOUT.md; what is not known yet is left to be filled in.

    Args:
        who: Who writes, and for whom.
        what: What is written about.
        both: The two in one text, in place of them.
    """
    sections = {
        "Who we are, and for whom we write": who or WHO,
        "What we write about": what or WHAT,
    }
    if both:
        sections = {"Who we are, for whom we write, and what about": both}
    texts = (f"## {head}\n\n{text}\n" for head, text in sections.items())
    return PAGE.format(sections="\n".join(texts))


def unfinished(text: str) -> Iterator[tuple[int, str]]:
    """Yield what is still to be written in an ABOUT.md, with its line."""
    for number, line in enumerate(text.splitlines(), 1):
        for found in PLACEHOLDER.findall(line):
            yield number, f"is not filled in yet: {found}"
    words = re.sub(r"(?m)^#.*$|\s+", " ", text).strip()
    if len(words) < LEAST:
        yield 1, "says too little to write from"


def advertises(text: str) -> bool:
    """Return whether a page is the one about Botticelli that projects were once given."""
    return sha256(text.strip().encode()).hexdigest() == ADVERT
