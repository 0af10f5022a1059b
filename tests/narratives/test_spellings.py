"""Equal narratives in different spellings are equal models; no text breaks the loader."""

import json
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.cli.reports.check import check_narrative
from botticelli.errors import ConfigError
from botticelli.narrative.language.load import load_text
from botticelli.toml_lines import key_lines
from tests.configured import load

PATH = Path("story.toml")


# --- writing TOML ---------------------------------------------------------------------------


def literal(value):
    """Write any value inline."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{literal(key)} = {literal(each)}" for key, each in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return repr(value)


def toml(document):
    """Write a document: one line for each root key, in the order given."""
    return "\n".join(f"{literal(key)} = {literal(value)}" for key, value in document.items())


def expanded(document, prefix=()):
    """Write the same document with a header for every table and list of tables."""
    plain = {key: each for key, each in document.items() if not is_section(each)}
    lines = [toml(plain)] if plain else []
    for key, each in document.items():
        name = ".".join(map(literal, (*prefix, key)))
        tables = each if isinstance(each, list) else [each]
        header = f"[[{name}]]" if isinstance(each, list) else f"[{name}]"
        if is_section(each):
            for table in tables:
                lines += [header, expanded(table, (*prefix, key))]
    return "\n".join(lines)


def is_section(value):
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, dict) for each in value)
    return isinstance(value, dict)


# --- what is written ------------------------------------------------------------------------

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
sentences = (
    st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=40)
    .filter(lambda text: text.strip() and "\r" not in text)
    .map(lambda text: f"Say {text}.")
)

texts = st.fixed_dictionaries({"content": sentences}, optional={})
rows = st.fixed_dictionaries(
    {"type": st.just("table"), "table_name": names},
    optional={
        "columns": st.lists(names, min_size=1, max_size=3),
        "limit": st.integers(0, 99),
        "order_by": names,
        "where": st.just("rating > 3"),
        "format": st.sampled_from(["json", "markdown", "csv"]),
        "pull_and_delete": st.booleans(),
    },
)
commands = st.fixed_dictionaries(
    {
        "type": st.just("bot_command"),
        "platform": st.just("discord"),
        "command": st.just("messages.send"),
        "args": st.dictionaries(
            st.sampled_from(["channel_id", "content", "tts"]), sentences | st.booleans(), min_size=1
        ),
    },
    optional={"required": st.booleans()},
)
pictures = st.fixed_dictionaries(
    {"type": st.just("image"), "file": names.map("{}.png".format)},
    optional={"mime": st.just("image/png")},
)
act_settings = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["gemini-2.5-flash", "gpt-4"]),
        "temperature": st.floats(0, 2, allow_nan=False),
        "max_tokens": st.integers(1, 9999),
        "extract_output": st.booleans(),
    },
)
acts = st.builds(
    lambda inputs, own: {"input": inputs, **own},
    st.lists(texts | rows | commands | pictures, min_size=1, max_size=3),
    act_settings,
)
stories = st.fixed_dictionaries(
    {"acts": st.dictionaries(names, acts, min_size=1, max_size=3)},
    optional={
        "description": sentences,
        "target": names,
        "skip_content_generation": st.booleans(),
        "carousel": st.integers(1, 9),
    },
)


# --- the spellings --------------------------------------------------------------------------


def single(name, acts, own):
    return {"narrative": {"name": name, **own}, "toc": {"order": list(acts)}, "acts": acts}


def single_with_its_toc(name, acts, own):
    return {"narrative": {"name": name, **own, "toc": list(acts)}, "acts": acts}


def narration_with_root_toc(name, acts, own):
    return {"toc": list(acts), "narration": {"name": name, **own}, "acts": acts}


def multi(name, acts, own):
    return {"narrative": {name: {"toc": list(acts), **own}}, "acts": acts}


def multi_with_private_acts(name, acts, own):
    return {"narrative": {name: {"toc": {"order": list(acts)}, "acts": acts, **own}}}


def old_multi(name, acts, own):
    return {"narratives": {name: {"toc": {"order": list(acts)}, "acts": acts, **own}}}


def listed_narrative(name, acts, own):
    return {"narrative": [{"name": name, "toc": list(acts), **own}], "acts": acts}


def listed_acts(name, acts, own):
    items = [{"name": act, **act_inputs(raw)} for act, raw in acts.items()]
    return {"narrative": {"name": name, **own}, "acts": items}


def root_named(name, acts, own):
    items = [{"name": act, **act_inputs(raw)} for act, raw in acts.items()]
    return {"name": name, **own, "acts": items}


def act_inputs(raw):
    return {("inputs" if key == "input" else key): each for key, each in raw.items()}


FORMS = [
    single, single_with_its_toc, narration_with_root_toc, multi, multi_with_private_acts,
    old_multi, listed_narrative, listed_acts, root_named,
]  # fmt: skip


def friendly(acts):
    """Write what can be written as a string or a list so."""
    return {name: friendly_act(act) for name, act in acts.items()}


def friendly_act(act):
    if set(act) != {"input"}:
        return act
    items = [each["content"] if set(each) == {"content"} else each for each in act["input"]]
    return items[0] if len(items) == 1 and isinstance(items[0], str) else items


def flat(acts):
    """Write commands as the lists of acts do, and prompts under their other names."""
    return {
        name: {**act, "input": [flat_input(each) for each in act["input"]]}
        for name, act in acts.items()
    }


def flat_input(each):
    if "args" in each:
        return {key: value for key, value in each.items() if key != "args"} | each["args"]
    if "content" in each:
        return {"text": each["content"]}
    if "where" in each:
        return {("where_clause" if key == "where" else key): value for key, value in each.items()}
    return each


@pytest.mark.slow
@settings(max_examples=60)
@given(names, stories)
def test_equal_narratives_in_different_forms_are_equal_models(name, story):
    own = {key: value for key, value in story.items() if key != "acts"}
    models = []

    for form in FORMS:
        for spelled in (story["acts"], friendly(story["acts"]), flat(story["acts"])):
            if form in (listed_acts, root_named) and spelled is not story["acts"]:
                continue
            document = form(name, spelled, own)
            for text in (toml(document), expanded(document)):
                assert tomllib.loads(text) == document
                file = load_text(text, PATH)
                assert file.warnings == ()
                models.append(file.narratives)

    assert all(model == models[0] for model in models)


@settings(max_examples=60)
@given(names, st.lists(rows | commands, min_size=1, max_size=3))
def test_a_resource_is_what_the_same_input_is(name, inputs):
    kinds = ["bots" if "command" in each else "tables" for each in inputs]
    resources = {"bots": {}, "tables": {}}
    for index, (kind, each) in enumerate(zip(kinds, inputs, strict=True)):
        resources[kind][f"r{index}"] = inline(each)
    references = [f"{kind}.r{index}" for index, kind in enumerate(kinds)]
    aliases = [{"alias": f"r{i}"} if kind == "tables" else {} for i, kind in enumerate(kinds)]
    written_out = [each | alias for each, alias in zip(inputs, aliases, strict=True)]

    first, second, third = (
        load_text(toml(single(name, {"a": act}, {}) | more), PATH).narratives
        for act, more in (
            (references, resources),
            ({"input": [{"ref": each} for each in references]}, resources),
            ({"input": written_out}, {}),
        )
    )

    assert first == second == third


def inline(each):
    plain = {key: value for key, value in each.items() if key not in ("type", "args")}
    return plain | each.get("args", {})


# --- nothing breaks it ----------------------------------------------------------------------

SECTIONS = [
    "narrative", "narration", "narratives", "toc", "acts", "act", "steps", "bots", "tables",
    "media", "config", "metadata", "shared", "schemas", "security", "carousel", "name", "model",
    "budget", "input", "inputs", "type", "content", "text", "prompt", "file", "ref", "order",
    "iterations", "table_name", "command", "platform", "args", "context", "output",
    "bot_commands", "where", "x", "schema", "state", "state_capture", "limit", "format",
    "history_retention", "processor", "mime",
]  # fmt: skip
WORDS = [
    "x", "bots.x", "tables.x", "media.x", "narratives.x", "narrative:x", "text", "table",
    "bot_command", "image", "narrative", "discord", "${steps[0].result.text}", "system",
]  # fmt: skip
values = st.recursive(
    st.sampled_from(WORDS) | st.booleans() | st.integers(-2, 9) | st.floats() | sentences,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(SECTIONS), inner, max_size=4)
    ),
    max_leaves=25,
)


def loaded_or_told(text):
    """Load a text that may be wrong; return the file or None."""
    with suppress(ConfigError):
        return load_text(text, PATH)
    return None


@pytest.mark.slow
@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(SECTIONS), values, max_size=6))
def test_any_document_loads_or_is_told_what_is_wrong(document):
    file = loaded_or_told(toml(document))

    assert file is None or all(narrative.acts for narrative in file.narratives.values())


def changed(document, change):
    """Put a value in the place of another one, somewhere in the document."""
    steps, value = change
    place, key = {"": document}, ""
    for step in steps:
        inner = place[key]
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        if not keys:
            break
        place, key = inner, keys[step % len(keys)]
        if not isinstance(place[key], dict | list):
            break
    place[key] = value
    return document


EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.toml"))
changes = st.tuples(st.lists(st.integers(0, 9), min_size=1, max_size=6), values)


@pytest.mark.slow
@settings(max_examples=400)
@given(st.sampled_from(EXAMPLES), st.lists(changes, min_size=1, max_size=3))
def test_an_example_with_anything_in_the_wrong_place_loads_or_is_told(path, wrongs):
    document = tomllib.loads(path.read_text())
    for wrong in wrongs:
        document = changed(document, wrong)

    file = loaded_or_told(toml(document))

    assert file is None or all(narrative.acts for narrative in file.narratives.values())


@settings(max_examples=100)
@given(st.sampled_from(EXAMPLES), st.lists(changes, min_size=1, max_size=3))
def test_check_has_a_word_for_whatever_loads(tmp_path_factory, path, wrongs):
    document = tomllib.loads(path.read_text())
    for wrong in wrongs:
        document = changed(document, wrong)
    copy = tmp_path_factory.getbasetemp() / "changed.toml"
    copy.write_text(toml(document))

    findings = list(check_narrative(copy, config=load(None, environ={}, cwd=copy.parent)))

    assert all(each.subject.startswith(str(copy.parent)) for each in findings)
    assert {each.level for each in findings} & {"ok", "error"}


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_any_text_loads_or_is_told_what_is_wrong(text):
    loaded_or_told(text)


def test_a_document_nested_without_end_is_told_so():
    with pytest.raises(ConfigError, match="nested too deeply"):
        load_text("x = " + "[" * 5000 + "]" * 5000, PATH)


@settings(max_examples=100)
@given(names, stories)
def test_every_header_and_key_is_found_in_its_line(name, story):
    document = single(name, story["acts"], {"description": "a\n[b]\nc = 1"})
    text = expanded(document)

    lines = text.split("\n")
    for key, line in key_lines(text).items():
        last = next(part for part in reversed(key) if isinstance(part, str))
        assert last in lines[line - 1]
