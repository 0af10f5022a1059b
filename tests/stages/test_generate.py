"""The generate stage: real database, real threads, a Gemini over loopback."""

import threading
from datetime import timedelta

import pytest

from botticelli.backoff import Backoff
from botticelli.config.model import Limits, Models
from botticelli.errors import BotticelliError, ConfigError, Exit, TryLater
from botticelli.models.base import PermanentError
from botticelli.stages.generate import stage as generate_stage
from botticelli.stages.generate.plan import GenerateRequest, dry_run_generate
from botticelli.stages.generate.stage import generate
from botticelli.store import locks
from botticelli.store.generation import batches, items
from tests.database import candidate
from tests.pipeline import NO_RETRY, WRITER, Stages, models_at


@pytest.fixture
def run(db, stages):
    """`run(iterations=2)` generates with the test's narrative."""

    def start(narrative="carousel.batch", *, owner="test:1:a", **request):
        return generate(
            stages.context(db, owner), request=GenerateRequest(narrative=narrative, **request)
        )

    return start


def posts(db):
    return db.execute(
        "SELECT source_narrative, source_act, generation_model, review_status"
        " FROM potential_discord_posts ORDER BY id"
    ).fetchall()


def texts(db):
    rows = db.execute("SELECT text_content FROM potential_discord_posts").fetchall()
    return sorted(row[0] for row in rows)


def states(db):
    query = "SELECT narrative, iteration, state FROM generation_items ORDER BY id"
    return db.execute(query).fetchall()


def states_of_items(db):
    return dict(db.execute("SELECT state, count(*) FROM generation_items GROUP BY 1").fetchall())


def test_a_carousel_of_narratives_gives_one_candidate_for_each_and_iteration(db, run, gemini):
    report = run(iterations=2)

    assert (report.planned, report.stored, report.failed, report.left) == (4, 4, 0, 0)
    assert report.exit_code == Exit.DONE
    assert sorted(posts(db)) == [
        ("feature", "refine", WRITER, "pending"),
        ("feature", "refine", WRITER, "pending"),
        ("usecase", "refine", WRITER, "pending"),
        ("usecase", "refine", WRITER, "pending"),
    ]
    assert report.calls == len(gemini.calls) == 8
    assert report.input_tokens > 0
    assert report.output_tokens > 0
    assert report.cost_usd > 0


def test_any_other_narrative_gives_one_item_an_iteration(db, run):
    report = run("carousel.feature", iterations=3)

    assert report.planned == 3
    assert states(db) == [("feature", n, "done") for n in (1, 2, 3)]


def test_a_day_that_is_spent_ends_in_order_and_the_next_run_pays_only_for_what_is_missing(
    db, run, gemini, stages
):
    stages.settings("models", max_concurrent=1)
    before = run(iterations=1)  # so that recent_posts would differ, were it read anew
    for _ in range(3):
        gemini.script.add("")
    gemini.script.add("429:day")
    stopped = run(iterations=2)
    asked = [call.prompt for call in gemini.calls if call.status == 200]
    db.execute("DELETE FROM ledger_grants")
    db.execute("DELETE FROM ledger")

    resumed = run(iterations=9)

    assert (before.stored, stopped.stored, resumed.stored) == (2, 1, 3)
    assert (stopped.exit_code, stopped.left) == (Exit.TRY_LATER, 3)
    assert "quota" in stopped.reason
    assert (resumed.resumed, resumed.planned, resumed.reused) == (True, 4, 1)
    answered = [call.prompt for call in gemini.calls if call.status == 200]
    assert len(set(answered)) == len(answered) == len(asked) + 5


def test_fresh_abandons_what_was_begun(db, run, stages, gemini):
    gemini.script.add("429:day")
    stages.settings("models", max_concurrent=1)
    run(iterations=2)
    db.execute("DELETE FROM ledger_grants")
    db.execute("DELETE FROM ledger")

    report = run(iterations=1, fresh=True)

    assert (report.resumed, report.planned, report.stored) == (False, 2, 2)
    assert [row for row in states(db) if row[2] == "abandoned"] == [
        (name, n, "abandoned") for n in (1, 2) for name in ("feature", "usecase")
    ]


