"""Pictures from models, over real HTTP: what is asked, what comes back, what a refusal means."""

import base64
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from botticelli.config.model import Limits, Models, NamedModel, Price
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.models import catalogue
from botticelli.models.base import (
    Finish,
    ImageOptions,
    Message,
    Part,
    PermanentError,
    Request,
    SettingRefused,
    TransientError,
    UnusableAnswer,
    Usage,
)
from botticelli.models.gemini import Gemini
from botticelli.models.open import Drivers, can_draw
from botticelli.models.openai_compatible import OpenAICompatible
from botticelli.models.prompts import digest
from botticelli.pictures.reading import read_picture, refuse_blank
from tests.fakes.gemini import FakeGemini
from tests.fakes.openai import FakeOpenAI
from tests.fakes.pictures import png, spoiled

BANANA = "gemini-nano-banana-2.1"
SECONDS = timedelta(seconds=10)


def asked(model=BANANA, text="a cat on a wall", **image) -> Request:
    message = Message(role="user", parts=(Part(text=text),))
    return Request(model=model, messages=(message,), image=ImageOptions(**image))


@pytest.fixture
def gemini():
    with FakeGemini() as fake:
        yield fake


def google(fake) -> Gemini:
    return Gemini(key=Secret(fake.key), base_url=fake.url, timeout=SECONDS)


def compatible(fake, **more) -> OpenAICompatible:
    key = Secret(fake.key or "")
    return OpenAICompatible(key=key, base_url=f"{fake.url}/v1", timeout=SECONDS, **more)


def test_gemini_gives_the_last_picture_that_is_no_thought(gemini):
    reply = google(gemini).generate(asked(aspect_ratio="16:9", size="2k"))
    assert reply.image == png("a cat on a wall")
    assert reply.finish is Finish.STOP
    config = gemini.calls[0].body["generationConfig"]
    assert config["responseModalities"] == ["IMAGE"]
    assert config["imageConfig"] == {"aspectRatio": "16:9", "imageSize": "2K"}
    assert reply.usage == Usage(
        input=gemini.calls[0].prompt_tokens, output=1684, image=1680, thoughts=20
    )


@pytest.mark.parametrize(
    ("fault", "finish", "detail", "text"),
    [
        ("no-image", Finish.BLOCKED, "NO_IMAGE", ""),
        ("image-safety", Finish.BLOCKED, "IMAGE_SAFETY", ""),
        ("blocked-prompt", Finish.BLOCKED, "prompt: SAFETY", ""),
        ("text-only", Finish.STOP, "STOP", "I cannot draw that."),
    ],
)
def test_geminis_refusals_are_answers(gemini, fault, finish, detail, text):
    gemini.script.add(fault)
    reply = google(gemini).generate(asked())
    assert (reply.image, reply.finish, reply.finish_detail) == (b"", finish, detail)
    assert reply.text == text


def test_openai_is_asked_as_its_images_api_wants_it():
    with FakeOpenAI(models=("gpt-image-2",)) as fake:
        driver = compatible(fake)
        driver._is_openai, driver._response_format = True, ""  # as at api.openai.com
        reply = driver.generate(asked("gpt-image-2", aspect_ratio="9:16", quality="low"))
        assert reply.image == png("a cat on a wall")
        assert reply.usage == Usage(input=4, output=1756, image=1756)
        assert fake.calls[0].body == {
            "model": "gpt-image-2",
            "prompt": "a cat on a wall",
            "n": 1,
            "size": "1024x1536",
            "quality": "low",
        }


def test_a_refusal_of_openai_is_an_answer_that_costs_nothing():
    with FakeOpenAI(models=("gpt-image-2",)) as fake:
        fake.script.add("moderation")
        reply = compatible(fake).generate(
            replace(asked("gpt-image-2"), without={"response_format"})
        )
    assert (reply.image, reply.finish, reply.usage) == (b"", Finish.BLOCKED, Usage())
    assert reply.finish_detail.startswith("moderation_blocked: Your request was rejected")


def test_a_server_that_takes_no_response_format_is_asked_without():
    with FakeOpenAI(models=("sd",)) as fake:
        with pytest.raises(SettingRefused) as refused:
            compatible(fake).generate(asked("sd"))
        assert refused.value.setting == "response_format"
        request = replace(asked("sd"), without=frozenset({"response_format"}))
        assert compatible(fake).generate(request).image


@pytest.mark.parametrize("where", ["{url}/out/1.png", "/out/1.png"])
def test_a_picture_may_lie_at_the_server_itself(where):
    with FakeOpenAI(models=("sd",), strict=False, picture_at=where) as fake:
        reply = compatible(fake, response_format="url").generate(asked("sd"))
        assert reply.image == png("/out/1.png")
        assert fake.calls[0].body["response_format"] == "url"


def test_a_picture_may_stand_in_its_address():
    written = base64.b64encode(png("x")).decode()
    with FakeOpenAI(models=("sd",), strict=False) as fake:
        fake.picture_at = f"data:image/png;base64,{written}"
        assert compatible(fake).generate(asked("sd")).image == png("x")


@pytest.mark.parametrize(
    "where",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:1/x.png",
        "https://example.org/x.png",
        "file:///etc/passwd",
        "//example.org/x.png",
    ],
)
def test_a_picture_is_never_fetched_from_elsewhere(where):
    with FakeOpenAI(models=("sd",), strict=False, picture_at=where) as fake:
        with pytest.raises(PermanentError, match="not at itself"):
            compatible(fake).generate(asked("sd"))
        assert len(fake.calls) == 1


