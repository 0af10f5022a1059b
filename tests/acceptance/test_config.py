"""botticelli.toml, the environment and the command line, as a user meets them."""

import os
from datetime import date, time, timedelta
from pathlib import Path

import pytest

from botticelli.cli.setup.sample import sample
from botticelli.config.sources import find_file, with_dotenv
from botticelli.errors import ConfigError
from botticelli.platforms.open import offline
from tests.configured import load


@pytest.fixture
def configured(tmp_path):
    """Return the configuration that a text gives, in an environment."""

    def load_text(text, environ=None):
        file = tmp_path / "botticelli.toml"
        file.write_text(text)
        return load(file, environ=environ or {}, cwd=tmp_path)

    return load_text


def lines(error):
    return str(error.value).splitlines()


# --- where it comes from ---------------------------------------------------------------------


def test_the_nearest_file_is_taken(tmp_path):
    home, work = tmp_path / "home", tmp_path / "work"
    for folder in (home / "botticelli", work):
        folder.mkdir(parents=True)
        (folder / "botticelli.toml").write_text("")
    environ = {"XDG_CONFIG_HOME": str(home)}

    assert find_file(environ=environ, cwd=work) == work / "botticelli.toml"
    assert find_file(environ=environ, cwd=tmp_path) == home / "botticelli/botticelli.toml"
    assert find_file(environ={"HOME": str(tmp_path)}, cwd=tmp_path) is None


def test_a_file_that_is_named_goes_first_and_must_be_there(tmp_path):
    (tmp_path / "botticelli.toml").write_text("")
    (tmp_path / "other.toml").write_text("")
    environ = {"BOTTICELLI_CONFIG": "other.toml"}

    assert find_file(environ=environ, cwd=tmp_path) == tmp_path / "other.toml"
    named = find_file(environ=environ, cwd=tmp_path, named=Path("botticelli.toml"))
    assert named == tmp_path / "botticelli.toml"
    with pytest.raises(ConfigError, match="BOTTICELLI_CONFIG"):
        find_file(environ={"BOTTICELLI_CONFIG": "none.toml"}, cwd=tmp_path)


def test_dotenv_lies_beneath_the_real_environment(tmp_path):
    (tmp_path / ".env").write_text(
        "# a comment\n"
        "export A=plain value # comment\n"
        'B="with \\"quotes\\" # and hash\\n"\n'
        "C='single $HOME'  # comment\n"
        "D=\n"
        "E=dotenv\n"
        "F=a#b\n"
    )

    environ = with_dotenv({"E": "real"}, tmp_path)

    assert environ == {
        "A": "plain value",
        "B": 'with "quotes" # and hash\n',
        "C": "single $HOME",
        "D": "",
        "E": "real",
        "F": "a#b",
    }


@pytest.mark.parametrize(("line", "what"), [("just words", "NAME=value"), ("A='open", "quote")])
def test_a_broken_dotenv_names_its_line(tmp_path, line, what):
    (tmp_path / ".env").write_text(f"\n{line}\n")

    with pytest.raises(ConfigError, match=what) as error:
        with_dotenv({}, tmp_path)
    assert f"{tmp_path}/.env:2: " in str(error.value)


# --- values ----------------------------------------------------------------------------------


def test_without_a_file_the_shipped_values_hold(tmp_path):
    config = load(None, environ={"HOME": str(tmp_path)}, cwd=tmp_path)

    assert config.database.url == ""
    assert config.database.folder == tmp_path / ".local/state/botticelli/postgres"
    assert config.post.schedule.interval == timedelta(hours=2)
    assert list(config.destinations) == ["discord"]
    assert config.unset == {"destinations.discord.channel": "POSTING_CHANNEL_ID"}


def test_the_sample_changes_nothing(configured, tmp_path):
    plain = load(None, environ={}, cwd=tmp_path)
    written = configured(sample())

    assert {**vars(written), "source": None} == vars(plain)


def test_a_variable_in_a_value_is_replaced(configured):
    config = configured(
        '[generate]\nnarrative = "${NAME}.${PART:-all}"\n[models]\ndefault = ["$${NAME}"]\n',
        {"NAME": "mine"},
    )

    assert config.generate.narrative == "mine.all"
    assert config.models.default == ("${NAME}",)
    assert "generate.narrative" not in config.unset


def test_an_unset_variable_is_remembered_with_its_key(configured):
    config = configured(
        '[destinations.news]\nplatform = "discord"\nchannel = "${NEWS}"\ntoken = "${T}"\n',
        {"DISCORD_TOKEN": "another bot's", "POSTING_CHANNEL_ID": "another channel"},
    )

    assert config.unset == {"destinations.news.channel": "NEWS", "destinations.news.token": "T"}
    assert config.destinations["news"].channel == ""
    assert not config.destinations["news"].token