def test_a_model_that_always_says_the_same_still_leaves_every_row(db, run, gemini):
    gemini.responder = lambda call: (
        {"text_content": "always the same", "content_type": "x"} if call.schema else "draft"
    )

    report = run(iterations=2)

    assert (report.stored, report.repeats, report.failed) == (1, 3, 0)
    query = "SELECT id, review_status, duplicate_of FROM potential_discord_posts ORDER BY id"
    first, *others = db.execute(query).fetchall()
    assert first == (first[0], "pending", None)
    assert [row[1:] for row in others] == [("pending", first[0])] * 3
    assert report.exit_code == Exit.DONE


def test_an_item_whose_retries_are_used_up_fails_for_good(db, run, gemini, stages):
    stages.settings("generate", retry=NO_RETRY)
    stages.settings("models", max_concurrent=1)
    gemini.script.add("503")

    report = run(iterations=1)

    assert (report.stored, report.failed, report.exit_code) == (1, 1, Exit.FAILED)
    assert "feature 1:" in report.failures[0]


def test_a_transient_failure_is_tried_again_after_a_wait(db, run, gemini, stages, monkeypatch):
    monkeypatch.setattr(generate_stage, "BACKOFF", Backoff(base=0.02))
    stages.settings("models", max_concurrent=1)
    gemini.script.add("503")

    report = run(iterations=1)

    assert (report.stored, report.failed, report.exit_code) == (2, 0, Exit.DONE)
    query = "SELECT attempts, last_error FROM generation_items ORDER BY id"
    assert db.execute(query).fetchall()[0][0] == 1


def test_a_permanent_failure_does_not_stop_the_others(db, run, gemini, stages):
    stages.settings("models", max_concurrent=1)
    gemini.script.add("400")

    report = run(iterations=2)

    assert (report.stored, report.failed, report.left) == (3, 1, 0)
    assert report.exit_code == Exit.FAILED
    assert batches.find_open(db, "carousel.batch") is None


def test_a_key_that_is_refused_stops_at_once_and_loses_nothing(db, run, gemini, stages):
    gemini.key = "another"

    with pytest.raises(PermanentError):
        run(iterations=5)

    assert len(gemini.calls) <= 2
    assert {state for *_, state in states(db)} == {"pending"}
    gemini.key = "test-key"
    assert run().stored == 10


def test_a_missing_key_is_told_before_anything_is_asked(db, run, stages):
    stages.config = Stages(stages.url, stages.folder, Models(tier="none")).config

    with pytest.raises(ConfigError, match="GEMINI_API_KEY"):
        run()


def test_what_a_missing_key_stopped_is_neither_resumed_nor_counted_as_a_round(
    db, run, stages, gemini
):
    stages.config = Stages(stages.url, stages.folder, Models(tier="none")).config
    with pytest.raises(ConfigError, match="GEMINI_API_KEY"):
        run()
    assert {state for *_, state in states(db)} == {"abandoned"}
    stages.config = Stages(stages.url, stages.folder, models_at(gemini)).config

    asked, round_ = run(iterations=3), run()

    assert (asked.resumed, asked.planned) == (False, 6)
    assert (round_.skipped, round_.planned) == ("", 2)


def test_a_narrative_that_is_not_there_is_told_without_a_run(db, run):
    with pytest.raises(ConfigError, match="there is no narrative"):
        run("carousel.nobody")

    assert db.execute("SELECT count(*) FROM runs").fetchone() == (0,)


@pytest.mark.slow
def test_a_lost_lock_ends_the_run_and_gives_back_what_hanging_workers_hold(db, run, gemini, stages):
    stages.settings("supervision", lease=timedelta(seconds=0.4))
    leave = threading.Event()

    def responder(_):
        with stages.connect() as conn:
            locks.break_lock(conn, "generate")
        leave.wait(60)
        return "too late"

    gemini.responder = responder
    try:
        report = run(iterations=3)
    finally:
        leave.set()

    assert (report.left, report.stored, report.exit_code) == (6, 0, Exit.TRY_LATER)
    assert "asked to stop" in report.reason
    assert {state for *_, state in states(db)} == {"pending"}
    assert db.execute("SELECT state FROM runs").fetchone() == ("interrupted",)


