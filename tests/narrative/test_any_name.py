"""Whatever its script: a name is a name, and what names nothing ends a run before it begins."""

import json
from pathlib import Path

import pytest

from botticelli.narrative.checks.narrative_file import check_file
from botticelli.narrative.language.load import load_text
from botticelli.narrative.language.template import Unresolved
from tests.narrative.scripted import stage

NAMES = [
    "1_draft", "2", "черновик", "草稿", "草稿.文", "مسودة", "a.b", "a.b.c", "x-y", "🎉", "party 🎉",
    "q&a", "c++", "first draft", "Ünï_cödé", "draft[1]", "über/unter", "50%", "a:b",
]  # fmt: skip
HEAD = "[narrative]\nname = 'n'\nskip_content_generation = true\n"


def quoted(name):
    return json.dumps(name, ensure_ascii=False)


def poster(name, text):
    return (
        f"{HEAD}toc = [{quoted(name)}, 'send']\n[acts]\n{quoted(name)} = 'Write.'\n"
        f"[[acts.send.input]]\nplatform = 'discord'\ncommand = 'messages.send'\nrequired = true\n"
        f"args = {{ channel_id = '111111111111111111', content = {quoted(text)} }}\n"
    )


@pytest.mark.parametrize("name", NAMES)
def test_an_act_of_any_name_is_found(db, name):
    forms = {"{{%s}}": "whole", "${%s}": "whole", "<{{ %s }}>": "<whole>", "{{%s.title}}": "T"}
    for form, wanted in forms.items():
        made = stage(
            db,
            poster(name, form.replace("%s", name)),
            answers=['{"title": "T"}'],
            discord={"messages.send": {"id": "5"}},
        )

        assert not check_file(made.runner.file, None, cwd=Path("/")).problems
        made.run()

        sent = made.discord.calls[0].args["content"]
        assert sent == wanted.replace("whole", '{"title": "T"}')


@pytest.mark.parametrize("name", ["1_draft", "черновик", "草稿.文", "🎉"])
def test_in_a_prompt_and_a_condition_too(db, name):
    text = f"{{% if {name} %}}See {{{{{name}}}}}{{% endif %}}"
    made = stage(
        db,
        f"{HEAD}toc = [{quoted(name)}, 'next']\n[acts]\n{quoted(name)} = 'Write.'\n"
        f"next = {quoted(text)}\n",
        answers=["words"],
    )

    made.run()

    assert made.caller.prompt() == "See words"


@pytest.mark.parametrize(
    "written", ["{{1_drft}}", "{{черновик}}", "{{草稿.文}}", "${нет}", "{{a | upper}}", "{{x!}}"]
)
def test_what_names_nothing_is_an_error_before_anything_is_sent_or_paid(db, written):
    made = stage(db, poster("1_draft", written), discord={"messages.send": {"id": "5"}})

    problems = check_file(made.runner.file, None, cwd=made.runner.file.path.parent).problems
    assert any(written in each.what for each in problems)
    with pytest.raises(Unresolved, match="cannot be filled in"):
        made.run()
    assert made.caller.asked == []
    assert made.discord.calls == []


@pytest.mark.parametrize(
    "text", ["{{...}}", "{{…}}", '{{"a": 1}}', "{{ a: 1 }}", "{{}}", "{{ 'x' }}"]
)
def test_samples_in_braces_are_no_names(text):
    file = load_text(f"{HEAD}toc = ['a']\n[acts]\na = '''{text}'''\n", Path("f.toml"))

    assert not check_file(file, None, cwd=file.path.parent).problems


@pytest.mark.parametrize("kind", ["bots", "tables"])
@pytest.mark.parametrize("name", ["новости", "草稿.文", "my table", "🎉"])
def test_resources_of_any_name_are_found(db, kind, name):
    tables = {
        "bots": "platform = 'discord'\ncommand = 'channels.list'\nguild_id = '111'\n",
        "tables": "table_name = 'новости'\n",
    }
    made = stage(
        db,
        f"{HEAD}toc = ['a']\n[{kind}.{quoted(name)}]\n{tables[kind]}[acts]\n"
        f"a = [{quoted(f'{kind}.{name}')}]\n",
        discord={"channels.list": []},
    )

    assert made.run().acts[0].state in ("done", "idle")


def test_headers_with_dots_and_narratives_in_the_toc(db):
    toml = """
    [narrative.all]
    toc = ["draft.v1", "second"]
    skip_content_generation = true
    [narrative.second]
    toc = ["only"]
    skip_content_generation = true
    [acts.draft.v1]
    prompt = "First."
    [acts]
    only = "Second."
    """
    made = stage(db, toml)

    made.run("all")

    assert [request.messages[-1].text for request, _ in made.caller.asked] == ["First.", "Second."]
