"""`botticelli db`: the database, embedded or on a server."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Final

import typer

from botticelli.cli.shell.command import Done, PlainText, command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Lines, Styled
from botticelli.errors import ConfigError, UsageError
from botticelli.store import ledger
from botticelli.store.connection import Connection, mapped_errors, place_of
from botticelli.store.maintenance import retention
from botticelli.store.schema import EXPECTED_VERSION, NothingYet, apply_schema, schema_version

if TYPE_CHECKING:
    from botticelli.store.maintenance.restore import BackupContents

MOST_SHOWN: Final = 10  # tables of db status; --json has all
MOST_LISTED: Final = 40  # tables or statements of a backup in one message

db = group(
    "db",
    examples="""
    botticelli db status
    botticelli db backup backup.dump
    botticelli db psql -c 'SELECT count(*) FROM approved_discord_posts'
    """,
)


@command(db, writes=True)
def init(env: Environment) -> Done:
    """Create the project's database and schema; harmless where they exist."""
    from botticelli.store.projects import Unclaimed, database_name

    try:
        env.database_url()
    except Unclaimed:  # who says init, and not adopt, has decided
        env.embedded.ensure(database_name(env.config.project))
    with env.database() as conn:
        version = schema_version(conn)
    return Done(line=f"schema version {version} is in place", facts={"schema_version": version})


@command(db, writes=True)
def url(env: Environment) -> PlainText:
    """Print the URL of the database, for psql and other programs."""
    target = env.database_url()
    return PlainText(text=f"{target}\n", facts={"url": target})


