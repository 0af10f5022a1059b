"""actor_server.toml with its actors/*.toml of the earlier system becomes botticelli.toml."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from botticelli.config.model import StageName
from botticelli.config.sources import read_text
from botticelli.errors import ConfigError
from botticelli.records import record
from botticelli.toml_lines import parse

Table = dict[str, Any]

HEAD: Final = "# Made by `botticelli import` from {file}.\n"
EXECUTION: Final = ("max_retries", "continue_on_error", "stop_on_unrecoverable")
SCHEDULES: Final[Mapping[str, tuple[str, ...]]] = {
    "Interval": ("seconds", "jitter_percent"),
    "Daily": ("at", "time_zone", "jitter_minutes"),
    "Cron": ("cron", "time_zone", "jitter_minutes"),
}
# What has an answer of ours in place of the setting.
INSTEAD: Final[Mapping[str, str]] = {
    "server.check_interval_seconds": "timers wake the stages; nothing has to be polled",
    "server.state_persistence_enabled": "all state is in PostgreSQL, always",
    "server.observability.health_endpoint": "use `botticelli health`",
    "server.observability.metrics_enabled": "use `botticelli metrics`",
    "server.observability.log_level": "set BOTTICELLI_LOG=debug for more than the usual",
    "database.pool_size": "a command opens the connections that it needs",
    "database.connection_timeout_seconds": "write ?connect_timeout=30 into the URL",
}


@record
class Imported:
    """A configuration of ours, and what could not be carried over into it."""

    text: str
    notes: tuple[str, ...]


@record
class _Draft:
    """What has been found so far: our tables, folders with narratives, and notes."""

    tables: dict[str, Table] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def convert(file: Path) -> Imported:
    """Return our configuration for a server file, or for a single actor's file.

    Raises:
        ConfigError: A file is not there or no TOML, or has neither actors nor an actor.
    """
    document = parse(read_text(file, str(file)), str(file))
    draft = _Draft()
    if "actor" in document:
        _actor(document, draft, where=file.name)
    else:
        _server(document, draft, file=file)
    if draft.folders:
        draft.tables["narratives"] = {"folders": draft.folders}
    return Imported(text=_text(draft.tables, file), notes=tuple(draft.notes))


def _server(document: Table, draft: _Draft, *, file: Path) -> None:
    actors = document.pop("actors", [])
    if not actors:
        raise ConfigError(
            "has neither [[actors]] nor an [actor]", where=str(file), hint="name a server's file"
        )
    server = document.get("server", {})
    breaker = server.pop("circuit_breaker", {})
    if "max_consecutive_failures" in breaker:
        breaker["failure_threshold"] = breaker.pop("max_consecutive_failures")
    if breaker.pop("enabled", True):
        _move(breaker, draft, "circuit_breaker", ("failure_threshold", "reset_timeout_seconds"))
    else:
        draft.notes.append("server.circuit_breaker.enabled: ours cannot be switched off")
    _move(document.get("database", {}), draft, "database", ("url",))
    for key in ("name", "description"):
        server.pop(key, None)
    _report_left(document, draft)
    _report_left({"server": {"circuit_breaker": breaker}}, draft)
    for entry in actors:
        actor_file = file.parent / str(entry.pop("config_file", ""))
        actor = parse(read_text(actor_file, str(actor_file)), str(actor_file))
        _actor(_with_entry(actor, entry, draft), draft, where=actor_file.name)


def _with_entry(document: Table, entry: Table, draft: _Draft) -> Table:
    """Return an actor with what its line in the server's file says over it."""
    actor = document.setdefault("actor", {})
    name = str(entry.pop("name", actor.get("name", "")))
    actor["name"] = name
    if "schedule" in entry:
        actor["schedule"] = entry.pop("schedule")
    if "channel_id" in entry:
        document["platform"] = {"type": "discord", "channel_id": entry.pop("channel_id")}
    if not entry.pop("enabled", True):
        draft.notes.append(f"actors: {name} is not enabled; pause its stage: botticelli pause")
    _report_left({"actors": entry}, draft)
    return document


