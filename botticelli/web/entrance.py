"""Login, logout and health."""

import time
from typing import Final

from starlette.responses import JSONResponse, Response

from botticelli.web.app import Call

MONTH: Final = 30 * 24 * 3600  # seconds
HEALTH_LASTS: Final = 5.0  # seconds
_seen: dict[int, tuple[float, bool]] = {}  # per desk: when it was asked, and what it said


def show_login(call: Call) -> Response:
    """Ask for the password; a one-use link asks to be used, so that no preview spends it."""
    if call.visitor and "token" not in call.request.query_params:
        return call.go("/review")
    token = call.request.query_params.get("token", "")
    then = call.request.query_params.get("then", "/review")
    return call.show("login.html", token=token, then=then, problem="")


def log_in(call: Call) -> Response:
    """Open a session by a one-use link or a password."""
    doors, then = call.desk.doors, call.form.get("then", "")
    if token := call.form.get("token"):
        session, problem = doors.enter(call.conn, token), "this link was used before, or is too old"
    else:
        name, password = call.form.get("name", ""), call.form.get("password", "")
        session = doors.log_in(call.conn, name, password)
        problem = "that is not right; after five wrong passwords one has to wait"
    if session is None:
        return call.show("login.html", status=403, token="", then=then, problem=problem)
    # Never to another site: the path is ours.
    answer = call.go(then if then.startswith("/") and then[1:2] not in ("/", "\\") else "/review")
    answer.set_cookie(value=session, max_age=MONTH, **doors.cookie_settings(call.request))
    return answer


def log_out(call: Call) -> Response:
    """End the session."""
    call.desk.doors.leave(call.conn, call.request)
    answer = call.go("/login")
    answer.delete_cookie(**call.desk.doors.cookie_settings(call.request))
    return answer


def show_start(call: Call) -> Response:
    """Go where the work is."""
    return call.go("/review")


def show_health(call: Call) -> Response:
    """Tell monitors whether all is well, and who has a session what is not. Asked every 5 s."""
    desk, now = call.desk, time.monotonic()
    if call.visitor is not None:
        healthy, problems = desk.health()
        return _health(healthy=healthy, problems=problems)
    at, healthy = _seen.get(id(desk), (-HEALTH_LASTS, False))
    if now - at > HEALTH_LASTS:
        healthy = desk.health()[0]
        _seen[id(desk)] = (now, healthy)
    return _health(healthy=healthy)


def _health(*, healthy: bool, **more: object) -> Response:
    values = {"healthy": healthy, **{name: value for name, value in more.items() if value}}
    return JSONResponse(values, 200 if healthy else 503, {"cache-control": "no-store"})