def test_the_environment_goes_before_the_file(configured):
    environ = {"DATABASE_URL": "postgresql://env", "DISCORD_API_BASE": "http://localhost:1/x"}

    config = configured(
        '[database]\nurl = "postgresql://file"\n'
        '[destinations.a]\nplatform = "discord"\nbase_url = "http://file"\n',
        environ,
    )

    assert config.database.url == "postgresql://env"
    assert config.destinations["a"].base_url == "http://localhost:1/x"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://127.0.0.1:1/api", "http://127.0.0.1:1/api/v10"),
        ("http://127.0.0.1:1/api/", "http://127.0.0.1:1/api/v10"),
        ("http://127.0.0.1:1/api/v9", "http://127.0.0.1:1/api/v9"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("", "https://discord.com/api/v10"),
    ],
)
def test_discord_api_base_gets_a_version_where_it_has_none(tmp_path, given, used):
    config = load(None, environ={"DISCORD_API_BASE": given}, cwd=tmp_path)

    assert config.destinations["discord"].base_url == used


def test_secrets_come_from_credentials_files_and_variables(tmp_path):
    (tmp_path / "discord-token").write_text("from-systemd\n")
    (tmp_path / "gemini").write_text("from-file\n")
    environ = {
        "CREDENTIALS_DIRECTORY": str(tmp_path),
        "DISCORD_TOKEN": "from-variable",
        "GEMINI_API_KEY_FILE": str(tmp_path / "gemini"),
        "OPENAI_API_KEY": "from-variable",
    }

    config = load(None, environ=environ, cwd=tmp_path)

    assert config.destinations["discord"].token.reveal() == "from-systemd"
    assert config.models.gemini_key.reveal() == "from-file"
    assert config.models.openai_key.reveal() == "from-variable"
    assert "from-" not in repr(config)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "large"])
def test_a_secret_is_a_regular_file_of_some_size(tmp_path, kind):
    file = tmp_path / "secret"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file = Path("/dev/zero")
    elif kind == "folder":
        file.mkdir()
    else:
        file.write_text("x" * 65_537)

    with pytest.raises(ConfigError, match="file that DISCORD_TOKEN_FILE names cannot be read: "):
        load(None, environ={"DISCORD_TOKEN_FILE": str(file)}, cwd=tmp_path)


