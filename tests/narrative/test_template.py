"""What placeholders mean, in prompts and in arguments (docs/dialect.md §6.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.narrative.language.template import Unresolved, names, render_prompt, render_value
from botticelli.narrative.run.results import ActResult, ActState
from botticelli.narrative.run.variables import ActNotDone, TableText, Variables, dig


def scope(*results, tables=None, variables=None, environ=None, state=None, warnings=None):
    heard = warnings if warnings is not None else []
    return Variables(
        acts=tuple(result.name for result in results),
        given=variables or {},
        environ=environ or {},
        state=(state or {}).get,
        warn=heard.append,
        results=list(results),
        tables=tables or {},
    )


def done(name, text="", sequence=0, **more):
    return ActResult(name=name, sequence=sequence, text=text, **more)


def prompt(text, known, *, single_braces=False):
    heard = []
    rendered = render_prompt(text, scope=known, single_braces=single_braces, warn=heard.append)
    return rendered, heard


def argument(value, known):
    return render_value(value, scope=known, where="act 'x', argument y")


ACTS = (done("make", '{"id": 7, "list": [{"name": "n"}]}'), done("note", "plain"))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{note}}", "plain"),
        ("{{ note }} ${note}", "plain plain"),
        ("{{previous}} {{prev}}", "plain plain"),
        ("{{make.id}}", "7"),
        ("{{make.list.0.name}} {{make.list[0].name}}", "n n"),
        ("{{make.list}}", '[{"name": "n"}]'),
        ("{{topic}}", "rivers"),
        ("${HOME_TOWN} ${env:HOME_TOWN}", "Rome Rome"),
        ("${state:a.b} ${STATE:a.b}", "s s"),
        ("{% if note %}yes{% else %}no{% endif %}", "yes"),
        ("{% if nothing %}yes{% else %}no{% endif %}", "no"),
        ("{% if note %}{% if nothing %}a{% else %}b{% endif %}{% endif %}", "b"),
        ("{%- if note -%}{{note}}{%- endif -%}", "plain"),
    ],
)
def test_names_with_a_meaning_are_filled_in(template, text):
    known = scope(
        *ACTS,
        variables={"topic": "rivers"},
        environ={"HOME_TOWN": "Rome"},
        state={"a.b": "s"},
    )
    assert prompt(template, known) == (text, [])


@pytest.mark.parametrize(
    "template",
    [
        "{{unknown}}",
        "${unknown}",
        "${UNSET}",
        "{{make.nothing}}",
        "{{note.field}}",
        "${state:none}",
    ],
)
def test_names_without_a_meaning_stay_in_prompts_with_a_warning(template):
    text, heard = prompt(template, scope(*ACTS))

    assert text == template
    assert len(heard) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"json": {"a": 1}} and {single} and $HOME and {{ }}',
        "{{ 'quoted' }} ${} {% raw %} {% else %} {% endif %}",
        "{% if note %} never closed",
        '{{"a": {"b": 1}}}',
    ],
)
def test_what_is_no_placeholder_is_left_alone(text):
    assert prompt(text, scope(*ACTS)) == (text, [])


@given(text=st.text(alphabet=st.sampled_from("{}$%[]. aifelsendoteb\n:")) | st.text())
def test_text_without_known_names_is_never_changed(text):
    rendered = render_prompt(text, scope=scope(), single_braces=True, warn=lambda _: None)
    if "{%" not in text:
        assert rendered == text


@given(answer=st.text())
def test_what_is_put_in_is_never_read_again(answer):
    known = scope(done("a", answer), done("b", "SECRET"))
    assert prompt("<{{a}}>", known)[0] == f"<{answer}>"


def test_the_latest_execution_is_meant():
    assert prompt("{{a}}", scope(done("a", "1"), done("b"), done("a", "2")))[0] == "2"


def test_the_end_of_an_acts_name_is_enough():
    assert prompt("{{generate}}", scope(done("feature_generate", "f")))[0] == "f"


def test_of_several_the_latest_is_meant_and_that_is_said():
    warnings = []
    known = scope(done("a_gen", "1"), done("b_gen", "2"), warnings=warnings)

    assert prompt("{{gen}}", known)[0] == "2"
    assert "b_gen" in warnings[0]


def test_a_table_without_rows_is_not_true():
    known = scope(tables={"t": TableText(text="No data", rows=0)})

    assert prompt("{% if t %}yes{% else %}no{% endif %} {{t}}", known)[0] == "no No data"


def test_single_braces_only_where_they_are_the_language():
    known = scope(done("a", "x"), variables={"topic": "t", "content": "{previous_output}"})

    assert prompt("{topic} {json} {content} {other}", known, single_braces=True)[0] == (
        "t x x {other}"
    )
    assert prompt("{topic}", known)[0] == "{topic}"


CHANNEL = done("find", "{}", values=({"id": "77", "topic": None},), nouns=("channel",))
MESSAGE = done("send", "{}", values=({"message_id": "5"},), nouns=("message",))


def test_ids_answer_to_both_of_their_names():
    known = scope(CHANNEL, MESSAGE)

    assert argument("${find.id} ${find.channel_id}", known) == "77 77"
    assert argument("${send.message_id} ${send.id}", known) == "5 5"
    with pytest.raises(Unresolved):
        argument("${find.message_id}", known)


def test_arguments_keep_their_types():
    known = scope(done("a", '{"n": 5, "l": [1], "b": true, "z": null}'))

    assert argument("{{a.n}}", known) == 5
    assert argument("{{a.l}}", known) == [1]
    assert argument("{{a.b}}", known) is True
    assert argument("n{{a.n}}", known) == "n5"
    assert argument({"x": ["{{a.n}}", {"y": "{{a.b}}"}], "k": 3}, known) == {
        "x": [5, {"y": True}],
        "k": 3,
    }


def test_an_argument_that_cannot_be_filled_names_everything():
    with pytest.raises(Unresolved) as caught:
        argument({"updates": {"a": "{{nothing}}"}}, scope(*ACTS))

    line = str(caught.value)
    for part in ("act 'x'", "argument y.updates.a", "{{nothing}}", "make, note"):
        assert part in line


def test_an_unset_variable_is_named():
    with pytest.raises(Unresolved, match="GUILD_ID is not set"):
        argument("${GUILD_ID}", scope())


def test_an_empty_answer_is_no_argument():
    with pytest.raises(Unresolved, match="is empty"):
        argument("{{a}}", scope(done("a", " ")))


def test_what_uses_a_failed_act_is_spent():
    with pytest.raises(ActNotDone, match="refused"):
        argument("{{a}}", scope(done("a", state=ActState.FAILED, reason="refused")))


def test_the_last_of_several_results_is_looked_into_first():
    both = done("a", values=({"id": 1, "x": 1}, {"id": 2}), nouns=("channel", "message"))

    assert argument("${a.id}", scope(both)) == 2
    assert argument("${a.x}", scope(both)) == 1
    assert argument("${a.0.id}", scope(both)) == 1


def test_names_that_are_put_in():
    assert names({"a": ["{{x}}", "${y.z} {% if q %}{{w}}{% endif %}"], "n": 1}) == ("x", "y.z", "w")


def test_json_paths():
    assert dig({"a": [{"id": 4}]}, "$.a[0].id") == 4
    assert dig({"a": 1}, "$.b") is None
