"""The only way to a model: one grant and one row for each attempt, nothing paid for twice."""

import random
import threading
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from psycopg.rows import dict_row

from botticelli.budget.gate import Stopped
from botticelli.config.model import Limits, Models, Multipliers, NamedModel
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError, TryLater
from botticelli.models.base import (
    Finish,
    Message,
    Part,
    PermanentError,
    Reply,
    Request,
    TransientError,
)
from botticelli.models.open import Drivers
from botticelli.narrative.answers.caller import LiveCaller
from botticelli.narrative.answers.dry_run import DryRunCaller
from botticelli.store import ledger
from botticelli.store.generation.executions import ActKey
from botticelli.store.leases import Identity
from botticelli.store.ledger import Window
from tests.clock import PinnedClock, pin
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini import Limits as Quota

LITE, FLASH = "gemini-3.5-flash-lite", "gemini-3.8-flash"
KEY = ActKey(narrative="feature", act_name="generate", sequence_number=0)
SHARES = Multipliers(rpm=1, tpm=1, rpd=1, tpd=1)


class Clock(PinnedClock):
    """Tells somebody else how long it slept."""

    on_sleep = staticmethod(lambda _seconds: None)

    def sleep(self, seconds):
        super().sleep(seconds)
        self.on_sleep(seconds)


@pytest.fixture
def clock(db):
    clock = Clock()
    pin(db, clock)
    return clock


@pytest.fixture
def caller_for(db, clock):
    """Make callers; each closes its clients in the end."""
    made = []

    def make(server=None, *, stop=None, notes=None, **settings):
        settings.setdefault("limits", {LITE: Limits(rpm=1000, tpm=10**7, rpd=1000)})
        models = Models(
            gemini_key=Secret("test-key"),
            gemini_base_url=server.url if server else "",
            timeout=timedelta(seconds=2),
            **settings,
        )
        drivers = Drivers(models)
        made.append(drivers)
        return LiveCaller(
            db,
            models=models,
            budget=SHARES,
            identity=Identity(host="h", pid=1, owner="h:1:x"),
            clock=clock,
            chance=random.Random(1),
            drivers=drivers,
            stop=stop,
            note=(notes if notes is not None else []).append,
        )

    yield make
    for drivers in made:
        drivers.close()


@pytest.fixture
def item(db):
    (batch,) = db.execute("INSERT INTO batches (narrative) VALUES ('n') RETURNING id").fetchone()
    (id_,) = db.execute(
        "INSERT INTO generation_items (batch_id, narrative, iteration) "
        "VALUES (%s, 'feature', 1) RETURNING id",
        (batch,),
    ).fetchone()
    return id_


def request(text="Write a post", **settings):
    message = Message(role="user", parts=(Part(text=text),))
    return Request(model="", messages=(message,), **settings)


def rows(db, table="act_executions"):
    order = {"act_executions": "id", "ledger_grants": "seq"}[table]
    with db.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall()


def test_an_answer_is_recorded_with_tokens_cost_and_grant(db, gemini, caller_for):
    answer = caller_for(gemini).ask(request(), models=[LITE], key=KEY)

    (row,), (grant,) = rows(db), rows(db, "ledger_grants")
    usage = answer.usage
    assert (row["state"], row["model"], row["model_version"]) == ("done", LITE, LITE)
    assert (row["input_tokens"], row["output_tokens"]) == (usage.input, usage.output)
    assert row["response"] == answer.text
    assert row["prompt"] == "Write a post"
    assert row["id"] == answer.execution_id
    price = Decimal("0.3") * usage.input + Decimal("2.5") * (usage.output + usage.thoughts)
    assert row["cost_usd"] == answer.cost_usd == price / 1_000_000
    assert row["grant_seq"] == grant["seq"]
    assert grant["tokens"] == usage.input
    assert grant["settled_at"] is not None


