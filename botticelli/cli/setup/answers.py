"""What a new project is given, in a person's words: a channel and a model become settings."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from botticelli.cli.setup.sample import SHIPPED, Path
from botticelli.config.model import Models
from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError, UsageError
from botticelli.records import record

ID: Final = re.compile(r"(?:<#)?(\d{15,20})>?")
LINK: Final = re.compile(r"/channels/\d+/(\d{15,20})(?:/\d+)?/?")
WEBHOOK: Final = re.compile(r".*/webhooks/\d+/[\w-]+/?")
HOSTS: Final = re.compile(r"(?:.+\.)?(?:discord(?:app)?\.com|localhost)|127\.0\.0\.1|::1")
SERVERS: Final[Mapping[str, str]] = {
    "ollama": "http://localhost:11434/v1",
    "lmstudio": "http://localhost:1234/v1",
    "llamacpp": "http://localhost:8080/v1",
}
USUAL: Final = "qwen3:8b"  # what docs/without-a-key.md recommends
PATIENT: Final = 600  # seconds for an answer of a machine's own cores
CHANNELS: Final = "give a channel's id or link, a webhook's URL, or file"
MODELS: Final = "give gemini, ollama:NAME, NAME@URL of a server, local or offline"


@record
class GivenPlace:
    """Where posts go: the destination's name and keys, and the secrets that they name."""

    name: str
    keys: Mapping[str, Any]
    secrets: Mapping[str, Secret]


def place_of(answer: str) -> GivenPlace:
    """Return the destination that somebody means; empty: POSTING_CHANNEL_ID, whatever it will be.

    Raises:
        UsageError: It is none.
    """
    answer = answer.strip()
    if answer in ("file", "outbox"):
        return GivenPlace(
            name="outbox", keys={"platform": "outbox", "folder": "outbox"}, secrets={}
        )
    keys, secrets = {"platform": "discord"}, dict[str, Secret]()
    if "://" in answer:
        channel = _by_address(answer)
        if channel is None:
            keys |= {"webhook": "${DISCORD_WEBHOOK}"}
            secrets = {"DISCORD_WEBHOOK": Secret(answer)}
        else:
            keys |= {"channel": channel}
    elif match := ID.fullmatch(answer):
        keys |= {"channel": match[1]}
    elif answer:
        raise UsageError(f"'{answer}' is not a channel", where="--channel", hint=CHANNELS)
    return GivenPlace(name="discord", keys=keys, secrets=secrets)


def _by_address(address: str) -> str | None:
    """Return the channel that a link leads to; None: it is a webhook's URL, which is a secret."""
    parts = _parts(address)
    is_discord = bool(HOSTS.fullmatch(parts.hostname or ""))
    if is_discord and WEBHOOK.fullmatch(parts.path):
        return None
    if is_discord and (match := LINK.fullmatch(parts.path)):
        return match[1]
    what = (
        "the address is neither a channel's link nor a webhook's"  # it may be a secret: not shown
    )
    hint = "https://discord.com/channels/SERVER/CHANNEL or .../api/webhooks/ID/TOKEN"
    raise UsageError(what, where="--channel", hint=hint)


def _parts(address: str) -> SplitResult:
    """Return the parts of a web address; empty ones of anything else."""
    try:
        parts = urlsplit(address)
        is_web = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        is_web = False
    return urlsplit(address) if is_web else urlsplit("")


def models_of(answer: str, *, ask: Callable[[str], list[str]]) -> Mapping[Path, Any]:
    """Return the settings for the model that somebody means, by key; empty: the shipped ones.

    Args:
        answer: A model, a server's URL, or NAME@URL.
        ask: Returns the models that the server at a URL has; none if it does not answer.

    Raises:
        UsageError: It is none.
    """
    answer = answer.strip()
    server, _, name = answer.partition(":")
    if answer in ("", "gemini"):
        return {key: value for key, value in SHIPPED.values.items() if key[0] == "models"}
    if server in SERVERS:
        return _served(name, SERVERS[server], ask=ask)
    if "://" in answer:
        name, at, address = answer.rpartition("@")
        return _served(name if at else "", address, ask=ask)
    if answer == "local" or answer.startswith("local:"):
        return {
            **_both(answer, "offline"),
            ("generate", "narrative"): "short_posts.batch",
            ("curate", "mode"): "human",
        }
    _check(answer)
    judge = SHIPPED.values["models", "judge"] if answer.startswith("gemini-") else answer
    return _both(answer, judge)


def _both(writer: str, judge: str) -> dict[Path, Any]:
    return {("models", "default"): writer, ("models", "judge"): judge}


def _check(name: str) -> None:
    from botticelli.models.open import route

    try:
        route(name, Models())
    except BotticelliError as error:
        raise UsageError(f"'{name}': {error.what}", where="--model", hint=MODELS) from error


def _served(name: str, address: str, *, ask: Callable[[str], list[str]]) -> Mapping[Path, Any]:
    """Return the settings for a model of an OpenAI-compatible server, which needs no key."""
    parts = _parts(address)
    if not parts.hostname or parts.password or not (address + name).isprintable():
        raise UsageError("this is not the address of a server", where="--model", hint=MODELS)
    address = address.rstrip("/") + ("" if parts.path.strip("/") else "/v1")
    if not name:
        names = ask(address) or [USUAL]
        if len(names) > 1:
            shown = ", ".join(names[:8])
            hint = f"give NAME@{address} with one of {shown}"
            raise UsageError("the server has several models", where="--model", hint=hint)
        name = names[0]
    table = name if name not in Models.__dataclass_fields__ else "served"
    own = {"provider": "openai", "model": name, "base_url": address}
    return {
        **_both(table, table),
        ("models", "timeout_seconds"): PATIENT,
        **{("models", table, key): value for key, value in own.items()},
    }


def models_at(address: str) -> list[str]:
    """Return the models that an OpenAI-compatible server lists; none if it does not answer."""
    import requests

    try:
        answer = requests.get(f"{address}/models", timeout=3, allow_redirects=False)
        found = [str(each["id"]) for each in answer.json()["data"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [name for name in found if name.isprintable()]
