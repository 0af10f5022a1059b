"""Pictures on their way out: made to fit each platform once, held where they may not go."""

import hashlib
from datetime import UTC, datetime
from io import BytesIO

import pytest
from PIL import Image

from botticelli.pictures.fitting import GENERATED
from botticelli.platforms.base import MessageLimits, Platform, Receipt
from tests.database import approved
from tests.fakes.pictures import png
from tests.pictures.test_reading import drawn, photographed
from tests.posting import delivery_of, stage_before


class Wall(Platform):
    """Takes one picture with its message, as small as `limits` say."""

    name = "wall"
    idempotency_seconds = 100.0

    def __init__(self):
        self.limits = MessageLimits(length=500, attachments=4)
        self.sent = []

    def send(self, message):
        self.sent += message.attachments
        return Receipt(remote_id=f"{len(self.sent)}", at=datetime(2027, 1, 1, tzinfo=UTC))

    def preview(self, message):
        return [
            {"method": "PUT", "url": "wall:", "files": one.shown} for one in message.attachments
        ]


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
def stage(db, db_url, clock, wall):
    return stage_before(wall, db, db_url, clock)


def showing(db, content, *, text="look", alt="a cat", origin="{}", mime="image/png"):
    post = approved(db, text)
    sha = hashlib.sha256(content).hexdigest()
    db.execute(
        "INSERT INTO media (sha256, mime, content) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (sha, mime, content),
    )
    db.execute(
        "INSERT INTO post_media (post_id, sha256, alt, origin) VALUES (%s, %s, %s, %s)",
        (post, sha, alt, origin),
    )
    return post


def kept(db):
    return db.execute("SELECT source, sha256 FROM fitted_media").fetchall()


def held(db, post):
    state, _, _ = delivery_of(db, post, "wall")
    row = db.execute("SELECT last_error FROM deliveries WHERE post_id = %s", [post]).fetchone()
    return row[0] if state == "held" else None


def test_what_fits_goes_out_as_it_is_stored(db, stage, wall):
    showing(db, png("cat"))
    stage()
    [sent] = wall.sent
    assert (sent.content, sent.mime, sent.width) == (png("cat"), "image/png", 96)
    assert kept(db) == []


def test_what_is_too_large_is_made_to_fit_once(db, stage, wall):
    content = drawn("PNG", (900, 600))
    wall.limits = MessageLimits(length=90, attachments=1, attachment_bytes=500_000, alt=10)
    origin = '{"model": "gemini-nano-banana-2.1"}'
    showing(db, content, alt="a cat that sits on a wall", origin=origin)

    [shown] = stage.dry_run().previews
    assert kept(db) == []  # looking changes nothing
    stage()

    [sent] = wall.sent
    assert len(sent.content) <= 500_000
    assert (sent.mime, sent.name[-5:], sent.is_generated) == ("image/jpeg", ".jpeg", True)
    assert sent.alt == "a cat…"
    assert GENERATED.encode() in sent.content
    assert kept(db) == [(hashlib.sha256(content).hexdigest(), sent.sha256)]
    assert shown.requests[0]["files"]["sha256"] == sent.sha256
    fitted_bytes = db.execute("SELECT content FROM media WHERE sha256 = %s", [sent.sha256])
    assert fitted_bytes.fetchone()[0] == sent.content


def test_what_was_made_once_goes_out_again_byte_for_byte(db, stage, wall, monkeypatch):
    wall.limits = MessageLimits(length=90, attachments=1, attachment_bytes=60_000)
    content = drawn("PNG", (300, 200))
    showing(db, content)
    stage()
    monkeypatch.setattr("botticelli.stages.post.attachments.fitted", None)  # another Pillow
    stage.clock.sleep(7200)
    showing(db, content, text="the same picture with quite other words beside it")
    stage()
    first, second = wall.sent
    assert first.content == second.content


def test_where_it_was_taken_goes_nowhere(db, stage, wall):
    showing(db, photographed(), mime="image/jpeg")
    stage()
    with Image.open(BytesIO(wall.sent[0].content)) as image:
        assert not image.getexif()


BLANK = BytesIO()
Image.new("RGB", (90, 90), "white").save(BLANK, format="PNG")


@pytest.mark.parametrize(
    ("content", "limits", "words"),
    [
        (b"<svg/>", {}, "no picture"),
        (png("x")[:200], {}, "broken picture"),
        (BLANK.getvalue(), {}, "blank picture"),
        (drawn(), {"attachment_bytes": 99}, "cannot be made as small"),
        (png("x"), {"attachments": 0}, "1 picture, none are taken there"),
    ],
)
def test_what_may_not_go_out_is_held_with_the_reason(stage, wall, content, limits, words):
    db = stage.db
    wall.limits = MessageLimits(**{"length": 500, "attachments": 4, **limits})
    post = showing(db, content)
    stage()
    assert wall.sent == []
    assert words in held(db, post)


def test_without_pillow_what_does_not_fit_is_held_and_says_how(db, stage, wall, monkeypatch):
    for place in ("reading", "fitting"):
        monkeypatch.setattr(f"botticelli.pictures.{place}.has_pillow", lambda: False)
    small = showing(db, png("y"))
    large = showing(db, drawn("JPEG"), text="a large one for another day", mime="image/jpeg")
    wall.limits = MessageLimits(length=500, attachments=1, mimes=("image/png",))
    stage()
    stage.clock.sleep(7200)
    stage()
    assert delivery_of(db, small, "wall")[0] == "posted"
    assert "pip install 'botticelli[images]'" in held(db, large)


def test_other_bytes_than_were_approved_do_not_go_out(db, stage, wall):
    post = showing(db, png("cat"))
    db.execute(
        "UPDATE approved_discord_posts SET approved_hash ="
        " botticelli_post_hash(text_content, title, link, language, parts, attached)"
    )
    content = png("another")
    sha = hashlib.sha256(content).hexdigest()
    values = (sha, content)
    db.execute("INSERT INTO media (sha256, mime, content) VALUES (%s, 'image/png', %s)", values)
    db.execute("UPDATE post_media SET sha256 = %s", [sha])
    stage()
    assert wall.sent == []
    assert "approved" in held(db, post)