def test_two_processes_share_a_batch_with_join(db, run, gemini, stages):
    reports = []
    entered = threading.Event()

    def responder(call):
        entered.set()
        return {"text_content": f"text {call.number}", "content_type": "x"} if call.schema else "d"

    gemini.responder, gemini.latency = responder, 0.02

    def help_out():
        entered.wait(60)
        with stages.connect() as conn:
            request = GenerateRequest(narrative="carousel.batch", join=True)
            reports.append(generate(stages.context(conn, "other:2:b"), request=request))

    helper = threading.Thread(target=help_out)
    helper.start()
    own = run(iterations=10)
    helper.join(60)

    assert own.stored + reports[0].stored == 20 == len(texts(db))
    assert reports[0].stored > 0
    assert len(gemini.calls) == 40
    assert batches.find_open(db, "carousel.batch") is None


def test_a_second_run_is_refused_without_join(db, run, gemini, stages):
    entered, leave = threading.Event(), threading.Event()

    def responder(call):
        entered.set()
        leave.wait(60)
        return {"text_content": f"t {call.number}", "content_type": "x"} if call.schema else "d"

    gemini.responder = responder
    thread = threading.Thread(target=run, kwargs={"iterations": 1})
    thread.start()
    entered.wait(60)
    try:
        with stages.connect() as conn, pytest.raises(TryLater, match="already running on test"):
            generate(
                stages.context(conn, "other:2:b"),
                request=GenerateRequest(narrative="carousel.batch"),
            )
    finally:
        leave.set()
        thread.join(60)


def test_joining_nothing_does_nothing(db, run, gemini):
    report = run(join=True)

    why = "carousel.batch has no unfinished batch to help with"
    assert (report.skipped, report.exit_code) == (why, Exit.DONE)
    assert len(gemini.calls) == 0


def test_under_a_daily_cap_no_post_is_begun_that_the_day_has_no_room_for(db, run, gemini, stages):
    # 7 x 0.8 = 5 calls: two posts of two calls each, and one call that is left alone.
    stages.config = Stages(
        stages.url, stages.folder, models_at(gemini, limits={WRITER: Limits(rpm=10**5, rpd=7)})
    ).config

    report = run(iterations=4)

    assert (report.stored, report.left, report.calls) == (2, 6, 4)
    assert report.exit_code == Exit.TRY_LATER
    assert "room for 1 more call, and a post needs 2" in report.reason


@pytest.mark.slow
def test_several_workers_use_the_day_up_to_the_last_whole_post(db, run, gemini, stages):
    # 30 x 0.8 = 24 calls: twelve posts of two, whoever is in the middle of one meanwhile.
    limits = {WRITER: Limits(rpm=10**5, rpd=30)}
    stages.config = Stages(
        stages.url, stages.folder, models_at(gemini, limits=limits, max_concurrent=4)
    ).config
    gemini.latency = 0.1

    report = run(iterations=10)

    assert (report.stored, report.left, report.calls) == (12, 8, 24)
    assert states_of_items(db) == {"done": 12, "pending": 8}
    assert "and a post needs 2" in report.reason


@pytest.mark.slow
def test_what_another_is_about_to_begin_is_left_to_it(db, run, gemini, stages):
    # 4 x 0.8 = 3 calls: only one of the two posts has room, and the other process is at its own.
    limits = {WRITER: Limits(rpm=10**5, rpd=4)}
    stages.config = Stages(stages.url, stages.folder, models_at(gemini, limits=limits)).config
    batches.plan(db, "carousel.batch", items=[("feature", 1), ("usecase", 1)], options={})
    [(until,)] = db.execute(
        "UPDATE generation_items SET state = 'running', lease_owner = 'other', fence = 9,"
        " lease_expires_at = clock_timestamp() + interval '2 seconds'"
        " WHERE narrative = 'usecase' RETURNING lease_expires_at"
    ).fetchall()

    report = run()

    assert gemini.calls[0].wall >= until.timestamp(), "not before the other's lease is over"
    assert (report.stored, report.left, report.calls) == (1, 1, 2)


