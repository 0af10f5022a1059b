"""The doors of the desk: who comes in, as what, and what of a request is not believed."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace

import pytest
from starlette.testclient import TestClient
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from botticelli.cli.work.desk import _check_doors
from botticelli.errors import ConfigError, Unavailable
from botticelli.store.desk import keys
from botticelli.store.desk.keys import ROLES
from botticelli.web.app import make_app
from botticelli.web.doors import hash_password, is_loopback
from botticelli.web.routes import WAYS

ORIGIN = {"sec-fetch-site": "same-origin"}


def at(way):
    return re.sub(r"\{\w+:int\}", "1", way.path).replace("{name}", "c1").replace("{sha256}", "0")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.method} {way.path}")
def test_every_way_needs_its_role(visits, way):
    for role in ROLES:
        client = visits.as_role(role)
        status = client.request(way.method, at(way)).status_code
        is_open = way.role is None or ROLES.index(role) >= ROLES.index(way.role)
        assert (status != 403) == is_open or "token" in way.path or way.path == "/login"
    if way.role is not None:
        status = visits.client().request(way.method, at(way), headers=ORIGIN).status_code
        assert status == (303 if way.method == "GET" else 401), "nobody is logged in"


def test_every_page_takes_no_other_method(visits):
    client = visits.as_role("admin")
    known = {(way.method, at(way)) for way in WAYS if "{name}" not in way.path}
    for path in {path for _, path in known}:
        for method in ("PUT", "DELETE", "PATCH", "POST", "GET"):
            if (method, path) not in known:
                assert client.request(method, path).status_code == 405


def test_a_link_opens_once_whoever_is_quicker(visits, db):
    key = keys.make_key(db, "link", person="anna", role="editor")
    clients = [visits.client() for _ in range(4)]

    def enter(client):
        return client.post("/login", data={"token": key}, headers=ORIGIN).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(enter, clients)) == [303, 403, 403, 403]


def test_looking_at_a_link_does_not_spend_it(visits, db):
    key = keys.make_key(db, "link", person="anna", role="editor")
    client = visits.client()

    assert client.get(f"/login?token={key}").status_code == 200
    entered = client.post("/login", data={"token": key, "then": "//evil.example"}, headers=ORIGIN)
    assert entered.headers["location"] == "/review"
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert key not in cookie
    assert "anna, editor" in client.get("/review").text


def test_a_password_is_tried_five_times_then_one_waits(visits, db):
    keys.save_person(db, "anna", role="approver", password=hash_password("correct horse"))
    client = visits.client()

    def log_in(password):
        form = {"name": "anna", "password": password}
        return client.post("/login", data=form, headers=ORIGIN).status_code

    assert log_in("correct horse") == 303
    assert [log_in("wrong") for _ in range(5)] == [403] * 5
    assert log_in("correct horse") == 403, "one has to wait"
    db.execute("UPDATE desk_people SET blocked_until = botticelli_now() - interval '1 second'")
    assert log_in("correct horse") == 303


def test_a_role_that_is_changed_holds_at_once_and_who_is_removed_is_out(visits, db):
    client = visits.as_role("admin", name="anna")
    keys.save_person(db, "anna", role="viewer")
    assert client.post("/candidates", data={"do": "approve"}).status_code == 403
    keys.remove_person(db, "anna")
    assert client.get("/review").status_code == 303


def test_sessions_end(visits, db):
    client = visits.as_role("admin")
    db.execute("UPDATE desk_keys SET used_at = botticelli_now() - interval '13 hours'")
    assert client.get("/review").status_code == 303
    db.execute("UPDATE desk_keys SET used_at = botticelli_now()")
    assert client.get("/review").status_code == 200
    db.execute("UPDATE desk_keys SET expires_at = botticelli_now()")
    assert client.get("/review").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "", "origin": "https://evil.example"},
        {"sec-fetch-site": "", "origin": "null"},
        {"sec-fetch-site": ""},
    ],
)
def test_what_another_site_sends_changes_nothing(visits, db, headers):
    client = visits.as_role("admin")
    answer = client.post("/logout", headers=headers)
    assert answer.status_code == 403
    assert client.get("/review").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", ""])
def test_a_name_that_was_bound_to_us_is_refused(visits, host):
    assert visits.as_role("admin").get("/review", headers={"host": host}).status_code == 421


def test_a_form_that_is_too_large_is_refused_while_it_comes_in(visits):
    sent = 0

    def chunks():
        nonlocal sent
        for _ in range(200):
            sent += 1
            yield b"x" * 64 * 1024

    client = visits.as_role("admin")
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/candidates", content=chunks(), headers=kind).status_code == 413
    many = "&".join(f"a{n}=1" for n in range(301))
    assert client.post("/candidates", content=many, headers=kind).status_code == 400


def test_every_answer_says_what_browsers_are_to_keep_to(visits):
    client = visits.as_role("viewer")
    for path in ("/review", "/nothing", "/health", "/login", "/assets/desk.css"):
        found = client.get(path).headers
        assert "script-src 'self'" in found["content-security-policy"], path
        assert found["x-content-type-options"] == "nosniff"


def test_health_says_only_yes_or_no_to_strangers(visits):
    assert visits.client().get("/health").json() == {"healthy": True}
    visits.problems = ["post: late"]
    assert visits.as_role("viewer").get("/health").json() == {
        "healthy": False,
        "problems": ["post: late"],
    }
    assert visits.as_role("viewer").get("/health").status_code == 503


def test_addresses_that_only_this_machine_reaches():
    assert all(map(is_loopback, ("127.0.0.1:1", "localhost:1", "[::1]:1", "127.9.9.9:1")))
    assert not any(map(is_loopback, ("0.0.0.0:1", ":1", "[::]:1", "192.168.1.2:1", "desk:1")))


HANDED = {"remote-user": "anna", "x-forwarded-for": "203.0.113.5", "x-forwarded-proto": "https"}


@pytest.fixture
def proxied(visits):
    """Return what the desk answers a proxy's headers at a server's end of a connection."""
    visits.desk.config = replace(
        visits.desk.config, desk=replace(visits.desk.config.desk, user_header="Remote-User")
    )
    behind = ProxyHeadersMiddleware(visits.app, trusted_hosts="*")

    def ask(server):
        async def app(scope, receive, send):
            await behind({**scope, "server": server, "client": None}, receive, send)

        client = TestClient(app, base_url="http://localhost", follow_redirects=False)
        return client.get("/review", headers=HANDED)

    return ask


def test_a_proxy_at_a_unix_socket_may_also_say_for_whom_it_asks(proxied):
    assert proxied(("/run/desk.sock", None)).status_code == 200
    assert proxied(("127.0.0.1", 8080)).status_code == 303, "anybody may write that header"


def test_a_cookie_behind_tls_is_one_that_browsers_keep(visits, db):
    app = make_app({"/one": visits.desk, "/two": visits.desk}, WAYS)
    client = TestClient(app, base_url="https://localhost", follow_redirects=False)
    for path in ("/one", "/two"):
        key = keys.make_key(db, "link", person="anna", role="editor")
        answer = client.post(f"{path}/login", data={"token": key}, headers=ORIGIN)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"__Host-botticelli-{path[1:]}=")
        assert "Path=/;" in cookie
        assert "Secure" in cookie
    assert client.get("/one/review").status_code == client.get("/two/review").status_code == 200
    left = client.post("/one/logout", headers=ORIGIN).headers["set-cookie"]
    assert "Secure" in left
    assert (client.get("/one/review").status_code, client.get("/two/review").status_code) == (
        303,
        200,
    )


def test_health_says_no_in_json_when_the_database_is_away(visits):
    def away():
        raise Unavailable("it does not answer", where="database")

    visits.desk.connect = away
    answer = visits.client().get("/health")
    assert (answer.status_code, answer.json()) == (503, {"healthy": False})


@pytest.mark.parametrize(
    ("address", "is_refused"), [("127.0.0.1", False), ("0.0.0.0", True), (None, False)]
)
def test_a_socket_that_was_handed_over_needs_a_door_too(visits, db, tmp_path, address, is_refused):
    with socket.socket(socket.AF_INET if address else socket.AF_UNIX) as sock:
        sock.bind((address, 0) if address else str(tmp_path / "desk.sock"))
        with pytest.raises(ConfigError) if is_refused else nullcontext():
            _check_doors(db, visits.desk, sock)
