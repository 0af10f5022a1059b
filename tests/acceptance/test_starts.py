"""A stage that would end 78 makes `check` red with the same reason; what ended 78 leaves a trace.

Derived by doing it: each broken house runs its stages and is checked.
"""

import json
import re

import pytest

from tests.database import approved, candidate

SETTINGS = """
[generate]
narrative = "news"
[curate]
narrative = "judge"
[models]
default = "{writer}"
judge = "{judge}"
{models}
[destinations.news]
{destination}
[security]
{security}
"""
NEWS = """
[narrative]
name = "news"
target = "{target}"
[toc]
order = ["{order}"]
[acts.write]
{write}
[[acts.write.input]]
type = "text"
content = "{prompt}"
{more}
"""
JUDGE = """
[narrative]
name = "judge"
skip_content_generation = true
{judging}
[toc]
order = ["score"]
[tables.candidates]
table_name = "potential_discord_posts"
[acts.score]
schema = "scores"
[[acts.score.input]]
type = "table"
table_name = "candidates"
[[acts.score.input]]
type = "text"
content = "Judge {{{{candidates}}}}"
[schemas.scores]
type = "object"
required = ["{scores}"]
[schemas.scores.properties.{scores}]
type = "array"
[schemas.scores.properties.{scores}.items]
type = "object"
required = ["{id}"]
[schemas.scores.properties.{scores}.items.properties.{id}]
type = "string"
"""
PARTS = {
    "writer": "offline", "judge": "offline", "models": "", "security": "",
    "destination": 'platform = "outbox"', "target": "potential_discord_posts", "order": "write",
    "write": "", "prompt": "Write a post.", "more": "", "judging": "", "scores": "scores",
    "id": "id",
}  # fmt: skip
DISCORD = 'platform = "discord"\nchannel = "123"\ntoken = "a.b.c"\n'
SECOND = '[acts.{name}]\nmodel = "{model}"\n[[acts.{name}.input]]\ntype = "text"\ncontent = "x"\n'
IMAGE = '[[acts.write.input]]\ntype = "image"\n{}\n'
COMMAND = (
    '[[acts.write.input]]\ntype = "bot_command"\nplatform = "{}"\ncommand = "{}"\nrequired = true\n'
    "args = {{ {} }}\n"
)
LOCAL_PATH = "models/none.gguf"


class House:
    """A project whose stages all work, but for what a case breaks."""

    def __init__(self, botticelli, db):
        self.botticelli, self.db, self.parts = botticelli, db, dict(PARTS)
        self.folder, self.environ = botticelli.cwd, botticelli.environ

    def build(self):
        (self.folder / "narratives").mkdir(exist_ok=True)
        for name, text in (
            ("botticelli.toml", SETTINGS),
            ("narratives/news.toml", NEWS),
            ("narratives/judge.toml", JUDGE),
        ):
            path = self.folder / name
            if not path.exists():
                path.write_text(text.format(**self.parts))


def part(**parts):
    """Return what puts something else into a place of the files."""

    def break_it(house):
        house.parts |= parts

    return break_it


def write(name, text):
    def break_it(house):
        path = house.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return break_it


def variable(**variables):
    def break_it(house):
        house.environ |= variables

    return break_it


def database(statement):
    def break_it(house):
        house.db.execute(statement)

    return break_it


def second(model, name="after"):
    """Return a second act that asks another model."""
    more = SECOND.format(name=name, model=model)
    return part(order=f'write", "{name}', more=more)


def destination(text):
    return part(destination=text)


