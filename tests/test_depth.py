"""How deep the house is: frames between the command line and what it asks of the world.

A reader who follows one call passes through each of them. Counted are functions of this package;
what libraries put between is not. For a model: those between `main()` and its `generate()`, on the
main thread down to the one that starts the worker and waits for it, and on the worker's thread from
its start; how it waits is not counted. For a post: all from `main()` to the call of requests.
"""

import sys
import threading
from pathlib import Path

import pytest
import requests

import botticelli as package
from botticelli.config.model import Config, DatabaseConfig
from botticelli.models.offline.driver import Offline
from tests.database import approved
from tests.posting import to_discord

HOUSE = str(Path(package.__file__).parent)
FRAMES_TO_THE_MODEL = 16
FRAMES_TO_THE_POST = 13
WAITING = {"_await"}


def frames_of(thread):
    """Return the functions of this package that a thread is in, outermost first."""
    frame, names = sys._current_frames()[thread.ident], []
    while frame is not None:
        if frame.f_code.co_filename.startswith(HOUSE):
            names.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
        frame = frame.f_back
    return names[::-1]


def test_a_model_is_asked_few_frames_below_the_command_line(botticelli, db, monkeypatch):
    seen, generate = [], Offline.generate

    def recording(self, request):
        main = frames_of(threading.main_thread())
        waiting = [name for name in main if name.partition(".")[2] not in WAITING]
        seen.append([*waiting, *frames_of(threading.current_thread())])
        return generate(self, request)

    monkeypatch.setattr(Offline, "generate", recording)

    ended = botticelli("--offline generate --iterations 1 --now --workers 1")

    assert (ended.code, ended.err) == (0, "")
    assert seen
    between = seen[0][1:]
    assert seen[0][0] == "main.main"
    assert len(between) <= FRAMES_TO_THE_MODEL, between


@pytest.fixture
def command(botticelli, db_url, clock, discord):
    botticelli.clock = clock
    botticelli.config = Config(
        database=DatabaseConfig(url=db_url, folder=Path("unused")),
        destinations={"news": to_discord(discord)},
    )
    return botticelli


def test_a_post_is_sent_few_frames_below_the_command_line(command, db, discord, monkeypatch):
    approved(db, "hello")
    seen, send = [], requests.Session.send

    def recording(self, request, **options):
        seen.append((request.method, frames_of(threading.current_thread())))
        return send(self, request, **options)

    monkeypatch.setattr(requests.Session, "send", recording)

    assert command("post").code == 0

    [frames] = [frames for method, frames in seen if method == "POST"]
    assert discord.contents() == ["hello"]
    assert frames[0] == "main.main"
    assert len(frames) <= FRAMES_TO_THE_POST, frames
