"""Fixtures of the stages' tests."""

import pytest

from tests.pipeline import Stages, models_at


@pytest.fixture
def stages(db_url, tmp_path, gemini):
    """Generate and curate on the test's database, with a Gemini over loopback."""
    return Stages(db_url, tmp_path, models_at(gemini))


@pytest.fixture
def plain_codes(monkeypatch):
    """Let the judge call each candidate by its id, so that a test can say of whom it speaks."""
    for module in ("judge", "stage"):
        monkeypatch.setattr(
            f"botticelli.stages.curate.{module}.draw_codes",
            lambda ids, *, seed: {id_: str(id_) for id_ in ids},
        )
