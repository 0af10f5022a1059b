"""Narratives as they run: order, history, placeholders, commands, carousels, storing."""

import json

import pytest

from botticelli.errors import BotticelliError, ConfigError, TryLater
from botticelli.narrative.commands.database import DatabaseCommands
from botticelli.narrative.errors import ActFailed, CommandFailed
from botticelli.narrative.run.results import ActState
from tests.narrative.scripted import stage

TWO_ACTS = """
[narrative]
name = "talk"
skip_content_generation = true
[toc]
order = ["ask", "sharpen"]
[acts]
ask = "Say something."
sharpen = "Make this shorter: {{ask}}"
"""

ONE_ROW = """
[narrative]
name = "posts about things"
target = "things"
[toc]
order = ["write"]
[acts]
write = "Write one."
"""


def rows(db, table, columns="*", order="id"):
    return db.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()


def test_acts_run_in_order_and_see_each_other(db):
    talk = stage(db, TWO_ACTS, answers=["a long word", "word"])

    execution = talk.run()

    assert execution.text == "a long word\n\nword"
    assert talk.caller.prompt() == "Make this shorter: a long word"
    said = [(m.role, m.text) for m in talk.caller.asked[1][0].messages]
    assert said[:2] == [("user", "Say something."), ("assistant", "a long word")]
    assert [key.sequence_number for _, key in talk.caller.asked] == [0, 1]


def test_an_act_without_history_sees_its_own_inputs_and_is_seen_by_later_acts(db):
    act = '{ prompt = "Make this shorter: {{ask}}", history = false }\nlast = "And now?"'
    alone = TWO_ACTS.replace('"Make this shorter: {{ask}}"', act)
    alone = alone.replace('"sharpen"]', '"sharpen", "last"]')
    talk = stage(db, alone, answers=["a long word", "word", "yes"])

    talk.run()

    texts = [[m.text for m in request.messages] for request, _ in talk.caller.asked]
    assert texts[1] == ["Make this shorter: a long word"]
    assert texts[2][2:] == ["Make this shorter: a long word", "word", "And now?"]


def test_what_was_put_in_is_not_a_template(db):
    talk = stage(db, TWO_ACTS, answers=["{{ask}} ${HOME} {% if ask %}x{% endif %}", "y"])

    talk.run()

    assert talk.caller.prompt().endswith("{{ask}} ${HOME} {% if ask %}x{% endif %}")


def test_the_strongest_model_setting_wins(db):
    text = """
[narrative]
name = "n"
model = "m-narrative"
temperature = 0.1
skip_content_generation = true
[toc]
order = ["a", "b"]
[acts]
a = "x"
[acts.b]
model = "m-act"
max_tokens = 7
[[acts.b.input]]
content = "y"
"""
    plain = stage(db, text)
    plain.run()
    assert plain.caller.models == [("m-narrative",), ("m-act",)]
    assert plain.caller.asked[1][0].max_tokens == 7
    assert plain.caller.asked[1][0].temperature == 0.1

    forced = stage(db, text, only=("m-cli",))
    forced.run()
    assert forced.caller.models == [("m-cli",), ("m-cli",)]


def test_an_answer_becomes_a_row_with_its_origin(db):
    posts = stage(db, ONE_ROW, answers=['```json\n{"title": "A", "n": 3}\n```'])

    posts.run()

    found = db.execute(
        "SELECT title, n, source_narrative, source_act, generation_model, review_status FROM things"
    ).fetchone()
    assert found == ("A", 3, "posts about things", "write", "scripted-1", "pending")
    assert db.execute("SELECT status, row_count FROM content_generations").fetchone() == (
        "success",
        1,
    )


def test_a_useless_answer_is_rejected_and_asked_for_once_more(db):
    posts = stage(db, ONE_ROW, answers=["I would rather not.", '{"title": "A"}'])

    posts.run()

    assert posts.caller.rejected == [("I would rather not.", "there is no JSON in the answer")]
    assert rows(db, "things", "title") == [("A",)]


