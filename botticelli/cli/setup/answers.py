"""What a new project is given, in a person's words: a channel and a model become settings."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from botticelli.cli.setup.sample import SHIPPED, Path
from botticelli.config.model import Models
from botticelli.config.secrets import Secret
from botticelli.errors import BotticelliError, UsageError
from botticelli.models.open import route
from botticelli.records import record

DISCORD: Final = r"https?://(?:(?:[\w-]+\.)*discord(?:app)?\.com|localhost|127\.0\.0\.1)(?::\d+)?"
CHANNEL: Final = re.compile(
    rf"(?:<#|{DISCORD}/channels/\d+/)?(\d{{15,20}})(?:>|(?:/\d+)?/?)", re.IGNORECASE
)
SERVER: Final = re.compile(r"https?://[^\s/@?#]+(/[^\s?#@]*)?")
WEBHOOK: Final = re.compile(rf"{DISCORD}(?:/[\w./-]*)?/webhooks/\d+/[\w-]+/?", re.IGNORECASE)
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
    address = answer.partition("?")[0]
    if match := CHANNEL.fullmatch(address):
        keys |= {"channel": match[1]}
    elif WEBHOOK.fullmatch(address):
        keys |= {"webhook": "${DISCORD_WEBHOOK}"}
        secrets = {"DISCORD_WEBHOOK": Secret(answer)}
    elif answer:
        shown = "the address" if "/" in answer else f"'{answer}'"  # an address may be a secret
        raise UsageError(f"{shown} is not a channel", where="--channel", hint=CHANNELS)
    return GivenPlace(name="discord", keys=keys, secrets=secrets)


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
        name, _, address = answer.rpartition("@")
        return _served(name, address, ask=ask)
    if server == "local":
        usual: dict[Path, Any] = {
            ("generate", "narrative"): "short_posts.batch",
            ("curate", "mode"): "human",
        }
        return {**_both(answer, "offline"), **usual}
    try:
        route(answer, Models())
    except BotticelliError as error:
        raise UsageError(f"'{answer}': {error.what}", where="--model", hint=MODELS) from error
    judge = SHIPPED.values["models", "judge"] if answer.startswith("gemini-") else answer
    return _both(answer, judge)


def _both(writer: str, judge: str) -> dict[Path, Any]:
    return {("models", "default"): writer, ("models", "judge"): judge}


def _served(name: str, address: str, *, ask: Callable[[str], list[str]]) -> Mapping[Path, Any]:
    """Return the settings for a model of an OpenAI-compatible server, which needs no key."""
    match = SERVER.fullmatch(address)
    if match is None or not name.isprintable():
        raise UsageError("this is not the address of a server", where="--model", hint=MODELS)
    address = address.rstrip("/") + ("" if (match[1] or "").strip("/") else "/v1")
    if not name:
        name, *others = ask(address) or [USUAL]
        if others:
            shown = ", ".join([name, *others][:8])
            hint = f"give NAME@{address} with one of {shown}"
            raise UsageError("the server has several models", where="--model", hint=hint)
    table = name if name not in Models.__dataclass_fields__ else "served"
    return {
        **_both(table, table),
        ("models", "timeout_seconds"): PATIENT,
        ("models", table, "provider"): "openai",
        ("models", table, "model"): name,
        ("models", table, "base_url"): address,
    }


def models_at(address: str, *, say: Callable[[str], None]) -> list[str]:
    """Return the models that an OpenAI-compatible server lists; none if it does not answer."""
    import requests

    try:
        answer = requests.get(f"{address}/models", timeout=3, allow_redirects=False)
        found = [str(each["id"]) for each in answer.json()["data"]]
    except (OSError, ValueError, KeyError, TypeError):
        found = []
    if not found:
        say(f"{address} does not answer: the settings name {USUAL}, as a guess")
    return [name for name in found if name.isprintable()]
