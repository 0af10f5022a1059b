"""The inputs of one act: tables are read, commands run, nested narratives run, texts filled in."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from botticelli.errors import BotticelliError
from botticelli.models.base import Part
from botticelli.narrative.commands.base import CommandCall
from botticelli.narrative.errors import ActFailed, CommandFailed
from botticelli.narrative.language.model import (
    Act,
    BotCommand,
    Input,
    Media,
    Narrative,
    Nested,
    TableRead,
    Text,
)
from botticelli.narrative.language.template import names as names_in
from botticelli.narrative.language.template import render_value
from botticelli.narrative.run.act_facts import REMEMBERED, is_about_source, names_of
from botticelli.narrative.run.context import RunContext
from botticelli.narrative.run.history import Piece
from botticelli.narrative.run.input_reader import InputReader, fill_filter, placed
from botticelli.narrative.run.results import ActState, Execution
from botticelli.narrative.run.resume import ResumeState
from botticelli.narrative.run.variables import ActNotDone, TableText, Variables, dig
from botticelli.store.connection import Connection
from botticelli.store.tables.columns import Column, columns_of

LOOK: Final = "look there whether it is done"
FILTERS: Final = ("where", "where_clause")  # arguments that are SQL
SPEAKS_OF_FIELDS: Final = (
    "required fields", "optional fields", "json object", "critical output", "schema", "data type",
)  # fmt: skip
KINDS: Final = {
    "smallint": "whole number", "integer": "whole number", "bigint": "whole number",
    "numeric": "number", "real": "number", "double precision": "number",
    "boolean": "true or false", "jsonb": "JSON", "json": "JSON", "uuid": "UUID", "date": "date",
    "timestamp with time zone": "ISO 8601 time with zone",
    "timestamp without time zone": "ISO 8601 time",
}  # fmt: skip
HINTS: Final = {
    "_id": "a Discord id: 17 to 19 digits",
    "_at": "such as 2025-01-31T12:00:00Z",
    "_url": "a complete address",
    "_count": "not below zero",
}
RULES: Final = """Rules for the answer:
- JSON only: no remarks before or after it, no code fences.
- The first character is { and the last one }.
- Every required field is there, with a value of its kind.
- Values are realistic and fit together."""


@dataclass(kw_only=True)
class Gathered:
    """What the inputs of one act came to.

    Args:
        slots: A piece of the prompt for each input, in the order written; None if it is left out.
        values: Results of its commands; `nouns` says what kind of thing each is about.
        answers: What nested narratives answered.
        row_counts: How many rows each table read found.
        failure: Why an optional command failed; empty: none did.
    """

    slots: list[Piece | None]
    values: list[Any] = field(default_factory=list)
    nouns: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    row_counts: list[int] = field(default_factory=list)
    failure: str = ""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What goes into the prompt."""
        return tuple(piece for piece in self.slots if piece is not None)

    @property
    def found_no_rows(self) -> bool:
        """Whether it looked into tables and they were all empty."""
        return bool(self.row_counts) and not any(self.row_counts)

    @property
    def text(self) -> str:
        """What an act that asks no model leaves under its name."""
        if self.values:
            alone = self.values[0] if len(self.values) == 1 else self.values
            return json.dumps(alone, ensure_ascii=False)
        if self.answers:
            return "\n\n".join(text for text in self.answers if text)
        return "\n\n".join(piece.part.text for piece in self.pieces if piece.part.text)