def test_two_useless_answers_end_the_run_and_both_are_kept(db):
    posts = stage(db, ONE_ROW, answers=['[{"title": "A"}, {"ti', "no"])

    with pytest.raises(ActFailed, match="no JSON"):
        posts.run()

    assert [text for text, _ in posts.caller.rejected] == ['[{"title": "A"}, {"ti', "no"]
    assert db.execute("SELECT to_regclass('things')").fetchone() == (None,)


def test_prose_without_a_target_is_only_a_warning(db):
    talk = stage(db, TWO_ACTS.replace("skip_content_generation = true", ""), answers=["a", "b"])

    execution = talk.run()

    assert execution.outputs == ()
    assert "stores nothing" in execution.warnings[0]
    assert talk.caller.rejected == []


SCHEMA = """
[narrative]
name = "posts"
target = "things"
[toc]
order = ["write", "format"]
[schemas.post]
type = "object"
required = ["title"]
additionalProperties = false
[schemas.post.properties.title]
type = "string"
[acts.write]
schema = "post"
[[acts.write.input]]
content = "Write."
[acts.format]
schema = "post"
skip_if_valid = true
[[acts.format.input]]
content = "Format {{write}}."
"""


def test_an_act_that_is_satisfied_already_asks_nobody(db):
    posts = stage(db, SCHEMA, answers=['{"title": "A"}'])

    execution = posts.run()

    assert len(posts.caller.asked) == 1
    assert rows(db, "things", "title, source_act") == [("A", "format")]
    assert execution.acts[1].answer is execution.acts[0].answer


def test_an_answer_against_the_schema_is_rejected(db):
    posts = stage(db, SCHEMA, answers=['{"title": 5}', '{"title": "A"}'])

    posts.run()

    assert "does not fit its schema" in posts.caller.rejected[0][1]


def test_an_object_for_a_list_of_one_is_taken(db):
    text = (
        SCHEMA.replace("[schemas.post]", "[schemas.other]")
        .replace("[acts.write]", '[schemas.post]\ntype = "array"\nminItems = 1\n[acts.write]', 1)
        .replace("[schemas.post.properties.title]", "[schemas.other.properties.title]")
    )
    posts = stage(db, text, answers=['{"title": "A"}', '[{"title": "A"}]'])

    posts.run()

    assert posts.caller.rejected == []
    assert rows(db, "things", "title") == [("A",)]


COMMANDS = """
[narrative]
name = "poster"
skip_content_generation = true
[toc]
order = ["find", "send", "mark"]
[bots.find]
platform = "discord"
command = "channels.get"
guild_id = "${GUILD}"
[bots.send]
platform = "discord"
command = "messages.send"
channel_id = "${find.id}"
content = "hello"
[bots.mark]
platform = "database"
command = "update_table"
table_name = "approved_discord_posts"
where_clause = "review_status = 'pending'"
limit = 1
[bots.mark.updates]
review_status = "posted"
posted_at = "NOW()"
[acts]
find = "bots.find"
send = "bots.send"
mark = "bots.mark"
"""


def with_database(db):
    commands = DatabaseCommands(conn=db, writable=("approved_discord_posts",), approves=True)
    return {"database": commands}


def approved(db, *texts):
    for text in texts:
        db.execute("INSERT INTO approved_discord_posts (text_content) VALUES (%s)", [text])


def test_results_of_commands_reach_later_arguments(db):
    approved(db, "one", "two")
    poster = stage(
        db,
        COMMANDS,
        discord={"channels.get": {"id": "77"}, "messages.send": {"id": "5", "channel_id": "77"}},
        environ={"GUILD": "g1"},
        executors=with_database(db),
    )

    execution = poster.run()

    assert [dict(call.args) for call in poster.discord.calls] == [
        {"guild_id": "g1"},
        {"channel_id": "77", "content": "hello"},
    ]
    assert execution.acts[2].values == ({"rows_affected": 1, "ids": [1]},)
    found = rows(db, "approved_discord_posts", "review_status, posted_at IS NOT NULL")
    assert found == [("posted", True), ("pending", False)]
    assert poster.caller.asked == []


