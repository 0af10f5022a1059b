"""dialect.md, paragraph by paragraph: what each promises is what a run does."""

import json
from pathlib import Path

import pytest

from botticelli.errors import BotticelliError, ConfigError
from botticelli.narrative.language.load import choose, find_narrative, load_text
from tests.narrative.scripted import stage

HEAD = '[narrative]\nname = "n"\nskip_content_generation = true\n'
ONE = HEAD + '[toc]\norder = ["a"]\n'
ACTS = '[acts]\na = "A."\nb = "B."\n'
ORDER = 'order = ["b", "a", "b"]\n'
TWO = HEAD + '[toc]\norder = ["a", "b"]\n'


def load(text):
    return load_text(text, Path("story.toml"))


def mistakes(text):
    with pytest.raises(ConfigError) as told:
        load(text)
    return [str(problem) for problem in told.value.problems]


def prompts(run):
    return [request.messages[-1].text for request, _ in run.caller.asked]


# --- §3: shapes and names ----------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["story", "story.toml", "story:n", "story.n", "story:story"])
def test_3_a_single_narrative_answers_to_every_way_of_calling_it(tmp_path, reference):
    (tmp_path / "story.toml").write_text(ONE + '[acts]\na = "Go."\n')

    assert find_narrative(reference, folders=(), cwd=tmp_path)[1].name == "n"


def test_3_a_description_is_optional_and_what_is_no_narrative_key_warns():
    file = load(ONE + 'auhtor = "x"\n[acts]\na = "Go."\n')

    assert choose(file).description == ""
    assert file.warnings == ("story.toml:6: toc.auhtor: unknown key, ignored",)


# --- §4.3: toc ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "toc",
    [
        HEAD + "[toc]\n" + ORDER + ACTS,
        'toc = ["b", "a", "b"]\n' + HEAD + ACTS,
        HEAD + 'toc = ["b", "a", "b"]\n' + ACTS,
        HEAD + "[narrative.toc]\n" + ORDER + ACTS,
        '[narrative.n]\ntoc = ["b", "a", "b"]\nskip_content_generation = true\n' + ACTS,
        "[narratives.n]\nskip_content_generation = true\n[narratives.n.toc]\n" + ORDER + ACTS,
        HEAD + '[[acts]]\nname = "b"\nprompt = "B."\n[[acts]]\nname = "a"\nprompt = "A."\n'
        '[[acts]]\nname = "b"\nprompt = "B."\n',
    ],
)
def test_4_3_an_act_that_stands_twice_in_the_toc_runs_twice(db, toc):
    run = stage(db, toc)
    run.run()

    assert prompts(run) == ["B.", "A.", "B."]


def test_4_3_unused_acts_may_be_as_broken_as_they_like(db):
    run = stage(db, ONE + '[acts]\na = "Go."\nold = ""\nother = "bots.gone"\n[acts.empty]\n')
    run.run()

    assert prompts(run) == ["Go."]


def test_4_2_an_act_of_the_narrative_itself_goes_before_a_shared_one(db):
    run = stage(
        db,
        '[narrative.x]\ntoc = ["a", "b"]\nskip_content_generation = true\n'
        '[narrative.x.acts]\na = "Own."\n[acts]\na = "Shared."\nb = "B."\n',
    )
    run.run("x")

    assert prompts(run) == ["Own.", "B."]


# --- §4.4: acts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "prompt"),
    [
        ('"media.x is nice"', "media.x is nice"),
        ('"bots.a and tables.b"', "bots.a and tables.b"),
        ('["One.", "Two."]', "One.\nTwo."),
        ('{ prompt = "Go." }', "Go."),
        ('{ text = "Go." }', "Go."),
        ('{ input = "Go." }', "Go."),
        ('{ inputs = ["Go."] }', "Go."),
        ('{ input = { content = "Go." } }', "Go."),
        ('{ input = [{ text = "Go." }, "Now."] }', "Go.\nNow."),
        ('{ prompt = "Go.", input = ["Now."] }', "Go.\nNow."),
    ],
)
def test_4_4_every_spelling_of_a_prompt_is_one(db, act, prompt):
    run = stage(db, ONE + f"[acts]\na = {act}\n")
    run.run()

    assert prompts(run) == [prompt]


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ('""', "a prompt without text"),
        ("[]", "an act without input"),
        ('"bots.none"', "bot 'none' is not defined; add [bots.none]"),
        ('"tables.none"', "table 'none' is not defined"),
        ('"media.none"', "media 'none' is not defined"),
        ("{ input = [] }", "an act without input"),
        ("5", "must be a string, a list or a table"),
        ("[5]", "must be a string or a table"),
        ('{ prompt = "x", temperature = "hot" }', "must be a number from 0 on"),
        ('{ prompt = "x", model = 3 }', "must be a string or a list of strings"),
        ('{ prompt = "x", max_tokens = 0 }', "must be a whole number from 1 on"),
        ('{ prompt = "x", extract_output = "yes" }', "must be true or false"),
        ('{ prompt = "x", carousel = {} }', "has no iterations"),
        ('{ input = [{ type = "sound" }] }', "there is no input type 'sound'"),
        ('{ input = [{ type = "image" }] }', "has no source"),
        ('{ input = [{ type = "image", url = "u", file = "f" }] }', "exactly one of"),
        ('{ input = [{ type = "table" }] }', "has no table_name"),
        ('{ input = [{ type = "table", table_name = "a b" }] }', "is not a valid name"),
        ('{ input = [{ type = "table", table_name = "t", limit = -1 }] }', "from 0 on"),
        ('{ input = [{ type = "table", table_name = "t", format = "xml" }] }', "not one of"),
        ('{ input = [{ type = "bot_command", platform = "discord" }] }', "without command"),
        ('{ input = [{ type = "bot_command", command = "x" }] }', "without platform"),
        ('{ input = [{ ref = "bot.x" }] }', "'bot.x' refers to nothing; did you mean 'bots'?"),
    ],
)
def test_4_4_every_wrong_act_is_told_as_what_it_is(act, words):
    told = mistakes(ONE + f"[acts]\na = {act}\n")

    assert any(words in line for line in told), told
    assert all(line.startswith("story.toml:7: acts.a") for line in told)


