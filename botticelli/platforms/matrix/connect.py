"""How an account on a Matrix server gets its token, and into its room."""

import contextlib
import re
from typing import Any, Final

from botticelli.clock import Clock
from botticelli.config.addresses import require_safe
from botticelli.config.model import Destination
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.platforms.base import Room
from botticelli.platforms.connecting import Asker, Credentials
from botticelli.platforms.matrix.client import CLIENT, Matrix
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
        token = _logged_in(root, account, password, limits=limits)
    secrets: dict[str, Any] = {"token": Secret(token)}
    keys: dict[str, Any] = {
        "platform": "matrix",
        "base_url": root,
        "account": account,
        "channel": channel,
    }
    destination = Destination(name="matrix", **keys, **secrets)
    platform = room.open(destination, clock=clock, limits=limits)
    assert isinstance(platform, Matrix)
    with contextlib.suppress(ConfigError):  # `check` says why
        platform.join()
    if problems := platform.check():
        raise ConfigError(problems[0])
    return Credentials(keys=keys, secrets=secrets, notes=platform.notes)


def _logged_in(root: str, account: str, password: str, *, limits: SharedLimits) -> str:
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": account},
        "password": password,
        "device_id": DEVICE,
        "initial_device_display_name": "Botticelli",
    }
    rest = Requests(
        open_session(bearer("")), base_url=root, limits=limits.of(root, ""), server="the server"
    )
    answer = rest.ask(
        WebRequest(method="POST", path=f"{CLIENT}/login", json=body),
        where=account,
        explain=lambda answer: ConfigError(
            f"the server does not let {account or 'us'} log in ({answer.message})", where=root
        ),
    )
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token:
        raise ConfigError("the server's answer has no token", where=root)
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
    rest = Requests(
        open_session(bearer("")), base_url=domain, limits=limits.of(domain, ""), server=found[1]
    )
    said = rest.ask(
        WebRequest(method="GET", path="/.well-known/matrix/client"),
        where=where,
        is_fine=lambda answer: answer.status == 404,
    )
    named = said.get("m.homeserver") if isinstance(said, dict) else None
    address = named.get("base_url") if isinstance(named, dict) else ""
    hint = f"{domain}/.well-known/matrix/client names it; base_url takes another one"
    return require_safe(str(address or domain), where=where, hint=hint)
