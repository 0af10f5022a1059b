"""Projects: two on one machine never meet, nothing lands in a foreign database, looking is free."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from botticelli.store.connection import connect
from botticelli.store.embedded.server import Embedded
from botticelli.store.schema import EXPECTED_VERSION
from tests.clock import NOON
from tests.commandline import run_installed
from tests.database import HASTY, approved, candidate, insert

SCHEMAS = Path(__file__).parents[1] / "store/schemas"
OUTBOX = '[destinations.box]\nplatform = "outbox"\n'
# What a person or a monitor runs to look; each has to say what is missing, and to change nothing.
LOOKS = [
    "check", "status", "status --json", "health", "doctor --offline", "runs", "logs post",
    "metrics", "budget", "trace 1", "content list x", "review --list", "deliveries", "locks",
    "approvals list", "state list", "db doctor", "db status", "models list", "projects",
]  # fmt: skip
DRY_RUNS = ["generate --dry-run", "curate --dry-run", "post --dry-run"]  # each starts a server
CATALOG = """
    SELECT 'relation', relname, relkind::text, relnamespace::regnamespace::text FROM pg_class
    UNION ALL SELECT 'function', proname, '', pronamespace::regnamespace::text FROM pg_proc
    UNION ALL SELECT 'database', datname, '', '' FROM pg_database
    UNION ALL SELECT 'role', rolname, '', '' FROM pg_roles
    UNION ALL SELECT 'setting', setconfig::text, '', '' FROM pg_db_role_setting
    ORDER BY 1, 2, 3, 4
"""


def everything(url):
    """The catalog of a database, and every row of its own tables."""
    with connect(url) as conn:
        names = conn.execute(
            "SELECT quote_ident(nspname) || '.' || quote_ident(relname) FROM pg_class AS c"
            " JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        rows = {name: conn.execute(f"SELECT * FROM {name}").fetchall() for (name,) in names}
        return conn.execute(CATALOG).fetchall(), rows


def project(folder, text=OUTBOX):
    """Make a folder a project."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "botticelli.toml").write_text(text)
    return folder


@pytest.fixture
def on(botticelli):
    """`on(folder, line)` runs a line in this process, in that folder."""

    def run(folder, line):
        botticelli.cwd = folder
        return botticelli(line)

    return run


@pytest.fixture
def bare(on, botticelli, postgres_home):
    """The same on a machine on which nothing of ours has ever run."""
    botticelli.environ["XDG_STATE_HOME"] = str(postgres_home)
    return on


@pytest.fixture
def server(postgres_home):
    """The embedded server of that machine, quick and forgetful."""
    server = Embedded(postgres_home / "botticelli/postgres", settings=HASTY)
    server.ensure("postgres")
    return server


@pytest.fixture
def home(bare, server):
    """`bare` with a server that runs already."""
    return bare


def projects_of(ended):
    """The projects of a report as JSON."""
    return json.loads(ended.out)["projects"]


def one_line(ended, code=78):
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (code, "", 1), ended
    return ended.err


# -- looking creates nothing


@pytest.mark.slow
@pytest.mark.parametrize("has_project", [True, False])
def test_looking_at_an_empty_database_changes_nothing(botticelli, empty_url, has_project):
    if has_project:
        project(botticelli.cwd)
    botticelli.environ["DATABASE_URL"] = empty_url
    before = everything(empty_url)

    for line in [*LOOKS, *(DRY_RUNS if has_project else ())]:
        ended = botticelli(line)
        assert "Traceback" not in ended.err, line
        assert line in ("db status", "models list", "projects") or "db init" in (
            ended.out + ended.err
        ), line

    assert everything(empty_url) == before


