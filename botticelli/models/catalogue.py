"""What is known of each Gemini model: what it accepts, what it costs, what became of it.

Source: the provider's model, price and retirement pages as read up to 2026-11 (SDK 3.4 names;
prices of 2026-10-07; retirements of 2026-06-01 and 2026-12-01). Everything can be overridden:
`[models.prices."NAME"]`, `[models.aliases]`.
"""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from botticelli.config.model import Models, Price
from botticelli.models.base import Capabilities, ImageOptions, Usage
from botticelli.records import record

_MEDIA = frozenset({"text", "image", "audio", "video", "document"})
_LEVELS = ("minimal", "low", "medium", "high")


@record
class KnownModel:
    """One model of the catalogue."""

    capabilities: Capabilities
    prices: tuple[Price, ...] = ()


@record
class Retirement:
    """From `since` on the provider answers 404, or serves `successor` in its place."""

    successor: str
    since: date


def _price(sent: float, received: float, **more: Any) -> Price:
    """Return one of Google's prices: a tenth for input tokens that it had cached."""
    return Price(input=sent, output=received, cached=round(sent / 10, 6), **more)


_KNOBS = Capabilities(inputs=_MEDIA, thinking=_LEVELS)
_NO_KNOBS = Capabilities(inputs=_MEDIA, sampling=False, thinking=_LEVELS)
_NO_MINIMAL = Capabilities(inputs=_MEDIA, sampling=False, thinking=_LEVELS[1:])
_DRAWS = Capabilities(inputs=frozenset({"text", "image"}), sampling=False)
_AUTUMN_FLASH = (_price(0.75, 3.75), _price(1.50, 7.50, valid_from=date(2027, 1, 1)))


def _drawing(sent: float, received: float, *, picture: float) -> KnownModel:
    price = Price(input=sent, output=received, image_tokens=picture)
    return KnownModel(capabilities=_DRAWS, prices=(price,))


CATALOGUE: Final[Mapping[str, KnownModel]] = {
    "gemini-3.8-flash": KnownModel(capabilities=_NO_MINIMAL, prices=_AUTUMN_FLASH),
    "gemini-3.7-flash": KnownModel(capabilities=_NO_MINIMAL, prices=_AUTUMN_FLASH),
    "gemini-3.6-flash": KnownModel(capabilities=_NO_KNOBS, prices=_AUTUMN_FLASH),
    "gemini-3.5-flash": KnownModel(capabilities=_KNOBS, prices=(_price(1.50, 9.00),)),
    "gemini-3.5-flash-lite": KnownModel(capabilities=_KNOBS, prices=(_price(0.30, 2.50),)),
    "gemini-3.1-flash-lite": KnownModel(capabilities=_KNOBS, prices=(_price(0.25, 1.50),)),
    "gemini-3.1-pro-preview": KnownModel(
        capabilities=Capabilities(inputs=_MEDIA, thinking=_LEVELS[1:]),
        prices=(_price(2.00, 12.00),),
    ),
    "gemini-2.5-flash-lite": KnownModel(capabilities=_KNOBS, prices=(_price(0.10, 0.40),)),
    "gemini-2.5-flash": KnownModel(capabilities=_KNOBS, prices=(_price(0.30, 2.50),)),
    "gemini-2.5-pro": KnownModel(capabilities=_KNOBS, prices=(_price(1.25, 10.00),)),
    "gemini-nano-banana-2.1": _drawing(1.50, 7.50, picture=30.0),
    "gemini-3.1-flash-lite-image": _drawing(0.30, 2.50, picture=30.0),
    "gemini-3-pro-image": _drawing(2.00, 12.00, picture=120.0),
    "gpt-image-2.6-sunburst": _drawing(5.00, 30.0, picture=30.0),
    "gpt-image-2.6-flare": _drawing(5.00, 30.0, picture=30.0),
    "gpt-image-2": _drawing(5.00, 30.0, picture=30.0),
}
PICTURES: Final = re.compile(r"gemini\S*-(?:image|nano-banana)|(?:gpt|chatgpt)-image|dall-e")
# Output tokens of a picture: Google's by size, OpenAI's of 1024 x 1024 by quality.
_BY_SIZE: Final = {"512": 747, "1K": 1120, "2K": 1680, "4K": 2520}
_BY_QUALITY: Final = {"low": 272, "medium": 1760}
_MOST: Final = 7024
_UNKNOWN_GEMINI = KnownModel(capabilities=_KNOBS)  # what it refuses is learned
_UNKNOWN = KnownModel(capabilities=Capabilities(inputs=frozenset({"text", "image", "audio"})))

_DRAWER: Final = "gemini-nano-banana-2.1"

