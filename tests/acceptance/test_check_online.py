"""`check --online` where something else answers: a portal, a parked domain, another program."""

import json

import pytest

from botticelli.platforms.discord import rest
from tests.fakes.loopback import Answer, LoopbackServer

PAGE = b"<!doctype html><html><title>Log in to the hotel's network</title></html>"
SETTINGS = """
[models]
default = "gemini-3.5-flash-lite"
judge = "mine"
[models.mine]
provider = "openai"
base_url = "{url}/v1"
[destinations.bot]
platform = "discord"
channel = "123"
token = "a.b.c"
base_url = "{url}/api/v10"
[destinations.hook]
platform = "discord"
webhook = "{url}/api/webhooks/1/abc"
base_url = "{url}/api/v10"
[hooks]
on_failure = "{url}/notify"
"""


class Everywhere(LoopbackServer):
    """Gives one answer to everything."""

    def __init__(self):
        super().__init__()
        self.answer = Answer()

    def reply(self, _request):
        return self.answer


# What it answers -> words about the models, the bot's channel and webhook; and whether the hook's
# address is complained about as well.
ANSWERS = {
    "a web page": (Answer(body=PAGE, content_type="text/html"), "a web page", "a web page", True),
    "a page that claims to be JSON": (Answer(body=PAGE), "a web page", "a web page", True),
    "nothing, with 204": (Answer(status=204), "", "not Discord", False),
    "nothing, with 200": (Answer(), "answers with", "not Discord", False),
    "other JSON": (Answer(body=b"{}"), "JSON of another kind", "not Discord", False),
    "a list": (Answer(body=b"[1, 2]"), "JSON of another kind", "not Discord", False),
    "a number": (Answer(body=b"7"), "JSON of another kind", "not Discord", False),
    "a text": (Answer(body=b"It works!"), "answers with a text", "a text", False),
    "a redirect": (
        Answer(status=302, headers=(("Location", "http://portal.example/"),)), "redirects",
        "", True),
    "not found, as a page": (
        Answer(status=404, body=PAGE, content_type="text/html"), "", "", False),
}  # fmt: skip


@pytest.fixture
def everywhere(botticelli, db, monkeypatch):
    monkeypatch.setattr(rest, "MOST_ATTEMPTS", 1)
    with Everywhere() as server:
        (botticelli.cwd / "botticelli.toml").write_text(SETTINGS.format(url=server.url))
        botticelli.environ |= {"GEMINI_API_KEY": "k" * 39, "GOOGLE_GEMINI_BASE_URL": server.url}
        botticelli("trust . --yes")
        yield server


def of(found, *subjects):
    return [(each["level"], each["what"]) for each in found if each["subject"] in subjects]


@pytest.mark.slow
@pytest.mark.parametrize("case", ANSWERS)
def test_what_answers_is_told_as_what_it_is(botticelli, everywhere, case):
    everywhere.answer, models, discord, is_hook_told = ANSWERS[case]

    ended = botticelli("check --online --json")

    found = json.loads(ended.out)["findings"]
    assert ended.code == 78, ended.out
    for subject in ("model gemini-3.5-flash-lite", "model mine"):
        [(level, what)] = of(found, subject)
        assert level == "error" or case.startswith("not found"), (subject, what)
        assert models in what, (subject, what)
    for subject in ("destination bot", "destination hook"):
        [(level, what)] = of(found, subject)
        assert level == "error"
        assert discord in what, (subject, what)
    [(level, what)] = of(found, "hooks.on_failure")
    assert (level == "error") is is_hook_told, what