def test_a_picture_that_is_not_where_it_is_said_to_be_is_not_paid_for_twice():
    with (
        FakeOpenAI(models=("sd",), strict=False, picture_at="{url}/gone.png") as fake,
        pytest.raises(UnusableAnswer, match="answers 404"),
    ):
        compatible(fake).generate(asked("sd"))


def test_an_answer_of_another_form_is_no_picture():
    with FakeOpenAI(models=("sd",), strict=False) as fake:
        fake.script.add("html-200")
        with pytest.raises(TransientError):
            compatible(fake).generate(asked("sd"))
        fake.script.add("empty")
        assert compatible(fake).generate(asked("sd")).image == b""


def test_pictures_among_the_inputs_are_not_dropped_in_silence():
    message = Message(role="user", parts=(Part(text="as this"), Part(data=b"x", mime="image/png")))
    with FakeOpenAI(models=("sd",)) as fake, pytest.raises(PermanentError, match="words alone"):
        compatible(fake).generate(replace(asked("sd"), messages=(message,)))


def test_offline_a_picture_is_drawn_that_the_prompt_decides():
    driver = Drivers(Models()).open("offline").driver
    first, again, other = (driver.generate(asked(text=text)).image for text in ("a", "a", "b"))
    assert first == again != other
    for seed in range(40):
        refuse_blank(read_picture(driver.generate(asked(text=str(seed))).image))


def named(**way) -> Models:
    return Models(named={"stock": NamedModel(provider="pictures", **way)})


def test_a_picture_may_come_from_a_folder(tmp_path):
    for name in ("autumn.png", "winter.PNG", "notes.txt"):
        (tmp_path / name).write_bytes(png(name))
    driver = Drivers(named(path=tmp_path)).open("stock").driver
    chosen = {driver.generate(asked("stock", f"post {n}")).model_version for n in range(20)}
    assert chosen == {"autumn.png", "winter.PNG"}
    reply = driver.generate(asked("stock", "take winter.PNG please"))
    assert (reply.image, reply.model_version) == (png("winter.PNG"), "winter.PNG")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(png("secret"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigError):
        Drivers(named(path=folder)).open("stock").driver.generate(asked("stock"))


@pytest.mark.parametrize("has_folder", [True, False])
def test_a_folder_without_pictures_says_so(tmp_path, has_folder):
    path = tmp_path if has_folder else tmp_path / "gone"
    drivers = Drivers(named(path=path))
    with pytest.raises(ConfigError) as error:
        drivers.open("stock").driver.generate(asked("stock"))
    assert str(path) in str(error.value)


def test_a_picture_may_come_from_an_address():
    with FakeOpenAI(key=None) as fake:
        driver = Drivers(named(base_url=f"{fake.url}/out/7.png")).open("stock").driver
        assert driver.generate(asked("stock")).image == png("/out/7.png")
        gone = Drivers(named(base_url=f"{fake.url}/gone.png")).open("stock").driver
        with pytest.raises(PermanentError, match="answered 404"):
            gone.generate(asked("stock"))


@pytest.mark.parametrize("way", [{}, {"path": Path(), "base_url": "http://localhost/x"}])
def test_pictures_come_from_one_place(way):
    with pytest.raises(ConfigError, match="one place"):
        Drivers(named(**way)).open("stock")


@pytest.mark.parametrize(
    ("name", "draws"),
    [
        (BANANA, True),
        ("gemini-3-pro-image", True),
        ("gemini-3.5-flash-lite", False),
        ("gpt-image-2", True),
        ("gpt-5.2", False),
        ("offline", True),
        ("local", False),
        ("sd", True),
    ],
)
def test_which_models_draw(name, draws):
    own = NamedModel(provider="openai", base_url="http://localhost:9/v1")
    assert can_draw(name, Models(named={"sd": own})) is draws


@pytest.mark.parametrize(
    ("usage", "rate", "dollars"),
    [
        (Usage(input=100, output=1120, image=1120), BANANA, "0.03375"),
        (Usage(input=100, output=1124, image=1120, thoughts=20), BANANA, "0.03393"),
        (Usage(input=10, output=1120, image=1120), "gemini-3-pro-image", "0.13442"),
        (Usage(input=100, output=7024, image=7024), "gpt-image-2", "0.21122"),
        (Usage(), Price(input=0, output=0, image=0.04), "0.04"),
        (Usage(input=1_000_000, output=9, image=9), Price(input=1, output=5, image=0.04), "1.04"),
        (Usage(output=9, image=9), Price(input=1, output=5, image=1, image_tokens=10), "0.00009"),
    ],
)
def test_what_a_picture_costs(usage, rate, dollars):
    if isinstance(rate, str):
        rate = catalogue.price(rate, Models(), on=date(2026, 12, 1))
    assert catalogue.cost(usage, rate, pictures=1) == Decimal(dollars)


@pytest.mark.parametrize(
    ("image", "provider", "tokens"),
    [
        ({}, "gemini", 1120),
        ({"size": "4k"}, "gemini", 2520),
        ({"quality": "low"}, "openai", 408),
        ({}, "openai", 10536),
        ({"quality": "medium", "size": "2048x2048"}, "openai", 7040),
    ],
)
def test_what_is_reserved_is_rather_too_much(image, provider, tokens):
    assert catalogue.image_usage(ImageOptions(**image), provider=provider).image == tokens


def test_the_shape_of_a_picture_decides_which_answer_may_be_reused():
    text = replace(asked(), image=None)
    ways = [text, asked(), asked(size="2K"), asked(aspect_ratio="16:9")]
    assert len({digest(one, models=["m"]) for one in ways}) == 4


def test_faults_of_the_fakes_spoil_what_they_say():
    assert spoiled("", "x") == png("x")
    assert Limits(dollars_a_day=2.5).dollars_a_day == 2.5
