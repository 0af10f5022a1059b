"""Stages at work in a test: a real database, a model over loopback, a small narrative."""

from dataclasses import replace
from pathlib import Path
from textwrap import dedent

from botticelli.clock import SystemClock
from botticelli.config.model import Config, DatabaseConfig, Limits, Models, Retry
from botticelli.config.operations import Similarity
from botticelli.config.secrets import Secret
from botticelli.store.connection import connect
from tests.run_context import identity, run_context

WRITER, JUDGE = "gemini-3.5-flash-lite", "gemini-3.8-flash"

# Two angles of two acts each: draft, then the post as JSON.
NARRATIVE = """
    [narrative.batch]
    name = "batch"
    toc = ["feature", "usecase"]
    skip_content_generation = true
    [narrative.batch.acts.feature]
    narrative = "feature"
    [narrative.batch.acts.usecase]
    narrative = "usecase"

    [narrative.feature]
    name = "feature"
    target = "potential_discord_posts"
    toc = ["draft_feature", "refine"]

    [narrative.usecase]
    name = "usecase"
    target = "potential_discord_posts"
    toc = ["draft_usecase", "refine"]

    [acts.draft_feature]
    [[acts.draft_feature.input]]
    type = "text"
    content = "Draft feature {{iteration}}, unlike: {{recent_posts}}"

    [acts.draft_usecase]
    [[acts.draft_usecase.input]]
    type = "text"
    content = "Draft use case {{iteration}}, unlike: {{recent_posts}}"

    [acts.refine]
    schema = "post"
    [[acts.refine.input]]
    type = "text"
    content = "Refine it."

    [schemas.post]
    type = "object"
    required = ["text_content", "content_type"]
    [schemas.post.properties.text_content]
    type = "string"
    [schemas.post.properties.content_type]
    type = "string"
"""


def models_at(gemini, **more):
    """Gemini over loopback without limits, unless `limits` says otherwise."""
    free = {name: Limits(rpm=100_000, tpm=10**9, rpd=100_000) for name in (WRITER, JUDGE)}
    return Models(
        gemini_key=Secret(gemini.key),
        gemini_base_url=gemini.url,
        limits={**free, **more.pop("limits", {})},
        **{"max_attempts": 1, "max_concurrent": 2, "tier": "none", **more},
    )


class Stages:
    """`stages.context(conn)` is what generate and curate take; `config` may be replaced before."""

    def __init__(self, url, folder, models):
        self.url = url
        self.folder = Path(folder)
        self.config = Config(
            database=DatabaseConfig(url=url, folder=self.folder),
            models=models,
            similarity=Similarity(reworded=1),  # loading what finds rewordings takes 0.4 s
        )
        self.clock = SystemClock()
        self.said = []
        self.write(NARRATIVE)

    def write(self, text, name="carousel.toml"):
        (self.folder / name).write_text(dedent(text))

    def settings(self, section, **values):
        """Replace settings of one section: settings("curate", batch=3)."""
        changed = replace(getattr(self.config, section), **values)
        self.config = replace(self.config, **{section: changed})

    def connect(self):
        return connect(self.url)

    def context(self, conn, owner="test:1:a"):
        return run_context(
            conn,
            folder=self.folder,
            config=self.config,
            connect=self.connect,
            identity=identity(owner),
            clock=self.clock,
            note=self.said.append,
        )


NO_RETRY = Retry(max_retries=0)
