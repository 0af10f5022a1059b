"""Where the rows of a narrative go: into their table, while consumed ones leave their own.

With `run --process-discord` also what acts say of servers, channels and users.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from botticelli.clock import Clock
from botticelli.narrative.answers.json_extraction import InvalidAnswer, extract, rows_of
from botticelli.narrative.run.results import ActResult, ActState, Execution, Output, Sink, Stored
from botticelli.records import record
from botticelli.store.connection import Connection, once
from botticelli.store.media import CANDIDATES
from botticelli.store.tables import discord_records as discord
from botticelli.store.tables.columns import TableError
from botticelli.store.tables.discord_records import Kind
from botticelli.store.tables.outputs import NewRows, RunOutputs, store_outputs


@record
class TableSink:
    """Stores rows and removes consumed ones in one transaction, and keeps account of it."""

    conn: Connection
    clock: Clock
    created_by: str = "run"

    def store(self, execution: Execution) -> Stored:
        """See Sink."""
        made = RunOutputs(
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
        ids = once(self.conn, lambda: store_outputs(self.conn, made))
        return Stored(ids=ids, removed=len(execution.leases))


class NoSink:
    """Stores nothing, for dry runs."""

    def store(self, execution: Execution) -> Stored:  # noqa: ARG002 - Sink's signature
        """See Sink."""
        return Stored(ids={})


def _new(output: Output, execution: Execution) -> NewRows:
    return NewRows(
        table=output.table,
        rows=output.rows,
        template=output.template,
        metadata=metadata(output, execution),
        pictures=output.pictures if output.table == CANDIDATES else (),
    )


def metadata(output: Output, execution: Execution) -> Mapping[str, Any]:
    """Return what stands beside the rows of an output, for columns that the table has."""
    return {
        "source_narrative": execution.narrative,
        "source_act": output.act,
        "generation_model": (output.answer and output.answer.model) or None,
        "run_id": execution.run_id,
        "item_id": execution.item_id,
    }


Says = Callable[[str, frozenset[str]], bool]

# Kind -> whether an act of that name, or an object with these keys, is about one. So is an object
# that has all that the kind requires.
RULES: Final[tuple[tuple[Kind, Says], ...]] = (
    (discord.GUILD, lambda act, keys: "guild" in act or "server" in act or "owner_id" in keys),
    (discord.USER, lambda act, keys: "user" in act or "member" in act or "username" in keys),
    (discord.CHANNEL, lambda act, keys: "channel" in act or "channel_type" in keys),
    (discord.ROLE, lambda act, keys: "role" in act or {"permissions", "position"} <= keys),
    (discord.MEMBER, lambda act, _: "member" in act and "role" not in act),
    (discord.MEMBER_ROLE, lambda act, _: "member" in act and "role" in act),
)


@record
class DiscordSink:
    """Keeps what acts say of Discord, in the transaction in which `rows` stores the rest.

    For `run --process-discord`. An act is known by its name or by the fields of its JSON
    (dialect.md §16.33); what it names is kept as what it says enough for.

    Args:
        warn: Called for things that an act is about and says too little of.
    """

    conn: Connection
    rows: Sink
    clock: Clock
    warn: Callable[[str], None]

    def store(self, execution: Execution) -> Stored:
        """See Sink."""
        return once(self.conn, lambda: self._store(execution))

    def _store(self, execution: Execution) -> Stored:
        stored = self.rows.store(execution)
        ids = dict(stored.ids)
        for act in execution.acts:
            for table, id_ in self._keep(act):
                ids[table] = (*ids.get(table, ()), id_)
        return replace(stored, ids=ids)

    def _keep(self, act: ActResult) -> Iterator[tuple[str, int]]:
        for said in _objects(act):
            kinds = about(act.name, said)
            complete = [kind for kind in kinds if not missing(kind, said)]
            for kind in complete:
                try:
                    id_ = discord.keep(self.conn, kind, said)
                except TableError as error:
                    self.warn(f"act '{act.name}': {error}")
                else:
                    yield kind.table, id_
            if kinds and not complete:
                nearest = min(kinds, key=lambda kind: len(missing(kind, said)))
                lacks = ", ".join(missing(nearest, said))
                self.warn(f"act '{act.name}': a {nearest.name} without {lacks} is not kept")


def about(act: str, said: Mapping[str, Any]) -> tuple[Kind, ...]:
    """Return what an object may be about, by the name of its act and by its own keys."""
    name, keys = act.lower(), frozenset(said)
    return tuple(kind for kind, says in RULES if says(name, keys) or keys.issuperset(kind.required))


def missing(kind: Kind, said: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the required fields of a kind that an object lacks, under any of their names."""
    given = {kind.aliases.get(key, key) for key in said} | set(said)
    return tuple(name for name in kind.required if name not in given)


def _objects(act: ActResult) -> tuple[Mapping[str, Any], ...]:
    if act.state is not ActState.DONE:
        return ()
    try:
        return rows_of(extract(act.text).value)
    except InvalidAnswer:
        return ()
