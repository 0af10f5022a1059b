"""The fake Discord keeps the published protocol, as plain HTTP sees it."""

import itertools
import time

import pytest
import requests

from tests.fakes.discord import FakeDiscord

AGENT = "DiscordBot (https://example.com, 1.0)"


@pytest.fixture
def discord():
    with FakeDiscord() as server:
        yield server


@pytest.fixture
def http():
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update({"Authorization": "Bot test-token", "User-Agent": AGENT})
        yield session


def post(http, discord, content="hello", *, channel=None, **fields):
    url = f"{discord.api}/channels/{channel or discord.channel}/messages"
    body = fields if content is None else {"content": content, **fields}
    return http.post(url, json=body, timeout=60)


def read(http, discord, **query):
    url = f"{discord.api}/channels/{discord.channel}/messages"
    return [one["content"] for one in http.get(url, params=query, timeout=60).json()]


def code_of(answer):
    return answer.status_code, answer.json()["code"]


# -- the door


def test_a_missing_token_is_401_and_a_bad_agent_40333(discord, http):
    url = f"{discord.api}/users/@me"

    none = http.get(url, headers={"Authorization": None}, timeout=60)
    bearer = http.get(url, headers={"Authorization": "Bearer test-token"}, timeout=60)
    agent = http.get(url, headers={"User-Agent": "python-requests/2"}, timeout=60)
    good = http.get(url, timeout=60)

    assert none.json() == {"message": "401: Unauthorized", "code": 0}
    assert bearer.status_code == 401
    assert code_of(agent) == (403, 40333)
    assert good.json()["bot"] is True


def test_the_path_needs_a_version(discord, http):
    assert code_of(http.get(f"{discord.url}/api/users/@me", timeout=60)) == (400, 50041)
    assert code_of(http.get(f"{discord.url}/api/v6/users/@me", timeout=60)) == (400, 50041)
    assert http.get(f"{discord.api}/nothing", timeout=60).status_code == 404


def test_bodies_need_a_known_type_and_must_be_json(discord, http):
    url = f"{discord.api}/channels/{discord.channel}/messages"

    plain = http.post(url, data="x", headers={"Content-Type": "text/plain"}, timeout=60)
    broken = http.post(url, data="{", headers={"Content-Type": "application/json"}, timeout=60)

    assert code_of(plain) == (400, 50035)
    assert code_of(broken) == (400, 50109)


# -- creating


def test_a_message_is_stored_trimmed_and_answered_with_200(discord, http):
    answer = post(http, discord, "  hello \ud800 ", nonce="abc")

    message = answer.json()
    assert answer.status_code == 200
    assert message["content"] == "hello"
    assert message["nonce"] == "abc"
    assert message["author"]["bot"] is True
    assert discord.contents() == ["hello"]
    moment = ((int(message["id"]) >> 22) + 1420070400000) / 1000
    assert abs(moment - time.time()) < 60


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"content": "x" * 2001}, "content", "BASE_TYPE_MAX_LENGTH"),
        ({"content": "\N{ARTIST PALETTE}" * 1001}, "content", "BASE_TYPE_MAX_LENGTH"),
        ({"content": "x", "nonce": "n" * 26}, "nonce", "BASE_TYPE_MAX_LENGTH"),
        (
            {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
            "allowed_mentions",
            "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
        ),
    ],
)
def test_a_form_that_breaks_a_limit_tells_which(discord, http, fields, field, code):
    answer = post(http, discord, **{"content": None, **fields})

    assert code_of(answer) == (400, 50035)
    assert answer.json()["errors"][field]["_errors"][0]["code"] == code
    assert discord.contents() == []


def test_2000_is_allowed_and_nothing_is_not(discord, http):
    assert post(http, discord, "x" * 2000).status_code == 200
    assert code_of(post(http, discord, "   ")) == (400, 50006)


def test_an_enforced_nonce_gives_the_earlier_message_for_some_minutes(discord, http):
    first = post(http, discord, "one", nonce="n", enforce_nonce=True).json()
    again = post(http, discord, "two", nonce="n", enforce_nonce=True).json()
    unenforced = post(http, discord, "three", nonce="n").json()
    discord.advance(181)
    late = post(http, discord, "four", nonce="n", enforce_nonce=True).json()

    assert first["id"] == again["id"]
    assert again["content"] == "one"
    assert discord.contents() == ["one", "three", "four"]
    assert len({first["id"], unenforced["id"], late["id"]}) == 3


