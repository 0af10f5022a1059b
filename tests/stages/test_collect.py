"""The collect stage: real database, real HTTP over loopback, a clock in the test's hand."""

import random
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from botticelli.config.model import Config, DatabaseConfig
from botticelli.config.operations import Source
from botticelli.errors import Exit, UsageError
from botticelli.narrative.files.fetch import fetch
from botticelli.stages.collect import visits
from botticelli.stages.collect.stage import CollectRequest, collect
from botticelli.store import sources
from tests.fakes.loopback import Answer, LoopbackServer
from tests.run_context import run_context

HOUR = timedelta(hours=1)


def rss(*items, **more):
    """Return a feed with an item for each number."""
    texts = "".join(
        f"<item><guid>g{n}</guid><title>Title {n}</title><link>/news/{n}</link>"
        f"<description>Text number {n} {more.get('text', '')}</description></item>"
        for n in items
    )
    return f'<rss version="2.0"><channel><title>T</title>{texts}</channel></rss>'.encode()


class Site(LoopbackServer):
    """A web site: path -> what it answers; what is not there is not found."""

    def __init__(self):
        super().__init__()
        self.pages = {}
        self.asked = []

    def reply(self, request):
        self.asked.append((request.path, request.headers))
        found = self.pages.get(request.path, Answer(status=404))
        etag = dict(found.headers).get("ETag")
        if etag and request.headers.get("if-none-match") == etag:
            return Answer(status=304)
        return found


@pytest.fixture
def site():
    with Site() as made:
        yield made


@pytest.fixture
def run(db, clock, site, tmp_path):
    """`run(source, ...)` collects from these sources; further words go to the request."""

    def start(*known, is_private_allowed=True, **request):
        config = Config(
            database=DatabaseConfig(url="", folder=tmp_path),
            sources={one.name: one for one in known},
        )
        context = run_context(db, config=config, clock=clock, chance=random.Random(1))
        reads = partial(fetch, is_private_allowed=is_private_allowed)
        return collect(
            context,
            request=CollectRequest(**request),
            visits=visits.Visits(fetch=reads, clock=clock),
        )

    return start


def feed(site, path="/feed.xml", **more):
    return Source(name="news", kind="feed", url=f"{site.url}{path}", **more)


def offered(db, name="news"):
    return sources.count_offered(db, name, most=1000)


def problem(db, source):
    return sources.report(db, [(source.name, source.kind, source.place)])[0].problem


def test_what_is_new_is_offered_once(run, db, site, clock):
    site.pages["/feed.xml"] = Answer(body=rss(2, 1))

    first, again = run(feed(site)), run(feed(site), now=True)

    assert [(one.new, one.offered) for one in first.results] == [(2, 2)]
    assert [(one.new, one.offered) for one in again.results] == [(0, 0)]
    site.pages["/feed.xml"] = Answer(body=rss(3, 2, text="edited"))
    assert run(feed(site)).waiting == 1
    clock.advance(HOUR)
    assert [one.new for one in run(feed(site)).results] == [1]
    assert offered(db) == 3


def test_the_same_address_or_text_elsewhere_is_not_offered_again(run, db, site):
    site.pages["/feed.xml"] = Answer(body=rss(1))
    other = (
        '<rss version="2.0"><channel><item><guid>x</guid><title>Told elsewhere</title>'
        f"<link>{site.url}/news/1?utm_source=feed</link></item><item><guid>y</guid>"
        "<title>Title 1</title><description>TEXT   number 1</description></item></channel></rss>"
    )
    site.pages["/other.xml"] = Answer(body=other.encode())

    report = run(feed(site), replace(feed(site, "/other.xml"), name="other"))

    assert [(one.new, one.offered) for one in report.results] == [(1, 1), (2, 0)]


def test_old_items_are_known_but_never_written_about(run, db, site):
    old = rss(1).replace(b"</item>", b"<pubDate>Tue, 24 Nov 2020 12:00:00 GMT</pubDate></item>")
    site.pages["/feed.xml"] = Answer(body=old)

    (result,) = run(feed(site)).results

    assert (result.new, result.offered) == (1, 0)


def test_what_has_not_changed_is_not_sent_again(run, db, site, clock):
    site.pages["/feed.xml"] = Answer(body=rss(1), headers=(("ETag", '"a"'),))

    run(feed(site))
    clock.advance(HOUR)
    (result,) = run(feed(site)).results

    assert (result.new, result.exit_code) == (0, Exit.DONE)
    asked = [headers for path, headers in site.asked if path == "/feed.xml"]
    assert "if-none-match" not in asked[0]
    assert asked[1]["if-none-match"] == '"a"'


def test_a_feed_that_moved_for_good_is_asked_there(run, db, site, clock):
    moved = Answer(status=301, headers=(("Location", "/new.xml"),))
    site.pages |= {"/feed.xml": moved, "/new.xml": Answer(body=rss(1))}

    (result,) = run(feed(site)).results
    assert "moved for good" in result.note
    clock.advance(HOUR)
    run(feed(site))

    paths = [path for path, _ in site.asked if path != "/robots.txt"]
    assert paths == ["/feed.xml", "/new.xml", "/new.xml"]


def test_a_feed_that_is_gone_is_asked_no_more(run, db, site, clock):
    site.pages["/feed.xml"] = Answer(status=410)

    assert run(feed(site)).exit_code != Exit.DONE
    clock.advance(timedelta(days=30))

    assert run(feed(site)).waiting == 1
    assert "gone" in problem(db, feed(site))
    site.pages["/other.xml"] = Answer(body=rss(1))
    assert run(feed(site, "/other.xml")).results[0].new == 1  # another address begins anew


