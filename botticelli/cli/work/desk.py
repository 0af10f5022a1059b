"""`botticelli desk`: the desk in a browser, and who may use it."""

import re
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from socket import AF_UNIX, socket
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

import typer

from botticelli.cli.reports.health import read_health
from botticelli.cli.shell.command import Done, PlainText, command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Listing
from botticelli.cli.work.post import context_of
from botticelli.errors import BotticelliError, ConfigError, UsageError
from botticelli.store.connection import Connection
from botticelli.store.desk import keys
from botticelli.store.desk.keys import ROLES, Role
from botticelli.store.session import DatabaseSession
from botticelli.text import minute_face

if TYPE_CHECKING:
    from botticelli.web.app import Desk

NEEDED: Final = ("starlette", "jinja2", "uvicorn", "argon2")
SHORTEST: Final = 10  # characters of a password
PEOPLE: Final[Columns] = {
    "name": "name",
    "role": "role",
    "password": lambda one: "yes" if one.has_password else "no",
    "blocked until": lambda one: minute_face(one.blocked_until),
}
KEYS: Final[Columns] = {
    "id>": "id",
    "kind": "kind",
    "of": "person",
    "role": "role",
    "made": lambda one: minute_face(one.made_at),
    "used": lambda one: minute_face(one.used_at),
    "until": lambda one: minute_face(one.expires_at),
}
desk = group(
    "desk",
    examples="""
    botticelli desk
    botticelli desk --listen 0.0.0.0:8080
    botticelli desk link --for anna --role approver
    botticelli desk user add anna --role approver
    """,
)
user = group("user", parent=desk, text="People who have a password, or whom a proxy names.")


def _role(value: str) -> str:
    if value not in ROLES:
        raise UsageError(f"there is no role '{value}'", hint=f"name {', '.join(ROLES)}")
    return value


RoleOption = Annotated[
    str,
    typer.Option("--role", metavar="ROLE", parser=_role, help="viewer, editor, approver or admin."),
]


@command(desk, writes=True, json=False)
def serve(
    env: Environment,
    *,
    listen: str = "",
    unix: Path | None = None,
    read_only: bool = False,
    every: bool = False,
    idle_exit: str = "",
    browser: bool = False,
) -> None:
    """Serve the desk until Ctrl-C.

    Prints a link that opens it once, as admin. Another one: botticelli desk link.

    Takes:
        listen HOST:PORT: Where to listen; fd:// takes the socket that systemd hands over.
        unix PATH: Listen on this unix socket instead, for a proxy.
        read_only: Let nobody change anything; the database itself refuses it.
        every --all: Serve all projects of this user, each at its own path.
        idle_exit TIME: End when nobody has asked for anything so long, as in 15m.
        browser --open: Open the browser.

    Examples:
        botticelli desk
        botticelli desk --read-only --listen 127.0.0.1:9000
    """
    _require()
    from botticelli.web.app import make_app
    from botticelli.web.routes import WAYS
    from botticelli.web.serve import listening
    from botticelli.web.serve import serve as run

    env.writes = not read_only
    wait = _seconds(idle_exit) if idle_exit else None
    where = listen or env.config.desk.listen
    with ExitStack() as stack:
        sock = stack.enter_context(listening(where, unix))
        desks: dict[str, Desk] = {}
        links = []
        for path, each in (_projects(env) if every else {"": env}).items():
            conn = stack.enter_context(each.database())
            made = desks[path] = _desk(each, is_read_only=read_only)
            _check_doors(conn, made, sock)
            links.append(f"{path}/login?token={made.doors.link(conn, each.user, 'admin')}")
        for one in desks.values():
            one.others = {path: path.strip("/") for path in desks} if every else {}
        behind = sock.family == AF_UNIX or bool(env.config.desk.proxy_secret)
        shown = [] if unix or where.startswith("fd://") else links
        ready = partial(_say_links, env, shown, where, browser=browser)
        run(make_app(desks, WAYS), sock, ready=ready, idle_exit=wait, is_behind_proxy=behind)


def _say_links(env: Environment, links: list[str], where: str, *, browser: bool) -> None:
    """Print how to get in, once the desk takes requests."""
    from botticelli.web.doors import is_loopback

    named = where if is_loopback(where) else f"localhost:{where.rpartition(':')[2]}"
    for link in links:
        env.stdout.write(f"http://{named}{link}\n")
    env.stdout.flush()
    env.say("the desk is open; each link works once, for an hour; end it with Ctrl-C")
    if browser and links:
        import webbrowser

        webbrowser.open(f"http://{named}{links[0]}")


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)([smh])", text)
    if found is None:
        raise UsageError(f"'{text}' is no time", where="--idle-exit", hint="write 15m, 90s or 2h")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def _require() -> None:
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in NEEDED):
        raise ConfigError(
            "it needs packages that are not installed",
            where="desk",
            hint="pip install 'botticelli[desk]'",
        )


