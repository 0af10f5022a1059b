"""The example files: every spelling of the language loads, and means what it says."""

from functools import partial
from pathlib import Path

import pytest

from botticelli.errors import ConfigError
from botticelli.narrative.checks.narrative_file import (
    check_file,
    check_files,
    check_queries,
    check_schemas,
    findings_of,
)
from botticelli.narrative.files.lookup import Folders, find_file
from botticelli.narrative.language.load import (
    choose,
    find_narrative,
    load_file,
    load_text,
    shipped_narratives,
)
from botticelli.narrative.language.model import (
    BotCommand,
    Carousel,
    Media,
    Nested,
    Retention,
    TableRead,
    Text,
)

FOLDER = Path(__file__).parent / "examples"
EXAMPLES = sorted(FOLDER.glob("*.toml"))

# file -> narrative -> its acts in order
ACTS = {
    "acts_without_toc": {"acts_without_toc": "make rename tell"},
    "bot_commands": {"bot syntax": "fetch_data analyze"},
    "carousels_everywhere": {"carousels_everywhere": "once often"},
    "content_workflow": {"content_workflow": "gather draft review final"},
    "curate_and_approve": {"curate_content": "fetch_content select_best format_json audit_json"},
    "daily_showcase": {"Daily Showcase": "persona publish"},
    "discord_poster": {"discord_poster": "get_channel extract_content post_to_channel mark_posted"},
    "faq_content_generation": {"faq_content": "write"},
    "friendly_syntax": {"friendly_syntax": "plain by_reference of_media mixed"},
    "generate_guilds": {"potential_guilds": "gaming art code"},
    "generation_carousel": {
        "batch_generate": "feature usecase tutorial",
        "feature": "feature_generate critique refine",
        "usecase": "usecase_generate critique refine",
        "tutorial": "tutorial_generate critique refine",
    },
    "inputs_of_all_kinds": {"inputs_of_all_kinds": "one"},
    "json_compliance": {"ensure_json_compliance": "format_json audit_json"},
    "json_extraction_test": {
        "fenced": "generate format",
        "bare": "generate format",
        "run_all_tests": "fenced bare",
    },
    "lifecycle_channel_setup": {"channel_setup": "create_channel"},
    "lifecycle_message": {"message_lifecycle": "send delete"},
    "lifecycle_noop": {"noop": "nothing"},
    "metadata_and_acts": {"named_by_metadata": "hello"},
    "older_act_list": {"older_act_list": "greet sum_up"},
    "model_options": {"Model Options Demo": "fast careful fast"},
    "nested_by_name": {"outer": "a b c d", "inner": "say"},
    "piped": {"piped": "sort"},
    "publish_rules": {
        "publish_rules": "generate_rules load_rules select_best clear_channel"
        " publish_message pin_message"
    },
    "root_carousel": {"root_carousel": "one"},
    "rules_content": {"rules_content": "write"},
    "secured": {"secured": "send"},
    "server_setup": {"server_setup": "step_0 step_1 step_2"},
    "showcase": {"showcase": "look listen watch read write"},
    "single_beside_old_multi": {"front": "hello", "back": "hello"},
    "state_captures": {"state_captures": "create list thread use"},
    "steps_with_data": {"steps_with_data": "stats write send send_2"},
    "structured": {"structured": "write audit score"},
    "typed_acts": {"typed_acts": "act_1 act_2 act_3 act_4"},
    "table_references": {"table_references": "analyze_sales check_stock summary"},
}


def acts_of(name, narrative=""):
    return {act.name: act for act in choose(load_file(FOLDER / f"{name}.toml"), narrative).acts}


def narrative_of(name, narrative=""):
    return choose(load_file(FOLDER / f"{name}.toml"), narrative)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_holds_its_narratives_with_their_acts_in_order(path):
    file = load_file(path)

    found = {key: " ".join(act.name for act in each.acts) for key, each in file.narratives.items()}
    assert found == ACTS[path.stem]
    assert file.warnings == ()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_filters_orders_and_schemas_of_an_example_are_accepted(path):
    file = load_file(path)

    findings = findings_of(file)
    check_queries(file, findings=findings)
    check_schemas(file, findings=findings)
    assert findings.problems == []


