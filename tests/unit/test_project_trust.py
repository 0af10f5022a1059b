"""Which files are the user's own word, and what a project's files may do before a yes."""

import os
import stat
from pathlib import Path

import pytest

from botticelli.clock import SystemClock
from botticelli.config.addresses import UntrustedAddress
from botticelli.config.sources import dotenv
from botticelli.config.trust.ownership import why_not_own
from botticelli.config.trust.project import ProjectFiles, asks_of, is_here, narrowed, only_here
from botticelli.config.trust.records import TrustRecord, TrustStore
from botticelli.errors import ConfigError
from botticelli.platforms.open import open_platform
from tests.configured import load

STRANGER = 54_321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def file_at(folder, *, name="botticelli.toml"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("")
    path.chmod(0o644)
    return path


def given_away(path):
    os.chown(path, STRANGER, -1, follow_symlinks=False)


def linked(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    return link


# What is done to tmp_path/a/b/botticelli.toml -> the path that is asked about, if another one
REFUSED = {
    "everybody may write to it": lambda path, _: path.chmod(0o666),
    "everybody may write to its folder": lambda path, _: path.parent.chmod(0o777),
    "everybody may write above": lambda path, _: path.parents[1].chmod(0o777),
    "a group may write to it": lambda path, _: (os.chown(path, -1, 1), path.chmod(0o664))[2:],
    "a group may write to its folder": lambda path, _: (
        os.chown(path.parent, -1, 1),
        path.parent.chmod(0o775),
    )[2:],
    "another's file": lambda path, _: given_away(path),
    "another's folder": lambda path, _: given_away(path.parent),
    "another's folder above": lambda path, _: given_away(path.parents[1]),
    "another's file in a sticky folder": lambda path, _: (
        path.parent.chmod(0o1777),
        given_away(path),
    )[2:],
    "another's sticky folder": lambda path, _: (
        path.parent.chmod(0o1777),
        given_away(path.parent),
    )[2:],
    "a link to another's file": lambda path, tmp: (given_away(path), linked(path, tmp))[1],
    "a link into another's folder": lambda path, tmp: (
        given_away(path.parent),
        linked(path, tmp),
    )[1],
    "another's link": lambda path, tmp: (given_away(link := linked(path, tmp)), link)[1],
    "through a linked folder": lambda path, tmp: (
        given_away(path.parent),
        linked(path.parent, tmp) / path.name,
    )[1],
    "not there": lambda path, _: path.with_name("gone"),
}


@as_root
@pytest.mark.parametrize("how", REFUSED)
def test_what_another_could_have_written_is_nobodys_word(tmp_path, how):
    path = file_at(tmp_path / "a/b")
    assert why_not_own(path) == ""
    asked = REFUSED[how](path, tmp_path) or path
    assert why_not_own(asked)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400, 0o755])
def test_what_only_the_user_can_write_is_the_users_word(tmp_path, mode):
    sticky = tmp_path / "sticky"
    path = file_at(sticky / "own")
    sticky.chmod(0o1777)
    path.chmod(mode)
    assert why_not_own(path) == ""
    assert why_not_own(linked(path, tmp_path)) == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root's group is read from the system's table")
def test_a_group_of_the_user_alone_is_no_other(tmp_path):
    path = file_at(tmp_path / "own")
    path.chmod(0o664)
    assert why_not_own(path) in ("", "a group can write to it")


@as_root
def test_a_dotenv_of_another_is_refused_in_one_line(tmp_path):
    path = file_at(tmp_path, name=".env")
    path.write_text("A=1\n")
    given_away(path)
    with pytest.raises(ConfigError, match=r"is not obeyed: it belongs to .*; if it is meant"):
        dotenv(tmp_path)


HERE = [
    "", "http://localhost:11434/v1", "http://127.0.0.1:8000", "https://[::1]/v1",
    "http://127.9.9.9/", "postgresql:///botticelli", "postgresql://u:p@localhost/db",
    "postgresql://%2Fvar%2Frun/db?host=", "postgresql://u@[::1]:5432/db",
    "postgresql:///db?host=/run/postgresql&port=5", "postgres://a@127.0.0.1:1,localhost/db",
    "https://discord.com/api/v10",
]  # fmt: skip
ELSEWHERE = [
    "https://evil.example/v1", "http://localhost.evil.example", "http://127.0.0.1.evil.example/",
    "http://127.0.0.1@evil.example", "http://localhost:80@evil.example/", "http://evil.example#@localhost",
    "http://evil.example\\@localhost", "http://localhost\\.evil.example", "//evil.example",
    "http://10.0.0.5", "http://192.168.1.1:11434", "http://[2001:db8::1]/", "http://0x7f.1",
    "http://2130706433/", "http://discord.com/api", "https://discord.com.evil.example/api",
    "https://evil-discord.com/api", "https://user@evil.example", "http://\u2488\u24ea.example",
    "postgresql://u:p@db.evil.example/x", "postgresql:///db?host=evil.example", "ftp:",
    "postgresql://localhost,evil.example/x", "postgresql://localhost/x?hostaddr=10.1.1.1",
    "postgresql:///x?service=mine", "host=evil.example dbname=x", "postgresql://[2001:db8::1]/x",
    "http://[::1", "http://127.0.0.1\n@evil.example",
]  # fmt: skip


