"""Our own validator says what the real one says, and says it better."""

import copy
import json
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from botticelli.cli.setup.sample import sample
from botticelli.config.structure import mistakes
from botticelli.config.structure import schema as schema_of
from botticelli.platforms.open import ROOMS
from tools.reference import files

HOUSE = Path(__file__).parents[2]

GOOD = [
    {},
    {"post": {"limit": 2, "schedule": {"type": "Interval", "seconds": 60, "jitter_percent": 0.5}}},
    {"post": {"limit": 2.0}},
    {"models": {"default": "a", "judge": ["a", "b"]}},
    {"models": {"mine": {"provider": "openai", "base_url": "http://localhost"}}},
    {"models": {"prices": {"m": {"input": 1, "output": 2}}}},
    {"models": {"prices": {"m": [{"input": 1, "output": 2, "valid_from": "2026-01-01"}]}}},
    {"models": {"aliases": {"w": "m"}, "limits": {"m": {"rpm": 1}}}},
    {"budget": {"rpm": 1, "tpd": 0.01}},
    {"destinations": {"a": {"platform": "discord", "channel": 12, "quiet_dates": ["12-25"]}}},
    {"destinations": {"a": {"platform": "outbox", "guard": {"allow_invites": True}}}},
]
BAD = [
    {"pots": {}},
    {"post": []},
    {"post": {"limit": 0}},
    {"post": {"limit": 101}},
    {"post": {"limit": 1.5}},
    {"post": {"limit": "1"}},
    {"post": {"limit": True}},
    {"post": {"continue_on_error": 1}},
    {"post": {"schedule": {"type": "Weekly"}}},
    {"post": {"schedule": {"jitter_percent": 101}}},
    {"budget": {"rpm": 0}},
    {"budget": {"rpm": 1.01}},
    {"lease": {"seconds": 61}},
    {"generate": {"narrative": ""}},
    {"models": {"default": []}},
    {"models": {"default": 3}},
    {"models": {"default": ["a", ""]}},
    {"models": {"defualt": "a"}},
    {"models": {"mine": {"base_url": "x"}}},
    {"models": {"mine": {"provider": "x"}}},
    {"models": {"prices": {"m": []}}},
    {"models": {"prices": {"m": {"input": -1, "output": 1}}}},
    {"models": {"prices": {"m": {"input": 1}}}},
    {"models": {"aliases": {"w": 1}}},
    {"destinations": {"a": {}}},
    {"destinations": {"a": {"platform": "discord", "channel": 1.5}}},
    {"destinations": {"a": {"platform": "discord", "active_hours": "morning"}}},
    {"destinations": {"a": {"platform": "discord", "quiet_dates": ["25.12."]}}},
    {"destinations": {"a": {"platform": "discord", "tags": "news"}}},
]


def schema():
    return schema_of(platforms=tuple(ROOMS))


@pytest.fixture(scope="module")
def real():
    Draft202012Validator.check_schema(schema())
    return Draft202012Validator(schema())


@pytest.mark.parametrize("config", GOOD)
def test_both_accept(config, real):
    assert list(mistakes(config, schema())) == []
    assert real.is_valid(config)


@pytest.mark.parametrize("config", BAD)
def test_both_refuse(config, real):
    assert list(mistakes(config, schema()))
    assert not real.is_valid(config)


def uncommented():
    keys = re.sub(r'(?m)^# (?=[\w."-]+ = (?!\{))', "", sample())
    return tomli.loads(keys)


VALUES = st.one_of(
    st.booleans(),
    st.integers(-2, 200),
    st.floats(-1, 200, allow_nan=False),
    st.text(max_size=5),
    st.lists(st.text(max_size=5), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=1),
)


@st.composite
def damaged(draw):
    """The full sample with one value, somewhere, replaced by something else."""
    config = copy.deepcopy(uncommented())
    table = config
    while True:
        key = draw(st.sampled_from(sorted(table)))
        if not isinstance(table[key], dict) or not table[key] or draw(st.integers(0, 9)) == 0:
            table[key] = draw(VALUES)
            return config
        table = table[key]


@pytest.mark.slow
@given(damaged())
def test_both_agree_about_any_damage(config):
    real = Draft202012Validator(schema())

    assert (not list(mistakes(config, schema()))) == real.is_valid(config), json.dumps(config)


def test_every_key_has_a_description_and_a_value_to_show():
    def keys(rule, path=()):
        for key, inner in rule.get("properties", {}).items():
            yield (*path, key), inner
            yield from keys(inner, (*path, key))
        if isinstance(rule.get("additionalProperties"), dict):
            yield from keys(rule["additionalProperties"], (*path, "*"))

    for path, rule in keys(schema()):
        assert rule.get("description"), path
        assert rule.get("type") == "object" or "default" in rule or "examples" in rule, path


def test_pages_and_schema_are_what_the_keys_say():
    for file, text in files().items():
        assert file.read_text("utf-8") == text, "run `just reference`"


def test_editors_get_the_schema_with_the_package(tmp_path, monkeypatch):
    interface = ModuleType("hatchling.builders.hooks.plugin.interface")
    interface.BuildHookInterface = list  # hatchling is there when a package is built only
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    hook = runpy.run_path(str(HOUSE / "hatch_build.py"))["GeneratedFiles"]()
    hook.root = str(tmp_path)
    file = tmp_path / "botticelli" / "config" / "schema.json"
    file.parent.mkdir(parents=True)
    build = {"artifacts": [], "shared_data": {}}

    hook.initialize("standard", build)

    assert json.loads(file.read_text("utf-8")) == schema()
    assert build["artifacts"] == ["/botticelli/config/schema.json"]
    hook.finalize("standard", build, "")
