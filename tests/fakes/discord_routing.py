"""Which function answers which path."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.discord_state import World
from tests.fakes.loopback import Answer, Request


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request that passed the door: its route's ids, its form."""

    world: World
    request: Request
    ids: Mapping[str, str]
    body: Any = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Route:
    """One endpoint; its rate-limit bucket is its name and the id of its top-level resource."""

    method: str
    pattern: re.Pattern[str]
    name: str
    answer: Callable[[Call], Answer]

    @property
    def needs_token(self) -> bool:
        """Whether the bot must say who it is: a webhook's secret is in its path."""
        return "token" not in self.pattern.groupindex


ROUTES: list[Route] = []


def route(method: str, path: str) -> Callable[[Callable[[Call], Answer]], Callable[[Call], Answer]]:
    """Register a function, by its own name, for a path such as /channels/{channel}/messages."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$")

    def register(answer: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        ROUTES.append(Route(method=method, pattern=pattern, name=answer.__name__, answer=answer))
        return answer

    return register


def find(method: str, path: str) -> tuple[Route | None, Mapping[str, str], bool]:
    """Return (route, ids, whether the path exists at all)."""
    known = False
    for one in ROUTES:
        if match := one.pattern.match(path):
            known = True
            if one.method == method:
                return one, match.groupdict(), True
    return None, {}, known
