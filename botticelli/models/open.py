"""From a model's name to the driver that reaches it, imported when it is asked for."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from botticelli.config import plugins
from botticelli.config.addresses import require_web
from botticelli.config.model import Models, NamedModel
from botticelli.errors import ConfigError
from botticelli.models import local
from botticelli.models.base import Model
from botticelli.models.catalogue import PICTURES
from botticelli.records import record

PROVIDERS = ("gemini", "openai", "local", "offline", "scripted", "pictures")
FREE = frozenset({"local", "offline", "scripted", "pictures"})  # these calls are not counted
_PREFIXES = ("openai:", "local:", "scripted:", "gemini:")
_OTHERS = ("claude", "mistral", "command-", "grok", "whisper")


@record
class Opened:
    """A model that can be asked.

    Args:
        name: The provider's name for it.
        server: Root of the API; empty: the provider's own.
    """

    name: str
    provider: str
    driver: Model
    server: str = ""

    @property
    def account(self) -> str:
        """The ledger's name for it."""
        return f"{self.provider}/{self.name}"

    @property
    def is_free(self) -> bool:
        """Whether it has neither limits nor a price."""
        return self.provider in FREE


class Drivers:
    """The drivers of one process, each made once and shared by its threads.

    `replaced` says which model stands in for one that its provider does not serve (any more),
    `served` which one answered, and `refused` which settings a model at a server takes no request
    with. Threads may set and read their items.
    """

    def __init__(self, config: Models) -> None:
        self.config = config
        self.replaced: dict[str, str] = {}
        self.served: dict[str, str] = {}
        self.refused: dict[tuple[str, str], frozenset[str]] = {}
        self._lock = threading.Lock()
        self._made: dict[tuple[str, ...], Model] = {}
        self._slots: dict[str, threading.BoundedSemaphore] = {}
        self._noted: set[str] = set()

    def open(self, name: str) -> Opened:
        """Return the model of that name, with its driver.

        Raises:
            ConfigError: No way to such a model is known, or its key or library is missing.
        """
        way = route(name, self.config)
        place = str(way.path or way.base_url)
        shared = (way.provider, place, way.api_key.reveal(), way.response_format or "")
        with self._lock:
            if shared not in self._made:
                make = _MAKERS.get(way.provider) or plugins.find(plugins.MODELS, way.provider)
                assert make is not None, "route() lets only known providers pass"
                self._made[shared] = make(way, self.config)
            return Opened(
                name=way.model,
                provider=way.provider,
                driver=self._made[shared],
                server=way.base_url or str(getattr(self.config, f"{way.provider}_base_url", "")),
            )

    def close(self) -> None:
        """Close what the drivers hold open (connections, a loaded model)."""
        with self._lock:
            made, self._made = list(self._made.values()), {}
        for driver in made:
            driver.close()

    def slot(self, name: str) -> threading.BoundedSemaphore | None:
        """Return what bounds the calls to a model under way at once; None if nothing does."""
        limits = self.config.limits.get(name)
        if limits is None or limits.max_concurrent is None:
            return None
        with self._lock:
            return self._slots.setdefault(name, threading.BoundedSemaphore(limits.max_concurrent))

    def at_once(self, names: Sequence[str]) -> int | None:
        """Return how many callers of these models are worth having; None for any number.

        A local model keeps a conversation in each of its slots: more callers than slots would
        only make it read every prompt from its beginning again.
        """
        providers = {route(name, self.config).provider for name in names}
        return local.SLOTS if providers == {"local"} else None

    def is_first(self, note: str) -> bool:
        """Return whether this was not said before in this process."""
        with self._lock:
            if note in self._noted:
                return False
            self._noted.add(note)
            return True

    def account(self, name: str) -> str:
        """Return the model whose quota a call to `name` uses, as far as is known."""
        return self.served.get(name, name)


