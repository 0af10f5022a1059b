"""What is known of Discord servers: guilds, users, channels, roles, members and their roles."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from psycopg import sql

from botticelli.config.keys import NOTHING
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.tables.columns import (
    Column,
    TableError,
    clean,
    columns_of,
    fit,
    identifier,
    match,
)


@record
class Kind:
    """One kind of thing on Discord.

    Args:
        name: As a person calls it.
        key: Columns that identify one.
        required: Fields without which it says too little to be kept; the key is among them.
        aliases: Other names of fields -> columns, where the column itself is not given.
    """

    name: str
    table: str
    key: tuple[str, ...] = ("id",)
    required: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=lambda: NOTHING)


GUILD: Final = Kind(
    name="server",
    table="discord_guilds",
    required=("id", "name", "owner_id"),
    aliases={"guild_id": "id"},
)
USER: Final = Kind(
    name="user",
    table="discord_users",
    required=("id", "username"),
    aliases={"user_id": "id"},
)
CHANNEL: Final = Kind(
    name="channel",
    table="discord_channels",
    required=("id", "channel_type"),
    aliases={"channel_id": "id", "kind": "channel_type", "type": "channel_type"},
)
ROLE: Final = Kind(
    name="role",
    table="discord_roles",
    required=("id", "guild_id", "name", "position", "permissions"),
    aliases={"role_id": "id"},
)
MEMBER: Final = Kind(
    name="member",
    table="discord_guild_members",
    key=("guild_id", "user_id"),
    required=("guild_id", "user_id", "joined_at"),
    aliases={"nickname": "nick"},
)
MEMBER_ROLE: Final = Kind(
    name="member's role",
    table="discord_member_roles",
    key=("guild_id", "user_id", "role_id"),
    required=("guild_id", "user_id", "role_id", "assigned_at"),
)

UPSERT: Final = sql.SQL("""
    INSERT INTO {table} ({columns}, updated_at)
         VALUES ({values}, botticelli_now())
    ON CONFLICT ({key}) DO UPDATE SET {changes}
""")


def keep(conn: Connection, kind: Kind, said: Mapping[str, Any]) -> int:
    """Keep what was said of one thing, over what was known of it; return the last part of its key.

    Fields that there is no column for, or that do not fit theirs, are left out. One transaction.

    Raises:
        TableError: A field of the key, or another required one, is of no use.
    """
    columns = columns_of(conn, kind.table)
    values = _values(kind, said, columns=columns)
    useless = [name for name in kind.required if values.get(name) is None]
    if useless:
        shown = ", ".join(f"{name} = {said.get(name)!r}"[:60] for name in useless)
        raise TableError(f"a {kind.name} cannot have {shown}", where=kind.table)
    replaced = sql.SQL("{0} = EXCLUDED.{0}")
    statement = UPSERT.format(
        table=identifier(kind.table),
        columns=sql.SQL(", ").join(map(identifier, values)),
        values=sql.SQL(", ").join(map(sql.Placeholder, values)),
        key=sql.SQL(", ").join(map(identifier, kind.key)),
        changes=sql.SQL(", ").join(map(replaced.format, map(identifier, (*values, "updated_at")))),
    )
    conn.execute(statement, values)
    return int(values[kind.key[-1]])


def _values(
    kind: Kind, said: Mapping[str, Any], *, columns: Mapping[str, Column]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in clean(said).items():
        name = match(key, columns)
        if name is None and kind.aliases.get(key) not in said:
            name = kind.aliases.get(key)
        fitting = fit(value, columns[name]) if name and name != "updated_at" else None
        if name and fitting is not None and name not in values:
            values[name] = fitting.value
    return values
