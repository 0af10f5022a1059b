"""A real small model in this process; skipped where it is not installed."""

import json

import jsonschema
import pytest

from botticelli.models.base import Finish, Request
from botticelli.models.local import Local, bundled
from tests.contracts.model_contract import SCHEMA, user

pytest.importorskip("xllamacpp")
pytestmark = [
    pytest.mark.skipif(bundled() is None, reason="needs `botticelli models pull smollm2`"),
    pytest.mark.slow,
]


def test_a_real_model_writes_and_keeps_a_schema():
    model = Local()

    reply = model.generate(Request(model="local", messages=(user("Greet a chess club."),)))
    filled = model.generate(
        Request(model="local", messages=(user("A post, please."),), schema=SCHEMA, max_tokens=500)
    )

    assert reply.text.strip()
    assert reply.usage.output > 0
    assert "SmolLM2" in reply.model_version
    if filled.finish is Finish.STOP:  # 135M parameters may not find an end
        jsonschema.validate(json.loads(filled.text), SCHEMA)
