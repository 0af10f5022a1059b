"""Input tables, `[bots]`, `[tables]`, `[media]` -> model inputs (docs/dialect.md, 4.6-4.9)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from pathlib import PurePosixPath
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from botticelli.config import plugins
from botticelli.narrative.language.model import (
    NOTHING,
    Command,
    Input,
    Media,
    Nested,
    Retention,
    TableRead,
    Text,
)
from botticelli.narrative.language.table import Table
from botticelli.records import record
from botticelli.text import nearest

MediaKind = Literal["image", "audio", "video", "document"]
Format = Literal["json", "markdown", "csv"]

MEDIA_KINDS: Final = ("image", "audio", "video", "document")
PROMPTS: Final = ("content", "text", "prompt", "user")
TYPES: Final = ("text", *MEDIA_KINDS, "bot_command", "table", "narrative")
KIND_OF_SUFFIX: Final[Mapping[str, MediaKind]] = {
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp", "bmp", "heic"), "image"),
    **dict.fromkeys(("mp3", "wav", "ogg", "flac", "m4a", "aac"), "audio"),
    **dict.fromkeys(("mp4", "webm", "avi", "mov", "mkv", "mpeg"), "video"),
    **dict.fromkeys(("pdf", "txt", "md", "json", "csv", "html", "xml"), "document"),
}
PLATFORMS: Final = ("discord", "database")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE_VARIABLE: Final = re.compile(r"\$([A-Z_][A-Z0-9_]*)")


@record
class Source:
    """An input, and what of its result is to be kept in the state."""

    input: Input
    capture: Mapping[str, str] = field(default_factory=lambda: NOTHING)


def read_input(table: Table) -> Source | None:
    """Read an input table that is no `ref`; None: it is wrong, and that is noted."""
    kind = _type_of(table)
    if kind == "bot_command":
        return read_command(table, is_flat="args" not in table.values)
    found = _read_plain(table, kind=kind)
    table.done()
    return None if found is None else Source(input=found)


def _read_plain(table: Table, *, kind: str) -> Input | None:
    readers: dict[str, Callable[[Table], Input | None]] = {
        "text": read_text,
        "table": read_rows,
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
    content, file = table.text(*PROMPTS), table.text("file")
    if content.strip():
        if file:
            table.odd(("file",), "content is there as well and wins; the file is not read")
        return Text(content=content, retention=_retention(table))
    if file:
        return Text(file=file, retention=_retention(table))
    table.findings.error(
        table.key, "a text input without text", hint='give it content = "..." or file = "..."'
    )
    return None


def read_media(table: Table, *, kind: MediaKind | None) -> Media | None:
    """Read an image, sound, film or document; `kind` None: told by mime or the name's ending."""
    sources = _sources(table) | _sources(inner := table.table("source"))
    inner.done()
    mime = table.text("mime") or None
    if len(sources) != 1:
        what = f"has {' and '.join(sources)}" if sources else "has no source"
        table.findings.error(table.key, what, hint="give exactly one of url, base64 and file")
        return None
    name = sources.get("file") or urlsplit(sources.get("url", "")).path
    kind = kind or _media_kind(table, name=name, mime=mime)
    if kind is None:
        hint = 'add mime = "image/png" or what it really is'
        table.findings.error(table.key, "cannot tell what kind of media this is", hint=hint)
        return None
    filename = table.text("filename") or None
    return Media(kind=kind, mime=mime, filename=filename, retention=_retention(table), **sources)


def _sources(table: Table) -> dict[str, str]:
    """Return where a medium is, by the kind of place; older files have a table `source` for it."""
    given = {name: table.text(name) for name in ("url", "base64", "file")}
    return {name: value for name, value in given.items() if value}


def _media_kind(table: Table, *, name: str, mime: str | None) -> MediaKind | None:
    """Return the kind by the type that is written, the MIME type or the ending of the name."""
    if (written := table.text("type").lower()) in MEDIA_KINDS:
        return cast("MediaKind", written)
    if mime:
        main = mime.split("/", 1)[0].lower()
        return cast("MediaKind", main) if main in MEDIA_KINDS else "document"
    return KIND_OF_SUFFIX.get(PurePosixPath(name).suffix.lower().removeprefix("."))


def read_rows(table: Table, *, name: str = "") -> TableRead | None:
    """Read a table input; `name` is the key of `[tables.NAME]`."""
    if table.has("where") and table.has("where_clause"):
        hint = "keep one of them"
        table.wrong(("where_clause",), "where and where_clause are the same filter", hint=hint)
    source, columns = table.text("table_name"), table.strings("columns")
    if not source:
        table.findings.error(table.key, "has no table_name", hint='add table_name = "..."')
    for word in (source, *columns):
        if word and not _IDENTIFIER.fullmatch(word):
            key = "table_name" if word == source else "columns"
            what = f"'{word}' is no name: letters, digits and _ only"
            table.wrong((key,), what)
    alias = table.text("alias")
    return TableRead(
        table=source,
        names=tuple(dict.fromkeys(each for each in (name, alias) if each)),
        columns=columns,
        where=table.text("where", "where_clause").strip(),
        order_by=table.text("order_by").strip(),
        limit=table.integer("limit"),
        offset=table.integer("offset") or 0,
        sample=table.integer("sample", least=1),
        format=cast(
            "Format",
            table.choice("format", options=("json", "markdown", "csv"), default="json"),
        ),
        pull_and_delete=table.flag("pull_and_delete"),
        required=table.flag("required"),
        retention=_retention(table),
    )


