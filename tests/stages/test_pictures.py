"""Posts with pictures: made by a model, stored with its answer, paid for once, attached."""

import json
from decimal import Decimal

import pytest

from botticelli.config.model import Limits, NamedModel, Retry
from botticelli.errors import ConfigError, Exit
from botticelli.narrative.checks.narrative_file import check_file
from botticelli.narrative.language.load import load_file
from botticelli.reports.budget import budget_report
from botticelli.stages.generate.plan import GenerateRequest, dry_run_generate
from botticelli.stages.generate.stage import generate
from tests.fakes.pictures import png
from tests.pipeline import NO_RETRY, WRITER

BANANA = "gemini-nano-banana-2.1"
PROMPT = 'prompt = "Draw what fits: {{write.text_content}}"'
FILE = """
    [narrative]
    name = "show"
    target = "potential_discord_posts"
    toc = ["write", "photo"]

    [acts.write]
    prompt = "Write post {{iteration}} as JSON."
    schema = "post"
    attach = "photo"

    [acts.photo]
    type = "image"
    aspect_ratio = "16:9"
    prompt = "Draw what fits: {{write.text_content}}"

    [schemas.post]
    type = "object"
    required = ["text_content"]
    [schemas.post.properties.text_content]
    type = "string"
"""


@pytest.fixture
def run(db, stages):
    stages.write(FILE, "show.toml")
    stages.settings("generate", retry=NO_RETRY)
    unlimited = {BANANA: Limits(rpm=1000, tpm=10**9, rpd=1000)}
    stages.settings("models", limits={**stages.config.models.limits, **unlimited})

    def start(narrative="show", **request):
        return generate(stages.context(db), request=GenerateRequest(narrative=narrative, **request))

    return start


def attached(db):
    return db.execute(
        "SELECT c.text_content, a.position, a.origin, m.content, m.mime, m.width, m.height"
        "  FROM potential_discord_posts AS c"
        "  JOIN post_media AS a ON a.candidate_id = c.id JOIN media AS m USING (sha256)"
        " ORDER BY c.id, a.position"
    ).fetchall()


def calls(db, model=BANANA):
    return db.execute(
        "SELECT state, response, error, cost_usd, output_tokens FROM act_executions"
        " WHERE model = %s ORDER BY id",
        [model],
    ).fetchall()


def test_a_post_gets_the_picture_that_its_narrative_attaches(db, run, gemini):
    report = run(iterations=1)

    assert (report.exit_code, report.stored, report.calls) == (Exit.DONE, 1, 2)
    [(text, position, origin, content, mime, width, height)] = attached(db)
    prompt = f"Draw what fits: {text}"
    assert (position, content) == (1, png(prompt))
    assert (mime, width, height) == ("image/png", 96, 96)
    assert origin["prompt"] == prompt
    assert (origin["act"], origin["model"], origin["version"]) == ("photo", BANANA, BANANA)
    [(state, response, error, cost, tokens)] = calls(db)
    assert (state, error, tokens) == ("done", None, 1124)
    assert json.loads(response)["mime"] == "image/png"
    sent = gemini.calls[-1].prompt_tokens
    dollars = Decimal("1.5") * sent + Decimal("7.5") * (4 + 20) + 30 * 1120
    assert cost == dollars / 1_000_000
    booked = db.execute(
        "SELECT cost_usd FROM ledger_grants WHERE key = %s", [f"gemini/{BANANA}"]
    ).fetchall()
    assert booked == [(cost,)]


def test_a_picture_is_asked_for_with_its_own_inputs_alone(db, run, gemini):
    run(iterations=1)
    drawing = gemini.calls[-1].body
    assert len(drawing["contents"]) == 1
    assert "responseJsonSchema" not in drawing["generationConfig"]


def test_a_picture_that_was_paid_for_is_taken_up_by_the_next_run(db, run, gemini, stages):
    text = FILE.replace('"photo"]', '"photo", "check"]') + CHECK
    stages.write(text.replace('"post"', '"post"\n    extract_output = true', 1), "show.toml")
    gemini.script.add("", "", "429:day")
    broken = run(iterations=1)
    assert (broken.exit_code, attached(db)) == (Exit.TRY_LATER, [])
    [(_, response, *_)] = calls(db)
    db.execute("DELETE FROM ledger_grants")
    db.execute("DELETE FROM ledger")

    again = run(iterations=1)

    assert (again.resumed, again.stored, again.reused) == (True, 1, 2)
    [(_, found, *_)] = calls(db)
    assert found == response
    assert len(attached(db)) == 1


