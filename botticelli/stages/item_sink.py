"""Stores what an item made and settles the item, in one transaction behind its fence."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from botticelli.clock import Clock
from botticelli.narrative.run.results import Execution, Output, Sink, Stored
from botticelli.narrative.run.resume import Memory
from botticelli.records import record
from botticelli.store import queue
from botticelli.store.connection import Connection
from botticelli.store.generation import candidates, items
from botticelli.store.generation.candidates import Inserted, Origin
from botticelli.store.generation.items import Item

CANDIDATES: Final = "potential_discord_posts"


@record
class ItemSink:
    """Takes the executions of one item; the outermost one settles it.

    What a nested narrative made is stored at once, behind the same fence, and that it is done is
    kept in the same transaction: should the item be run again, this one is not.

    Args:
        tables: Stores what belongs into other tables, and removes consumed rows.
        made: Told how many candidates are new, and how many repeat an older one word for word.
    """

    conn: Connection
    item: Item
    tables: Sink
    clock: Clock
    made: Callable[[int, int], None]

    def store(self, execution: Execution) -> Stored:
        """See Sink.

        Raises:
            LostLease: The item is somebody else's by now; nothing was stored.
        """
        posts = [output for output in execution.outputs if output.table == CANDIDATES]
        others = tuple(output for output in execution.outputs if output.table != CANDIDATES)
        with queue.settling(self.conn, queue.ITEMS, claims=[self.item.claim]):
            inserted = [self._insert(output, execution) for output in posts]
            stored = self._store_others(replace(execution, outputs=others))
            if execution.place:
                Memory(conn=self.conn, item_id=self.item.id, place=execution.place).finish(
                    execution
                )
            else:
                items.settle_done(self.conn, self.item, now=self.clock.pinned())
        ids = tuple(id_ for each in inserted for id_ in each.ids)
        repeats = sum(len(each.repeats) for each in inserted)
        self.made(len(ids) - repeats - sum(each.known for each in inserted), repeats)
        return replace(stored, ids={**stored.ids, CANDIDATES: ids}) if posts else stored

    def _insert(self, output: Output, execution: Execution) -> Inserted:
        return candidates.insert(
            self.conn,
            output.rows,
            origin=Origin(
                narrative=output.narrative,
                act=output.act,
                model=output.model,
                run_id=execution.run_id,
                item_id=self.item.id,
                execution_id=output.execution_id,
            ),
            now=self.clock.pinned(),
        )

    def _store_others(self, execution: Execution) -> Stored:
        if execution.outputs or execution.leases:
            return self.tables.store(execution)
        return Stored(ids={})
