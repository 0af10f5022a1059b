"""The earlier system's files, of every shape: what is made loads, and each key has its line."""

import json
import random
from pathlib import Path

import pytest

from botticelli.config.legacy import convert, nested
from botticelli.config.load import build
from botticelli.errors import ConfigError
from botticelli.toml_lines import parse

PLAN = Path(__file__).parents[1] / "imports"
POSTERS = """
[server]
max_consecutive_failures = 7
[[actors]]
name = "Daily news"
channel_id = "111111111111111111"
config_file = "{file}"
[actors.schedule]
type = "Interval"
seconds = 86400
[[actors]]
name = "Hourly tips"
channel_id = "222222222222222222"
config_file = "{file}"
[actors.schedule]
type = "Interval"
seconds = 3600
"""
LISTED_SKILLS = """
[actor]
name = "content_poster"
platform = "discord"
[[actor.knowledge]]
table = "content"
query = "SELECT * FROM content"
[[skills]]
name = "content_scheduling"
enabled = true
[skills.config]
schedule_window_start = "09:00"
schedule_window_end = "21:00"
[[skills]]
name = "rate_limiting"
[skills.config]
max_posts_per_day = 4
min_interval_minutes = 90
[[skills]]
name = "duplicate_check"
[skills.config]
lookback_days = 30
similarity_threshold = 0.9
[platform]
channel_id = "333333333333333333"
"""
NAMED_SKILLS = """
[actor]
name = "Post Scheduler"
knowledge = ["approved_posts"]
skills = ["content_scheduling", "rate_limiting"]
[actor.config]
max_posts_per_day = 10
min_interval_minutes = 60
retry_attempts = 3
timezone = "America/New_York"
[actor.cache]
strategy = "memory"
ttl_seconds = 300
[skills.content_scheduling]
schedule_window_start = "09:00"
schedule_window_end = "17:00"
[skills.rate_limiting]
max_posts_per_day = 3
min_interval_minutes = 30
"""
BOTS = """
[generation]
narrative_path = "stories/writer.toml"
narrative_name = "all"
interval_hours = 24
[curation]
check_interval_minutes = 90
batch_size = 12
[posting]
base_interval_hours = 2
jitter_minutes = 30
"""
SETTINGS = """
[context]
path = "pages"
[budget]
rpm_multiplier = 0.5
[providers.gemini]
default_tier = "payasyougo"
[providers.gemini.tiers.payasyougo]
max_concurrent = 3
cost_per_million_input_tokens = 0.1
[providers.gemini.tiers.payasyougo.models."gemini-2.5-pro"]
rpm = 150
rpd = null
[providers.gemini.tiers.free.models."gemini-2.5-pro"]
rpm = 2
[bot_server.generation]
model = "gemini-2.5-flash-lite"
interval_hours = 6
[bot_server.posting]
channel_id = "444444444444444444"
[inference]
backend = "local"
api_url = "http://localhost:8080"
model = "mistral"
"""
ALL = {
    "posters.toml": POSTERS.format(file="listed.toml"),
    "listed.toml": LISTED_SKILLS,
    "named.toml": NAMED_SKILLS,
    "bots.toml": BOTS,
    "settings.toml": SETTINGS,
}


@pytest.fixture
def folder(tmp_path):
    for name, text in ALL.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "posters.toml",
            {
                "circuit_breaker.failure_threshold": 7,
                "post.schedule.seconds": 3600,
                "destinations.hourly-tips.channel": "222222222222222222",
                "destinations.daily-news.channel": "111111111111111111",
                "destinations.daily-news.min_interval_minutes": 1440,
                "destinations.hourly-tips.active_hours": "09:00-21:00",
            },
        ),
        (
            "listed.toml",
            {
                "destinations.discord.channel": "333333333333333333",
                "destinations.discord.active_hours": "09:00-21:00",
                "destinations.discord.posts_per_day": 4,
                "destinations.discord.min_interval_minutes": 90,
                "similarity.window_days": 30,
            },
        ),
        (
            "named.toml",
            {
                "destinations.discord.posts_per_day": 3,
                "destinations.discord.min_interval_minutes": 60,
                "destinations.discord.time_zone": "America/New_York",
                "destinations.discord.active_hours": "09:00-17:00",
                "destinations.discord.channel": "${POSTING_CHANNEL_ID}",
                "post.max_retries": 3,
            },
        ),
        (
            "bots.toml",
            {
                "generate.narrative": "writer.all",
                "generate.schedule.seconds": 86400,
                "curate.schedule.seconds": 5400,
                "curate.batch": 12,
                "post.schedule.seconds": 7200,
                "post.schedule.jitter_percent": 25.0,
            },
        ),
        (
            "settings.toml",
            {
                "narratives.context": ["pages"],
                "budget.rpm": 0.5,
                "models.tier": "tier1",
                "models.max_concurrent": 3,
                "models.limits.gemini-2.5-pro.rpm": 150,
                "models.default": "gemini-2.5-flash-lite",
                "models.inference.base_url": "http://localhost:8080/v1",
                "generate.schedule.seconds": 21600,
                "destinations.discord.channel": "444444444444444444",
            },
        ),
    ],
)
def test_what_was_set_is_set(folder, name, wanted):
    values = convert([folder / name], cwd=folder).values
    made = {".".join(key): value for key, value in values.items()}

    assert {key: made.get(key) for key in wanted} == wanted