def test_a_finished_act_of_an_item_is_not_asked_again(gemini, caller_for, item):
    caller, key = caller_for(gemini), replace(KEY, item_id=item)

    first = caller.ask(request(), models=[LITE], key=key)
    again = caller.ask(request(), models=[LITE], key=key)
    other = caller.ask(request("Another"), models=[LITE], key=key)

    assert (again.text, again.reused, again.cost_usd) == (first.text, True, 0)
    assert not other.reused
    assert len(gemini.calls) == 2


def test_a_rejected_answer_is_asked_for_again(db, gemini, caller_for, item):
    caller, key = caller_for(gemini), replace(KEY, item_id=item)

    caller.reject(caller.ask(request(), models=[LITE], key=key), "no JSON in it")
    again = caller.ask(request(), models=[LITE], key=key)

    assert not again.reused
    assert [(row["state"], row["error"]) for row in rows(db)] == [
        ("unusable", "no JSON in it"),
        ("done", None),
    ]


def test_without_an_item_nothing_is_reused(gemini, caller_for):
    caller = caller_for(gemini)

    for _ in range(2):
        caller.ask(request(), models=[LITE], key=KEY)

    assert len(gemini.calls) == 2


def test_every_attempt_has_its_own_grant_and_row(db, gemini, caller_for, clock):
    gemini.script.add("503", "reset", "ok")

    caller_for(gemini).ask(request(), models=[LITE], key=KEY)

    assert [(row["attempt"], row["state"]) for row in rows(db)] == [
        (1, "failed"),
        (2, "failed"),
        (3, "done"),
    ]
    assert len(rows(db, "ledger_grants")) == len(gemini.calls) == 3
    assert 3 <= sum(clock.slept) <= 6, "2 s and 4 s, with jitter"


class Broken:
    """A driver that does something unforeseen in mid-call."""

    provider = "gemini"

    def __init__(self, error):
        self._error = error

    def generate(self, request):
        raise self._error

    def estimate(self, request):
        return 100

    def prepare(self):
        pass

    def close(self):
        pass


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AttributeError("of a library"), "unexpected: AttributeError('of a library')"),
        (KeyboardInterrupt(), "broken off by a signal"),
        (MemoryError(), "unexpected: MemoryError()"),
    ],
)
def test_whatever_breaks_a_call_off_leaves_a_row_and_a_settled_grant(
    db, caller_for, monkeypatch, error, words
):
    monkeypatch.setattr("botticelli.models.gemini.Gemini", lambda **_settings: Broken(error))

    with pytest.raises(type(error)):
        caller_for().ask(request(), models=[LITE], key=KEY)

    (row,), (grant,) = rows(db), rows(db, "ledger_grants")
    assert (row["state"], row["error"], row["grant_seq"]) == ("failed", words, grant["seq"])
    assert grant["settled_at"] is not None
    assert grant["tokens"] > 100, "it may have been sent: the reservation stands"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
def test_a_wait_that_is_broken_off_gives_its_grant_back(db, gemini, caller_for, clock, error):
    caller = caller_for(gemini, limits={LITE: Limits(rpm=1)})
    caller.ask(request(), models=[LITE], key=KEY)

    def break_off(_seconds):
        if len(rows(db, "ledger_grants")) == 2:  # booked a second ahead
            raise error

    clock.on_sleep = break_off
    with pytest.raises(type(error)):
        caller.ask(request("later"), models=[LITE], key=KEY)

    assert len(rows(db, "ledger_grants")) == len(gemini.calls) == 1
    assert db.execute("SELECT count(*) FROM ledger_waiters").fetchone() == (0,)


def test_used_up_attempts_are_a_transient_failure(gemini, caller_for):
    gemini.script.add(*["503"] * 9)

    with pytest.raises(TransientError, match="503"):
        caller_for(gemini, max_attempts=2).ask(request(), models=[LITE], key=KEY)

    assert len(gemini.calls) == 2