@pytest.mark.parametrize("address", HERE)
def test_this_machine_needs_no_trust(address):
    assert is_here(address)


@pytest.mark.parametrize("address", ELSEWHERE)
def test_no_spelling_of_another_machine_passes_for_this_one(address):
    assert not is_here(address)


def project(tmp_path, toml="", env="", *, speaks=True, **process):
    (tmp_path / "botticelli.toml").write_text(toml)
    (tmp_path / ".env").write_text(env)
    files = ProjectFiles(root=tmp_path, assigned=dotenv(tmp_path), process=process, speaks=speaks)
    return load(tmp_path / "botticelli.toml", environ=files.environ, cwd=tmp_path), files


EVIL = "https://evil.example/v1"
DISCORD = '[destinations.d]\nplatform = "discord"\n'
# botticelli.toml, .env, what the project asks for
ASKED = {
    "binaries": ('[database]\nbinaries = "bin"', "", "database.binaries"),
    "hook": ('[hooks]\non_failure = "sh -c x"', "", "hooks.on_failure = sh -c x"),
    "hooks": ('[hooks]\non_success = ["a", "b"]', "", "hooks.on_success = b"),
    "hook of a stage": ('[hooks.post]\non_empty_queue = "x"', "", "hooks.post.on_empty_queue"),
    "ping": ('[hooks]\nping = "https://evil.example"', "", "hooks.ping"),
    "hook that begins like an address": (
        '[hooks]\non_failure = "http://127.0.0.1 | sh"', "", "hooks.on_failure"),
    "model": (f'[models.m]\nprovider = "openai"\nbase_url = "{EVIL}"', "", "models.m.base_url"),
    "platform": (DISCORD + f'base_url = "{EVIL}"', "", "destinations.d.base_url"),
    "database": ('[database]\nurl = "postgresql://evil.example/x"', "", "database.url"),
    "gemini": ("", f"GOOGLE_GEMINI_BASE_URL={EVIL}", ".env: GOOGLE_GEMINI_BASE_URL"),
    "openai": ("", f"OPENAI_BASE_URL={EVIL}", ".env: OPENAI_BASE_URL"),
    "discord": ("", f"DISCORD_API_BASE={EVIL}", "destinations.discord.base_url"),
    "database of .env": ("", "DATABASE_URL=postgresql://evil.example/x", ".env: DATABASE_URL"),
    "writes": ('[security]\nwrites = "allow"', "", "security.writes"),
    "commands": ('[security]\nallowed_commands = ["*"]', "", "security.allowed_commands = *"),
    "a data folder": ('[database]\nfolder = "pg"', "", "database.folder"),
    "a foreign database": ("[project]\nshare = true", "", "project.share = true"),
    "no review": (
        "[security]\napprove_without_review = true", "", "security.approve_without_review"),
    "private networks": ("[narratives]\nprivate_urls = true", "", "narratives.private_urls"),
    "a variable of the user's": (
        '[narratives]\nenvironment = ["A_CITY"]', "", "narratives.environment = A_CITY"),
    "files of the machine": ('[narratives]\ncontext = ["/"]', "", "narratives.context = /"),
    "files beside the project": ('[narratives]\ncontext = ["sub/../.."]', "", "narratives.context"),
    "the home": ('[narratives]\ncontext = ["~"]', "", "narratives.context"),
    "narratives beside it": ('[narratives]\nfolders = ["../other"]', "", "narratives.folders"),
    "an outbox outside": (
        '[destinations.o]\nplatform = "outbox"\nfolder = "/etc/cron.d"', "",
        "destinations.o.folder = /etc/cron.d"),
    **{
        name: ("", f"{name}=x", f".env: {name} = x")
        for name in (
            "EDITOR", "VISUAL", "PAGER", "PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONSTARTUP",
            "PGSERVICEFILE", "HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE", "BASH_ENV", "HOME",
            "XDG_STATE_HOME",
            "OTEL_EXPORTER_OTLP_ENDPOINT", "BOTTICELLI_CONTEXT_PATH",
            "GIT_SSH_COMMAND", "REQUESTS_CA_BUNDLE", "PSQLRC", "PSQL_PAGER", "LESSOPEN", "MANPAGER",
            "PERL5LIB", "RUBYOPT", "NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "GCONV_PATH",
            "SSLKEYLOGFILE",
            "OPENSSL_CONF", "HOSTALIASES", "RES_OPTIONS", "NETRC", "SSH_ASKPASS", "SUDO_ASKPASS",
            "TMP", "CREDENTIALS_DIRECTORY", "USER", "LOGNAME", "SYSTEMD_EDITOR", "NOTIFY_SOCKET",
            "DBUS_SESSION_BUS_ADDRESS", "GLIBC_TUNABLES", "ZDOTDIR", "BASH_FUNC_x", "KRB5_CONFIG",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_what_a_project_asks_for_is_told(tmp_path, name):
    toml, env, line = ASKED[name]
    config, files = project(tmp_path, toml, env, A_CITY="Leeds")
    assert any(line in each for each in asks_of(config, files)), asks_of(config, files)


def test_a_project_that_is_not_trusted_stays_in_its_folder(tmp_path):
    toml = (
        "[project]\nshare = true\n[security]\napprove_without_review = true\n"
        '[narratives]\ncontext = ["/", "mine"]\nfolders = ["narratives", "link"]\n'
        'environment = ["A_CITY", "OWN"]\nprivate_urls = true\n'
        '[destinations.o]\nplatform = "outbox"\nfolder = "link"\n'
        '[destinations.i]\nplatform = "outbox"\n'
    )
    (tmp_path / "link").symlink_to("/etc")
    config, files = project(tmp_path, toml, "OWN=here", A_CITY="Leeds")
    config = narrowed(config, files)
    narratives = config.narratives
    assert (narratives.context, narratives.folders, narratives.environment) == (
        (tmp_path / "mine",), (tmp_path / "narratives",), ("OWN",)
    )  # fmt: skip
    flags = (narratives.private_urls, config.project.share, config.security.approve_without_review)
    assert not any(flags)
    with pytest.raises(ConfigError, match=r"not trusted.*; if it is right: botticelli trust"):
        open_platform(config.destinations["o"], clock=SystemClock())
    open_platform(config.destinations["i"], clock=SystemClock())


@pytest.mark.parametrize("name", [".env", "botticelli.toml"])
def test_keys_behind_a_link_are_not_the_projects_own(tmp_path, name):
    toml = f"{MODEL}api_key = '${{K}}'" if name == ".env" else f'{MODEL}api_key = "literal-key-1"'
    clone, other = tmp_path / "clone", tmp_path / "other"
    clone.mkdir()
    other.mkdir()
    config, files = project(clone, toml, "K=sk-of-another-project-1\n")
    assert not isinstance(narrowed(config, files).models.named["m"].base_url, UntrustedAddress)
    (clone / name).rename(other / name)
    (clone / name).symlink_to(other / name)
    assert isinstance(narrowed(config, files).models.named["m"].base_url, UntrustedAddress)


def test_the_process_and_an_explicit_file_are_the_users_word(tmp_path):
    toml = f'[hooks]\non_failure = "sh -c x"\n[models.m]\nprovider = "openai"\nbase_url = "{EVIL}"'
    assert asks_of(*project(tmp_path, toml, speaks=False)) == ()
    assert asks_of(*project(tmp_path, "", "EDITOR=x", EDITOR="y")) == ()
    named = '[models.m]\nprovider = "openai"\nbase_url = "${MINE}"'
    assert asks_of(*project(tmp_path, named, MINE=EVIL, OPENAI_BASE_URL=EVIL)) == ()
    assert asks_of(*project(tmp_path, DISCORD, DISCORD_API_BASE=EVIL)) == ()


def test_settings_of_no_harm_ask_for_nothing(tmp_path):
    toml = (
        '[curate]\nmin_score = 30\n[destinations.o]\nplatform = "outbox"\n'
        'active_hours = "9:00-17:00"\n'
        '[hooks]\nping = "http://127.0.0.1:9/x"\n[models.m]\nprovider = "openai"\n'
        'base_url = "http://localhost:11434/v1"\n'
    )
    env = "GEMINI_API_KEY=abcdefgh12345\nPOSTING_CHANNEL_ID=12345\nDISCORD_TOKEN=t\n"
    assert asks_of(*project(tmp_path, toml, env)) == ()


OUTSIDE = {"GEMINI_API_KEY": "AIza-outside-12345", "OPENAI_API_KEY": "sk-outside-12345",
           "DISCORD_TOKEN": "outside.token.12345"}  # fmt: skip
MODEL = f'[models.m]\nprovider = "openai"\nbase_url = "{EVIL}"\n'
PLACE = DISCORD + f'base_url = "{EVIL}"\n'
# What of the user's would go to an address that a project names: botticelli.toml, .env, where to.
LENT = {
    "gemini": ("", f"GOOGLE_GEMINI_BASE_URL={EVIL}", "gemini_base_url"),
    "openai": ("", f"OPENAI_BASE_URL={EVIL}", "openai_base_url"),
    "discord": ("", f"DISCORD_API_BASE={EVIL}", "discord"),
    "the usual key": (MODEL, "", "m"),
    "a named key": (MODEL + 'api_key = "${DISCORD_TOKEN}"', "", "m"),
    "a key within another": (MODEL + 'api_key = "x${GEMINI_API_KEY}"', "", "m"),
    "a key as a model": (MODEL + 'api_key = "own-key-1"\nmodel = "${DISCORD_TOKEN}"', "", "m"),
    "a key in the address": (
        MODEL.replace("v1", "${DISCORD_TOKEN}") + 'api_key = "own-key-1"', "", "m"),
    "a token": (PLACE, "", "d"),
    "a token in a thread's name": (
        PLACE + 'token = "own-token"\nthread_name = "${GEMINI_API_KEY}"', "", "d"),
}  # fmt: skip


def address_of(config, name):
    """Return the address of that model, destination or field of the models."""
    for group in (config.models.named, config.destinations):
        if name in group:
            return group[name].base_url
    return getattr(config.models, name)


@pytest.mark.parametrize("name", LENT)
def test_no_key_of_the_user_goes_to_an_address_that_only_a_project_names(tmp_path, name):
    toml, env, address = LENT[name]
    config, files = project(tmp_path, toml, env, **OUTSIDE)
    assert isinstance(address_of(narrowed(config, files), address), UntrustedAddress)


def test_a_key_in_a_file_that_a_dotenv_names_is_not_the_projects_either(tmp_path):
    key = tmp_path / "id_rsa"
    key.write_text("private-key-of-the-user")
    env = f"OPENAI_BASE_URL={EVIL}\nOPENAI_API_KEY_FILE={key}\n"
    config, files = project(tmp_path, "", env)
    assert isinstance(narrowed(config, files).models.openai_base_url, UntrustedAddress)


def test_a_projects_own_key_may_go_where_the_project_says(tmp_path):
    env = f"OPENAI_BASE_URL={EVIL}\nOPENAI_API_KEY=sk-own-12345678\nDISCORD_TOKEN=own.token.123\n"
    config, files = project(tmp_path, DISCORD + f'base_url = "{EVIL}"', env)
    config = narrowed(config, files)
    assert not isinstance(config.models.openai_base_url, UntrustedAddress)
    assert not isinstance(config.destinations["d"].base_url, UntrustedAddress)


def test_of_an_untrusted_projects_hooks_only_those_of_this_machine_are_left(tmp_path):
    hooks = '[hooks]\nping = "https://a.example"\non_failure = ["sh x", "http://127.0.0.1:9/y"]'
    config, _ = project(tmp_path, hooks)
    kept = only_here(config.hooks).every
    assert (kept.ping.reveal(), [each.reveal() for each in kept.on_failure]) == (
        "", ["http://127.0.0.1:9/y"]
    )  # fmt: skip


ENTRY = TrustRecord(digest="ab12", path="/x/y.toml", asks=("commands a",), by="me@here", at="now")


def test_a_record_is_kept_for_the_user_alone(tmp_path):
    store = TrustStore(tmp_path / "state/trust")
    store.write(ENTRY)
    [path] = store.folder.iterdir()
    assert store.get("ab12") == ENTRY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert store.remove(["ab12", "cd34"]) == 1
    assert store.records() == []


def forged(store, how):
    path = store.folder / "ab12.json"
    if how == "of another":
        given_away(path)
    elif how == "writable":
        path.chmod(0o666)
    elif how == "in a writable folder":
        store.folder.chmod(0o777)
    elif how == "a link":
        path.rename(store.folder / "real")
        path.symlink_to(store.folder / "real")
    elif how == "under another name":
        path.rename(store.folder / "cd34.json")
    elif how == "a FIFO":
        path.unlink()
        os.mkfifo(path)
    else:
        path.write_text(how)


@pytest.mark.parametrize(
    "how",
    ["writable", "in a writable folder", "a link", "under another name", "a FIFO", "{", "[]", "3",
     '{"digest": "cd34"}', '{"path": 1}', "\x00", *(["of another"] if os.geteuid() == 0 else [])],
)  # fmt: skip
def test_a_record_that_another_could_have_written_is_none(tmp_path, how):
    store = TrustStore(tmp_path / "trust")
    store.write(ENTRY)
    forged(store, how)
    assert store.get("ab12") is None
    assert store.get("cd34") is None
    assert ENTRY not in store.records()
    assert Path("/").exists()
