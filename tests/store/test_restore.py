"""Backups that mean harm: what they would create is told by their own words, and asked about."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from botticelli.errors import ConfigError, Unavailable, UsageError
from botticelli.store.connection import connect
from botticelli.store.maintenance import dump
from botticelli.store.maintenance.restore import contents, replay
from botticelli.store.maintenance.statements import LONGEST, split
from botticelli.store.reads.doctor import differences
from botticelli.store.schema import EXPECTED_VERSION, apply_schema
from tests.database import approved

SCHEMAS = Path(__file__).parent / "schemas"

# What a hostile database holds, and the beginning of how it is told.
HOSTILE = {
    "CREATE FUNCTION evil() RETURNS int LANGUAGE sql AS 'SELECT 1'": "CREATE FUNCTION public.evil(",
    "CREATE PROCEDURE evil_p() LANGUAGE sql AS 'SELECT 1'": "CREATE PROCEDURE public.evil_p(",
    "CREATE AGGREGATE evil_sum(int) (SFUNC = int4pl, STYPE = int)": "CREATE AGGREGATE public.evil_",
    "CREATE FUNCTION evil_t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'":
        "CREATE FUNCTION public.evil_t(",
    "CREATE TRIGGER evil BEFORE INSERT ON runs EXECUTE FUNCTION evil_t()": "CREATE TRIGGER evil ",
    "CREATE FUNCTION evil_e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'":
        "CREATE FUNCTION public.evil_e(",
    "CREATE EVENT TRIGGER evil ON ddl_command_start EXECUTE FUNCTION evil_e()":
        "CREATE EVENT TRIGGER evil",
    "CREATE RULE evil AS ON INSERT TO runs DO ALSO DELETE FROM locks": "CREATE RULE evil",
    "CREATE VIEW evil_v AS SELECT pg_read_file('/etc/passwd') x": "CREATE VIEW public.evil_v",
    "CREATE MATERIALIZED VIEW evil_m AS SELECT 1 x": "CREATE MATERIALIZED VIEW public.evil_m",
    "CREATE EXTENSION hstore": "CREATE EXTENSION IF NOT EXISTS hstore",
    "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)": "CREATE OPERATOR pub",
    "CREATE TYPE evil_y AS (a int)": "CREATE TYPE public.evil_y",
    "CREATE CAST (evil_y AS int) WITH INOUT": "CREATE CAST (public.evil_y",
    "CREATE LANGUAGE evil_l HANDLER plpgsql_call_handler": "CREATE OR REPLACE PROCEDURAL LANGUAGE ",
    "CREATE DOMAIN evil_d AS text CHECK (length(pg_read_file(VALUE)) > 0)": "CREATE DOMAIN public.",
    "CREATE FOREIGN DATA WRAPPER evil_w": "CREATE FOREIGN DATA WRAPPER evil_w",
    "CREATE SERVER evil_s FOREIGN DATA WRAPPER evil_w": "CREATE SERVER evil_s",
    "CREATE TABLE evil_1 (a text DEFAULT pg_read_file('/etc/x'))": "CREATE TABLE public.evil_1",
    'CREATE TABLE evil_2 (a$$ text, "b" text DEFAULT "pg_read_file"(\'/x\'), c$$ text)':
        "CREATE TABLE public.evil_2",
    "CREATE TABLE evil_3 (a text CHECK (query_to_xml('x', true, true, '') IS NOT NULL))":
        "CREATE TABLE public.evil_3",
    "CREATE TABLE evil_4 (a int, b int GENERATED ALWAYS AS (int4larger(a, 2)) STORED)":
        "CREATE TABLE public.evil_4",
    "CREATE TABLE plain (a text)": "",
    "CREATE INDEX evil_i ON plain ((textcat(a, 'x')))": "CREATE INDEX evil_i",
    "ALTER TABLE plain ENABLE ROW LEVEL SECURITY": "ALTER TABLE public.plain ENABLE ROW",
    "CREATE POLICY evil ON plain USING (pg_read_file(a) IS NULL)": "CREATE POLICY evil",
    "CREATE PUBLICATION evil_b FOR TABLE plain": "CREATE PUBLICATION evil_b",
    "CREATE SCHEMA evil_c": "CREATE SCHEMA evil_c",
    "SELECT lo_create(4711)": "SELECT pg_catalog.lo_create(",
    "CREATE TEXT SEARCH DICTIONARY evil_x (TEMPLATE = simple)": "CREATE TEXT SEARCH DICTIONARY ",
    "CREATE COLLATION evil_o (provider = libc, locale = 'C')": "CREATE COLLATION public.evil_o",
}  # fmt: skip


@pytest.fixture
def programs(postgres):
    """Return the path of one of PostgreSQL's programs."""
    return lambda name: postgres.binaries() / name


