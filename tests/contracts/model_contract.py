"""What every driver keeps: one suite, run on each of them by a subclass with a `model` fixture."""

import json
import threading

import jsonschema

from botticelli.models.base import Finish, Message, Part, Request

SCHEMA = {
    "type": "object",
    "required": ["text_content", "rating", "tags"],
    "additionalProperties": False,
    "properties": {
        "text_content": {"type": "string"},
        "rating": {"type": "integer", "minimum": 1, "maximum": 10},
        "tags": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
    },
}


def user(text):
    return Message(role="user", parts=(Part(text=text),))


class ModelContract:
    """Subclasses give the fixtures `model` and `name`."""

    def request(self, name, text="Say something kind about chess clubs.", **settings):
        return Request(model=name, messages=(user(text),), **settings)

    def test_an_answer_is_text_and_says_that_it_is_whole(self, model, name):
        reply = model.generate(self.request(name))

        assert reply.text.strip()
        assert reply.finish is Finish.STOP

    def test_a_schema_is_kept(self, model, name):
        reply = model.generate(self.request(name, schema=SCHEMA, max_tokens=400))

        jsonschema.validate(json.loads(reply.text), SCHEMA)

    def test_a_conversation_with_a_standing_instruction_is_answered(self, model, name):
        messages = (
            user("A number?"),
            Message(role="assistant", parts=(Part(text="Seven."),)),
            user("Another?"),
        )

        reply = model.generate(
            Request(model=name, messages=messages, system="You are brief.", max_tokens=200)
        )

        assert reply.text.strip()

    def test_threads_may_share_it(self, model, name):
        replies = []
        threads = [
            threading.Thread(
                target=lambda n=n: replies.append(
                    model.generate(self.request(name, f"Number {n}?", max_tokens=200))
                )
            )
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(replies) == 4

    def test_the_estimate_is_above_a_token_for_four_bytes(self, model, name):
        text = "A prompt of ordinary words. " * 40

        assert model.estimate(self.request(name, text)) >= len(text) / 4

    def test_it_names_its_provider(self, model, name):
        assert model.provider in {"gemini", "openai", "local", "offline", "scripted"}
