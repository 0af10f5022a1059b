"""Limits: the tier's row, the file's word, the multipliers in their order."""

from datetime import date
from decimal import Decimal

import pytest

from botticelli.budget.limits import allowance, layered, limits_in_force
from botticelli.config.model import Limits, Models, Multipliers
from botticelli.models import catalogue

LITE = "gemini-3.5-flash-lite"
SHARES = Multipliers(rpm=0.8, tpm=0.8, rpd=0.8, tpd=0.8)


def limits_of(model, models):
    return limits_in_force(model, models).limits


def allowed(model=LITE, *, shares=SHARES, provider="gemini", **models):
    return allowance(model, Models(**models), provider=provider, multipliers=shares)


def test_a_model_has_its_own_row_of_the_tier():
    assert (allowed().rpm, allowed().tpm, allowed().rpd) == (12, 200_000, 400)
    assert (allowed("gemini-3.8-flash").rpm, allowed("gemini-3.8-flash").rpd) == (4, 16)
    assert allowed(tier="tier1").rpd is None


def test_the_file_replaces_only_the_limit_it_names():
    limits = {LITE: Limits(rpm=100)}

    assert limits_of(LITE, Models(limits=limits)) == Limits(rpm=100, tpm=250_000, rpd=500)


def test_a_later_layer_is_stronger_also_upwards():
    narrative, carousel, command_line = {"rpm": 0.2, "tpm": 0.3}, {"rpm": 0.5}, {"rpm": 1.0}

    shares = layered(SHARES, narrative, carousel, command_line)

    assert (shares.rpm, shares.tpm, shares.rpd) == (1.0, 0.3, 0.8)


@pytest.mark.parametrize(
    ("limit", "share", "left"), [(100, 0.29, 29), (2, 0.1, 1), (20, 0.8, 16), (15, 0.85, 12)]
)
def test_shares_are_rounded_down_but_never_to_nothing(limit, share, left):
    shares = Multipliers(rpm=share)

    assert allowed(limits={LITE: Limits(rpm=limit)}, shares=shares).rpm == left


def test_the_day_ends_where_the_provider_or_the_file_says():
    limits = {LITE: Limits(time_zone="UTC")}

    assert allowed().zone == "America/Los_Angeles"
    assert allowed("gpt-5", provider="openai").zone == "UTC"
    assert allowed(limits=limits).zone == "UTC"


def test_unknown_models_are_unlimited_until_a_429_teaches():
    assert allowed("qwen3", provider="openai").rpm is None
    assert allowed(spend_limit=10).spend == Decimal(10)


@pytest.mark.parametrize(("name", "target"), catalogue.LATEST.items())
@pytest.mark.parametrize("tier", ["free", "tier1", "tier2"])
def test_a_moving_name_has_limits_and_price_of_what_it_points_to(name, target, tier):
    models, today = Models(tier=tier), date(2026, 11, 30)

    assert limits_of(name, models) == limits_of(target, models)
    assert catalogue.price(name, models, on=today) == catalogue.price(target, models, on=today)
    assert catalogue.known(f"models/{name}") == catalogue.CATALOGUE[target]


def test_a_moving_name_of_no_known_family_has_no_price():
    assert catalogue.price("gemini-argon-latest", Models(), on=date(2026, 11, 30)) is None
