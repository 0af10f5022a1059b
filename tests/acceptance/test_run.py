"""`botticelli run` as a user meets it: answers on stdout, everything else on stderr."""

import json

import pytest

HAIKU = """
[narrative]
name = "haiku"
target = "haiku"
[narrative.context]
topic = "rivers"
[toc]
order = ["write", "store"]
[schemas.poem]
type = "object"
required = ["title", "lines"]
[schemas.poem.properties.title]
type = "string"
[schemas.poem.properties.lines]
type = "array"
items = { type = "string" }
[acts]
write = "Write about {{topic}}."
[acts.store]
schema = "poem"
[[acts.store.input]]
content = "As JSON: {{write}}"
"""


@pytest.fixture
def haiku(botticelli):
    (botticelli.cwd / "haiku.toml").write_text(HAIKU)
    return botticelli


def test_the_answer_is_on_stdout_and_the_rest_on_stderr(haiku, db):
    ended = haiku("run haiku.toml --offline")

    assert ended.code == 0, ended.err
    assert set(json.loads(ended.out)) == {"title", "lines"}
    assert "1 row stored in haiku" in ended.err
    assert "2 calls" in ended.err
    assert db.execute("SELECT count(*), min(generation_model) FROM haiku").fetchone() == (
        1,
        "offline",
    )
    assert db.execute("SELECT stage, state, exit_code FROM runs").fetchone() == ("run", "done", 0)


def test_a_name_behind_a_colon_or_as_an_option(haiku, db):
    assert haiku("run haiku.toml:haiku --offline").code == 0
    assert haiku("run haiku --narrative-name haiku --offline").code == 0
    ended = haiku("run haiku:other --offline")
    assert ended.code != 0
    assert "other" in ended.err


def test_what_the_earlier_systems_recipes_pass_is_understood(haiku, db):
    ended = haiku(
        "run -n haiku.toml --save --state-dir .state --process-discord --verbose --offline"
    )

    assert ended.code == 0, ended.err
    assert "--state-dir is not needed" in ended.err


def test_the_file_may_be_an_option_as_it_once_was(haiku, db):
    assert haiku("run --narrative haiku.toml --narrative-name haiku --offline").code == 0
    for line in ("run", "run haiku --narrative haiku"):
        ended = haiku(line)
        assert ended.code == 2
        assert "write botticelli run FILE" in ended.err


def test_inputs_fill_placeholders(haiku, db):
    ended = haiku(["run", "haiku", "--offline", "--dry-run", "--input", "topic=old boats"])

    assert "Write about old boats." in ended.out


def test_a_dry_run_shows_the_prompts_and_changes_nothing(haiku, db):
    ended = haiku("run haiku --offline --dry-run --iterations 3")

    assert ended.code == 0, ended.err
    assert "Write about rivers." in ended.out
    assert "6 calls" in ended.out
    assert db.execute("SELECT to_regclass('haiku')").fetchone() == (None,)
    assert db.execute("SELECT count(*) FROM act_executions").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_a_run_can_stop_after_an_act(haiku, db):
    ended = haiku("run haiku --offline --act write --json")

    report = json.loads(ended.out)
    assert [act["name"] for act in report["acts"]] == ["write"]
    assert report["stored"] == {}
    assert haiku("run haiku --offline --act nothing").code == 2


def test_json_holds_every_act(haiku, db):
    report = json.loads(haiku("run haiku --offline --json --iterations 2").out)

    assert len(report["answers"]) == 2
    assert [(act["iteration"], act["name"]) for act in report["acts"]] == [
        (1, "write"),
        (1, "store"),
        (2, "write"),
        (2, "store"),
    ]
    assert report["stored"] == {"haiku": [1, 2]}


def test_a_failed_act_is_a_failed_run(botticelli, db):
    (botticelli.cwd / "f.toml").write_text(
        '[narrative]\nname = "f"\ntarget = "t"\n[toc]\norder = ["a"]\n[acts]\na = "Say no."\n'
    )
    ended = botticelli("run f --offline")

    states = db.execute("SELECT state FROM act_executions ORDER BY id").fetchall()
    assert ended.code == 1, ended.out
    assert "act 'a'" in ended.err
    assert states == [("unusable",), ("unusable",)]
    assert db.execute("SELECT state FROM runs").fetchone() == ("failed",)


