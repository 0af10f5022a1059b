"""Whose database it is: a project's stamp, and how a project finds its own database.

With the embedded server each project has a database named after it. Versions before 5 had one for
all, `botticelli`: it is taken over where it is, by the project whose channels it knows. Each is
stamped with the name and folder of the project that wrote to it first; so is one of DATABASE_URL.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

from psycopg import errors, sql

from botticelli.config.model import Config
from botticelli.config.project import Project
from botticelli.errors import ConfigError, TryLater
from botticelli.records import record
from botticelli.store.connection import Connection, connect, mapped_errors
from botticelli.store.schema import (
    EXPECTED_VERSION,
    Contents,
    NothingYet,
    Owner,
    apply_schema,
    check_contents,
    check_readable,
    check_rights,
    inspect,
)

if TYPE_CHECKING:
    from botticelli.store.embedded.server import Embedded

SINGLE: Final = "botticelli"  # the database of earlier versions
MAINTENANCE: Final = "postgres"  # the database of the server that is always there
DATABASES: Final = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1"
STAMP: Final = """
    INSERT INTO botticelli_project (name, root)
    VALUES (%(name)s, %(root)s)
        ON CONFLICT (id) DO UPDATE
       SET root = excluded.root,
           taken_at = botticelli_now()
     WHERE botticelli_project.name = excluded.name
"""
RENAME: Final = sql.SQL("ALTER DATABASE {} RENAME TO {}")
UNSTAMP: Final = "DELETE FROM botticelli_project"
# Old deliveries know their destination by name only; its channel stands in the message's address.
CHANNELS: Final = r"""
    SELECT d.destination,
           CASE WHEN d.remote_url LIKE '/%' THEN regexp_replace(d.remote_url, '/[^/]*$', '')
                ELSE substring(d.remote_url FROM '/channels/[^/]+/(\d+)/\d+$') END AS channel
      FROM deliveries AS d
     WHERE d.state <> 'dropped'
     GROUP BY 1, 2
     ORDER BY 1, 2
"""
HOLDS_REAL_WORK: Final = """
    SELECT EXISTS (SELECT 1
                     FROM potential_discord_posts
                    WHERE generation_model IS DISTINCT FROM 'offline')
        OR EXISTS (SELECT 1
                     FROM approved_discord_posts
                    WHERE generation_model IS DISTINCT FROM 'offline')
        OR EXISTS (SELECT 1
                     FROM act_executions
                    WHERE provider IS DISTINCT FROM 'offline')
"""


def holds_real_work(conn: Connection) -> bool:
    """Return whether anything here is not from the offline model. One query."""
    return conn.execute(HOLDS_REAL_WORK).fetchone() == (True,)


HOLDS_ANYTHING: Final = """
    SELECT EXISTS (SELECT FROM runs)
        OR EXISTS (SELECT FROM potential_discord_posts)
        OR EXISTS (SELECT FROM approved_discord_posts)
        OR EXISTS (SELECT FROM act_executions)
"""


def holds_anything(conn: Connection) -> bool:
    """Return whether anybody has worked with this database. One query."""
    return conn.execute(HOLDS_ANYTHING).fetchone() == (True,)


class Unclaimed(ConfigError):
    """An old database may be this project's or not: a person has to say."""


class Belongs(ConfigError):
    """The database is another project's."""


def database_name(project: Project) -> str:
    """Return the name of a project's database on the embedded server."""
    return f"{SINGLE}-{project.slug}"


def locate(server: "Embedded", config: Config, *, project: Project, writes: bool) -> str:
    """Return the URL of a project's database on the embedded server.

    Args:
        server: Started if there is one; made if `writes`.
        config: The project's.
        project: Whose database it is.
        writes: Whether the database is made if it is missing.

    Raises:
        NothingYet: It is missing.
        Unclaimed: The database of an earlier version may be this project's.
    """
    own = database_name(project)
    names = list_databases(server) if writes or server.is_made else []
    if own in names:
        return server.url_of(own)
    if SINGLE in names and _is_ours(server.url_of(SINGLE), config, writes=writes):
        return server.url_of(SINGLE)
    if writes:
        return server.ensure(own)
    raise NothingYet(
        "it has no database yet",
        where=f"project {project.name}",
        hint="botticelli db init creates it, as the first generate does",
    )


@contextmanager
def throwaway_database(binaries: Path | None) -> Iterator[str]:
    """Yield the URL of an empty database on a server that is gone afterwards, for a dry run.

    Raises:
        Unavailable: There are no programs for a server here.
    """
    from tempfile import TemporaryDirectory

    from botticelli.store.embedded.server import Embedded

    with TemporaryDirectory(prefix="botticelli-") as folder:
        server = Embedded(Path(folder), binaries=binaries, settings=("fsync=off",))
        try:
            url = server.ensure()
            with connect(url) as conn:
                apply_schema(conn)
            yield url
        finally:
            server.stop()


