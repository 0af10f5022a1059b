"""What a reviewer can do: the actions behind `botticelli review`."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from enum import StrEnum
from typing import Final

from botticelli.cli.shell.environment import Environment
from botticelli.store.connection import mapped_errors
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import Decision, Reviewed
from botticelli.store.curation.undo import undo


class View(StrEnum):
    """Which candidates are shown."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"


STATUSES: Final[Mapping[View, Sequence[str]]] = {
    View.OPEN: ("changed", "held", "pending"),
    View.APPROVED: ("approved",),
    View.REJECTED: ("rejected",),
}


class ReviewSession:
    """The actions of one reviewer, each on its own connection: a review may take all day.

    Raises:
        BotticelliError: It cannot be done; nothing was changed.
    """

    def __init__(self, env: Environment, *, limit: int) -> None:
        self._env = env
        self._limit = limit
        self._by = env.user

    def list(self, view: View) -> tuple[Reviewed, ...]:
        """Return the candidates of a view."""
        with mapped_errors(), closing(self._env.connect()) as conn:
            return reviews.list_candidates(conn, statuses=STATUSES[view], limit=self._limit)

    def decide(self, seen: Reviewed, decision: Decision, *, note: str) -> Reviewed:
        """Carry a decision out; return the candidate as it is then."""
        with mapped_errors(), closing(self._env.connect()) as conn:
            [found] = reviews.decide(conn, [seen.id], decision, by=self._by, note=note, seen=[seen])
            return found

    def edit(self, seen: Reviewed, text: str, *, approve: bool) -> Reviewed:
        """Change the text, and approve it if wanted; return the candidate as it is then."""
        with mapped_errors(), closing(self._env.connect()) as conn:
            return reviews.edit(conn, seen.id, text=text, by=self._by, seen=seen, approve=approve)

    def undo(self, seen: Reviewed) -> Reviewed:
        """Take back the last decision or edit; return the candidate as it is then."""
        with mapped_errors(), closing(self._env.connect()) as conn:
            [found] = undo(conn, [seen.id], by=self._by, seen=[seen])
            return found

    def find(self, id_: int) -> Reviewed:
        """Return a candidate as it is now."""
        with mapped_errors(), closing(self._env.connect()) as conn:
            return reviews.find_candidates(conn, [id_])[0]