def test_nothing_is_marked_as_sent_when_sending_failed(db):
    approved(db, "one")
    poster = stage(
        db,
        COMMANDS,
        discord={"channels.get": {"id": "77"}, "messages.send": CommandFailed("403")},
        environ={"GUILD": "g1"},
        executors=with_database(db),
    )

    execution = poster.run()

    assert [act.state for act in execution.acts] == [
        ActState.DONE,
        ActState.FAILED,
        ActState.SKIPPED,
    ]
    assert rows(db, "approved_discord_posts", "review_status") == [("pending",)]
    assert execution.failures


def test_what_uses_a_failed_act_is_skipped(db):
    poster = stage(db, COMMANDS, environ={"GUILD": "g"}, executors=with_database(db))

    execution = poster.run()

    assert [call.command for call in poster.discord.calls] == ["channels.get"]
    assert [act.state for act in execution.acts][1:] == [ActState.SKIPPED, ActState.SKIPPED]


def test_an_unset_variable_is_named(db):
    poster = stage(db, COMMANDS, executors=with_database(db))

    with pytest.raises(BotticelliError, match="GUILD"):
        poster.run()


READ = """
[narrative]
name = "reader"
skip_content_generation = true
[toc]
order = ["look", "write"]
[tables.posts]
table_name = "potential_discord_posts"
columns = ["id", "text_content"]
where_clause = "review_status = 'pending'"
order_by = "id"
format = "markdown"
[acts]
look = "tables.posts"
write = "Best of {{posts}}{% if potential_discord_posts %}!{% else %}?{% endif %}"
"""


def potential(db, *texts):
    for text in texts:
        db.execute("INSERT INTO potential_discord_posts (text_content) VALUES (%s)", [text])


def test_a_table_read_in_an_act_of_its_own_is_seen_later(db):
    potential(db, "a|b", "c")
    reader = stage(db, READ)

    reader.run()

    table = "| id | text_content |\n| --- | --- |\n| 1 | a\\|b |\n| 2 | c |"
    assert reader.caller.prompt() == f"{table}\nBest of {table}!"


def test_an_empty_table_is_not_true(db):
    reader = stage(db, READ)

    reader.run()

    assert reader.caller.prompt().endswith("Best of No data?")


def test_rows_can_be_handed_in(db):
    reader = stage(db, READ)

    reader.run(tables={"potential_discord_posts": [{"id": 9, "text_content": "given"}]})

    assert "| 9 | given |" in reader.caller.prompt()


def test_a_table_that_is_not_there_is_left_out_with_a_warning(db):
    reader = stage(db, READ.replace("potential_discord_posts", "nothing_here"))

    reader.run()

    assert any("nothing_here" in line for line in reader.warnings)
    assert reader.caller.prompt() == "Best of {{posts}}?"


POSTER = """
[narrative]
name = "poster"
skip_content_generation = true
[toc]
order = ["find", "extract", "send"]
[tables.next]
table_name = "approved_discord_posts"
where_clause = "review_status = 'pending'"
limit = 1
[bots.find]
platform = "discord"
command = "channels.get"
[bots.send]
platform = "discord"
command = "messages.send"
channel_id = "1"
content = "{{extract}}"
[acts]
find = "bots.find"
extract = ["tables.next", "Extract the text."]
send = "bots.send"
"""


def test_an_empty_queue_asks_nobody_and_sends_nothing(db):
    poster = stage(db, POSTER, discord={"channels.get": {"id": 1}, "messages.send": {"id": 2}})

    execution = poster.run()

    assert execution.is_idle
    assert execution.failures == ()
    assert poster.caller.asked == []
    assert poster.discord.calls == []


def test_a_full_queue_is_sent(db):
    approved(db, "hello")
    poster = stage(
        db,
        POSTER,
        answers=["hello"],
        discord={"channels.get": {"id": 1}, "messages.send": {"id": 2}},
    )

    poster.run()

    assert poster.discord.calls[-1].args["content"] == "hello"


CONSUME = """
[narrative]
name = "chooser"
target = "chosen"
[toc]
order = ["look", "choose"]
[acts]
look = "Look."
[[acts.choose.input]]
type = "table"
table_name = "potential_discord_posts"
order_by = "id"
limit = 2
pull_and_delete = true
[[acts.choose.input]]
content = "Choose."
"""


