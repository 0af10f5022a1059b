"""Keys and tokens are hidden by their shape, whoever's they are, and before they are stored."""

import io
import logging
import re
from pathlib import Path

import pytest
from psycopg.types.json import Jsonb

from botticelli.cli.shell.environment import Environment, Options
from botticelli.config import hiding
from botticelli.config.hiding import MASK, Hider
from botticelli.store import adapters, runs
from botticelli.store.adapters import TELLING
from botticelli.store.leases import Identity
from botticelli.store.runs import RunEnd
from botticelli.text import exposed, visible
from tests.commandline import Terminal, isolated

KEYS = [
    "AIzaSyA1234567890abcdefghijklmnopqrstuvw",
    "AQ.Ab8RN6K1234567890abcdefghijklmno",
    "sk-proj-abcdefghijklmnop1234567890",
    "sk-ant-api03-abcdefghijklmnop1234567890",
    "sk-abcdefghijklmnop1234",
    "gsk_abcdefghijklmnop1234567890",
    "xai-abcdefghijklmnop1234567890",
    "pplx-abcdefghijklmnop1234567890",
    "r8_abcdefghijklmnop1234567890",
    "hf_abcdefghijklmnop1234567890",
    "npm_abcdefghijklmnop1234567890",
    "glpat-abcdefghijkl12345678",
    "nvapi-abcdefghijklmnop1234567890",
    "xoxb-123456789012-abcdefghijkl",
    "xoxp-123456789012-abcdefghijkl",
    "xapp-1-A0123-456-abcdef",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "gho_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "AKIAIOSFODNN7EXAMPLE",
    "ya29.a0AfH6SMBx1234567890-abcdefg",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9",
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTY3ODkwIn0.",
    "MTE2NzQ1NjE0NTYyNDU2Nzg5.GhT3xA.k2J9s-Qw_eR8tYuI0pAsDfGhJkLzXcVbNm",
    "mfa.VkO_2G4Qv3T--NO--lWetW_tjND--TOKEN--QFTm6YGtzq9PH",
    "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1",
]
AROUND = ["{}", "key {} is wrong", '{{"key": "{}"}}', "x={}&y", "Bearer {}", "'{}'", "({})", "{}."]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_hidden_by_its_shape(key):
    for around in AROUND:
        shown = Hider(()).hide(around.format(key))
        assert key.rstrip(".") not in shown
        assert MASK in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://discord.com/api/webhooks/12345/abcdefghijklmnop-_XYZ", "webhooks/12345/" + MASK),
        ("https://discord.com/api/v10/webhooks/1/abcdefghijkl?wait=true", "/1/" + MASK + "?wait"),
        ("https://hooks.slack.com/services/T0/B0/abcdefgh", "/services/" + MASK),
        ("https://x.org/v1?key=abcdefgh12&alt=sse", "?key=" + MASK + "&alt=sse"),
        ("https://x.org/?a=1&access_token=abcdefgh", "&access_token=" + MASK),
        ("postgresql://bot:hunter2@db/x", "postgresql://bot:" + MASK + "@db/x"),
        ("Authorization: Bearer abc.def.gh1", "Authorization: Bearer " + MASK),
        ("authorization: Basic dXNlcjpwYXNzd29yZDE=", "authorization: Basic " + MASK),
        ("'Authorization': 'Bot abcdefgh1'", "'Bot " + MASK),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII=\n-----END RSA PRIVATE KEY-----\nx", MASK + "\nx"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE cut off", MASK),
        ("password=hunter2 host=x", "password=" + MASK + " host=x"),
    ],
)  # fmt: skip
def test_what_stands_in_front_of_a_secret_stays_readable(text, shown):
    assert shown in Hider(()).hide(text)


@pytest.mark.parametrize(
    "text",
    [
        "the task-management-system-for-2026 is down",
        "sk-learn and scikit-learn",
        "bearer of bad news",
        "the request 01HF8Z3Q9K failed with 429: try again in 12.5 s",
        "model gemini-3.8-flash-preview-2026-11-24 is overloaded",
        "https://api.example.org/v1/models/gemini-3.8-flash:generateContent?alt=sse",
        "channel 123456789012345678, message 234567890123456789",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "README.md line 12: key 'api_key' is not known",
        "2026-11-24T12:00:00.123456+00:00 host-7.internal.example.org:5432",
    ],
)
def test_an_ordinary_message_stays_as_it_is(text):
    assert Hider(()).hide(text) == text


