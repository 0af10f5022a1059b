"""Markdown as the platforms get it: what it says is kept."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.platforms.markdown import html_of, shown_by_discord, text_of, unmentioned

# Markdown, and as it reads without it.
TEXTS = [
    ("plain, C# &amp; a < b", "plain, C# &amp; a < b"),
    ("**b** *i* _j_ `c`", "b i j c"),
    ("~~5~~ 4 seats", "~~5~~ 4 seats"),
    ("||who did it||", "||who did it||"),
    ("one\ntwo\n\nthree", "one\ntwo\n\nthree"),
    ("# Head\ntext", "Head\n\ntext"),
    ("-# small", "small"),
    ("- a\n- b\n  - c", "• a\n• b\n  • c"),
    ("3) a\n4) b", "3) a\n4) b"),
    ("2026. It was", "2026. It was"),
    ("> a\n> b\n\nc", "> a\n> b\n\nc"),
    (">>> a\n\nb", "> a\n> \n> b"),
    ("```py\nx = '**'\n```", "x = '**'"),
    ("a\n---\nb", "a\n\n---\n\nb"),
    ("    four blanks\n[x]: y", "four blanks\n[x]: y"),
    ("<b>html</b>", "<b>html</b>"),
    ("snake_case 2 * 3 a\\*b", "snake_case 2 * 3 a*b"),
    ("[t](https://a.example/x)", "t (https://a.example/x)"),
    ("[https://good.example](https://evil.example)", "https://good.example (https://evil.example)"),
    ("[t](javascript:alert(1))", "[t](javascript:alert(1))"),
    ("![t](https://a.example)", "!t (https://a.example)"),
    ("<https://a.example>", "https://a.example"),
    (
        "(see https://a.example/__init__.py, https://b.example/A_(b)).",
        "(see https://a.example/__init__.py, https://b.example/A_(b)).",
    ),
    ("**[b](https://a.example)**", "b (https://a.example)"),
    ("> - 🎉 **ü**", "> • 🎉 ü"),
    ("<@1> <@&2> <#3> <:hi:4>", "someone members a channel :hi:"),
    ("<t:1700000000:R>", "2023-11-14 22:13 UTC"),
    ("`<@1>` <t:999999999999>", "<@1> <t:999999999999>"),
    ("", ""),
    ("[https://a.example](https://a.example)", "https://a.example"),
]


@pytest.mark.parametrize(("markdown", "plain"), TEXTS)
def test_what_it_says_is_kept(markdown, plain):
    assert text_of(markdown) == plain


def test_a_platform_may_write_links_its_own_way():
    markdown = "- **[a](https://a.example)**, https://b.example"

    assert text_of(markdown, lambda words, to: f"{to}|{words}") == (
        "• https://a.example|a, https://b.example"
    )


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**b** <i>", "<p><strong>b</strong> &lt;i&gt;</p>"),
        ("a\nb", "<p>a<br />\nb</p>"),
        (
            'https://a.example/"x',
            '<p><a href="https://a.example/">https://a.example/</a>&quot;x</p>',
        ),
        ("[t](javascript:x)", "<p>[t](javascript:x)</p>"),
        ("~~s~~", "<p><s>s</s></p>"),
    ],
)
def test_html_holds_nothing_that_was_written_as_html(markdown, html):
    assert html_of(markdown) == html


@given(st.text(alphabet="*_~`[]()<>#- \n>1.ab:/\\|@é🎉", max_size=60))
def test_whatever_is_written_can_be_read(markdown):
    text_of(markdown)

    assert "<script" not in html_of(markdown + "<script>")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("@everyone @here", "@·everyone @·here"),
        ("hi @name, @name@host.example!", "hi @·name, @·name@host.example!"),
        ("mail a@b.example", "mail a@b.example"),
        ("https://m.example/@name", "https://m.example/@name"),
        ("<@12> <@&34>", "<@·12> <@&34>"),
        ("漢@name ＠name @@name x/@name", "漢@·name ＠·name @@·name x/@·name"),
        ("@ alone, 5 @ 3", "@ alone, 5 @ 3"),
        ("@ann @ann@a.example @bob", "@ann @·ann@a.example @·bob"),
    ],
)
def test_nobody_is_called_who_may_not_be(text, sent):
    assert unmentioned(text, permitted=["@Ann"]).replace("\u200b", "·") == sent


# As Discord shows it; <p> around it.
SHOWN = [
    ("__u__ **b**", "<u>u</u> <strong>b</strong>"),
    ("**||x||**", '<strong><span class="spoiler" tabindex="0">x</span></strong>'),
    ("||a", "||a"),
    ("**||a** b||", "<strong>||a</strong> b||"),
    (r"\|\|a\|\|", "||a||"),
    ("`||a||`", "<code>||a||</code>"),
    ("#### four", "#### four"),
    ("---", "---"),
    ("-# small\nbig", "<small>small</small><br />\nbig"),
    ("<@1> a@here.org", '<span class="mention">&lt;@1&gt;</span> a@here.org'),
    ("[a](/logout)", "[a](/logout)"),
    ("[a](javascript:x)", "[a](javascript:x)"),
    ('<b>||"</b>', "&lt;b&gt;||&quot;&lt;/b&gt;"),
    (
        "[a](https://a.example)",
        '<a href="https://a.example" rel="noopener noreferrer nofollow" target="_blank">a</a>',
    ),
]


@pytest.mark.parametrize(("text", "html"), SHOWN)
def test_marks_of_discord_are_shown_as_discord_does(text, html):
    assert shown_by_discord(text) == f"<p>{html}</p>"


def test_blocks_of_discord_end_where_discord_ends_them():
    assert shown_by_discord("> q\nnext").endswith("</blockquote>\n<p>next</p>")
    assert shown_by_discord("# one\n### three") == "<h3>one</h3>\n<h5>three</h5>"


@given(st.text(alphabet="|_*-#<>@!`~\\[]()\n ab&\"'", max_size=60))
def test_no_text_becomes_a_tag_of_its_own(text):
    known = "p|u|em|strong|s|small|span|br|h3|h4|h5|blockquote|ul|ol|li|code|pre|a"
    ours = rf"</?(?:{known})(?: [a-z]+=\"[^\"<>]*\")*(?: /)?>"
    rest = re.sub(ours, "", shown_by_discord(text))
    assert "<" not in rest
    assert ">" not in rest
