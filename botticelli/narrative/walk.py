"""One run of one narrative, act by act."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botticelli.models.base import Part, Request
from botticelli.narrative.assembly import assembled
from botticelli.narrative.calls import ActKey, Answer
from botticelli.narrative.commands import Call, CommandFailed
from botticelli.narrative.execution import (
    ActFailed,
    ActResult,
    ActState,
    Execution,
    Output,
    Stopped,
)
from botticelli.narrative.extract import NotJson, extract
from botticelli.narrative.history import Piece, Turn, messages
from botticelli.narrative.inputs import Reader
from botticelli.narrative.model import (
    Act,
    Command,
    Input,
    Media,
    Narrative,
    Nested,
    TableRead,
    Text,
)
from botticelli.narrative.reading import Reading, Unusable, read_answer
from botticelli.narrative.scope import Names, Spent, TableText, dig
from botticelli.narrative.template import names as names_in
from botticelli.narrative.template import render_value
from botticelli.store import row_leases
from botticelli.store.columns import table_name

if TYPE_CHECKING:
    from botticelli.narrative.runner import Runner

# Fields of a command's result that are remembered in the state (dialect.md §14).
REMEMBERED: Final = (
    "id", "channel_id", "message_id", "role_id", "user_id", "guild_id", "emoji_id", "webhook_id",
    "integration_id", "invite_code", "thread_id", "event_id", "sticker_id",
)  # fmt: skip
TRIES: Final = 2  # a whole answer that cannot be used is asked for once more (facts: Gemini §6)


@dataclass
class _Gathered:
    """What the inputs of one act came to.

    Args:
        pieces: In the order written; None: left out.
        values: Results of its commands, with the kinds of thing they are about.
        nested: What nested files answered.
    """

    pieces: list[Piece | None] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    nouns: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


@dataclass(kw_only=True)
class Walk:
    """The state of one run; made by Runner.run and used once."""

    runner: "Runner"
    narrative: Narrative
    names: Names
    reader: Reader
    iteration: int
    item_id: int | None
    history: list[Turn] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    nested: list[Execution] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    cache: dict[str, tuple[float, Any]] = field(default_factory=dict)

    def run(self) -> Execution:
        """Walk through the acts.

        Raises:
            BotticelliError: An act failed for good, or the run was asked to stop.
        """
        started = self.runner.clock.now()
        if self._has_nothing_to_send():
            idle = [_idle(act, i) for i, act in enumerate(self.narrative.acts)]
            self.names.results.extend(idle)
        else:
            for position, act in enumerate(self.narrative.acts):
                for _ in range(act.carousel.iterations if act.carousel else 1):
                    self._next(act, position)
                if act.name == self.runner.until:
                    break
        return Execution(
            narrative=self.narrative.name,
            iteration=self.iteration,
            acts=tuple(self.names.results),
            outputs=tuple(self.outputs),
            leases=tuple(self.reader.leases),
            nested=tuple(self.nested),
            warnings=tuple(self.warnings),
            run_id=self.runner.run_id,
            item_id=self.item_id,
            file=str(self.runner.file.path),
            description=self.narrative.description,
            started_at=started,
        )

    def warn(self, line: str) -> None:
        """Note something that the author of the narrative should know, once."""
        if line not in self.warnings:
            self.warnings.append(line)
            self.runner.warn(f"{self.narrative.name}: {line}")

    def _next(self, act: Act, position: int) -> None:
        if self.runner.stop.is_set():
            raise Stopped("stopped between two acts, as asked", where=self.narrative.name)
        self._keep_leases()
        sequence = len(self.names.results)
        try:
            self._refuse_after_failed_write(act)
            result = self._act(act, sequence, position)
        except Spent as spent:
            result = ActResult(
                name=act.name, sequence=sequence, state=self._state_after(spent), reason=spent.what
            )
            self.warn(f"act '{act.name}' is skipped: {spent.what}")
        self.names.results.append(result)
        self.runner.on_act(self.narrative, result)

    def _state_after(self, _spent: Spent) -> ActState:
        """What nothing but emptiness kept from running has not failed."""
        states = {result.state for result in self.names.results}
        bad = states & {ActState.FAILED, ActState.SKIPPED}
        return ActState.IDLE if ActState.IDLE in states and not bad else ActState.SKIPPED

    def _keep_leases(self) -> None:
        terms = self.reader.terms
        if terms is not None:
            conn, now = self.runner.conn, self.runner.clock.pinned()
            row_leases.renew(conn, self.reader.leases, terms=terms, now=now)

    # -- acts ---------------------------------------------------------------------------------

    def _act(self, act: Act, sequence: int, position: int) -> ActResult:
        if act.narrative:
            return self._composition(act, sequence)
        if act.skip_if_valid and act.schema is not None:
            passed = self._pass_through(act, sequence)
            if passed is not None:
                self._store(act, position, passed, self._reading(act, position, passed.text))
                return passed
        gathered, failure = self._gather(act)
        if not _asks(act):
            return self._action(act, sequence, gathered, failure)
        if self._is_sent_on(act) and gathered.rows and not any(gathered.rows):
            return _idle(act, sequence)
        return self._ask(act, sequence, position, gathered)

    def _composition(self, act: Act, sequence: int) -> ActResult:
        executions = self.runner.called(act.narrative)
        self.nested.extend(executions)
        text = "\n\n".join(execution.text for execution in executions if execution.text)
        failures = [line for execution in executions for line in execution.failures]
        note = f"[Nested narrative: {act.narrative}]"
        if text:
            self.history.append(Turn(role="user", pieces=(Piece(part=Part(text=text), note=note),)))
        state = ActState.FAILED if failures else ActState.DONE
        reason = "; ".join(failures)
        return ActResult(name=act.name, sequence=sequence, state=state, text=text, reason=reason)

    def _pass_through(self, act: Act, sequence: int) -> ActResult | None:
        """The answer before, if it satisfies this act's schema already: no call, nothing to pay."""
        before = self.names.results[-1] if self.names.results else None
        if before is None or before.state is not ActState.DONE or not before.text.strip():
            return None
        try:
            reading = read_answer(before.text, schema=act.schema)
        except Unusable:
            return None
        text = json.dumps(reading.value, ensure_ascii=False) if reading.repaired else before.text
        return ActResult(
            name=act.name, sequence=sequence, text=text, answer=before.answer,
            reason="the answer before was valid already",
        )  # fmt: skip

    def _action(self, act: Act, sequence: int, gathered: _Gathered, failure: str) -> ActResult:
        pieces = tuple(piece for piece in gathered.pieces if piece is not None)
        if failure:
            return ActResult(
                name=act.name, sequence=sequence, state=ActState.FAILED, reason=failure,
                values=tuple(gathered.values), nouns=tuple(gathered.nouns),
            )  # fmt: skip
        if pieces:
            self.history.append(Turn(role="user", pieces=pieces))
        result = ActResult(
            name=act.name,
            sequence=sequence,
            text=_action_text(gathered, pieces),
            values=tuple(gathered.values),
            nouns=tuple(gathered.nouns),
        )
        self._capture(act, gathered.values)
        if act.extract_output and gathered.values:
            self._output(act, tuple(v for v in gathered.values if isinstance(v, Mapping)), result)
        return result

    def _ask(self, act: Act, sequence: int, position: int, gathered: _Gathered) -> ActResult:
        pieces = tuple(piece for piece in gathered.pieces if piece is not None)
        turn = Turn(role="user", pieces=pieces)
        models = self.runner.override.models or act.models or self.narrative.models
        models = models or self.runner.models
        request = Request(
            model=models[0] if models else "",
            messages=messages(self.history, latest=turn),
            system=act.system,
            temperature=_first(
                self.runner.override.temperature, act.temperature, self.narrative.temperature
            ),
            max_tokens=_first(
                self.runner.override.max_tokens, act.max_tokens, self.narrative.max_tokens
            ),
            schema=act.schema,
        )
        key = ActKey(
            run_id=self.runner.run_id,
            item_id=self.item_id,
            narrative=self.narrative.name,
            iteration=self.iteration,
            act=act.name,
            sequence=sequence,
        )
        answer, reading = self._answer(act, position, request, models, key)
        said = Turn(role="assistant", pieces=(Piece(part=Part(text=answer.text)),))
        self.history += [turn, said]
        prompt = "\n\n".join(piece.part.text or f"[{piece.part.mime}]" for piece in pieces)
        result = ActResult(
            name=act.name, sequence=sequence, text=answer.text, prompt=prompt, answer=answer
        )
        self._store(act, position, result, reading)
        if reading is not None:
            self._capture(act, [reading.value])
        elif act.state_capture:
            self._capture(act, _json_of(answer.text))
        return result

    def _answer(
        self, act: Act, position: int, request: Request, models: Sequence[str], key: ActKey
    ) -> tuple[Answer, Reading | None]:
        """Ask until an answer can be used; what cannot is kept and marked, not thrown away."""
        reason = ""
        for _ in range(TRIES):
            answer = self.runner.caller.ask(request, models=models, key=key)
            try:
                return answer, self._reading(act, position, answer.text)
            except Unusable as unusable:
                reason = unusable.what
                self.runner.caller.reject(answer, reason)
        raise ActFailed(
            reason, where=f"{self.narrative.name}, act '{act.name}'",
            mend="the answers are kept in act_executions; mend the prompt or the schema",
        )  # fmt: skip

    def _reading(self, act: Act, position: int, text: str) -> Reading | None:
        """The answer as JSON where the act is there to give JSON; None where prose will do.

        Raises:
            Unusable: JSON is wanted and there is none, or not the one that is wanted.
        """
        if not text.strip():
            raise Unusable("the answer is empty")
        stores = self._stores(act, position)
        if act.schema is None and not stores:
            return None
        try:
            return read_answer(text, schema=act.schema, as_rows=stores)
        except Unusable as unusable:
            wanted = act.schema is not None or act.extract_output or self._wants_rows
            if wanted:
                raise
            self.warn(f"act '{act.name}' stores nothing: {unusable.what}")
            return None

    # -- what is stored -----------------------------------------------------------------------

    @property
    def _wants_rows(self) -> bool:
        return bool(self.narrative.target or self.narrative.template)

    def _stores(self, act: Act, position: int) -> bool:
        """Template mode stores every act, inference mode the last one (dialect.md §16.18)."""
        if self.narrative.skip_content_generation or act.skip_content_generation:
            return False
        if act.extract_output is not None:
            return act.extract_output
        return bool(self.narrative.template) or position == len(self.narrative.acts) - 1

    def _store(self, act: Act, position: int, result: ActResult, reading: Reading | None) -> None:
        if reading is not None and self._stores(act, position):
            self._output(act, reading.rows, result, repaired=reading.repaired)

    def _output(
        self,
        act: Act,
        rows: tuple[Mapping[str, Any], ...],
        result: ActResult,
        *,
        repaired: bool = False,
    ) -> None:
        answer = result.answer
        self.outputs.append(
            Output(
                table=table_name(self.narrative.target or self.narrative.name),
                rows=rows,
                narrative=self.narrative.name,
                act=act.name,
                model=answer.model if answer else "",
                execution_id=answer.execution_id if answer else None,
                template=self.narrative.template,
                repaired=repaired,
            )
        )

    # -- inputs -------------------------------------------------------------------------------

    def _gather(self, act: Act) -> tuple[_Gathered, str]:
        """Read and run what the act names; its texts last, for they may speak of the rest."""
        gathered = _Gathered(pieces=[None] * len(act.inputs))
        failure = ""
        for index, given in enumerate(act.inputs):
            try:
                gathered.pieces[index] = self._input(act, given, gathered)
            except CommandFailed as error:
                failure = failure or str(error)
                self.warn(f"act '{act.name}': {error}")
                gathered.pieces[index] = Piece(part=Part(text=f"[The command failed: {error}]"))
        self._texts(act, gathered)
        return gathered, failure

    def _texts(self, act: Act, gathered: _Gathered) -> None:
        single_braces = self.narrative.single_braces
        is_first = True
        for index, given in enumerate(act.inputs):
            if not isinstance(given, Text):
                continue
            for name in names_in(given.content or "", single_braces=single_braces):
                self._refuse_spent(name)
            text = self.reader.text(given, single_braces=single_braces)
            if is_first and index == 0 and self.narrative.template:
                text = assembled(self.runner.conn, self.narrative.template, text)
            is_first = False
            gathered.pieces[index] = Piece(part=Part(text=text), retention=given.retention)
            self._leave_out_quoted(act, given, gathered)

    def _leave_out_quoted(self, act: Act, text: Text, gathered: _Gathered) -> None:
        """Rows that the prompt quotes by name are not sent a second time beside it."""
        quoted = set(names_in(text.content or ""))
        for index, given in enumerate(act.inputs):
            if isinstance(given, TableRead) and quoted & {given.table, *given.names}:
                gathered.pieces[index] = None

    def _refuse_spent(self, name: str) -> None:
        result = self.names.executed(name.partition(".")[0])
        if result is not None and result.state is not ActState.DONE:
            raise Spent(f"act '{result.name}' is {result.state}: {result.reason}")

    def _input(self, act: Act, given: Input, gathered: _Gathered) -> Piece | None:
        if isinstance(given, TableRead):
            piece = self.reader.table(given, act=act.name)
            gathered.rows.append(self.names.tables[given.table].rows if piece else 0)
            return piece
        if isinstance(given, Command):
            return self._command(act, given, gathered)
        if isinstance(given, Nested):
            text = self._nested(given)
            gathered.nested.append(text)
            self.names.tables[given.name] = TableText(text=text, rows=int(bool(text)))
            return None
        if isinstance(given, Media):
            return Piece(part=self.reader.media(given), retention=given.retention)
        return None

    def _nested(self, nested: Nested) -> str:
        executions = self.runner.called_file(nested)
        self.nested.extend(executions)
        texts = [execution.acts[-1].text for execution in executions if execution.acts]
        failures = [line for execution in executions for line in execution.failures]
        if failures:
            raise CommandFailed("; ".join(failures), where=f"narrative '{nested.name}'")
        return texts[-1] if texts else ""

    # -- commands -----------------------------------------------------------------------------

    def _command(self, act: Act, command: Command, gathered: _Gathered) -> Piece:
        where = f"act '{act.name}', argument "
        args = {
            key: render_value(value, scope=self.names, where=where + key)
            for key, value in command.args.items()
        }
        call = Call(
            platform=command.platform,
            command=command.command,
            args=args,
            seen=self.reader.seen,
            security=self.narrative.security,
        )
        value = self._run(command, call)
        noun = command.command.partition(".")[0].removesuffix("s")
        gathered.values.append(value)
        gathered.nouns.append(noun)
        self._remember(command, value, noun)
        text = json.dumps(value, ensure_ascii=False, indent=2)
        note = f"[Bot command: {call.name}]"
        return Piece(part=Part(text=text), retention=command.retention, note=note)

    def _run(self, command: Command, call: Call) -> Any:
        """Run a command, or take a read's answer from this run if it is fresh enough."""
        commands = self.runner.commands
        writes = commands.writes(call.platform, call.command)
        key = json.dumps([call.name, call.args], sort_keys=True, default=str)
        now = self.runner.clock.monotonic()
        if writes:
            self.cache.clear()
        elif key in self.cache and now < self.cache[key][0]:
            return self.cache[key][1]
        try:
            value = commands.run(call)
        except CommandFailed as error:
            if command.required:
                raise ActFailed(str(error), where=self.narrative.name) from error
            raise
        if not writes and command.cache_seconds:
            self.cache[key] = (now + command.cache_seconds, value)
        return value

    def _remember(self, command: Command, value: Any, noun: str) -> None:
        if not isinstance(value, Mapping):
            return
        kept: dict[str, str] = {}
        for name in REMEMBERED:
            if isinstance(value.get(name), str | int) and not isinstance(value[name], bool):
                kept[name] = kept[f"{command.platform}.{command.command}.{name}"] = str(value[name])
        if "id" in kept:
            kept.setdefault(f"{noun}_id", kept["id"])
        if command.store_as:
            found = value.get("id", value.get(f"{noun}_id"))
            if found is not None:
                kept[command.store_as] = str(found)
        self.runner.remember(kept)

    def _capture(self, act: Act, values: Sequence[Any]) -> None:
        kept = {}
        for key, path in act.state_capture.items():
            found = next((v for value in values if (v := dig(value, path)) is not None), None)
            if found is None:
                self.warn(f"act '{act.name}': nothing at {path} to keep as '{key}'")
            else:
                kept[key] = found if isinstance(found, str) else json.dumps(found)
        self.runner.remember(kept)

    # -- what must not go on ------------------------------------------------------------------

    def _refuse_after_failed_write(self, act: Act) -> None:
        """After something was not sent, nothing is marked as sent (dialect.md §16.23)."""
        if not self._writes(act):
            return
        acts = {each.name: each for each in self.narrative.acts}
        for result in self.names.results:
            if result.state is not ActState.DONE and self._writes(acts[result.name]):
                raise Spent(f"act '{result.name}' is {result.state}: {result.reason}")

    def _writes(self, act: Act) -> bool:
        return any(
            isinstance(given, Command)
            and self.runner.commands.writes(given.platform, given.command)
            for given in act.inputs
        )

    def _is_sent_on(self, act: Act) -> bool:
        """Whether a later command sends this act's answer out."""
        position = next(i for i, each in enumerate(self.narrative.acts) if each is act)
        for index, later in enumerate(self.narrative.acts[position + 1 :]):
            for given in later.inputs:
                if not isinstance(given, Command):
                    continue
                heads = {name.partition(".")[0] for name in names_in(given.args)}
                if act.name in heads or (index == 0 and heads & {"previous", "prev"}):
                    return True
        return False

    def _has_nothing_to_send(self) -> bool:
        """Whether this is a poster with an empty queue: then nothing is called at all."""
        for act in self.narrative.acts:
            if act.narrative or any(isinstance(given, Nested) for given in act.inputs):
                return False
            reads = [given for given in act.inputs if isinstance(given, TableRead)]
            if reads and _asks(act) and self._is_sent_on(act):
                given = self.reader.given
                return not any(r.table in given or self.reader.rows_ahead(r) for r in reads)
        return False


def _asks(act: Act) -> bool:
    """Whether the act has a prompt of its own; else it only acts, and no model is called."""
    return any(
        isinstance(given, Text) and (given.file is not None or (given.content or "").strip())
        for given in act.inputs
    )


def _idle(act: Act, sequence: int) -> ActResult:
    return ActResult(name=act.name, sequence=sequence, state=ActState.IDLE, reason="nothing to do")


def _action_text(gathered: _Gathered, pieces: Sequence[Piece]) -> str:
    if gathered.values:
        values = gathered.values
        return json.dumps(values[0] if len(values) == 1 else values, ensure_ascii=False)
    if gathered.nested:
        return "\n\n".join(text for text in gathered.nested if text)
    return "\n\n".join(piece.part.text for piece in pieces if piece.part.text)


def _first(*choices: Any) -> Any:
    return next((choice for choice in choices if choice is not None), None)


def _json_of(text: str) -> list[Any]:
    try:
        return [extract(text).value]
    except NotJson:
        return []