@pytest.mark.parametrize("path", sorted(shipped_narratives().glob("*.toml")), ids=lambda p: p.stem)
def test_a_shipped_narrative_loads_without_a_warning(path):
    file = load_file(path)

    assert file.narratives
    assert file.warnings == ()
    findings = findings_of(file)
    check_files(file, partial(find_file, folders=Folders(own=path.parent)), findings=findings)
    assert findings.problems == []


def test_a_single_narrative_answers_to_no_name_its_own_and_the_files():
    file = load_file(FOLDER / "model_options.toml")

    assert choose(file) is choose(file, "Model Options Demo") is choose(file, "model_options")


def test_one_narrative_of_a_multi_file_runs_with_and_without_its_name():
    file = load_file(FOLDER / "curate_and_approve.toml")

    assert choose(file) is choose(file, "curate_content")


def test_several_narratives_have_to_be_told_apart():
    file = load_file(FOLDER / "json_extraction_test.toml")

    with pytest.raises(ConfigError, match="with one of fenced, bare, run_all_tests"):
        choose(file)
    with pytest.raises(ConfigError, match="did you mean 'fenced'"):
        choose(file, "fence")


def test_a_single_narrative_beside_old_ones_is_the_one_that_runs():
    file = load_file(FOLDER / "single_beside_old_multi.toml")

    assert choose(file).key == "front"
    assert file.nested == {"rules": "rules_content.toml"}


def test_a_destructive_read_is_one_only_where_it_is_written():
    read = acts_of("curate_and_approve")["fetch_content"].inputs[0]
    other = acts_of("discord_poster")["extract_content"].inputs[0]

    assert (read.pull_and_delete, read.retention) == (True, Retention.DROP)
    assert other.pull_and_delete is False
    assert other.where == "review_status = 'pending'"


def test_compositions_name_the_narrative_they_run():
    file = load_file(FOLDER / "generation_carousel.toml")
    batch = choose(file, "batch_generate")

    assert [act.narrative for act in batch.acts] == ["feature", "usecase", "tutorial"]
    assert batch.carousel == Carousel(
        iterations=3, estimated_tokens=8000, continue_on_error=True, budget={}
    )


def test_context_steps_become_one_call_that_later_steps_can_name():
    acts = acts_of("daily_showcase")

    assert acts["persona"].system == "You write for a friendly community."
    assert acts["persona"].inputs == (Text(content="Write today's highlight."),)
    assert acts["publish"].inputs[0].args["content"] == "${persona}"
    assert narrative_of("daily_showcase").models == ("gemini-2.5-flash",)


def test_old_command_names_and_prev_of_action_steps_are_todays():
    acts = acts_of("server_setup")

    commands = [act.inputs[0].command for act in acts.values()]
    assert commands == ["server.get_stats", "channels.create", "messages.send"]
    assert acts["step_2"].inputs[0].args["channel_id"] == "${previous.channel_id}"


def test_references_in_steps_find_the_act_that_a_step_became():
    acts = acts_of("steps_with_data")

    assert acts["write"].inputs == (Text(content="Write about {{stats}} and ${stats.name}."),)
    assert acts["send"].inputs[0].args["content"] == "{{write}}"
    assert acts["send_2"].inputs[0].args["message_id"] == "${previous.message_id}"
    assert acts["send_2"].inputs[0].args["nested"] == {"deep": ["${send.id}"]}  # not itself


def test_friendly_spellings_are_the_inputs_they_stand_for():
    acts = acts_of("friendly_syntax")

    assert isinstance(acts["plain"].inputs[0], Text)
    kinds = [type(each) for each in acts["mixed"].inputs]
    assert kinds == [BotCommand, TableRead, Media, Text, Text, TableRead]
    assert acts["mixed"].inputs[1].names == ("posts",)