@dataclass(kw_only=True)
class ActInputs:
    """Gathers the inputs of the acts of one run.

    Args:
        above: Name and [security] of the narratives that called this one, outermost first.
        call: Runs the narrative that an act or an input names, as that step.
        nested: Executions of nested narratives; grows.
        cache: Results of reading commands, with the instant until which they are good.
    """

    context: RunContext
    narrative: Narrative
    variables: Variables
    reader: InputReader
    resume: ResumeState
    above: tuple[tuple[str, Mapping[str, Any]], ...]
    call: Callable[[str | Nested, str], tuple[Execution, ...]]
    nested: list[Execution] = field(default_factory=list)
    cache: dict[str, tuple[float, Any]] = field(default_factory=dict)

    def gather(self, act: Act, *, sequence: int) -> Gathered:
        """Read and run what the act names; its texts last, for they may speak of the rest.

        `sequence` is the act's place in the run.

        Raises:
            ActFailed: A required table or command failed.
            ActNotDone: It needs an act that is not done.
            ConfigError: A file is not there, or an argument cannot be filled in.
        """
        gathered = Gathered(slots=[None] * len(act.inputs))
        for index, given in enumerate(act.inputs):
            try:
                step = f"{sequence}.{index}"
                gathered.slots[index] = self._input(act, given, gathered=gathered, step=step)
            except CommandFailed as error:
                gathered.failure = gathered.failure or str(error)
                self.variables.warn(f"act '{act.name}': {error}")
                gathered.slots[index] = Piece(part=Part(text=f"[The command failed: {error}]"))
        if not (gathered.found_no_rows and is_about_source(act)):
            self._fill_in_texts(act, gathered)
        return gathered

    def _fill_in_texts(self, act: Act, gathered: Gathered) -> None:
        single_braces = self.narrative.single_braces
        for index, given in enumerate(act.inputs):
            if not isinstance(given, Text):
                continue
            quoted = names_in(given.content or "", single_braces=single_braces)
            for name in quoted:
                self._refuse_not_done(name)
            text = self.reader.text(given, single_braces=single_braces)
            if index == 0 and self.narrative.template:
                text = _assembled(
                    self.context.conn, self.narrative.template, text=text, warn=self.variables.warn
                )
            gathered.slots[index] = Piece(part=Part(text=text), retention=given.retention)
            _leave_out(act, gathered, quoted=quoted)

    def _refuse_not_done(self, name: str) -> None:
        result = self.variables.executed(self.variables.split(name)[0])
        if result is not None and result.state is not ActState.DONE:
            raise ActNotDone(f"act '{result.name}' is {result.state}: {result.reason}")

    def _input(self, act: Act, given: Input, *, gathered: Gathered, step: str) -> Piece | None:
        if isinstance(given, TableRead):
            piece = self.reader.table(given, act=act.name, step=step)
            gathered.row_counts.append(self.variables.tables[given.table].rows if piece else 0)
            return piece
        if isinstance(given, BotCommand):
            return self._command(act, given, gathered=gathered, step=step)
        if isinstance(given, Nested):
            text = self._nested(given, step=step)
            gathered.answers.append(text)
            self.variables.tables[given.name] = TableText(text=text, rows=int(bool(text)))
        if isinstance(given, Media):
            with placed(f"{self.narrative.name}, act '{act.name}'"):
                return Piece(part=self.reader.media(given), retention=given.retention)
        return None

    def _nested(self, nested: Nested, *, step: str) -> str:
        """Run it and return its final answer, which goes into no prompt unless it is named."""
        self.cache.clear()  # it may change what was read here
        executions = self.call(nested, step)
        self.nested.extend(executions)
        failures = [line for execution in executions for line in execution.failures]
        if failures:
            raise CommandFailed("; ".join(failures), where=f"narrative '{nested.name}'")
        texts = [execution.acts[-1].text for execution in executions if execution.acts]
        return texts[-1] if texts else ""

    def _command(self, act: Act, command: BotCommand, *, gathered: Gathered, step: str) -> Piece:
        call = CommandCall(
            platform=command.platform,
            command=command.command,
            args={
                key: self._argument(act, key, value=value) for key, value in command.args.items()
            },
            seen=self.reader.seen,
            about=self.reader.about,
            security=self.narrative.security,
            above=self.above,
            narrative=self.narrative.name,
            act=act.name,
            run_id=self.context.run_id,
        )
        value = self._once(command, call, step=step)
        noun = command.command.partition(".")[0].removesuffix("s")
        gathered.values.append(value)
        gathered.nouns.append(noun)
        ids = remembered(command, value, noun=noun)
        self.context.remember(ids, narrative=self.narrative.name)
        text = json.dumps(value, ensure_ascii=False, indent=2)
        note = f"[Bot command: {call.name}]"
        return Piece(part=Part(text=text), retention=command.retention, note=note)

    def _argument(self, act: Act, key: str, *, value: Any) -> Any:
        where, is_dry = f"act '{act.name}', argument {key}", self.context.is_dry
        if key in FILTERS and isinstance(value, str) and not is_dry:
            return fill_filter(value, variables=self.variables, where=where)
        filled = render_value(value, scope=self.variables, where=where, is_rehearsal=is_dry)
        return _id_in(filled, key) if key.endswith("_id") else filled

    def _once(self, command: BotCommand, call: CommandCall, *, step: str) -> Any:
        """Run a command, unless the run before this one of the same item has done so.

        What was begun then, and is not known to have ended, may be done: it is not begun again.
        """
        memory = self.resume
        kept = memory.recall(step)
        if kept is not None and "value" in kept:
            return kept["value"]
        if kept is not None:
            what = "it was under way when this was killed, and is not tried again"
            if command.required:
                raise ActFailed(f"{call.name}: {what}", where=self.narrative.name, hint=LOOK)
            raise CommandFailed(what, where=call.name, hint=LOOK)
        if self.context.commands.writes(call.platform, call.command):
            memory.keep(step, {"begun": call.name})
        try:
            value = self._run(command, call)
        except BotticelliError:
            memory.keep(step, None)
            raise
        memory.keep(step, {"value": value})
        return value

    def _run(self, command: BotCommand, call: CommandCall) -> Any:
        """Run a command, or take a read's result from earlier in this run if it is fresh enough."""
        commands, now = self.context.commands, self.context.clock.monotonic()
        is_read = not commands.writes(call.platform, call.command)
        key = json.dumps([call.name, call.args], sort_keys=True, default=str)
        if is_read and key in self.cache and now < self.cache[key][0]:
            return self.cache[key][1]
        if not is_read:
            self.cache.clear()
        try:
            value = commands.run(call)
        except CommandFailed as error:
            if command.required:
                raise ActFailed(str(error), where=self.narrative.name) from error
            raise
        if is_read and command.cache_seconds:
            self.cache[key] = (now + command.cache_seconds, value)
        return value

    def capture(self, act: Act, values: Sequence[Any], *, nouns: Sequence[str] = ()) -> None:
        """Keep what state_capture names of the act's results in the state."""
        kept = {}
        sorts = nouns or [""] * len(values)
        for key, path in act.state_capture.items():
            dug = (dig(value, path, noun=noun) for value, noun in zip(values, sorts, strict=True))
            found = next((each for each in dug if each is not None), None)
            if found is None and not self.context.is_dry:
                self.variables.warn(f"act '{act.name}': nothing at {path} to keep as '{key}'")
            elif found is not None:
                kept[key] = found if isinstance(found, str) else json.dumps(found)
        self.context.remember(kept, narrative=self.narrative.name)