def test_a_model_that_keeps_failing_is_replaced_by_the_next(gemini, caller_for):
    gemini.script.add(*["503"] * 9, to=LITE)

    answer = caller_for(gemini).ask(request(), models=[LITE, FLASH], key=KEY)

    assert answer.model == FLASH
    assert [call.model for call in gemini.calls] == [LITE] * 3 + [FLASH]


def test_a_minute_429_is_waited_out_and_is_no_failure(db, gemini, caller_for, clock):
    gemini.script.add(*["429:minute:7"] * 5)
    began = clock.now()

    caller_for(gemini, max_attempts=1).ask(request(), models=[LITE], key=KEY)

    assert clock.now() - began >= timedelta(seconds=35)
    assert len(gemini.calls) == 6
    assert "per minute" in rows(db)[0]["error"]


def test_a_429_without_a_delay_does_not_make_us_hammer(gemini, caller_for, clock):
    gemini.script.add(*["429:tokens:0"] * 5)

    caller_for(gemini).ask(request(), models=[LITE], key=KEY)

    assert len(gemini.calls) == 6
    assert sum(clock.slept) >= 2 + 4 + 8 + 16 + 32 - 5, "holds grow; a start is booked 1 s ahead"


def test_a_server_that_asks_for_an_hour_is_left_for_another_model(
    gemini, caller_for, clock, monkeypatch
):
    busy = TransientError("the server answers 503", retry_after=3600)
    monkeypatch.setattr("botticelli.models.gemini.Gemini", lambda **_settings: Broken(busy))
    caller = caller_for()

    assert caller.ask(request(), models=[LITE, "offline"], key=KEY).model == "offline"
    with pytest.raises(TryLater, match="to wait 1 h "):
        caller.ask(request(), models=[LITE], key=KEY)

    assert sum(clock.slept) < 1


def test_a_spent_day_moves_to_the_next_model_at_once(gemini, caller_for):
    caller = caller_for(gemini)
    gemini.script.add("429:day", to=LITE)

    for _ in range(2):
        assert caller.ask(request(), models=[LITE, FLASH], key=KEY).model == FLASH

    assert [call.model for call in gemini.calls] == [LITE, FLASH, FLASH], "the day is closed"


def test_a_day_spent_everywhere_says_when_to_come_back(gemini, caller_for):
    caller = caller_for(gemini, limits={LITE: Limits(rpm=100, rpd=1), FLASH: Limits(rpd=1)})
    for _ in range(2):
        caller.ask(request(), models=[LITE, FLASH], key=KEY)

    with pytest.raises(TryLater, match="2026-11-25 08:00 UTC"):
        caller.ask(request(), models=[LITE, FLASH], key=KEY)

    assert len(gemini.calls) == 2


def test_calls_left_counts_over_all_models(gemini, caller_for):
    caller = caller_for(gemini, limits={LITE: Limits(rpd=10), FLASH: Limits(rpd=5)})
    assert caller.calls_left([LITE, FLASH]) == 15

    caller.ask(request(), models=[LITE], key=KEY)

    assert caller.calls_left([LITE, FLASH]) == 14
    assert caller.calls_left(["offline"]) is None


def test_a_fallback_without_a_key_does_not_keep_the_first_from_working(gemini, caller_for):
    caller = caller_for(gemini, limits={LITE: Limits(rpd=10)})

    assert caller.calls_left([LITE, "openai:gpt-9"]) == 10
    assert caller.ask(request(), models=["openai:gpt-9", LITE], key=KEY).model == LITE
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        caller.calls_left(["openai:gpt-9"])


def test_no_quota_at_all_is_a_matter_of_configuration(gemini, caller_for):
    gemini.script.add("429:limit-0")

    with pytest.raises(ConfigError, match="no quota for the model"):
        caller_for(gemini).ask(request(), models=[LITE], key=KEY)

    assert len(gemini.calls) == 1


def test_a_refusal_without_details_holds_for_half_a_minute(gemini, caller_for, clock):
    gemini.script.add("429:no-details")
    began = clock.now()

    caller_for(gemini).ask(request(), models=[LITE], key=KEY)

    assert clock.now() - began >= timedelta(seconds=29)


