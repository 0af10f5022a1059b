"""Databases for tests: one real server a session in memory, a fresh database a test (15 ms).

And the rows that many tests begin with.
"""

import itertools
import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg.types.json import Jsonb

from botticelli.store.connection import connect
from botticelli.store.embedded.server import Embedded
from botticelli.store.projects import admit
from botticelli.store.schema import apply_schema
from tests.clock import NOON, PinnedClock, pin
from tests.configured import load

# A database from a template takes 350 ms on a disk and 10 ms here.
MEMORY = Path("/dev/shm")
TEMPLATE = "template_botticelli"

# Nothing in a test's cluster has to survive the machine.
HASTY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")


def new_home(prefix: str) -> Path:
    """Make an empty folder for a cluster, in memory where there is some."""
    usable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if usable else None))


def url_of(url: str, database: str) -> str:
    """Return the URL of another database on the same server, patient with a busy machine."""
    return url.replace("@/botticelli?", f"@/{database}?connect_timeout=60&")


def insert(conn, table, **columns):
    """Insert a row and return its id; a list goes into a column of JSON."""
    columns = {
        name: Jsonb(value) if isinstance(value, list) else value for name, value in columns.items()
    }
    names = ", ".join(columns)
    places = ", ".join(f"%({name})s" for name in columns)
    statement = f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING id"
    return conn.execute(statement, columns).fetchone()[0]


def candidate(conn, text="a post", **columns):
    """Insert a candidate and return its id."""
    return insert(conn, "potential_discord_posts", **{"text_content": text, **columns})


def approved(conn, text="Hello, studio!", **columns):
    """Insert an approved post, chosen an hour before the pinned clock's noon; return its id."""
    values = {"text_content": text, "selected_at": NOON - timedelta(hours=1), **columns}
    return insert(conn, "approved_discord_posts", **values)


@pytest.fixture(scope="session")
def postgres():
    """The session's server; every pytest-xdist worker has its own (half a second)."""
    home = new_home("botticelli-tests-")
    server = Embedded(home / "postgres", settings=HASTY)
    try:
        server.ensure()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def database_numbers():
    """Numbers for database names, each given out once."""
    return itertools.count(1)


@pytest.fixture(scope="session")
def database_template(postgres):
    """The URL of the server, which holds a template with schema.sql applied."""
    url = postgres.ensure()
    admin = url_of(url, "botticelli")
    with connect(admin) as conn:
        conn.execute(f"CREATE DATABASE {TEMPLATE}")
    with connect(url_of(url, TEMPLATE)) as conn:
        apply_schema(conn)
    return admin


@pytest.fixture
def db_url(database_template, database_numbers):
    """The URL of a fresh database with our schema, gone after the test."""
    name = f"test_{next(database_numbers)}"
    with connect(database_template) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    yield database_template.replace("@/botticelli?", f"@/{name}?")
    with connect(database_template) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def db(db_url):
    """A connection to a fresh database with our schema."""
    conn = connect(db_url, application_name="test")
    yield conn
    conn.close()


@pytest.fixture
def admin(db, db_url):
    """A superuser's connection to the database of `db`, whose own role is none."""
    conn = connect(db_url.replace("//botticelli@", "//botticelli_superuser@"))
    yield conn
    conn.close()


@pytest.fixture
def empty_url(postgres, database_numbers):
    """The URL of a database with nothing in it."""
    name = f"empty_{next(database_numbers)}"
    url = postgres.ensure()
    with connect(url) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    yield url_of(url, name)
    with connect(url) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def postgres_home():
    """A folder for a cluster of the test's own; a server left in it is stopped."""
    home = new_home("botticelli-home-")
    yield home
    for version in home.rglob("PG_VERSION"):
        if version.parent.name == "data":
            server = Embedded(version.parent.parent)
            server.stop()
            if server.socket_folder != server.folder:
                server.socket_folder.rmdir()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def clock(request):
    """A clock that stands at noon UTC of a Tuesday; `db` goes by it as well."""
    clock = PinnedClock()
    if "db" in request.fixturenames:
        pin(request.getfixturevalue("db"), clock)
    return clock


def ensure_schema(conn):
    """Let a project without a folder in, as a command that writes does."""
    admit(conn, load(None, environ={}, cwd=Path.cwd()), writes=True)
