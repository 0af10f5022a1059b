"""What a picture is, by its bytes: with Pillow and without."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageDraw

from botticelli.pictures import reading
from botticelli.pictures.fitting import GENERATED, fitted
from botticelli.pictures.reading import BadPicture, read_picture, refuse_blank


def drawn(kind="PNG", size=(320, 200), mode="RGB", **more) -> bytes:
    """A picture that shows something: noise that no format makes small."""
    image = Image.effect_noise(size, 80).convert("RGB")
    ImageDraw.Draw(image).rectangle((10, 10, 60, 60), fill="red")
    out = BytesIO()
    image.convert(mode).save(out, format=kind, **more)
    return out.getvalue()


def photographed(turned: int = 1, *, position: bool = True, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turned
    exif[0x010F] = "A camera"
    if position:
        exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 0.0)})
    return drawn(kind, exif=exif)


@pytest.fixture(params=[True, False], ids=["Pillow", "no Pillow"])
def with_pillow(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(reading, "has_pillow", lambda: False)
        monkeypatch.setattr("botticelli.pictures.fitting.has_pillow", lambda: False)
    return request.param


@pytest.mark.parametrize(
    ("kind", "mime", "more"),
    [
        ("PNG", "image/png", {}),
        ("JPEG", "image/jpeg", {}),
        ("JPEG", "image/jpeg", {"progressive": True}),
        ("GIF", "image/gif", {}),
        ("WEBP", "image/webp", {}),
        ("WEBP", "image/webp", {"lossless": True}),
        ("WEBP", "image/webp", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
    ],
)
def test_format_and_size_are_read_from_the_bytes(kind, mime, more, with_pillow):
    picture = read_picture(drawn(kind, (321, 123), **more))
    assert (picture.mime, picture.width, picture.height) == (mime, 321, 123)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\x00\x00" * 9,
        b"GIF89a",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"BM" + bytes(60),
    ],
)
def test_what_is_no_picture_is_refused(content, with_pillow):
    with pytest.raises(BadPicture):
        read_picture(content)


def bomb(width: int, height: int) -> bytes:
    """A few bytes that say they are very many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("sides", [(60_000, 60_000), (2**31 - 1, 1), (0, 5)])
def test_a_bomb_is_never_decoded(sides, with_pillow):
    with pytest.raises(BadPicture, match="pixels"):
        read_picture(bomb(*sides))


def test_more_bytes_than_are_ever_taken_are_refused(monkeypatch):
    monkeypatch.setattr(reading, "LARGEST", 1000)
    with pytest.raises(BadPicture, match="MiB"):
        read_picture(drawn())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_that_is_cut_off_is_broken(kind):
    content = drawn(kind)
    with pytest.raises(BadPicture, match="broken"):
        read_picture(content[: len(content) // 2])


@pytest.mark.parametrize("color", ["white", "black", (12, 200, 7), (0, 0, 0, 0)])
def test_a_blank_picture_is_known(color):
    mode = "RGBA" if len(color) == 4 else "RGB"
    out = BytesIO()
    Image.new(mode, (300, 300), color).save(out, format="PNG")
    with pytest.raises(BadPicture, match="blank"):
        refuse_blank(read_picture(out.getvalue()))
    refuse_blank(read_picture(drawn()))


def test_what_fits_stays_byte_for_byte(with_pillow):
    picture = read_picture(drawn("JPEG"))
    assert fitted(picture, size=10**6) is picture


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_position_goes_out_of_a_picture_that_would_fit(kind):
    picture = read_picture(photographed(kind=kind))
    assert picture.has_position
    sent = fitted(picture)
    with Image.open(BytesIO(sent.content)) as image:
        assert not image.getexif()
    assert b"camera" not in sent.content
    assert not sent.has_position


def test_without_pillow_what_fits_goes_and_all_else_says_what_is_missing(monkeypatch):
    monkeypatch.setattr("botticelli.pictures.fitting.has_pillow", lambda: False)
    plain, placed = read_picture(drawn("JPEG")), read_picture(photographed())
    assert fitted(plain) is plain
    for picture, bounds in (
        (placed, {}),
        (plain, {"size": 99}),
        (plain, {"mimes": ("image/png",)}),
    ):
        with pytest.raises(BadPicture) as refused:
            fitted(picture, **bounds)
        assert refused.value.hint == "run: pip install 'botticelli[images]'"


@pytest.mark.parametrize("turned", [3, 6, 8])
def test_a_picture_that_lies_on_its_side_is_set_upright(turned):
    sent = fitted(read_picture(photographed(turned, position=False)))
    assert (sent.width, sent.height) == ((320, 200) if turned == 3 else (200, 320))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("RGB", "RGBA", "L", "P", "LA")),
        *(("JPEG", mode) for mode in ("RGB", "L", "CMYK")),
        ("WEBP", "RGBA"),
        ("GIF", "P"),
    ],
)
def test_a_picture_is_made_as_small_as_a_place_takes_it(kind, mode, monkeypatch):
    monkeypatch.setattr("botticelli.pictures.fitting.SIDES", (200, 100))
    picture = read_picture(drawn(kind, (300, 200), mode))
    most = len(picture.content) // 3
    sent = fitted(picture, size=most)
    assert len(sent.content) <= most
    assert abs(sent.width / sent.height - 1.5) < 0.02
    assert fitted(picture, size=most) == sent  # the same bytes each time
    read_picture(sent.content)


def test_pixels_and_formats_have_bounds_too():
    picture = read_picture(drawn("WEBP", (700, 450)))
    sent = fitted(picture, mimes=("image/png", "image/jpeg"), pixels=250_000)
    assert sent.mime == "image/jpeg"
    assert sent.width * sent.height <= 250_000


def test_what_cannot_fit_is_refused():
    with pytest.raises(BadPicture, match="as small as"):
        fitted(read_picture(drawn()), size=100)


def test_a_moving_picture_is_not_cut_down_to_its_first_frame():
    frames = [Image.effect_noise((300, 300), 90) for _ in range(3)]
    out = BytesIO()
    frames[0].save(out, format="GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(BadPicture, match="moves"):
        fitted(read_picture(out.getvalue()), size=9_000)


@pytest.mark.parametrize("mimes", [("image/jpeg",), ("image/png",), ("image/webp",)])
def test_what_is_made_of_a_models_picture_says_so(mimes):
    source = "JPEG" if mimes == ("image/png",) else "PNG"
    picture = read_picture(drawn(source, (640, 480)))
    sent = fitted(picture, mimes=mimes, pixels=100_000, is_generated=True)
    assert sent.mime == mimes[0]
    assert GENERATED.encode() in sent.content
    again = fitted(sent, pixels=20_000)  # it is seen in the bytes from then on
    assert GENERATED.encode() in again.content
    assert GENERATED.encode() not in fitted(picture, mimes=mimes, pixels=100_000).content