def list_databases(server: "Embedded") -> list[str]:
    """Return the names of our databases on the embedded server, which is started for that."""
    with connect(server.ensure(MAINTENANCE)) as conn:
        return [name for (name,) in conn.execute(DATABASES, (SINGLE,))]


def _is_ours(url: str, config: Config, *, writes: bool) -> bool:
    """Return whether the single database of earlier versions is this project's; take it if so.

    Raises:
        Unclaimed: It holds somebody's posts, and they may be this project's or not.
    """
    with connect(url) as conn:
        found = inspect(conn)
        if found.version is None or found.version > EXPECTED_VERSION:
            return False
        if found.owner is None and not holds_anything(conn):
            return False
        is_practice = found.owner is None and not holds_real_work(conn)
        if is_practice and _strange_channels(conn, config, outboxes=True):
            return False  # what a demo has left
        try:
            check_owner(found, config.project)
            _check_channels(conn, found, config)
            if writes:
                admit(conn, config, writes=True)
        except Belongs:
            return False
    return True


def admit(conn: Connection, config: Config, *, writes: bool, is_dry: bool = False) -> Contents:
    """Let the project into a database that is for it; return what that holds.

    A command that writes puts the schema in place and stamps the database with the project;
    `is_dry`: only whether it could.

    Raises:
        NothingYet: The database is empty, and nothing is to be written.
        ConfigError: It is another application's, another project's, newer, or older and only read.
        Unavailable: The user may not create tables here.
    """
    found = inspect(conn)
    check_contents(found)
    check_owner(found, config.project)
    if not writes:
        check_readable(found)
        return found
    _check_channels(conn, found, config)
    if is_dry:
        check_rights(conn)
        return found
    if found.version is None or found.version < EXPECTED_VERSION:
        apply_schema(conn, only_if_older=True)
    if _is_to_stamp(found, config):
        stamp(conn, config.project)
        check_owner(inspect(conn), config.project)  # another project may have been quicker
    return found


def _is_to_stamp(found: Contents, config: Config) -> bool:
    project, owner = config.project, found.owner
    if project.root is None:
        return False
    if owner is None:
        return True
    # The hosts that share a server may each have the project in another folder.
    is_here = not (config.database.url or project.share)
    return is_here and owner.name == project.name and _is_moved(owner, project)


def stamp(conn: Connection, project: Project, *, anew: bool = False) -> None:
    """Write down whose database this is. One transaction.

    Args:
        conn: The database, with the present schema.
        project: Without a folder, nobody's.
        anew: Whoever had it before.
    """
    with conn.transaction():
        if anew:
            conn.execute(UNSTAMP)
        if project.root:
            conn.execute(STAMP, {"name": project.name, "root": str(project.root)})


@record
class ProjectDatabase:
    """A database as `projects` lists it.

    Args:
        name: The project's; empty: none has taken it.
        root: Its folder.
        problem: Why there is nothing to say of it.
    """

    database: str
    name: str = ""
    root: str = ""
    last_run: datetime | None = None
    size_bytes: int = 0
    now: datetime
    problem: str = ""


SIZE: Final = "SELECT pg_database_size(current_database()), statement_timestamp()"
LAST_RUN: Final = "SELECT max(started_at) FROM runs"


def describe(url: str) -> ProjectDatabase:
    """Return whose database that is, and when it was last used. Reads only."""
    with mapped_errors(), connect(url) as conn:
        found = inspect(conn)
        (size, now), *_ = conn.execute(SIZE)
        ((last,),) = conn.execute(LAST_RUN) if found.version else ((None,),)
        owner = found.owner or Owner(name="", root="")
        problem = "of another application" if found.foreign else "of no project"
        return ProjectDatabase(
            database=conn.info.dbname,
            name=owner.name,
            root=owner.root,
            last_run=last,
            size_bytes=size,
            now=now,
            problem="" if found.owner else problem,
        )


def take_over(conn: Connection, project: Project, *, former: str = "") -> None:
    """Make a database this project's, with all it holds.

    Raises:
        ConfigError: It is another application's or a newer one's, or the project's that it belongs
            to is not the one that was named.
    """
    found = inspect(conn)
    check_contents(found)
    if found.owner and found.owner.name not in (project.name, former):
        raise _belongs_to(found.owner, project)
    apply_schema(conn)
    stamp(conn, project, anew=True)


