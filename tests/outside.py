"""What lies outside in tests: Gemini and Discord on loopback."""

import os
import time

import pytest

from tests.fakes.discord import FakeDiscord
from tests.fakes.gemini import FakeGemini

os.environ["NO_PROXY"] = "127.0.0.1"  # the machine of a developer may have a proxy


@pytest.fixture
def gemini():
    """A Gemini; set its `responder` for other answers."""
    with FakeGemini() as fake:
        yield fake


@pytest.fixture
def discord(request):
    """A Discord, whose clock is the test's if it has one."""
    seconds = time.time
    if "clock" in request.fixturenames:
        clock = request.getfixturevalue("clock")
        seconds = lambda: clock.now().timestamp()  # noqa: E731 - as short as the default
    with FakeDiscord(clock=seconds) as fake:
        yield fake