def test_offline_means_offline_whatever_models_a_narrative_names(botticelli, db):
    (botticelli.cwd / "f.toml").write_text(
        '[narrative]\nname = "f"\nmodel = "gemini-2.5-pro"\nskip_content_generation = true\n'
        '[toc]\norder = ["a", "b"]\n[acts.a]\nprompt = "Say no."\nmodel = "gpt-4"\n'
        '[acts.b]\nprompt = "Say yes."\n'
    )
    report = json.loads(botticelli("run f --offline --json").out)

    assert [act["model"] for act in report["acts"]] == ["offline", "offline"]


def test_offline_reaches_no_platform_and_says_so(botticelli, db):
    botticelli.environ["DISCORD_TOKEN"] = "t" * 20
    (botticelli.cwd / "f.toml").write_text(
        'name = "f"\n[[acts]]\nname = "a"\n[[acts.inputs]]\ntype = "bot_command"\n'
        'platform = "discord"\ncommand = "channels.list"\nrequired = true\nguild_id = "1"\n'
    )
    assert botticelli("trust f.toml").code == 0
    ended = botticelli("run f --offline")

    assert ended.code == 1
    assert "--offline: reaches no platform; leave it out to run this" in ended.err


def test_a_warning_names_its_file_once(botticelli, db):
    (botticelli.cwd / "f.toml").write_text(
        '[narrative]\nname = "f"\nskip_content_generation = true\nauhtor = "x"\n'
        '[toc]\norder = ["a"]\n[acts]\na = "Say no."\n'
    )
    ended = botticelli("run f --offline")

    assert ended.err.count("f.toml") == 1
    assert "f.toml:4: narrative.auhtor: unknown key, ignored; did you mean 'author'?" in ended.err


def test_an_input_without_a_value_is_a_mistake(haiku, db):
    ended = haiku("run haiku --input topic")

    assert ended.code == 2
    assert "KEY=VALUE" in ended.err


def test_a_narrative_that_calls_others_prints_their_last_answers(botticelli, db):
    (botticelli.cwd / "all.toml").write_text(
        '[narrative.all]\ntoc = ["x", "y"]\nskip_content_generation = true\n'
        '[narrative.all.acts.x]\nnarrative = "one"\n[narrative.all.acts.y]\nnarrative = "two"\n'
        '[narrative.one]\ntoc = ["a", "b"]\nskip_content_generation = true\n'
        '[narrative.two]\ntoc = ["b"]\nskip_content_generation = true\n'
        '[acts]\na = "First."\nb = "Second."\n'
    )

    report = json.loads(botticelli("run all:all --offline --json").out)

    assert len(report["answers"]) == 2
    assert report["answers"][0] == report["acts"][1]["answer"]


@pytest.mark.parametrize("name", ["short_posts:batch", "generation_carousel:tutorial"])
def test_a_shipped_narrative_runs_with_the_offline_model(botticelli, db, name):
    ended = botticelli(f"run {name} --offline")

    assert ended.code == 0, ended.err
    stored = db.execute("SELECT count(*) FROM potential_discord_posts").fetchone()
    assert stored == (3 if name.startswith("short") else 1,)


ROUNDS = """
[narrative]
name = "many"
toc = ["a"]
skip_content_generation = true
[acts.a]
prompt = "Hello"
carousel = 1000000
"""


def test_a_dry_run_of_a_million_rounds_is_counted_not_walked(botticelli, db):
    (botticelli.cwd / "many.toml").write_text(ROUNDS)

    ended = botticelli("run many.toml --dry-run --offline --iterations 1000000 --json")

    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["calls"] == 1_000_000 * 1_000_000


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("channel_id = '111111111111111111'", "needs content"),
        ("channel_id = 'general', content = 'x'", "is not a Discord id"),
        ("channel_id = '111111111111111111', content = 'x', colour = 1", "does not know colour"),
    ],
)
def test_a_dry_run_checks_the_arguments_of_commands(botticelli, db, args, said):
    (botticelli.cwd / "send.toml").write_text(
        "[narrative]\nname = 's'\nskip_content_generation = true\ntoc = ['a']\n"
        "[[acts.a.input]]\nplatform = 'discord'\ncommand = 'messages.send'\nrequired = true\n"
        f"args = {{ {args} }}\n"
    )

    ended = botticelli("run send.toml --dry-run --offline")

    assert ended.code == 78
    assert said in ended.err