def test_mentions_are_parsed_unless_silenced(discord, http):
    loud = post(http, discord, "@everyone <@7>").json()
    quiet = post(http, discord, "@everyone <@7>", allowed_mentions={"parse": []}).json()
    one = post(http, discord, "<@7> <@8>", allowed_mentions={"users": ["8"]}).json()

    assert loud["mention_everyone"] is True
    assert [user["id"] for user in loud["mentions"]] == ["7"]
    assert (quiet["mention_everyone"], quiet["mentions"]) == (False, [])
    assert [user["id"] for user in one["mentions"]] == ["8"]
    assert discord.world.pinged_everyone == [loud["id"]]


def test_an_edit_without_allowed_mentions_pings_after_all(discord, http):
    made = post(http, discord, "@everyone", allowed_mentions={"parse": []}).json()
    url = f"{discord.api}/channels/{discord.channel}/messages/{made['id']}"

    edited = http.patch(url, json={"content": "@everyone!"}, timeout=60).json()

    assert edited["edited_timestamp"]
    assert discord.world.pinged_everyone == [made["id"]]


# -- permissions and places


def test_errors_tell_unseen_from_unwritable_from_unknown(discord, http):
    hidden, mute = discord.add_channel(), discord.add_channel()
    forum, voice = discord.add_channel(type=15), discord.add_channel(type=4)
    discord.deny("VIEW_CHANNEL", channel=hidden)
    discord.deny("SEND_MESSAGES", channel=mute)

    assert code_of(post(http, discord, channel=hidden)) == (403, 50001)
    assert code_of(post(http, discord, channel=mute)) == (403, 50013)
    assert code_of(post(http, discord, channel="123")) == (404, 10003)
    assert code_of(post(http, discord, channel="abc")) == (400, 50035)
    assert code_of(post(http, discord, channel=forum)) == (400, 40058)
    assert code_of(post(http, discord, channel=voice)) == (400, 50008)
    discord.allow("SEND_MESSAGES", channel=mute)
    assert post(http, discord, channel=mute).status_code == 200


def test_channels_can_be_made_changed_and_deleted(discord, http):
    made = http.post(
        f"{discord.api}/guilds/{discord.guild}/channels", json={"name": "New Art"}, timeout=5
    )
    url = f"{discord.api}/channels/{made.json()['id']}"
    changed = http.patch(url, json={"topic": "paint"}, timeout=60).json()
    listed = http.get(f"{discord.api}/guilds/{discord.guild}/channels", timeout=60).json()
    gone = http.delete(url, timeout=60)

    assert (made.status_code, made.json()["name"]) == (201, "new-art")
    assert changed["topic"] == "paint"
    assert [one["name"] for one in listed] == ["general", "new-art"]
    assert gone.status_code == 200
    assert code_of(http.get(url, timeout=60)) == (404, 10003)
    assert http.get(f"{discord.api}/guilds/{discord.guild}", timeout=60).json()["name"] == "Studio"
    assert code_of(http.get(f"{discord.api}/guilds/5", timeout=60)) == (404, 10004)


def test_a_thread_has_the_id_of_its_message_and_there_is_one(discord, http):
    made = post(http, discord).json()
    url = f"{discord.api}/channels/{discord.channel}/messages/{made['id']}/threads"

    thread = http.post(url, json={"name": "talk"}, timeout=60)
    again = http.post(url, json={"name": "talk"}, timeout=60)
    inside = post(http, discord, channel=made["id"])

    assert (thread.status_code, thread.json()["id"], thread.json()["type"]) == (201, made["id"], 11)
    assert code_of(again) == (400, 160004)
    assert inside.status_code == 200
    assert discord.messages()[0]["flags"] == 1 << 5


def test_a_thread_without_a_message_is_private_unless_told(discord, http):
    url = f"{discord.api}/channels/{discord.channel}/threads"
    kinds = [
        http.post(url, json={"name": "t", **more}, timeout=60).json()["type"]
        for more in ({}, {"type": 11})
    ]

    assert kinds == [12, 11]