def test_a_media_file_is_missed_by_check_and_not_by_loading():
    file = load_file(FOLDER / "friendly_syntax.toml")

    findings = findings_of(file)
    check_files(file, partial(find_file, folders=Folders(own=FOLDER)), findings=findings)

    [problem] = findings.problems  # once, though two acts look at it
    assert problem.what == "there is no file './no_such_picture.png'"
    assert "friendly_syntax.toml:19: media.picture.file" in problem.where


def test_options_of_bots_are_not_arguments():
    stats, odd = acts_of("bot_commands")["fetch_data"].inputs

    assert (stats.args, stats.cache_seconds) == ({"guild_id": "${TEST_GUILD_ID}"}, 300)
    assert (odd.args, odd.retention) == ({"user_id": "42"}, Retention.SUMMARY)


def test_the_stronger_setting_wins_act_narrative_file_provider():
    narrative = narrative_of("model_options")
    fast, careful = narrative.acts[:2]

    assert (narrative.models, narrative.temperature, narrative.max_tokens) == (
        ("gemini-2.5-flash",), 0.7, 800,
    )  # fmt: skip
    assert fast.models == ("gemini-2.5-flash-lite", "gemini-2.0-flash-lite")
    assert (fast.temperature, careful.temperature) == (0.0, None)


def test_carousels_and_budgets_are_read_wherever_they_stand():
    narrative = narrative_of("carousels_everywhere")

    assert narrative.carousel == Carousel(iterations=3)
    assert narrative.budget == {"rpm": 0.8, "tpm": 0.5}
    assert narrative.acts[1].carousel == Carousel(iterations=2, budget={"rpd": 0.25})
    assert narrative_of("root_carousel").carousel == Carousel(iterations=4, estimated_tokens=500)
    assert narrative_of("faq_content_generation").carousel == Carousel(iterations=9)


def test_the_oldest_form_has_context_output_and_single_braces():
    narrative = narrative_of("json_compliance")

    assert narrative.single_braces
    assert narrative.target == "compliant_posts"
    assert narrative.variables["content"] == "{previous_output}"


def test_ids_are_kept_in_every_spelling_of_the_wish():
    acts = acts_of("state_captures")

    assert acts["create"].inputs[0].store_as == "CREATED"
    assert acts["create"].state_capture == {"channel_id": "$.channel_id"}
    assert acts["list"].state_capture == {"OWNER": "$.owner_id"}
    assert acts["thread"].inputs[0].store_as == "THREAD"
    assert acts["thread"].inputs[0].args == {"thread_id": "${TEST_THREAD_ID}"}


def test_nested_files_are_found_beside_their_caller_wherever_that_lies(tmp_path):
    for name in ("publish_rules.toml", "rules_content.toml"):
        (tmp_path / name).write_text((FOLDER / name).read_text())

    file, narrative = find_narrative(
        str(tmp_path / "publish_rules"), folders=[], cwd=tmp_path / "elsewhere"
    )

    nested = narrative.acts[0].inputs[0]
    assert nested == Nested(
        name="rules_generator", path="./crates/somewhere/discord/rules_content.toml"
    )
    assert file.path == tmp_path / "publish_rules.toml"


def test_act_local_settings_in_config_count_like_flat_ones():
    act = acts_of("json_extraction_test", "fenced")["format"]

    assert (act.temperature, act.max_tokens) == (0.1, 500)


def test_a_schema_comes_inline_or_from_its_file():
    acts = acts_of("structured")

    assert acts["audit"].skip_if_valid
    assert acts["write"].schema == acts["audit"].schema
    assert acts["score"].schema["required"] == ["score"]


def test_security_is_kept_as_written():
    assert narrative_of("secured").security["policy"]["allowed_commands"] == ["messages.send"]


def test_a_blank_prompt_beside_other_inputs_is_only_a_warning():
    file = load_text(
        'toc = ["a"]\n[narrative]\nname = "x"\n[acts]\na = ["bots.b", "", {content = " "}]\n'
        '[bots.b]\nplatform = "discord"\ncommand = "server.get_stats"\n',
        Path("x.toml"),
    )

    assert [type(each) for each in choose(file).acts[0].inputs] == [BotCommand]
    assert len(file.warnings) == 2


