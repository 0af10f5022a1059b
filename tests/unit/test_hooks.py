"""What leaves by a hook: no secret of our environment, no password without encryption."""

import socketserver
import threading

import pytest

from botticelli.config.operations import Hooks, StageHooks
from botticelli.config.secrets import Secret
from botticelli.hooks import Event, notify

SECRETS = {
    "SMTP_PASSWD": "hunter2-hunter2",
    "SMTP_PASS": "hunter2-hunter2",
    "MAIL_PWD": "hunter2-hunter2",
    "GITHUB_PAT": "ghp_0123456789abcdef",
    "GH_TOKEN": "ghp_0123456789abcdef",
    "DATABASE_URL": "postgresql://me:hunter2@db.example/x",
    "REDIS_DSN": "redis://:hunter2@cache.example/0",
    "PGPASSWORD": "hunter2",
    "PGPASSFILE": "/home/me/.pgpass",
    "PGSERVICEFILE": "/home/me/.pg_service.conf",
    "GEMINI_API_KEY": "AIza0123456789",
    "GEMINI_API_KEY_FILE": "/run/secrets/key",
    "OPENAI_API_KEY": "sk-0123456789",
    "DISCORD_TOKEN": "MTk4.abc.def",
    "AWS_ACCESS_KEY_ID": "AKIA0123456789",
    "AWS_SESSION": "x" * 40,
    "CREDENTIALS_DIRECTORY": "/run/credentials/x.service",
    "SSH_AUTH_SOCK": "/tmp/ssh/agent",
    "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=0123456789",
    "NETRC": "/home/me/.netrc",
    "KUBECONFIG": "/home/me/.kube/config",
    "NPM_CONFIG__AUTH": "0123456789",
    "STRIPE_SK": "sk_live_0123456789",
    "SLACK_HOOK": "https://hooks.slack.com/services/T0/B0/xyz",
    "SESSION": "eyJhbGciOiJIUzI1NiJ9.e30.x",
    "LD_PRELOAD": "/tmp/evil.so",
    "PYTHONPATH": "/tmp/evil",
    "BASH_ENV": "/tmp/evil",
    "NOTIFY_SOCKET": "/run/systemd/notify",
    "https_proxy": "http://me:hunter2@proxy.example:3128",
    "BOTTICELLI_TOKEN": "0123456789abcdef",
    "BOTTICELLI_STATE_URL": "postgresql://me:hunter2@db.example/x",
}
HARMLESS = {
    "HOME": "/home/me",
    "LC_ALL": "C.UTF-8",
    "XDG_STATE_HOME": "/home/me/.local/state",
    "http_proxy": "http://proxy.example:3128",
    "BOTTICELLI_CONFIG": "/srv/x/botticelli.toml",
}


@pytest.fixture
def told(tmp_path):
    """Notify a command that writes down its environment; return that."""
    script, out = tmp_path / "tell", tmp_path / "out"
    script.write_text(f"#!/bin/sh\nenv -0 > {out}\n")
    script.chmod(0o755)

    def call(environ, *, wanted=()):
        target = Secret(f"{script} a-word")
        hooks = Hooks(environment=wanted, every=StageHooks(on_success=(target,)))
        event = Event(kind="success", stage="post", host="h")
        assert notify(event, hooks=hooks, environ={"PATH": "/usr/bin:/bin", **environ}) == 0
        pairs = out.read_text().split("\0")
        return dict(pair.split("=", 1) for pair in pairs if pair)

    return call


def test_a_command_inherits_no_secret_under_any_name(told):
    seen = told(SECRETS | HARMLESS)

    assert set(SECRETS) & set(seen) == set()
    assert HARMLESS.items() <= seen.items()
    assert seen["BOTTICELLI_EVENT"] == "success"


def test_a_command_gets_what_the_user_lists(told):
    seen = told(SECRETS | {"NTFY_TOPIC": "cats"}, wanted=("NTFY_TOPIC", "GITHUB_PAT"))

    assert (seen["NTFY_TOPIC"], seen["GITHUB_PAT"]) == ("cats", SECRETS["GITHUB_PAT"])
    assert set(SECRETS) & set(seen) == {"GITHUB_PAT"}


class Mailbox(socketserver.StreamRequestHandler):
    """A mail server that offers no encryption, as one in the middle makes it look."""

    def handle(self):
        self.wfile.write(b"220 mail\r\n")
        while line := self.rfile.readline():
            self.server.heard.append(line)
            word = line[:4].upper()
            if word == b"QUIT":
                return
            self.wfile.write(
                b"250-mail\r\n250 AUTH PLAIN\r\n" if word == b"EHLO" else b"250 ok\r\n"
            )


@pytest.mark.filterwarnings("ignore")  # of plugins that it loads
def test_mail_is_not_sent_where_encryption_is_not_offered():
    pytest.importorskip("apprise")
    with socketserver.TCPServer(("127.0.0.1", 0), Mailbox) as server:
        server.heard = []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        port = server.server_address[1]
        address = f"mailtos://me:hunter2@127.0.0.1:{port}?from=a@b.example&to=c@d.example"
        hooks = Hooks(every=StageHooks(on_success=(Secret(address),)))
        failed = notify(Event(kind="success", stage="post", host="h"), hooks=hooks, environ={})
        server.shutdown()

    assert failed == 1
    assert server.heard
    assert not any(line.upper().startswith((b"AUTH", b"MAIL", b"DATA")) for line in server.heard)
