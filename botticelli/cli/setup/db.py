"""`botticelli db`: the database, and our own PostgreSQL where no server is configured."""

import os
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from typing import Annotated

import typer

from botticelli.cli.shell.app import app
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import ConfigError, UsageError
from botticelli.records import record
from botticelli.store.reads.doctor import Difference

AsJson = Annotated[bool, typer.Option("--json", help="Report as JSON.")]

db = typer.Typer(no_args_is_help=True, help="Look after the database.")
app.add_typer(db, name="db")


@record
class Database:
    """The database as it is; the last four are our own server's, None with a server of yours.

    Args:
        kind: embedded or server.
        place: Data folder, or host, port and name.
        schema_version: None: not there, or not running.
        size_bytes: On disk.
    """

    exit_code: int = 0
    kind: str
    place: str
    schema_version: int | None
    running: bool
    pid: int | None
    postgres: str | None
    size_bytes: int | None


@db.command()
def init(ctx: typer.Context, *, as_json: AsJson = False) -> int:
    """Put the schema in place; harmless where it is."""
    from botticelli.store.schema import apply_schema, schema_version

    env: Environment = ctx.obj
    with env.database() as conn:
        apply_schema(conn)
        version = schema_version(conn)
    env.tell(f"schema version {version} is in place", as_json=as_json, schema_version=version)
    return 0


@db.command()
def url(ctx: typer.Context, *, as_json: AsJson = False) -> int:
    """Print the database's URL, for psql and other programs."""
    env: Environment = ctx.obj
    target = env.database_url()
    if as_json:
        env.show({"url": target}, as_json=True)
    else:
        env.stdout.write(target + "\n")
    return 0


@db.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(ctx: typer.Context) -> int:
    """Open psql on the database; what follows is handed on to it."""
    env: Environment = ctx.obj
    target = env.database_url()
    if env.config.database.url:
        found = which("psql", path=env.environ.get("PATH"))
        if found is None:
            raise ConfigError("there is no psql", hint="install postgresql-client")
        program = Path(found)
    else:
        program = env.embedded.psql()
    env.stdout.flush()
    os.execve(program, [str(program), target, *ctx.args], env.environ)  # noqa: S606 - the point of it