def test_4_4_a_narrative_of_the_same_file_is_an_act_under_both_names(db):
    for key in ("narrative", "narrative_ref"):
        run = stage(
            db,
            f'[narrative.outer]\ntoc = ["x", "y"]\nskip_content_generation = true\n'
            f'[narrative.outer.acts.x]\n{key} = "inner"\n[narrative.inner]\ntoc = ["z", "w"]\n'
            'skip_content_generation = true\n[acts]\nz = "Z."\nw = "W."\ny = "After: {{x}}"\n',
        )
        run.run("outer")

        said = "answer of z\n\nanswer of w"  # in the conversation, and where it is named
        assert prompts(run) == ["Z.", "W.", f"{said}\nAfter: {said}"]


def test_4_4_flat_commands_in_lists_keep_name_as_an_argument(db):
    text = (
        'name = "n"\nskip_content_generation = true\n[[acts]]\nname = "make"\n[[acts.inputs]]\n'
        'type = "bot_command"\nplatform = "discord"\ncommand = "channels.create"\nrequired = true\n'
        'guild_id = "${TEST_GUILD_ID}"\nname = "easel"\nchannel_type = "Text"\nstore_as = "KEPT"\n'
        '[[acts]]\nname = "use"\n[[acts.inputs]]\ntype = "bot_command"\nplatform = "discord"\n'
        'command = "channels.delete"\nchannel_id = "${STATE:KEPT}"\n'
    )
    results = {"channels.create": {"id": "42"}, "channels.delete": {}}
    run = stage(db, text, discord=results, environ={"TEST_GUILD_ID": "7"})
    run.run()

    made, gone = run.discord.calls
    assert made.args == {"guild_id": "7", "name": "easel", "kind": "Text"}
    assert gone.args == {"channel_id": "42"}
    assert run.caller.asked == []


def test_4_6_a_medium_in_a_table_of_its_own_is_one(db):
    text = (
        ONE
        + '[acts.a]\ninputs = [{ type = "image", source = { url = "https://x.org/a.png" } }, "?"]\n'
    )
    run = stage(db, text)
    run.run()

    part = run.caller.asked[0][0].messages[-1].parts[0]
    assert (part.data, part.mime) == (b"seen at https://x.org/a.png", "image/png")
    told = mistakes(text.replace("source =", 'file = "b.png", source ='))
    assert told == [
        "story.toml:7: acts.a.inputs[0]: has url and file; give exactly one of url, base64 and file"
    ]


def test_4_6_an_input_without_a_type_is_what_its_keys_say(db):
    text = ONE + (
        '[acts.a]\ninputs = [{ platform = "discord", command = "messages.send", channel_id = "1",'
        ' content = "x" }, { table_name = "potential_discord_posts" }, { content = "Go." }]\n'
    )
    run = stage(db, text, discord={"messages.send": {"id": "1"}})
    run.run()

    assert run.discord.calls[0].args == {"channel_id": "1", "content": "x"}
    assert prompts(run)[0].endswith("[]\nGo.")


# --- §4.5: carousels ---------------------------------------------------------------------------


