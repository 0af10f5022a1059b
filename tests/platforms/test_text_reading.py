"""What a text shows: the guard of posts and the rules of commands read it alike."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.config.model import Destination
from botticelli.config.operations import Guard
from botticelli.platforms.rules.command_policy import CommandFacts, decide
from botticelli.platforms.rules.post_rules import PostFacts, objections, verdicts
from botticelli.platforms.rules.security_rules import SecurityRules
from botticelli.platforms.rules.text_reading import TextReading

ALLOWED = ("good.com", "münchen.de")
RULES = SecurityRules(source="the rules", max_mentions=0, max_links=5, allowed_links=ALLOWED)


def post_refusal(text, *, max_length=200_000, platform="discord"):
    """Return which kind of rule holds a post: links, mentions, content, or none of them."""
    destination = Destination(
        name="news", platform=platform, guard=Guard(allowed_links=ALLOWED), too_long="split"
    )
    found = verdicts(
        PostFacts(text=text, destination=destination, max_length=max_length, real=True)
    )
    rule = objections(found).partition(":")[0]
    return {"invites": "links"}.get(rule, rule)


def command_refusal(text):
    """Return the same for a command that sends the text."""
    asked = CommandFacts(
        platform="discord",
        command="messages.send",
        args={"channel_id": "1", "content": text},
        writes=True,
    )
    verdict = decide(asked, user=RULES, narratives=(), writes="allow")
    rules = {"max_mentions": "mentions", "characters": "content"}
    return rules.get(verdict.rule, verdict.rule) if verdict.word == "refuse" else ""


LINKS_ELSEWHERE = [
    "https://evil.com",
    "https://evil.com/",
    "HTTPS://EVIL.COM/a",
    "http://evil.com:80/a?b#c",
    "ftp://evil.com/a",
    "steam://run/1",
    "ws://evil.com",
    "1https://evil.com",
    "链接https://evil.com",
    "see:https://evil.com",
    "_https://evil.com_",
    "**https://evil.com**",
    "||https://evil.com||",
    "`https://evil.com`",
    "<https://evil.com>",
    "<https:/evil.com>",
    "https:/evil.com",
    "https:///evil.com",
    "https:\\\\evil.com",
    "https:\\/\\/evil.com",
    "[good.com](https://evil.com)",
    "[good.com](<https://evil.com>)",
    "[good.com]( https://evil.com 'title')",
    "[x](https\\://evil.com)",
    "[x](https://good.com\\.evil.com)",
    "[x](https://good.com\\@evil.com)",
    "[x](https://good.com)[y](https://evil.com)",
    "](https://good.com).evil.com",
    "https://good.com@evil.com",
    "https://good.com'@evil.com/",
    'https://good.com"@evil.com/',
    "https://good.com:443@evil.com/",
    "https://good.com%2f@evil.com/",
    "https://evil.com\\@good.com",
    "https://evil.com\\\\@good.com/",
    "https://evil.com#@good.com",
    "https://evil.com?@good.com",
    "https://good.com'.evil.com/",
    "https://good.com).evil.com/",
    "https://good.com'/x",
    "[https://good.com](https://good.com).evil.com",
    "[https://good.com](https://evil.com)",
    "https://good.com]@evil.com",
    "https://good.com|@evil.com",
    "||https://evil.com||.good.com",
    "https://good.com|" + "x" * 300 + "@evil.com",
    "https://" + "a." * 150 + "good.com.evil.com",
    "https://good.com*.evil.com/",
    "https://good.com,evil.com",
    "https://good.com:x.evil.com",
    "https://good.com.evil.com",
    "https://evilgood.com",
    "https://evil%2ecom/",
    "https://good.com%2eevil.com",
    "https://evil.com%2f.good.com",
    "https://good.com\u3002evil.com",
    "https://good.com\uff0eevil.com",
    "https://good.com，谢谢",
    "https://go\u043ed.com",  # a Cyrillic letter
    "https://go\u200bod.com/",
    "https://go\u00adod.com/",
    "https://evil.com\ufeff.good.com",
    "https://evil.com\u2028.good.com",
    "h\u200bttps://evil.com",
    "https:/\u2060/evil.com",
    "https://ev\u180eil.com",
    "\uff48ttps://evil.com",
    "ｈｔｔｐｓ：／／ｅｖｉｌ．ｃｏｍ",
    "https://ｅｖｉｌ.com",
    "https://𝐞𝐯𝐢𝐥.com",
    "https://xn--goo-8na.com",
    "https://xn--mnchen-3ya.de.evil.com",
    "https://munchen.de",
    "https://[::1]/",
    "https://2130706433/",
    "www.evil.com",
    "WWW.evil.com/x",
    "(www.evil.com)",
    "discord.gg/abc",
    "Discord.GG/abc",
    "discord.gg:443/abc",
    "discord.gg./abc",
    "discord.gg//abc",
    "discord.gg\\abc",
    "discord.gg/invite/abc",
    "discord\u3002gg/abc",
    "dsc.gg/abc",
    "discord.me/abc",
    "加入discord.gg/abc",
    "user@discord.gg/abc",
    "discord\u200b.gg/abc",
    "ｄｉｓｃｏｒｄ．ｇｇ／ａｂｃ",
    "https://discord.gg/abc",
    "https://discord\u3002gg/abc",
    "https://%64iscord.gg/abc",
    "discord.com/invite/abc",
    "canary.discord.com/invite/abc",
    "discordapp.com/invite/abc",
    "discord.com/%69nvite/abc",
    "discord.com/./invite/abc",
    "discord.com/x/../invite/abc",
    "discord.io/abc",
    "discord.li/abc",
    "invite.gg/abc",
    "discord://-/invite/abc",
    # other schemes, whatever stands behind them
    "ftp://good.com/a",
    "steam://good.com",
    "javascript://good.com/%0aalert(1)",
    "data://good.com",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "hxxps://good.com",
    "ipfs://good.com",
    "gopher://good.com",
    "gemini://good.com",
    "discord://good.com/channels/1",
    "tg://resolve?domain=evil",
    "intent://good.com#Intent;scheme=x;end",
    "view-source:https://good.com",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "(javascript:alert)",
    "[x](javascript:alert)",
    "java\u00adscript:alert(1)",
    "ｊａｖａｓｃｒｉｐｔ：alert(1)",
    "javascript&#58;alert(1)",
    "javascript&colon;alert(1)",
    "javascript\\:alert(1)",
    "vbscript:msgbox(1)",
    "data:text/html,<b>x",
    "data:text/html;base64,PGI+",
    "data:,x",
    "mailto:a@evil.com",
    "mailto:a@good.com",
    "tel:+49123456",
    "sms:123",
    "tg:resolve",
    "magnet:?xt=urn:btih:1",
    "xmpp:a@evil.com",
    "bitcoin:1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
    "whatsapp:send",
    "ms-settings:privacy",
    # hosts in other notations
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://017700000001",
    "http://[::ffff:127.0.0.1]/",
    "http://１２７.０.０.１/",
    "http://①②⑦.0.0.1/",
    "https://evil.com:443/",
    "https://evil.com.",
    "https://evil.com../good.com",
    "https://.evil.com",
    "https://good.com:80:evil.com",
    "https://a:b@evil.com:80/",
    "https://good.com%40evil.com/",
    "https://good.com%00.evil.com",
    "https://%65%76%69%6c%2e%63%6f%6d",
    "https://ⓔⓥⓘⓛ.com",
    "https://gооd.com",
    "https://ɡood.com",
    "https://good。com．evil。com",
    "https://good.com\u2024evil.com",
    "https&#58;//evil.com",
    "https&#x3a;&#x2f;&#x2f;evil.com",
    # targets without a scheme
    "[x](evil.com)",
    "[x](<evil.com/a>)",
    "[x]( evil.com 'title')",
    "[x](//evil.com)",
    "[good.com][1]\n\n[1]: https://evil.com",
    "[good.com][1]\n\n[1]: evil.com/a",
    "[1]: <evil.com>",
    "//evil.com/a",
    "see //sub.evil.org",
]

MENTIONS = [
    "@everyone",
    "@here",
    "@EVERYONE",
    "Hey @here!",
    "@everyones",
    "x@everyone",
    "x@here.",
    "@everyone大家好",
    "你好@everyone大家好",
    "你@everyones",
    "x@everyone大家",
    "@\u200beveryone",
    "@eve\u2060ryone",
    "@ever\ufe0fyone",
    "@ever\u034fyone",
    "\uff20everyone",
    "@ｅｖｅｒｙｏｎｅ",
    "<@123>",
    "<@!123>",
    "<@&123>",
    "<@\u200b123>",
    "<\uff20123>",
    "\\@everyone",
    "`x` @here",
    "`@here",
    "\\`@here`",
    "~~~\n@everyone\n~~~",
    "``@here`",
    "｀@here｀",
]

NOTHING_TO_SEE = [
    "\u200b",
    "\u200b \u2060\n",
    "\u3164",
    "\u2800\u2800",
    "\ufeff\u00ad",
    "_ _",
    "** **",
    "||\u200b||",
    "hello \x1b[31mred",
    "hello\x00",
    "https://evil.com\x1c.good.com",
    "\u202etxet siht",
    "\u202dhello",
    "\u202bhello, never closed",
    "\u2067hello, never closed",
    "\ud800 half a character",
    "half \udc00",
    "\ufff9a\ufffab\ufffb",
    "hello \U000e0001",
    "hello" + "".join(chr(0xE0000 + ord(c)) for c in "attack"),
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(c)) for c in "attack at dawn"),
    "😀" + "".join(chr(0xE0100 + ord(c)) for c in "hidden"),
    "a\u200b\u200c\u200d\u2060\ufeffb",
    "hello \x85",
    "hello \x9b31m",
    "\u2066\u2069",
    "||**__~~`` ``~~__**||",
    "> \u200e",
]

NOTHING_WRONG = [
    "https://good.com",
    "https://good.com.",
    "https://good.com./a",
    "HTTPS://GOOD.COM:443/a",
    "https://docs.good.com/x",
    "https://my_docs.good.com/x",
    "www.good.com",
    "**https://good.com**",
    "__https://good.com__",
    "||https://good.com||",
    "`https://good.com`",
    "<https://good.com/a>",
    "(https://good.com)",
    "[https://good.com](https://good.com)",
    "||https://good.com||and more",
    '"https://good.com", he said',
    "https://good.com\u3002",
    "https://good.com\u200b",
    "https://good.com/，谢谢",
    "https://good.com#@evil.com",
    "https://user@good.com/",
    "https://ｇｏｏｄ.com",
    "https://g%6fod.com",
    "[x](https://good.com)和[y](https://good.com)，好",
    "[x](<https://good.com>)",
    "https://münchen.de/",
    "https://MÜNCHEN.de/",
    "https://xn--mnchen-3ya.de/",
    "https://www.münchen.de",
    "evil.com",  # no client makes a link of it
    "README.md and node.js",
    "I left discord.com for discord.gg",
    "support@discord.com",
    "discord.com/channels/1/2",
    "https://",
    "C:\\new\\notes.txt, C:\\\\temp, C:/Users",
    "50:/ or so:/",
    "Breaking news:\\nmore",
    "someone@here.com or team@everyone.org",
    "In code `@everyone` pings nobody",
    "Look:\n```\n@here\n```",
    "Try: ```py\n@here\n``` now",
    "<#123> <:sword:123> <t:1:R> </play:123>",
    "👩\u200d👩\u200d👧 می\u200cخواهم \u200fשלום",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f ❤\ufe0f",
    "a\tb\r\nc",
    "note:this, TODO:that, 10:30 and std::vector",
    "data: 5 rows, mailto: is a scheme, tel: none",
    "metadata:x, config_file:y, e.g.this and so.on",
    "a // comment, and/or, a//b, http: and //",
    "arr[i](x) and f[x](README.md)",
    "R&D, AT&T &c, a &lt; b",
    "\u2068שלום\u2069 and \u202bשלום\u202c",
    "❤\ufe0f\u200d🔥 1\ufe0f\u20e3 👨🏽\u200d👩🏽\u200d👧🏽\u200d👦🏽",
    "soft\u00adhyphen, zero\u200bwidth, word\u2060joiner",
    "$5.00, 3.14, v1.2.3, 12:30-13:45, 50 %, #1",
]

SPELLINGS = [
    *((text, "links") for text in LINKS_ELSEWHERE),
    *((text, "mentions") for text in MENTIONS),
    *((text, "content") for text in NOTHING_TO_SEE),
    *((text, "") for text in NOTHING_WRONG),
]


@pytest.mark.parametrize(("text", "rule"), SPELLINGS)
def test_posts_and_commands_read_a_text_alike(text, rule):
    assert (post_refusal(text), command_refusal(text)) == (rule, rule)


BARE = [
    ("evil.com", "links"),
    ("see evil.com/a, now", "links"),
    ("(Evil.ORG)", "links"),
    ("sub.evil.co.uk", "links"),
    ("evil\u200b.com", "links"),
    ("ｅｖｉｌ．ｃｏｍ", "links"),
    ("evil。com", "links"),
    ("good.com.evil.net", "links"),
    ("gооd.com", "links"),
    ("good.com", ""),
    ("docs.good.com/x", ""),
    ("name@evil.com", ""),
    ("README.md, Node.js, main.py, run.sh, a.rs", ""),
    ("e.g.this, i.e.that, U.S.A., 3.14, v1.2.3", ""),
    ("archive.tar.gz and photo.jpg", ""),
]


@pytest.mark.parametrize(("text", "rule"), BARE)
def test_where_clients_link_bare_hosts_they_are_links(text, rule):
    assert post_refusal(text, platform="bluesky") == rule
    assert post_refusal(text) == ""


UNSEEN = (
    "\u200b\u200c\u200d\u200e\u2060\u2064\ufeff\u00ad\u034f\u061c\u180e\ufe0f\u115f\u3164\u2800"
)
FULL_WIDTH = {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)}
HIDDEN = [
    ("https://evil.com/x", "links"),
    ("ftp://evil.com", "links"),
    ("javascript:alert", "links"),
    ("mailto:a@good.com", "links"),
    ("steam://good.com", "links"),
    ("www.evil.com", "links"),
    ("discord.gg/abc", "links"),
    ("discord.com/invite/abc", "links"),
    ("@everyone", "mentions"),
    ("@here", "mentions"),
    ("<@123>", "mentions"),
]


@st.composite
def disguised(draw):
    """Return a link or a mention in other letters, with invisible characters, within a text."""
    text, rule = draw(st.sampled_from(HIDDEN))
    letters = []
    for letter in text:
        other = draw(st.sampled_from([letter, letter.upper(), FULL_WIDTH[letter]]))
        letters.append(other + draw(st.text(UNSEEN, max_size=2)))
    front = draw(st.sampled_from(["", "Look: ", "看", "**", "||", "[x](", "'"]))
    back = draw(st.sampled_from(["", " now", "**", "||", ")", "!", "\n"]))
    return front + "".join(letters) + back, rule


@given(disguised())
def test_no_disguise_hides_a_link_or_a_mention(case):
    text, rule = case

    assert (post_refusal(text), command_refusal(text)) == (rule, rule)


@pytest.mark.parametrize(
    ("text", "prose", "is_open"),
    [
        ("x `@here` y\n```\n@here\n```\n", "x   y\n \n", False),
        ("x `y` @here", "x   @here", False),
        ("Try: ```py\nx\n``` now", "Try:   now", False),
        ("a\n```\ncode", "a\n```\ncode", True),
        ("a\n```\ncode\n```\nb", "a\n \nb", False),
        ("``a ` b`` c", "  c", False),
        ("a\n````\nx\n```\nb", "a\n \nb", False),
        ("`` a ` b", "`` a ` b", False),
        ("Use ``` for code", "Use ``` for code", False),
        ("~~~\nx", "~~~\nx", False),
        ("\\`a`", "\\`a`", False),
        (r"\\\`a`", r"\\\`a`", False),
    ],
)
def test_code_is_what_discord_shows_as_code(text, prose, is_open):
    reading = TextReading(text)

    assert (reading.prose, reading.has_open_code_block) == (prose, is_open)


def test_links_and_mentions_are_counted_once_each():
    reading = TextReading("https://a.b www.c.d discord.gg/x https://www.a.b <@1> <@1> @here")

    assert (reading.link_count, reading.mention_count) == (4, 3)
    assert TextReading("@every\x07one").mention_count == 1


def test_the_length_is_in_utf16_units():
    assert TextReading("a🎨").length == 3


def test_no_rule_looks_at_a_text_once_one_has_refused_it():
    destination = Destination(name="news", platform="discord", guard=Guard(forbidden=("(",)))
    text = "@everyone {{name}} I cannot help with that request."

    found = verdicts(PostFacts(text=text, destination=destination, max_length=2000, real=True))

    assert [one.rule for one in found] == ["content", "length", "mentions"]
    assert not found[-1].passes


NASTY = [
    *(
        "[",
        "{",
        "(",
        "<",
        "|",
        "||",
        "`",
        "~",
        "\\",
        "*",
        "@",
        "#",
        ".",
        "\n",
        " ",
        "x",
        "é",
        "\u200b",
    ),
    *(
        "${A",
        "\n- ",
        "{{",
        "{{a",
        "<%",
        "{%",
        '{"a":',
        "[x](",
        "](",
        "\\n",
        "\n#",
        "\n ",
        ". ",
        "a-",
    ),
    *(
        "://",
        "a://",
        "https://",
        "www.",
        "discord.gg",
        "https://a)",
        "[a](https://b)",
        "[a](www.b)",
        "www.a|",
        "https:/",
        "x@",
    ),
    *("@everyone.", "<@", "``` `` ` ", "\n```\n", "\\`", "~~~`", "here's the ", "I can't create "),
    *("TODO ", "word count 1\n", "let me know if there are any changes. ", "engagement: 1 "),
    *("mailto:", "javascript:a", "[x](a.", "]: a.", "//a.com", "&#58;", "\ufdfa", "a.b.", "a.com "),
    *("<b>", "</b>", "<br>", "Buy it. ", "buy it now and ", "\u202b", "data:a"),
    *("discord.com/", "%2f", "{a_", "I have revised the post ", "please provide the text "),
]


def test_no_text_is_read_that_is_too_long_for_any_number_of_messages():
    text = "Buy it now. " * 10_000

    assert post_refusal(text, max_length=2000) == "length"


def seconds(text):
    """Return how much of the processor's time both sets of rules take for a text."""
    best = float("inf")
    for _ in range(2):
        before = time.process_time()
        post_refusal(text)
        command_refusal(text)
        best = min(best, time.process_time() - before)
    return best


@pytest.mark.slow
@pytest.mark.parametrize("unit", NASTY, ids=json.dumps)
def test_a_text_four_times_as_long_takes_about_four_times_as_long(unit):
    short, long = (f"a {{{{a ${{a [a {unit * (size // len(unit))}\na!" for size in (5_000, 20_000))

    assert seconds(long) < 8 * seconds(short) + 0.02
