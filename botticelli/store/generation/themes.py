"""Themes that people keep at the desk, beside those of the file: a row wins over the file's."""

from collections.abc import Mapping, Sequence
from typing import Final

from botticelli.config.keys import quiet_date
from botticelli.config.operations import ThemeConfig
from botticelli.errors import StaleError, UsageError
from botticelli.records import record
from botticelli.store.connection import Connection, fetch_all, once

LIST: Final = """
    SELECT name, begins, ends, brief, tags, weight, is_active, fence, changed_by
      FROM themes
     ORDER BY name
     LIMIT 1000
"""
CHANGE: Final = """
    INSERT INTO themes AS t (name, begins, ends, brief, tags, weight, is_active, changed_by)
    VALUES (%(name)s, %(begins)s, %(ends)s, %(brief)s, %(tags)s, %(weight)s, %(is_active)s,
            %(changed_by)s)
        ON CONFLICT (name) DO UPDATE
       SET (begins, ends, brief, tags, weight, is_active, changed_by, changed_at, fence) =
           (excluded.begins, excluded.ends, excluded.brief, excluded.tags, excluded.weight,
            excluded.is_active, excluded.changed_by, botticelli_now(), t.fence + 1)
     WHERE t.fence = %(fence)s
"""


@record
class StoredTheme:
    """A row of the table.

    Args:
        name: Where the file has one of that name, this is what holds.
        begins, ends: As in the file: "12-01" or "2026-12-01"; empty: those of the file's theme,
            which this row only pauses or not.
        is_active: Whether it is written about.
        fence: How often it was changed, and once more; 0: it is not stored yet.
    """

    name: str
    begins: str = ""
    ends: str = ""
    brief: str = ""
    tags: Sequence[str] = ()
    weight: float = 0.3
    is_active: bool = True
    fence: int = 0
    changed_by: str = ""


def list_themes(conn: Connection) -> list[StoredTheme]:
    """Return the themes of the table, by name. Reads only."""
    return fetch_all(conn, StoredTheme, LIST)


def known(conn: Connection, configured: Mapping[str, ThemeConfig]) -> dict[str, ThemeConfig]:
    """Return the themes that hold: of the file, and over them those of the table. Reads only."""
    found = dict(configured)
    for one in list_themes(conn):
        if not one.is_active:
            found.pop(one.name, None)
        elif one.begins:
            found[one.name] = ThemeConfig(
                begins=one.begins,
                ends=one.ends,
                brief=one.brief,
                tags=tuple(one.tags),
                weight=one.weight,
            )
    return found


def change(conn: Connection, theme: StoredTheme) -> None:
    """Add a theme, or change it as `theme.fence` was seen. One transaction.

    Raises:
        StaleError: Somebody else changed it meanwhile, or added one of that name.
        UsageError: It has no name, no days, or a share that is none.
    """
    if not theme.name.strip():
        raise UsageError("a theme needs a name", where="name")
    for where, day in (("from", theme.begins), ("to", theme.ends)):
        try:
            if day or theme.begins or theme.brief:  # else they are the file's
                quiet_date(day)
        except ValueError as error:
            raise UsageError(error.args[0], where=where, hint='write "12-24"') from error
    if not 0 < theme.weight <= 1:
        raise UsageError("a share is more than 0 and at most 1", where="weight")
    values = {**vars(theme), "tags": list(theme.tags)}
    if not once(conn, lambda: conn.execute(CHANGE, values).rowcount):
        raise StaleError(f"theme '{theme.name}' was changed meanwhile", hint="look at it again")