def test_a_cut_answer_gets_twice_the_room_once(db, gemini, caller_for):
    gemini.script.add("max-tokens", "ok")

    caller_for(gemini).ask(request(max_tokens=200), models=[LITE], key=KEY)

    assert [call.config["maxOutputTokens"] for call in gemini.calls] == [200, 400]
    assert [row["state"] for row in rows(db)] == ["unusable", "done"]
    assert rows(db)[0]["output_tokens"] > 0, "cut answers are paid for, too"


@pytest.mark.parametrize(
    ("faults", "wrong"),
    [
        (["max-tokens", "max-tokens"], "cut"),
        (["empty-text", "no-parts"], "empty"),
        (["safety"], "blocked"),
    ],
)
def test_what_is_never_content_is_asked_of_the_next_model(db, gemini, caller_for, faults, wrong):
    caller = caller_for(gemini)
    gemini.script.add(*faults)
    answer = caller.ask(request(max_tokens=200), models=[LITE, FLASH], key=KEY)
    assert (answer.asked, rows(db)[-1]["state"]) == (FLASH, "done")

    gemini.script.add(*faults)
    with pytest.raises(PermanentError, match=wrong):
        caller.ask(request(max_tokens=200), models=[LITE], key=KEY)
    assert {row["state"] for row in rows(db)} == {"unusable", "done"}
    assert len(gemini.calls) == 2 * len(faults) + 1


def test_a_free_model_that_finds_no_end_is_asked_once_more(db, caller_for, monkeypatch):
    class Local:
        provider = "local"
        answers = iter([("on and on", Finish.LENGTH), ("Hello.", Finish.STOP)])

        def __init__(self, **_settings):
            pass

        def generate(self, request):
            text, finish = next(self.answers)
            return Reply(text=text, finish=finish)

        def close(self):
            pass

    monkeypatch.setattr("botticelli.models.local.Local", Local)

    answer = caller_for().ask(request(), models=["local"], key=KEY)

    assert answer.text == "Hello."
    assert [row["state"] for row in rows(db)] == ["unusable", "done"]


def test_a_wrong_key_stops_at_once(gemini, caller_for):
    caller = caller_for(
        gemini,
        named={"mine": NamedModel(provider="gemini", model=LITE, api_key=Secret("wrong"))},
    )

    with pytest.raises(PermanentError) as caught:
        caller.ask(request(), models=["mine"], key=KEY)

    assert caught.value.unrecoverable


def test_a_retired_model_is_followed_and_named_once(gemini, caller_for):
    notes = []
    caller = caller_for(gemini, notes=notes)

    for _ in range(2):
        assert caller.ask(request(), models=["gemini-2.0-flash"], key=KEY).model == LITE

    assert notes == [f"gemini-2.0-flash is not served any more; {LITE} is asked in its place"]
    assert [call.model for call in gemini.calls] == [LITE, LITE]


def test_a_404_leads_to_the_known_successor(gemini, caller_for):
    gemini.script.add("404", to="gemini-2.5-flash-lite")
    caller = caller_for(gemini)

    for _ in range(2):
        assert caller.ask(request(), models=["gemini-2.5-flash-lite"], key=KEY).model == LITE

    assert [call.model for call in gemini.calls] == ["gemini-2.5-flash-lite", LITE, LITE]


def test_an_answer_of_another_model_is_charged_to_both(db, caller_for):
    """From December on 2.5-flash is served, billed and limited as another model."""
    notes = []
    with FakeGemini(routed={"gemini-2.5-flash": LITE}) as server:
        answer = caller_for(server, notes=notes).ask(
            request(), models=["gemini-2.5-flash"], key=KEY
        )

    assert answer.model == LITE
    assert notes == [f"gemini-2.5-flash was asked, {LITE} answered"]
    assert sorted(grant["key"] for grant in rows(db, "ledger_grants")) == [
        "gemini/gemini-2.5-flash",
        f"gemini/{LITE}",
    ]