@pytest.mark.parametrize("carousel", ["3", "{ iterations = 3 }", '"3"'])
@pytest.mark.parametrize(
    "place",
    [
        "carousel = {}\n" + ONE,
        HEAD + "carousel = {}\n[toc]\norder = ['a']\n",
        ONE + "carousel = {}\n",
    ],
    ids=["root", "narrative", "toc"],
)
def test_4_5_a_carousel_is_one_wherever_it_stands(db, carousel, place):
    run = stage(
        db, place.replace("carousel = {}", f"carousel = {carousel}") + '[acts]\na = "Go."\n'
    )

    assert len(run.carousel()) == 3


# --- §5: what calls a model --------------------------------------------------------------------


def test_5_what_has_no_prompt_of_its_own_asks_nobody_and_is_seen_later(db):
    db.execute("CREATE TABLE things (a text)")
    db.execute("INSERT INTO things VALUES ('x'), ('y')")
    text = TWO + (
        '[tables.things]\ntable_name = "things"\nformat = "csv"\n[bots.stats]\n'
        'platform = "discord"\ncommand = "server.get_stats"\nguild_id = 7\n[acts]\n'
        'a = ["tables.things", "bots.stats"]\nb = "Speak of {{things}} and {{a.members}}."\n'
    )
    run = stage(db, text, discord={"server.get_stats": {"members": 3}})
    run.run()

    assert len(run.caller.asked) == 1
    assert run.caller.prompt().endswith("Speak of a\nx\ny and 3.")
    assert run.discord.calls[0].args == {"guild_id": 7}


# --- §6, §7: placeholders and the environment ---------------------------------------------------


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("{{a}}", "7"),
        ("{{ a }}", "7"),
        ("${a}", "7"),
        ("{{previous}}", "7"),
        ("${prev}", "7"),
        ("${env:WHO}", "vera"),
        ("${WHO}", "vera"),
        ("$WHO", "$WHO"),
        ("${who}", "${who}"),
        ("{a}", "{a}"),
        ("{{nobody}}", "{{nobody}}"),
        ("{% if a %}yes{% else %}no{% endif %}", "yes"),
        ("{% if nobody %}yes{% else %}no{% endif %}", "no"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("{{input}}", "piped"),
    ],
)
def test_6_what_a_placeholder_in_a_prompt_becomes(db, written, filled):
    run = stage(
        db,
        TWO + f"[acts]\na = 'Give a number.'\nb = 'See {written}'\n",
        answers=["7"],
        environ={"WHO": "vera"},
        variables={"input": "piped"},
    )
    run.run()

    assert prompts(run)[1] == f"See {filled}"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{{nobody}}", "argument content|act 'b'"),
        ("${state:NEVER}", "the state has no 'NEVER'"),
        ("${env:NEVER}", "environment variable NEVER is not set"),
        ("${NEVER}", "environment variable NEVER is not set"),
    ],
)
def test_6_what_cannot_be_filled_in_an_argument_is_an_error(db, written, words):
    text = TWO + (
        '[bots.say]\nplatform = "discord"\ncommand = "messages.send"\nchannel_id = "1"\n'
        f'content = "{written}"\n[acts]\na = "Go."\nb = "bots.say"\n'
    )
    run = stage(db, text, discord={"messages.send": {}})

    with pytest.raises(BotticelliError, match=words):
        run.run()
    assert run.discord.calls == []


# --- §8: filters and formats -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("review_status = 'pending'", 2),
        ("1=0", 0),
        ("created_at > NOW() - INTERVAL '30 days'", 2),
        ("created_at > NOW() - INTERVAL '7 days' AND stock_level < reorder_point", 1),
        ("stock_level < reorder_point", 1),
        ("review_status IN ('a', 'pending') OR NOT (stock_level IS NULL)", 3),
        ("note = 'drop it; -- now'", 1),
    ],
)
@pytest.mark.parametrize("key", ["where", "where_clause"])
def test_8_1_the_filters_of_the_files_in_use_filter(db, where, rows, key):
    db.execute(
        "CREATE TABLE wares (review_status text, stock_level int, reorder_point int, note text,"
        " created_at timestamptz)"
    )
    db.execute(
        "INSERT INTO wares VALUES ('pending', 1, 5, 'drop it; -- now', now()),"
        " ('pending', 9, 5, '', now()), ('posted', 9, 5, '', now() - interval '60 days')"
    )
    text = ONE + f'[[acts.a.input]]\ntype = "table"\ntable_name = "wares"\n{key} = "{where}"\n'
    run = stage(db, text + '[[acts.a.input]]\ncontent = "Count."\n')
    run.run()

    assert len(json.loads(run.caller.prompt().removesuffix("\nCount."))) == rows


def test_8_1_both_names_of_the_filter_at_once_are_a_mistake():
    told = mistakes(
        ONE + '[acts]\na = ["tables.t", "x"]\n[tables.t]\ntable_name = "t"\nwhere = "a = 1"\n'
        'where_clause = "b = 1"\n'
    )

    assert len(told) == 1
    assert told[0].startswith("story.toml:11: tables.t.where_clause: where and where_clause are")