FOREIGN = {
    "a table of our name": "CREATE TABLE runs (distance numeric); INSERT INTO runs VALUES (42)",
    "any table": "CREATE TABLE customers (id int)",
    "a version of another tool": "CREATE TABLE schema_version (version varchar, success boolean)",
    "a version like ours": (
        "CREATE TABLE schema_version (version int, applied_at timestamptz);"
        "INSERT INTO schema_version VALUES (5, now())"
    ),
    "views": "CREATE VIEW approved_discord_posts AS SELECT 1 AS id",
    "a materialised view": "CREATE MATERIALIZED VIEW posts AS SELECT 1 AS id",
    "a sequence of our name": "CREATE SEQUENCE runs",
    "our stamp's name": "CREATE TABLE botticelli_project (colour text)",
    "several of ours": (
        "CREATE TABLE schema_version (version text); CREATE TABLE actor_server_state (x int);"
        "CREATE TABLE botticelli_project (name text, root text)"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("statements", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_database_is_refused_in_one_line_and_left_alone(
    botticelli, empty_url, statements
):
    with connect(empty_url) as conn:
        conn.execute(statements)
    project(botticelli.cwd)
    botticelli.environ["DATABASE_URL"] = empty_url
    before = everything(empty_url)

    for line in ("status", "runs", "generate --iterations 1 --offline", "db init", "db migrate"):
        assert "belongs to another application" in one_line(botticelli(line)), line
    for line in ("check", "doctor --offline"):
        ended = botticelli(line)
        assert ended.code != 0
        assert "belongs to another application" in ended.out, line
        assert "Traceback" not in ended.err
    assert botticelli("db adopt").code == 78
    assert everything(empty_url) == before


def test_extensions_are_nobodys_application(botticelli, empty_url):
    admin = empty_url.replace("//botticelli@", "//botticelli_superuser@")
    with connect(admin) as conn:
        conn.execute("CREATE EXTENSION pg_stat_statements")
    botticelli.environ["DATABASE_URL"] = empty_url

    assert botticelli("db init").code == 0


def test_a_schema_of_its_own_beside_another_application(botticelli, empty_url):
    with connect(empty_url) as conn:
        conn.execute("CREATE TABLE runs (distance numeric); CREATE SCHEMA posts")
    botticelli.environ["DATABASE_URL"] = f"{empty_url}&options=-csearch_path%3Dposts"

    assert botticelli("db init").code == 0
    assert botticelli("status").code == 0


@pytest.mark.slow
def test_looking_at_a_machine_without_a_server_leaves_it_without(bare, botticelli, postgres_home):
    project(botticelli.cwd)

    for line in ("check --offline", "status", "health", "post --dry-run", "projects", "doctor"):
        assert "Traceback" not in bare(botticelli.cwd, line).err

    assert list(postgres_home.iterdir()) == []


def test_a_dry_run_needs_no_database_and_leaves_none(bare, botticelli, postgres_home):
    project(botticelli.cwd)

    ended = bare(botticelli.cwd, "run short_posts:tip --dry-run --offline")

    assert ended.code == 0, ended.err
    assert "it has no database yet; botticelli db init" in ended.err
    assert list(postgres_home.iterdir()) == []


def test_without_a_project_nothing_is_begun(bare, botticelli, postgres_home):
    for line in ("status", "generate --offline", "pause post", "db init", "review --list"):
        assert "no project here; create one with botticelli init" in one_line(
            bare(botticelli.cwd, line)
        )
    assert list(postgres_home.iterdir()) == []


# -- two projects


@pytest.mark.slow
def test_two_projects_on_one_machine_never_meet(home, tmp_path):
    """P1: what is approved in one is never posted by the other."""
    chess, choir = (project(tmp_path / name) for name in ("chess", "choir"))
    assert home(chess, "generate --iterations 1 --offline").code == 0
    assert (
        home(chess / "narratives", "curate --drain --offline").code == 0
        if ((chess / "narratives").mkdir() is None)
        else None
    )

    ended = home(choir, "post --now")

    assert "no approved post is waiting" in ended.out
    assert not (choir / "outbox").exists()
    listed = projects_of(home(tmp_path, "projects --json"))
    assert [(one["name"], one["root"], one["database"]) for one in listed] == [
        ("chess", str(chess), "botticelli-chess"),
        ("choir", str(choir), "botticelli-choir"),
    ]
    assert "chess" in home(tmp_path, "projects").out
    assert json.loads(home(chess, "status --json").out)["project"] == "chess"


def test_what_one_channel_was_to_get_another_never_gets(home, botticelli, tmp_path, discord):
    """P1 as it was told: `init` twice, approve in the first, `post` in the second."""
    keys = {"DISCORD_TOKEN": discord.token, "DISCORD_API_BASE": discord.api}
    botticelli.environ |= keys | {"GEMINI_API_KEY": "k"}
    other = discord.add_channel("chess")
    for name, channel in (("my-channel", discord.channel), ("chess-club", other)):
        line = ["init", name, "--about", "chess", "--channel", channel, "--model", "gemini"]
        assert home(tmp_path, line).code == 0
    mine, chess = tmp_path / "my-channel", tmp_path / "chess-club"
    assert home(mine, "db init").code == 0
    with connect(home(mine, "db url").out.strip()) as conn:
        one = candidate(conn, "only for my channel")
    assert home(mine, f"approve {one}").code == 0

    assert "no approved post is waiting" in home(chess, "post --now").out
    assert home(mine, "post --now").code == 0
    assert (discord.contents(), discord.contents(other)) == (["only for my channel"], [])


def test_two_folders_of_one_name_share_no_state(home, tmp_path):
    one, other = project(tmp_path / "a/club"), project(tmp_path / "b/club")
    (one / "botticelli.toml").rename(one / "settings.toml")
    assert home(one, "--config settings.toml db init").code == 0

    assert f"another project is named 'club' ({one})" in one_line(home(other, "db init"))
    assert "club" in one_line(home(other, "status"))

    project(other, f'[project]\nname = "Other club"\n{OUTBOX}')
    assert home(other, "db init").code == 0
    assert len({one["database"] for one in projects_of(home(other, "projects --json"))}) == 2


@pytest.mark.slow
def test_first_commands_of_one_project_at_once_make_one_database(home, botticelli, tmp_path):
    folder = project(tmp_path / "club")

    def pause(stage):
        return run_installed(f"pause {stage}", environ=botticelli.environ, cwd=folder)

    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(pause, ["post", "curate"] * 2))

    assert [each.code for each in ended] == [0] * 4, ended
    assert len(projects_of(home(folder, "projects --json"))) == 1


def test_a_stamped_database_is_refused_to_another_project(on, db, tmp_path):
    chess, choir = (project(tmp_path / name) for name in ("chess", "choir"))
    assert on(chess, "pause post").code == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    for line in ("status", "post", "generate --iterations 1", "post --dry-run"):
        assert f"it belongs to project 'chess' ({chess})" in one_line(on(choir, line))
    assert "it belongs to project 'chess'" in one_line(on(elsewhere, "status"))
    assert "it belongs to project 'chess'" in on(choir, "check").out

    project(choir, f"[project]\nshare = true\n{OUTBOX}")
    assert on(choir, "status").code == 0
    assert db.execute("SELECT name FROM botticelli_project").fetchall() == [("chess",)]


def test_hosts_that_share_a_server_may_have_the_project_anywhere(on, db, tmp_path):
    db.execute("INSERT INTO botticelli_project (name, root) VALUES ('club', '/on/another/host')")

    assert on(project(tmp_path / "club"), "pause post").code == 0
    assert db.execute("SELECT root FROM botticelli_project").fetchall() == [("/on/another/host",)]


def test_a_stamp_that_is_gone_is_put_back(on, db, tmp_path):
    folder = project(tmp_path / "club")
    db.execute("DROP TABLE botticelli_project")

    assert "botticelli db migrate" in one_line(on(folder, "status"))
    assert on(folder, "pause post").code == 0
    assert db.execute("SELECT name FROM botticelli_project").fetchall() == [("club",)]


def test_a_project_is_found_from_below_and_by_option_and_variable(on, botticelli, db, tmp_path):
    root = project(tmp_path / "club")
    below = root / "narratives/drafts"
    below.mkdir(parents=True)
    away = tmp_path / "away"
    away.mkdir()

    assert "project club" in on(below, "status").out
    assert "project club" in on(away, f"--config {root}/botticelli.toml status").out
    botticelli.environ["BOTTICELLI_CONFIG"] = str(root / "botticelli.toml")
    assert "project club" in on(away, "status").out

    approved(db, "to be seen")
    assert on(away, "post --now").code == 0
    assert len(list((root / "outbox").iterdir())) == 1, "paths start from the project's folder"


def test_a_project_that_was_moved_or_renamed_finds_its_state(home, tmp_path):
    old = project(tmp_path / "old")
    assert home(old, "pause post").code == 0

    moved = old.rename(tmp_path / "new")
    assert "database yet" in one_line(home(moved, "status"))
    assert home(moved, "db adopt old").code == 0
    assert json.loads(home(moved, "status --json").out)["stages"][2]["state"] == "paused"

    project(moved, f'[project]\nname = "kept"\n{OUTBOX}')
    assert home(moved, "db adopt new").code == 0
    away = moved.rename(tmp_path / "away")
    assert home(away, "pause curate").code == 0, "the name stayed, the folder is gone"
    listed = projects_of(home(away, "projects --json"))
    assert [(one["name"], one["root"]) for one in listed] == [("kept", str(away))]
    assert "nothing to take over" not in home(away, "db adopt nobody").out
    assert home(away, "db adopt nobody").code == 78


# -- databases of earlier versions


def old_database(url, version, *, channel="", text="for the channel"):
    """Fill a database as a version before projects had it: a post waits, and one is out."""
    with connect(url) as conn:
        conn.execute((SCHEMAS / f"version_{version}.sql").read_text(encoding="utf-8").encode())
        approved(conn, text)
        candidate(conn, "a candidate")
        if channel:
            out = approved(conn, "is out", review_status="posted")
            conn.execute(
                "INSERT INTO deliveries"
                " (post_id, destination, state, posted_at, remote_id, remote_url)"
                " VALUES (%s, 'news', 'posted', now() - interval '1 day', '7',"
                " 'https://discord.com/channels/1/' || %s || '/7')",
                (out, channel),
            )


def news(channel):
    return f'[destinations.news]\nplatform = "discord"\nchannel = "{channel}"\ntoken = "t"\n'


def waiting(ended):
    assert ended.code == 0, ended.err
    return json.loads(ended.out)["queues"]["approved"]["pending"]


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_an_old_database_is_taken_over_by_the_project_of_its_channels(
    on, empty_url, version, botticelli, tmp_path
):
    botticelli.environ["DATABASE_URL"] = empty_url
    old_database(empty_url, version, channel="111")
    mine, other = project(tmp_path / "mine", news(111)), project(tmp_path / "other", news(222))

    assert "botticelli db migrate" in one_line(on(mine, "status"))
    refused = one_line(on(other, "pause curate"))
    assert "deliveries to other channels than this project's (news: 111)" in refused
    assert "botticelli db adopt" in refused

    assert on(mine, "pause curate").code == 0
    assert waiting(on(mine, "status --json")) == 1
    assert "it belongs to project 'mine'" in one_line(on(other, "status"))
    with connect(empty_url) as conn:
        assert conn.execute("SELECT max(version) FROM schema_version").fetchone() == (
            EXPECTED_VERSION,
        )


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 4])
def test_the_single_embedded_database_goes_to_its_project_and_others_begin_anew(
    home, server, tmp_path, version
):
    old_database(server.ensure(), version, channel="111")
    mine, other = project(tmp_path / "mine", news(111)), project(tmp_path / "other", news(222))

    refused = one_line(home(other, "pause curate"))
    assert "botticelli db adopt takes it over" in refused
    assert "botticelli db init begins anew" in refused

    assert home(mine, "pause curate").code == 0
    assert waiting(home(mine, "status --json")) == 1
    assert home(other, "pause curate").code == 0, "it is not in question any more"
    assert waiting(home(other, "status --json")) == 0
    databases = projects_of(home(mine, "projects --json"))
    assert {one["name"]: one["database"] for one in databases} == {
        "mine": "botticelli",
        "other": "botticelli-other",
    }


