"""Messages for rows that a narrative marks afterwards: sent once, whatever dies in between."""

from typing import Any, Final

from botticelli.narrative.commands.base import CommandCall
from botticelli.platforms.command_set import Once
from botticelli.store.commands import unmarked_sends
from botticelli.store.commands.unmarked_sends import Errand
from botticelli.store.connection import Connection

RECOGNISED: Final = ("discord.messages.send",)  # what can be found again once it is out


def is_meant(call: CommandCall) -> bool:
    """Whether a call sends something for rows that its narrative will mark."""
    return bool(call.about) and call.name in RECOGNISED


def errand_of(conn: Connection, call: CommandCall) -> Errand | None:
    """Return what an earlier run has sent, or may have, for the same rows without marking them."""
    if not is_meant(call):
        return None
    return unmarked_sends.find(
        conn,
        platform=call.platform,
        command=call.command,
        narrative=call.narrative,
        act=call.act,
        about=call.about,
        run_id=call.run_id,
    )


def means(conn: Connection, audit_id: int, errand: Errand | None) -> Once:
    """Return what keeps this try from sending a second message; `audit_id` is its own entry."""
    if errand is None:
        return Once(key=unmarked_sends.get(conn, audit_id).key)
    known = unmarked_sends.sent_since(conn, "discord", errand.at)
    return Once(key=errand.key, since=errand.at, known=known)


def told(errand: Errand) -> dict[str, Any]:
    """Return the result of a message that is out already, for the acts that mark its rows."""
    ids = {"id": errand.result_id, "message_id": errand.result_id, "existed": True}
    return {**ids, **{key: errand.args.get(key) for key in ("channel_id", "content")}}
