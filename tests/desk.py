"""A desk in a test: its application, and visitors with a role.

`browser` and `page` need a real Chromium, and are skipped where there is none.
"""

import shutil
import threading
from contextlib import ExitStack

import pytest
from starlette.testclient import TestClient

from botticelli.config.load import load
from botticelli.platforms.open import PLATFORMS
from botticelli.store.connection import connect
from botticelli.store.desk import keys
from botticelli.web.app import Desk, make_app
from botticelli.web.routes import WAYS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""


class Visits:
    """A desk over a database; `as_role` returns a client that is logged in."""

    def __init__(self, db_url, config):
        self.db_url = db_url
        self.problems = []
        self.desk = Desk(
            config=config,
            connect=lambda: connect(db_url),
            post_context=self._no_context,
            health=lambda: (not self.problems, self.problems),
        )
        self.app = make_app({"": self.desk}, WAYS)
        self._open = ExitStack()

    def _no_context(self, conn):
        raise AssertionError("nothing is withdrawn here")

    def client(self):
        return self._open.enter_context(
            TestClient(self.app, base_url="http://localhost", follow_redirects=False)
        )

    def as_role(self, role, name=""):
        client = self.client()
        with connect(self.db_url) as conn:
            key = keys.make_key(conn, "session", person=name or role, role=role)
        client.cookies.set("botticelli", key)
        client.headers["sec-fetch-site"] = "same-origin"
        return client

    def close(self):
        self._open.close()
        self.desk.close()


@pytest.fixture
def desk_config(tmp_path):
    """The shipped settings; a test may give others."""
    return load(None, environ={}, cwd=tmp_path, platforms=PLATFORMS)


@pytest.fixture
def visits(db, db_url, desk_config):
    made = Visits(db_url, desk_config)
    yield made
    made.close()


@pytest.fixture
def served(visits):
    """The desk on a real port, in a thread; returns its address."""
    import uvicorn

    config = uvicorn.Config(visits.app, port=0, log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        threading.Event().wait(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://localhost:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def chromium():
    """A browser for all tests of a process."""
    if not CHROMIUM:
        pytest.skip("there is no Chromium")
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as play:
        yield play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def browse(chromium, served, db):
    """`browse(role="approver", width=1280, scheme="light", js=True)` returns a page of a visitor.

    Whatever the browser writes on its console fails the test at its end.
    """
    opened, heard = [], []

    def browse(role="admin", *, width=1280, scheme="light", js=True):
        context = chromium.new_context(
            base_url=served,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=js,
        )
        key = keys.make_key(db, "session", person=role, role=role)
        context.add_cookies([{"name": "botticelli", "value": key, "url": served}])
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        opened.append(context)
        return page

    browse.heard = heard
    yield browse
    for context in opened:
        context.close()
    assert heard == [], "the console is empty"