def route(name: str, config: Models) -> NamedModel:
    """Return the way to a model: `[models.NAME]`, a prefix, or the family of its name.

    Raises:
        ConfigError: None of these is known.
    """
    if name in config.named:
        named = config.named[name]
        _check_provider(named.provider, name)
        return replace(named, model=named.model or name)
    if name in {"offline", "local"}:
        return NamedModel(provider=name, model=name)
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            rest = name.removeprefix(prefix)
            is_file = prefix in {"local:", "scripted:"}
            return NamedModel(
                provider=prefix[:-1], model=rest, path=Path(rest).expanduser() if is_file else None
            )
    if name.startswith(("gemini-", "gemma-", "models/gemini-")):
        return NamedModel(provider="gemini", model=name.removeprefix("models/"))
    if name.startswith(("gpt-", "o1", "o3", "o4", "chatgpt-", "dall-e-")):
        return NamedModel(provider="openai", model=name)
    raise _unknown(name)


def can_draw(name: str, config: Models) -> bool:
    """Return whether a model makes pictures, as far as its name says; a server of one's own may.

    Raises:
        ConfigError: Nothing is known about it.
    """
    way = route(config.aliases.get(name, name), config)
    is_own = way.provider == "openai" and (way.base_url or config.openai_base_url)
    if way.provider == "gemini" or (way.provider == "openai" and not is_own):
        return PICTURES.search(way.model) is not None
    return way.provider != "local"


def require_drawing(name: str, config: Models) -> None:
    """Check that a model makes pictures, as far as its name says.

    Raises:
        ConfigError: It does not.
    """
    if not can_draw(name, config):
        raise ConfigError(
            "it makes no pictures",
            where=f"model '{name}'",
            hint='name one that does in the act of type image: model = "gemini-nano-banana-2.1"',
        )


def _check_provider(provider: str, name: str) -> None:
    if provider not in PROVIDERS and provider not in plugins.names(plugins.MODELS):
        raise ConfigError(
            f"there is no provider '{provider}'",
            where=f"models.{name}.provider",
            hint=f"choose one of {', '.join(PROVIDERS)}",
        )


def _unknown(name: str) -> ConfigError:
    if name.startswith(_OTHERS):
        return ConfigError(
            "there is no driver for this family of models",
            where=f"model '{name}'",
            hint=f'reach it through an OpenAI-compatible service: add [models."{name}"] '
            'with provider = "openai" and its base_url, or choose a gemini-* model',
        )
    return ConfigError(
        "nothing is known about this model",
        where=f"model '{name}'",
        hint=f'add [models."{name}"] with a provider, or prefix it with openai:, local: or gemini:',
    )


def _gemini(way: NamedModel, config: Models) -> Model:
    from botticelli.models.gemini import Gemini

    base_url = _root(way, config.gemini_base_url, variable="GOOGLE_GEMINI_BASE_URL")
    key = way.api_key or config.gemini_key
    return Gemini(key=key, base_url=base_url, timeout=config.timeout)


def _openai(way: NamedModel, config: Models) -> Model:
    from botticelli.models.openai_compatible import OpenAICompatible

    base_url = _root(way, config.openai_base_url, variable="OPENAI_BASE_URL")
    key = way.api_key or config.openai_key
    return OpenAICompatible(
        key=key,
        base_url=base_url,
        timeout=config.timeout,
        response_format=way.response_format or "",
    )


def _root(way: NamedModel, usual: str, *, variable: str) -> str:
    hint = f"{variable}, or base_url in [models.NAME]"
    return require_web(way.base_url or usual, where=way.provider, hint=hint)


def _offline(_way: NamedModel, _config: Models) -> Model:
    from botticelli.models.offline.driver import Offline

    return Offline()


def _pictures(way: NamedModel, config: Models) -> Model:
    from botticelli.models.images.stock import Stock

    base_url = _root(way, "", variable="")
    return Stock(path=way.path, base_url=base_url, timeout=config.timeout)


def _scripted(way: NamedModel, _config: Models) -> Model:
    from botticelli.models.offline.scripted import Scripted

    if way.path is None:
        raise ConfigError(
            "a scripted model needs a file", where=f"model '{way.model}'", hint="give scripted:PATH"
        )
    return Scripted.from_file(way.path)


_MAKERS: dict[str, Callable[[NamedModel, Models], Model]] = {
    "gemini": _gemini,
    "openai": _openai,
    "local": lambda way, _config: local.Local(path=way.path),
    "offline": _offline,
    "scripted": _scripted,
    "pictures": _pictures,
}
