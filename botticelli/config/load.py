"""botticelli.toml, the environment and the command line become one Config, or one ConfigError.

Command line goes before environment, environment before file, file before the shipped defaults.
Every mistake is found in one go.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_args, get_origin

from botticelli import cron
from botticelli.config import plugins
from botticelli.config.keys import REST, Key, is_table, keys_of
from botticelli.config.model import Config, DatabaseConfig, Destination, Schedule
from botticelli.config.operations import ExperimentConfig, Source, Weights
from botticelli.config.secrets import Secret, find_secret
from botticelli.config.sources import NAME, Expander, is_earlier, read_text, user_folder
from botticelli.config.structure import Mistake, Place, mistakes, schema
from botticelli.errors import ConfigError, Problem
from botticelli.records import record
from botticelli.toml_lines import key_lines, line_of, parse, spell

Table = Mapping[str, Any]


@record
class KnownPlatforms:
    """What the configuration is told of platforms, none of which it knows by name.

    Args:
        names: Those that a destination may be on, besides plugins'.
        usual: The destinations of a file that names none.
        complete: Returns a destination with what it leaves to the environment, given what nobody
            has set so far (key -> variable), which it adds to.
    """

    names: tuple[str, ...]
    usual: Mapping[str, Any]
    complete: Callable[[Destination, Mapping[str, str], dict[str, str]], Destination]


# The key that says where a source of each kind is.
NEEDED: Final = {
    "feed": "url",
    "page": "url",
    "github": "repository",
    "folder": "folder",
    "discord": "channel",
    "table": "table",
}
# The kinds of schedule that a key belongs to.
OF_KINDS: Final = {
    "seconds": ("Interval",),
    "jitter_percent": ("Interval",),
    "at": ("Daily",),
    "cron": ("Cron",),
    "time_zone": ("Daily", "Cron"),
    "jitter_minutes": ("Daily", "Cron"),
}


def load(
    file: Path | None,
    *,
    environ: Mapping[str, str],
    cwd: Path,
    platforms: KnownPlatforms | None = None,
) -> Config:
    """Return the configuration of `file` (None: the shipped one) in that environment.

    Raises:
        ConfigError: What is wrong in the file or the environment; carries every mistake.
    """
    name = NAME
    if file is not None:  # as a person would call it from where they are
        name = str(file.relative_to(cwd) if file.is_relative_to(cwd) else file)
    text = read_text(file, name) if file else ""
    try:
        tables = parse(text, name)
    except ConfigError:
        _refuse_earlier(text, name)
        raise
    expander = Expander(environ)
    tables = expander.expand(tables)
    state = user_folder(environ, "XDG_STATE_HOME", ".local/state") / "botticelli"
    base = file.parent if file else cwd
    config, found = build(tables, base=base, state=state, platforms=platforms)
    if config is not None:
        root = Path(os.path.abspath(file.parent)) if file else None  # noqa: PTH100 - links stay
        project = replace(config.project, root=root)
        unset = MappingProxyType(expander.unset)
        config = replace(config, source=file, project=project, unset=unset)
        return _with_environment(config, environ, platforms)
    _refuse_earlier(text, name)
    from botticelli.config.hiding import Hider, secrets_in_table

    hide = Hider(secrets_in_table(tables)).hide  # a mistake shows the value that is wrong
    shown = (replace(one, what=hide(one.what), hint=hide(one.hint)) for one in found)
    raise ConfigError.of([_problem(one, text, name) for one in shown])


def _refuse_earlier(text: str, name: str) -> None:
    """Say so if what holds mistakes is no file of ours at all."""
    if is_earlier(text):
        folder = "" if name == NAME else f" {Path(name).parent}"
        hint = f"convert the project: botticelli import{folder} --to {name}"
        raise ConfigError("is a file of the earlier system", where=name, hint=hint)


def build(
    tables: dict[str, Any],
    *,
    base: Path,
    state: Path,
    platforms: KnownPlatforms | None = None,
) -> tuple[Config | None, list[Mistake]]:
    """Return the configuration that a file's tables make, or else every mistake in them.

    Args:
        tables: What the file says, with its variables filled in.
        base: Folder that relative paths start from.
        state: Folder of the user's state.
        platforms: What is said of platforms; None: any is right.
    """
    names = platforms.names if platforms else ()
    found = [
        one
        for one in mistakes(tables, schema(tables, platforms=names))
        if not _is_plugin(tables, one)
    ]
    if found:
        return None, found
    shipped = Config(database=DatabaseConfig(folder=state / "postgres"))
    builder = Builder(base=base)
    usual = {"destinations": platforms.usual} if platforms else {}
    config = builder.record(Config, usual | tables, shipped)
    return (None if builder.mistakes else config), builder.mistakes


def _is_plugin(tables: Any, mistake: Mistake) -> bool:
    """Return whether a platform or provider is unknown to the schema, but not to a plugin."""
    groups = {"platform": plugins.PLATFORMS, "provider": plugins.MODELS}
    group = groups.get(str(mistake.path[-1])) if mistake.path else None
    if group is None:
        return False
    for key in mistake.path:
        tables = tables[key]
    return tables in plugins.names(group)


def _problem(mistake: Mistake, text: str, file: str) -> Problem:
    line = line_of(mistake.path, key_lines(text))
    place = f"{file}:{line}" if line else file
    key = spell(mistake.path)
    return Problem(what=mistake.what, where=f"{place}: {key}" if key else place, hint=mistake.hint)


def _with_environment(
    config: Config, environ: Mapping[str, str], platforms: KnownPlatforms | None
) -> Config:
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
        name: platforms.complete(each, environ, unset) if platforms else each
        for name, each in config.destinations.items()
    }
    return replace(
        config,
        database=database,
        models=models,
        destinations=MappingProxyType(destinations),
        unset=MappingProxyType(unset),
    )


class Builder:
    """Makes records of tables and collects what is wrong on the way.

    Args:
        base: Folder that relative paths start from.
        mistakes: What has been found so far.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.mistakes: list[Mistake] = []

    def record(
        self, kind: Any, table: Table, known: Any = None, place: Place = (), **more: Any
    ) -> Any:
        """Return the record of a table; what the table leaves out is as in `known`.

        Args:
            kind: Class of the record.
            table: Keys and values of the file, of the right structure.
            known: A record with the defaults; None: the ones of the class.
            place: Where the table stands in the file.
            more: Fields that no key fills.
        """
        keys = keys_of(kind)
        for key in keys:
            default = key.default if known is None else getattr(known, key.field)
            if not key.path:
                more[key.field] = self.record(key.type, table, default, place)
            elif key.path == REST:
                named = {each.path[0] for each in keys}
                others = {name: value for name, value in table.items() if name not in named}
                more[key.field] = self._value(key, key.type, others, place)
            else:
                more[key.field] = self._key(key, table, default, place)
        return self._finished(kind(**more), table, place)

    def _key(self, key: Key, table: Table, default: Any, place: Place) -> Any:
        found: Any = table
        for part in key.path:
            found = found.get(part, MISSING)
            if found is MISSING:
                break
        place = (*place, *key.path)
        if is_table(key.type):
            return self.record(key.type, {} if found is MISSING else found, default, place)
        if found is MISSING or (key.type is Path and not found):
            return self._located(default)
        return self._value(key, key.type, found, place)

    def _value(self, key: Key, kind: Any, value: Any, place: Place) -> Any:
        """Return a value of the file as a field of that type holds it."""
        if get_origin(kind) is tuple:
            return self._values(key, get_args(kind)[0], value, place)
        if get_origin(kind) is Mapping:
            entry = partial(self._entry, key, get_args(kind)[1])
            return MappingProxyType({name: entry(value[name], (*place, name)) for name in value})
        if is_table(kind):
            return self.record(kind, value, place=place)
        try:
            return self._scalar(key, kind, value)
        except ValueError as error:
            self._wrong(error, place)
            return None

    def _values(self, key: Key, kind: Any, value: Any, place: Place) -> tuple[Any, ...]:
        """Return a list, or a single value as a list of one, without empty values."""
        if not isinstance(value, list):
            return (self._value(key, kind, value, place),) if value else ()
        return tuple(
            self._value(key, kind, each, (*place, index))
            for index, each in enumerate(value)
            if each or "single" not in key.rule
        )

    def _entry(self, key: Key, kind: Any, value: Any, place: Place) -> Any:
        """Return an entry of a table with free names; a destination and a source know their own."""
        if kind in (Destination, Source):
            return self.record(kind, value, place=place, name=place[-1])
        return self._value(key, kind, value, place)

    def _scalar(self, key: Key, kind: Any, value: Any) -> Any:
        if key.parse:
            return key.parse(value)
        if kind is timedelta:
            try:
                return timedelta(**{key.unit: value})
            except OverflowError:
                raise ValueError(f"{value} {key.unit} are too many") from None
        if kind is Path:
            return self.base / Path(value).expanduser()
        # An id may be written as a number, a whole number as 2.0.
        return kind(value) if kind in (str, int, Secret) else value

    def _wrong(self, error: ValueError, place: Place) -> None:
        what, *hint = map(str, error.args)
        self.mistakes.append(Mistake(path=place, what=what, hint="".join(hint)))

    def _located(self, default: Any) -> Any:
        """Return a default; a path in it starts from the base."""
        if isinstance(default, tuple):
            return tuple(map(self._located, default))
        return self.base / default if isinstance(default, Path) else default

    def _finished(self, made: Any, table: Table, place: Place) -> Any:
        """Return a record whose keys fit each other."""
        if isinstance(made, Schedule):
            return self._schedule(made, table, place)
        if isinstance(made, Weights) and not any(vars(made).values()):
            self.mistakes.append(Mistake(path=place, what="no criterion counts anything"))
        if isinstance(made, Source) and (lacks := NEEDED[made.kind]) not in table:
            what = f"a source of kind \"{made.kind}\" needs '{lacks}'"
            self.mistakes.append(Mistake(path=place, what=what))
        if isinstance(made, ExperimentConfig) and made.use and made.use not in made.arms:
            what = f"there is no arm '{made.use}'"
            self.mistakes.append(Mistake(path=(*place, "use"), what=what))
        if isinstance(made, Config):
            self._experiments(made)
        return made

    def _experiments(self, made: Config) -> None:
        """One experiment at a time for a destination: two would decide about the same posts."""
        names = tuple(made.destinations)
        taken: dict[str, str] = {}
        for name, one in made.experiments.items():
            to, place = made.decides(one), ("experiments", name)
            if one.to and one.to not in names:
                what = f"there is no destination '{one.to}'"
                self.mistakes.append(Mistake(path=(*place, "to"), what=what))
            if not one.use and (other := taken.setdefault(to, name)) != name:
                what = f"'{to}' has the experiment '{other}' already"
                hint = "end one of them with `use`, or give it another destination with `to`"
                self.mistakes.append(Mistake(path=place, what=what, hint=hint))

    def _schedule(self, made: Schedule, table: Table, place: Place) -> Schedule:
        for name in table:
            if made.kind not in OF_KINDS.get(name, (made.kind,)):
                what = f"'{name}' means nothing to type = \"{made.kind}\""
                self.mistakes.append(Mistake(path=(*place, name), what=what, hint="remove it"))
        if made.kind == "Interval":
            return made
        needed = "at" if made.kind == "Daily" else "cron"
        if needed not in table:
            self.mistakes.append(Mistake(path=place, what=f"'{needed}' is missing"))
        gap = timedelta(days=1)  # between two rounds at most
        try:
            gap = cron.longest_gap(cron.parse(made.cron)) if made.cron else gap
        except ValueError as error:
            self._wrong(error, (*place, "cron"))
        return replace(made, interval=gap, jitter_percent=0)