@pytest.fixture
def made(db, db_url, programs, tmp_path):
    """Make a backup of the database; return its file."""

    def make(role="botticelli"):
        file = tmp_path / "x.dump"
        url = db_url.replace("//botticelli@", f"//{role}@")
        dump.backup(url, file, program=programs("pg_dump"), environ={})
        return file

    return make


@pytest.fixture
def sql(programs):
    def read(file):
        with dump.opened(file) as stream:
            return list(dump.lines(stream, program=programs("pg_restore")))

    return read


def test_our_own_backup_holds_no_code(db, made, sql):
    db.execute("CREATE TABLE mine (id serial PRIMARY KEY, a numeric(38,10) DEFAULT 1, b jsonb)")
    db.execute("CREATE INDEX ON mine (lower(b ->> 'x'))")
    db.execute("INSERT INTO mine (b) VALUES ('{}')")
    db.execute("COMMENT ON TABLE mine IS 'a; b'")
    db.execute("INSERT INTO kept_sessions (name, sealed) VALUES ('x', '\\xC0FFEE')")
    approved(db)

    lines = list(sql(made()))
    found = contents(lines)

    assert found.code == ()
    assert not any(b"c0ffee" in line for line in lines)  # a session is in no backup
    assert {"public.mine", "public.runs", "public.deliveries"} <= set(found.tables)


def test_whatever_could_run_is_told(admin, made, sql):
    for statement in HOSTILE:
        admin.execute(statement)

    found = contents(sql(made("botticelli_superuser")))

    for statement, told in HOSTILE.items():
        assert any(each.startswith(told) for each in found.code), statement
    admin.execute("DROP EVENT TRIGGER evil")


def test_our_own_functions_and_views_never_come_from_a_backup(db, db_url, made, sql):
    db.execute(
        "CREATE OR REPLACE FUNCTION ledger_release(p_key text, p_seq bigint, p_guard interval)"
        " RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM pg_read_file(p_key); END'"
    )
    db.execute(
        "CREATE OR REPLACE FUNCTION botticelli_text_hash(p_text text) RETURNS text"
        " LANGUAGE sql STABLE AS 'SELECT pg_read_file(p_text)'"
    )
    db.execute("DROP VIEW run_totals; CREATE VIEW run_totals AS SELECT pg_read_file('x') AS stage")
    approved(db, text="from the backup")
    lines = sql(made())
    assert contents(lines).code == ()
    with connect(db_url) as conn:
        replay(conn, lines, allowed=())

        assert differences(conn) == ()
        assert conn.execute("SELECT text_content FROM approved_discord_posts").fetchall() == [
            ("from the backup",)
        ]


def test_code_that_a_person_agreed_to_is_taken_over_and_no_other(db, db_url, made, sql):
    db.execute("CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 42'")
    lines = sql(made())
    (told,) = contents(lines).code
    db.execute("DROP FUNCTION mine()")
    with connect(db_url) as conn:
        with pytest.raises(UsageError, match="has changed"):
            replay(conn, lines, allowed=("another",))
        assert differences(conn) == ()
        replay(conn, lines, allowed=(told,))
        assert conn.execute("SELECT mine()").fetchone() == (42,)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"COPY public.mine (id) FROM stdin;", b"COPY public.mine FROM PROGRAM 'w'"),
        (b"COPY public.mine (id) FROM stdin;", b"COPY mine FROM '/etc/passwd';    "),
        (b"COPY public.mine (id) FROM stdin;", b"COPY mine TO PROGRAM 'id';       "),
        (b"COPY public.mine (id) FROM stdin;", b"copy mine from program 'id' ;    "),
        (b"COPY public.mine (id) FROM stdin;", b"COPY/**/mine FROM PROGRAM 'w' ;  "),
    ],
)  # fmt: skip
def test_a_label_of_rows_hides_no_program(db, made, sql, old, new):
    """The table of contents says TABLE DATA; the words in it are the attacker's."""
    db.execute("CREATE TABLE mine (id int); INSERT INTO mine VALUES (1)")
    file = made()
    content = file.read_bytes()
    assert old in content
    assert len(old) == len(new)
    file.write_bytes(content.replace(old, new))
    lines = sql(file)

    with pytest.raises(UsageError):
        contents(lines)
    with pytest.raises(UsageError):
        replay(db, lines, allowed=())
    assert differences(db) == ()


