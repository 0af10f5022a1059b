"""Files of the earlier system become one botticelli.toml, and of every key it is said what became.

Known are actor_server.toml with its actor files, bot_server.toml and the earlier botticelli.toml.
What `legacy_keys` does not know has no counterpart. A value that ours does not allow is left out
and told, so what is made always loads.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from botticelli.config.legacy_keys import HINTS, OF_MODELS, RATES, TAKEN, UNUSED, first, is_number
from botticelli.config.load import build
from botticelli.config.model import StageName
from botticelli.config.sources import is_earlier, read_text
from botticelli.errors import ConfigError
from botticelli.records import record
from botticelli.toml_lines import parse

Keys = tuple[str, ...]

SERVERS: Final = ("actor_server.toml", "bot_server.toml")
SETTINGS: Final = ("botticelli.toml", "boticelli.toml")
NULL: Final = re.compile(r"^(\s*[\w.\"'-]+\s*=\s*)null\b", re.MULTILINE)  # there it is no TOML
SECRET: Final = re.compile(r"database\.url|.*(?:token|secret|password|key)")
PATH: Final = "skills.narrative_execution.narrative_path"
BOTS: Final[Mapping[str, StageName]] = {
    "generation": "generate",
    "curation": "curate",
    "posting": "post",
}
# What an actor's name or narrative holds -> its stage.
WORDS: Final[Mapping[str, StageName]] = {
    "curat": "curate",
    "generat": "generate",
    "post": "post",
    "publish": "post",
}
# Where two keys say something of one of ours, the stricter counts; elsewhere the first does.
STRICTER: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "posts_per_day": min,
    "min_interval_minutes": max,
}
NO_COUNTERPART: Final = "not carried over: there is no counterpart"


@record
class Fate:
    """What became of a key: its file, the key, its value, and that in words.

    Args:
        is_loss: Whether what it said is said no more.
    """

    line: str
    is_loss: bool = False


@record
class NarrativeFound:
    """A narrative that a stage ran: its path as written, and the file that says so."""

    path: str
    where: Path


@record
class Imported:
    """A configuration of ours.

    Args:
        values: Key path -> value, all of them allowed.
        fates: What became of each key.
        narratives: What the stages ran.
    """

    values: Mapping[Keys, Any]
    fates: tuple[Fate, ...]
    narratives: tuple[NarrativeFound, ...]


@dataclass(kw_only=True)
class _Source:
    """What one file, or one table of it, says: keys as a person spells them, with their values."""

    path: Path
    leaves: dict[str, Any]


@record
class _Actor:
    """An actor: its line in the server's file, which goes first, and its own file.

    Args:
        channel: Where it posts; narrative: what it runs, by the file's name; beat: seconds between
            two runs.
    """

    sources: tuple[_Source, ...]
    stage: str
    name: str
    is_on: bool
    channel: str
    narrative: str
    beat: float

    @property
    def file(self) -> str:
        return self.sources[-1].path.name


@dataclass(kw_only=True)
class _Draft:
    """What has been found so far; `said` leads from a key of ours to its lines in `fates`."""

    values: dict[Keys, Any] = field(default_factory=dict)
    said: dict[Keys, list[int]] = field(default_factory=dict)
    fates: list[Fate] = field(default_factory=list)
    narratives: dict[str, NarrativeFound] = field(default_factory=dict)

    def read(self, source: _Source, *, stage: str = "", place: str = "") -> None:
        """Say of each key what becomes of it, and take over what has a place."""
        for key, value in source.leaves.items():
            table = key.removeprefix("bot_server.").partition(".")
            own = stage or (BOTS.get(table[0], "") if table[1] else "")
            shown = "***" if SECRET.fullmatch(key) else _shown(value)
            subject = f"{own}:{key}"
            start = f"{source.path.name}: {key} = {shown}: "
            if taken := self._place(source, key, subject, stage=own, place=place):
                self._take(start, *taken)
                if taken[0][1:] == ("narrative",) and key.endswith(("path", "narrative")):
                    one = NarrativeFound(path=str(value), where=source.path)
                    self.narratives.setdefault(own, one)
                continue
            why = first(UNUSED, subject, shown)
            hint = first(HINTS, subject, shown)
            what = f"not needed: {why[1]}" if why else NO_COUNTERPART
            what += f"; {hint[1]}" if hint and not why else ""
            self.fates.append(Fate(line=start + what, is_loss=not why))

    def _place(
        self, source: _Source, key: str, subject: str, *, stage: str, place: str
    ) -> tuple[Keys, Any] | None:
        """Return the key of ours that a key goes to, with the value that it has there."""
        value = source.leaves[key]
        if match := OF_MODELS.fullmatch(key):
            provider, tier, quoted, plain, name = match.groups()
            used = source.leaves.get(f"providers.{provider}.default_tier", tier)
            if tier != used or value == "null":
                return None
            model = quoted or plain or _only_model(source.leaves, f"providers.{provider}.tiers")
            if model and name in RATES and (name in RATES[:-1] or quoted or plain):
                return ("models", "limits", model, name), value
        found = first(TAKEN, subject, _shown(value))
        if not found:
            return None
        match, target, convert = found
        if convert:
            value = convert(value, key, source.leaves)
        known = {
            "{stage}": ["post" if stage == "others" else stage],
            "{place}": ["destinations", place or "discord"],
            "{0}": [*match.groups()][:1],
        }
        return tuple(part for each in target.split(".") for part in known.get(each, [each])), value

    def _take(self, start: str, ours: Keys, value: Any) -> None:
        old = self.values.get(ours, value)
        stricter = STRICTER.get(ours[-1])
        if old != value and not (stricter and is_number(old) and is_number(value)):
            what = f"not taken: {'.'.join(ours)} is {_shown(old)} already"
            self.fates.append(Fate(line=start + what, is_loss=True))
            return
        self.values[ours] = stricter(old, value) if stricter and old != value else value
        self.said.setdefault(ours, []).append(len(self.fates))
        self.fates.append(Fate(line=f"{start}taken as {'.'.join(ours)}"))

    def drop_wrong(self, base: Path) -> None:
        """Leave out what ours does not allow, and say so where it was said to be taken."""
        while mistakes := build(nested(self.values), base=base, state=base)[1]:
            wrong = mistakes[0]
            # In a key, in a table around it, or in what the key holds.
            at = wrong.path
            gone = [o for o in self.values if at[: len(o)] == o or o[: len(at)] == at]
            for ours in gone or list(self.values):
                del self.values[ours]
                for number in self.said.pop(ours, ()):
                    start = self.fates[number].line.rpartition(": taken as ")[0]
                    line = f"{start}: not taken: {'.'.join(ours)}: {wrong.what}"
                    self.fates[number] = Fate(line=line, is_loss=True)


def nested(values: Mapping[Keys, Any]) -> dict[str, Any]:
    """Return values by key path as tables within tables."""
    root: dict[str, Any] = {}
    for path, value in values.items():
        table = root
        for part in path[:-1]:
            table = table.setdefault(part, {})
        table[path[-1]] = value
    return root


def convert(files: Sequence[Path], *, cwd: Path) -> Imported:
    """Return our configuration for files of the earlier system; the first goes before the others.

    Args:
        files: Servers' files, files of single actors, the earlier botticelli.toml.
        cwd: Folder that the earlier system ran in.

    Raises:
        ConfigError: A file is not there or no TOML, or is none of the earlier system's.
    """
    draft, actors, plain = _Draft(), list[_Actor](), list[_Source]()
    for file in files:
        document = _document(file)
        leaves = dict(_leaves(document))
        if isinstance(listed := document.get("actors"), list):
            for index in range(len(listed)):
                own = [key for key in leaves if key.startswith(f"actors[{index}]")]
                entry = _Source(path=file, leaves={key: leaves.pop(key) for key in own})
                if entry.leaves:
                    actors.append(_actor_of(entry, cwd=cwd))
        elif isinstance(document.get("actor"), dict):
            actors.append(_actor(_Source(path=file, leaves=leaves)))
            continue
        elif not is_earlier(read_text(file, str(file))) or set(document) == {"server"}:
            hint = "name a file of the earlier system"
            raise ConfigError("has neither [[actors]] nor an [actor]", where=str(file), hint=hint)
        plain.append(_Source(path=file, leaves=leaves))
    _take_actors(actors, draft)
    for source in plain:
        draft.read(source)
    _complete(draft)
    draft.drop_wrong(cwd)
    return Imported(
        values=draft.values, fates=tuple(draft.fates), narratives=tuple(draft.narratives.values())
    )


def _complete(draft: _Draft) -> None:
    """Add what a table of ours needs besides what was said."""
    values = draft.values
    for name in [key[1] for key in values if key[0] == "destinations"]:
        values.setdefault(("destinations", name, "platform"), "discord")
        values.setdefault(("destinations", name, "channel"), "${POSTING_CHANNEL_ID}")
        seconds = values.get(("post", "schedule", "seconds"))
        share = values.get(("post", "schedule", "jitter_percent"), 0)
        if is_number(seconds) and is_number(share):  # ours waits an hour unless it is told
            least = int(seconds * (1 - min(share, 100) / 100) / 60)
            if least < 60:
                values.setdefault(("destinations", name, "min_interval_minutes"), least)
    if any(key[:2] == ("models", "inference") for key in values):
        values[("models", "inference", "provider")] = "openai"


def files_in(folder: Path) -> list[Path]:
    """Return the earlier system's files of a project: servers' files first, else single actors.

    Raises:
        ConfigError: There are none.
    """
    servers = [path for name in SERVERS if (path := folder / name).is_file()]
    inner = [] if servers else sorted([*folder.glob("*.toml"), *folder.glob("actors/*.toml")])
    settings = [path for name in SETTINGS if is_earlier_file(path := folder / name)]
    actors = []
    for path in inner:
        with suppress(ConfigError):  # no TOML
            actors += [path] if path not in settings and "actor" in _document(path) else []
    if not (found := [*servers, *actors, *settings]):
        what, hint = "holds no file of the earlier system", "name the file to convert"
        raise ConfigError(what, where=str(folder), hint=hint)
    return found


def is_earlier_file(path: Path) -> bool:
    """Return whether a file is there, and the earlier system's."""
    return path.is_file() and is_earlier(read_text(path, str(path)))


