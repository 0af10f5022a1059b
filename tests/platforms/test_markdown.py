"""Markdown as the platforms get it: what it says is kept, what it looks like becomes spans."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.platforms.markdown import html_of, read, unmentioned

# Markdown, as it reads without it, and where that leads or what stands out.
TEXTS = [
    ("plain, C# &amp; a < b", "plain, C# &amp; a < b", []),
    ("**b** *i* _j_ `c`", "b i j c", ["bold b", "italic i", "italic j", "code c"]),
    ("~~5~~ 4 seats", "~~5~~ 4 seats", ["strike ~~5~~"]),
    ("||who did it||", "||who did it||", []),
    ("one\ntwo\n\nthree", "one\ntwo\n\nthree", []),
    ("# Head\ntext", "Head\n\ntext", ["heading Head"]),
    ("-# small", "small", []),
    ("- a\n- b\n  - c", "• a\n• b\n  • c", ["item • a", "item • b\n  • c", "item • c"]),
    ("3) a\n4) b", "3) a\n4) b", ["item 3) a", "item 4) b"]),
    ("2026. It was", "2026. It was", ["item 2026. It was"]),
    ("> a\n> b\n\nc", "> a\n> b\n\nc", ["quote > a\n> b"]),
    (">>> a\n\nb", "> a\n> \n> b", ["quote > a\n> \n> b"]),
    ("```py\nx = '**'\n```", "x = '**'", ["block x = '**'->py"]),
    ("a\n---\nb", "a\n\n---\n\nb", []),
    ("    four blanks\n[x]: y", "four blanks\n[x]: y", []),
    ("<b>html</b>", "<b>html</b>", []),
    ("snake_case 2 * 3 a\\*b", "snake_case 2 * 3 a*b", []),
    ("[t](https://a.example/x)", "t (https://a.example/x)", ["link t->https://a.example/x"]),
    (
        "[https://good.example](https://evil.example)",
        "https://good.example (https://evil.example)",
        ["link https://good.example->https://evil.example"],
    ),
    ("[t](javascript:alert(1))", "[t](javascript:alert(1))", []),
    ("![t](https://a.example)", "!t (https://a.example)", ["link t->https://a.example"]),
    ("<https://a.example>", "https://a.example", ["url https://a.example->https://a.example"]),
    (
        "(see https://a.example/__init__.py, https://b.example/A_(b)).",
        "(see https://a.example/__init__.py, https://b.example/A_(b)).",
        [
            "url https://a.example/__init__.py->https://a.example/__init__.py",
            "url https://b.example/A_(b)->https://b.example/A_(b)",
        ],
    ),
    (
        "**[b](https://a.example)**",
        "b (https://a.example)",
        ["bold b", "link b->https://a.example"],
    ),
    ("> - 🎉 **ü**", "> • 🎉 ü", ["quote > • 🎉 ü", "item • 🎉 ü", "bold ü"]),
    ("<@1> <@&2> <#3> <:hi:4>", "someone members a channel :hi:", []),
    ("<t:1700000000:R>", "2023-11-14 22:13 UTC", []),
    ("`<@1>` <t:999999999999>", "<@1> <t:999999999999>", ["code <@1>"]),
    ("", "", []),
]


@pytest.mark.parametrize(("markdown", "plain", "spans"), TEXTS)
def test_what_it_says_is_kept(markdown, plain, spans):
    found = read(markdown)

    shown = [
        f"{one.kind} {found.text[one.start : one.end]}" + (f"->{one.target}" if one.target else "")
        for one in found.spans
    ]
    assert (found.plain, shown) == (plain, spans)


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
def test_spans_lie_within_the_text_whatever_is_written(markdown):
    found = read(markdown)

    assert all(0 <= one.start <= one.end <= len(found.text) for one in found.spans)
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