def test_waiting_callers_keep_the_providers_limit(gemini, caller_for, clock):
    caller = caller_for(gemini, limits={LITE: Limits(rpm=3)})
    began = clock.now()

    for n in range(7):
        caller.ask(request(f"post {n}"), models=[LITE], key=KEY)

    assert clock.now() - began >= timedelta(seconds=121)


def test_a_booked_moment_that_was_missed_is_booked_anew(db, gemini, caller_for, clock):
    """A machine that slept must not send what was meant for another minute."""
    caller = caller_for(gemini, limits={LITE: Limits(rpm=1)})
    caller.ask(request(), models=[LITE], key=KEY)
    booked = clock.now() + timedelta(seconds=60.5)

    def oversleep(_seconds):
        if clock.now() >= booked:
            clock.on_sleep = lambda _seconds: None
            clock.advance(timedelta(minutes=5))

    clock.on_sleep = oversleep
    caller.ask(request("later"), models=[LITE], key=KEY)

    second = rows(db, "ledger_grants")[1]
    assert len(rows(db, "ledger_grants")) == 2
    assert clock.now() - second["start_at"] <= timedelta(seconds=1)
    assert clock.now() - booked >= timedelta(minutes=5)


def test_a_waiting_caller_stops_when_the_run_does(db, gemini, caller_for, clock):
    stop = threading.Event()
    caller = caller_for(gemini, stop=stop, limits={LITE: Limits(rpm=1)})
    caller.ask(request(), models=[LITE], key=KEY)
    stop.set()
    began = clock.now()

    with pytest.raises(Stopped):
        caller.ask(request("later"), models=[LITE], key=KEY)

    assert clock.now() == began
    assert db.execute("SELECT count(*) FROM ledger_waiters").fetchone() == (0,)
    assert len(rows(db, "ledger_grants")) == 1


def test_the_offline_model_is_recorded_but_needs_no_account(db, caller_for):
    answer = caller_for().ask(request(), models=["offline"], key=KEY)

    assert answer.model == "offline"
    assert rows(db)[0]["provider"] == "offline"
    assert db.execute("SELECT count(*) FROM ledger").fetchone() == (0,)


def test_no_key_is_told_before_anything_is_sent(db, clock):
    caller = LiveCaller(
        db,
        models=Models(),
        budget=SHARES,
        identity=Identity(host="h", pid=1, owner="o"),
        clock=clock,
        chance=random.Random(1),
    )

    with pytest.raises(ConfigError, match="GEMINI_API_KEY is not set"):
        caller.ask(request(), models=[], key=KEY)


def test_the_provider_never_has_to_refuse(caller_for, clock):
    with FakeGemini(limits=Quota(rpm=5)) as server:
        clock.on_sleep = server.advance
        caller = caller_for(server, limits={LITE: Limits(rpm=5)})
        for n in range(12):
            caller.ask(request(f"post {n}"), models=[LITE], key=KEY)

        assert server.statuses == {200: 12}


def test_a_forecast_sends_nothing_and_fills_the_schema():
    schema = {"type": "object", "properties": {"text_content": {"type": "string"}}}
    caller = DryRunCaller(models=Models(), on=date(2026, 11, 24))

    free = caller.ask(request("word " * 300, max_tokens=100), models=[], key=KEY)
    bound = caller.ask(request(schema=schema), models=[FLASH], key=KEY)

    assert "generate" in free.text
    assert bound.text == '{"text_content": "text content"}'
    first, second = caller.calls
    assert (first.model, first.act, first.output_tokens) == (LITE, "generate", 100)
    assert first.cents == pytest.approx((first.input_tokens * 0.3 + 100 * 2.5) / 10_000)
    assert second.model == FLASH


def test_an_answer_that_postgresql_cannot_hold_is_not_lost(db, caller_for, tmp_path):
    path = tmp_path / "s.json"
    path.write_text('["NUL \\u0000, half \\ud83d"]')

    caller_for().ask(request(), models=[f"scripted:{path}"], key=KEY)

    assert rows(db)[0]["response"] == "NUL , half ?"


