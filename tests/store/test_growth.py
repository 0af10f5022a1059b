# ruff: noqa: E501 - SQL and lines of commands as tables
"""No command reads more rows in a database with a long past than in one that is almost empty.

Every query is guarded without being named: each command runs in both databases, and PostgreSQL
counts the rows that all its statements read. A command that is new has to be put in a line here.
"""

import time

import pytest

from botticelli.config.load import load
from botticelli.platforms.open import PLATFORMS
from botticelli.store.connection import connect
from tests.acceptance.test_everywhere import every
from tests.clock import NOON, PinnedClock, at
from tests.commandline import Botticelli
from tests.database import TEMPLATE, candidate, url_of
from tests.desk import Visits
from tests.grown import SETTINGS, fill, open_work

SMALL, FULL = 2_000, 20_000  # candidates: 60,000 rows in the full one; a list shows some hundreds
BOUNDED = {
    "row_counts": 3000,
    "row_counts.row_counts_pkey": 3000,
    "row_changes": 3000,
    "row_changes.row_changes_by_what": 1000,  # of these, by their index
    "deliveries.deliveries_posted": 300,  # `observe`: those of two weeks, by their index
}  # two months by day
# What learns from readers reads the last 1,000 posts of a year at each destination, and no more.
LEARNING, LEARNED = ("insights", "report", "/analytics"), 2 * 1300
SLACK = 60  # rows: the catalogue of a page more, a change that is not added up yet

# What is typed of a command that needs words; the others are started bare. {ids} are of old rows.
LINES = {
    "post": ["post --dry-run", "post"],
    "generate": ["generate --dry-run", "generate"],
    "curate": ["curate --dry-run", "curate"],
    "approve": ["approve c{held}"],
    "reject": ["reject c{held2}"],
    "hold": ["hold c{rejected}"],
    "undo": ["undo c{held}"],
    "edit": ["edit c{held3} --text Other"],
    "review": [f"review --view {view} --list" for view in ("open", "approved", "rejected")],
    "trace": ["trace c{candidate}", "trace p{post}", "trace d{delivery}", "trace {message}"],
    "report": ["report figures.html"],
    "runs": ["runs", "runs --stage post", "runs --limit 100"],
    "logs": ["logs {generate}", "logs {curate}", "logs {post_run}"],
    "content list": [
        "content list",
        *(
            f"content list {table}_discord_posts{status}"
            for table in ("potential", "approved")
            for status in ("", " --status held", " --status pending", " --status posted")
        ),
        "content list approved_discord_posts --status withdrawn",
    ],
    "content show": ["content show approved_discord_posts {post}"],
    "content generations": ["content generations", "content generations --status failed"],
    "content review": ["content review potential_discord_posts {held3} --status rejected"],
    "content tag": ["content tag potential_discord_posts {held3} a"],
    "content promote": ["content promote potential_discord_posts {held3} approved_discord_posts"],
    "schedule": ["schedule d{waiting} 2026-12-24T09:00"],
    "unschedule": ["unschedule d{waiting}"],
    "deliveries show": ["deliveries show {delivery}"],
    "deliveries hold": ["deliveries hold {waiting}"],
    "deliveries retry": ["deliveries retry {waiting}"],
    "deliveries mark-posted": ["deliveries mark-posted {waiting} --message 5"],
    "deliveries drop": ["deliveries drop {waiting2}"],
    "deliveries confirm": ["deliveries confirm file"],
    "state get": ["state get KEY"],
    "state set": ["state set KEY 1"],
    "state clear": ["state clear KEY"],
    "pause": ["pause post"],
    "resume": ["resume post"],
    "withdraw": ["withdraw {delivery} --yes"],
    "learn": ["learn --dry-run", "learn"],
    "rules add": ["rules add Brief"],
    "desk user add": ["desk user add eva --without-password", "desk user remove eva"],
    "timers render": ["timers render --cron"],
}
# Commands that read no rows of ours, or all of them by their nature.
LEFT_OUT = {
    *(
        "command",
        "connect",
        "demo",
        "init",
        "import",
        "notify",
        "completion",
        "trust",
        "run",
        "timers remove",
    ),
    *("desk serve", "desk user remove", "desk revoke"),
    *("rules show", "rules accept", "rules edit", "rules drop", "rules review"),
    *("timers install", "timers status", "models test", "models pull", "approvals show"),
    *(
        "approvals approve",
        "approvals deny",
        "locks break",
        "db psql",
        "db start",
        "db stop",
        "db backup",
    ),
    *("db restore", "db adopt", "db migrate", "db init"),
    *("desk serve", "desk revoke", "desk user add", "desk user remove"),
}
ORDER = ("post", "generate", "curate", "db prune")  # what writes most comes last