@db.command()
def start(
    ctx: typer.Context,
    *,
    if_ours: Annotated[
        bool, typer.Option("--if-ours", help="Do nothing where a server of yours is configured.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Start our own PostgreSQL, if it is not running."""
    env: Environment = ctx.obj
    if if_ours and env.config.database.url:
        env.tell("a server of yours is configured", as_json=as_json, running=None)
        return 0
    _only_embedded(env)
    env.embedded.ensure()
    folder = env.embedded.folder
    env.tell(f"running, data in {folder}", as_json=as_json, running=True, folder=folder)
    return 0


@db.command()
def stop(ctx: typer.Context, *, as_json: AsJson = False) -> int:
    """Stop our own PostgreSQL; the next command starts it again."""
    env: Environment = ctx.obj
    _only_embedded(env)
    stopped = env.embedded.stop()
    env.tell("stopped" if stopped else "it was not running", as_json=as_json, stopped=stopped)
    return 0


@db.command()
def status(
    ctx: typer.Context,
    *,
    as_json: AsJson = False,
) -> int:
    """Tell where the database is and whether it runs; starts nothing."""
    env: Environment = ctx.obj
    report = _server(env) if env.config.database.url else _embedded(env)
    env.show(report, as_json=as_json)
    return report.exit_code


@record
class Pruned:
    """What `db prune` removed, by the name of the setting."""

    removed: Mapping[str, int]
    kept: Mapping[str, int]
    exit_code: int = 0


@db.command()
def prune(ctx: typer.Context, *, as_json: AsJson = False) -> int:
    """Remove history that is older than [retention] says."""
    from botticelli.store import ledger
    from botticelli.store.maintenance import retention

    env: Environment = ctx.obj
    with env.database() as conn:
        removed = {
            what: retention.prune(conn, what, days=getattr(env.config.retention, what))
            for what in retention.STATEMENTS
        }
        ledger.prune(conn)
        kept = {what: retention.count(conn, what) for what in retention.STATEMENTS}
    env.show(Pruned(removed=removed, kept=kept), as_json=as_json)
    return 0


@db.command()
def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Written anew; 0600.")],
    *,
    as_json: AsJson = False,
) -> int:
    """Write the whole database into one file, by pg_dump."""
    from botticelli.store.maintenance import dump

    env: Environment = ctx.obj
    target = env.cwd / file
    with env.database() as conn:
        program = dump.find(conn, "pg_dump", folders=_folders(env))
        size = dump.backup(env.database_url(), target, program=program, environ=env.environ)
    line = f"{file}: {size / 1_000_000:.1f} MB"
    env.tell(line, as_json=as_json, file=target, size_bytes=size)
    return 0


@db.command()
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file of db backup.")],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Replace what is in the database now.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Put a backup in place of the database; posting is paused until you have looked at it."""
    from botticelli.store import runs
    from botticelli.store.maintenance import dump

    env: Environment = ctx.obj
    if not yes:
        raise UsageError(
            "everything that is in the database now would be replaced",
            where="db restore",
            hint="stop the timers, then say --yes",
        )
    with env.database() as conn:
        program = dump.find(conn, "pg_restore", folders=_folders(env))
    dump.restore(env.database_url(), env.cwd / file, program=program, environ=env.environ)
    with env.database() as conn:
        runs.pause(conn, "post")
    env.tell(
        "restored; posting is paused, because posts that went out after the backup count as unsent."
        " Look at botticelli deliveries, drop those, then: botticelli resume post",
        as_json=as_json,
        file=env.cwd / file,
        paused=("post",),
    )
    return 0


@db.command()
def migrate(ctx: typer.Context, *, as_json: AsJson = False) -> int:
    """Bring the schema to this program's version; forwards only, and safe to repeat."""
    from botticelli.store.schema import EXPECTED_VERSION, apply_schema, schema_version

    env: Environment = ctx.obj
    with env.connect() as conn:
        before = schema_version(conn)
        if before is not None and before > EXPECTED_VERSION:
            raise ConfigError(
                f"the schema has version {before}, this program knows {EXPECTED_VERSION}",
                where="database",
                hint="upgrade botticelli; there is no way back",
            )
        apply_schema(conn)
    line = f"schema version {before or 'none'} -> {EXPECTED_VERSION}"
    env.tell(line, as_json=as_json, before=before, after=EXPECTED_VERSION)
    return 0


@record
class Drift:
    """How the database differs from schema.sql."""

    schema_version: int | None
    differences: tuple[Difference, ...]
    exit_code: int


@db.command()
def doctor(ctx: typer.Context, *, as_json: AsJson = False) -> int:
    """Compare the database with the schema that this program expects; exit 1 if it differs."""
    from botticelli.store.reads.doctor import differences
    from botticelli.store.schema import schema_version

    env: Environment = ctx.obj
    with env.database() as conn:
        found = differences(conn)
        report = Drift(
            schema_version=schema_version(conn), differences=found, exit_code=1 if found else 0
        )
    env.show(report, as_json=as_json)
    return report.exit_code


def _folders(env: Environment) -> list[Path]:
    """Return where PostgreSQL's programs may be: in PATH, in the system's folders, in the wheel."""
    on_path = which("pg_dump", path=env.environ.get("PATH"))
    return [*([Path(on_path).parent] if on_path else []), *env.embedded.places()]


def _only_embedded(env: Environment) -> None:
    if env.config.database.url:
        raise UsageError(
            "a server of yours is configured, which we neither start nor stop",
            where="DATABASE_URL",
            hint="unset it to use PostgreSQL of our own",
        )


def _server(env: Environment) -> Database:
    from botticelli.store.connection import place_of
    from botticelli.store.schema import schema_version

    with env.connect() as conn:
        return Database(
            kind="server",
            place=place_of(env.config.database.url),
            schema_version=schema_version(conn),
            running=True,
            pid=None,
            postgres=None,
            size_bytes=None,
        )


def _embedded(env: Environment) -> Database:
    from botticelli.store.schema import schema_version

    found = env.embedded.status()
    version = None
    if found.running:
        with env.connect() as conn:
            version = schema_version(conn)
    return Database(
        kind="embedded",
        place=str(found.folder),
        schema_version=version,
        running=found.running,
        pid=found.pid,
        postgres=found.version or None,
        size_bytes=found.size,
    )


@render.register
def _(report: Database, console: Console) -> None:
    state = f"running (pid {report.pid})" if report.pid else "running"
    rows: list[tuple[str, object]] = [
        ("database", f"{report.kind}, {state if report.running else 'stopped'}"),
        ("place", report.place),
        ("schema version", report.schema_version),
    ]
    if report.kind == "embedded":
        rows.append(("PostgreSQL", report.postgres))
        rows.append(("size", f"{(report.size_bytes or 0) / 1_000_000:.0f} MB"))
    for name, value in rows:
        console.line(f"{name:<15} {'-' if value is None else value}")


@render.register
def _(report: Pruned, console: Console) -> None:
    for what, number in report.removed.items():
        console.line(f"{what:<20} {number:>8} removed {report.kept[what]:>8} left")


@render.register
def _(report: Drift, console: Console) -> None:
    if not report.differences:
        console.line(f"schema version {report.schema_version}, as it should be", style="green")
        return
    for each in report.differences:
        console.line(f"{each.kind} {each.name}: {each.problem}", style="red")
        if each.problem == "different" and each.kind in {"column", "index"}:
            console.line(f"  expected {each.expected}")
            console.line(f"  found    {each.found}")
    console.line(
        "fix: botticelli db migrate adds what is missing; what differs was changed by hand"
    )
