"""What a message may hold: Discord's limits on a form, the mentions in a text, file uploads."""

import re
from collections.abc import Mapping
from typing import Any

from tests.fakes.discord_errors import Form, bad_field

Json = Mapping[str, Any]

SETTABLE_FLAGS = (1 << 2) | (1 << 12) | (1 << 13) | (1 << 15)
COMPONENTS_V2 = 1 << 15
EVERY_MENTION = ("users", "roles", "everyone")
WEBHOOK_MENTIONS = ("users",)
_EMBED_TEXTS = (
    ("title", 256),
    ("description", 4096),
    ("footer.text", 2048),
    ("author.name", 256),
    ("url", 2048),
)
_CONTENTS = ("content", "embeds", "sticker_ids", "components", "poll")
_MAX_FILE = 10 * 1024 * 1024


def check_message(body: Any) -> None:
    """Raise Fail 50035 with every mistake of a create or edit form."""
    form = Form()
    if not isinstance(body, dict):
        raise bad_field("", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
    form.too_long("content", body.get("content"), 2000)
    form.too_many("embeds", body.get("embeds"), 10)
    form.too_many("sticker_ids", body.get("sticker_ids"), 3)
    form.too_many("attachments", body.get("attachments"), 10)
    _nonce(form, body.get("nonce"))
    _mentions(form, body.get("allowed_mentions"))
    _flags(form, body)
    form.finish()
    _embeds(form, body.get("embeds") or [])
    _poll(form, body.get("poll"))
    form.finish()


def has_something(body: Json, files: Mapping[str, Any]) -> bool:
    """Return whether a form holds at least one thing to show."""
    return bool(files) or any(body.get(name) for name in _CONTENTS)


def stored_text(text: str | None) -> str:
    """Return what Discord keeps of a text: valid unicode, no blanks at the ends."""
    whole = (text or "").encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    return whole.replace("\x00", "").strip()


def mentioned(
    text: str, allowed: Json | None, *, default: tuple[str, ...], may_everyone: bool
) -> tuple[bool, list[str], list[str]]:
    """Return (everyone?, user ids, role ids) that a text pings; `allowed` None means `default`."""
    allowed = {"parse": list(default)} if allowed is None else allowed
    parse = allowed.get("parse") or []
    everyone = "everyone" in parse and may_everyone and re.search(r"@(everyone|here)\b", text)
    users = list(dict.fromkeys(re.findall(r"<@!?(\d+)>", text)))
    roles = list(dict.fromkeys(re.findall(r"<@&(\d+)>", text)))
    if "users" not in parse:
        users = [one for one in users if one in map(str, allowed.get("users") or [])]
    if "roles" not in parse:
        roles = [one for one in roles if one in map(str, allowed.get("roles") or [])]
    return bool(everyone), users, roles


def check_snowflake(name: str, value: str) -> None:
    """Raise Fail 50035 unless an id is a number of 64 bits."""
    if not value.isdigit() or int(value) >= 1 << 64:
        raise bad_field(name, "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')


def whole_number(name: str, value: Any, *, least: int, most: int, default: int) -> int:
    """Return a number within its bounds; Fail 50035."""
    if value in {None, ""}:
        return default
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise bad_field(name, "NUMBER_TYPE_COERCE", f'Value "{value}" is not int.') from None
    if number < least:
        words = f"int value should be greater than or equal to {least}."
        raise bad_field(name, "NUMBER_TYPE_MIN", words)
    if number > most:
        raise bad_field(
            name, "NUMBER_TYPE_MAX", f"int value should be less than or equal to {most}."
        )
    return number


def parts_of_form(body: bytes, boundary: str) -> tuple[bytes, dict[str, tuple[str, bytes]]]:
    """Return (payload_json, files by field name as (filename, content)) of multipart/form-data."""
    payload, files = b"{}", {}
    for part in body.split(b"--" + boundary.encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        content = content.removesuffix(b"\r\n")
        names = dict(re.findall(r'(\bname|\bfilename)="([^"]*)"', head.decode(errors="replace")))
        if names.get("name") == "payload_json":
            payload = content
        elif "filename" in names:
            files[names["name"]] = (names["filename"], content)
    return payload, files


def check_files(files: Mapping[str, tuple[str, bytes]]) -> bool:
    """Return whether no file is larger than 10 MiB."""
    return all(len(content) <= _MAX_FILE for _, content in files.values())


def _nonce(form: Form, nonce: Any) -> None:
    if isinstance(nonce, bool) or not isinstance(nonce, str | int | None):
        form.wrong("nonce", "NONCE_TYPE_CONVERT", f'Could not interpret "{nonce}" as nonce.')
    elif isinstance(nonce, str):
        form.too_long("nonce", nonce, 25)
    elif nonce is not None and not -(1 << 63) <= nonce < 1 << 63:
        form.wrong("nonce", "NUMBER_TYPE_COERCE", "Value is not a 64-bit integer.")


def _mentions(form: Form, allowed: Any) -> None:
    if allowed is None:
        return
    if not isinstance(allowed, dict):
        form.wrong(
            "allowed_mentions", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType"
        )
        return
    parse = allowed.get("parse") or []
    for place, word in enumerate(parse):
        if word not in EVERY_MENTION:
            words = f"Value must be one of {set(EVERY_MENTION)}."
            form.wrong(f"allowed_mentions.parse.{place}", "BASE_TYPE_CHOICES", words)
    for kind in ("users", "roles"):
        form.too_many(f"allowed_mentions.{kind}", allowed.get(kind), 100)
        if kind in parse and allowed.get(kind):
            words = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            form.wrong("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", words)


def _flags(form: Form, body: Json) -> None:
    flags = body.get("flags") or 0
    if not isinstance(flags, int):
        form.wrong("flags", "NUMBER_TYPE_COERCE", f'Value "{flags}" is not int.')
    elif flags & ~SETTABLE_FLAGS:
        form.wrong("flags", "MESSAGE_INVALID_FLAGS", "Only some flags can be set.")
    elif flags & COMPONENTS_V2:
        for name in ("content", "embeds", "poll"):
            if body.get(name):
                code = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
                form.wrong(name, code, f"The '{name}' field cannot be used with components V2.")


def _embeds(form: Form, embeds: list[Any]) -> None:
    total = 0
    for place, embed in enumerate(embeds):
        at = f"embeds.{place}"
        total += _embed(form, embed, at=at)
    if total > 6000:
        words = "Embed size exceeds maximum size of 6000"
        form.wrong("embeds", "MAX_EMBED_SIZE_EXCEEDED", words)


def _embed(form: Form, embed: Any, *, at: str) -> int:
    """Check one embed and return its size in characters as Discord adds them up."""
    if not isinstance(embed, dict):
        form.wrong(at, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
        return 0
    size = 0
    for name, most in _EMBED_TEXTS:
        text: Any = embed
        for step in name.split("."):
            text = (text or {}).get(step)
        form.too_long(f"{at}.{name}", text, most)
        size += len(text or "") if name != "url" else 0
    form.too_many(f"{at}.fields", embed.get("fields"), 25)
    for place, one in enumerate(embed.get("fields") or []):
        for name, most in (("name", 256), ("value", 1024)):
            if not str(one.get(name) or "").strip():
                form.wrong(
                    f"{at}.fields.{place}.{name}", "BASE_TYPE_REQUIRED", "This field is required"
                )
            form.too_long(f"{at}.fields.{place}.{name}", one.get(name), most)
            size += len(str(one.get(name) or ""))
    return size


def _poll(form: Form, poll: Any) -> None:
    if poll is None:
        return
    question = (poll.get("question") or {}).get("text")
    answers = poll.get("answers") or []
    if not question:
        form.wrong("poll.question.text", "BASE_TYPE_REQUIRED", "This field is required")
    form.too_long("poll.question.text", question, 300)
    if not 1 <= len(answers) <= 10:
        form.wrong("poll.answers", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 10 in length.")
    for place, one in enumerate(answers):
        text = (one.get("poll_media") or {}).get("text")
        form.too_long(f"poll.answers.{place}.poll_media.text", text, 55)
    if not 1 <= poll.get("duration", 24) <= 768:
        form.wrong("poll.duration", "NUMBER_TYPE_MAX", "int value should be between 1 and 768.")
