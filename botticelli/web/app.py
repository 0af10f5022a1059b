"""The desk as an ASGI application: its routes, who may take them, and what every answer carries."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import sha256
from importlib import resources
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote

import anyio.to_thread
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from botticelli.config.model import Config
from botticelli.errors import BotticelliError, Exit, StaleError
from botticelli.records import record
from botticelli.store.connection import Connection, mapped_errors
from botticelli.store.desk.keys import Role
from botticelli.store.session import DatabaseSession
from botticelli.web import doors
from botticelli.web.doors import Doors, Visitor
from botticelli.web.filters import FILTERS

if TYPE_CHECKING:
    from botticelli.stages.post.target import PostContext

LARGEST: Final = 256 * 1024  # bytes of a form
MOST_FIELDS: Final = 300
SLOWEST: Final = 10.0  # seconds that a form may take
THREADS: Final = 8
STATEMENT: Final = 5.0  # seconds
STATUS: Final = {Exit.USAGE: 400, Exit.UNAVAILABLE: 503, Exit.TRY_LATER: 503, Exit.CONFIG: 503}
HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class PageError(Exception):
    """A request that gets a page with a status of its own."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


@dataclass(kw_only=True)
class Desk:
    """One project's desk.

    Args:
        config: The project's.
        connect: Opens a connection to its database.
        post_context: What withdrawing a published post needs.
        health: Returns whether all is well, and what is not.
        is_read_only: Nobody can change anything: the database itself refuses it.
        others: Where the desks of other projects are, by name.
    """

    config: Config
    connect: Callable[[], Connection]
    post_context: "Callable[[Connection], PostContext]"
    health: Callable[[], tuple[bool, Sequence[str]]]
    is_read_only: bool = False
    others: Mapping[str, str] = field(default_factory=dict)
    _free: "SimpleQueue[Connection]" = field(default_factory=SimpleQueue)

    @cached_property
    def doors(self) -> Doors:
        """The ways in."""
        return Doors(self.config.desk, is_read_only=self.is_read_only)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection; one that a request leaves in a transaction is given up."""
        try:
            conn = self._free.get_nowait()
        except Empty:
            conn = self.connect()
            if isinstance(conn, DatabaseSession):
                limits = {"statement_timeout": f"{STATEMENT:g}s"}
                reads = {"default_transaction_read_only": "on"} if self.is_read_only else {}
                conn.change(**limits, **reads)
        try:
            with mapped_errors():
                yield conn
        except BaseException:
            conn.close()
            raise
        self._free.put(conn)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while not self._free.empty():
            self._free.get().close()


@record
class Call:
    """One request, with all that its handler needs."""

    desk: Desk
    request: Request
    conn: Connection
    visitor: Visitor | None
    form: Mapping[str, str]
    fields: Sequence[tuple[str, str]] = ()

    @property
    def root(self) -> str:
        """The path that stands before all others."""
        return str(self.request.scope.get("root_path", ""))

    @property
    def is_fragment(self) -> bool:
        """Whether a script of ours asks, which puts the answer into its page."""
        return "x-fragment" in self.request.headers

    @property
    def by(self) -> str:
        """Who decides, as it is recorded."""
        assert self.visitor is not None
        return self.visitor.name

    def may(self, role: Role) -> bool:
        """Return whether the visitor has at least that role."""
        return self.visitor is not None and self.visitor.may(role)

    def path(self, name: str) -> int:
        """Return a number of the path."""
        return int(self.request.path_params[name])

    def show(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page, or a part of one."""
        return _page(self.desk, self.request, template, self.visitor, status=status, **values)

    def go(self, path: str) -> Response:
        """Return a redirect within the desk, as after a form."""
        return RedirectResponse(self.root + path, status_code=303)


Handler = Callable[[Call], Response]


@record
class Way:
    """A line of the route table; `role` None: for everybody."""

    method: str
    path: str
    handler: Handler
    role: Role | None = "viewer"