HEAD = b"SET client_encoding = 'UTF8';\n"


@pytest.mark.parametrize(
    "text",
    [
        b"\\! id\n",
        b"\\copy runs from program 'id'\n",
        b"  \n\\! id\n",
        b"CREATE TABLE a (b int);\n\\! id\n",
        b"COPY public.runs (id) FROM stdin;\n1\n\\.\n\\! id\n",
        b"\\restrict x; \\! id\n",
        b"\\o |id\n",
        b"CREATE TABLE a (b int",
        b"CREATE TABLE a (b text DEFAULT 'x);",
        b"/* /* */ CREATE TABLE a (b int);",
        b"CREATE FUNCTION a() AS $x$ ; $y$",
        b"CREATE TABLE \xff (b int);",
    ],
)
def test_text_that_pg_dump_does_not_write_is_refused(text):
    with pytest.raises(UsageError):
        contents((HEAD + text).splitlines(keepends=True))


@pytest.mark.parametrize(
    "text",
    [
        b"DROP TABLE a; SELECT pg_read_file('x');",
        b"SET ROLE postgres;",
        b"SET SESSION AUTHORIZATION postgres;",
        b"SET session_preload_libraries = '/tmp/evil.so';",
        b"RESET ROLE;",
        b"ALTER SYSTEM SET archive_command = 'id';",
        b"ALTER ROLE postgres PASSWORD 'x';",
        b"CREATE ROLE evil SUPERUSER;",
        b"ALTER DATABASE x SET search_path = evil;",
        b"LOAD '/tmp/evil.so';",
        b"DO $$ BEGIN PERFORM 1; END $$;",
        b"CALL evil();",
        b"INSERT INTO runs (stage) SELECT pg_read_file('x');",
        b"UPDATE runs SET stage = pg_read_file('x');",
        b"GRANT pg_execute_server_program TO botticelli;",
        b"COMMENT ON TABLE a IS 'x'; SELECT 1;",
        b"CREATE TABLE a AS SELECT pg_read_file('x');",
        b"CREATE TABLE a (b text) INHERITS (runs);",
        b"CREATE TABLE a (b text DEFAULT U&\"\\0070g_read_file\"('x'));",
        b"CREATE TABLE a (b text DEFAULT pg_read_file /* ( */ ('x'));",
        b"CREATE TABLE a (b text DEFAULT pg_read_file -- (\n ('x'));",
        b"CREATE TABLE a (b text DEFAULT e'\\'', c text DEFAULT pg_read_file('x') /* ' */);",
        b"CREATE TABLE a (x$$ int, b text DEFAULT pg_read_file('x'), y$$ int);",
        b"ALTER TABLE a ALTER COLUMN b SET DEFAULT pg_read_file('x');",
        b"ALTER TABLE a ADD CONSTRAINT c CHECK (pg_read_file(b) IS NULL);",
        b"ALTER TABLE a ENABLE ALWAYS TRIGGER t;",
        b"ALTER TABLE a OWNER TO postgres;",
        b"CREATE INDEX i ON a USING btree (pg_read_file(b));",
        b"CREATE STATISTICS s ON pg_read_file(b), c FROM a;",
        b"SELECT pg_catalog.setval('x', pg_ls_dir('.'), true);",
        b"ALTER FUNCTION public.evil() SECURITY DEFINER;",
        b"CREATE FUNCTION evil.ledger_release() RETURNS int LANGUAGE sql AS 'SELECT 1';",
        b"CREATE FUNCTION \"ledger_release\"() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    ],
)
def test_every_other_statement_is_code(text):
    found = contents((HEAD + text + b"\n").splitlines(keepends=True))

    assert found.code


# -- what a person let in all the same, for the role that is no superuser

OUTSIDE = (
    "COPY runs FROM PROGRAM 'touch {file}'",
    "COPY runs TO PROGRAM 'touch {file}'",
    "COPY runs TO '{file}'",
    "COPY runs FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(lo_from_bytea(0, 'x'), '{file}')",
    "SELECT query_to_xml('SELECT pg_read_file(''/etc/passwd'')', true, true, '')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'botticelli_superuser'",
    "SELECT pg_reload_conf()",
    "SELECT pg_promote()",
    "SELECT pg_create_physical_replication_slot('evil')",
    "ALTER SYSTEM SET archive_command = 'touch {file}'",
    "LOAD '{file}'",
    "SET session_preload_libraries = '{file}'",
    "ALTER ROLE botticelli SET session_preload_libraries = '{file}'",
    "SET dynamic_library_path = '/tmp'",
    "SET session_replication_role = replica",
    "SET ROLE botticelli_superuser",
    "SET SESSION AUTHORIZATION botticelli_superuser",
    "RESET SESSION AUTHORIZATION; COPY runs TO PROGRAM 'touch {file}'",
    "RESET ROLE; COPY runs TO PROGRAM 'touch {file}'",
    "ALTER ROLE botticelli SUPERUSER",
    "ALTER ROLE botticelli CREATEROLE",
    "ALTER ROLE botticelli REPLICATION",
    "ALTER ROLE botticelli BYPASSRLS",
    "ALTER ROLE botticelli_superuser PASSWORD 'x'",
    "ALTER ROLE botticelli_superuser SET search_path = evil",
    "CREATE ROLE evil",
    "CREATE ROLE evil SUPERUSER",
    "GRANT botticelli_superuser TO botticelli",
    "GRANT pg_execute_server_program TO botticelli",
    "GRANT pg_read_server_files TO botticelli",
    "UPDATE pg_authid SET rolsuper = true",
    "INSERT INTO pg_auth_members SELECT 1, 10, 10, 10, true, true, true",
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION postgres_fdw",
    "CREATE EXTENSION file_fdw",
    "CREATE EXTENSION pg_stat_statements",
    "CREATE EXTENSION plpython3u",
    "CREATE LANGUAGE evil HANDLER plpgsql_call_handler",
    "CREATE FUNCTION evil(text) RETURNS int LANGUAGE c AS 'libc.so.6', 'system'",
    "CREATE FUNCTION evil(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all'",
    "CREATE TYPE evil; CREATE FUNCTION evil(cstring) RETURNS evil LANGUAGE internal AS 'textin'",
    (
        "CREATE FUNCTION evil() RETURNS text LANGUAGE sql SECURITY DEFINER"
        " AS $$ SELECT pg_read_file('/etc/passwd') $$; SELECT evil()"
    ),
    (
        "CREATE FUNCTION evil() RETURNS text LANGUAGE sql AS $$ SELECT 'x'::text $$;"
        " ALTER FUNCTION evil() OWNER TO botticelli_superuser"
    ),
    (
        "CREATE FUNCTION evil() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        " CREATE EVENT TRIGGER evil ON login EXECUTE FUNCTION evil()"
    ),
    "CREATE FUNCTION pg_catalog.lower(runs) RETURNS text LANGUAGE sql AS $$ SELECT 'x'::text $$",
    (
        "CREATE OR REPLACE FUNCTION pg_catalog.lower(text) RETURNS text LANGUAGE sql"
        " AS $$ SELECT 'x'::text $$"
    ),
    "CREATE FOREIGN DATA WRAPPER evil",
    "CREATE SUBSCRIPTION evil CONNECTION 'host=evil.example' PUBLICATION p",
    "CREATE TABLESPACE evil LOCATION '/tmp'",
    "CREATE CAST (text AS json) WITHOUT FUNCTION",
    "CREATE ACCESS METHOD evil TYPE TABLE HANDLER heap_tableam_handler",
    "ALTER TABLE runs OWNER TO botticelli_superuser",
    "ALTER DATABASE postgres RENAME TO gone",
    "ALTER DATABASE postgres SET search_path = evil",
)
HARMLESS = "CREATE TABLE ordinary (a int)"
BODY = "LANGUAGE plpgsql {} AS $f$ BEGIN EXECUTE $x${{}}$x$; RETURN {}; END $f$;\n"
FUNCTION = f"CREATE FUNCTION public.run(a int) RETURNS int {BODY}"
WAYS = {
    "statement": "{};\n",
    "block": "DO $f$ BEGIN EXECUTE $x${}$x$; END $f$;\n",
    "function": FUNCTION.format("SECURITY DEFINER", "1") + "SELECT public.run(1);\n",
    "default": FUNCTION.format("", "1") + "ALTER TABLE public.t ADD b int DEFAULT public.run(1);\n",
    "check": FUNCTION.format("", "1") + "ALTER TABLE public.t ADD CHECK (public.run(a) = 1);\n",
    "trigger": f"CREATE FUNCTION public.run() RETURNS trigger {BODY.format('', 'NEW')}"
    "CREATE TRIGGER t BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.run();\n"
    "COPY public.t (a) FROM stdin;\n2\n\\.\n",
}  # fmt: skip
ROLES = "SELECT * FROM pg_authid ORDER BY oid"
MEMBERS = "SELECT * FROM pg_auth_members ORDER BY oid"


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_code_that_was_let_in_reaches_nothing_outside(db, admin, tmp_path, way):
    db.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    before = [admin.execute(query).fetchall() for query in (ROLES, MEMBERS)]

    let_through = []
    for attempt in (*OUTSIDE, HARMLESS):
        inner = attempt if way == "statement" else f"SET search_path = public; {attempt}"
        text = "SET search_path = public;\n" + WAYS[way].format(inner)
        text = text.replace("{file}", str(tmp_path / "planted"))
        lines = text.encode().splitlines(keepends=True)
        try:
            replay(db, lines, allowed=contents(lines).code)
            let_through.append(attempt)
        except Unavailable:
            pass

    assert let_through == [HARMLESS]
    assert [admin.execute(query).fetchall() for query in (ROLES, MEMBERS)] == before
    assert list(tmp_path.iterdir()) == []
    assert differences(db) == ()


@pytest.mark.parametrize(
    "attempt", ["ALTER ROLE botticelli SUPERUSER", "SELECT 1; COMMIT", "DO $$ BEGIN END $$"]
)
@pytest.mark.parametrize("power", ["SUPERUSER", "CREATEROLE", "IN ROLE pg_execute_server_program"])
def test_code_is_never_let_in_by_a_role_that_can_do_more(db_url, db, admin, attempt, power):
    admin.execute(f"CREATE ROLE strong LOGIN {power}")
    lines = f"{attempt};\n".encode().splitlines(keepends=True)
    try:
        with (
            connect(db_url.replace("//botticelli@", "//strong@")) as conn,
            pytest.raises(UsageError, match="your role may"),
        ):
            replay(conn, lines, allowed=contents(lines).code)
    finally:
        admin.execute("DROP ROLE strong")


# -- genuine ones


@pytest.mark.slow
@pytest.mark.parametrize("version", range(1, EXPECTED_VERSION + 1))
def test_a_backup_of_every_version_restores_whole(empty_url, programs, sql, tmp_path, version):
    file = tmp_path / "x.dump"
    with connect(empty_url) as conn:
        if version == EXPECTED_VERSION:
            apply_schema(conn)
        else:
            conn.execute((SCHEMAS / f"version_{version}.sql").read_bytes())
        conn.execute(
            "INSERT INTO potential_discord_posts (text_content) SELECT 'a' || n || chr(9) || 'ü'"
            " FROM generate_series(1, 5000) AS n"
        )
        approved(conn, text="one\ntwo\\.\n\\.\n")
        conn.execute("CREATE TABLE mine (id serial PRIMARY KEY, a int REFERENCES mine)")
        dump.backup(empty_url, file, program=programs("pg_dump"), environ={})
        conn.execute("DELETE FROM approved_discord_posts; DELETE FROM potential_discord_posts")

        lines = sql(file)
        assert contents(lines).code == ()
        replay(conn, lines, allowed=())

        assert differences(conn) == ()
        assert conn.execute("SELECT count(*) FROM potential_discord_posts").fetchone() == (5000,)
        texts = conn.execute("SELECT text_content FROM approved_discord_posts").fetchall()
        assert texts == [("one\ntwo\\.\n\\.\n",)]
        owners = "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE oid >= 16384"
        assert conn.execute(owners).fetchall() == [("botticelli",)]


def test_strings_and_names_hide_no_end():
    text = (
        "SELECT 'a;b', \"c;d\", e'\\';', $$;$$, $x$;$$;$x$ -- ;\n /* ; /* ; */ ; */;\n"
        "SELECT a$b$c;SELECT 2;\n"
    )
    found = [each.text.strip() for each, _ in split(iter(text.encode().splitlines(keepends=True)))]

    assert len(found) == 3
    assert found[1:] == ["SELECT a$b$c", "SELECT 2"]


def test_a_backup_of_a_newer_program_is_refused(db, db_url, made, sql):
    db.execute("INSERT INTO schema_version (version) VALUES (99)")
    lines = sql(made())
    db.execute("DELETE FROM schema_version WHERE version = 99")
    with connect(db_url) as conn, pytest.raises(ConfigError, match="version 99"):
        replay(conn, lines, allowed=())


# -- the file


@pytest.mark.parametrize("form", ["plain", "directory", "tar"])
def test_other_forms_of_pg_dump_are_refused(db, db_url, programs, tmp_path, form):
    db.execute("CREATE TABLE mine (a text DEFAULT 'PGDMP')")
    target, secret = dump.without_password(db_url)
    command = [programs("pg_dump"), f"--format={form}", f"--file={tmp_path / 'x'}", target]
    subprocess.run(command, env=secret, check=True)

    with (
        pytest.raises(UsageError, match=r"not a backup of ours|Is a dir"),
        dump.opened(tmp_path / "x"),
    ):
        pass


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "missing"])
def test_what_is_no_file_keeps_nobody_waiting(tmp_path, kind):
    file = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file = Path("/dev/zero")
    elif kind == "folder":
        file.mkdir()

    with pytest.raises(UsageError), dump.opened(file):
        pass