# What is broken -> the stages that end 78; "" if none does and `check` may say what it likes.
CASES = {
    # models
    "no key to write": (part(writer="gemini-3.5-flash-lite"), "generate"),
    "no key to judge": (part(judge="gemini-3.8-flash"), "curate"),
    "nobody knows the model": (part(writer="claude-3-opus"), "generate"),
    "nobody knows the judge": (part(judge="wonder-7b"), "curate"),
    "an alias that leads nowhere": (
        part(writer="mine", models='[models.aliases]\nmine = "nowhere-1"'), "generate"),
    "a base url that is none": (
        part(writer="mine", models='[models.mine]\nprovider = "openai"\nbase_url = "localhost"\n'),
        "generate"),
    "openai without a key": (part(judge="gpt-5-mini"), "curate"),
    "a scripted model without a file": (part(writer="scripted:nothing.json"), "generate"),
    "a local model without a file": (part(writer=f"local:{LOCAL_PATH}"), "generate"),
    "a local model that is none": (
        lambda house: (write("a.gguf", "no model")(house),
                       part(writer=f"local:{house.folder}/a.gguf")(house)), "generate"),
    "the second act's model": (second("gemini-3.5-flash-lite"), "generate"),
    "the second act's family": (second("claude-3-opus"), "generate"),
    "the model of a nested narrative": (
        lambda house: (
            write("inner.toml", '[narrative]\nname = "inner"\nskip_content_generation = true\n'
                  'model = "gpt-5-mini"\n[toc]\norder = ["a"]\n[acts]\na = "Say it."\n')(house),
            part(order='write", "call', more='[acts]\ncall = "narratives.inner"\n')(house)),
        "generate"),
    "the judge's own model": (part(judging='model = "gpt-5-mini"'), "curate"),
    "a key that is only a space": (
        lambda house: (variable(GEMINI_API_KEY=" ")(house),
                       part(writer="gemini-3.5-flash-lite")(house)), "generate"),
    # narratives
    "no such narrative": (write("narratives/news.toml", "[narrative\n"), "generate"),
    "an empty narrative": (write("narratives/news.toml", ""), "generate"),
    "a narrative that is no text": (write("narratives/news.toml", b"\xff\xfe\x00"), "generate"),
    "a judge that gives no scores": (part(scores="points"), "curate"),
    "a judge without ids": (part(id="post"), "curate"),
    "a judge that is not there": (part(judging='broken'), "curate"),
    "an act that is not there": (part(order='write", "polish'), "generate"),
    "a file that is not there": (part(more=IMAGE.format('file = "cat.png"')), "generate"),
    "a file that is no image": (
        lambda house: (write("narratives/cat.png", "RIFF    WAVE")(house),
                       part(more=IMAGE.format('file = "cat.png"'))(house)), "generate"),
    "a medium that is no base64": (
        part(more=IMAGE.format('base64 = "%%"\nmime = "image/png"')), "generate"),
    "a medium of this machine": (
        part(more=IMAGE.format('url = "http://127.0.0.1/a.png"')), "generate"),
    "a variable that no narrative may read": (
        lambda house: (variable(CITY="Ulm")(house), part(prompt="In ${env:CITY}")(house)),
        "generate"),
    "a secret in the prompt": (
        lambda house: (variable(DISCORD_TOKEN="abc.def.ghi1234567")(house),
                       part(prompt="${DISCORD_TOKEN}")(house)), "generate"),
    "narratives that run each other": (
        part(order='write", "again', more='[acts]\nagain = "narratives.news"\n'), "generate"),
    "a nested file that is not there": (
        part(order='write", "call', more='[acts]\ncall = "narratives.gone"\n'), "generate"),
    "rows for approved posts": (part(target="approved_discord_posts"), "generate"),
    "a command that is not trusted": (
        part(more=COMMAND.format("database", "update_table",
             'table_name = "content", updates = {{ a = 1 }}, where = "id = 1"')), "generate"),
    "a table that is ours alone": (
        part(more='[[acts.write.input]]\ntype = "table"\ntable_name = "runs"\n'), "generate"),
    "a filter that is none": (
        part(more='[[acts.write.input]]\ntype = "table"\ntable_name = "content"\nwhere = "1 ="\n'),
        "generate"),
    "a column to drop": (
        part(more='[[acts.write.input]]\ntype = "table"\ntable_name = "content"\n'
                  'where = "id = 1; DROP TABLE content"\n'), "generate"),
    "a context file that is gone": (
        part(more='[[acts.write.input]]\ntype = "text"\nfile = "about.md"\n'), "generate"),
    "a file above the project": (
        part(more='[[acts.write.input]]\ntype = "text"\nfile = "/etc/shadow"\n'), "generate"),
    "a schema that is none": (
        part(write="schema = 7"), "generate"),
    "more than a minute's tokens": (
        lambda house: (variable(GEMINI_API_KEY="k" * 39)(house),
                       part(writer="gemini-3.5-flash-lite", prompt="word " * 4000,
                            models='[models.limits."gemini-3.5-flash-lite"]\ntpm = 1000')(house)),
        "generate"),
    "more than a day's tokens for the judge": (
        lambda house: (variable(GEMINI_API_KEY="k" * 39)(house),
                       part(judge="gemini-3.8-flash",
                            models='[models.limits."gemini-3.8-flash"]\ntpd = 20')(house)),
        "curate"),
    "a project that is not trusted names the models' server": (
        lambda house: (variable(OPENAI_API_KEY="k" * 39)(house),
                       part(writer="mine", models='[models.mine]\nprovider = "openai"\n'
                            'base_url = "https://models.example/v1"')(house)), "generate"),
    # destinations
    "no channel": (destination('platform = "discord"\ntoken = "a.b.c"'), "post"),
    "no token": (destination('platform = "discord"\nchannel = "123"'), "post"),
    "a channel by its name": (
        destination('platform = "discord"\nchannel = "general"\ntoken = "a.b.c"'), "post"),
    "a token with a space": (
        destination('platform = "discord"\nchannel = "1"\ntoken = "a b c"'), "post"),
    "a webhook that is none": (
        destination('platform = "discord"\nwebhook = "https://discord.com/channels/1/2"'), "post"),
    "a webhook of somebody else": (
        destination('platform = "discord"\nwebhook = "https://evil.example/api/webhooks/1/ab"'),
        "post"),
    "a webhook that asks for more": (
        destination('platform = "discord"\n'
                    'webhook = "https://discord.com/api/webhooks/1/ab?avatar_url=x"'), "post"),
    "a webhook in the form of Slack": (
        destination('platform = "discord"\n'
                    'webhook = "https://discord.com/api/webhooks/1/ab/slack"'), "post"),
    "a thread that is no id": (
        destination('platform = "discord"\n'
                    'webhook = "https://discord.com/api/webhooks/1/ab?thread_id=news"'), "post"),
    "a webhook that is to crosspost": (
        destination('platform = "discord"\ncrosspost = true\n'
                    'webhook = "https://discord.com/api/webhooks/1/ab"'), "post"),
    "an api that is no address": (destination(DISCORD + 'base_url = "discord.com"'), "post"),
    "another channel than before": (
        lambda house: (destination(DISCORD)(house),
                       database("INSERT INTO destination_channels (destination, place)"
                                " VALUES ('news', 'discord:999')")(house)), "post"),
    "no destination at all": (
        write("botticelli.toml", '[models]\ndefault="offline"\njudge="offline"\n[destinations]\n'),
        "post"),
    # settings
    "a key that nobody knows": (
        write("botticelli.toml", "[pots]\nx = 1\n"), "generate curate post"),
    "no toml": (write("botticelli.toml", "[models\n"), "generate curate post"),
    "a value of the wrong kind": (
        write("botticelli.toml", '[curate]\nbatch = "ten"\n'), "generate curate post"),
    "a broken .env": (write(".env", "no assignment\n"), "generate curate post"),
    # the database
    "a newer schema": (
        database("INSERT INTO schema_version (version) VALUES (99)"), "generate curate post"),
    "another project's database": (
        database("INSERT INTO botticelli_project (name, root) VALUES ('chess', '/')"),
        "generate curate post"),
    "a database nobody knows": (
        variable(DATABASE_URL="postgresql:///nowhere?host=/tmp&port=x"), "generate curate post"),
    # what works
    "nothing": (lambda _: None, ""),
    "a second model that is passed over": (second("offline"), ""),
}  # fmt: skip
STAGES = {"generate": "generate --now", "curate": "curate", "post": "post --now"}
# The settings or the database itself are at fault: nothing can be written down.
NO_TRACE = (
    "a key that", "no toml", "a value", "a broken", "a database", "another project", "a newer",
)  # fmt: skip
NUMBER = re.compile(r"\d+")
QUICK = (
    "no key to write", "the second act's model", "a judge that gives no scores", "a broken .env",
    "a webhook that asks for more", "another channel than before", "a newer schema", "nothing",
)  # fmt: skip