def test_consumed_rows_go_when_the_result_is_stored(db):
    potential(db, "a", "b", "c")
    chooser = stage(db, CONSUME, answers=["ok", '{"pick": "a"}'])

    chooser.run()

    assert rows(db, "potential_discord_posts", "text_content") == [("c",)]
    assert rows(db, "chosen", "pick") == [("a",)]
    assert db.execute("SELECT count(*) FROM row_leases").fetchone() == (0,)


def test_a_run_that_nobody_can_resume_lets_go_of_its_rows(db):
    potential(db, "a", "b", "c")
    chooser = stage(db, CONSUME, answers=["ok", TryLater("spent")])

    with pytest.raises(TryLater):
        chooser.run()

    assert db.execute("SELECT count(*) FROM row_leases").fetchone() == (0,)


def test_a_run_that_takes_long_renews_its_leases_before_every_act(db):
    def asked(_request, _key):
        db.execute("UPDATE row_leases SET lease_expires_at = clock_timestamp() + interval '1 min'")
        return '{"pick": "a"}'

    def left(_request, _key):
        nearly = "SELECT count(*) FROM row_leases WHERE lease_expires_at < now() + interval '2 min'"
        assert db.execute(nearly).fetchone() == (0,)
        return '{"pick": "a"}'

    potential(db, "a", "b", "c")
    toc = CONSUME.replace('order = ["look", "choose"]', 'order = ["choose", "look"]')

    stage(db, toc, answers=[asked, left]).run()

    assert rows(db, "potential_discord_posts", "text_content") == [("c",)]


@pytest.mark.parametrize("answers", [["ok", "no", "no"], ["ok", RuntimeError("killed")]])
def test_a_run_that_fails_leaves_the_rows_for_the_next(db, answers):
    potential(db, "a", "b")
    chooser = stage(db, CONSUME, answers=answers)

    with pytest.raises((ActFailed, RuntimeError)):
        chooser.run()

    assert len(rows(db, "potential_discord_posts")) == 2
    again = stage(db, CONSUME, answers=["ok", '{"pick": "b"}'])
    again.run()
    assert rows(db, "potential_discord_posts") == []


def test_preserve_source_keeps_the_rows(db):
    potential(db, "a")
    kept = CONSUME.replace('target = "chosen"', 'target = "chosen"\npreserve_source = true')
    stage(db, kept, answers=["ok", '{"pick": "a"}']).run()

    assert len(rows(db, "potential_discord_posts")) == 1


FAMILY = """
[narrative.batch]
toc = ["one", "two"]
skip_content_generation = true
[narrative.batch.carousel]
iterations = 2
[narrative.batch.acts.one]
narrative = "alpha"
[narrative.batch.acts.two]
narrative = "beta"
[narrative.alpha]
toc = ["write"]
target = "things"
[narrative.beta]
toc = ["write"]
target = "things"
[narrative.beta.carousel]
iterations = 3
[acts]
write = "Write."
"""


def test_compositions_run_with_their_own_history_and_carousel(db):
    family = stage(db, FAMILY, answers=[lambda _, key: json.dumps({"by": key.narrative})] * 8)

    executions = family.carousel("batch")

    assert len(executions) == 2
    assert len(family.caller.asked) == 2 * (1 + 3)
    assert all(len(request.messages) == 1 for request, _ in family.caller.asked)
    assert len(rows(db, "things")) == 8


def test_narratives_that_call_each_other_end_with_an_error(db):
    circle = """
[narrative.a]
toc = ["x"]
[narrative.a.acts.x]
narrative = "b"
[narrative.b]
toc = ["y"]
[narrative.b.acts.y]
narrative = "a"
"""
    with pytest.raises(ConfigError, match=r"circle|each other"):
        stage(db, circle).run("a")