def read_command(
    table: Table, *, is_flat: bool, platform: str = "", required: bool = False
) -> Source:
    """Read a bot command; `is_flat`: keys that are no option are arguments.

    Args:
        table: The command's table.
        is_flat: Whether arguments stand beside the options, also if there is `args`.
        platform: Platform if the file names none.
        required: Whether it is required if the file does not say.
    """
    platform = _platform(table, default=platform)
    command = table.text("command")
    if not command:
        hint = 'add command = "messages.send" or the one you mean'
        table.findings.error(table.key, "a bot command without command", hint=hint)
    found = Command(
        platform=platform,
        command=_command_today(command, platform=platform),
        required=table.flag("required", default=required),
        retention=_retention(table),
        cache_seconds=table.integer("cache_duration") or 0,
    )
    store_as, capture = _state(table)
    store_as = table.text("store_as") or store_as
    args = _arguments(table, is_flat=is_flat)
    cached = args.pop("cache_duration", None)  # where the reference's cache looked for it
    found = replace(
        found,
        args=_today(_with_variables(args), command=found.command),
        store_as=store_as,
        cache_seconds=cached if isinstance(cached, int) else found.cache_seconds,
    )
    return Source(input=found, capture=capture)


def _command_today(command: str, *, platform: str) -> str:
    if platform != "discord":
        return command
    from botticelli.platforms.discord.commands.table import canonical

    return canonical(command)


def _arguments(table: Table, *, is_flat: bool) -> dict[str, Any]:
    """Return the arguments; warns of all other keys unless they are arguments, too."""
    if table.values.get("type") in ("bot_command", "bot"):
        table.ignore("type")
    args = dict(table.table("args").values)
    if is_flat:
        args = {**{name: table.take(name) for name in table.unasked()}, **args}
    table.done()
    return args


def nested(name: str, path: str) -> Nested:
    """Return a nested file; ".toml" is appended if it is missing and no narrative is named."""
    is_whole = path.endswith(".toml") or ":" in path
    return Nested(name=name, path=path if is_whole else f"{path}.toml")


def _nested(table: Table) -> Nested | None:
    path = table.text("narrative", "path", "file", "name", "content")
    if path:
        return nested(path, path)
    table.findings.error(table.key, "names no narrative", hint='add narrative = "FILE"')
    return None


def _type_of(table: Table) -> str:
    """Return the type as written, in lower case; without one, what the other keys tell."""
    if table.has("type"):
        return table.text("type", default="text").lower()
    if {"platform", "command"} <= table.values.keys():
        return "bot_command"  # whose own `content` is no prompt
    if table.values.keys() & set(PROMPTS):
        return "text"
    if "table_name" in table.values:
        return "table"
    return "bot_command" if "command" in table.values else "text"


def _platform(table: Table, *, default: str) -> str:
    platform = table.text("platform", default=default).lower()
    if not platform:
        hint = 'add platform = "discord" or "database"'
        table.findings.error(table.key, "a bot command without platform", hint=hint)
    elif platform not in PLATFORMS and platform not in plugins.names(plugins.COMMANDS):
        hint = nearest(platform, PLATFORMS) or "use discord or database"
        table.odd(("platform",), f"no command of platform '{platform}' is known", hint=hint)
    return platform


def _retention(table: Table) -> Retention:
    """Return how long the input is kept in the history; an unknown word means full."""
    word = table.text("history_retention", default="full").lower()
    known = [each.value for each in Retention]
    if word in known:
        return Retention(word)
    hint = nearest(word, known) or f"use one of {', '.join(known)}"
    table.odd(("history_retention",), f"'{word}' is unknown, taken as full", hint=hint)
    return Retention.FULL


def _state(table: Table) -> tuple[str, Mapping[str, str]]:
    """Return the store_as key and the captures of `state = { cache_key, extract_field }`."""
    raw = table.values.get("state")
    if not (isinstance(raw, dict) and "cache_key" in raw):
        return "", NOTHING
    state = table.table("state")
    name, wanted = state.text("cache_key"), state.text("extract_field")
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


def _today(args: dict[str, Any], *, command: str) -> Mapping[str, Any]:
    """Return the arguments under the names that the command has today (docs/dialect.md §14)."""
    if command in ("channels.create", "channels.get_or_create"):
        return _renamed(args, old=("channel_type", "type"), new="kind")
    if command.startswith("threads.") and command not in ("threads.create", "threads.list"):
        return _renamed(args, old=("channel_id",), new="thread_id")
    return args


def _renamed(args: dict[str, Any], *, old: tuple[str, ...], new: str) -> Mapping[str, Any]:
    if new in args:
        return args
    first = next((name for name in old if name in args), None)
    return {new if name == first else name: value for name, value in args.items()}