@pytest.mark.parametrize(
    ("form", "full", "empty"),
    [
        ("json", '[\n  {\n    "a": "x|y",\n    "b": null\n  }\n]', "[]"),
        ("markdown", "| a | b |\n| --- | --- |\n| x\\|y | null |", "No data"),
        ("csv", "a,b\nx|y,", ""),
    ],
)
def test_8_2_rows_in_every_form_and_none(db, form, full, empty):
    db.execute("CREATE TABLE t (a text, b int)")
    db.execute("INSERT INTO t VALUES ('x|y', NULL)")
    text = ONE + (
        f'[tables.t]\ntable_name = "t"\nformat = "{form.upper()}"\n[acts]\n'
        'a = ["tables.t", "{% if t %}Here: {{t}}{% else %}None.{% endif %}"]\n'
    )
    for expected in (f"Here: {full}", "None."):
        run = stage(db, text)
        run.run()
        assert run.caller.prompt() == expected
        db.execute("DELETE FROM t")
    shown = stage(db, text.replace("Here: {{t}}{% else %}None.", "{% else %}Look: {{t}}"))
    shown.run()
    assert shown.caller.prompt() == f"Look: {empty}"


# --- §13: the strongest word wins ---------------------------------------------------------------


def test_13_act_then_its_config_then_narrative_then_file(db):
    text = (
        'model = "of-the-root"\n'
        + HEAD.replace("skip", "temperature = 0.5\nskip")
        + '[toc]\norder = ["a", "b", "c"]\n[config.gemini]\ntemperature = 0.1\nmax_tokens = 10\n'
        '[shared]\nmax_tokens = 99\nmodel = "shared"\n'
        '[acts]\nc = "C."\n[acts.a]\nprompt = "A."\nmodel = "own"\ntemperature = 1\n'
        '[acts.a.config]\ntemperature = 0.9\nmax_tokens = 20\n[acts.b]\nprompt = "B."\n'
    )
    run = stage(db, text)
    run.run()

    said = [(r.model, r.temperature, r.max_tokens) for r, _ in run.caller.asked]
    assert said == [("own", 1.0, 20), ("of-the-root", 0.5, 10), ("of-the-root", 0.5, 10)]


def test_13_an_unknown_key_in_a_budget_is_a_mistake_wherever_it_stands():
    for place in ("narrative.budget", "narrative.carousel.budget"):
        carousel = "[narrative.carousel]\niterations = 2\n" if "carousel" in place else ""
        told = mistakes(
            HEAD + f"{carousel}[{place}]\nrpm = 0.5\n[toc]\norder = ['a']\n[acts]\na = 'x'\n"
        )
        assert [line.rpartition(": ")[2] for line in told] == ["unknown key"], told


# --- §16.27: keys of the state, in every spelling ------------------------------------------------


@pytest.mark.parametrize(
    "keep",
    [
        'state = { cache_key = "our_channel", extract_field = "id" }',
        'state = { cache_key = "our_channel", extract_field = "channel_id" }',
        'store_as = "our_channel"',
    ],
)
@pytest.mark.parametrize("written", ["${our_channel}", "${state:our_channel}"])
def test_16_27_what_a_file_keeps_answers_to_its_key(db, keep, written):
    text = TWO + (
        '[[acts.a.input]]\ntype = "bot_command"\nplatform = "discord"\n'
        f'command = "channels.create"\nargs = {{ guild_id = 1, name = "x" }}\n{keep}\n'
        '[[acts.b.input]]\ntype = "bot_command"\nplatform = "discord"\n'
        f'command = "channels.delete"\nargs = {{ channel_id = "{written}" }}\n'
    )
    results = {"channels.create": {"id": "42"}, "channels.delete": {}}
    run = stage(db, text, discord=results)
    run.run()

    assert run.discord.calls[1].args == {"channel_id": "42"}


def test_6_a_key_that_only_another_file_keeps_is_no_word_of_a_prompt(db):
    db.execute("INSERT INTO narrative_state (key, value) VALUES ('id', '42')")
    run = stage(db, ONE + "[acts]\na = 'In JavaScript: ${id}.'\n")
    run.run()

    assert prompts(run) == ["In JavaScript: ${id}."]


def test_3_a_table_of_metadata_names_a_narrative_of_acts_and_a_toc(db):
    text = (
        '[metadata]\nname = "My First Narrative"\ndescription = "Two acts"\n'
        '[toc]\norder = ["a", "b"]\n[acts.a]\nprompt = "Greet."\n[acts]\nb = "Part."\n'
    )
    run = stage(db, text)
    run.run()

    assert prompts(run) == ["Greet.", "Part."]
    assert run.runner.file.narratives["My First Narrative"].description == "Two acts"