def test_a_carousel_goes_on_after_a_failure_if_it_says_so(db):
    text = ONE_ROW.replace(
        "[toc]", "[narrative.carousel]\niterations = 3\ncontinue_on_error = true\n[toc]"
    )
    posts = stage(db, text, answers=['{"n": 1}', "no", "no", '{"n": 3}'])

    executions = posts.carousel()

    assert [bool(execution.failures) for execution in executions] == [False, True, False]
    assert rows(db, "things", "n") == [(1,), (3,)]


def test_a_spent_day_ends_a_carousel_all_the_same(db):
    text = ONE_ROW.replace(
        "[toc]", "[narrative.carousel]\niterations = 3\ncontinue_on_error = true\n[toc]"
    )
    posts = stage(db, text, answers=['{"n": 1}', TryLater("spent")])

    with pytest.raises(TryLater):
        posts.carousel()


def test_an_act_can_be_repeated(db):
    text = (
        TWO_ACTS.replace('ask = "Say something."', "")
        + "\n[acts.ask.carousel]\niterations = 3\n[[acts.ask.input]]\ncontent = 'Say.'\n"
    )
    talk = stage(db, text, answers=["1", "2", "3", "done"])

    execution = talk.run()

    assert [act.name for act in execution.acts] == ["ask", "ask", "ask", "sharpen"]
    assert talk.caller.prompt() == "Make this shorter: 3"


def test_a_stop_is_heard_between_acts(db):
    talk = stage(db, TWO_ACTS)
    talk.caller.answers = [lambda *_: talk.runner.context.stop.set() or "said"]

    with pytest.raises(TryLater, match="stopped"):
        talk.run()

    assert len(talk.caller.asked) == 1


def test_all_results_of_several_commands_are_kept(db):
    text = """
[narrative]
name = "n"
skip_content_generation = true
[toc]
order = ["fetch", "think"]
[bots.a]
platform = "discord"
command = "channels.list"
[bots.b]
platform = "discord"
command = "roles.list"
[acts]
fetch = ["bots.a", "bots.b"]
think = "Analyse the data."
"""
    both = stage(db, text, discord={"channels.list": [{"name": "general"}], "roles.list": ["mod"]})

    both.run()

    assert "general" in both.caller.prompt()
    assert "mod" in both.caller.prompt()


def test_reads_are_remembered_for_a_while_and_writes_never(db):
    text = """
[narrative]
name = "n"
skip_content_generation = true
[toc]
order = ["a", "a", "w", "w", "a"]
[bots.a]
platform = "discord"
command = "channels.list"
cache_duration = 60
[bots.w]
platform = "discord"
command = "messages.send"
cache_duration = 60
[acts]
a = "bots.a"
w = "bots.w"
"""
    cached = stage(db, text, discord={"channels.list": [], "messages.send": {"id": 1}})

    cached.run()

    assert [call.command for call in cached.discord.calls] == [
        "channels.list",
        "messages.send",
        "messages.send",
        "channels.list",
    ]


def test_ids_are_remembered_in_the_state(db):
    text = """
[narrative]
name = "n"
skip_content_generation = true
[toc]
order = ["make"]
[bots.make]
platform = "discord"
command = "channels.create"
[acts]
make = "bots.make"
"""
    keeping = text + '[acts.make.state_capture]\nour_channel = "$.channel_id"\n'
    keeping = keeping.replace('make = "bots.make"', '[acts.make]\ninput = ["bots.make"]')
    run = stage(db, keeping, discord={"channels.create": {"id": "42"}})
    run.run()
    assert run.warnings == []
    assert run.runner.context.recall("our_channel", narrative="n") == "42"
    use = text.replace("channels.create", "channels.delete").replace(
        "[acts]", 'channel_id = "${state:channel_id}"\n[acts]'
    )
    user = stage(db, use, discord={"channels.delete": {}})
    user.run()

    assert user.discord.calls[0].args == {"channel_id": "42"}


