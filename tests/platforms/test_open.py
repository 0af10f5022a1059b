"""Platforms by their names: plugins of today and of earlier versions, and those that are gone."""

from decimal import Decimal

import pytest

from botticelli.config import plugins
from botticelli.config.model import Destination
from botticelli.errors import ConfigError
from botticelli.platforms import open as opening
from botticelli.platforms.base import MessageLimits, Platform, Receipt
from botticelli.platforms.open import missing, open_platform, place_of, room_of, wanted_by
from tests.contracts.platform_contract import message

BOARD = Destination(name="board", platform="board", channel="7")


class OfEarlier:
    """What a plugin's platform had to be in earlier versions."""

    max_length = 500
    idempotency_seconds = 3600.0
    real = True
    name = "board"

    def __init__(self):
        self.finished = []

    def preview(self, message):
        return {"method": "APPEND", "url": "board", "json": {"content": message.text}}

    def send(self, message):
        return Receipt(remote_id=message.nonce)

    def delete(self, remote_id, *, thread=""):
        raise NotImplementedError

    def finish(self, remote_id):
        self.finished.append(remote_id)

    def check(self):
        return ("it is full",)


class OfToday(Platform):
    name = "board"
    limits = MessageLimits(length=7, attachments=1)


@pytest.fixture
def installed(monkeypatch):
    """Install a plugin that gives a platform."""

    def install(made):
        monkeypatch.setattr(plugins, "names", lambda _: ("board",))
        monkeypatch.setattr(plugins, "find", lambda *_: lambda _, clock: made)
        return made

    opening._known.cache_clear()
    yield install
    opening._known.cache_clear()


def test_a_plugin_of_an_earlier_version_goes_on(installed, clock):
    old = installed(OfEarlier())

    platform = open_platform(BOARD, clock=clock)

    assert isinstance(platform, Platform)
    assert (platform.limits, platform.length("🎨")) == (MessageLimits(length=500), 2)
    assert (platform.render("**a**"), platform.price(message())) == ("**a**", Decimal(0))
    [shown] = platform.preview(message("Look"))
    assert shown["json"] == {"content": "Look"}
    receipt = platform.send(message())
    assert platform.steps == ("finish",)
    assert platform.follow("finish", receipt) == receipt
    assert old.finished == [receipt.remote_id]
    assert (platform.check(), platform.name, platform.idempotency_seconds) == (
        ("it is full",), "board", 3600.0,
    )  # fmt: skip
    assert (platform.thread_of(receipt), platform.whereabouts()) == ("", "")


def test_a_plugin_of_today_is_taken_as_it_is(installed, clock):
    new = installed(OfToday())

    assert open_platform(BOARD, clock=clock) is new
    assert missing(BOARD) == ()
    assert place_of(BOARD) == "board:7"


def test_a_platform_that_is_gone_costs_only_its_own_destinations(clock):
    with pytest.raises(ConfigError, match="there is no platform 'board'"):
        open_platform(BOARD, clock=clock)
    assert [one.what for one in missing(BOARD)] == ["there is no platform 'board'"]
    assert wanted_by(BOARD).place == "board:7"


@pytest.mark.parametrize("name", opening.ROOMS)
def test_every_room_says_what_a_bare_destination_lacks(name):
    bare = Destination(name="bare", platform=name)

    problems = room_of(name).missing(bare)

    assert all(one.what and one.hint for one in problems)
    assert place_of(bare).startswith((f"{name}:", "")[not place_of(bare)])