def test_an_empty_credential_gives_way_to_the_variable(tmp_path):
    (tmp_path / "DISCORD_TOKEN").write_text("\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "DISCORD_TOKEN": "variable"}

    config = load(None, environ=environ, cwd=tmp_path)

    assert config.destinations["discord"].token.reveal() == "variable"


def test_everything_reaches_the_typed_configuration(configured, tmp_path):
    config = configured(
        """
        post = { limit = 2, max_retries = 5, schedule = { seconds = 600, jitter_percent = 5 } }
        [curate]
        processing_strategy = "single_run"
        [models]
        default = ["a", "b"]
        timeout_seconds = 5
        [models.limits."a"]
        rpm = 10
        [models.prices.a]
        input = 1
        output = 2
        [[models.prices.b]]
        input = 3
        output = 4
        valid_from = "2026-02-01"
        [[models.prices.b]]
        input = 1
        output = 2
        [models.near]
        provider = "local"
        path = "models/x.gguf"
        [circuit_breaker]
        failure_threshold = 2
        [lease]
        seconds = 10
        [destinations.night]
        platform = "outbox"
        folder = "posts"
        active_hours = "22:00-24:00"
        time_zone = "Europe/Berlin"
        min_interval_minutes = 0.5
        guard = { forbidden = ["x+"], allowed_links = [] }
        """
    )

    night = config.destinations["night"]
    assert (config.post.limit, config.post.retry.max_retries) == (2, 5)
    assert config.post.schedule.interval == timedelta(minutes=10)
    assert not config.curate.drain
    assert config.models.default == ("a", "b")
    assert config.models.limits["a"].rpm == 10
    assert [price.input for price in config.models.prices["b"]] == [3, 1]
    assert config.models.prices["b"][0].valid_from == date(2026, 2, 1)
    assert config.models.named["near"].path == tmp_path / "models/x.gguf"
    assert config.supervision.failure_threshold == 2
    assert config.supervision.lease == timedelta(seconds=10)
    assert night.folder == tmp_path / "posts"
    assert (night.active_hours.start, night.active_hours.end) == (time(22), time(0))
    assert night.min_interval == timedelta(seconds=30)
    assert night.guard.forbidden == ("x+",)
    assert night.guard.allowed_links == ()


def test_offline_needs_no_key_and_writes_files(tmp_path):
    config = offline(load(None, environ={}, cwd=tmp_path), cwd=tmp_path)

    assert config.models.default == config.models.judge == ("offline",)
    assert [place.folder for place in config.destinations.values()] == [tmp_path / "outbox"]


# --- mistakes --------------------------------------------------------------------------------


def test_every_mistake_is_told_at_once_with_file_line_and_key(configured):
    with pytest.raises(ConfigError) as error:
        configured(
            "[post]\nlimmit = 3\n\n[budget]\nrpm = 1.5\n\n[post.schedule]\nseconds = 'often'\n"
        )

    assert lines(error) == [
        "botticelli.toml:2: post.limmit: unknown key 'limmit'; did you mean 'limit'?",
        'botticelli.toml:8: post.schedule.seconds: must be a whole number, not "often"',
        "botticelli.toml:5: budget.rpm: must be at most 1, not 1.5",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[models]\ndefualt = 'x'",
            "botticelli.toml:2: models.defualt: unknown key 'defualt'; did you mean 'default'?",
        ),
        (
            "[post]\nschedule = { secs = 1 }",
            "botticelli.toml:2: post.schedule.secs: unknown key 'secs'; did you mean 'seconds'?",
        ),
        (
            "[destinations.a]\nchannel = '1'",
            "botticelli.toml:1: destinations.a: 'platform' is missing; add platform = ",
        ),
        (
            "[destinations.a]\nplatform = 'discord'\ntime_zone = 'Mars/Base'",
            "botticelli.toml:3: destinations.a.time_zone: there is no time zone 'Mars/Base'; ",
        ),
        (
            "[destinations.a]\nplatform = 'discord'\nactive_hours = '09:00-25:00'",
            "botticelli.toml:3: destinations.a.active_hours: '25:00' is not a valid time",
        ),
        (
            "[destinations.a]\nplatform = 'discord'\nquiet_dates = ['12-25', '02-30']",
            "botticelli.toml:3: destinations.a.quiet_dates[1]: '02-30' is not a valid date",
        ),
        (
            "[destinations.a]\nplatform = 'discord'\n[destinations.a.guard]\nforbidden = ['(']",
            "botticelli.toml:4: destinations.a.guard.forbidden[0]: missing ), unterminated ",
        ),
        (
            "[models.prices.m]\ninput = 1\noutput = 1\nvalid_from = '2026-13-01'",
            "botticelli.toml:4: models.prices.m.valid_from: month must be in 1..12",
        ),
        (
            "[post.schedule]\nseconds = 1_000_000_000_000_000",
            "botticelli.toml:2: post.schedule.seconds: 1000000000000000 seconds are too many",
        ),
        ("[post]\nlimit = 1\nlimit = 2", "botticelli.toml:3:10: broken TOML: "),
        ("[post\n", "botticelli.toml:1:6: broken TOML: "),
    ],
)
def test_a_mistake_says_where_what_and_how_to_mend_it(botticelli, text, line):
    (botticelli.cwd / "botticelli.toml").write_text(text)

    ended = botticelli("timers render")

    assert ended.code == 78
    assert ended.err.startswith(f"botticelli: {line}")
    assert len(ended.err.splitlines()) == 1
    assert ended.out == ""


def test_the_mark_that_windows_editors_write_is_passed_over(configured, tmp_path):
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfROUNDS=1\n")

    assert configured("\ufeff[generate]\niterations = 3\n").generate.iterations == 3
    assert with_dotenv({}, tmp_path) == {"ROUNDS": "1"}


@pytest.mark.parametrize("name", ["botticelli.toml", ".env"])
def test_a_file_in_another_encoding_says_so(botticelli, name):
    (botticelli.cwd / name).write_bytes(b"# caf\xe9\n")

    ended = botticelli("status")

    assert ended.code == 78
    assert ended.err.endswith(f"{name}: is not UTF-8 text; save it as UTF-8\n")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_what_bears_the_files_name_but_is_none_is_not_passed_over(botticelli, make):
    make(botticelli.cwd / "botticelli.toml")

    ended = botticelli("status")

    assert ended.code == 78
    assert "is not a file, or a broken link; remove it" in ended.err


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_number_is_a_finite_one(configured, number):
    with pytest.raises(ConfigError, match="must be a finite number"):
        configured(f"[budget]\nrpm = {number}\n")
