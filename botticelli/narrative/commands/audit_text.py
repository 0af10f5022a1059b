"""Commands and their results as the audit table takes them."""

from collections.abc import Callable, Mapping
from typing import Any, Final

# Keys of results under which the audit table finds what was made or changed.
RESULT_IDS: Final = ("id", "message_id", "thread_id", "code", "user_id", "role_id", "channel_id")


def result_id_of(result: Any) -> str | None:
    """Return the ids of what a command made or changed, as a line; None: it names none."""
    if not isinstance(result, Mapping):
        return None
    ids = result.get("ids")
    if isinstance(ids, list):
        return ",".join(map(str, ids[:20])) or None
    return next((str(result[key]) for key in RESULT_IDS if result.get(key)), None)


def as_json(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value as JSON can hold it, with every text changed."""
    if isinstance(value, str):
        return storable(change(value))
    if isinstance(value, Mapping):
        return {storable(change(str(key))): as_json(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner, change) for inner in value]
    if value is None or isinstance(value, bool | int):
        return value
    return change(str(value))


def storable(text: str) -> str:
    """PostgreSQL takes neither NUL nor half characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