@pytest.fixture
def known():
    hider = Hider(["5EcretOfOurs!"])
    hiding.use(lambda: hider)
    yield
    hiding.use(lambda: Hider(()))


@pytest.mark.parametrize("said", [KEYS[0], "5EcretOfOurs!", KEYS[23], "5EcretOfOurs%21"])
def test_no_error_is_stored_with_a_secret(db, known, said):
    for name in TELLING - {"summary", "event"}:
        assert said not in db.execute(f"SELECT %({name})s", {name: f"401: {said}"}).fetchone()[0]
    for name in ("summary", "event"):
        kept = Jsonb({"notes": [f"401: {said}"], said: 1, "n": 1})
        assert said not in str(db.execute(f"SELECT %({name})s", {name: kept}).fetchone()[0])


def test_a_run_ends_without_a_secret_in_its_row(db, known):
    run = runs.start(db, "generate", identity=Identity(host="h", pid=1, owner="h:1:x"))
    said = {"notes": [KEYS[0]], "5EcretOfOurs!": {"deep": "5EcretOfOurs!"}}
    runs.end(db, run, ending=RunEnd(state="failed", exit_code=1, summary=said, error=KEYS[2]))

    row = db.execute("SELECT to_jsonb(r)::text FROM runs AS r").fetchone()[0]
    assert not any(secret in row for secret in (KEYS[0], KEYS[2], "5EcretOfOurs!"))
    assert row.count(MASK) == 4


@pytest.mark.parametrize("around", ["{}", "key={}&x", "Bot {}.", "'{}'", "x-{}", "{}-old"])
def test_a_key_that_was_replaced_stays_hidden_and_no_dump_tells_it(db, around):
    me = Identity(host="h", pid=1, owner="h:1:x")
    old, new = "plain-old-key-of-nobodys-shape", "plain-new-key-of-nobodys-shape"
    for key in (old, new, new):
        hider = Hider([key, "short-one"])
        hiding.use(lambda hider=hider: hider)
        run = runs.start(db, "generate", identity=me)
    said = around.format(old)
    runs.end(db, run, ending=RunEnd(state="failed", exit_code=1, summary={}, error=said))
    hiding.use(lambda: Hider(()))

    assert old not in db.execute("SELECT error FROM runs WHERE id = %s", [run]).fetchone()[0]
    rows = db.execute("SELECT k::text FROM known_secrets AS k").fetchall()
    assert len(rows) == 2
    assert not any(old[:8] in row[0] or old.encode().hex()[:12] in row[0] for row in rows)


def test_every_column_of_errors_is_written_by_a_parameter_that_hides():
    assigned = re.compile(r"\b(?:last_error|error|error_message|note)\s*=\s*%\((\w+)\)s")
    store = Path(adapters.__file__).parent
    names = {n for path in store.rglob("*.py") for n in assigned.findall(path.read_text())}

    assert {"error", "note"} <= names <= TELLING


SPEAKING = [
    "\x1b[31m", "\x9b31m", "\x07", "\r", "\x08", "\u202e", "\u2066", "\u200f", "\u2028", "\x85",
]  # fmt: skip


@pytest.mark.parametrize("sign", SPEAKING, ids=ascii)
def test_nothing_speaks_to_a_terminal(sign):
    assert sign[0] not in visible(f"act {sign} x\n\ty")
    assert "\n\ty" in visible(f"act {sign} x\n\ty")
    assert sign[0] not in exposed(f'"act {sign} x"') or sign == "\u2028"


@pytest.mark.parametrize(
    "style", [{}, {"JOURNAL_STREAM": "1:1"}, {"BOTTICELLI_LOG": "json"}], ids=str
)
def test_no_error_of_a_server_or_a_file_speaks_to_the_terminal(tmp_path, style):
    err = Terminal() if not style else io.StringIO()
    env = Environment(environ=isolated(tmp_path) | style, cwd=tmp_path, stdout=err, stderr=err)
    env.take(Options())
    for sign in SPEAKING:
        env.complain(f"act {sign} failed")
        env.say(f"act {sign} failed")
        logging.getLogger("botticelli.x").error("act %s failed", sign, extra={"act": sign})

    written = err.getvalue()
    assert written.count("failed") == 3 * len(SPEAKING)
    assert not any(sign[0] in written for sign in SPEAKING if sign != "\u2028")


def test_a_short_password_that_is_a_word_leaves_other_words_alone():
    hide = Hider(["secret"]).hide

    assert hide("secrets: the secret is 'secret'") == "secrets: the ******** is '********'"
