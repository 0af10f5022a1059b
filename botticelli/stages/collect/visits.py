"""How the web is read for sources: politely, within bounds, and only where anybody may."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from botticelli.clock import Clock
from botticelli.errors import BotticelliError, ConfigError
from botticelli.narrative.errors import ActFailed
from botticelli.narrative.files.fetch import Fetched
from botticelli.stages.collect.texts import UnreadableSource

NAME: Final = "botticelli"  # what robots.txt calls us
LARGEST_ROBOTS: Final = 500 * 1024  # bytes; RFC 9309, 2.5
PAUSE: Final = 1.0  # seconds between two requests to one host
LONGEST_PAUSE: Final = 30.0  # seconds that a robots.txt may ask for within a run


class NotNow(BotticelliError):
    """A server does not answer, or asks us to wait.

    Args:
        wait: For how long, if it says so.
    """

    def __init__(self, what: str, *, where: str = "", wait: timedelta | None = None) -> None:
        super().__init__(what, where=where)
        self.wait = wait


class SourceGone(BotticelliError):
    """A server says that what it had is gone for good."""


Fetch = Callable[..., Fetched]


@dataclass(kw_only=True)
class Visits:
    """Requests of one run of `collect`.

    Args:
        fetch: Reads an address; narrative.files.fetch with the project's rules.
        last: Host -> when it was asked last, in monotonic seconds; grows.
        rules: Host -> its robots.txt; grows.
    """

    fetch: Fetch
    clock: Clock
    last: dict[str, float] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=dict)

    def read(
        self, url: str, *, limit: int, headers: Mapping[str, str], obeys_robots: bool = True
    ) -> Fetched:
        """Return what is at an address; its status is 200 or 304.

        Raises:
            NotNow: Its server is in trouble, or asks us to wait.
            SourceGone: It is gone for good (410).
            UnreadableSource: Nothing is there for us: not found, too large, or forbidden.
            ConfigError: The address leads into a private network.
        """
        pause = PAUSE
        if obeys_robots:
            rules = self._robots(url)
            if not rules.can_fetch(url, NAME):
                hint = "ask its owner, or use another source"
                raise UnreadableSource("robots.txt does not let us read it", where=url, hint=hint)
            pause = min(max(PAUSE, rules.crawl_delay(NAME) or 0), LONGEST_PAUSE)
        found = self._ask(url, limit=limit, headers=headers, pause=pause)
        if found.status == 410:
            raise SourceGone("is gone for good", where=url)
        if found.status not in (200, 304):
            hint = "check the address"
            raise UnreadableSource(f"its server answered {found.status}", where=url, hint=hint)
        return found

    def _robots(self, url: str) -> Any:
        from protego import Protego

        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        if host not in self.rules:
            found = self._ask(f"{host}/robots.txt", limit=LARGEST_ROBOTS, headers={}, pause=PAUSE)
            # RFC 9309, 2.3.1: what is not there forbids nothing.
            text = found.content.decode(errors="replace") if found.status == 200 else ""
            self.rules[host] = Protego.parse(text)
        return self.rules[host]

    def _ask(self, url: str, *, limit: int, headers: Mapping[str, str], pause: float) -> Fetched:
        host = urlsplit(url).netloc
        if host in self.last:
            self.clock.sleep(max(0.0, self.last[host] + pause - self.clock.monotonic()))
        try:
            found = self.fetch(url, limit=limit, headers=headers, takes_any_status=True)
        except ActFailed as error:
            raise NotNow(error.what) from error
        except ConfigError as error:
            raise UnreadableSource(error.what, hint=error.hint) from error
        finally:
            self.last[host] = self.clock.monotonic()
        if found.status == 429 or found.status >= 500:
            raise NotNow(
                f"its server answered {found.status}", where=url, wait=_retry_after(found.headers)
            )
        return found


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    text = headers.get("retry-after", "").strip()
    return timedelta(seconds=min(int(text), 86_400)) if text.isdecimal() and len(text) < 9 else None