@pytest.mark.parametrize("name", [*ALL])
def test_every_key_has_its_line(folder, name):
    """A key is taken, not needed, or without counterpart; none is left unsaid."""
    lines = "\n".join(each.line for each in convert([folder / name], cwd=folder).fates)

    for line in ALL[name].splitlines():
        key = line.partition(" = ")[0]
        if " = " in line and key != "name":
            assert f"{key} = " in lines or f"{key}: " in lines, key


def test_of_two_that_say_it_the_first_file_counts(folder):
    made = convert([folder / "bots.toml", folder / "settings.toml"], cwd=folder)

    assert made.values["generate", "schedule", "seconds"] == 86400
    (said,) = [each.line for each in made.fates if "interval_hours = 6" in each.line]
    assert said.endswith(": not taken: generate.schedule.seconds is 86400 already")


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("timezone = 'Mars/Base'", "there is no time zone"),
        ("max_posts_per_day = 0", "must be at least 1"),
        ("max_posts_per_day = 'ten'", "must be a whole number"),
        ("min_interval_minutes = inf", "must be a finite number"),
        ("timezone = 1979-05-27", "must be text"),
    ],
)
def test_what_ours_does_not_allow_is_left_out_and_told(tmp_path, setting, why):
    (tmp_path / "actor.toml").write_text(f"[actor]\nname = 'Post'\n[actor.config]\n{setting}\n")

    made = convert([tmp_path / "actor.toml"], cwd=tmp_path)

    (said,) = [each for each in made.fates if setting.partition(" = ")[0] in each.line]
    assert said.is_loss
    assert "not taken" in said.line
    assert why in said.line
    assert build(nested(made.values), base=tmp_path, state=tmp_path)[0] is not None


def written(value):
    """Write any value as TOML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return json.dumps(value) if isinstance(value, str | bool | int | float) else str(value)


ODD = [
    "",
    "x",
    "${X}",
    -1,
    0,
    10**30,
    1.5,
    float("inf"),
    True,
    [],
    {},
    [1],
    [{}],
    [[]],
    {"a": {"b": 1}},
]


def mutated(value, chance, depth=0):
    """Return a document with some of its values replaced, removed, repeated or renamed."""
    if chance.random() < 0.08 and depth:
        return chance.choice(ODD)
    if isinstance(value, dict):
        items = [
            (k, mutated(v, chance, depth + 1)) for k, v in value.items() if chance.random() > 0.05
        ]
        return {chance.choice([k, k, k, k, k, k.upper(), f"{k}.x", "", "é"]): v for k, v in items}
    if isinstance(value, list):
        times = chance.choice([1, 1, 1, 0, 2])
        return [mutated(each, chance, depth + 1) for each in value for _ in range(times)]
    return value


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ALL])
def test_no_shape_is_too_odd(tmp_path, name):
    """Whatever the file is: an error says that it is none, or what is made of it loads."""
    chance, read = random.Random(name), 0
    document = parse(ALL[name].replace("null", "1"), name)
    (tmp_path / "listed.toml").write_text(LISTED_SKILLS)
    for _ in range(150):
        odd = mutated(document, chance)
        lines = [f"{json.dumps(k)} = {written(v)}\n" for k, v in dict(odd or {}).items()]
        (tmp_path / "odd.toml").write_text("".join(lines).replace("Infinity", "inf"))
        try:
            made = convert([tmp_path / "odd.toml"], cwd=tmp_path)
        except ConfigError:
            continue
        read += 1
        config, mistakes = build(nested(made.values), base=tmp_path, state=tmp_path)
        assert config is not None, ("".join(lines), mistakes)
    assert read > 75
