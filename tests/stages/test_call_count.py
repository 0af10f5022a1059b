"""The dry run's figure, the check of the day's room and the real run count the same calls."""

import base64
from dataclasses import replace

import pytest

from botticelli.config.model import Limits
from botticelli.errors import Exit
from botticelli.narrative.errors import CommandFailed
from botticelli.stages.generate.plan import GenerateRequest, dry_run_generate
from botticelli.stages.generate.stage import generate
from tests.pipeline import JUDGE, WRITER
from tests.run_context import CommandRegistry

POST = """
    [schemas.post]
    type = "object"
    required = ["text_content"]
    [schemas.post.properties.text_content]
    type = "string"
"""
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(24)).decode()
# What is counted -> (calls of one item, its narrative).
KINDS = {
    "acts that only read tables": (
        1,
        """
        [narrative]
        name = "counted"
        [toc]
        order = ["first", "second", "say"]
        [tables.posts]
        table_name = "potential_discord_posts"
        [acts]
        first = "tables.posts"
        second = ["tables.posts"]
        say = "Say something."
        """,
    ),
    "acts that only run commands": (
        2,
        """
        [narrative]
        name = "counted"
        [toc]
        order = ["look", "again", "say", "end"]
        [bots.look]
        platform = "discord"
        command = "server.get_stats"
        [bots.again]
        platform = "discord"
        command = "channels.list"
        [acts]
        look = "bots.look"
        again = "bots.again"
        say = "Say something."
        end = "Say goodbye."
        """,
    ),
    "an optional command that fails": (
        1,
        """
        [narrative]
        name = "counted"
        [toc]
        order = ["look", "say"]
        [bots.look]
        platform = "discord"
        command = "roles.list"
        required = false
        [acts]
        look = "bots.look"
        say = "Say something."
        """,
    ),
    "narratives that acts run": (
        1 + 2 * 3 * 2,
        """
        [narrative.counted]
        toc = ["say", "inner"]
        [narrative.counted.acts.inner]
        narrative = "inner"
        carousel = 2
        [narrative.inner]
        toc = ["draft", "post"]
        carousel = 3
        [acts]
        say = "Say something."
        draft = "Draft."
        post = "Post."
        """,
    ),
    "narratives that inputs run": (
        1 + 2,
        """
        [narrative]
        name = "counted"
        [toc]
        order = ["call", "say"]
        [narratives.other]
        narrative = "other.toml"
        [acts]
        call = "narratives.other"
        say = "Say something."
        """,
    ),
    "acts that are repeated": (
        4,
        """
        [narrative]
        name = "counted"
        [toc]
        order = ["say", "end"]
        [acts]
        end = "Say goodbye."
        [acts.say]
        carousel = { iterations = 3 }
        [[acts.say.input]]
        type = "text"
        content = "Say something."
        """,
    ),
    "an act whose answer is there": (
        1,
        f"""
        [narrative]
        name = "counted"
        [toc]
        order = ["post", "mended"]
        [acts.post]
        schema = "post"
        [[acts.post.input]]
        type = "text"
        content = "Post."
        [acts.mended]
        schema = "post"
        skip_if_valid = true
        [[acts.mended.input]]
        type = "text"
        content = "Mend it."
        {POST}
        """,
    ),
    "an act that has no answer before it": (
        1,
        f"""
        [narrative]
        name = "counted"
        [toc]
        order = ["post"]
        [acts.post]
        schema = "post"
        skip_if_valid = true
        [[acts.post.input]]
        type = "text"
        content = "Post."
        {POST}
        """,
    ),
    "media with a prompt and without": (
        1,
        f"""
        [narrative]
        name = "counted"
        [toc]
        order = ["keep", "look"]
        [media.pixel]
        base64 = "{PIXEL}"
        mime = "image/png"
        [acts]
        keep = "media.pixel"
        look = ["media.pixel", "What is it?"]
        """,
    ),
}
SEVERAL = {kind: (calls, text) for kind, (calls, text) in KINDS.items() if calls > 1}
OTHER = """
    [narrative]
    name = "other"
    [toc]
    order = ["read", "one", "two"]
    [tables.posts]
    table_name = "potential_discord_posts"
    [acts]
    read = "tables.posts"
    one = "One."
    two = "Two."
"""


