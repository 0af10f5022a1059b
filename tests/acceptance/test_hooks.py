"""Who is told how a run ended: commands, URLs, dead man's switches; none of them can do harm."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from botticelli.config.operations import Hooks, StageHooks
from botticelli.config.secrets import Secret
from botticelli.hooks import Event, notify
from tests.database import approved


class Hearing(BaseHTTPRequestHandler):
    """Writes down what it is told."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.heard.append((self.path, body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def hearing():
    server = HTTPServer(("127.0.0.1", 0), Hearing)
    server.heard, server.status = [], 200
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def silence():
    """The address of a server that takes what it is told and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/secret-path"


@pytest.fixture
def hanging(tmp_path, silence):
    """A command that hangs, with its children (`pids()`, while they live), and a URL."""
    script, pids = tmp_path / "hang", tmp_path / "pids"
    script.write_text(f"#!/bin/sh\nsleep 300 &\necho $! >> {pids}\necho $$ >> {pids}\nwait\n")
    script.chmod(0o755)

    def alive():
        found = pids.read_text().split() if pids.exists() else []
        return [pid for pid in found if "sleep" in _line(pid) or "hang" in _line(pid)]

    yield SimpleNamespace(command=str(script), url=silence, pids=alive)
    for pid in alive():
        os.kill(int(pid), signal.SIGKILL)


def _line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.fixture
def told(botticelli):
    """A command that writes down what it is told; `told()` returns it."""
    file = botticelli.cwd / "told"
    script = botticelli.cwd / "tell"
    script.write_text(
        f'#!/bin/sh\necho "$1 $BOTTICELLI_EVENT $BOTTICELLI_STAGE $BOTTICELLI_EXIT_CODE'
        f' $DISCORD_TOKEN" >> {file}\ncat >> {file}.json\n'
    )
    script.chmod(0o755)
    return lambda: file.read_text().splitlines() if file.exists() else []


def configure(botticelli, hooks, *, folder="outbox"):
    (botticelli.cwd / "botticelli.toml").write_text(
        f"[destinations.file]\nplatform = 'outbox'\nfolder = '{folder}'\n{hooks}\n"
    )
    assert botticelli("trust .").code == 0


def test_each_outcome_reaches_those_who_asked_for_it(botticelli, db, told):
    tell = botticelli.cwd / "tell"
    configure(
        botticelli,
        f"[hooks]\non_success = '{tell} all'\non_failure = '{tell} fail'\n"
        f"[hooks.post]\non_empty_queue = ['{tell} empty']",
    )
    botticelli.environ["DISCORD_TOKEN"] = "not for a hook"

    assert botticelli("post").code == 0
    assert sorted(told()) == ["all success post 0 ", "empty empty_queue post 0 "]

    approved(db)
    assert botticelli("post").code == 0
    assert told()[2:] == ["all success post 0 "]


def test_a_failed_run_is_told_with_its_reason_and_the_breaker_too(botticelli, db, told):
    tell = botticelli.cwd / "tell"
    (botticelli.cwd / "blocked").write_text("a file where a folder should be")
    configure(
        botticelli,
        f"[hooks]\non_failure = '{tell} fail'\non_breaker_open = '{tell} open'\n"
        "[circuit_breaker]\nfailure_threshold = 1",
        folder="blocked/outbox",
    )
    approved(db)

    ended = botticelli("post")

    assert ended.code != 0
    assert sorted(line.split()[:3] for line in told()) == [
        ["fail", "failure", "post"],
        ["open", "breaker_open", "post"],
    ]
    facts = (botticelli.cwd / "told.json").read_text()
    assert json.loads(facts[: facts.index("}{") + 1])["error"]
    assert botticelli("post").code == 75
    assert len(told()) == 2, "75 is no failure"


def test_a_dead_mans_switch_hears_start_and_end(botticelli, db, hearing):
    configure(botticelli, f"[hooks.post]\nping = '{hearing.url}/uuid'")

    botticelli("post")
    assert [path for path, _ in hearing.heard] == ["/uuid/start", "/uuid"]

    botticelli.environ["DATABASE_URL"] = "postgresql://x@127.0.0.1:1/x"
    assert botticelli("post").code == 69
    assert [path for path, _ in hearing.heard[2:]] == ["/uuid/start", "/uuid/fail"]
    assert "cannot be reached" in hearing.heard[-1][1]


def test_a_url_gets_the_facts_as_json(botticelli, db, hearing):
    configure(botticelli, f"[hooks]\non_success = '{hearing.url}/hook'")

    botticelli("post")

    ((path, body),) = hearing.heard
    facts = json.loads(body)
    assert path == "/hook"
    assert (facts["event"], facts["stage"], facts["exit_code"]) == ("success", "post", 0)
    assert facts["run"] == db.execute("SELECT max(id) FROM runs").fetchone()[0]


@pytest.mark.parametrize(
    "hook",
    ["/does/not/exist", "false", "http://127.0.0.1:1/secret-path", "nosuchscheme://x", "'"],
)
def test_a_hook_that_fails_never_fails_the_run(botticelli, db, hook):
    configure(botticelli, f"[hooks]\non_success = {json.dumps(hook)}")

    ended = botticelli("post")

    assert ended.code == 0
    assert "hook failed" in ended.err
    assert "secret-path" not in ended.err, "a hook's address may be a secret"


def test_a_refused_hook_is_no_failure_either(botticelli, db, hearing):
    hearing.status = 500
    configure(botticelli, f"[hooks]\non_success = '{hearing.url}/hook'")

    assert botticelli("post").code == 0


def test_a_paused_stage_a_dry_run_and_a_unit_tell_nothing(botticelli, db, told):
    tell = botticelli.cwd / "tell"
    configure(
        botticelli, f"[hooks]\non_success = '{tell} all'\non_failure = '{tell} all'", folder="x"
    )

    botticelli("post --dry-run")
    botticelli("pause post")
    botticelli("post")
    botticelli.environ["BOTTICELLI_FAILURES"] = "unit"
    botticelli.environ["DATABASE_URL"] = "postgresql://x@127.0.0.1:1/x"
    assert botticelli("post").code == 69

    assert told() == [], "a unit's failure is told by its OnFailure="


def test_notify_tells_what_systemd_knows(botticelli, db, told):
    tell = botticelli.cwd / "tell"
    configure(botticelli, f"[hooks.post]\non_failure = '{tell} fail'")
    botticelli.environ |= {"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "78"}

    assert botticelli("notify botticelli-post.service").code == 0

    assert told() == ["fail failure post 78 "]
    text = (botticelli.cwd / "told.json").read_text()
    assert json.loads(text)["error"] == "botticelli-post.service (exit-code 78)"


def test_notify_ends_well_without_a_readable_configuration(botticelli):
    (botticelli.cwd / "botticelli.toml").write_text("[")

    ended = botticelli("notify botticelli-post.service")

    assert ended.code == 0
    assert "hooks cannot be notified" in ended.err


def test_all_hooks_of_an_outcome_hold_up_a_run_no_longer_than_one(
    silence, hanging, tmp_path, caplog
):
    slow = [hanging.command, silence, hanging.command, silence]
    said = tmp_path / "said"
    everybody = tuple(Secret(each) for each in [*slow, f"touch {said}"])
    hooks = Hooks(
        timeout=timedelta(seconds=0.7),
        every=StageHooks(
            ping=Secret(silence), on_success=everybody, on_empty_queue=(Secret(silence),)
        ),
    )
    events = [Event(kind=kind, stage="post", host="h") for kind in ("success", "empty_queue")]

    began = time.monotonic()
    failed = notify(*events, hooks=hooks, environ=os.environ)

    assert time.monotonic() - began < 2
    assert failed == 6
    assert said.exists(), "who answers is told, whoever hangs before"
    assert "secret-path" not in caplog.text
    deadline = time.monotonic() + 5
    while hanging.pids() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert hanging.pids() == [], "nothing of a hook outlives its time"


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["start", "end"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_whose_hooks_hang(botticelli, db, hanging, moment, number):
    hooks = (
        f"ping = '{hanging.url}'"
        if moment == "start"
        else f"on_success = ['{hanging.command}', '{hanging.url}']"
    )
    configure(botticelli, f"[hooks.post]\n{hooks}")
    process = subprocess.Popen(
        [sys.executable, "-m", "botticelli", "post"],
        env=botticelli.environ,
        cwd=botticelli.cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ended = "SELECT count(*) FROM runs WHERE state = 'done'"
    deadline = time.monotonic() + 20
    while moment == "end" and not db.execute(ended).fetchone()[0] and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(1.5 if moment == "start" else 0.5)
    assert process.poll() is None, "the hooks hold it up"

    began = time.monotonic()
    process.send_signal(number)
    process.wait(timeout=10)

    assert time.monotonic() - began < 5
    assert db.execute("SELECT count(*) FROM locks WHERE expires_at > now()").fetchone() == (0,)


def test_a_command_knows_its_project_and_runs_in_its_folder(botticelli, db):
    """Wherever the stage was started from."""
    root = botticelli.cwd / "chess club"
    (root / "drafts").mkdir(parents=True)
    (root / "tell").write_text(
        '#!/bin/sh\n{ pwd; echo "$BOTTICELLI_PROJECT"; echo "$BOTTICELLI_PROJECT_PATH"; } > told\n'
    )
    (root / "tell").chmod(0o755)
    (root / "botticelli.toml").write_text(
        "[destinations.file]\nplatform = 'outbox'\n[hooks]\non_success = './tell'\n"
    )
    botticelli.cwd = root / "drafts"

    assert botticelli(["trust", str(root)]).code == 0

    assert botticelli("post").code == 0

    assert (root / "told").read_text().splitlines() == [str(root), "chess club", str(root)]
    event = Event(kind="success", stage="post", host="h", project="chess", project_path="/srv/c")
    assert "project chess in /srv/c" in event.text
    assert event.facts()["project"] == "chess"
