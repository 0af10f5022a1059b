"""One generation item, from claim to settlement, and what its failures mean for the others."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from botticelli.clock import Clock
from botticelli.config.model import Retry
from botticelli.errors import BotticelliError, ConfigError, TryLater, Unavailable
from botticelli.models.base import PermanentError, TransientError
from botticelli.records import record
from botticelli.stages.worker_pool import Floor
from botticelli.store import queue
from botticelli.store.connection import Connection
from botticelli.store.generation import batches, items
from botticelli.store.generation.batches import Progress
from botticelli.store.generation.items import Item

FIRST_WAIT: Final = timedelta(seconds=5)  # doubled with each further transient failure of an item
LONGEST_WAIT: Final = timedelta(minutes=2)
LOOK_SECONDS: Final = 1.0  # how often an idle worker looks for what another process gave back
LOOK: Final = timedelta(seconds=LOOK_SECONDS)


class NotYet(BotticelliError):
    """The item has to wait for what others are at; it is nobody's failure."""


@record
class ItemLabour:
    """Claims an item of a batch, runs it, and settles what came of it.

    Args:
        run_item: Runs one item and settles it behind its fence.
        unreached: Told of an item that failed for good because no model answered.
        deepest_first: Finish what is begun before anything new.
        chance: Spreads the waits before a retry.
    """

    run_item: Callable[[Connection, Item], None]
    unreached: Callable[[], None]
    batch_id: int
    owner: str
    lease: timedelta
    retry: Retry
    deepest_first: bool
    clock: Clock
    chance: random.Random

    def __call__(self, conn: Connection, floor: Floor) -> bool:
        """See Crew."""
        item = self._next(conn, floor)
        if item is None:
            return False
        floor.hold([item.claim])
        self._run(conn, item, floor=floor)
        floor.drop([item.claim])
        return True

    def _next(self, conn: Connection, floor: Floor) -> Item | None:
        """Return the next item, waiting while others may still give some back; None: go home."""
        while not floor.is_closing:
            item = items.claim(
                conn,
                self.batch_id,
                owner=self.owner,
                lease=self.lease,
                deepest_first=self.deepest_first,
            )
            if item is not None:
                return item
            progress = batches.progress(conn, self.batch_id)
            if not progress.left:
                return None
            floor.wait(_patience(progress))
        return None

    def _run(self, conn: Connection, item: Item, *, floor: Floor) -> None:
        try:
            self.run_item(conn, item)
        except queue.LostLease:
            return  # somebody else has it, and will settle it
        except NotYet:
            # At random, so that two who stand in each other's way do not do so for ever.
            wait = LOOK * self.chance.uniform(0.5, 1.5)
            items.put_back(conn, item, wait=wait)
        except TransientError as error:
            self._try_again(conn, item, error=error)
        except (TryLater, ConfigError, Unavailable) as error:
            self._put_back(conn, item)
            floor.close(error)
        except BotticelliError as error:
            self._fail(conn, item, error=error, floor=floor)

    def _put_back(self, conn: Connection, item: Item) -> None:
        items.put_back(conn, item)

    def _try_again(self, conn: Connection, item: Item, *, error: TransientError) -> None:
        if item.attempts >= self.retry.max_retries:
            items.settle_failed(conn, item, error=str(error))
            self.unreached()
            return
        wait = min(FIRST_WAIT * 2**item.attempts, LONGEST_WAIT) * self.chance.uniform(0.5, 1)
        asked = timedelta(seconds=error.retry_after or 0)
        items.put_back(conn, item, error=str(error), wait=max(wait, asked))

    def _fail(self, conn: Connection, item: Item, *, error: BotticelliError, floor: Floor) -> None:
        hopeless = isinstance(error, PermanentError) and error.unrecoverable
        if hopeless and self.retry.stop_on_unrecoverable:
            self._put_back(conn, item)  # not the item's fault: it can be done once this is fixed
            floor.close(error)
            return
        items.settle_failed(conn, item, error=str(error))
        if not self.retry.continue_on_error:
            floor.close()


def _patience(progress: Progress) -> float:
    """Return for how many seconds an idle worker need not look."""
    if progress.next_at is None:
        return LOOK_SECONDS
    wait = (progress.next_at - progress.now).total_seconds()
    return min(max(wait, 0.02), LOOK_SECONDS)