def test_a_share_that_another_run_had_does_not_narrow_this_one(db, run, gemini, stages):
    """The account keeps what its last caller was allowed; the next may be allowed more."""
    limits = {WRITER: Limits(rpm=10**5, rpd=100)}
    stages.config = Stages(stages.url, stages.folder, models_at(gemini, limits=limits)).config
    stages.settings("budget", rpd=0.04)
    narrow = run(iterations=2)
    stages.settings("budget", rpd=0.8)

    wide = run(iterations=2)

    assert (narrow.stored, narrow.left) == (2, 2)
    assert (wide.stored, wide.left) == (2, 0)


def test_a_retired_name_is_counted_on_the_account_of_its_successor(db, run, gemini, stages):
    limits = {WRITER: Limits(rpm=10**5, rpd=7)}
    stages.config = Stages(stages.url, stages.folder, models_at(gemini, limits=limits)).config

    report = run(iterations=4, models=("gemini-2.0-flash",))

    assert (report.stored, report.left, report.calls) == (2, 6, 4)


def test_ticks_tell_what_is_ahead_as_the_budget_allows(db, stages, gemini):
    limits = {WRITER: Limits(rpm=10, rpd=1000)}
    stages.config = Stages(stages.url, stages.folder, models_at(gemini, limits=limits)).config
    ticks = []

    def watch(tick):
        ticks.append(tick)
        if tick.usage.calls == 8:  # 10 x 0.8
            raise TryLater("seen enough")

    request = GenerateRequest(narrative="carousel.batch", iterations=7)
    generate(stages.context(db), request=request, watch=watch)

    last = ticks[-1].ahead
    assert (last.calls, last.day_is_short) == (20, False), "14 posts of two calls, 8 calls made"
    assert 165 < last.seconds < 190, "8, 8 and 4 more, each after a minute of 61 s"


def test_an_expired_lease_of_a_killed_worker_is_taken_up(db, run, stages):
    batch = batches.plan(db, "carousel.batch", items=[("feature", 1)], options={})
    items.claim(db, batch.id, owner="dead:1:z", lease=timedelta(milliseconds=300))

    report = run()

    assert (report.resumed, report.stored, report.left) == (True, 1, 0)


def test_an_item_of_a_narrative_that_is_gone_fails_and_the_batch_ends(db, run, stages):
    batches.plan(db, "carousel.batch", items=[("gone", 1), ("feature", 1)], options={})

    report = run()

    assert (report.stored, report.failed, report.left) == (1, 1, 0)
    assert "there is no narrative 'gone' any more" in report.failures[0]


def test_writers_are_shown_the_openings_of_recent_posts(db, run, gemini):
    candidate(db, "Once upon a time\nthere was a bot")

    run("carousel.feature", iterations=1)

    assert "unlike: - Once upon a time there was a bot" in gemini.calls[0].prompt


def test_the_command_line_s_model_is_asked_instead(db, run, gemini):
    run(iterations=1, models=("gemini-3.8-flash",))

    assert {call.model for call in gemini.calls} == {"gemini-3.8-flash"}


def test_a_dry_run_tells_the_price_and_leaves_no_trace(db, stages, gemini):
    forecast = dry_run_generate(
        stages.context(db), request=GenerateRequest(narrative="carousel.batch", iterations=3)
    )

    assert (forecast.items, forecast.calls, forecast.models) == (6, 12, (WRITER,))
    assert forecast.input_tokens > 0
    assert forecast.cents > 0
    assert len(gemini.calls) == 0
    for table in (
        "batches",
        "runs",
        "locks",
        "act_executions",
        "ledger",
        "potential_discord_posts",
    ):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_a_dry_run_of_an_unfinished_batch_counts_what_is_left(db, stages):
    batches.plan(db, "carousel.batch", items=[("feature", 1), ("usecase", 1)], options={})

    forecast = dry_run_generate(
        stages.context(db), request=GenerateRequest(narrative="carousel.batch")
    )

    assert (forecast.resumed, forecast.items, forecast.calls) == (True, 2, 4)


