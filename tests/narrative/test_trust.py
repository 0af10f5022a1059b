"""What a narrative file may do that nobody has trusted, and what only curation and people may."""

import shutil

import psycopg
import pytest

from botticelli.config.trust.variables import VisibleVariables
from botticelli.errors import BotticelliError, ConfigError
from botticelli.narrative.checks.asks import Rights, Untrusted, content_hash, digest
from botticelli.narrative.commands.base import CommandCall
from botticelli.narrative.commands.database import DatabaseCommands
from botticelli.narrative.errors import ActFailed, Denied
from botticelli.narrative.language.load import load_file, load_text, shipped_narratives
from tests.database import approved, candidate
from tests.narrative.scripted import stage

HEAD = '[narrative]\nname = "n"\n{keys}\n[toc]\norder = ["a"]\n'
ASKS = HEAD.format(keys="skip_content_generation = true") + "[[acts.a.input]]\n"
COMMAND = ASKS + 'type = "bot_command"\nplatform = "{}"\ncommand = "{}"\nargs = {{ {} }}\n'
SEND = 'channel_id = "1", content = "BUY"'
UPDATE = 'table_name = "{}", where_clause = "id = 1", updates = {{ {} }}'
TABLE = ASKS + 'type = "table"\ntable_name = "{}"\n{}\n'
POLICY = '[security.policy]\nallowed_commands = ["*"]\n'


def target(name, key="target"):
    return HEAD.format(keys=f"{key} = '{name}'") + '[acts]\na = "Write."\n'


def removing(table):
    return TABLE.format(table, "pull_and_delete = true")


def medium(url):
    return ASKS + f'type = "image"\nurl = "{url}"\n[[acts.a.input]]\ncontent = "Look."\n'


