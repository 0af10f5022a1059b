"""A server that gives the answers it is told, whatever is asked."""

from collections.abc import Iterable
from typing import Any

from tests.fakes.loopback import Answer, LoopbackServer, Request, answer_json


class Canned(LoopbackServer):
    """Gives `answers` one by one, the last again and again; keeps what was asked in `bodies`."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Answer] = []
        self.bodies: list[Any] = []

    def reply(self, request: Request) -> Answer:
        """See LoopbackServer."""
        self.bodies.append(request.json())
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def says(
        self, *values: Any, status: int = 200, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Answer with these JSON values."""
        self.answers = [answer_json(one, status=status, headers=headers) for one in values]