def test_a_locked_thread_takes_nothing_and_an_archived_one_opens(discord, http):
    url = f"{discord.api}/channels/{discord.channel}/threads"
    thread = http.post(url, json={"name": "t", "type": 11}, timeout=60).json()["id"]
    place = f"{discord.api}/channels/{thread}"

    http.patch(place, json={"archived": True}, timeout=60)
    opened = post(http, discord, channel=thread).status_code
    http.patch(place, json={"locked": True}, timeout=60)

    assert opened == 200
    assert code_of(post(http, discord, channel=thread)) == (403, 160005)


def test_a_forum_takes_posts_with_a_message(discord, http):
    forum = discord.add_channel(type=15)
    body = {"name": "idea", "message": {"content": "paint"}}

    made = http.post(f"{discord.api}/channels/{forum}/threads", json=body, timeout=60).json()

    assert made["id"] == made["message"]["id"]
    assert discord.contents(made["id"]) == ["paint"]


# -- reading


def test_reading_pages_exclusively_and_newest_first(discord, http):
    ids = [discord.add_message(str(number)) for number in range(6)]

    assert read(http, discord, limit=2) == ["5", "4"]
    assert read(http, discord, before=ids[2]) == ["1", "0"]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"before": "x"}])
def test_a_wrong_query_is_a_form_error(discord, http, query):
    url = f"{discord.api}/channels/{discord.channel}/messages"

    assert code_of(http.get(url, params=query, timeout=60)) == (400, 50035)


def test_history_denied_reads_as_nothing(discord, http):
    post(http, discord)
    discord.deny("READ_MESSAGE_HISTORY")

    assert read(http, discord) == []


# -- changing


def test_only_ones_own_message_can_be_edited_and_a_deleted_one_is_gone(discord, http):
    theirs = discord.add_message("x")
    mine = post(http, discord).json()["id"]
    base = f"{discord.api}/channels/{discord.channel}/messages"

    assert code_of(http.patch(f"{base}/{theirs}", json={"content": "y"}, timeout=60)) == (
        403,
        50005,
    )
    assert http.delete(f"{base}/{mine}", timeout=60).status_code == 204
    assert code_of(http.delete(f"{base}/{mine}", timeout=60)) == (404, 10008)
    discord.deny("MANAGE_MESSAGES")
    assert code_of(http.delete(f"{base}/{theirs}", timeout=60)) == (403, 50013)


def test_a_crosspost_happens_once_and_in_announcements_only(discord, http):
    news = discord.add_channel(type=5)
    made = post(http, discord, channel=news).json()["id"]
    here = post(http, discord).json()["id"]
    url = f"{discord.api}/channels/{news}/messages/{made}/crosspost"

    assert http.post(url, timeout=60).json()["flags"] & 1
    assert code_of(http.post(url, timeout=60)) == (400, 40033)
    wrong = f"{discord.api}/channels/{discord.channel}/messages/{here}/crosspost"
    assert code_of(http.post(wrong, timeout=60)) == (400, 50024)


def test_reactions_are_idempotent_and_counted(discord, http):
    made = post(http, discord).json()["id"]
    base = f"{discord.api}/channels/{discord.channel}/messages/{made}"
    palette = f"{base}/reactions/%F0%9F%8E%A8"

    codes = [http.put(f"{palette}/@me", timeout=60).status_code for _ in range(2)]
    shown = http.get(base, timeout=60).json()["reactions"]
    who = http.get(palette, timeout=60).json()
    unknown = http.put(f"{base}/reactions/paint/@me", timeout=60)
    http.delete(f"{palette}/@me", timeout=60)

    assert codes == [204, 204]
    assert [(one["count"], one["me"]) for one in shown] == [(1, True)]
    assert who[0]["id"] == discord.world.bot["id"]
    assert code_of(unknown) == (400, 10014)
    assert "reactions" not in http.get(base, timeout=60).json()


def test_pins_are_set_read_and_taken_away(discord, http):
    path = "messages/pins"
    made = post(http, discord).json()["id"]
    base = f"{discord.api}/channels/{discord.channel}/{path}"

    assert http.put(f"{base}/{made}", timeout=60).status_code == 204
    pins = http.get(base, timeout=60).json()
    first = pins[0] if path == "pins" else pins["items"][0]["message"]
    assert first["id"] == made