CHECK = """
    [acts.check]
    prompt = "Look at it: {{photo.sha256}}"
    extract_output = false
"""


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no-image", "NO_IMAGE"),
        ("image-safety", "IMAGE_SAFETY"),
        ("text-only", "STOP: I cannot draw that."),
        ("blank-image", "blank picture"),
        ("half-image", "broken picture"),
        ("no-png", "no picture: PNG"),
    ],
)
def test_a_refused_or_broken_picture_is_paid_for_once_and_kept(db, run, gemini, fault, words):
    gemini.script.add("", fault)
    report = run(iterations=1)
    assert (report.failed, report.stored, attached(db)) == (1, 0, [])
    assert words in report.failures[0]
    assert len(gemini.calls) == 2
    [(state, _, error, cost, _)] = calls(db)
    assert state == "unusable"
    assert error
    assert cost > 0
    stored = db.execute("SELECT count(*) FROM media").fetchone()[0]
    assert stored == (fault in ("blank-image", "half-image", "no-png"))


def test_what_an_item_was_refused_is_not_asked_for_again(db, run, gemini, stages):
    stages.settings("generate", retry=Retry(max_retries=3))
    gemini.script.add("", "no-image")
    report = run(iterations=1)
    assert report.failed == 1
    assert [call.model for call in gemini.calls] == [WRITER, BANANA]


def test_the_next_model_of_the_list_may_draw_what_the_first_refused(db, run, gemini, stages):
    text = FILE.replace('type = "image"', f'type = "image"\n    model = ["{BANANA}", "offline"]')
    stages.write(text, "show.toml")
    gemini.script.add("", "no-image")
    assert run(iterations=1).stored == 1
    [(_, _, origin, *_)] = attached(db)
    assert (origin["model"], origin["version"]) == ("offline", "offline")


def test_a_day_in_dollars_is_kept_and_the_rest_waits_for_the_next(db, run, gemini, stages):
    limits = {**stages.config.models.limits, BANANA: Limits(dollars_a_day=0.08)}
    stages.settings("models", limits=limits, max_concurrent=1)
    report = run(iterations=4)
    assert (report.exit_code, report.stored, report.left) == (Exit.TRY_LATER, 2, 2)
    assert "the day's $0.08 are spent" in report.reason
    spent = db.execute("SELECT sum(cost_usd) FROM act_executions WHERE model = %s", [BANANA])
    assert spent.fetchone()[0] <= Decimal("0.08")


def test_a_picture_dearer_than_the_day_is_never_asked_for(db, run, gemini, stages):
    limits = {**stages.config.models.limits, BANANA: Limits(dollars_a_day=0.01)}
    stages.settings("models", limits=limits)
    with pytest.raises(ConfigError, match="more than dollars_a_day"):
        run(iterations=1)
    assert [call.model for call in gemini.calls] == [WRITER]


def test_a_bound_in_dollars_without_a_price_is_refused(db, run, gemini, stages):
    limits = {**stages.config.models.limits, "gemini-image-9": Limits(dollars_a_day=1.0)}
    stages.settings("models", limits=limits, image=("gemini-image-9",))
    with pytest.raises(ConfigError, match="price is not known"):
        run(iterations=1)


def test_a_picture_that_is_there_already_is_taken_as_it_is(db, run, gemini, stages):
    (stages.folder / "logo.png").write_bytes(png("logo"))
    text = FILE.replace(
        'prompt = "Draw what fits: {{write.text_content}}"',
        'input = { type = "image", file = "logo.png" }',
    )
    stages.write(text, "show.toml")
    report = run(iterations=2)
    assert (report.stored, report.calls) == (2, 2)
    assert [row[3] for row in attached(db)] == [png("logo")] * 2
    assert db.execute("SELECT count(*) FROM media").fetchone() == (1,)
    assert attached(db)[0][2] == {"act": "photo", "prompt": ""}