def test_a_narrative_may_be_called_like_a_section_of_one():
    file = load_text('[narrative.output]\ntoc = ["a"]\n[acts]\na = "Hi"\n', Path("x.toml"))

    assert list(file.narratives) == ["output"]


def test_unknown_keys_are_warnings_with_the_nearest_known_key():
    file = load_text(
        '[narrative]\nname = "x"\ntemprature = 1\n[toc]\norder = ["a"]\n[acts.a]\n'
        'prompt = "Hi"\nmaxtokens = 5\n[context]\npath = "."\n',
        Path("x.toml"),
    )

    assert set(file.warnings) == {
        "x.toml:3: narrative.temprature: unknown key, ignored; did you mean 'temperature'?",
        "x.toml:8: acts.a.maxtokens: unknown key, ignored; did you mean 'max_tokens'?",
        "x.toml:9: context: belongs to botticelli.toml, ignored here",
    }


def test_what_nothing_uses_may_be_broken():
    file = load_text(
        '[narrative]\nname = "x"\n[toc]\norder = ["a"]\n[acts]\na = "Hi"\nb = "bots.gone"\n'
        '[acts.c]\nmodel = "m"\n[media.d]\nfile = "odd.bin"\n',
        Path("x.toml"),
    )

    assert [act.name for act in choose(file).acts] == ["a"]
    assert len(file.warnings) == 3


def test_a_broken_resource_is_a_mistake_also_if_an_unused_act_names_it_first():
    with pytest.raises(ConfigError, match="not one of json"):
        load_text(
            '[narrative.one]\ntoc = ["a"]\n[narrative.one.acts]\na = "Hi"\nunused = "tables.t"\n'
            '[narrative.two]\ntoc = ["b"]\n[acts]\nb = "tables.t"\n'
            '[tables.t]\ntable_name = "x"\nformat = "odd"\n',
            Path("x.toml"),
        )


def test_check_finds_what_loading_leaves_for_the_run(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(
        'toc = ["a"]\n[narrative]\nname = "x"\n[schemas.s]\ntype = "objekt"\n'
        '[acts.a]\nschema = "s"\n'
        'input = ["narrative:gone", {file = "gone.md"}, {ref = "tables.t"}]\n'
        '[tables.t]\ntable_name = "t"\nwhere = "1; DROP TABLE t"\n'
    )

    problems = check_file(load_file(path), None, cwd=tmp_path).problems

    told = " ".join(map(str, problems))
    assert len(problems) == 4
    assert all(word in told for word in ("gone.toml", "gone.md", "objekt", "DROP"))


def test_a_model_table_says_the_model_and_its_settings():
    narrative = load_file(FOLDER / "older_act_list.toml").narratives["older_act_list"]

    told = (narrative.models, narrative.temperature, narrative.max_tokens)
    assert told == (("gemini-2.0-flash",), 0.7, 100)


def test_metadata_without_a_narrative_says_what_is_stored():
    narrative = load_file(FOLDER / "metadata_and_acts.toml").narratives["named_by_metadata"]

    assert narrative.skip_content_generation
    assert narrative.description == "A narrative that only its metadata names"


def test_acts_of_the_oldest_form_are_what_their_type_says():
    acts = acts_of("typed_acts")

    assert acts["act_1"].inputs == (Nested(name="rules_content.toml", path="rules_content.toml"),)
    assert acts["act_2"].models == ("gemini-2.5-flash",)
    assert acts["act_2"].max_tokens == 900
    assert acts["act_3"].inputs[0].command == "messages.send"
    assert acts["act_4"].inputs[0].command == "messages.pin"


def test_a_bare_variable_is_one_where_an_id_is_wanted_and_nowhere_else():
    acts = acts_of("acts_without_toc")

    assert acts["make"].inputs[0].args["guild_id"] == "${TEST_GUILD_ID}"
    assert acts["rename"].inputs[0].command == "channels.edit"
    assert acts["rename"].inputs[0].args["topic"] == "What $HOME costs"
    assert acts["tell"].inputs == (
        Text(content="Welcome whoever finds the channel {{make.channel_id}}."),
    )