def _document(path: Path) -> dict[str, Any]:
    return parse(NULL.sub(r'\1"null"', read_text(path, str(path))), str(path))


def _actor_of(entry: _Source, *, cwd: Path) -> _Actor:
    """Return the actor of a line in a server's file, with what its own file says.

    Raises:
        ConfigError: That file is not there, though the actor is on.
    """
    keys = {key.partition("].")[2]: value for key, value in entry.leaves.items()}
    named, is_on = keys.get("config_file"), keys.get("enabled") is not False
    own: tuple[_Source, ...] = ()
    if isinstance(named, str) and named:
        path = found_from(named, entry.path.parent, cwd)
        if path or is_on:
            path = path or entry.path.parent / named
            own = (_Source(path=path, leaves=dict(_leaves(_document(path)))),)
    return _actor(entry, *own, is_on=is_on)


def _actor(*sources: _Source, is_on: bool = True) -> _Actor:
    leaves = {key: value for each in sources for key, value in each.leaves.items()}
    ends = {key.rpartition(".")[2]: value for key, value in reversed(leaves.items())}
    name, skill = str(ends.get("name") or ""), PATH.rpartition(".")[0]
    stem = Path(str(leaves.get(PATH) or "")).stem
    stage = next((WORDS[each] for each in WORDS if each in f"{name} {stem}".lower()), "generate")
    is_poster = leaves.get("platform.type") == "discord" or "channel_id" in ends
    is_poster |= not stem and any(key.startswith("skills.rate_limiting") for key in leaves)
    seconds = ends.get("seconds")
    return _Actor(
        sources=sources,
        name=name,
        stage="post" if is_poster else stage,
        is_on=is_on and leaves.get(f"{skill}.enabled") is not False,
        channel=str(ends.get("channel_id") or ""),
        narrative=Path(str(leaves.get(PATH) or "")).name,
        beat=float(seconds) if is_number(seconds) else float("inf"),
    )


