"""What a post of the shipped carousel costs in input tokens, by act: `python -m benchmarks.tokens`.

Four rounds of five angles, written by real `botticelli generate` processes against a loopback model
that says the same in every run and remembers beginnings of prompts as providers do: Gemini those of
4,096 tokens and more, OpenAI of 1,024. Twenty recent posts are known. Beside it the carousel as it
was while it sent the whole conversation with each call, and while no remembered token was cheaper
(conversation_carousel.toml). Promise: at most 0.6 of what was billed then.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

from psycopg.rows import dict_row

from benchmarks.server import own_postgres
from botticelli.narrative.language.load import shipped_narratives
from botticelli.store.connection import connect
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini_answers import Call, tokens_in
from tests.fakes.schema_values import text_for

ROUNDS: Final = 4
ANGLES: Final = 5
POSTS: Final = ROUNDS * ANGLES
ACTS: Final = ("generate", "critique", "refine")
LENGTH: Final = 1100  # characters of a draft, a critique and a post
LONG_PAGE: Final = 6000  # characters
CACHED: Final = 0.1  # of the price of a full token: Gemini, OpenAI, DeepSeek
BEFORE: Final = Path(__file__).with_name("conversation_carousel.toml")
NOW: Final = Path(shipped_narratives()) / "generation_carousel.toml"
RECENT: Final = """
    INSERT INTO potential_discord_posts (text_content, content_type, source_narrative)
    SELECT unnest(%s::text[]), 'feature', 'feature'
"""
BY_ACT: Final = """
    SELECT substring(act_name FROM '[a-z]+$') AS act, sum(input_tokens)::float AS sent,
           coalesce(sum(cached_tokens), 0)::float AS cached, sum(output_tokens)::float AS received
      FROM act_executions GROUP BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Tokens of one act for one candidate."""

    sent: float
    cached: float
    received: float

    @property
    def billed(self) -> float:
        """Input tokens as they are paid: a cached one is a part of a full one."""
        return self.sent - self.cached * (1 - CACHED)


def says(call: Call) -> Any:
    """Return the next text of a candidate, the same in every run."""
    text = "".join(f"{text_for(f'{call.number} {n}')} " for n in range(40))[:LENGTH]
    if call.schema is None:
        return text
    return {"text_content": text, "content_type": "feature", "source": "x", "tags": ["a", "b"]}


def measured(carousel: Path, page: str, *, cached_from: int) -> Mapping[str, Spent]:
    """Run the carousel once and return what each act took for one candidate."""
    with (
        tempfile.TemporaryDirectory(prefix="botticelli-bench-") as name,
        own_postgres() as url,
        FakeGemini(responder=says, cached_from=cached_from) as gemini,
    ):
        folder = Path(name)
        (folder / "ABOUT.md").write_text(page, encoding="utf-8")
        (folder / "carousel.toml").write_bytes(carousel.read_bytes())
        (folder / "botticelli.toml").touch()
        with connect(url) as conn:
            conn.execute(RECENT, ([text_for(f"recent {n}") for n in range(20)],))
        environ = {
            **os.environ,
            "BOTTICELLI_CONFIG": "",
            "DATABASE_URL": url,
            "GEMINI_API_KEY": gemini.key,
            "GOOGLE_GEMINI_BASE_URL": gemini.url,
            "NO_PROXY": "127.0.0.1",
        }
        botticelli = str(Path(sys.executable).with_name("botticelli"))
        rounds = ["--iterations", str(ROUNDS), "--workers", "1", "--json"]
        ended = subprocess.run(
            [botticelli, "generate", "carousel.batch_generate", *rounds],
            cwd=folder,
            env=environ,
            check=False,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["calls"] == POSTS * len(ACTS), ended.stdout
        with connect(url) as conn, conn.cursor(row_factory=dict_row) as cursor:
            found = {row.pop("act"): row for row in cursor.execute(BY_ACT).fetchall()}
    return {
        act: Spent(**{kind: tokens / POSTS for kind, tokens in found[act].items()}) for act in ACTS
    }


def pages() -> Iterator[str]:
    """Yield what a channel may say of itself: the shipped page, and a long one."""
    shipped = (Path(shipped_narratives()) / "ABOUT.md").read_text(encoding="utf-8")
    yield shipped
    yield (shipped + "".join(f"- {text_for(str(n))}\n" for n in range(80)))[:LONG_PAGE]


def main() -> None:
    """Print what each act sends and what is billed of it, in each case."""
    for page, cached_from in product(pages(), (4096, 1024)):
        then, now = (measured(file, page, cached_from=cached_from) for file in (BEFORE, NOW))
        sent, billed = (
            sum(one.sent for one in then.values()),
            sum(one.billed for one in now.values()),
        )
        print(
            f"ABOUT.md of {tokens_in(page):,} tokens, cached from {cached_from:,}: {billed:,.0f} of"
            f" {sent:,.0f} input tokens billed for a post; ratio {billed / sent:.2f} (promised:"
            f" 0.6; the conversation with cached ones cheaper:"
            f" {sum(one.billed for one in then.values()):,.0f})"
        )
        for act in ACTS:
            print(
                f"  {act:<9} sent {now[act].sent:5,.0f} (then {then[act].sent:5,.0f}), cached"
                f" {now[act].cached:5,.0f}, billed {now[act].billed:5,.0f}; out"
                f" {now[act].received:,.0f}"
            )


if __name__ == "__main__":
    main()
