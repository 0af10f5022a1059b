"""Candidates that need no judge: no text, what no destination takes, and repeats."""

import threading
from collections.abc import Sequence
from typing import Final

from botticelli.config import hiding
from botticelli.config.model import Config, Destination
from botticelli.models.meanings import open_meanings
from botticelli.platforms.open import room_of
from botticelli.platforms.rules.post_rules import PostFacts, RuleResult, objections, verdicts
from botticelli.stages.curate.similarity import (
    LEAST,
    NEAREST,
    Likeness,
    compare,
    find,
    nearest,
    terms,
)
from botticelli.store.connection import Connection
from botticelli.store.curation import duplicates
from botticelli.store.curation.duplicates import EarlyRejection, KnownText, NewText
from botticelli.store.curation.judging import Candidate

LONGEST: Final = 100_000  # characters, where the platform's own limit is not known here
COMMON: Final = (
    2  # terms; texts with no more, and another meaning, are compared if they are nearest
)


class Prefilter:
    """Looks at every candidate once, in the order of their ids; threads may share it."""

    def __init__(self, config: Config) -> None:
        self._settings = config.similarity
        self._destinations = tuple(config.destinations.values())
        self._meanings = open_meanings() if config.similarity.reworded < 1 else None
        self._through = 0  # the last id that `reject_waiting` has seen
        self._lock = threading.Lock()

    def reject_waiting(self, conn: Connection) -> int:
        """Reject what waits and is not worth a judge; return how many that were.

        Runs before any batch is made, so that batches are full and nothing of it is paid for.
        """
        aside = 0
        duplicates.refresh(conn, window=self._settings.window, describe=self._describe)
        while found := duplicates.list_unjudged(conn, after=self._through):
            aside += duplicates.reject_unjudged(conn, *self._look(conn, found))
            self._through = found[-1].id
        return aside

    def reject_claimed(self, conn: Connection, claimed: Sequence[Candidate]) -> frozenset[int]:
        """Do the same for claimed ones that came in since; return the rejected ids."""
        late = {each.id: each.claim for each in claimed if each.id > self._through}
        with self._lock:
            found = duplicates.list_claimed(conn, list(late)) if late else ()
            seen, aside = self._look(conn, found)
        if found:
            claims = [late[one.id] for one in found]
            duplicates.reject_unjudged(conn, seen, aside, claims=claims)
        return frozenset(one.id for one in aside)

    def _look(
        self, conn: Connection, found: Sequence[NewText]
    ) -> tuple[dict[int, list[duplicates.Nearest]], list[EarlyRejection]]:
        """Return what each of those that are left may repeat, and the others."""
        why = {one.id: self._refusal(one.text) for one in found}
        aside = [EarlyRejection(id=id_, note=note) for id_, note in why.items() if note]
        fine = {one.id: one for one in found if not why[one.id]}
        window = self._settings.window
        copies = duplicates.remember(
            conn, tuple(fine.values()), window=window, describe=self._describe
        )
        aside += [
            EarlyRejection(id=id_, note=f"repeats c{first}", duplicate_of=first)
            for id_, first in copies.items()
        ]
        gone = {one.id for one in aside}
        seen: dict[int, list[duplicates.Nearest]] = {id_: [] for id_ in fine if id_ not in gone}
        for id_, alike in duplicates.list_alike(conn, list(seen), window=window):
            known = [one for one in alike if one.is_post or one.id not in gone]
            likenesses = self._compare(fine[id_].text, known)
            if match := find(fine[id_].text, likenesses, near=self._settings.near):
                key = "post" if match.known.is_post else "duplicate_of"
                aside.append(EarlyRejection(id=id_, note=str(match), **{key: match.known.id}))
                gone.add(id_)
            else:
                seen[id_] = nearest(likenesses, reworded=self._settings.reworded)
        return seen, aside

    def _describe(self, text: str) -> tuple[Sequence[int], bytes | None]:
        return terms(text), self._meanings.vector(text) if self._meanings else None

    def _compare(self, text: str, known: Sequence[KnownText]) -> list[Likeness]:
        """Return how the text is like those that are worth a closer look."""
        cosines = [0.0] * len(known)
        if self._meanings:
            vectors = [one.meaning for one in known]
            cosines = self._meanings.cosines(self._meanings.vector(text), vectors)
        return [
            compare(text, one, cosine=cosine)
            for place, (one, cosine) in enumerate(zip(known, cosines, strict=True))
            if place < NEAREST or one.shared > COMMON or cosine >= LEAST
        ]

    def _refusal(self, text: str) -> str:
        """Return why no destination takes a text, so that a verdict about it would be wasted."""
        if not text.strip():
            return "has no text"
        whys = {place.name: objections(_verdicts(text, place)) for place in self._destinations}
        name, why = next(iter(whys.items()), ("", ""))
        return f"{name} does not take it: {why}" if all(whys.values()) and why else ""


def _verdicts(text: str, place: Destination) -> tuple[RuleResult, ...]:
    longest = room_of(place.platform).longest or LONGEST
    secrets = hiding.current().secrets
    return verdicts(
        PostFacts(text=text, destination=place, max_length=longest, real=True, secrets=secrets)
    )
