"""Input tables, `[bots]`, `[tables]`, `[media]` -> model inputs (docs/dialect.md, 4.6-4.9)."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import PurePosixPath
from typing import Any, Final, cast, get_args
from urllib.parse import urlsplit

from botticelli.config import plugins
from botticelli.config.keys import NOTHING
from botticelli.narrative.language.model import (
    BotCommand,
    Input,
    Media,
    MediaKind,
    Nested,
    TableRead,
    Text,
)
from botticelli.narrative.language.table import Table
from botticelli.narrative.language.tables import (
    InputType,
    MediaPlace,
    RowsTable,
    SourceTable,
    StateTable,
)
from botticelli.records import record
from botticelli.text import nearest
from botticelli.toml_lines import Key

MEDIA_KINDS: Final = get_args(MediaKind)
PROMPTS: Final = ("content", "text", "prompt", "user")
TYPES: Final = get_args(InputType)
KIND_OF_SUFFIX: Final[Mapping[str, MediaKind]] = {
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp", "bmp", "heic"), "image"),
    **dict.fromkeys(("mp3", "wav", "ogg", "flac", "m4a", "aac"), "audio"),
    **dict.fromkeys(("mp4", "webm", "avi", "mov", "mkv", "mpeg"), "video"),
    **dict.fromkeys(("pdf", "txt", "md", "json", "csv", "html", "xml"), "document"),
}
PLACES: Final = ("url", "base64", "file")
PLATFORMS: Final = ("discord", "database")
_IDENTIFIER: Final = re.compile(r"[^\W\d]\w*")
_BARE_VARIABLE: Final = re.compile(r"\$([A-Z_][A-Z0-9_]*)")


@record
class ReadInput:
    """An input, where it stands, and what of its result is to be kept in the state."""

    input: Input
    place: Key
    capture: Mapping[str, str] = field(default_factory=lambda: NOTHING)


def read_input(table: Table) -> ReadInput | None:
    """Read an input table that is no `ref`; None: it is wrong, and that is noted."""
    kind = _type_of(table)
    if kind == "bot_command":
        return read_command(table, is_flat="args" not in table.values)
    found = _read_plain(table, kind=kind)
    table.done()
    return None if found is None else ReadInput(input=found, place=table.key)


def _read_plain(table: Table, *, kind: str) -> Input | None:
    readers: dict[str, Callable[[Table], Input | None]] = {
        "text": read_text,
        "table": read_rows,
        "source": _read_source,
        "narrative": _nested,
    }
    if kind in readers:
        return readers[kind](table)
    if kind in MEDIA_KINDS:
        return read_media(table, kind=cast("MediaKind", kind))
    listed = ", ".join(TYPES)
    hint = nearest(kind, TYPES) or f"use one of {listed}"
    table.wrong(("type",), f"there is no input type '{kind}'", hint=hint)
    return None


def read_text(table: Table) -> Text | None:
    """Read a prompt: content (= text = prompt = user), else file."""
    found = Text(**table.read(Text))
    if (found.content or "").strip():
        if found.file:
            table.odd(("file",), "content is there as well and wins; the file is not read")
        return replace(found, file=None)
    if found.file:
        return replace(found, content=None)
    hint = 'give it content = "..." or file = "..."'
    table.findings.error(table.key, "a text input without text", hint=hint)
    return None


def read_media(table: Table, *, kind: MediaKind | None) -> Media | None:
    """Read an image, sound, film or document; `kind` None: derived from mime or the suffix."""
    inner = table.table("source")
    fields = table.read(Media) | {
        name: value for name, value in inner.read(MediaPlace).items() if value
    }
    inner.done()
    places = [name for name in PLACES if fields[name]]
    if len(places) != 1:
        what = f"has {' and '.join(places)}" if places else "has no source"
        table.findings.error(table.key, what, hint="give exactly one of url, base64 and file")
        return None
    name = fields["file"] or urlsplit(fields["url"] or "").path
    kind = kind or _media_kind(table, name=name, mime=fields["mime"])
    if kind is None:
        hint = 'add mime = "image/png" or what it really is'
        table.findings.error(table.key, "cannot tell what kind of media this is", hint=hint)
        return None
    return Media(kind=kind, **fields)


def _media_kind(table: Table, *, name: str, mime: str | None) -> MediaKind | None:
    """Return the kind by the type that is written, the MIME type or the ending of the name."""
    if (written := table.text("type").lower()) in MEDIA_KINDS:
        return cast("MediaKind", written)
    if mime:
        main = mime.split("/", 1)[0].lower()
        return cast("MediaKind", main) if main in MEDIA_KINDS else "document"
    return KIND_OF_SUFFIX.get(PurePosixPath(name).suffix.lower().removeprefix("."))


def source_read(name: str, *, limit: int = 1) -> TableRead:
    """Return what reads items of [sources.NAME]: free ones, the newest first, used up with them."""
    quoted = name.replace("'", "''")
    return TableRead(
        source=name,
        table="source_items",
        names=("source", name),
        columns=("title", "url", "published_at", "text"),
        where=(f"source = '{quoted}' AND available_at < 'infinity' AND available_at <= NOW()"),
        order_by="published_at DESC",
        limit=limit,
        pull_and_delete=True,
    )


def _read_source(table: Table) -> TableRead | None:
    fields = table.read(SourceTable)
    if fields["name"]:
        return source_read(fields["name"], limit=fields["limit"])
    table.findings.error(table.key, "names no source", hint='add source = "NAME"')
    return None


def read_rows(table: Table, *, name: str = "") -> TableRead | None:
    """Read a table input; `name` is the key of `[tables.NAME]`."""
    if table.has("where") and table.has("where_clause"):
        hint = "keep one of them"
        table.wrong(("where_clause",), "where and where_clause are the same filter", hint=hint)
    fields = table.read(TableRead) | table.read(RowsTable)
    if not fields["table"]:
        table.findings.error(table.key, "has no table_name", hint='add table_name = "..."')
    columns = () if fields["columns"] == ("*",) else fields["columns"]
    for word in (fields["table"], *columns):
        if word and not _IDENTIFIER.fullmatch(word):
            key = "table_name" if word == fields["table"] else "columns"
            table.wrong((key,), f"'{word}' is not a valid name: letters, digits and _ only")
    fields |= {key: fields[key].strip() for key in ("where", "order_by")}
    names = dict.fromkeys(each for each in (name, fields.pop("alias")) if each)
    return TableRead(names=tuple(names), **fields)


def read_command(
    table: Table, *, is_flat: bool, platform: str = "", required: bool = False
) -> ReadInput:
    """Read a bot command; `is_flat`: keys that are no option are arguments.

    Args:
        table: The command's table.
        is_flat: Whether arguments stand beside the options, also if there is `args`.
        platform: Platform if the file names none.
        required: Whether it is required if the file does not say.
    """
    fields = table.read(BotCommand, required=required, platform=platform)
    platform = fields["platform"] = _platform(table, fields["platform"].lower())
    if not fields["command"]:
        hint = 'add command = "messages.send" or the one you mean'
        table.findings.error(table.key, "a bot command without command", hint=hint)
    store_as, capture = _state(table)
    if table.values.get("type") in ("bot_command", "bot"):
        table.ignore("type")
    args = {name: table.take(name) for name in table.unasked()} if is_flat else {}
    table.done()
    args |= fields["args"]
    cached = args.pop("cache_duration", None)  # where the reference's cache looked for it
    if isinstance(cached, int):
        fields["cache_seconds"] = cached
    fields["store_as"] = fields["store_as"] or store_as
    fields["args"] = _with_variables(args)
    if platform == "discord":  # under the names that it and its arguments have today
        from botticelli.platforms.discord.commands.table import canonical, todays

        fields["command"] = canonical(fields["command"])
        fields["args"] = todays(fields["command"], fields["args"])
    return ReadInput(input=BotCommand(**fields), place=table.key, capture=capture)


def nested(name: str, path: str) -> Nested:
    """Return a nested file; ".toml" is appended unless it, or a narrative's name, is there."""
    is_whole = any(sign in PurePosixPath(path).name for sign in ".:")
    return Nested(name=name, path=path if is_whole else f"{path}.toml")


