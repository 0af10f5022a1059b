"""From tables of the right structure to Config: values that need more than their type checked."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from botticelli import cron
from botticelli.config.curation import Similarity, Weights
from botticelli.config.model import (
    STAGES,
    ActiveHours,
    Config,
    Curate,
    Database,
    Destination,
    Generate,
    Guard,
    Limits,
    Models,
    Multipliers,
    NamedModel,
    Narratives,
    Post,
    Price,
    Schedule,
    Security,
    Supervision,
)
from botticelli.config.operations import Health, Hooks, Retention, StageHooks
from botticelli.config.secrets import Secret
from botticelli.config.structure import Key, Mistake

Table = Mapping[str, Any]
Stage = TypeVar("Stage", Generate, Curate, Post)
Made = TypeVar("Made")

MODEL_KEYS = frozenset(
    {
        *("default", "judge", "tier", "max_concurrent", "timeout_seconds", "max_attempts"),
        *("spend_limit", "limits", "prices", "aliases"),
    }
)
RETRY_KEYS = frozenset(("max_retries", "continue_on_error", "stop_on_unrecoverable"))
LIST_KEYS = ("quiet_dates", "tags", "content_types")
# The kind of schedule that a key belongs to; time zone and delay serve two kinds.
SCHEDULE_KINDS = {
    "seconds": "Interval",
    "jitter_percent": "Interval",
    "at": "Daily",
    "cron": "Cron",
    "time_zone": "Daily",
    "jitter_minutes": "Daily",
}
SHARED_KEYS = (("time_zone", "Cron"), ("jitter_minutes", "Cron"))


@dataclass(kw_only=True)
class Builder:
    """Makes a Config and collects what is wrong on the way.

    Args:
        base: Folder that relative paths start from.
        state: The user's state folder for this program.
        mistakes: What has been found so far.
    """

    base: Path
    state: Path
    mistakes: list[Mistake] = field(default_factory=list)

    def build(self, tables: Table) -> Config:
        """Return the configuration that the tables describe; see `mistakes` before using it."""
        return Config(
            database=self._database(tables.get("database", {})),
            narratives=self._narratives(tables.get("narratives", {})),
            models=self._models(tables.get("models", {})),
            budget=Multipliers(**tables.get("budget", {})),
            generate=self._stage(Generate(), tables.get("generate", {}), "generate"),
            curate=self._curate(tables.get("curate", {})),
            similarity=_similarity(tables.get("similarity", {})),
            post=self._stage(Post(), tables.get("post", {}), "post"),
            supervision=_supervision(tables.get("circuit_breaker", {}), tables.get("lease", {})),
            destinations=MappingProxyType(
                {
                    name: self._destination(name, table)
                    for name, table in tables.get("destinations", {}).items()
                }
            ),
            security=_security(tables.get("security", {})),
            hooks=_hooks(tables.get("hooks", {})),
            health=_health(tables.get("health", {})),
            retention=Retention(**tables.get("retention", {})),
        )

    def _path(self, text: str) -> Path:
        return self.base / Path(text).expanduser()

    def _try(self, path: tuple[Key, ...], make: Callable[[], Made], hint: str = "") -> Made | None:
        """Return what `make` makes; a value it cannot be made of becomes a mistake."""
        try:
            return make()
        except (ValueError, re.error) as error:
            self.mistakes.append(Mistake(path=path, what=str(error), hint=hint))
            return None

    def _database(self, table: Table) -> Database:
        binaries = table.get("binaries")
        folder = table.get("folder")
        return Database(
            url=table.get("url", ""),
            folder=self._path(folder) if folder else self.state / "postgres",
            binaries=self._path(binaries) if binaries else None,
        )

    def _narratives(self, table: Table) -> Narratives:
        known = Narratives()
        folders = table.get("folders", ["narratives"])
        return Narratives(
            folders=tuple(self._path(folder) for folder in folders),
            context=tuple(self._path(folder) for folder in table.get("context", ())),
            writable_tables=tuple(table.get("writable_tables", known.writable_tables)),
            private_urls=table.get("private_urls", known.private_urls),
        )

    def _models(self, table: Table) -> Models:
        known = Models()
        names = ("tier", "max_concurrent", "max_attempts", "spend_limit")
        return replace(
            known,
            default=_names(table.get("default", known.default)),
            judge=_names(table.get("judge", known.judge)),
            timeout=timedelta(seconds=table.get("timeout_seconds", known.timeout.total_seconds())),
            limits=MappingProxyType(
                {name: self._limits(name, row) for name, row in table.get("limits", {}).items()}
            ),
            prices=MappingProxyType(
                {name: self._prices(name, rows) for name, rows in table.get("prices", {}).items()}
            ),
            aliases=MappingProxyType(dict(table.get("aliases", {}))),
            named=MappingProxyType(
                {key: self._named(row) for key, row in table.items() if key not in MODEL_KEYS}
            ),
            **{name: table[name] for name in names if name in table},
        )

    def _limits(self, name: str, row: Table) -> Limits:
        self._check_zone(row.get("time_zone", "UTC"), ("models", "limits", name, "time_zone"))
        return Limits(**row)

    def _prices(self, name: str, rows: Any) -> tuple[Price, ...]:
        path = ("models", "prices", name)
        made = []
        for row in rows if isinstance(rows, list) else [rows]:
            values = dict(row)
            if "valid_from" in row:
                first = partial(date.fromisoformat, row["valid_from"])
                values["valid_from"] = self._try((*path, "valid_from"), first) or date.min
            made.append(Price(**values))
        return tuple(sorted(made, key=lambda price: price.valid_from))

    def _named(self, table: Table) -> NamedModel:
        path = table.get("path")
        values = {key: value for key, value in table.items() if key not in ("api_key", "path")}
        return NamedModel(
            **values,
            api_key=Secret(table.get("api_key", "")),
            path=self._path(path) if path else None,
        )

    def _curate(self, table: Table) -> Curate:
        curate = self._stage(Curate(), table, "curate")
        weights = Weights(**table.get("weights", {}))
        if not any(vars(weights).values()):
            path = ("curate", "weights")
            self.mistakes.append(Mistake(path=path, what="no criterion counts anything"))
        strategy = table.get("processing_strategy", "single_run")
        return replace(curate, drain=strategy == "drain_queue", weights=weights)

    def _destination(self, name: str, table: Table) -> Destination:
        path: tuple[Key, ...] = ("destinations", name)
        values = {key: table[key] for key in table if key not in ("min_interval_minutes", "guard")}
        values |= {key: tuple(values[key]) for key in LIST_KEYS if key in values}
        values |= {key: Secret(values[key]) for key in ("token", "webhook") if key in values}
        if "channel" in values:
            values["channel"] = str(values["channel"])
        if "min_interval_minutes" in table:
            values["min_interval"] = timedelta(minutes=table["min_interval_minutes"])
        if "active_hours" in table:
            hours = table["active_hours"]
            values["active_hours"] = self._try((*path, "active_hours"), partial(_hours, hours))
        self._check_zone(table.get("time_zone", "UTC"), (*path, "time_zone"))
        for index, day in enumerate(table.get("quiet_dates", ())):
            self._try((*path, "quiet_dates", index), partial(_day, day))
        values["folder"] = self._path(table.get("folder", "outbox"))
        guard = self._guard(table.get("guard", {}), (*path, "guard"))
        return Destination(name=name, guard=guard, **values)

    def _stage(self, known: Stage, table: Table, name: str) -> Stage:
        """Return the stage with what the table changes; `known` has the shipped values."""
        own = {key: value for key, value in table.items() if key in known.__dataclass_fields__}
        retry = replace(known.retry, **{key: table[key] for key in table if key in RETRY_KEYS})
        path = (name, "schedule")
        schedule = self._schedule(known.schedule, table.get("schedule", {}), path)
        return replace(known, **(own | {"retry": retry, "schedule": schedule}))

    def _schedule(self, known: Schedule, table: Table, path: tuple[Key, ...]) -> Schedule:
        kind = table.get("type", known.kind)
        for key in table:
            if SCHEDULE_KINDS.get(key, kind) != kind and (key, kind) not in SHARED_KEYS:
                what = f"'{key}' means nothing to type = \"{kind}\""
                self.mistakes.append(Mistake(path=(*path, key), what=what, hint="remove it"))
        self._check_zone(table.get("time_zone", "UTC"), (*path, "time_zone"))
        if kind == "Interval":
            seconds = table.get("seconds", known.interval.total_seconds())
            jitter = table.get("jitter_percent", known.jitter_percent)
            return Schedule(interval=timedelta(seconds=seconds), jitter_percent=jitter)
        needed = "at" if kind == "Daily" else "cron"
        if needed not in table:
            self.mistakes.append(Mistake(path=path, what=f"'{needed}' is missing"))
        return Schedule(
            kind=kind,
            interval=self._longest_gap(table, path),
            at=tuple(table.get("at", ())),
            cron=table.get("cron", ""),
            time_zone=table.get("time_zone", "UTC"),
            delay=timedelta(minutes=table.get("jitter_minutes", 0)),
        )

    def _longest_gap(self, table: Table, path: tuple[Key, ...]) -> timedelta:
        """Return how far apart two rounds of a Daily or Cron schedule are at most."""
        if "cron" not in table:
            return timedelta(days=1)
        found = self._try((*path, "cron"), partial(cron.parse, table["cron"]))
        return cron.longest_gap(found) if found else timedelta(days=1)

    def _check_zone(self, name: str, path: tuple[Key, ...]) -> None:
        if name == "UTC":
            return
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            hint = "use a name such as 'Europe/Berlin'"
            self.mistakes.append(
                Mistake(path=path, what=f"there is no time zone '{name}'", hint=hint)
            )

    def _guard(self, table: Table, path: tuple[Key, ...]) -> Guard:
        for index, pattern in enumerate(table.get("forbidden", ())):
            self._try(
                (*path, "forbidden", index),
                partial(re.compile, pattern),
                hint="fix the regular expression",
            )
        values: dict[str, Any] = dict(table)
        values |= {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
        return Guard(**values)


def _security(table: Table) -> Security:
    values: dict[str, Any] = dict(table)
    values |= {key: tuple(map(str, value)) for key, value in table.items() if type(value) is list}
    values["rate_limits"] = MappingProxyType(dict(table.get("rate_limits", {})))
    return Security(**values)


def _similarity(table: Table) -> Similarity:
    values = {key: table[key] for key in table if key != "window_days"}
    if "window_days" in table:
        values["window"] = timedelta(days=table["window_days"])
    return Similarity(**values)


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _hooks(table: Table) -> Hooks:
    known = Hooks()
    timeout = table.get("timeout_seconds", known.timeout.total_seconds())
    stages: dict[str, StageHooks] = {
        name: _stage_hooks(table[name]) for name in STAGES if table.get(name)
    }
    return Hooks(
        timeout=timedelta(seconds=timeout),
        every=_stage_hooks(table),
        stages=MappingProxyType(stages),
    )


def _stage_hooks(table: Table) -> StageHooks:
    told = {
        key: tuple(Secret(text) for text in _names(value) if text)
        for key, value in table.items()
        if key.startswith("on_")
    }
    return StageHooks(ping=Secret(table.get("ping", "")), **told)


def _health(table: Table) -> Health:
    values = {key: value for key, value in table.items() if key != "stuck_minutes"}
    if "stuck_minutes" in table:
        values["stuck"] = timedelta(minutes=table["stuck_minutes"])
    return Health(**values)


def _supervision(breaker: Table, lease: Table) -> Supervision:
    known = Supervision()
    reset = breaker.get("reset_timeout_seconds", known.reset_timeout.total_seconds())
    return Supervision(
        lease=timedelta(seconds=lease.get("seconds", known.lease.total_seconds())),
        failure_threshold=breaker.get("failure_threshold", known.failure_threshold),
        reset_timeout=timedelta(seconds=reset),
    )


def _hours(text: str) -> ActiveHours:
    """Return "09:00-21:00" as two local times; "24:00" is midnight."""
    start, end = (part.strip() for part in text.split("-"))
    if start == end:
        raise ValueError(f"'{text}' begins where it ends; leave it out for any hour")
    return ActiveHours(start=_time(start), end=_time(end))


def _time(text: str) -> time:
    hour, minute = map(int, text.split(":"))
    if (hour, minute) == (24, 0):
        return time(0)
    try:
        return time(hour, minute)
    except ValueError:
        raise ValueError(f"'{text}' is no time of day") from None


def _day(text: str) -> date:
    """Return "12-25" or "2026-12-25" as a date, in a leap year if no year is given."""
    try:
        return date.fromisoformat(text if len(text) > 5 else f"2000-{text}")
    except ValueError:
        raise ValueError(f"'{text}' is no day of the calendar") from None
