"""`botticelli import`: the plan's server file and its actors keep their worth."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tests.configured import load

PLAN = Path(__file__).parents[1] / "imports"  # the files of the user's own deployment plan


@pytest.fixture
def plan(botticelli):
    shutil.copytree(PLAN, botticelli.cwd, dirs_exist_ok=True)
    return botticelli


def test_the_plans_files_become_a_configuration_that_says_the_same(plan):
    ended = plan("import actor_server.toml --to botticelli.toml")

    assert ended.code == 0, ended.err
    config = load(
        plan.cwd / "botticelli.toml",
        environ={"DATABASE_URL": "postgresql://a/b", "POSTING_CHANNEL_ID": "42"},
        cwd=plan.cwd,
    )
    schedules = [config.generate.schedule, config.curate.schedule, config.post.schedule]
    assert [(one.interval, one.jitter_percent) for one in schedules] == [
        (timedelta(days=1), 10),
        (timedelta(hours=12), 15),
        (timedelta(hours=2), 25),
    ]
    assert [stage.retry.max_retries for stage in (config.generate, config.curate, config.post)] == [
        2,
        3,
        2,
    ]
    assert not config.generate.retry.continue_on_error
    assert config.generate.narrative == "generation_carousel.batch_generate"
    assert (config.curate.narrative, config.curate.drain) == ("curate_and_approve", True)
    assert config.supervision.failure_threshold == 5
    assert config.supervision.reset_timeout == timedelta(minutes=5)
    assert config.database.url == "postgresql://a/b"
    assert config.destinations["discord"].channel == "42"


def test_it_says_what_it_could_not_carry_over(plan):
    err = plan("import actor_server.toml").err

    for key in (
        "server.check_interval_seconds = 60",
        "server.observability.health_endpoint",
        "database.pool_size = 10",
        "discord_poster.toml is not needed",
    ):
        assert key in err


def test_every_setting_is_carried_over_or_told(plan):
    """Nothing of a file disappears in silence."""
    actor = plan.cwd / "actors/posting_actor.toml"
    actor.write_text(actor.read_text() + "\n[skills.sing]\nloud = true\n[state]\nkeep = 1\n")

    err = plan("import actor_server.toml").err

    assert "posting_actor.toml: skills.sing.loud = true: not carried over" in err
    assert "posting_actor.toml: state.keep = 1: not carried over" in err


def test_a_file_that_is_there_is_not_overwritten(plan):
    (plan.cwd / "botticelli.toml").write_text("# mine\n")

    ended = plan("import actor_server.toml --to botticelli.toml")

    assert ended.code == 2
    assert (plan.cwd / "botticelli.toml").read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nname = 'x'", "has neither [[actors]] nor an [actor]"),
        ("[server", "broken TOML"),
        ("[[actors]]\nconfig_file = 'nowhere.toml'", "nowhere.toml: cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_line(botticelli, text, said):
    (botticelli.cwd / "server.toml").write_text(text)

    ended = botticelli("import server.toml")

    assert ended.code == 78
    assert said in ended.err


EARLIER_SETTINGS = """
[budget]
rpm_multiplier = 0.5
[providers.gemini]
default_tier = "free"
[providers.ollama.tiers.local]
rpm = null
"""
JUDGE_WITHOUT_SCORES = """
[narrative.curate_content]
toc = ["choose"]
target = "approved_discord_posts"
[acts]
choose = "Choose the best two."
"""
STORIES = "crates/botticelli_narrative/narratives/discord"


@pytest.fixture
def checkout(plan):
    """The plan in a checkout: its own botticelli.toml, and a curation that is none of ours."""
    (plan.cwd / "botticelli.toml").write_text(EARLIER_SETTINGS)
    folder = plan.cwd / STORIES
    folder.mkdir(parents=True)
    (folder / "curate_and_approve.toml").write_text(JUDGE_WITHOUT_SCORES)
    return plan


@pytest.mark.parametrize(
    "words", ["status", "check", "post", "budget", "run x.toml", "narratives", "health", "doctor"]
)
def test_in_a_checkout_every_command_names_the_import(checkout, words):
    ended = checkout(words)

    assert ended.code in (1, 78)
    said = ended.out + ended.err
    assert "is a file of the earlier system" in said
    assert "botticelli import --to botticelli.toml" in said
    assert "providers" not in said


def test_a_checkout_moves_in_whole(checkout):
    """Actors, settings and all; the judge is one that can judge, whatever the folders hold."""
    ended = checkout("import --to botticelli.toml")

    assert ended.code == 0, ended.err
    assert "does not end in scores" in ended.err
    assert (checkout.cwd / "botticelli.earlier.toml").read_text() == EARLIER_SETTINGS
    config = load(checkout.cwd / "botticelli.toml", environ={}, cwd=checkout.cwd)
    assert config.budget.rpm == 0.5
    assert config.models.tier == "free"
    assert config.narratives.folders == (checkout.cwd / STORIES,)
    assert config.curate.narrative == "shipped/curate_and_approve"
    checked = json.loads(checkout("check --json").out)["findings"]
    subjects = [each["subject"] for each in checked if each["level"] == "error"]
    assert not [each for each in subjects if "curate" in each or "narrative" in each]


def test_config_file_may_start_anywhere_above(checkout):
    """From the server's file, from a folder above it, or from where the command runs."""
    inner = checkout.cwd / "servers" / "live"
    inner.mkdir(parents=True)
    (checkout.cwd / "actor_server.toml").rename(inner / "server.toml")

    ended = checkout("import servers/live/server.toml")

    assert ended.code == 0, ended.err
    assert "[destinations.discord]" in ended.out
    assert "rpm = 0.5" not in ended.out  # that botticelli.toml is not beside it


def test_nothing_is_written_where_something_is_wrong(checkout):
    (checkout.cwd / "actors/posting_actor.toml").write_text("[actor")

    ended = checkout("import --to botticelli.toml")

    assert ended.code == 78
    assert (checkout.cwd / "botticelli.toml").read_text() == EARLIER_SETTINGS
    assert not (checkout.cwd / "botticelli.earlier.toml").exists()
