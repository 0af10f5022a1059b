"""Fixtures of the stages' tests."""

import pytest

from tests.fakes.gemini import FakeGemini
from tests.workshops import Stages, models_at


@pytest.fixture
def gemini():
    with FakeGemini() as fake:
        yield fake


@pytest.fixture
def stages(db_url, tmp_path, gemini):
    """Generate and curate on the test's database, with a Gemini over loopback."""
    return Stages(db_url, tmp_path, models_at(gemini))
