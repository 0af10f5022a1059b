"""What a message may hold: Discord's limits on a form, the mentions in a text."""

import re
from collections.abc import Mapping
from typing import Any

from tests.fakes.discord_errors import Form, bad_field

Json = Mapping[str, Any]

SETTABLE_FLAGS = (1 << 2) | (1 << 12) | (1 << 13) | (1 << 15)
EVERY_MENTION = ("users", "roles", "everyone")
WEBHOOK_MENTIONS = ("users",)
# What a message may hold as well, and Botticelli never sends.
UNSUPPORTED = {"components", "embeds", "message_reference", "sticker_ids"}


def check_message(body: Any) -> None:
    """Raise Fail 50035 with every mistake of a create or edit form."""
    form = Form()
    if not isinstance(body, dict):
        raise bad_field("", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
    if unknown := UNSUPPORTED & body.keys():
        raise NotImplementedError(f"nobody sends these yet, so they are not kept: {unknown}")
    form.too_long("content", body.get("content"), 2000)
    _nonce(form, body.get("nonce"))
    _mentions(form, body.get("allowed_mentions"))
    _flags(form, body)
    _attachments(form, body.get("attachments"))
    _poll(form, body.get("poll"))
    form.finish()


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


def _poll(form: Form, poll: Any) -> None:
    if poll is None:
        return
    form.too_long("poll.question.text", poll["question"]["text"], 300)
    form.too_many("poll.answers", poll["answers"], 10)
    for place, one in enumerate(poll["answers"]):
        form.too_long(f"poll.answers.{place}.poll_media.text", one["poll_media"]["text"], 55)
    if not 1 <= poll.get("duration", 24) <= 768:
        form.wrong("poll.duration", "NUMBER_TYPE_MAX", "int value should be at most 768.")


def _attachments(form: Form, attachments: Any) -> None:
    form.too_many("attachments", attachments, 10)
    for place, one in enumerate(attachments or ()):
        where = f"attachments.{place}"
        if not isinstance(one, dict) or "id" not in one:
            form.wrong(f"{where}.id", "BASE_TYPE_REQUIRED", "This field is required")
            continue
        form.too_long(f"{where}.filename", one.get("filename"), 1024)
        form.too_long(f"{where}.description", one.get("description"), 1024)


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