def test_a_line_without_end_comes_in_parts(db, made, sql):
    db.execute("CREATE TABLE mine (a text); INSERT INTO mine SELECT repeat('x', 9000000)")

    lines = sql(made())

    assert max(map(len, lines)) <= LONGEST
    replay(db, lines, allowed=())
    assert db.execute("SELECT length(a) FROM mine").fetchone() == (9_000_000,)


@pytest.mark.parametrize("planted", ["partial", "symlink", "target"])
def test_nothing_planted_gets_a_backup(made, tmp_path, planted):
    other = tmp_path / "other"
    other.write_text("somebody's")
    other.chmod(0o666)
    if planted == "partial":
        (tmp_path / ".x.dump.partial").touch(mode=0o666)
    elif planted == "symlink":
        (tmp_path / "x.dump").symlink_to(other)
    else:
        os.link(other, tmp_path / "x.dump")

    file = made()

    assert file.read_bytes().startswith(dump.MAGIC)
    assert not file.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert other.read_text() == "somebody's"


def test_a_backup_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(UsageError):
        dump.backup(
            "postgresql://x@127.0.0.1:1/x",
            tmp_path / "no" / "x",
            program=Path("/bin/false"),
            environ={},
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@h/x",
        "postgresql://me@h/x?password=hunter2",
        "host=h user=me password='hunter2' dbname=x",
        "postgresql://me:hunter%32@h/x?application_name=y",
    ],
)
def test_no_password_is_on_a_command_line(url):
    target, secret = dump.without_password(url)

    assert "hunter2" not in target
    assert secret == {"PGPASSWORD": "hunter2"}


def test_a_secret_that_has_no_variable_is_refused():
    with pytest.raises(ConfigError, match="sslpassword would stand in the command line"):
        dump.without_password("postgresql://me@h/x?sslpassword=hunter2")
