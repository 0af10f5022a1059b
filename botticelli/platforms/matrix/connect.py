"""How an account on a Matrix server gets its token, and into its room."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from botticelli.clock import Clock
from botticelli.config.addresses import require_safe
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.platforms.base import PlatformError, Room
from botticelli.platforms.connecting import Asker, Credentials, tried
from botticelli.platforms.matrix.client import CLIENT
from botticelli.platforms.rate_limits import SharedLimits
from botticelli.platforms.requests import Requests, WebRequest, bearer, open_session

# Always the same: transaction ids belong to a device, whatever token it has.
DEVICE: Final = "BOTTICELLI"
ACCOUNT: Final = re.compile(r"@[^\s:]+:([^\s/?#@]+)")


def connect(ask: Asker, *, clock: Clock, room: Room) -> Credentials:
    """Return a token that was given, or got for a password; the account is in the room then.

    Raises:
        UsageError: A question is not answered.
        ConfigError, PlatformError: The server does not accept it, or the account may not post.
    """
    server = ask("server", "The server; Enter: found by the account's name", optional=True)
    account = ask("account", "The account, such as @news:example.org", optional=bool(server))
    channel = ask("channel", "The room, by alias (#news:example.org) or id (!...)")
    limits = SharedLimits(clock)
    root = require_safe(server, where="--server", hint="--server https://HOST") if server else ""
    root = root or homeserver(account, limits=limits, where="--account")
    token = ask("token", "An access token; Enter: log in by password", secret=True, optional=True)
    if not token:
        password = ask("password", f"The password of {account}", secret=True)
        token = _logged_in(_server(root, limits), account, password)
    with contextlib.suppress(ConfigError, PlatformError):  # what is in the way is said below
        path = f"{CLIENT}/join/{quote(channel, safe='')}"
        _server(root, limits, token).ask(WebRequest(method="POST", path=path, json={}))
    keys = {"platform": "matrix", "base_url": root, "account": account, "channel": channel}
    return tried(room, keys, {"token": Secret(token)}, clock=clock)


def _logged_in(server: Requests, account: str, password: str) -> str:
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": account},
        "password": password,
        "device_id": DEVICE,
        "initial_device_display_name": "Botticelli",
    }
    answer = server.ask(
        WebRequest(method="POST", path=f"{CLIENT}/login", json=body),
        explain=lambda answer: ConfigError(
            f"the server does not let {account or 'us'} log in ({answer.message})",
            where=server.base_url,
        ),
    )
    token = _table(answer).get("access_token")
    if not isinstance(token, str) or not token:
        raise ConfigError("the server's answer has no token", where=server.base_url)
    return token


def homeserver(account: str, *, limits: SharedLimits, where: str) -> str:
    """Return the address of an account's server, as the domain in its name says.

    Args:
        account: Such as @bot:example.org.
        limits: What the process has learnt of rate limits.
        where: The key that holds it.

    Raises:
        NotSent: The domain cannot be asked.
        ConfigError: The account has no domain, or its word is no address.
    """
    found = ACCOUNT.fullmatch(account)
    if not found:
        raise ConfigError(f"'{account}' is no account", where=where, hint="write @NAME:SERVER")
    domain = f"https://{found[1]}"
    request = WebRequest(method="GET", path="/.well-known/matrix/client")
    said = _server(domain, limits).ask(request, is_fine=lambda answer: answer.status == 404)
    address = _table(_table(said).get("m.homeserver")).get("base_url")
    hint = f"{domain}{request.path} names it; base_url takes another one"
    return require_safe(str(address or domain), where=where, hint=hint)


def _server(root: str, limits: SharedLimits, token: str = "") -> Requests:
    return Requests(
        open_session(bearer(token)),
        base_url=root,
        limits=limits.of(root, token),
        server=urlsplit(root).netloc,
        where=root,
    )


def _table(answer: Any) -> Mapping[str, Any]:
    return answer if isinstance(answer, Mapping) else {}