IDS = """
    SELECT (SELECT max(id) FROM potential_discord_posts WHERE review_status = 'posted') AS candidate,
           (SELECT max(id) FROM approved_discord_posts WHERE review_status = 'posted') AS post,
           (SELECT max(id) FROM deliveries WHERE state = 'posted') AS delivery,
           (SELECT remote_id FROM deliveries WHERE state = 'posted' ORDER BY id DESC LIMIT 1) AS message,
           (SELECT max(id) FROM deliveries WHERE state = 'pending') AS waiting,
           (SELECT max(id) - 1 FROM deliveries WHERE state = 'pending') AS waiting2,
           (SELECT max(id) FROM potential_discord_posts WHERE review_status = 'rejected') AS rejected,
           h[1] AS held, h[2] AS held2, h[3] AS held3,
           (SELECT max(id) FROM runs WHERE stage = 'generate') AS generate,
           (SELECT max(id) FROM runs WHERE stage = 'curate') AS curate,
           (SELECT max(id) FROM runs WHERE stage = 'post') AS post_run
      FROM (SELECT array_agg(id ORDER BY id DESC) AS h
              FROM potential_discord_posts WHERE review_status = 'held') AS held
"""
READ = """
    SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables
     UNION ALL
    SELECT relname || '.' || indexrelname, idx_tup_read FROM pg_stat_user_indexes
"""
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


class Watched:
    """A database of some age, and the command line on it."""

    def __init__(self, url, folder, candidates):
        folder.mkdir()
        settings = f'{SETTINGS}\n[sources.blog]\nkind = "folder"\nfolder = "."\n'
        (folder / "botticelli.toml").write_text(settings)
        self.conn = at(connect(url), NOON)
        fill(self.conn, candidates, days=60 if candidates == SMALL else 700)
        self.run = Botticelli(folder)
        self.run.environ["DATABASE_URL"] = url
        self.run.clock = PinnedClock()
        candidate(self.conn, "The first that is judged here.")
        for line in ("post", "curate"):  # the project takes the database, and looks at it once
            assert self.run(line).code == 0
        open_work(self.conn)
        names = self.conn.execute(IDS)
        self.ids = dict(zip([c.name for c in names.description], names.fetchone(), strict=True))

    def rows_read(self, line):
        """Return how many rows a command read, by table and index; and how it ended."""
        before = self.counters()
        ended = self.run(line.format(**self.ids))
        return self.since(before), ended

    def rows_of_page(self, path):
        """Return how many rows a page of the desk read, by table and index."""
        config = load(
            self.run.cwd / "botticelli.toml", environ={}, cwd=self.run.cwd, platforms=PLATFORMS
        )
        visits = Visits(self.run.environ["DATABASE_URL"], config)
        visits.desk.connect = lambda: at(connect(visits.db_url), NOON)
        client = visits.as_role("admin")
        before = self.counters()
        assert client.get(path.format(**self.ids)).status_code == 200
        visits.close()
        return self.since(before)

    def since(self, before):
        """Return how many rows were read since."""
        while self.conn.execute(OTHERS).fetchone()[0]:
            time.sleep(0.001)  # a session tells what it read when it ends
        after = self.counters()
        return {name: n - before.get(name, 0) for name, n in after.items()}

    def counters(self):
        self.conn.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        return dict(self.conn.execute(READ).fetchall())


@pytest.fixture(scope="module")
def both(database_template, tmp_path_factory):
    """An almost empty database and one with a long past, neither of them ever analyzed."""
    home = tmp_path_factory.mktemp("growth")
    watched = []
    with connect(database_template) as conn:
        for name, candidates in (("small", SMALL), ("full", FULL)):
            conn.execute(f"CREATE DATABASE growth_{name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
            url = url_of(
                database_template.replace("@/botticelli?connect_timeout=60&", "@/botticelli?"),
                f"growth_{name}",
            )
            watched.append(Watched(url, home / name, candidates))
    yield watched
    with connect(database_template) as conn:
        for one in watched:
            one.conn.close()
        for name in ("small", "full"):
            conn.execute(f"DROP DATABASE growth_{name} WITH (FORCE)")


def lines():
    found = {path: LINES.get(path, [path]) for path, _ in every() if path not in LEFT_OUT}
    last = [path for path in ORDER if path in found]
    return [line for path in (*(p for p in found if p not in last), *last) for line in found[path]]


@pytest.mark.parametrize("line", lines())
def test_a_long_past_costs_nothing(both, line):
    small, full = both
    if line == "db prune":  # what is old is removed once
        assert {one.run(line).code for one in both} == {0}
        for one in both:
            one.conn.execute("VACUUM (INDEX_CLEANUP ON)")
    (few, was), (many, ended) = small.rows_read(line), full.rows_read(line)

    assert (ended.code, was.code) in {(0, 0), (1, 1)}, (was, ended)
    assert not grown(few, many, line), f"{line}: rows read in a small and in a full database"


def grown(few, many, line):
    slack = LEARNED if line.startswith(LEARNING) else SLACK
    return {
        name: (few.get(name, 0), n)
        for name, n in many.items()
        if n > 1.2 * few.get(name, 0) + max(slack, BOUNDED.get(name, 0))
    }


PAGES = ["/review?view=posted", "/calendar", "/calendar?to=second", "/calendar?from=2026-11-01"]
PAGES += ["/analytics?days=7", "/analytics", "/themes", "/stages", "/posts/p{post}"]


@pytest.mark.parametrize("path", PAGES)
def test_a_long_past_costs_no_page_of_the_desk_anything(both, path):
    few, many = (one.rows_of_page(path) for one in both)

    assert not grown(few, many, path), "rows read in a small and in a full database"
