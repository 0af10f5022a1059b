"""botticelli.toml, the environment and the command line become one Config, or one ConfigError.

Command line goes before environment, environment before file, file before the shipped defaults.
Every mistake is found in one go.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from botticelli.config import plugins
from botticelli.config.build import Builder
from botticelli.config.model import Config, DatabaseConfig, Destination
from botticelli.config.secrets import find_secret
from botticelli.config.sources import Expander, read_text, user_folder
from botticelli.config.structure import Mistake, mistakes, schema
from botticelli.errors import ConfigError, Problem
from botticelli.toml_lines import key_lines, line_of, parse

if TYPE_CHECKING:
    from botticelli.config.hiding import Hider

DISCORD: Final = "https://discord.com/api/v10"
DEFAULT_DESTINATIONS: Final = {"discord": {"platform": "discord"}}


def load(file: Path | None, *, environ: Mapping[str, str], cwd: Path) -> Config:
    """Return the configuration of `file` (None: the shipped one) in that environment.

    Raises:
        ConfigError: What is wrong in the file or the environment; carries every mistake.
    """
    name = _short(file, cwd)
    text = read_text(file, name) if file else ""
    tables = parse(text, name)
    expander = Expander(environ)
    tables = expander.expand(tables)
    found = [one for one in mistakes(tables, schema(tables)) if not _is_plugin(tables, one)]
    if not found:
        state = user_folder(environ, "XDG_STATE_HOME", ".local/state") / "botticelli"
        shipped = Config(database=DatabaseConfig(folder=state / "postgres"))
        builder = Builder(base=file.parent if file else cwd)
        config = builder.record(Config, _with_default_destination(tables), shipped)
        found = builder.mistakes
        if not found:
            config = replace(config, source=file, unset=MappingProxyType(expander.unset))
            return _with_environment(config, environ)
    from botticelli.config.hiding import Hider, secrets_in_table

    hider = Hider(secrets_in_table(tables))  # a mistake shows the value that is wrong
    raise ConfigError.of([_problem(_without(hider, one), text, name) for one in found])


def offline(config: Config, *, cwd: Path) -> Config:
    """Return `config` without key or network: the offline model, and posts go to ./outbox."""
    outbox = Destination(name="outbox", platform="outbox", folder=cwd / "outbox")
    return replace(
        config,
        models=replace(config.models, default=("offline",), judge=("offline",), only=("offline",)),
        destinations=MappingProxyType({"outbox": outbox}),
    )


def _with_default_destination(tables: dict[str, Any]) -> dict[str, Any]:
    return tables if "destinations" in tables else tables | {"destinations": DEFAULT_DESTINATIONS}


def _is_plugin(tables: Any, mistake: Mistake) -> bool:
    """Return whether a platform or provider is unknown to the schema, but not to a plugin."""
    groups = {"platform": plugins.PLATFORMS, "provider": plugins.MODELS}
    group = groups.get(str(mistake.path[-1])) if mistake.path else None
    if group is None:
        return False
    for key in mistake.path:
        tables = tables[key]
    return tables in plugins.names(group)


def _short(file: Path | None, cwd: Path) -> str:
    """Return the file as a person would name it from where they are."""
    if file is None:
        return "botticelli.toml"
    return str(file.relative_to(cwd)) if file.is_relative_to(cwd) else str(file)


def _without(hider: "Hider", mistake: Mistake) -> Mistake:
    return replace(mistake, what=hider.hide(mistake.what), hint=hider.hide(mistake.hint))


def _problem(mistake: Mistake, text: str, file: str) -> Problem:
    line = line_of(mistake.path, key_lines(text))
    place = f"{file}:{line}" if line else file
    key = _dotted(mistake.path)
    return Problem(what=mistake.what, where=f"{place}: {key}" if key else place, hint=mistake.hint)


def _dotted(path: tuple[str | int, ...]) -> str:
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}"
    return text.removeprefix(".")


def _with_environment(config: Config, environ: Mapping[str, str]) -> Config:
    """Return `config` with what environment variables and credentials say over it."""
    unset = dict(config.unset)
    url = find_secret("DATABASE_URL", environ).reveal()
    database = replace(config.database, url=url) if url else config.database
    if url:
        unset.pop("database.url", None)
    gemini = find_secret("GEMINI_API_KEY", environ) or find_secret("GOOGLE_API_KEY", environ)
    models = replace(
        config.models,
        gemini_key=gemini,
        gemini_base_url=environ.get("GOOGLE_GEMINI_BASE_URL", ""),
        openai_key=find_secret("OPENAI_API_KEY", environ),
        openai_base_url=environ.get("OPENAI_BASE_URL", ""),
    )
    destinations = {
        name: _reachable(destination, environ, unset)
        for name, destination in config.destinations.items()
    }
    return replace(
        config,
        database=database,
        models=models,
        destinations=MappingProxyType(destinations),
        unset=MappingProxyType(unset),
    )


def _reachable(
    destination: Destination, environ: Mapping[str, str], unset: dict[str, str]
) -> Destination:
    """Fill in the token, channel and address that a Discord destination leaves open."""
    if destination.platform != "discord":
        return destination
    key = f"destinations.{destination.name}"
    token, channel = destination.token, destination.channel
    if not token and f"{key}.token" not in unset:
        token = find_secret("DISCORD_TOKEN", environ) or find_secret("DISCORD_BOT_TOKEN", environ)
    if not channel and not destination.webhook and f"{key}.channel" not in unset:
        channel = environ.get("POSTING_CHANNEL_ID", "").strip()
        if not channel:
            unset[f"{key}.channel"] = "POSTING_CHANNEL_ID"
    base = environ.get("DISCORD_API_BASE", "") or destination.base_url or DISCORD
    return replace(destination, token=token, channel=channel, base_url=_with_version(base))


def _with_version(base: str) -> str:
    base = base.rstrip("/")
    return f"{base}/v10" if base.endswith("/api") else base