def _desk(env: Environment, *, is_read_only: bool) -> "Desk":
    from botticelli.web.app import Desk

    def health() -> tuple[bool, list[str]]:
        try:
            with env.connect() as conn:
                if isinstance(conn, DatabaseSession):
                    conn.change(statement_timeout="2s")
                report = read_health(conn, env.config)
        except BotticelliError as error:
            return False, [str(error.problems[0])]
        return report.healthy, [f"{one.name}: {one.what}" for one in report.problems]

    return Desk(
        config=env.config,
        connect=env.connect,
        post_context=lambda conn: context_of(env, conn),
        health=health,
        is_read_only=is_read_only,
    )


def _projects(env: Environment) -> Mapping[str, Environment]:
    """Return the environments of this user's projects by their paths.

    Raises:
        ConfigError: There is none.
    """
    from botticelli.store.projects import describe, list_databases

    found: dict[str, Environment] = {}
    for name in list_databases(env.embedded):
        root = Path(describe(env.embedded.url_of(name)).root or "/nowhere")
        if root.is_dir():
            there = env.at(root)
            there.writes = env.writes
            found[f"/{quote(there.config.project.slug)}"] = there
    if not found:
        raise ConfigError("this user has no projects", where="desk --all", hint="botticelli init")
    return found


def _check_doors(conn: Connection, made: "Desk", sock: socket) -> None:
    """Refuse to be open to other machines without a door.

    Raises:
        ConfigError: Nobody has a password, and no proxy has a secret.
    """
    from botticelli.web.doors import is_loopback

    if sock.family == AF_UNIX or is_loopback(where := "{}:{}".format(*sock.getsockname())):
        return
    has_password = any(one.has_password for one in keys.list_people(conn))
    if not has_password and not made.config.desk.proxy_secret:
        raise ConfigError(
            "other machines would reach it, and nobody has a password",
            where=where,
            hint="botticelli desk user add NAME, or [desk] proxy_secret, or listen on 127.0.0.1",
        )


@command(desk, decides=True)
def link(
    env: Environment, conn: Connection, *, person: str = "", role: RoleOption = "admin"
) -> PlainText:
    """Print a link that opens a running desk once, within an hour.

    Takes:
        person --for NAME: Whose it is; left out: yours.

    Examples:
        botticelli desk link --for anna --role approver
    """
    name = person or env.user
    key = keys.make_key(conn, "link", person=name, role=_as_role(role))
    url = f"http://{env.config.desk.listen}/login?token={key}"
    return PlainText(text=f"{url}\n", facts={"url": url, "for": name, "role": role})


def _as_role(text: str) -> Role:
    return next(one for one in ROLES if one == text)


@command(user, writes=True)
def add(
    env: Environment,
    conn: Connection,
    name: str,
    *,
    role: RoleOption = "viewer",
    without_password: bool = False,
) -> Done:
    """Add somebody, or change his role and password.

    The password is asked for; without a terminal it is the first line of stdin.

    Takes:
        name NAME: As decisions are recorded.
        without_password: He gets none: a proxy says who he is.

    Examples:
        botticelli desk user add anna --role approver
    """
    stored = None
    if not without_password:
        _require()
        from botticelli.web.doors import hash_password

        if env.is_terminal and sys.stdin.isatty():
            given = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        else:
            given = sys.stdin.readline().rstrip("\n")
        if len(given) < SHORTEST:
            raise UsageError(f"a password has at least {SHORTEST} characters")
        stored = hash_password(given)
    keys.save_person(conn, name, role=_as_role(role), password=stored)
    return Done(line=f"{name} is {role} now", facts={"name": name, "role": role})


@command(user, "list")
def list_users(conn: Connection) -> Listing:
    """List who has a password or a role."""
    rows = keys.list_people(conn)
    return Listing(name="people", rows=rows, columns=PEOPLE, empty="nobody: links alone open it")


@command(user, writes=True)
def remove(conn: Connection, name: str) -> Done:
    """Remove somebody, with all sessions and keys.

    Takes:
        name NAME: Who.
    """
    keys.remove_person(conn, name)
    return Done(line=f"{name} is removed, and logged out", facts={"name": name})


@command(desk, "keys")
def list_keys(conn: Connection) -> Listing:
    """List links, sessions and keys of feeds that are valid."""
    rows = keys.list_keys(conn, ("link", "session", "feed"))
    return Listing(name="keys", rows=rows, columns=KEYS, empty="there are none")


@command(desk, writes=True)
def revoke(conn: Connection, key: int) -> Done:
    """Revoke a link, a session or a key of a feed.

    Takes:
        key ID: As `botticelli desk keys` has it.
    """
    if not keys.revoke(conn, id_=key):
        raise UsageError(f"there is no key {key}", hint="see botticelli desk keys")
    return Done(line=f"key {key} is revoked", facts={"key": key})


@command(desk, writes=True)
def feed(env: Environment, conn: Connection, *, person: str = "") -> PlainText:
    """Print the addresses of the calendar and the posts, for programs that subscribe to them.

    Takes:
        person --for NAME: Whose they are; left out: yours.
    """
    key = keys.make_key(conn, "feed", person=person or env.user, role="viewer")
    urls = [
        f"http://{env.config.desk.listen}/{name}?key={key}"
        for name in ("calendar.ics", "posts.atom")
    ]
    return PlainText(text="\n".join([*urls, ""]), facts={"urls": urls})