@pytest.mark.slow
def test_of_two_that_could_claim_an_old_database_one_gets_it(home, server, botticelli, tmp_path):
    old_database(server.ensure(), 4, channel="111")
    folders = [project(tmp_path / name, news(111)) for name in ("one", "two")]

    def pause(folder):
        return run_installed("pause curate", environ=botticelli.environ, cwd=folder)

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(pause, folders))

    assert [each.code for each in ended] == [0, 0], ended
    assert sorted(waiting(home(folder, "status --json")) for folder in folders) == [0, 1]


def test_a_person_says_whose_an_old_database_is(home, server, tmp_path):
    old_database(server.ensure(), 3, channel="111")
    mine, other = project(tmp_path / "mine", news(222)), project(tmp_path / "other", news(333))

    assert home(other, "db init").code == 0
    assert waiting(home(other, "status --json")) == 0
    assert home(mine, "db adopt").code == 0
    assert waiting(home(mine, "status --json")) == 1
    assert "belongs to project 'mine'" in one_line(home(other, "db adopt"))


@pytest.mark.slow
def test_what_a_demo_has_left_is_nobodys_and_practice_is_no_other_channel(home, server, tmp_path):
    demo = {"state": "posted", "posted_at": NOON, "remote_id": "a.md"}
    with connect(server.ensure()) as conn:
        conn.execute((SCHEMAS / "version_4.sql").read_text(encoding="utf-8").encode())
        post = approved(conn, "filler", generation_model="offline", review_status="posted")
        there = {"destination": "outbox", "remote_url": "/elsewhere/outbox/a.md"}
        insert(conn, "deliveries", post_id=post, **demo, **there)

    fresh, old = project(tmp_path / "fresh", news(111)), project(tmp_path / "old", news(222))
    assert home(fresh, "pause curate").code == 0
    assert projects_of(home(fresh, "projects --json"))[1]["database"] == "botticelli-fresh"

    with connect(server.ensure()) as conn:
        approved(conn, "by a real model", generation_model="gemini")
    assert home(old, "pause curate").code == 0, "only practice went into files"
    assert waiting(home(old, "status --json")) == 1