class Discord:
    """Answers every read but one."""

    def writes(self, _command):
        return False

    def run(self, call):
        if call.command == "roles.list":
            raise CommandFailed("no permission", where=call.name)
        return {"id": "1"}


@pytest.fixture
def count(db, stages, gemini):
    """`count(text, rpd=3)` runs one item on a day with that many calls; (dry run, report)."""
    gemini.responder = lambda call: {"text_content": "a post"} if call.schema else "a draft"

    def run(text, *, rpd, **limits):
        stages.write(text, "counted.toml")
        stages.write(OTHER, "other.toml")
        stages.settings("budget", rpd=1.0)
        rates = {WRITER: rpd, **limits}
        stages.settings(
            "models",
            default=(WRITER,),
            limits={name: Limits(rpm=10**5, rpd=rate) for name, rate in rates.items()},
        )
        context = replace(
            stages.context(db),
            open_commands=lambda _: CommandRegistry(executors={"discord": Discord()}),
        )
        request = GenerateRequest(narrative="counted", iterations=1)
        dry = dry_run_generate(context, request=request)
        return dry, generate(context, request=request)

    return run


@pytest.mark.parametrize(("calls", "text"), KINDS.values(), ids=KINDS)
def test_a_day_with_room_for_exactly_the_calls_of_the_dry_run_is_enough(count, gemini, calls, text):
    dry, report = count(text, rpd=calls)

    assert (dry.calls, report.calls, len(gemini.calls)) == (calls, calls, calls)
    assert (report.exit_code, report.left) == (Exit.DONE, 0)


@pytest.mark.parametrize(("calls", "text"), SEVERAL.values(), ids=SEVERAL)
def test_a_day_with_one_call_less_is_told_before_the_first_is_paid(count, gemini, calls, text):
    dry, report = count(text, rpd=calls - 1)

    assert (dry.calls, len(gemini.calls)) == (calls, 0)
    assert (report.exit_code, report.left) == (Exit.TRY_LATER, 1)
    assert f"a post needs {calls}" in report.reason


def test_an_act_with_a_model_of_its_own_takes_nothing_from_the_writers_day(count, gemini):
    text = f"""
        [narrative]
        name = "counted"
        [toc]
        order = ["draft", "critique", "say"]
        [acts]
        draft = "Draft."
        say = "Say it."
        [acts.critique]
        model = "{JUDGE}"
        [[acts.critique.input]]
        type = "text"
        content = "What is wrong with it?"
    """

    dry, report = count(text, rpd=2, **{JUDGE: 1})

    assert (dry.calls, report.calls, len(gemini.calls)) == (3, 3, 3)
    assert report.exit_code == Exit.DONE


def test_the_dry_run_takes_an_authors_estimate_of_a_round_for_more_than_its_own(count):
    text = """
        [narrative]
        name = "counted"
        toc = ["say", "end"]
        [narrative.carousel]
        iterations = 1
        estimated_tokens_per_iteration = 20000
        [acts]
        say = "Say something."
        end = "Say goodbye."
    """

    dry, _ = count(text, rpd=2)
    plain, _ = count(text.replace("20000", "1"), rpd=4)

    assert dry.calls == plain.calls == 2
    assert dry.input_tokens == plain.input_tokens
    assert dry.input_tokens + dry.output_tokens == 20_000
    assert plain.output_tokens == 2 * 400
    # 2.5 dollars for a million tokens of the writer's output
    assert dry.cents - plain.cents == pytest.approx((dry.output_tokens - 800) * 2.5 / 10_000)