@pytest.fixture
def house(botticelli, db):
    return House(botticelli, db)


@pytest.mark.parametrize(
    "case", [pytest.param(one, marks=() if one in QUICK else pytest.mark.slow) for one in CASES]
)
def test_a_stage_that_ends_78_makes_check_red_and_is_seen(house, db, case):
    break_it, ends = CASES[case]
    break_it(house)
    house.build()
    candidate(db, "a candidate")
    approved(db, "a post")

    check = house.botticelli("check --json")
    ended = {stage: house.botticelli(line) for stage, line in STAGES.items()}

    refused = [stage for stage, one in ended.items() if one.code == 78]
    assert refused == ends.split(), {name: (one.code, one.err) for name, one in ended.items()}
    wrong = [each for each in json.loads(check.out)["findings"] if each["level"] == "error"]
    assert check.code == (78 if refused else 0), wrong
    for stage in refused:
        said = NUMBER.sub("n", ended[stage].err)
        assert any(NUMBER.sub("n", each["what"]) in said for each in wrong), (said, wrong)
    if refused and not case.startswith(NO_TRACE):
        seen = json.loads(house.botticelli("runs --json").out)["runs"]
        assert {one["stage"] for one in seen if one["exit_code"] == 78} == set(refused)
        health = json.loads(house.botticelli("health --json").out)
        starts = {each["name"] for each in health["problems"] if each["check"] == "start"}
        assert starts == set(refused)