class _Templates(Environment):
    def __init__(self) -> None:
        super().__init__(
            loader=PackageLoader("botticelli.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.filters.update(FILTERS)
        self.globals["asset"] = lambda name: f"/assets/{name}?v={ASSETS[name][1]}"


def _assets() -> dict[str, tuple[bytes, str]]:
    folder = resources.files("botticelli.web").joinpath("assets")
    found = {one.name: one.read_bytes() for one in folder.iterdir() if one.name[0] not in "._"}
    return {name: (content, sha256(content).hexdigest()[:16]) for name, content in found.items()}


ASSETS: Final = _assets()
TEMPLATES: Final = _Templates()


def _page(
    desk: Desk,
    request: Request,
    template: str,
    visitor: Visitor | None,
    *,
    status: int = 200,
    **values: Any,
) -> Response:
    text = TEMPLATES.get_template(template).render(
        desk=desk,
        root=request.scope.get("root_path", ""),
        visitor=visitor,
        here=request.url.path.removeprefix(request.scope.get("root_path", "")),
        **values,
    )
    return Response(text, status, {"cache-control": "no-store"}, "text/html; charset=utf-8")


def _asset(request: Request) -> Response:
    content, _ = ASSETS.get(name := request.path_params["name"], (None, ""))
    if content is None:
        raise HTTPException(404)
    kind = TYPES[name.rpartition(".")[2]]
    return Response(content, 200, {"cache-control": "max-age=31536000, immutable"}, kind)


async def _form(request: Request) -> list[tuple[str, str]]:
    """Return the fields of a form; refuses what is too large while it comes in."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise PageError(413, f"a form has at most {LARGEST // 1024} kB")
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise PageError(400, "this is no form of ours") from None
    # Browsers send a line end as \r\n.
    return [(name, value.replace("\r\n", "\n").replace("\0", "")) for name, value in fields]


def _endpoint(desk: Desk, way: Way) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            _check(request, desk)
            fields: list[tuple[str, str]] = []
            if request.method == "POST":
                fields = await asyncio.wait_for(_form(request), SLOWEST)
            return await run_in_threadpool(_answer, desk, way, request, fields)
        except TimeoutError:
            return _error(desk, request, 408, "the form took too long to come in")
        except ClientDisconnect:
            return Response(status_code=400)
        except PageError as error:
            return _error(desk, request, error.status, str(error))

    return endpoint


def _check(request: Request, desk: Desk) -> None:
    if not doors.is_known_host(request, desk.config.desk):
        raise PageError(421, "this desk is not known by that name ([desk] hosts)")
    if request.method == "POST" and not doors.is_same_site(request):
        raise PageError(403, "this was sent by another site")


def _answer(desk: Desk, way: Way, request: Request, fields: Sequence[tuple[str, str]]) -> Response:
    """Let a request in and its handler answer it. In a thread of its own."""
    try:
        with desk.connection() as conn:
            visitor = desk.doors.visitor(request, conn)
            if way.role and visitor is None:
                return _log_in_first(desk, request)
            if way.role and visitor and not visitor.may(way.role):
                what = f"that is for who is {way.role}, and you are {visitor.role}"
                return _error(desk, request, 403, what)
            call = Call(
                desk=desk,
                request=request,
                conn=conn,
                visitor=visitor,
                form=dict(fields),
                fields=fields,
            )
            return way.handler(call)
    except BotticelliError as error:
        if way.path == "/health":  # monitors ask for JSON, above all when the database is away
            return JSONResponse({"healthy": False}, 503, {"cache-control": "no-store"})
        status = 409 if isinstance(error, StaleError) else STATUS.get(error.exit_code, 500)
        return _error(desk, request, status, str(error.problems[0]))


def _log_in_first(desk: Desk, request: Request) -> Response:
    if request.method != "GET" or "x-fragment" in request.headers:
        return _error(desk, request, 401, "your session is over; log in, your text is kept")
    root = request.scope.get("root_path", "")
    wanted = request.url.path.removeprefix(root)
    return RedirectResponse(f"{root}/login?then={quote(wanted)}", status_code=303)


def _error(desk: Desk, request: Request, status: int, what: str) -> Response:
    if "x-fragment" in request.headers or "json" in request.headers.get("accept", ""):
        return JSONResponse({"error": what}, status)
    return _page(desk, request, "error.html", None, status=status, code=status, what=what)


class _Headers:
    """Adds to each answer what browsers are to keep to."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] += [each for each in more if each[0] not in own]
            await send(message)

        await self.app(scope, receive, with_headers)


def make_app(desks: Mapping[str, Desk], ways: Sequence[Way]) -> ASGIApp:
    """Return the application: one project's desk, or each at its own path.

    Args:
        desks: The desks by their paths; "" for the only one.
        ways: The route table.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        yield
        for desk in desks.values():
            desk.close()

    async def failed(request: Request, error: Exception, *, desk: Desk) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        what = {404: "there is no such page", 405: "this page does not take that"}
        return _error(desk, request, status, what.get(status, "something broke; see the log"))

    first = next(iter(desks.values()))
    routes: list[Route | Mount] = [Route("/assets/{name}", _asset)]
    for path, desk in desks.items():
        own = [Route(way.path, _endpoint(desk, way), methods=[way.method]) for way in ways]
        routes += [Mount(path, routes=own)] if path else own
    if "" not in desks:
        routes.append(Route("/", lambda _: RedirectResponse(f"{next(iter(desks))}/", 303)))
    handlers: Any = dict.fromkeys((404, 405, 500), partial(failed, desk=first))
    return _Headers(Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers))
