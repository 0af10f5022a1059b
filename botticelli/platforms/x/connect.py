"""The four keys of an app and its account on X, tried by asking whose they are."""

from typing import Any, Final

from botticelli.clock import Clock
from botticelli.config.model import Destination
from botticelli.config.secrets import Secret
from botticelli.errors import ConfigError
from botticelli.platforms.base import Room
from botticelli.platforms.connecting import Asker, Credentials
from botticelli.platforms.rate_limits import SharedLimits

QUESTIONS: Final = {
    "api_key": "API key (console.x.com: the app with 'Read and write', keys and tokens)",
    "api_secret": "API key secret",
    "token": "Access token (OAuth 1.0a, made after 'Read and write' was set)",
    "token_secret": "Access token secret",
}


def connect(ask: Asker, *, clock: Clock, room: Room) -> Credentials:
    """Return keys that X knows.

    Raises:
        UsageError: A question is not answered.
        ConfigError, NotSent: X does not accept them, or cannot be asked.
    """
    root = ask("server", "Address of the API; Enter: X's own", optional=True)
    keys: dict[str, Any] = {
        key: Secret(ask(key, said, secret=True)) for key, said in QUESTIONS.items()
    }
    destination = Destination(name="x", platform="x", base_url=root, **keys)
    platform = room.open(destination, clock=clock, limits=SharedLimits(clock))
    if problems := platform.check():
        raise ConfigError(problems[0])
    return Credentials(keys={"platform": "x", "base_url": root}, secrets=keys, notes=platform.notes)