def test_a_picture_may_be_taken_from_a_folder_instead(db, run, gemini, stages):
    (stages.folder / "pictures").mkdir()
    (stages.folder / "pictures" / "sea.png").write_bytes(png("sea"))
    stock = NamedModel(provider="pictures", path=stages.folder / "pictures")
    stages.settings("models", image=("stock",), named={"stock": stock})
    assert run(iterations=1).calls == 2
    [(_, _, origin, content, *_)] = attached(db)
    assert content == png("sea")
    assert (origin["model"], origin["version"]) == ("stock", "sea.png")


def test_offline_everything_works_without_a_key(db, run, gemini, stages):
    stages.settings("models", only=("offline",))
    assert run(iterations=2).stored == 2
    assert len(attached(db)) == 2
    assert not gemini.calls


def test_a_dry_run_says_what_a_picture_costs_and_draws_none(db, run, gemini, stages):
    found = dry_run_generate(stages.context(db), request=GenerateRequest(narrative="show"))
    assert not gemini.calls
    assert db.execute("SELECT count(*) FROM media").fetchone() == (0,)
    assert "3.4" in str(found)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('attach = "photo"', 'attach = "foto"', "no act is 'foto'; did you mean 'photo'"),
        ('attach = "photo"', 'attach = "write"', "act 'write' makes no picture"),
        ('aspect_ratio = "16:9"', 'aspect_ratio = "wide"', "'wide' is no aspect ratio"),
        ('aspect_ratio = "16:9"', 'size = "huge"', "'huge' is no size"),
        (PROMPT, 'input = { type = "document", file = "x.pdf" }', "a picture of nothing"),
    ],
)
def test_a_file_that_cannot_work_says_why(run, stages, before, after, words):
    stages.write(FILE.replace(before, after), "show.toml")
    with pytest.raises(ConfigError) as error:
        run(iterations=1)
    assert words in str(error.value)
    assert len(error.value.problems) == 1


def test_the_budget_shows_the_day_in_dollars(db, run, stages):
    limits = {**stages.config.models.limits, BANANA: Limits(dollars_a_day=0.5)}
    stages.settings("models", limits=limits)
    run(iterations=1)
    config = stages.config
    report = budget_report(db, models=config.models, multipliers=config.budget, clock=stages.clock)
    [shown] = [model.dollars for model in report.models if model.model == BANANA]
    [(*_, cost, _)] = calls(db)
    assert (shown.used, shown.allowed, shown.left) == (cost, Decimal("0.5"), Decimal("0.5") - cost)


def test_a_model_that_makes_no_pictures_is_found_before_anything_is_paid(run, stages, gemini):
    text = FILE.replace('type = "image"', f'type = "image"\n    model = "{WRITER}"')
    stages.write(text, "show.toml")
    with pytest.raises(ConfigError, match="makes no pictures") as error:
        run(iterations=1)
    assert BANANA in error.value.hint
    assert not gemini.calls
    file = load_file(stages.folder / "show.toml")
    found = check_file(file, stages.config, cwd=stages.folder)
    [line] = map(str, found.problems)
    assert f"acts.photo.model: model '{WRITER}': it makes no pictures" in line


def test_a_model_for_texts_is_not_asked_for_pictures(run, stages, db):
    text = FILE.replace('name = "show"', f'name = "show"\n    model = "{WRITER}"')
    stages.write(text, "show.toml")
    assert run(iterations=1, models=(WRITER,)).stored == 1
    assert calls(db)


def test_a_missing_pillow_and_a_default_that_draws_nothing_are_found_by_the_check(
    run, stages, monkeypatch
):
    monkeypatch.setattr("botticelli.narrative.checks.narrative_file.has_pillow", lambda: False)
    stages.settings("models", image=(WRITER,))
    file = load_file(stages.folder / "show.toml")
    found = check_file(file, stages.config, cwd=stages.folder)
    [line] = map(str, found.problems)
    assert f"model '{WRITER}': it makes no pictures" in line
    assert any("pip install 'botticelli[images]'" in str(each) for each in found.warnings)
    with pytest.raises(ConfigError, match="makes no pictures"):
        run(iterations=1)