def test_a_script_needs_no_network(db, caller_for, tmp_path):
    path = tmp_path / "s.json"
    path.write_text('[{"error": "transient"}, "after all"]')

    answer = caller_for().ask(request(), models=[f"scripted:{path}"], key=KEY)

    assert answer.text == "after all"


def refused(db, key):
    return ledger.accounts(db, key=key, window=Window())[0].refused


def test_a_setting_that_is_refused_is_left_out_and_remembered(db, gemini, caller_for):
    notes = []
    words = "Thinking level is not supported for this model."
    gemini.script.add("400:" + words)
    asked = request(thinking="low")

    caller_for(gemini, notes=notes).ask(asked, models=[LITE], key=KEY)
    caller_for(gemini).ask(
        asked, models=[LITE], key=replace(KEY, sequence_number=2)
    )  # another process

    assert ["thinkingConfig" in call.config for call in gemini.calls] == [True, False, False]
    assert [row["state"] for row in rows(db)] == ["failed", "done", "done"]
    assert len(notes) == 1
    assert "takes no thinking" in notes[0]
    key = f"gemini/{LITE}"
    assert refused(db, key) == {gemini.url: ["thinking"]}
    assert ledger.forget(db, LITE)
    assert refused(db, key) == {}


def test_what_a_429_taught_leaves_what_was_refused(db, gemini, caller_for):
    caller_for(gemini).ask(request(), models=[LITE], key=KEY)
    key, lesson = (
        f"gemini/{LITE}",
        ledger.Lesson(scope="minute", wait=timedelta(0), rate="rpm", limit=9),
    )
    ledger.learn_refused(db, key, server="", settings=["system"])
    for limits in ((1, None, None, None), (2, None, None, None)):
        ledger.learn(db, key, lesson=lesson, limits=limits)
        ledger.learn_refused(db, key, server="", settings=["temperature"])

    assert refused(db, key) == {"": ["system", "temperature"]}


def test_a_prompt_that_is_larger_than_the_window_is_not_paid_for(db, gemini, caller_for):
    limits = {LITE: Limits(context_window=100), FLASH: Limits()}
    caller = caller_for(gemini, limits=limits)

    with pytest.raises(PermanentError, match=r"about \d+ tokens, and the context window 100"):
        caller.ask(request("word " * 200), models=[LITE], key=KEY)
    assert not gemini.calls
    assert caller.ask(request("word " * 200), models=[LITE, FLASH], key=KEY).asked == FLASH


def usage_of(input_tokens, output_tokens=3):
    answer = {"content": {"parts": [{"text": "Hello."}]}, "finishReason": "STOP"}
    told = {"promptTokenCount": input_tokens, "candidatesTokenCount": output_tokens}
    return {"candidates": [answer], "usageMetadata": told}


def test_an_answer_to_half_a_prompt_is_not_used(db, gemini, caller_for):
    gemini.responder = lambda _call: usage_of(1000)

    with pytest.raises(PermanentError, match=r"has read 1,000 tokens .* 2,000: it drops") as raised:
        caller_for(gemini).ask(request("word " * 2000), models=[LITE], key=KEY)

    assert "num_ctx" in raised.value.hint
    assert [row["state"] for row in rows(db)] == ["unusable"]
    assert rows(db)[0]["input_tokens"] == 1000


@pytest.mark.parametrize("told", [-5, 1e400, "many", True, None, [], 10**12, 0])
def test_counts_that_cannot_be_true_cost_an_estimate(db, gemini, caller_for, told):
    gemini.responder = lambda _call: usage_of(told, told)

    answer = caller_for(gemini).ask(request("word " * 60), models=[LITE], key=KEY)

    assert (answer.text, answer.usage) == ("Hello.", None)
    assert (rows(db)[0]["input_tokens"], rows(db)[0]["output_tokens"]) == (117, 2)
    assert rows(db)[0]["cost_usd"] > 0