def _id_in(value: Any, key: str) -> Any:
    """Return the id in a whole result ("{{send}}" as message_id), which cannot be one itself."""
    if not (isinstance(value, str) and value.startswith("{")):
        return value
    try:
        result = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return result.get(key) or result.get("id") or value


def _leave_out(act: Act, gathered: Gathered, *, quoted: Sequence[str]) -> None:
    """Rows that a prompt quotes by name are not sent a second time beside it."""
    for index, given in enumerate(act.inputs):
        heads = {name.partition(".")[0] for name in quoted}
        if isinstance(given, TableRead) and set(names_of(given)) & {*quoted, *heads}:
            gathered.slots[index] = None


def remembered(command: BotCommand, value: Any, *, noun: str) -> dict[str, str]:
    """Return the ids of a command's result under the keys of the state (docs/dialect.md §14)."""
    if not isinstance(value, Mapping):
        return {}
    ids = {
        name: str(value[name])
        for name in REMEMBERED
        if isinstance(value.get(name), str | int) and not isinstance(value[name], bool)
    }
    kept = {f"{command.platform}.{command.command}.{name}": id_ for name, id_ in ids.items()}
    kept |= ids
    if "id" in ids:
        kept.setdefault(f"{noun}_id", ids["id"])
    own = ids.get("id") or ids.get(f"{noun}_id")
    if command.store_as and own:
        kept[command.store_as] = own
    return kept


def _assembled(conn: Connection, template: str, *, text: str, warn: Callable[[str], None]) -> str:
    """Return a prompt that asks for an object with the template's columns.

    The columns stand in words around the author's own text. A text that speaks of fields or a
    schema itself is returned alone (docs/dialect.md §11.3); so is, with a warning, any text if
    there is no such table.
    """
    lower = text.lower()
    if any(phrase in lower for phrase in SPEAKS_OF_FIELDS):
        return text
    columns = columns_of(conn, template)
    if not columns:
        warn(f"there is no table '{template}', so no prompt says which fields are wanted")
        return text
    required = [_column_line(column) for column in columns.values() if column.is_required]
    optional = [f"{_column_line(c)} (optional)" for c in columns.values() if not c.is_required]
    blocks = []
    if template.startswith("discord_"):
        blocks.append("The answer describes something on Discord, a chat platform.")
    if required:
        blocks.append("Required columns:\n" + "\n".join(required))
    if optional:
        blocks.append("Further columns:\n" + "\n".join(optional))
    return "\n\n".join([*blocks, text, RULES])


def _column_line(column: Column) -> str:
    hint = next((hint for ending, hint in HINTS.items() if column.name.endswith(ending)), "")
    return f"- {column.name}: {_column_kind(column)}" + (f", {hint}" if hint else "")


def _column_kind(column: Column) -> str:
    if column.labels:
        return "one of " + ", ".join(column.labels)
    if column.base.endswith("[]"):
        return "list of texts"
    size = column.type.partition("(")[2].rstrip(")")
    if column.base == "character varying" and size:
        return f"text of at most {size} characters"
    return KINDS.get(column.base, "text")