def readings(reference: str) -> Iterator[tuple[str, str]]:
    """Yield (file, narrative) of FILE, FILE:NAME and FILE.NAME in the order they are tried."""
    yield reference, ""
    for sign in ":.":
        file, found, name = reference.rpartition(sign)
        if found and file and "/" not in name:
            yield file, name


def _nested(table: Table) -> Nested | None:
    path = table.text("narrative", "path", "file", "name", "content")
    if path:
        return nested(path, path)
    table.findings.error(table.key, "names no narrative", hint='add narrative = "FILE"')
    return None


def _type_of(table: Table) -> str:
    """Return the type as written, in lower case; without one, what the other keys imply."""
    if table.has("type"):
        return table.text("type", default="text").lower()
    if {"platform", "command"} <= table.values.keys():
        return "bot_command"  # whose own `content` is not a prompt
    if table.values.keys() & set(PROMPTS):
        return "text"
    if "table_name" in table.values:
        return "table"
    is_source = isinstance(table.values.get("source"), str)
    return "source" if is_source else "bot_command" if "command" in table.values else "text"


def _platform(table: Table, platform: str) -> str:
    if not platform:
        hint = 'add platform = "discord" or "database"'
        table.findings.error(table.key, "a bot command without platform", hint=hint)
    elif platform not in PLATFORMS and platform not in plugins.names(plugins.COMMANDS):
        hint = nearest(platform, PLATFORMS) or "use discord or database"
        table.odd(("platform",), f"no command of platform '{platform}' is known", hint=hint)
    return platform


def _state(table: Table) -> tuple[str, Mapping[str, str]]:
    """Return the store_as key and the captures of `state = { cache_key, extract_field }`."""
    raw = table.values.get("state")
    if not (isinstance(raw, dict) and "cache_key" in raw):
        return "", NOTHING
    state = table.table("state")
    name, wanted = state.read(StateTable).values()
    state.done()
    return (name, NOTHING) if wanted in ("", "id") else ("", {name: f"$.{wanted}"})


def _with_variables(args: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with `$NAME` as `${NAME}` where an id is wanted, which it cannot be.

    Anywhere else `$NAME` stands as written: a message may speak of $HOME (dialect.md §7).
    """
    bare = {
        name: _BARE_VARIABLE.fullmatch(value)
        for name, value in args.items()
        if name.endswith("_id") and isinstance(value, str)
    }
    return {**args, **{name: f"${{{found[1]}}}" for name, found in bare.items() if found}}