# -- channels


@pytest.fixture
def club(botticelli, discord, db_url, tmp_path):
    """A project that posts to the fake Discord; `club(channel)` says where."""
    botticelli.environ |= {"DISCORD_TOKEN": discord.token, "DISCORD_API_BASE": discord.api}

    def configure(**channels):
        text = "".join(
            f'[destinations.{name}]\nplatform = "discord"\nchannel = "{channel}"\n'
            "min_interval_minutes = 0\n"
            for name, channel in channels.items()
        )
        botticelli.cwd = project(tmp_path / "club", text)

    return configure


def test_another_channel_under_a_name_is_confirmed_before_a_post_goes_there(
    botticelli, club, db, discord
):
    club(news=discord.channel)
    approved(db, "first")
    assert botticelli("post --now").code == 0
    approved(db, "second")
    other = discord.add_channel("another")
    club(news=other)

    for line in ("post --now", "post --dry-run", "check"):
        ended = botticelli(line)
        assert ended.code == 78
        assert "botticelli deliveries confirm news" in ended.out + ended.err
        assert f"posted to discord:{discord.channel} so far" in ended.out + ended.err
    assert discord.contents() == ["first"]

    assert botticelli("deliveries confirm news").code == 0
    assert botticelli("post --now").code == 0
    assert discord.contents(other) == ["second"]