def test_rows_for_other_tables_are_settled_with_the_item(db, run, stages):
    stages.write(
        """
        [narrative]
        name = "ideas"
        target = "ideas"
        [toc]
        order = ["think"]
        [acts.think]
        schema = "idea"
        [[acts.think.input]]
        type = "text"
        content = "An idea, number {{iteration}}"
        [schemas.idea]
        type = "object"
        required = ["title"]
        [schemas.idea.properties.title]
        type = "string"
        """,
        "ideas.toml",
    )

    report = run("ideas", iterations=2)

    assert report.exit_code == Exit.DONE, report
    assert db.execute("SELECT count(*) FROM ideas").fetchone() == (2,)


def test_stopping_on_the_first_failure_when_configured(db, run, gemini, stages):
    stages.settings("models", max_concurrent=1)
    stages.settings("generate", retry=type(NO_RETRY)(max_retries=0, continue_on_error=False))
    gemini.script.add("400")

    report = run(iterations=2)

    assert (report.failed, report.left, report.stored) == (1, 3, 0)


def test_a_bug_in_a_worker_is_raised_and_not_swallowed(db, run, monkeypatch):
    monkeypatch.setattr("botticelli.store.generation.executions.insert", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        run(iterations=1)

    assert {state for *_, state in states(db)} == {"pending"}


def test_a_column_that_somebody_has_renamed_is_told_by_its_name(db, run):
    db.execute("ALTER TABLE act_executions RENAME COLUMN response TO answer")

    with pytest.raises(ConfigError, match='column "response" does not exist'):
        run(iterations=1)

    assert {state for *_, state in states(db)} == {"pending"}


REFUSAL = "400:Unknown value at field 17"


def refuse_all(gemini, *, but=0):
    gemini.script.add(*["ok"] * but, *[REFUSAL] * 200)


def test_what_fails_alike_from_the_first_item_on_ends_the_batch(db, run, gemini, stages):
    stages.settings("models", max_concurrent=1)
    refuse_all(gemini)

    with pytest.raises(BotticelliError, match="the first 3 items failed alike") as raised:
        run(iterations=20)
    assert raised.value.exit_code == Exit.FAILED
    assert "Unknown value" in str(raised.value)
    assert states_of_items(db) == {"failed": 3, "pending": 37}
    assert len(gemini.calls) == 3

    stages.settings("models", max_concurrent=8)
    with pytest.raises(BotticelliError, match="another item failed alike"):
        run()  # as a timer does: it tries once, and no item is lost over it
    assert states_of_items(db) == {"failed": 3, "pending": 37}
    assert len(gemini.calls) == 4

    gemini.script.clear()
    report = run()
    assert (report.stored, report.left) == (37, 0)


@pytest.mark.parametrize("workers", [1, 8])
def test_few_calls_are_paid_for_however_many_are_under_way(db, run, gemini, stages, workers):
    stages.settings("models", max_concurrent=workers)
    refuse_all(gemini)

    with pytest.raises(BotticelliError, match="alike"):
        run(iterations=20)

    assert len(gemini.calls) <= 3 + 2 * workers
    assert states_of_items(db)["failed"] == 3


def test_one_that_works_shows_that_the_others_fail_for_themselves(db, run, gemini, stages):
    stages.settings("models", max_concurrent=1)
    stages.settings("generate", retry=NO_RETRY)
    refuse_all(gemini, but=3)

    report = run("carousel.feature", iterations=6)

    assert (report.failed, report.stored, report.left) == (5, 1, 0)


def test_the_last_items_fail_as_any(db, run, gemini, stages):
    stages.settings("models", max_concurrent=1)
    refuse_all(gemini)

    report = run("carousel.feature", iterations=3)

    assert (report.failed, report.left, report.exit_code) == (3, 0, Exit.FAILED)