# What a server may answer -> words of the message, and the exit code of a run with nothing else.
ODD = {
    "a web page": (Answer(body=b"<html><p>Hi</p></html>"), "not a feed", Exit.FAILED),
    "not found": (Answer(status=404), "answered 404", Exit.FAILED),
    "in trouble": (Answer(status=503), "answered 503", Exit.UNAVAILABLE),
    "too often": (
        Answer(status=429, headers=(("Retry-After", "7200"),)), "answered 429", Exit.UNAVAILABLE),
    "hangs up": (Answer(ending="close"), "cannot be read", Exit.UNAVAILABLE),
    "11 MB": (Answer(body=b"<rss>" + b"x" * 11 * 2**20), "larger than 10 MiB", Exit.FAILED),
    "in circles": (
        Answer(status=302, headers=(("Location", "/feed.xml"),)), "without end", Exit.FAILED),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_a_bad_source_is_told_and_costs_the_others_nothing(run, db, site, case, tmp_path):
    answer, words, code = ODD[case]
    site.pages["/feed.xml"] = answer
    (tmp_path / "a.md").write_text("# Title\n\nText")
    folder = Source(name="folder", kind="folder", folder=tmp_path)

    alone, both = run(feed(site)), run(folder, feed(site), now=True)

    assert words in alone.results[0].note
    assert words in problem(db, feed(site))
    assert (alone.exit_code, both.exit_code) == (code, Exit.DONE)
    assert [one.new for one in both.results] == [1, 0]


def test_a_bomb_of_gzip_ends_at_the_limit(run, db, site):
    import gzip

    bomb = gzip.compress(b"<rss>" + bytes(40 * 2**20))
    site.pages["/feed.xml"] = Answer(body=bomb, headers=(("Content-Encoding", "gzip"),))

    assert "larger than" in run(feed(site)).results[0].note


def test_failures_in_a_row_are_asked_less_and_less_often(run, db, site, clock):
    site.pages["/feed.xml"] = Answer(status=500)
    for _ in range(5):
        run(feed(site), now=True)

    clock.advance(HOUR)
    assert run(feed(site)).waiting == 1
    clock.advance(timedelta(days=1))
    site.pages["/feed.xml"] = Answer(body=rss(1))
    assert run(feed(site)).results[0].new == 1
    assert problem(db, feed(site)) == ""


def test_robots_txt_is_obeyed(run, db, site, clock):
    site.pages |= {
        "/robots.txt": Answer(body=b"User-agent: *\nCrawl-delay: 5\nDisallow: /*.private$\n"),
        "/feed.xml": Answer(body=rss(1)),
        "/feed.private": Answer(body=rss(2)),
    }

    good, bad = run(feed(site), replace(feed(site, "/feed.private"), name="bad")).results

    assert (good.new, bad.new) == (1, 0)
    assert "robots.txt" in bad.note
    assert [path for path, _ in site.asked] == ["/robots.txt", "/feed.xml"]
    assert sum(clock.slept) == pytest.approx(5)


def test_no_source_leads_into_a_private_network(run, db, site):
    site.pages["/feed.xml"] = Answer(body=rss(1))

    (result,) = run(feed(site), is_private_allowed=False).results

    assert "private network" in result.note
    assert site.asked == []


def test_a_folder_gives_each_file_once_and_no_draft_and_nothing_hidden(run, db, site, tmp_path):
    for name, text in {
        "a.md": "---\ntitle: A\n---\nText A",
        "deep/b.markdown": "# B\nText B",
        ".hidden/c.md": "# C",
        "draft.md": "---\ndraft: true\n---\nText",
        "picture.png": "no",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "link.md").symlink_to("/etc/hostname")
    folder = Source(name="news", kind="folder", folder=tmp_path)

    assert run(folder).results[0].offered == 2
    assert run(folder, now=True).results[0].new == 0


def test_a_table_and_a_channel_are_sources_too(db, clock, tmp_path):
    db.execute("CREATE TABLE articles (id int PRIMARY KEY, headline text, body text, state text)")
    db.execute("INSERT INTO articles VALUES (1, 'One', 'Text one', 'done'), (2, 'Two', '', 'new')")
    table = Source(name="news", kind="table", table="articles", where="state = 'done'")
    channel = Source(name="channel", kind="discord", channel="123")

    class Bot:
        def writes(self, _command):
            return False

        def run(self, call):
            assert call.args == {"channel_id": "123", "limit": 100}
            return [
                {"id": "9", "content": "We met\nand talked", "author": {"bot": False}},
                {"id": "8", "content": "I am a bot", "author": {"bot": True}},
            ]

    config = Config(
        database=DatabaseConfig(url="", folder=tmp_path),
        sources={"news": table, "channel": channel},
    )
    context = run_context(db, config=config, clock=clock, executors={"discord": Bot()})
    never = visits.Visits(fetch=lambda *_, **__: pytest.fail("no web here"), clock=clock)

    report = collect(context, request=CollectRequest(), visits=never)

    assert [(one.source, one.offered) for one in report.results] == [("news", 1), ("channel", 1)]
    rows = db.execute("SELECT title, text FROM source_items ORDER BY id").fetchall()
    assert rows == [("One", "Text one"), ("We met and talked", "We met\nand talked")]


def test_an_unknown_source_is_a_mistake_of_the_command_line(run, db, site):
    with pytest.raises(UsageError, match="there is no source 'blog'"):
        run(feed(site), source="blog")
