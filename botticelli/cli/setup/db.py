"""`botticelli db`: the database, and our own PostgreSQL where no server is configured."""

import os
from pathlib import Path
from typing import Annotated

import typer

from botticelli.cli import dbcare
from botticelli.cli.dbgroup import db
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.errors import ConfigError, UsageError
from botticelli.records import record

AsJson = dbcare.AsJson

__all__ = ["dbcare"]  # its commands register themselves on import


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
    from shutil import which

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
