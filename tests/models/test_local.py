"""A real small model in this process; skipped where it is not installed."""

import json
import threading

import jsonschema
import pytest

from botticelli.errors import ConfigError
from botticelli.models.base import Finish, Request
from botticelli.models.local import Local, bundled
from tests.commandline import run_installed
from tests.contracts.model_contract import user

pytest.importorskip("xllamacpp", reason="needs pip install 'botticelli[local]'")
pytestmark = pytest.mark.skipif(bundled() is None, reason="needs `botticelli models pull smollm2`")

RATING = {
    "type": "object",
    "required": ["rating"],
    "additionalProperties": False,
    "properties": {"rating": {"type": "integer", "minimum": 1, "maximum": 10}},
}


@pytest.fixture(scope="module")
def model():
    driver = Local()
    yield driver
    driver.close()


def ask(text, **settings):
    return Request(model="local", messages=(user(text),), **settings)


def test_a_real_model_writes_and_counts_what_it_read(model):
    reply = model.generate(ask("Greet a chess club.", max_tokens=16))

    assert reply.text.strip()
    assert reply.finish in {Finish.STOP, Finish.LENGTH}
    assert 0 < reply.usage.output <= 16
    assert reply.usage.input > 5
    assert "SmolLM2" in reply.model_version


def test_it_keeps_a_schema(model):
    reply = model.generate(ask("Rate this: hello.", schema=RATING, max_tokens=64))

    assert reply.finish is Finish.STOP
    jsonschema.validate(json.loads(reply.text), RATING)


def test_threads_may_share_it(model):
    replies = []
    threads = [
        threading.Thread(target=lambda: replies.append(model.generate(ask("Hi!", max_tokens=4))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(replies) == 4


def test_a_file_that_is_no_model_is_told_as_such(tmp_path):
    file = tmp_path / "x.gguf"
    file.write_bytes(b"no model")

    with pytest.raises(ConfigError, match="not a model that llama"):
        Local(path=file).prepare()


def test_the_command_line_tries_it(botticelli, db):
    ended = botticelli("models test local --json")

    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["served"].startswith("SmolLM2")
    assert told["text"]
    assert db.execute("SELECT state, provider FROM act_executions").fetchall() == [
        ("done", "local")
    ]


def test_the_demo_has_it_write_and_publishes_what_was_approved(botticelli, postgres_home):
    """The judge is the offline stand-in, so that something comes out of it."""
    environ = botticelli.environ | {"XDG_STATE_HOME": str(postgres_home)}

    ended = run_installed("demo --model local", environ=environ, cwd=botticelli.cwd)
    made = run_installed(
        f"--config {postgres_home}/botticelli/demo/botticelli.toml"
        " content list potential_discord_posts --json",
        environ=environ,
        cwd=botticelli.cwd,
    )
    run_installed("db stop", environ=environ, cwd=botticelli.cwd)

    assert ended.code == 0, ended.err
    assert "3 posts planned, 3 new candidates" in ended.out
    assert "SmolLM2" in made.out
