"""A picture as one place takes it: small enough, of its formats, upright, without a camera's notes.

What fits is left as it is, so that a signed statement of origin (C2PA) in it stays. The same
picture and bounds make the same bytes, with one version of Pillow: what was sent is kept by hash.
"""

from collections.abc import Collection, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from botticelli.pictures.reading import (
    EXTRA,
    FORMATS,
    LARGEST,
    MIMES,
    MOST_PIXELS,
    BadPicture,
    Picture,
    has_pillow,
    opened,
    read_picture,
)

if TYPE_CHECKING:
    from PIL import Image

SIDES: Final = (2000, 1600, 1200, 800)  # pixels of the longer side, one after the other
QUALITIES: Final = (90, 80, 70)
GENERATED: Final = "trainedAlgorithmicMedia"  # IPTC's word for what a model has drawn
_XMP: Final = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{GENERATED}"/>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def fitted(
    picture: Picture,
    *,
    mimes: Collection[str] = MIMES,
    size: int = LARGEST,
    pixels: int = MOST_PIXELS,
    is_generated: bool = False,
) -> Picture:
    """Return the picture within these bounds; the same one if it is.

    Args:
        picture: As stored.
        mimes: Types that the place takes; empty: any.
        size: Most bytes.
        pixels: Most of them.
        is_generated: A model has drawn it: what is made of it says so (IPTC DigitalSourceType).

    Raises:
        BadPicture: It is broken, cannot be made to fit, or Pillow is missing for it.
    """
    lacks = _lacks(picture, mimes=mimes, size=size, pixels=pixels)
    if not lacks and not _is_turned(picture):
        return picture
    if not has_pillow():
        raise BadPicture(f"the picture {lacks or 'lies on its side'}", hint=EXTRA)
    is_generated = is_generated or GENERATED.encode() in picture.content
    with opened(picture) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise BadPicture(
                f"the picture {lacks}, and moves: it cannot be made to fit",
                hint="replace it by a smaller one, or by one that stands still",
            )
        for content in _smaller(image, mimes or MIMES, pixels=pixels, is_generated=is_generated):
            if len(content) <= size:
                return read_picture(content, decode=False)
    raise BadPicture(f"the picture cannot be made as small as {size:,} bytes")


def _lacks(picture: Picture, *, mimes: Collection[str], size: int, pixels: int) -> str:
    """Return what keeps a picture from going out as it is, as the end of a sentence."""
    if mimes and picture.mime not in mimes:
        return f"is {picture.mime}, which is not taken here"
    if len(picture.content) > size:
        return f"has {len(picture.content):,} bytes, and {size:,} are taken"
    if picture.width * picture.height > pixels:
        return f"has {picture.width} x {picture.height} pixels, and {pixels:,} are taken"
    return "says where it was taken" if picture.has_position else ""


def _is_turned(picture: Picture) -> bool:
    """Return whether only its notes say which side is up: not every place reads them."""
    if not has_pillow() or b"xif" not in picture.content.lower():
        return False
    with opened(picture) as image:
        return int(image.getexif().get(0x0112, 1)) != 1


def _smaller(
    image: "Image.Image", mimes: Collection[str], *, pixels: int, is_generated: bool
) -> Iterator[bytes]:
    """Yield the picture upright and without notes, ever smaller."""
    from PIL import Image, ImageOps

    whole = ImageOps.exif_transpose(image)
    assert whole is not None, "it is only None where it changes the picture in place"
    if whole.mode == "P":  # a palette has no colors between its own
        whole = whole.convert("RGBA" if "transparency" in whole.info else "RGB")
    if whole.width * whole.height > pixels:
        share = (pixels / (whole.width * whole.height)) ** 0.5
        whole.thumbnail(
            (int(whole.width * share), int(whole.height * share)), Image.Resampling.LANCZOS
        )
    kind = str(image.format)
    if kind == "PNG" and FORMATS[kind] in mimes:
        yield _saved(whole, kind, 100, is_generated=is_generated)
    lossy = next((kind for kind in ("JPEG", "WEBP", "PNG") if FORMATS[kind] in mimes), "GIF")
    for side in (max(whole.size), *SIDES):
        if side > max(whole.size):
            continue
        part = whole.copy()
        part.thumbnail((side, side), Image.Resampling.LANCZOS)
        for quality in QUALITIES:
            yield _saved(part, lossy, quality, is_generated=is_generated)


def _saved(image: "Image.Image", kind: str, quality: int, *, is_generated: bool) -> bytes:
    from PIL import Image, PngImagePlugin

    options: dict[str, Any] = {"optimize": True}
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    if image.mode in ("RGB", "RGBA") and (profile := image.info.get("icc_profile")):
        options["icc_profile"] = profile  # else colors change
    if kind == "JPEG":
        if has_alpha:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
        options |= {"quality": quality, "progressive": True, "subsampling": 0}
    elif kind == "WEBP":
        image = image.convert("RGBA" if has_alpha else "RGB")
        options = {**options, "quality": quality}
    if is_generated and kind == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", _XMP)
    elif is_generated and kind in ("JPEG", "WEBP"):
        options["xmp"] = _XMP.encode()
    image = image.copy()
    image.info = {key: image.info[key] for key in image.info if key == "transparency"}
    out = BytesIO()
    image.save(out, format=kind, **options)
    return out.getvalue()
