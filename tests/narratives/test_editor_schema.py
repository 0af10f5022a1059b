"""The JSON Schema for editors agrees with the loader as far as a schema can."""

import json
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from botticelli.platforms.rules.security_rules import rules_of_narrative

FOLDER = Path(__file__).parent / "examples"
SHIPPED = Path(str(files("botticelli") / "narratives"))
SCHEMA = json.loads((files("botticelli") / "narrative" / "dialect.schema.json").read_text("utf-8"))
GOOD = sorted([*FOLDER.glob("*.toml"), *SHIPPED.glob("*.toml")])
# Mistakes that a schema can see; the others are about what refers to what.
VISIBLE = (
    "act_blank", "budget_key", "budget_range", "carousel_bare", "carousel_zero", "limit_text",
    "list_act_name", "no_name", "no_narrative", "several", "table_name", "toc_empty", "two_filters",
    "wrong_type", "format_unknown", "type_unknown", "two_sources", "step_idle", "act_empty",
    "table_nameless", "command_bare",
)  # fmt: skip


def mistakes(path):
    return list(Draft202012Validator(SCHEMA).iter_errors(tomllib.loads(path.read_text("utf-8"))))


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_an_editor_accepts_what_loads(path):
    assert mistakes(path) == []


@pytest.mark.parametrize("name", VISIBLE)
def test_an_editor_shows_a_mistake_before_anything_runs(name):
    assert mistakes(FOLDER / "bad" / f"{name}.toml")


def test_an_editor_knows_every_security_rule_and_no_other():
    check = Draft202012Validator(SCHEMA).is_valid
    story = {"narrative": {"name": "n"}, "toc": {"order": ["a"]}, "acts": {"a": "Go."}}
    rules = {
        "policy": {
            "allowed_commands": ["messages.*"],
            "denied_commands": ["messages.clear"],
            "require_confirmation": ["messages.send"],
            "rate_limits": {"messages.send": "5/hour"},
        },
        "constraints": {"guild_id": 1, "channel_ids": ["2"], "channel_prefix": "bot-"},
        "content": {"max_length": 9, "max_mentions": 0, "max_links": 2, "allowed_links": ["x.org"]},
    }
    rules_of_narrative(rules)

    assert check({**story, "security": rules})
    for section in rules:
        assert not check({**story, "security": {section: {"allowed_comands": ["x"]}}})


def test_every_key_in_the_schema_has_a_description():
    def undescribed(node, where):
        for name, value in node.get("properties", {}).items():
            referred = SCHEMA["$defs"].get(value.get("$ref", "").removeprefix("#/$defs/"), {})
            if "description" not in value and "description" not in referred:
                yield f"{where}.{name}"

    nodes = [("root", SCHEMA), *SCHEMA["$defs"].items()]
    missing = [name for where, node in nodes for name in undescribed(node, where)]
    assert missing == []