def test_a_nested_file_runs_with_its_carousel(db, tmp_path):
    (tmp_path / "inner.toml").write_text(
        '[narrative]\nname = "inner"\ntarget = "things"\n[narrative.carousel]\niterations = 2\n'
        '[toc]\norder = ["w"]\n[acts]\nw = "Write."\n'
    )
    outer = """
[narrative]
name = "outer"
skip_content_generation = true
[toc]
order = ["make", "use"]
[narratives.make]
narrative = "inner"
[acts]
make = "narratives.make"
use = "Use {{make}}"
"""
    run = stage(db, outer, answers=['{"n": 1}', '{"n": 2}', "x"], folder=tmp_path)

    run.run()

    assert rows(db, "things", "n") == [(1,), (2,)]
    assert run.caller.prompt() == 'Use {"n": 2}'


BY_HAND = """
[narrative]
name = "poster"
skip_content_generation = true
[toc]
order = ["take", "send", "mark"]
[[acts.take.input]]
type = "table"
table_name = "approved_discord_posts"
columns = ["id", "text_content"]
where = "review_status = 'pending'"
order_by = "id"
limit = 1
[[acts.send.input]]
type = "bot_command"
platform = "discord"
command = "messages.send"
required = true
[acts.send.input.args]
channel_id = "1"
content = "{{take.0.text_content}}"
[[acts.mark.input]]
type = "bot_command"
platform = "database"
command = "update_table"
required = true
[acts.mark.input.args]
table_name = "approved_discord_posts"
where_clause = "id = {{take.0.id}} AND text_content = '{{take.0.text_content}}'"
limit = 1
[acts.mark.input.args.updates]
review_status = "posted"
"""


@pytest.mark.parametrize("text", ["it's {{take}}", "' OR '1'='1", "x\nü"])
def test_a_poster_without_a_model_sends_the_very_text_and_marks_that_row(db, text):
    approved(db, text, "other")
    poster = stage(db, BY_HAND, discord={"messages.send": {"id": 2}}, executors=with_database(db))

    poster.run()

    assert poster.discord.calls[0].args["content"] == text
    assert rows(db, "approved_discord_posts", "review_status") == [("posted",), ("pending",)]
    poster.run()
    poster.run()
    assert [call.args["content"] for call in poster.discord.calls] == [text, "other"]


def test_a_called_narrative_is_in_its_callers_round(db):
    text = FAMILY.replace('write = "Write."', 'write = "Round {{iteration}}."')
    family = stage(db, text, answers=['{"n": 1}'] * 8)

    family.carousel("batch")

    prompts = [request.messages[-1].text for request, _ in family.caller.asked]
    assert prompts == [f"Round {n}." for n in (1, 1, 2, 3, 2, 1, 2, 3)]


def test_a_whole_result_where_an_id_is_wanted_stands_for_its_id(db):
    text = """
[narrative]
name = "n"
skip_content_generation = true
[toc]
order = ["send", "pin"]
[bots.send]
platform = "discord"
command = "messages.send"
channel_id = "1"
content = "x"
[bots.pin]
platform = "discord"
command = "messages.pin"
channel_id = "{{send}}"
message_id = "{{send}}"
[acts]
send = "bots.send"
pin = "bots.pin"
"""
    sent = {"id": "42", "channel_id": "7"}
    run = stage(db, text, discord={"messages.send": sent, "messages.pin": {}})
    run.run()

    assert run.discord.calls[1].args == {"channel_id": "7", "message_id": "42"}


def test_a_template_that_is_not_there_is_told(db):
    text = """
[narrative]
name = "n"
template = "nowhere"
[toc]
order = ["make"]
[acts]
make = "Make one."
"""
    run = stage(db, text, answers=['{"a": 1}'])
    run.run()

    assert run.warnings == [
        "n: there is no table 'nowhere', so no prompt says which fields are wanted"
    ]


def test_stopping_after_an_act_holds_no_rows_back(db):
    for number in range(3):
        db.execute("INSERT INTO potential_discord_posts (text_content) VALUES (%s)", [str(number)])
    toml = """
[narrative]
name = "n"
target = "made"
[toc]
order = ["read", "write"]
[acts]
write = "Write."
[[acts.read.input]]
type = "table"
table_name = "potential_discord_posts"
pull_and_delete = true
"""

    stage(db, toml, until="read").run()

    assert db.execute("SELECT count(*) FROM row_leases").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM potential_discord_posts").fetchone() == (3,)
