"""Fixtures of the stages' tests."""

import pytest

from tests.pipeline import Stages, models_at


@pytest.fixture
def stages(db_url, tmp_path, gemini):
    """Generate and curate on the test's database, with a Gemini over loopback."""
    return Stages(db_url, tmp_path, models_at(gemini))
