"""What needs no judge: candidates without a text, and those that repeat what is known."""

import threading
from collections.abc import Sequence

from botticelli.config.curation import Similarity
from botticelli.models.meanings import open_meanings
from botticelli.stages.curate.similarity import KnownTexts, TextSource
from botticelli.store.connection import Connection
from botticelli.store.curation import duplicates
from botticelli.store.curation.duplicates import EarlyRejection, Unjudged
from botticelli.store.curation.judging import Candidate


class Prefilter:
    """Looks at every candidate once, in the order of their ids; threads may share it."""

    def __init__(self, known: KnownTexts) -> None:
        self._known = known
        self._through = 0  # the last id that `reject_waiting` has seen
        self._lock = threading.Lock()

    def reject_waiting(self, conn: Connection) -> int:
        """Reject what waits and is not worth a judge; return how many that were.

        Runs before any batch is made, so that batches are full and nothing of it is paid for.
        """
        aside = 0
        while found := duplicates.list_unjudged(conn, after=self._through):
            aside += duplicates.reject_unjudged(conn, found, self._look(found))
            self._through = found[-1].id
        return aside

    def reject_claimed(self, conn: Connection, claimed: Sequence[Candidate]) -> frozenset[int]:
        """Do the same for claimed ones that came in since; return the rejected ids."""
        with self._lock:
            late = [each for each in claimed if each.id > self._through]
            found = [Unjudged(id=each.id, text=each.text_content or "") for each in late]
            aside = self._look(found)
        gone = frozenset(one.id for one in aside)
        if gone:
            claims = [each.claim for each in late if each.id in gone]
            duplicates.reject_claimed(conn, claims, aside)
        return gone

    def _look(self, found: Sequence[Unjudged]) -> list[EarlyRejection]:
        aside = []
        for one in found:
            if not one.text.strip():
                aside.append(EarlyRejection(id=one.id, note="has no text"))
                continue
            match = self._known.find(one.text)
            if match is None or match.source == TextSource(id=one.id):
                self._known.add(TextSource(id=one.id), one.text)
                continue
            first = None if match.source.is_post else match.source.id
            aside.append(EarlyRejection(id=one.id, note=str(match), duplicate_of=first))
        return aside


def open_prefilter(conn: Connection, settings: Similarity) -> Prefilter:
    """Return a prefilter that knows every text of the window, and what was approved before it."""
    known = KnownTexts(settings, meanings=open_meanings() if settings.reworded < 1 else None)
    for one in duplicates.list_known(conn, window=settings.window):
        known.add(TextSource(id=one.id, is_post=one.is_post), one.text)
    for id_, digest in duplicates.list_posted_before(conn, window=settings.window):
        known.know(TextSource(id=id_), digest)
    return Prefilter(known)