def _actor(document: Table, draft: _Draft, *, where: str) -> None:
    actor = document.get("actor", {})
    skill = document.get("skills", {}).get("narrative_execution", {})
    stage = _stage_of(str(actor.pop("name", "")), document)
    if stage in draft.tables:
        draft.notes.append(f"{where}: a second {stage} actor; one stage does the work of all")
        return
    draft.tables[stage] = {}
    actor.pop("description", None)
    _schedule(actor.pop("schedule", {}), draft, stage, where)
    execution = actor.get("execution", {})
    _move(execution, draft, stage, EXECUTION)
    _strategy(str(execution.pop("processing_strategy", "")), draft, stage, where)
    _narrative(skill, draft, stage, where)
    if document.get("platform", {}).get("type") == "discord":
        platform = document.pop("platform")
        channel = str(platform.pop("channel_id", "${POSTING_CHANNEL_ID}"))
        draft.tables["destinations.discord"] = {"platform": "discord", "channel": channel}
        _report_left({"platform": {k: v for k, v in platform.items() if k != "type"}}, draft, where)
    _report_left(document, draft, where)


def _stage_of(name: str, document: Table) -> StageName:
    if "platform" in document or "post" in name.lower():
        return "post"
    return "curate" if "curat" in name.lower() else "generate"


def _schedule(table: Table, draft: _Draft, stage: str, where: str) -> None:
    kind = str(table.pop("type", "Interval"))
    if kind not in SCHEDULES:
        draft.notes.append(f"{where}: actor.schedule.type = {kind!r}: there is no such kind")
        return
    if kind == "Cron" and "expression" in table:
        table["cron"] = table.pop("expression")
    draft.tables[f"{stage}.schedule"] = {"type": kind}
    _move(table, draft, f"{stage}.schedule", SCHEDULES[kind])
    _report_left({"actor": {"schedule": table}}, draft, where)


def _strategy(strategy: str, draft: _Draft, stage: str, where: str) -> None:
    if strategy == "drain_queue" and stage == "curate":
        draft.tables[stage]["processing_strategy"] = strategy
    elif strategy not in ("", "single_run"):
        draft.notes.append(f"{where}: actor.execution.processing_strategy = {strategy!r}")


def _narrative(skill: Table, draft: _Draft, stage: str, where: str) -> None:
    path, name = str(skill.pop("narrative_path", "")), str(skill.pop("narrative_name", ""))
    if skill.pop("enabled", True) is False:
        draft.notes.append(f"{where}: the actor is disabled; pause it: botticelli pause {stage}")
    if not path:
        return
    if stage == "post":
        draft.notes.append(
            f"{where}: {Path(path).name} is not needed: post sends the approved text as it is"
        )
        return
    stem, folder = Path(path).stem, str(Path(path).parent)
    draft.tables[stage]["narrative"] = f"{stem}.{name}" if name and name != stem else stem
    if folder not in draft.folders:
        draft.folders.append(folder)


def _move(source: Table, draft: _Draft, target: str, keys: tuple[str, ...]) -> None:
    found = {key: source.pop(key) for key in keys if key in source}
    if found:
        draft.tables.setdefault(target, {}).update(found)


def _report_left(table: Mapping[str, Any], draft: _Draft, where: str = "") -> None:
    prefix = f"{where}: " if where else ""
    for key, value in _leaves(table):
        reason = INSTEAD.get(key, "not carried over")
        draft.notes.append(f"{prefix}{key} = {json.dumps(value, default=str)}: {reason}")


def _leaves(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _text(tables: Mapping[str, Table], file: Path) -> str:
    parts = [HEAD.format(file=file.name)]
    for name in sorted(tables, key=lambda each: (each.partition(".")[0], each)):
        if tables[name]:
            lines = [
                f"{key} = {json.dumps(value, ensure_ascii=False)}\n"
                for key, value in tables[name].items()
            ]
            parts.append(f"\n[{name}]\n{''.join(lines)}")
    return "".join(parts)
