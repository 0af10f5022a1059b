"""Where the rows of a narrative go: into their table, while consumed ones leave their own."""

from collections.abc import Mapping
from typing import Any

from botticelli.clock import Clock
from botticelli.narrative.run.results import Execution, Output, Stored
from botticelli.records import record
from botticelli.store.connection import Connection
from botticelli.store.tables.outputs import Delivery, NewRows, store_outputs


@record
class TableSink:
    """Stores rows and removes consumed ones in one transaction, and keeps account of it."""

    conn: Connection
    clock: Clock
    created_by: str = "run"

    def store(self, execution: Execution) -> Stored:
        """See Sink."""
        made = Delivery(
            rows=tuple(_new(output, execution) for output in execution.outputs),
            consumed=execution.leases,
            narrative=execution.narrative,
            file=execution.file,
            description=execution.description,
            run_id=execution.run_id,
            started_at=execution.started_at,
            ended_at=self.clock.now(),
            created_by=self.created_by,
            failure="; ".join(execution.failures),
        )
        ids = store_outputs(self.conn, made)
        return Stored(ids=ids, removed=len(execution.leases))


class NoSink:
    """Stores nothing: for rehearsals."""

    def store(self, execution: Execution) -> Stored:  # noqa: ARG002 - Sink's signature
        """See Sink."""
        return Stored(ids={})


def _new(output: Output, execution: Execution) -> NewRows:
    return NewRows(
        table=output.table,
        rows=output.rows,
        template=output.template,
        metadata=metadata(output, execution),
    )


def metadata(output: Output, execution: Execution) -> Mapping[str, Any]:
    """Return what stands beside the rows of an output, for columns that the table has."""
    return {
        "source_narrative": output.narrative,
        "source_act": output.act,
        "generation_model": (output.answer and output.answer.model) or None,
        "run_id": execution.run_id,
        "item_id": execution.item_id,
    }
