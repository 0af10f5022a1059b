"""Feeds, pages and files from the wild become items; nothing here touches the network."""

import gzip
from datetime import UTC, datetime

import pytest

from botticelli.stages.collect.texts import (
    UnreadableSource,
    address_key,
    feed_items,
    file_item,
    page_item,
    plain,
)

URL = "https://blog.example/feeds/all.xml"
ITEM = (
    "<item><title>A &amp; B</title><link>/a?utm_source=rss</link><guid>g</guid>"
    "<description>&lt;p&gt;Says &lt;b&gt;this&lt;/b&gt;.&lt;/p&gt;</description>"
    "<pubDate>Tue, 24 Nov 2026 12:00:00 GMT</pubDate></item>"
)
RDF = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    ' xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    '<channel rdf:about="x"><title>T</title></channel><item rdf:about="/a"><title>A &amp; B</title>'
    "<link>/a</link><description>Says this.</description><dc:date>2026-11-24T12:00:00Z</dc:date>"
    "</item></rdf:RDF>"
)
ATOM = (
    '<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://blog.example/x/"><title>T</title>'
    '<entry><id>urn:a</id><title type="html">A &amp;amp; B</title><link rel="self" href="no"/>'
    '<link href="../a"/><updated>2026-11-24T13:00:00+01:00</updated><summary>Short</summary>'
    '<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>Says this.</p></div>'
    "</content></entry></feed>"
)
FEEDS = {
    "RSS 0.91": f'<rss version="0.91"><channel><title>T</title>{ITEM}</channel></rss>',
    "RSS 0.92": f'<rss version="0.92"><channel><title>T</title>{ITEM}</channel></rss>',
    "RSS 2.0": f'<?xml version="1.0"?><rss version="2.0"><channel>{ITEM}</channel></rss>',
    "RSS without end": f'<rss version="2.0"><channel><title>T</title>{ITEM}',
    "a stray sign": f'<rss version="2.0"><channel><title>R & D</title>{ITEM}</channel></rss>',
    "RSS after blanks": f'\n\n  <rss version="2.0"><channel>{ITEM}</channel></rss>',
    "RDF": RDF,
    "Atom": ATOM,
}  # fmt: skip


@pytest.mark.parametrize("kind", FEEDS)
def test_every_kind_of_feed_gives_the_same_item(kind):
    (item,) = feed_items(FEEDS[kind].encode(), url=URL, mime="application/xml")

    assert item.title == "A & B"
    assert item.text == "Says this."
    assert item.url.partition("?")[0] == "https://blog.example/a"
    assert item.address == address_key("https://blog.example/a")
    assert item.published_at == datetime(2026, 11, 24, 12, tzinfo=UTC)


ACCENTS = '<rss version="2.0"><channel><item><title>Grüße</title></item></channel></rss>'


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (ACCENTS.encode(), "application/rss+xml; charset=utf-8"),
        (ACCENTS.encode("latin-1"), "text/xml; charset=iso-8859-1"),
        (b'<?xml version="1.0" encoding="iso-8859-1"?>' + ACCENTS.encode("latin-1"), ""),
        (ACCENTS.encode("utf-16"), ""),
        (b'<?xml version="1.0" encoding="utf-8"?>' + ACCENTS.encode("cp1252"), ""),  # a lie
    ],
)
def test_encodings_are_found_even_where_they_are_named_wrong(content, mime):
    (item,) = feed_items(content, url=URL, mime=mime)

    assert item.title == "Grüße"


@pytest.mark.parametrize(
    "content",
    [b"", b"It works!", b'{"items": []}', b"<html><body><p>A page</p></body></html>",
     gzip.compress(b"<rss/>", mtime=0), b"\x89PNG\r\n\x1a\n"],
)  # fmt: skip
def test_what_is_no_feed_is_told(content):
    with pytest.raises(UnreadableSource, match="is not a feed"):
        feed_items(content, url=URL, mime="text/html")


def test_a_feed_without_entries_is_one():
    empty = b'<rss version="2.0"><channel><title>T</title></channel></rss>'
    assert feed_items(empty, url=URL, mime="") == []


def test_the_newest_of_many_come_and_no_link_but_to_the_web():
    items = "".join(
        f"<item><title>{n}</title><link>javascript:alert({n})</link>"
        f"<pubDate>Tue, 24 Nov 2026 12:{n % 60:02}:00 GMT</pubDate></item>"
        for n in range(600)
    )
    found = feed_items(
        f'<rss version="2.0"><channel>{items}</channel></rss>'.encode(), url=URL, mime=""
    )

    assert len(found) == 500
    assert found[0].published_at > found[-1].published_at
    assert {item.url for item in found} == {""}


SAME = [
    ("https://example.org/a", "http://EXAMPLE.org:80/a/?utm_campaign=x#top"),
    ("https://www.example.org/a?b=1&c=2", "https://example.org/a?c=2&fbclid=9&b=1"),
    ("https://example.org", "https://example.org/"),
]
OTHERS = [
    ("https://example.org/a", "https://example.org/b"),
    ("https://example.org/a?page=1", "https://example.org/a?page=2"),
    ("https://example.org/a", "https://example.com/a"),
    ("https://example.org:8443/a", "https://example.org/a"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_an_address_is_the_same_however_it_is_written(one, other):
    assert address_key(one) == address_key(other) != ""


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_other_addresses_stay_others(one, other):
    assert address_key(one) != address_key(other)


@pytest.mark.parametrize("odd", ["", "no address", "mailto:a@b", "http://[::1", "http://x:99999/"])
def test_what_is_no_address_has_no_key(odd):
    assert address_key(odd) == ""


def test_html_becomes_plain_text_without_scripts():
    html = "<h1>T</h1><p>One &lt;2&gt;</p><ul><li>a</li><li>b</li></ul><script>x()</script><p>End"
    assert plain(html).split("\n") == ["T", "", "One <2>", "", "- a", "", "- b", "", "End"]
    assert plain("2 < 3") == "2 < 3"


def test_a_page_gives_its_article_and_another_text_is_another_item():
    def page(text):
        words = " ".join([text] * 30)
        return (
            f"<html><head><title>News</title></head><body><nav>Home About</nav><article><h1>News"
            f"</h1><p>{words}</p></article><footer>Imprint</footer></body></html>"
        ).encode()

    item = page_item(page("We made a thing."), url="https://example.org/news")

    assert item.title == "News"
    assert "We made a thing." in item.text
    assert "Imprint" not in item.text
    assert item.guid == ""
    with pytest.raises(UnreadableSource, match="no text"):
        page_item(b"<html><body></body></html>", url="https://example.org/")


FRONTS = {
    '---\ntitle: "Hello"\ndate: 2026-11-24\nlink: https://example.org/a\n---\nText': True,
    "---\r\ntitle: Hello\r\ndate: 2026-11-24\r\nurl: 'https://example.org/a'\r\n---\r\nText": True,
    '+++\ntitle = "Hello"\ndate = 2026-11-24\nlink = "https://example.org/a"\n+++\nText': True,
    "# Hello\n\nText": False,
}  # fmt: skip


@pytest.mark.parametrize("text", FRONTS)
def test_front_matter_names_title_date_and_link(text):
    item = file_item("notes/a.md", text)

    assert item.title == "Hello"
    assert item.text.endswith("Text")
    assert item.guid == "notes/a.md"
    if FRONTS[text]:
        assert item.text == "Text"
        assert item.url == "https://example.org/a"
        assert item.published_at == datetime(2026, 11, 24, tzinfo=UTC)


def test_drafts_are_left_out():
    assert file_item("a.md", "---\ndraft: true\n---\nText") is None