def adopt(server: "Embedded", project: Project, *, former: str = "") -> None:
    """Give the project a database that is there: of its former name, or the single one of old.

    Its own is replaced if nothing has happened in it.

    Raises:
        ConfigError: There is no such database, it is another project's, or the project has one of
            its own already.
        TryLater: Somebody works with the database.
    """
    names = list_databases(server) if server.is_made else []
    own = database_name(project)
    old = database_name(replace(project, given=former)) if former else own
    if old not in names or (not former and _has_owner(server.url_of(own), project)):
        old = SINGLE
    if old not in names:
        what = "there is no database to take over"
        raise ConfigError(what, where="embedded PostgreSQL", hint="see botticelli projects")
    is_doubled = old != own and own in names
    if is_doubled:
        with connect(server.url_of(own)) as conn:
            if inspect(conn).version is not None and holds_anything(conn):
                raise ConfigError(
                    f"it has a database of its own already, which is in use ({own})",
                    where=f"project {project.name}",
                    hint="keep one of the two: botticelli db backup, then db restore",
                )
    with connect(server.url_of(old)) as conn:
        take_over(conn, project, former=former)
    with connect(server.ensure(MAINTENANCE)) as conn:
        try:
            if is_doubled:
                conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(own)))
            if old not in (own, SINGLE):
                conn.execute(RENAME.format(sql.Identifier(old), sql.Identifier(own)))
        except errors.ObjectInUse as error:
            what = f"database {old} is in use"
            raise TryLater(what, where="db adopt", hint="stop its timers and try again") from error


def _has_owner(url: str, project: Project) -> bool:
    with connect(url) as conn:
        owner = inspect(conn).owner
    return owner is not None and owner.name == project.name and not _is_moved(owner, project)


def _belongs_to(owner: Owner, project: Project) -> Belongs:
    return Belongs(
        f"it belongs to project '{owner.name}' ({owner.root}), not to '{project.name}'",
        where="database",
        hint=f"name another database, or take it over: botticelli db adopt {quote(owner.name)}",
    )


def check_owner(found: Contents, project: Project) -> None:
    """Refuse a database that is another project's.

    Raises:
        Belongs: It is.
    """
    owner = found.owner
    if owner is None or project.share:
        return
    if project.root is None:
        what = f"it belongs to project '{owner.name}' ({owner.root})"
        hint = "run this in its folder or with --config, or name another database"
        raise Belongs(what, where="database", hint=hint)
    if owner.name != project.name:
        raise _belongs_to(owner, project)
    if _is_moved(owner, project) and os.path.isdir(owner.root):  # noqa: PTH112 - as below
        raise Belongs(
            f"another project is named '{owner.name}' ({owner.root})",
            where=f"{project.root}",
            hint="give this one a [project] name of its own, or, if it is the same one in another"
            " place: botticelli db adopt",
        )


def _is_moved(owner: Owner, project: Project) -> bool:
    assert project.root is not None
    here, there = str(project.root), owner.root
    # Unlike Path's, these take what may not be looked at for gone.
    is_there = os.path.exists(there)  # noqa: PTH110
    return here != there and not (is_there and os.path.samefile(here, there))  # noqa: PTH121


def _check_channels(conn: Connection, found: Contents, config: Config) -> None:
    """Refuse to take a database with deliveries to channels that the project does not have.

    Raises:
        Unclaimed: It has some.
    """
    if found.version is None or not _is_to_stamp(found, config):
        return
    why = "it was used without a project"
    if found.owner:
        why = f"project '{found.owner.name}' was at {found.owner.root}, which is gone"
    strange = _strange_channels(conn, config, outboxes=False)
    if strange:
        raise Unclaimed(
            f"{why}, and has deliveries to other channels than this project's ({strange[0]})",
            where="database",
            hint="botticelli db adopt takes it over with all it holds; "
            + ("or name another one" if config.database.url else "botticelli db init begins anew"),
        )


def _strange_channels(conn: Connection, config: Config, *, outboxes: bool) -> list[str]:
    """Return the channels of deliveries that the project does not have; files are none."""
    own = config.destinations.values()
    known = {place for one in own for place in (one.channel, str(one.folder)) if place}
    found = []
    for name, channel in conn.execute(CHANNELS):
        if not outboxes and (name == "outbox" or (channel or "").startswith("/")):
            continue
        destination = config.destinations.get(name)
        # A webhook's URL does not say into which channel it writes.
        is_unknown = not channel or (destination is not None and bool(destination.webhook))
        if channel not in known and not (destination and is_unknown):
            found.append(f"{name}: {channel}" if channel else name)
    return found
