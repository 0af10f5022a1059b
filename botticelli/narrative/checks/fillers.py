"""Words that stand for something a person was to fill in: YOUR_GUILD_ID_HERE, <TOKEN>, xxx."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from botticelli.config.sources import read_text
from botticelli.errors import Problem
from botticelli.toml_lines import key_lines, line_of, parse, spell

FILLER: Final = re.compile(
    r"<[^\W\d][\w -]*>|\[[A-Z][A-Z _-]+\]|x{3,}|\.{3}|(?:change|replace|fill)[-_ ]?(?:me|this|in)"
    r"|todo|tbd|placeholder|dummy|insert[-_ ].*|your[-_ ].*|.*[-_]here"
    r"|(?:your|my)[-_].*[-_](?:id|token|key|url|secret)"
    r"|\S*[:@/](?:<[^\W\d][\w -]*>|your[-_][^/]*|changeme)(?:[/:@]\S*)?",
    re.IGNORECASE,
)
VARIABLES: Final = (
    *("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "DISCORD_TOKEN", "DISCORD_BOT_TOKEN"),
    *("DISCORD_WEBHOOK", "POSTING_CHANNEL_ID", "DATABASE_URL"),
)
WHAT: Final = "still has to be filled in"


def fillers(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where such a word stands alone in a table, list or text; in prose it is none."""
    if isinstance(value, str) and len(value) < 200 and FILLER.fullmatch(value.strip()):
        yield path
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from fillers(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from fillers(inner, (*path, index))


def fillers_of_project(source: Path | None, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Yield those of a configuration file, and of the variables that keys and ids come from."""
    for name in (name for name in VARIABLES if environ.get(name) and [*fillers(environ[name])]):
        yield Problem(what=WHAT, where=name, hint="set it to the real value")
    if source:
        text = read_text(source, str(source))
        for path in fillers(parse(text, str(source))):
            line = line_of(path, key_lines(text))
            yield Problem(what=WHAT, where=f"{source}:{line}: {spell(path)}")