# The successor of one that only answers 404 is the provider's nearest in kind and price.
RETIRED: Final[Mapping[str, Retirement]] = {
    "gemini-pro": Retirement(successor="gemini-3.8-flash", since=date(2025, 9, 24)),
    "gemini-1.5-pro": Retirement(successor="gemini-3.8-flash", since=date(2025, 9, 24)),
    "gemini-1.5-flash": Retirement(successor="gemini-3.5-flash-lite", since=date(2025, 9, 24)),
    "gemini-2.0-flash": Retirement(successor="gemini-3.5-flash-lite", since=date(2026, 6, 1)),
    "gemini-2.0-flash-exp": Retirement(successor="gemini-3.5-flash-lite", since=date(2026, 6, 1)),
    "gemini-2.0-flash-lite": Retirement(successor="gemini-3.5-flash-lite", since=date(2026, 6, 1)),
    "gemini-2.5-pro": Retirement(successor="gemini-3.8-flash", since=date(2026, 12, 1)),
    "gemini-2.5-flash": Retirement(successor="gemini-3.5-flash-lite", since=date(2026, 12, 1)),
    # No date is announced, but new projects are said to get 404: the successor is used after one.
    "gemini-2.5-flash-lite": Retirement(successor="gemini-3.5-flash-lite", since=date.max),
    "gemini-2.5-flash-image": Retirement(successor=_DRAWER, since=date(2026, 10, 2)),
    "gemini-3.1-flash-image": Retirement(successor=_DRAWER, since=date(2026, 10, 29)),
    **dict.fromkeys(
        ("dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5"),
        Retirement(successor="gpt-image-2.6-flare", since=date(2026, 12, 1)),
    ),
}


# What the provider's moving names point to; they may move on before this table does.
LATEST: Final[Mapping[str, str]] = {
    "gemini-flash-latest": "gemini-3.8-flash",
    "gemini-flash-lite-latest": "gemini-3.5-flash-lite",
    "gemini-pro-latest": "gemini-3.1-pro-preview",
}


def family(name: str) -> str:
    """Return the model that a moving name points to; other names as they are."""
    name = name.removeprefix("models/")
    return LATEST.get(name, name)


def known(name: str) -> KnownModel:
    """Return what is known of a model, by its name or that of a dated version of it."""
    name = family(name)
    if name in CATALOGUE:
        return CATALOGUE[name]
    fitting = [
        one for one in CATALOGUE if name.startswith(f"{one}-") and "lite" not in name[len(one) :]
    ]
    if fitting:
        return CATALOGUE[max(fitting, key=len)]
    return _UNKNOWN_GEMINI if name.startswith("gemini-") else _UNKNOWN


def current_name(name: str, config: Models, *, on: date) -> str:
    """Return the model to ask for in place of `name` on that day: the file's alias, or ours."""
    if name in config.aliases:
        return config.aliases[name]
    retirement = RETIRED.get(name)
    return retirement.successor if retirement and on >= retirement.since else name


def successor(name: str) -> str | None:
    """Return the model that replaces one the provider does not serve (any more), if known."""
    return RETIRED[name].successor if name in RETIRED else None


def price(name: str, config: Models, *, on: date) -> Price | None:
    """Return what a model costs on that day; None if it is not known."""
    listed = config.prices.get(name) or config.prices.get(family(name)) or known(name).prices
    valid = [one for one in listed if one.valid_from <= on]
    return max(valid, key=lambda one: one.valid_from, default=None)


def image_usage(image: ImageOptions, *, provider: str) -> Usage:
    """Return the tokens that a picture is expected to have, rather too many than too few."""
    tokens = _BY_SIZE.get(image.size.upper(), _BY_SIZE["1K"])
    if provider != "gemini":
        width, _, height = image.size.lower().partition("x")
        is_sized = width.isdigit() and height.isdigit()
        larger = max(1.5, int(width) * int(height) / 2**20) if is_sized else 1.5
        tokens = round(_BY_QUALITY.get(image.quality, _MOST) * larger)
    return Usage(output=tokens, image=tokens)


def cost(usage: Usage, rate: Price | None, *, pictures: int = 0) -> Decimal:
    """Return US dollars: cached tokens at their own price, thoughts as output; 0 if unknown.

    Pictures cost their tokens where these have a price of their own, else each the price of one.
    """
    if rate is None:
        return Decimal(0)
    by_tokens = rate.output if rate.image is None else 0.0
    by_tokens = by_tokens if rate.image_tokens is None else rate.image_tokens
    each = 0.0 if rate.image_tokens is not None else rate.image or 0.0
    cached = rate.input if rate.cached is None else rate.cached
    micro = (
        Decimal(str(rate.input)) * (usage.input - usage.cached)
        + Decimal(str(cached)) * usage.cached
        + Decimal(str(rate.output)) * (usage.output - usage.image + usage.thoughts)
        + Decimal(str(by_tokens)) * usage.image
    )
    return micro / 1_000_000 + Decimal(str(each)) * pictures
