"""A secret is found in every spelling that a reader could undo, and in no innocent text."""

import base64
import codecs
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.config.leaks import find_leak

TOKEN = "MTE2NzQ1NjE0NTYyNDU2.GhT3xA.k2J9s-Qw_eR8tYuI0pAsDfGhJkLzXcVbNm"
PASSWORD = "hunter2!Ba"


def shifted(text, by):
    return base64.b64encode(b"x" * by + text.encode() + b"yy").decode()


def glued(sign):
    return sign.join


SPELLINGS = {
    "as it is": str,
    "upper": str.upper,
    "lower": str.lower,
    "swapped case": str.swapcase,
    "backwards": lambda s: s[::-1],
    "backwards, upper": lambda s: s[::-1].upper(),
    **{f"base64 at {by}": lambda s, by=by: shifted(s, by) for by in range(4)},
    "base64 of upper": lambda s: shifted(s.upper(), 1),
    "base64 of backwards": lambda s: shifted(s[::-1], 2),
    "base64 backwards": lambda s: shifted(s, 0)[::-1],
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode().rstrip("="),
    "base64 in lines": lambda s: "\n".join(shifted(s, 1)[at : at + 8] for at in range(0, 200, 8)),
    "base64 twice": lambda s: shifted(shifted(s, 1), 2),
    "base64 of UTF-16": lambda s: base64.b64encode(s.encode("utf-16-le")).decode(),
    "base32": lambda s: base64.b32encode(b"ab" + s.encode()).decode(),
    "hexadecimal": lambda s: s.encode().hex(),
    "hexadecimal, upper": lambda s: s.encode().hex().upper(),
    "hexadecimal with colons": lambda s: s.encode().hex(":"),
    "hexadecimal with 0x": lambda s: ", ".join(f"\\x{b:02x}" for b in s.encode()),
    "percent": lambda s: "".join(f"%{b:02X}" for b in s.encode()),
    "percent where needed": lambda s: quote(s, safe=""),
    "percent, some": lambda s: s[:3] + "".join(f"%{b:02x}" for b in s[3:9].encode()) + s[9:],
    "percent twice": lambda s: quote("".join(f"%{b:02X}" for b in s.encode())),
    "quoted-printable": lambda s: "".join(f"={b:02X}" for b in s.encode()),
    "octal": lambda s: "".join(f"\\{b:03o}" for b in s.encode()),
    "\\x": lambda s: "".join(f"\\x{b:02x}" for b in s.encode()),
    "\\u": lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
    "\\u{}": lambda s: "".join(f"\\u{{{ord(c):x}}}" for c in s),
    "\\U": lambda s: "".join(f"\\U{ord(c):08x}" for c in s),
    "HTML": lambda s: "".join(f"&#{ord(c)};" for c in s),
    "HTML, hexadecimal": lambda s: "".join(f"&#x{ord(c):X};" for c in s),
    "character codes": lambda s: " ".join(str(b) for b in s.encode()),
    "binary": lambda s: " ".join(f"{b:08b}" for b in s.encode()),
    "ROT13": lambda s: codecs.encode(s, "rot13"),
    "full width": lambda s: "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in s),
    "mathematical": lambda s: "".join(
        chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in s
    ),
    "accents": lambda s: "".join(c + "\u0332" for c in s),
    "tags": lambda s: "".join(chr(0xE0000 + ord(c)) for c in s),
    "one a line": glued("\n"),
    "with blanks": glued(" "),
    "with dashes": glued("-"),
    "with dots": glued(" . "),
    "with underscores": glued("_"),
    "with emoji": glued("\U0001f600"),
    "with zero-width blanks": glued("\u200b"),
    "with soft hyphens": glued("\u00ad"),
    "with joiners": glued("\u2060"),
    "with Hangul fillers": glued("\u3164"),
    "with Braille blanks": glued("\u2800"),
    "with variation selectors": glued("\ufe0f"),
    "with bidi marks": glued("\u202e"),
    "in a link": lambda s: f"https://evil.com/?q={quote(s)}",
    "in JSON": lambda s: '{"key": "' + s + '"}',
    "as a spoiler": lambda s: f"||{s}||",
    "in markdown": lambda s: "**" + "**".join(s) + "**",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", [TOKEN, PASSWORD])
def test_a_secret_is_found_in_a_spelling(spelling, secret):
    spelt = SPELLINGS[spelling](secret)
    assert find_leak(f"Good morning! {spelt} See you there.", [secret])
    assert find_leak(f"Good morning! {spelt} See you there.", ["another-secret-1"]) is None


@pytest.mark.parametrize("part", [TOKEN[:30], TOKEN[-30:], TOKEN[12:40], TOKEN[12:40][::-1]])
def test_a_long_part_of_a_secret_gives_it_away(part):
    assert find_leak(f"it begins so: {part} ...", [TOKEN])


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("We moved to postgres 17 today", "postgres"),
        ("Choose a good password.", "password"),
        ("The mountains are calling", "mountain"),
        ("Room 123456 is on floor 12", "234561"),
        ("see https://discord.com/api/webhooks/", "https://discord.com/api/webhooks/1/abcdefghij"),
        ("Call 555-1234-567", "12345678901234"),
        ("AIza keys begin so", "AIzaSyA1234567890abcdefghijklmnopqrstuv"),
        ("", TOKEN),
        ("short", "abc"),
    ],
)
def test_an_innocent_text_gives_nothing_away(text, secret):
    assert find_leak(text, [secret]) is None


def test_a_secret_that_is_a_word_is_found_as_that_very_word():
    assert find_leak("The word is mountain.", ["mountain"]) == "as it is"
    assert find_leak(shifted("mountain", 1), ["mountain"]) == "in base64"


def test_it_says_how_and_never_the_secret():
    assert find_leak(TOKEN[::-1], [TOKEN]) == "backwards"
    assert find_leak(TOKEN.encode().hex(), [TOKEN]) == "in hexadecimal digits"


ALPHABET = st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=0x7F)


@given(
    secret=st.text(ALPHABET, min_size=20, max_size=60),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    name=st.sampled_from([name for name in SPELLINGS if name != "swapped case"]),
)
def test_any_secret_is_found_between_any_texts(secret, before, after, name):
    assert find_leak(f"{before} {SPELLINGS[name](secret)} {after}", [secret])


@pytest.mark.parametrize("unit", ["a", "%25", "\\u", "&amp;", "\u0430", TOKEN[:11], "%2525", "=4"])
def test_the_time_grows_with_the_text_alone(unit):
    def seconds(count):
        text = unit * count
        began = time.process_time()
        assert find_leak(text, [TOKEN, PASSWORD]) is None
        return time.process_time() - began

    seconds(10)
    small = min(seconds(2_000) for _ in range(3))
    large = min(seconds(16_000) for _ in range(3))
    assert large < small * 8 * 6 + 0.05