def _take_actors(actors: Sequence[_Actor], draft: _Draft) -> None:
    """Take the actors over, those that are on first; posters by how often they post."""
    posters = [each for each in actors if each.stage == "post"]
    posters = [each for each in posters if each.is_on] or posters[:1]
    posters.sort(key=lambda one: one.beat)
    places: dict[str, str] = {}
    for each in posters:
        place = places.setdefault(each.channel, _name_of(each, posters, [*places.values()]))
        stage = "others" if each is not posters[0] else "post"
        _take_actor(each, draft, stage=stage, place=place)
        draft.values.setdefault(("destinations", place, "platform"), "discord")
        if each.narrative:
            what = f"{each.narrative} is not needed: post sends the approved text as it is"
            draft.fates.append(Fate(line=f"{each.file}: {what}"))
    if len(places) > 1:
        line = f"every approved post goes to {' and '.join(places.values())}; tags tell them apart"
        draft.fates.append(Fate(line=line))
    done = {each.stage: each.name or each.file for each in posters[:1]}
    others = [each for each in actors if each not in posters]
    for each in sorted(others, key=lambda one: not one.is_on):
        if each.stage not in done:
            done[each.stage] = each.name or each.file
            _take_actor(each, draft, stage=each.stage)
            continue
        why = f"not carried over: {each.stage} does the work of one actor, {done[each.stage]}"
        draft.fates += [
            Fate(line=f"{one.path.name}: {key} = {_shown(value)}: {why}", is_loss=True)
            for one in each.sources
            for key, value in one.leaves.items()
        ]


