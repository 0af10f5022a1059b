"""Reading a channel back where ids tell no time: other people's servers count from one."""

from datetime import UTC, datetime, timedelta

import pytest

from botticelli.errors import ConfigError
from botticelli.platforms.base import Looked, OutgoingMessage
from botticelli.platforms.discord.channel import Search, search

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def written(number, text, *, minutes):
    return {
        "id": str(number),
        "author": {"id": "7"},
        "content": text,
        "timestamp": (NOON + timedelta(minutes=minutes)).isoformat(),
    }


def channel(messages):
    """Return a look at a channel that lists the newest first, as Discord documents it."""

    def look(path, query):
        before = int(query.get("before", 10**30))
        found = sorted((m for m in messages if int(m["id"]) < before), key=lambda m: -int(m["id"]))
        return found[: int(query["limit"])]

    return look


@pytest.fixture
def wanted():
    return Search(message=OutgoingMessage(text="ours", nonce="n"), author="7", since=NOON)


@pytest.mark.parametrize("first", [1, 10**18])
def test_a_message_is_found_whatever_the_ids_count(wanted, first):
    busy = [written(first + 1 + n, f"chat {n}", minutes=2) for n in range(250)]
    look = channel([written(first, "ours", minutes=1), *busy])

    found = search(look, "333", wanted)

    assert isinstance(found, dict)
    assert found["id"] == str(first)


def test_a_message_is_found_where_one_time_is_told_for_all(wanted):
    now = str((int(NOON.timestamp() * 1000) - 1420070400000) << 22)  # as Discord makes its ids
    told = {"timestamp": "2020-01-01T00:00:00+00:00"}

    found = search(channel([written(now, "ours", minutes=0) | told]), "333", wanted)

    assert isinstance(found, dict)


def test_a_nonce_says_more_than_any_clock(wanted):
    look = channel([written(1, "trimmed", minutes=-60) | {"nonce": "n"}])

    assert isinstance(search(look, "333", wanted), dict)


def test_an_equal_text_with_another_nonce_is_another_message(wanted):
    look = channel([written(1, "ours", minutes=1) | {"nonce": "other"}])

    assert search(look, "333", wanted) == Looked(certain=True)


def test_a_nonce_tells_whose_a_message_is_whoever_wrote_it(wanted):
    look = channel([written(1, "ours", minutes=1) | {"nonce": "n", "author": None}])

    assert isinstance(search(look, "333", wanted), dict)


def test_without_an_author_the_text_and_the_time_decide():
    wanted = Search(message=OutgoingMessage(text="ours", nonce="n"), author="", since=NOON)

    assert isinstance(search(channel([written(1, "ours", minutes=1)]), "333", wanted), dict)
    assert search(channel([written(1, "ours", minutes=-60)]), "333", wanted) == Looked(certain=True)


@pytest.mark.parametrize("page", [{}, "no", None, [1], [{}], [{"id": "m-1"}]])
def test_a_list_that_is_not_as_discord_documents_it_is_not_believed(wanted, page):
    with pytest.raises(ConfigError, match="cannot be read"):
        search(lambda path, query: page, "333", wanted)


@pytest.mark.parametrize("other", ["", "~~~", "\u200b"])
def test_a_text_of_marks_alone_is_not_found_in_any_bare_message(other):
    wanted = Search(message=OutgoingMessage(text="***", nonce="n"), author="7", since=NOON)

    assert search(channel([written(1, other, minutes=1)]), "333", wanted) == Looked(certain=True)
    assert isinstance(search(channel([written(1, "***", minutes=1)]), "333", wanted), dict)


def test_a_message_of_which_neither_author_nor_time_is_told_is_known_by_its_text(wanted):
    busy = [{"id": str(2 + n), "content": f"chat {n}"} for n in range(250)]
    look = channel([{"id": "1", "content": "ours"}, *busy])

    assert isinstance(search(look, "333", wanted), dict)


def test_a_server_that_always_shows_the_same_page_is_not_believed(wanted):
    page = [written(n, f"chat {n}", minutes=1) for n in range(100)]

    looked = search(lambda path, query: page, "333", wanted)

    assert not looked.certain
    assert "by eye" in looked.why


@pytest.mark.parametrize("off", [-25, 25])
def test_a_message_is_found_though_the_databases_clock_is_off(wanted, off):
    look = channel([written(1, "ours", minutes=off), written(2, "chat", minutes=off)])

    assert isinstance(search(look, "333", wanted), dict)


def test_an_equal_text_from_before_is_another_post(wanted):
    look = channel([written(1, "ours", minutes=-60), written(2, "chat", minutes=1)])

    assert search(look, "333", wanted) == Looked(certain=True)