@command(
    db,
    json=False,
    writes=True,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def psql(env: Environment, ctx: typer.Context) -> None:
    """Open psql on the database; further arguments are passed on to it."""
    from botticelli.store.maintenance.dump import without_password

    target, secret = without_password(env.database_url())
    if env.config.database.url:
        found = which("psql", path=env.environ.get("PATH"))
        if found is None:
            raise ConfigError("psql is not installed", hint="install postgresql-client")
        program = Path(found)
    else:
        program = env.embedded.psql()
    env.stdout.flush()
    os.execve(program, [str(program), target, *ctx.args], {**env.environ, **secret})  # noqa: S606 - the point of it


@command(db)
def start(env: Environment, *, if_ours: bool = False) -> Done:
    """Start the embedded PostgreSQL, if it is not running.

    Takes:
        if_ours: Do nothing if another server is configured.
    """
    if if_ours and env.config.database.url:
        return Done(line="another server is configured", facts={"running": None})
    _only_embedded(env)
    env.embedded.ensure("postgres")  # the one that every server has
    folder = env.embedded.folder
    return Done(line=f"running, data in {folder}", facts={"running": True, "folder": folder})


@command(db)
def stop(env: Environment) -> Done:
    """Stop the embedded PostgreSQL; the next command starts it again."""
    _only_embedded(env)
    stopped = env.embedded.stop()
    line = "stopped" if stopped else "it was not running"
    return Done(line=line, facts={"stopped": stopped})


@command(db)
def status(env: Environment) -> Lines:
    """Show where the database is and whether it runs; starts nothing."""
    url, version = env.config.database.url, None
    tables: list[retention.TableSize] = []
    found = None if url else env.embedded.status()
    if url or (found and found.running and env.config.project.root):
        with suppress(*(() if url else (NothingYet,))), mapped_errors(), env.connect() as conn:
            version = schema_version(conn)
            if version == EXPECTED_VERSION:
                tables = retention.sizes(conn, env.config.retention)
    facts = {
        "kind": "embedded" if found else "server",
        "place": str(found.folder) if found else place_of(url),
        "schema_version": version,  # None if missing or not running
        "running": found.running if found else True,
        "pid": found.pid if found else None,
        "postgres": (found.version or None) if found else None,
        "size_bytes": found.size if found else None,  # on disk
        "tables": tables,
    }
    state = f"running (pid {facts['pid']})" if facts["pid"] else "running"
    shown = {
        "database": f"{facts['kind']}, {state if facts['running'] else 'stopped'}",
        "place": facts["place"],
        "schema version": version,
    }
    if found:
        size = f"{(found.size or 0) / 1_000_000:.0f} MB"
        shown |= {"PostgreSQL": facts["postgres"], "size": size}
    lines = [f"{name:<15} {'-' if value is None else value}" for name, value in shown.items()]
    for each in tables[:MOST_SHOWN]:
        freed = f", prune frees about {each.prunable_bytes / 1e6:.1f} MB"
        name, size = f"  {each.name:<25}", f"{each.size_bytes / 1e6:9.1f} MB"
        lines.append(name + size + (freed if each.prunable_bytes else ""))
    return Lines(text="\n".join(lines), facts=facts)


@command(db, writes=True)
def prune(env: Environment, conn: Connection) -> Lines:
    """Delete history that is older than [retention] allows."""
    removed = {
        what: retention.prune(conn, what, days=getattr(env.config.retention, what))
        for what in retention.STATEMENTS
    }
    retention.tidy(conn, days=env.config.retention.act_executions)
    while ledger.prune(conn):
        pass
    kept = retention.counts(conn)
    lines = (f"{what:<20} {n:>8} removed {kept[what]:>8} left" for what, n in removed.items())
    return Lines(text="\n".join(lines), facts={"removed": removed, "kept": kept})


@command(db)
def backup(env: Environment, conn: Connection, file: Path) -> Done:
    """Write the whole database to a file with pg_dump.

    Takes:
        file FILE: The file; overwritten, mode 0600.
    """
    from botticelli.store.maintenance import dump

    target = env.cwd / file
    program = dump.find(conn, "pg_dump", folders=_folders(env))
    size = dump.backup(env.database_url(), target, program=program, environ=env.environ)
    line = f"{file}: {size / 1_000_000:.1f} MB"
    return Done(line=line, facts={"file": target, "size_bytes": size})


@command(db, writes=True)
def restore(env: Environment, file: Path, *, yes: bool = False, allow_code: bool = False) -> Done:
    """Replace the database by a backup and pause posting.

    Takes:
        file FILE: A file of db backup.
        yes: Replace what the database contains now.
        allow_code: Take over functions, triggers and the like that it holds.

    Examples:
        botticelli db restore backup.dump
        botticelli db restore backup.dump --yes
    """
    from botticelli.store import projects, runs
    from botticelli.store.maintenance import dump
    from botticelli.store.maintenance.restore import contents, home_of, replay

    with dump.opened(env.cwd / file) as backup, mapped_errors():
        if not env.config.database.url:
            env.embedded.harden()
        with env.database() as conn:
            program = dump.find(conn, "pg_restore", folders=_folders(env))
            found = contents(dump.lines(backup, program=program), home=home_of(conn))
            _agree(found, yes=yes, allow_code=allow_code)
            replay(conn, dump.lines(backup, program=program), allowed=found.code)
            projects.stamp(conn, env.config.project, anew=True)  # the backup may be another's
            runs.pause(conn, "post")
    return Done(
        line="restored; posting is paused, because posts sent after the backup count as unsent."
        " See botticelli deliveries, drop those, then: botticelli resume post",
        facts={"file": env.cwd / file, "paused": ("post",)},
    )


def _agree(found: "BackupContents", *, yes: bool, allow_code: bool) -> None:
    """Refuse a backup that a person has not agreed to, and say what it holds."""
    if found.code and not allow_code:
        raise UsageError(
            f"the backup holds code that is not ours: {_listed(found.code)}",
            where="db restore",
            hint="look at it (pg_restore --file=- FILE); if you trust all of it, say --allow-code",
        )
    if not yes:
        raise UsageError(
            f"everything in the database would be replaced by {_listed(found.tables)}",
            where="db restore",
            hint="stop the timers, then say --yes",
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"{len(names)}: {', '.join(names[:MOST_LISTED])}{more}"


@command(db, writes=True)
def migrate(env: Environment) -> Done:
    """Upgrade the schema to this version; safe to repeat, never back."""
    before = None
    with suppress(NothingYet), mapped_errors(), env.connect() as conn:
        before = schema_version(conn)
    with env.database() as conn:
        apply_schema(conn)  # also where the version is right, but something is missing
    line = f"schema version {before or 'none'} -> {EXPECTED_VERSION}"
    return Done(line=line, facts={"before": before, "after": EXPECTED_VERSION})


@command(db, writes=True)
def adopt(env: Environment, name: str = "") -> Done:
    """Take over a database of an earlier version, or of this project's former name or folder.

    Takes:
        name [NAME]: The former name of this project.

    Examples:
        botticelli db adopt
        botticelli db adopt old-name
    """
    from botticelli.store import projects

    project = env.project
    with mapped_errors():
        if env.config.database.url:
            with env.connect() as conn:
                projects.take_over(conn, project, former=name)
        else:
            projects.adopt(env.embedded, project, former=name)
    line = f"the database belongs to project '{project.name}' now"
    return Done(line=line, facts={"project": project.name, "root": project.root})


@command(db)
def doctor(conn: Connection) -> Lines:
    """Compare the database with the expected schema; exit with 1 if it differs."""
    from botticelli.store.reads.doctor import differences

    found, version = differences(conn), schema_version(conn)
    lines: list[str | Styled] = []
    for each in found:
        lines.append(Styled(f"{each.kind} {each.name}: {each.problem}", "red"))
        if each.problem == "different" and each.kind in {"column", "index"}:
            lines += [f"  expected {each.expected}", f"  found    {each.found}"]
    if found:
        lines.append(
            "fix: botticelli db migrate adds what is missing; the rest was changed by hand"
        )
    return Lines(
        text=lines or [Styled(f"schema version {version}, as it should be", "green")],
        facts={"schema_version": version, "differences": found},
        exit_code=1 if found else 0,
    )


def _folders(env: Environment) -> list[Path]:
    """Return where PostgreSQL's programs may be: in PATH, in the system's folders, in the wheel."""
    on_path = which("pg_dump", path=env.environ.get("PATH"))
    return [*([Path(on_path).parent] if on_path else []), *env.embedded.places()]


def _only_embedded(env: Environment) -> None:
    if env.config.database.url:
        raise UsageError(
            "another server is configured, which is not ours to start or stop",
            where="DATABASE_URL",
            hint="unset it to use the embedded PostgreSQL",
        )