def _take_actor(actor: _Actor, draft: _Draft, *, stage: str, place: str = "") -> None:
    if not actor.is_on:
        what = f"the actor is off; pause its stage: botticelli pause {actor.stage}"
        draft.fates.append(Fate(line=f"{actor.file}: {actor.name}: {what}", is_loss=True))
    for source in actor.sources:
        draft.read(source, stage=stage, place=place)


def _name_of(actor: _Actor, posters: Sequence[_Actor], taken: Sequence[str]) -> str:
    """Return what an actor's destination is called: by its name, where there are several."""
    if len(posters) == 1:
        return "discord"
    name = re.sub(r"[^\w-]+", "-", actor.name.lower()).strip("-") or "discord"
    numbered = (f"{name}-{number}" for number in range(2, len(posters) + 2))
    return next(each for each in (name, *numbered) if each not in taken)


def found_from(name: str, *folders: Path) -> Path | None:
    """Return the file that a name means from one of the folders, or from one above them."""
    for folder in folders:
        for place in (folder, *folder.absolute().parents):
            if os.path.isfile(path := place / name):  # noqa: PTH113 - a name may be any text
                return path
    return None


def _leaves(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key with its value; those of a skill under its name, however they are written."""
    for key, value in table.items():
        name = key if re.fullmatch(r"[^.\s\"]+", key) else json.dumps(key, ensure_ascii=False)
        here = f"{path}{name}"
        has_tables = isinstance(value, list) and any(isinstance(each, dict) for each in value)
        if here in ("skills", "actor.skills") and has_tables:
            for index, item in enumerate(value):
                named = isinstance(item, dict) and isinstance(item.get("name"), str)
                yield from _leaves({item["name"] if named else str(index): item}, "skills.")
        elif isinstance(value, dict) and value:
            settings = value.get("config") if path == "skills." else None
            inner = {**value, **settings} if isinstance(settings, dict) else value
            yield from _leaves({k: v for k, v in inner.items() if v is not settings}, f"{here}.")
        elif has_tables:
            for index, each in enumerate(value):
                yield from _leaves(
                    each if isinstance(each, dict) else {"": each}, f"{here}[{index}]."
                )
        else:
            yield here, value


def _only_model(leaves: Mapping[str, Any], tiers: str) -> str:
    """Return the model that a provider's limits for all models are about: the one that writes."""
    model = leaves.get("bot_server.generation.model")
    has_own = any(key.startswith(tiers) and f"models.{json.dumps(model)}." in key for key in leaves)
    is_its = isinstance(model, str) and model.startswith(tiers.split(".")[1])
    return str(model) if is_its and not has_own else ""


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