def test_a_destination_renamed_and_named_back_posts_nothing_twice(botticelli, club, db, discord):
    """D14: what is there already is known by its channel."""
    club(news=discord.channel)
    approved(db, "first")
    assert botticelli("post --now").code == 0

    for turn, name in enumerate(("daily", "news", "daily", "news")):
        club(**{name: discord.channel})
        assert "no approved post is waiting" in botticelli("post --now").out
        approved(db, f"turn {turn}")
        assert botticelli("post --now").code == 0

    assert sorted(discord.contents()) == ["first", *(f"turn {turn}" for turn in range(4))]


def test_what_waits_goes_on_under_a_new_name(botticelli, club, db, discord):
    elsewhere = discord.add_channel("elsewhere")
    club(news=discord.channel, other=elsewhere)
    approved(db, "for both")
    assert botticelli("post --now --to news").code == 0, "the other one still waits"

    club(daily=discord.channel, more=elsewhere)
    assert botticelli("post --now").code == 0

    assert discord.contents() == ["for both"]
    assert discord.contents(elsewhere) == ["for both"]
    (state,) = db.execute("SELECT review_status FROM approved_discord_posts").fetchone()
    assert state == "posted"


def test_a_text_that_was_said_under_another_name_is_held(botticelli, club, db, discord):
    club(news=discord.channel)
    approved(db, "Same words.")
    assert botticelli("post --now").code == 0
    club(daily=discord.channel)
    approved(db, "Same words.")

    assert "said the same" in botticelli("post --now").out
    assert discord.contents() == ["Same words."]