def test_a_webhook_answers_with_the_message_only_if_asked_to_wait(discord, http):
    url = discord.add_webhook()
    bare = {"Authorization": None}

    quick = http.post(url, json={"content": "a"}, headers=bare, timeout=60)
    slow = http.post(f"{url}?wait=true", json={"content": "@everyone"}, headers=bare, timeout=60)
    edited = http.patch(f"{url}/messages/{slow.json()['id']}", json={"content": "c"}, timeout=60)
    named = http.post(url, json={"content": "a", "username": "Clyde 2"}, timeout=60)
    stolen = http.post(url + "x", json={"content": "a"}, timeout=60)

    assert (quick.status_code, quick.content) == (204, b"")
    assert slow.json()["mention_everyone"] is False
    assert edited.json()["content"] == "c"
    assert code_of(named) == (400, 50035)
    assert code_of(stolen) == (401, 50027)
    assert discord.contents() == ["a", "c"]


def test_any_other_path_can_be_given_an_answer(discord, http):
    discord.canned["GET", "/guilds/1/roles"] = (200, [{"id": "1"}])

    assert http.get(f"{discord.api}/guilds/1/roles", timeout=60).json() == [{"id": "1"}]


# -- limits


def test_a_bucket_tells_its_state_and_refuses_beyond_it(http):
    with FakeDiscord(limit=(2, 5.0)) as discord:
        answers = [post(http, discord) for _ in range(3)]
        elsewhere = post(http, discord, channel=discord.add_channel())
        discord.advance(5)
        later = post(http, discord)

    assert [one.status_code for one in answers] == [200, 200, 429]
    assert [one.headers["X-RateLimit-Remaining"] for one in answers] == ["1", "0", "0"]
    body, headers = answers[2].json(), answers[2].headers
    assert body["global"] is False
    assert 4 < body["retry_after"] <= 5
    assert headers["Retry-After"] == "5"
    assert headers["X-RateLimit-Scope"] == "user"
    assert headers["X-RateLimit-Bucket"] == answers[0].headers["X-RateLimit-Bucket"]
    assert elsewhere.status_code == later.status_code == 200


def test_the_global_limit_is_marked_as_such(http):
    ticks = itertools.repeat(1_800_000_000.0)
    with FakeDiscord(global_limit=2, clock=lambda: next(ticks)) as discord:
        answers = [post(http, discord) for _ in range(3)]

    assert [one.status_code for one in answers] == [200, 200, 429]
    assert answers[2].json()["global"] is True
    assert answers[2].headers["X-RateLimit-Global"] == "true"
    assert answers[2].headers["X-RateLimit-Scope"] == "global"


# -- faults


@pytest.mark.parametrize(
    ("fault", "stored"),
    [
        ("hang up before storing", 0),
        ("hang up after storing", 1),
        ("reset before storing", 0),
        ("reset after storing", 1),
    ],
)
def test_the_line_may_break_before_or_after_storing(discord, http, fault, stored):
    discord.script.add(fault)

    with pytest.raises(requests.ConnectionError):
        post(http, discord)

    assert len(discord.contents()) == stored
    assert discord.sent()[0].status == 0


@pytest.mark.parametrize(("fault", "stored"), [("hang", 0), ("hang after storing", 1)])
def test_an_answer_may_never_come(discord, http, fault, stored):
    discord.script.add(fault)

    with pytest.raises(requests.ReadTimeout):
        http.post(
            f"{discord.api}/channels/{discord.channel}/messages",
            json={"content": "x"},
            timeout=0.2,
        )

    assert len(discord.contents()) == stored


@pytest.mark.parametrize(
    ("fault", "status", "stored"),
    [
        ("500 after storing", 500, 1),
        ("502 html", 502, 0),
        ("503", 503, 0),
        ("429", 429, 0),
        ("429 global", 429, 0),
        ("429 without json", 429, 0),
        ("401", 401, 0),
        ("403:50013", 403, 0),
        ("404:10003", 404, 0),
        ("slow:0.05", 200, 1),
        ("wait:0.05", 200, 1),
    ],
)
def test_a_scripted_fault_comes_once(discord, http, fault, status, stored):
    discord.script.add(fault)

    assert post(http, discord).status_code == status
    assert len(discord.contents()) == stored
    assert post(http, discord).status_code == 200


def test_a_fault_may_wait_for_a_route(discord, http):
    discord.script.add("503", to="get_messages")

    assert post(http, discord).status_code == 200
    url = f"{discord.api}/channels/{discord.channel}/messages"
    assert [http.get(url, timeout=60).status_code for _ in range(2)] == [503, 200]