# What a file tries by itself; every one grants itself all commands.
ATTEMPTS = {
    "send": COMMAND.format("discord", "messages.send", SEND),
    "send by its old name": COMMAND.format("discord", "message.send", SEND),
    "post in a forum": COMMAND.format("discord", "forum.create_post", SEND),
    "ban": COMMAND.format("discord", "members.ban", 'guild_id = "1", user_id = "2"'),
    "clear": COMMAND.format("discord", "messages.clear", 'channel_id = "1"'),
    "read a private channel": COMMAND.format("discord", "messages.list", 'channel_id = "1"'),
    "list members": COMMAND.format("discord", "members.list", 'guild_id = "1"'),
    "webhooks": COMMAND.format("discord", "webhooks.list", 'guild_id = "1"'),
    "a plugin's command": COMMAND.format("blackboard", "notes.add", 'text = "x"'),
    "platform in capitals": COMMAND.format("DISCORD", "messages.send", SEND),
    "update approved": COMMAND.format(
        "database", "update_table", UPDATE.format("approved_discord_posts", "text_content = 'BUY'")
    ),
    "update candidates": COMMAND.format(
        "database", "update_table", UPDATE.format("potential_discord_posts", "curation_score = 50")
    ),
    "update deliveries": COMMAND.format(
        "database", "update_table", UPDATE.format("deliveries", "state = 'pending'")
    ),
    "update a table named late": COMMAND.format(
        "database", "update_table", UPDATE.format("{{previous}}", "a = 1")
    ),
    "target": target("approved_discord_posts"),
    "target in capitals": target("APPROVED_DISCORD_POSTS"),
    "target in mixed case": target("Approved_Discord_Posts"),
    "target with blanks": target("  approved_discord_posts "),
    "target with dashes": target("approved-discord-posts"),
    "target with dots": target("approved.discord.posts"),
    "target in quotes": target('"approved_discord_posts"'),
    "target_table": target("approved_discord_posts", "target_table"),
    "name as target": target("n").replace('"n"', '"approved_discord_posts"').replace("target", "x"),
    "target of content": target("content"),
    "target of history": target("post_history"),
    "target of servers": target("discord_guilds"),
    "target of a view": target("ready_posts"),
    "target of a foreign table": target("people"),
    "rows of a command": COMMAND.format("discord", "messages.list", 'channel_id = "1"').replace(
        "[[acts", "[acts.a]\nextract_output = true\n[[acts"
    ),
    "consume approved posts": removing("approved_discord_posts"),
    "consume candidates": removing("potential_discord_posts"),
    "consume content": removing("content"),
    "consume people": removing("people"),
    "consume a view": removing("ready_posts"),
    "consume deliveries": removing("deliveries"),
    "read the audit": TABLE.format("command_audit", ""),
    "read answers": TABLE.format("act_executions", ""),
    "read the state": TABLE.format("narrative_state", ""),
    "read the ledger": TABLE.format("ledger", ""),
    "read approvals": TABLE.format("command_approvals", ""),
    "fetch": medium("https://evil.example/x.png"),
    "fetch with a name": medium("https://user:pass@evil.example:8443/x.png"),
    "fetch from here": medium("http://127.0.0.1:5432/x.png"),
    "a file that sends": ASKS + 'type = "narrative"\nnarrative = "sends.toml"\n',
    "a file that approves": ASKS + 'type = "narrative"\nnarrative = "approves.toml"\n',
    "the shipped poster": ASKS + 'type = "narrative"\nnarrative = "discord_poster.toml"\n',
    "a file in a file": ASKS + 'type = "narrative"\nnarrative = "calls.toml"\n',
    "a narrative as an act": (
        '[narrative.n]\ntoc = ["a"]\nskip_content_generation = true\n[narrative.n.acts.a]\n'
        'narrative = "m"\n[narrative.m]\ntarget = "approved_discord_posts"\ntoc = ["b"]\n'
        '[acts]\nb = "Write."\n'
    ),
    "steps": '[narrative]\nname = "n"\n[[steps]]\nname = "s"\nprocessor = "bot"\n'
    '[steps.bot_command]\nplatform = "discord"\ncommand = "messages.send"\n'
    'args = { channel_id = "1", content = "BUY" }\n',
    "an act list": 'name = "n"\n[[acts]]\nname = "a"\n[[acts.inputs]]\ntype = "bot_command"\n'
    'platform = "discord"\ncommand = "messages.send"\nchannel_id = "1"\ncontent = "BUY"\n',
    "a bot by name": HEAD.format(keys="") + '[acts]\na = "bots.b"\n[bots.b]\nplatform = "discord"\n'
    'command = "messages.send"\nchannel_id = "1"\ncontent = "BUY"\n',
}
# What needs no yes of anybody.
HARMLESS = {
    "candidates": target("potential_discord_posts"),
    "a table of its own": target("ideas"),
    "its own name": target(""),
    "read candidates": TABLE.format("potential_discord_posts", ""),
    "read approved posts": TABLE.format("approved_discord_posts", ""),
    "read what others made": TABLE.format("made", ""),
    "consume what others made": removing("made"),
    "write what others made": target("made"),
    "ask": ASKS + 'content = "Write."\n',
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sends.toml").write_text(POLICY + ATTEMPTS["send"])
    (tmp_path / "approves.toml").write_text(ATTEMPTS["target"])
    (tmp_path / "calls.toml").write_text(ATTEMPTS["a file that sends"])
    shutil.copy(shipped_narratives() / "discord_poster.toml", tmp_path)
    return tmp_path


@pytest.fixture
def world(db):
    approved(db, "honest")
    candidate(db, "a candidate")
    db.execute("CREATE VIEW ready_posts AS SELECT * FROM approved_discord_posts")
    db.execute("CREATE TABLE people (id bigint PRIMARY KEY, text_content text)")
    db.execute("CREATE TABLE made (id bigserial PRIMARY KEY, text_content text)")
    db.execute(
        "INSERT INTO content_generation_tables (table_name, template_source) VALUES ('made', 'x')"
    )
    return db


def play(db, text, folder, **more):
    (folder / "file.toml").write_text(text)
    return stage(
        db,
        text,
        answers=['{"text_content": "BUY"}'] * 9,
        discord={"messages.send": {"id": "1"}, "messages.list": [{"id": "5"}]},
        folder=folder,
        cwd=folder,
        **more,
    )


def state_of(db):
    tables = ("approved_discord_posts", "potential_discord_posts", "content", "people", "made")
    return [db.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in tables]


def test_an_untrusted_file_does_nothing_but_write_candidates(world, folder):
    before, got_through = state_of(world), []
    for name, text in ATTEMPTS.items():
        run = play(world, (POLICY if "[[acts" in text else "") + text, folder, rights=Rights())
        try:
            run.run()
        except Untrusted as refused:
            said = str(refused)
        except BotticelliError as error:
            said = f"other: {error}"
        else:
            said = "ran"
        if "botticelli trust" not in said or run.caller.asked or run.discord.calls:
            got_through.append((name, said))
    assert got_through == []
    assert state_of(world) == before


def test_what_writes_candidates_needs_no_yes(world, folder):
    for text in HARMLESS.values():
        play(world, text, folder, rights=Rights()).run()


def trusted(*files):
    known = digest([content_hash(each) for each in files])
    return Rights(is_trusted=lambda given: given == known)


def test_a_yes_holds_for_one_content_of_a_file_and_all_that_it_runs(world, folder):
    text = ATTEMPTS["a file that sends"]
    files = [load_text(text, folder / "file.toml"), load_file(folder / "sends.toml")]
    rights = trusted(*files)

    run = play(world, text, folder, rights=rights)
    run.run()
    assert [call.command for call in run.discord.calls] == ["messages.send"]

    with pytest.raises(Untrusted):
        play(world, text + "# changed\n", folder, rights=rights).run()
    (folder / "sends.toml").write_text((folder / "sends.toml").read_text() + "# changed\n")
    with pytest.raises(Untrusted):
        play(world, text, folder, rights=rights).run()
    part = play(world, (folder / "sends.toml").read_text(), folder, rights=rights)
    with pytest.raises(Untrusted):  # nor is a part of it trusted alone
        part.run()


def test_shipped_content_is_trusted_wherever_it_lies(world, folder):
    text = (folder / "discord_poster.toml").read_text()
    run = play(
        world, text, folder, rights=Rights(), environ={"POSTING_CHANNEL_ID": "7"},
        executors={"database": DatabaseCommands(conn=world, writable=["approved_discord_posts"])},
    )  # fmt: skip
    with pytest.raises(ActFailed, match=r"channels\.get"):  # it got as far as its first command
        run.run()
    with pytest.raises(Untrusted):
        play(world, text + "\n", folder, rights=Rights()).run()


def test_a_trusted_file_writes_no_approved_posts_without_the_users_setting(world, folder):
    world.execute("CREATE TABLE kept (LIKE approved_discord_posts)")
    world.execute("CREATE VIEW further AS SELECT * FROM ready_posts")
    before = state_of(world)
    names = ("approved_discord_posts", "APPROVED-discord-posts", "ready_posts", "further")
    for text in [*map(target, names), removing("approved_discord_posts"), removing("ready_posts")]:
        file = load_text(text, folder / "file.toml")
        with pytest.raises(ConfigError, match="approve_without_review = true"):
            play(world, text, folder, rights=trusted(file)).run()
    assert state_of(world) == before

    text = target("approved_discord_posts")
    known = digest([content_hash(load_text(text, folder / "file.toml"))])
    rights = Rights(is_trusted=lambda given: given == known, approves=True)
    play(world, text, folder, rights=rights).run()
    assert world.execute("SELECT count(*) FROM approved_discord_posts").fetchone() == (2,)


POSTED = {"review_status": "posted", "posted_at": "NOW()"}
# table, updates, filter: tried by a trusted narrative that has sent post 1 and nothing else
UPDATES = [
    ("approved_discord_posts", {"text_content": "BUY"}, "id = 1"),
    ("approved_discord_posts", {"text_content": "BUY", **POSTED}, "id = 1"),
    ("approved_discord_posts", {"review_status": "pending"}, "id = 1"),
    ("approved_discord_posts", {"review_status": "withdrawn"}, "id = 1"),
    ("approved_discord_posts", {"review_status": "POSTED "}, "id = 1"),
    ("approved_discord_posts", {"curation_score": 50}, "id = 1"),
    ("approved_discord_posts", {"approved_by": "me"}, "id = 1"),
    ("approved_discord_posts", {"extra": {"a": 1}}, "id = 1"),
    ("approved_discord_posts", {"tags": ["x"]}, "id = 1"),
    ("approved_discord_posts", {"candidate_id": None}, "id = 1"),
    ("ready_posts", {"text_content": "BUY"}, "id = 1"),
    ("ready_posts", POSTED, "id = 2"),
    ("further", {"text_content": "BUY"}, "id = 1"),
    ("heirs", {"text_content": "BUY"}, "id = 1"),
    ("potential_discord_posts", {"review_status": "approved"}, "id = 1"),
    ("potential_discord_posts", {"review_status": "pending"}, "id = 1"),
    ("potential_discord_posts", {"curation_score": 50}, "id = 1"),
    ("potential_discord_posts", {"score_tone": 10}, "id = 1"),
    ("potential_discord_posts", {"judging": {"samples": 5}}, "id = 1"),
    ("potential_discord_posts", {"judged_at": "NOW()"}, "id = 1"),
    ("potential_discord_posts", {"text_content": "BUY"}, "id = 1"),
    ("potential_discord_posts", {"history": []}, "id = 1"),
    ("deliveries", {"state": "pending"}, "id = 1"),
    ("runs", {"state": "done"}, "id = 1"),
    ("ledger", {"state": "done"}, "id = 1"),
    ("command_approvals", {"state": "approved"}, "id = 1"),
    ("command_audit", {"outcome": "done"}, "id = 1"),
    ("actor_server_state", {"is_paused": False}, "actor_name = 'post'"),
    ("audit_view", {"outcome": "done"}, "id = 1"),
    ("Approved_Discord_Posts", POSTED, "id = 1"),
    ('"approved_discord_posts"', POSTED, "id = 1"),
    ("public.approved_discord_posts", POSTED, "id = 1"),
    ("approved_discord_posts ", POSTED, "id = 1"),
    ("approved_discord_posts", POSTED, "id = 1) OR (true"),
    ("approved_discord_posts", POSTED, "id = (SELECT 1)"),
    ("approved_discord_posts", POSTED, ""),
]


class Posting:
    """A trusted narrative that has sent the first approved post."""

    def __init__(self, db, *, sent=True, approves=False):
        self.ids = [approved(db, text) for text in ("first", "second")]
        candidate(db, "a candidate")
        db.execute("CREATE VIEW ready_posts AS SELECT * FROM approved_discord_posts")
        db.execute("CREATE VIEW further AS SELECT * FROM ready_posts")
        db.execute("CREATE VIEW audit_view AS SELECT * FROM command_audit")
        db.execute("CREATE TABLE heirs () INHERITS (approved_discord_posts)")
        if sent:
            db.execute(
                "INSERT INTO command_audit (platform, command, args, narrative, decision, reason,"
                " outcome) VALUES ('discord', 'messages.send', '{}', 'n', 'allowed', %s, 'done')",
                [f"approved_discord_posts {self.ids[0]}"],
            )
        names = {table for table, _, _ in UPDATES}
        self.commands = DatabaseCommands(conn=db, writable=sorted(names), approves=approves)
        self.db = db

    def update(self, table, updates, where, *, narrative="n"):
        args = {"table_name": table, "updates": updates, "where_clause": where}
        call = CommandCall(
            platform="database", command="update_table", args=args, narrative=narrative
        )
        with self.db.transaction():
            return self.commands.of(call).run(call.command, args)["ids"]

    def rows(self):
        tables = ("approved_discord_posts", "potential_discord_posts", "command_audit")
        return [self.db.execute(f"SELECT * FROM {each} ORDER BY id").fetchall() for each in tables]


def test_a_narrative_marks_what_it_has_sent_and_writes_no_post_and_no_verdict(db):
    posting, got_through = Posting(db), []
    before = posting.rows()
    for table, updates, where in UPDATES:
        try:
            if changed := posting.update(table, updates, where):
                got_through.append((table, updates, where, changed))
        except (BotticelliError, psycopg.Error):
            pass
    # What it has sent and nothing else, even if the filter speaks of all.
    first, second = posting.ids
    assert got_through == []
    assert posting.rows() == before
    assert posting.update("approved_discord_posts", POSTED, f"id = {second}") == []
    with pytest.raises(Denied):
        posting.update("approved_discord_posts", POSTED, f"id = {first}", narrative="another")
    assert posting.update("approved_discord_posts", POSTED, "id > 0") == [first]
    for status in ("rejected", "held"):
        assert posting.update("potential_discord_posts", {"review_status": status}, "id = 1") == [1]


def test_without_having_sent_anything_nothing_is_marked(db):
    posting = Posting(db, sent=False)
    for table in ("approved_discord_posts", "ready_posts"):
        with pytest.raises(Denied, match="approve_without_review"):
            posting.update(table, POSTED, "id > 0")


def test_with_the_users_setting_approved_posts_may_be_changed_and_our_own_tables_never(db):
    posting = Posting(db, approves=True)
    first, _ = posting.ids
    where = f"id = {first}"
    assert posting.update("approved_discord_posts", {"text_content": "new"}, where) == [first]
    for table in ("deliveries", "runs", "command_audit", "audit_view"):
        with pytest.raises(Denied, match="Botticelli's own"):
            posting.update(table, {"id": 5}, "id = 1")


KEY = "gsk_9f8A7b6C5d4E3f2G1h0JkLmN"
ENVIRON = {
    "TEST_GUILD_ID": "123456789012345678",
    "POSTING_CHANNEL_ID": "1, 2",
    "CITY": "Rome",
    "DISCORD_TOKEN": "t" * 30,
    "GROQ_KEY": KEY,
    "HARMLESS": KEY,
    "CITY_KEY": "Rome",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "REVERSED": KEY[::-1],
    "HOLDS": f"x {KEY} y",
    "HOME": "/root",
    "SECRET_GUILD_ID": "12345678",
    "DATABASE_URL": "postgresql://u:hunter2Ba@h/d",
    "LOWER_ID": "abc",
}
SEEN = {"TEST_GUILD_ID", "POSTING_CHANNEL_ID"}


def visible(*listed):
    return VisibleVariables(ENVIRON, listed=listed, secrets=(KEY, ENVIRON["DISCORD_TOKEN"]))


@pytest.mark.parametrize("name", sorted(ENVIRON.keys() - SEEN))
@pytest.mark.parametrize("spelled", ["${%s}", "${env:%s}", "{{env:%s}}"])
def test_a_variable_that_is_not_listed_is_refused_before_anything_is_paid(db, name, spelled):
    run = stage(
        db,
        HEAD.format(keys="") + f'[acts]\na = "Say {spelled % name}"\n',
        environ=visible().values,
        refuse_variable=visible().refuse,
    )
    with pytest.raises(ConfigError, match=name) as refused:
        run.run()
    assert ENVIRON[name] not in str(refused.value)
    assert run.caller.asked == []


def test_ids_are_seen_without_a_list_and_listed_names_unless_they_are_secret():
    assert visible().values.keys() == SEEN
    assert SEEN | {"CITY", "HOME", "LOWER_ID"} <= visible(*ENVIRON).values.keys()
    secret = {"DISCORD_TOKEN", "GROQ_KEY", "HARMLESS", "REVERSED", "HOLDS", "DATABASE_URL"}
    assert not secret & visible(*ENVIRON).values.keys()
    with pytest.raises(ConfigError, match=r'environment = \["CITY", "HOME"\] in botticelli.toml'):
        visible("CITY").refuse("HOME")
    with pytest.raises(ConfigError, match="holds a secret"):
        visible("HARMLESS").refuse("HARMLESS")


@pytest.mark.parametrize(
    "where", ['content = "{}"', 'content = "Go {{{{x}}}}"\n[narrative.context]\nx = "{}"']
)
def test_no_model_reads_a_secret(db, where):
    for text in (KEY, KEY[::-1], KEY.upper(), " ".join(KEY), KEY.encode().hex()):
        run = stage(db, ASKS + where.format(text), secrets=(KEY,))
        with pytest.raises(ActFailed, match=r"n, act 'a': the prompt holds a secret"):
            run.run()
        assert run.caller.asked == []
