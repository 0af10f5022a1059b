"""One run of one narrative, act by act."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from botticelli.budget.gate import Stopped
from botticelli.config.leaks import find_leak
from botticelli.errors import ConfigError
from botticelli.models.base import Part, Request
from botticelli.narrative.answers.answer import Answer, Caller
from botticelli.narrative.answers.dry_run import rounds_of
from botticelli.narrative.answers.json_extraction import (
    InvalidAnswer,
    ParsedAnswer,
    read_answer,
    value_in,
)
from botticelli.narrative.checks.asks import environment_names
from botticelli.narrative.checks.needs import refuse_lacking
from botticelli.narrative.errors import ActFailed
from botticelli.narrative.language.model import Act, Media, Narrative, NarrativeFile, Text
from botticelli.narrative.language.template import Unresolved, render_prompt
from botticelli.narrative.run import act_facts
from botticelli.narrative.run.act_inputs import ActInputs, Gathered
from botticelli.narrative.run.context import RunContext, RunOptions
from botticelli.narrative.run.history import Piece, Turn, messages
from botticelli.narrative.run.input_reader import InputReader, placed
from botticelli.narrative.run.results import ActResult, ActState, Execution, Output
from botticelli.narrative.run.resume import ResumeState
from botticelli.narrative.run.variables import ActNotDone, Variables
from botticelli.pictures.reading import BadPicture, read_picture, refuse_blank
from botticelli.records import record
from botticelli.store import media
from botticelli.store.generation.executions import ActKey
from botticelli.store.media import NewPicture
from botticelli.store.tables import row_leases
from botticelli.store.tables.columns import answers_table

TRIES: Final = 2  # a whole answer that cannot be used is asked for once more, of each model


@record
class Step:
    """One act at its place in the run; an act that is repeated makes several."""

    act: Act
    sequence: int
    is_last: bool

    def result(self, state: ActState = ActState.DONE, **more: Any) -> ActResult:
        """Return the act's result."""
        return ActResult(name=self.act.name, sequence=self.sequence, state=state, **more)


@dataclass(kw_only=True)
class NarrativeRun:
    """The state of one run; made by Runner.prepare and used once."""

    context: RunContext
    options: RunOptions
    caller: Caller
    file: NarrativeFile
    narrative: Narrative
    iteration: int
    variables: Variables
    reader: InputReader
    inputs: ActInputs
    resume: ResumeState
    warn: Callable[[str], None]
    warnings: list[str]
    history: list[Turn] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)

    def run(self) -> Execution:
        """Run the acts in order.

        Raises:
            BotticelliError: An act failed for good, or the run was asked to stop.
        """
        started = self.context.clock.now()
        self._refuse_variables()
        self._refuse_dangling()
        queue = act_facts.queue_of(self.narrative)
        is_idle = bool(queue) and not any(map(self.reader.would_find, queue))
        if not is_idle:
            self._refuse_missing()
        writers = [act for act in self.narrative.acts if act.image is None]
        for act in self.narrative.acts:
            for _ in rounds_of(act.carousel.iterations if act.carousel else 1, self.caller):
                is_last = act is writers[-1] if writers else False
                step = Step(act=act, sequence=len(self.variables.results), is_last=is_last)
                result = _idle(step) if is_idle else self._act(step)
                self.variables.results.append(result)
                self.options.on_act(self.narrative, self.iteration, result)
            if act.name == self.options.until:
                break
        return Execution(
            narrative=self.narrative.name,
            iteration=self.iteration,
            acts=tuple(self.variables.results),
            outputs=tuple(map(self._with_pictures, self.outputs)),
            leases=tuple(self.reader.leases),
            nested=tuple(self.inputs.nested),
            warnings=tuple(self.warnings),
            run_id=self.context.run_id,
            item_id=self.resume.item_id,
            place=self.resume.place,
            file=str(self.file.path),
            description=self.narrative.description,
            started_at=started,
        )

    def _refuse_missing(self) -> None:
        """Find that a model, a file or a medium is missing before the first call is paid for.

        Raises:
            ConfigError, ActFailed: One is.
        """
        context, options = self.context, self.options
        refuse_lacking(context, self.file, self.narrative, caller=self.caller, options=options)
        for act in self.narrative.acts:
            with placed(f"{self.narrative.name}, act '{act.name}'"):
                for given in act.inputs:
                    if isinstance(given, Media):
                        self.reader.media(given)
                    elif isinstance(given, Text) and given.file:
                        self.reader.read(given)
            if act.name == self.options.until:
                return

    def _refuse_variables(self) -> None:
        """Find variables that no narrative may read before the first call is paid for.

        Raises:
            ConfigError: A prompt or an argument names one.
        """
        known = {*self.variables.given, *self.variables.kept, *self.variables.acts}
        for placeholder in environment_names(self.narrative):
            if placeholder.name in known:
                continue
            try:
                self.context.refuse_variable(placeholder.name.removeprefix("env:"))
            except ConfigError as refused:
                if not self.context.is_dry:
                    where = f"{self.file.path}: {self.narrative.name}: {placeholder.source}"
                    raise ConfigError(refused.what, where=where, hint=refused.hint) from refused
                self.warn(str(refused))

    def _refuse_leaks(self, request: Request, act: Act) -> None:
        """Keep secrets from a model, however they came into the prompt.

        Raises:
            ActFailed: The prompt holds one.
        """
        texts = [part.text for each in request.messages for part in each.parts]
        for text in (request.system, *texts):
            if how := find_leak(text or "", self.context.secrets):
                raise ActFailed(
                    f"the prompt holds a secret ({how})",
                    where=f"{self.narrative.name}, act '{act.name}'",
                    hint="no model reads it; look where the text comes from",
                )

    def _refuse_dangling(self) -> None:
        """Find what no command could be given before the first call is paid for.

        Raises:
            Unresolved: A placeholder of a command has no value, and will have none.
        """
        for act, placeholder in act_facts.dangling(self.narrative):
            try:
                self.variables.find(placeholder.name, style=placeholder.style)
            except Unresolved as unknown:
                what = f"{placeholder.source} cannot be filled in: {unknown.what}"
                if not self.context.is_dry:
                    where = f"{self.narrative.name}, act '{act.name}'"
                    raise Unresolved(what, where=where, hint=unknown.hint) from unknown
                self.warn(f"act '{act.name}': {what}")

    def _act(self, step: Step) -> ActResult:
        self._check_in()
        act = step.act
        try:
            self._refuse_after_failed_write(act)
            result = self._composition(step) if act.narrative else self._pass_through(step)
            if result is not None:
                return result
            gathered = self.inputs.gather(act, sequence=step.sequence)
            is_about_rows = act_facts.is_about_source(act) or act_facts.is_sent_on(
                self.narrative, act
            )
            if gathered.found_no_rows and is_about_rows:
                return _idle(step, "no row is free: there is none, or another run has it")
            if act.image is not None:
                return self._picture(step, gathered)
            return (self._ask if act_facts.asks(act) else self._action)(step, gathered)
        except ActNotDone as missing:
            self.warn(f"act '{act.name}' is skipped: {missing.what}")
            return step.result(self._state_after(), reason=missing.what)

    def _check_in(self) -> None:
        """Renew the leases on rows, or stop.

        Raises:
            Stopped: The run was asked to stop.
        """
        if self.context.stop.is_set():
            raise Stopped("stopped between two acts, as asked", where=self.narrative.name)
        reader = self.reader
        for terms, leases in ((reader.terms, reader.leases), (reader.mark_terms, reader.held)):
            if terms is not None:
                row_leases.renew(self.context.conn, leases, terms=terms)

    def _state_after(self) -> ActState:
        """What nothing but an empty table kept from running has not failed."""
        states = {result.state for result in self.variables.results}
        if states & {ActState.FAILED, ActState.SKIPPED}:
            return ActState.SKIPPED
        return ActState.IDLE

    def _refuse_after_failed_write(self, act: Act) -> None:
        """Skip what depends on something that was not sent (docs/dialect.md §16.23)."""
        commands = self.context.commands
        if not act_facts.writes(act, commands):
            return
        acts = {each.name: each for each in self.narrative.acts}
        for result in self.variables.results:
            is_done = result.state is ActState.DONE
            failed = acts[result.name]
            if is_done or not act_facts.writes(failed, commands):
                continue
            if act_facts.needs(self.narrative, act, failed):
                raise ActNotDone(f"act '{result.name}' is {result.state}: {result.reason}")

    def _composition(self, step: Step) -> ActResult:
        name = step.act.narrative
        self.inputs.cache.clear()  # it may change what was read here
        executions = self.inputs.call(name, str(step.sequence))
        self.inputs.nested.extend(executions)
        text = "\n\n".join(execution.text for execution in executions if execution.text)
        if text:
            piece = Piece(part=Part(text=text), note=f"[Nested narrative: {name}]")
            self.history.append(Turn(role="user", pieces=(piece,)))
        failures = [line for execution in executions for line in execution.failures]
        state = ActState.FAILED if failures else ActState.DONE
        return step.result(state, text=text, reason="; ".join(failures))

    def _pass_through(self, step: Step) -> ActResult | None:
        """The answer before, if it satisfies this act's schema already: no call, nothing to pay."""
        if not (step.act.skip_if_valid and step.act.schema):
            return None
        before = self.variables.results[-1] if self.variables.results else None
        if before is None or before.state is not ActState.DONE or not before.text.strip():
            return None
        try:
            reading = read_answer(before.text, schema=step.act.schema)
        except InvalidAnswer:
            return None
        text = json.dumps(reading.value, ensure_ascii=False) if reading.repaired else before.text
        reason = "the answer before was valid already"
        result = step.result(text=text, answer=before.answer, reason=reason)
        self._take(step, result, reading=reading)
        return result

    def _action(self, step: Step, gathered: Gathered) -> ActResult:
        """An act without a prompt: what it read and did is there for later acts."""
        values, nouns = tuple(gathered.values), tuple(gathered.nouns)
        if gathered.failure:
            reason = gathered.failure
            return step.result(ActState.FAILED, reason=reason, values=values, nouns=nouns)
        if gathered.pieces:
            self.history.append(Turn(role="user", pieces=gathered.pieces))
        result = step.result(text=gathered.text, values=values, nouns=nouns)
        self.inputs.capture(step.act, values, nouns=nouns)
        if step.act.extract_output:
            objects = tuple(value for value in values if isinstance(value, Mapping))
            self._output(step, objects, answer=None)
        return result

    def _ask(self, step: Step, gathered: Gathered) -> ActResult:
        """Ask until an answer can be used; what cannot is kept and marked, not thrown away."""
        turn = Turn(role="user", pieces=gathered.pieces)
        known, key = self.context.config.models, self._key(step)
        models = self.options.models_for(self.narrative, step.act, known=known)
        request = self._request(step.act, turn, models=models)
        self._refuse_leaks(request, step.act)
        reason, failed, is_over = "", Counter[str](), False
        while not is_over:
            answer = self.caller.ask(request, models=models, key=key)
            try:
                reading = self._reading(step, answer.text, asked=request)
            except InvalidAnswer as unusable:
                reason = unusable.what
                self.caller.reject(answer, reason)
                failed[answer.asked] += 1
                if failed[answer.asked] == TRIES:  # the next one may do better
                    models = models[(*models, answer.asked).index(answer.asked) + 1 :]
                    is_over = not models
                continue
            said = Turn(role="assistant", pieces=(Piece(part=Part(text=answer.text)),))
            self.history += [turn, said]
            prompt = "\n\n".join(_shown(piece) for piece in gathered.pieces)
            result = step.result(text=answer.text, prompt=prompt, answer=answer)
            self._take(step, result, reading=reading)
            return result
        raise ActFailed(
            reason,
            where=f"{self.narrative.name}, act '{step.act.name}'",
            hint="the answers are kept in act_executions; fix the prompt or the schema",
        )

    def _picture(self, step: Step, gathered: Gathered) -> ActResult:
        """Have a picture made of the act's own inputs, or without a prompt take the one among them.

        Its bytes are stored when this returns; what later acts see of it is its facts.
        """
        act, known = step.act, self.context.config.models
        if not act_facts.asks(act):
            return self._taken(step, gathered)
        models = self.options.models_for(self.narrative, act, known=known)
        turn = Turn(role="user", pieces=gathered.pieces)
        alone = replace(act, history=False, schema=None)
        asked = self._request(alone, turn, models=models)
        request = replace(asked, max_tokens=None, image=act.image)
        self._refuse_leaks(request, act)
        answer = self.caller.ask(request, models=models, key=self._key(step))
        prompt = "\n\n".join(_shown(piece) for piece in gathered.pieces)
        result = step.result(text=answer.text, prompt=prompt, answer=answer)
        self.inputs.capture(act, value_in(answer.text))
        return result

    def _taken(self, step: Step, gathered: Gathered) -> ActResult:
        """Take over a picture that is there already."""
        part = gathered.pieces[-1].part
        if self.context.is_dry and part.uri:
            return step.result(text=part.uri)
        try:
            picture = read_picture(part.data or b"")
            refuse_blank(picture)
        except BadPicture as error:
            where = f"{self.narrative.name}, act '{step.act.name}'"
            raise ActFailed(error.what, where=where, hint="name another picture") from error
        if not self.context.is_dry:
            media.keep(self.context.conn, picture)
        return step.result(text=picture.facts)

    def _with_pictures(self, output: Output) -> Output:
        """Return an output with the pictures that the file attaches to its rows."""
        act = next(each for each in self.narrative.acts if each.name == output.act)
        made = [
            result
            for name in act.attach or self.narrative.attach
            for result in self.variables.results
            if result.name == name and result.state is ActState.DONE
        ]
        is_dry = self.context.is_dry
        return output if is_dry else replace(output, pictures=tuple(map(_attached, made)))

    def _key(self, step: Step) -> ActKey:
        return ActKey(
            run_id=self.context.run_id,
            item_id=self.resume.item_id,
            place=self.resume.place,
            narrative=self.narrative.name,
            iteration=self.iteration,
            act_name=step.act.name,
            sequence_number=step.sequence,
        )

    def _request(self, act: Act, turn: Turn, *, models: tuple[str, ...]) -> Request:
        narrative = self.narrative
        return Request(
            model=models[0] if models else "",
            messages=messages(self.history if act.history else (), latest=turn),
            system=render_prompt(act.system, scope=self.variables, warn=self.warn),
            temperature=_first(act.temperature, narrative.temperature),
            max_tokens=_first(act.max_tokens, narrative.max_tokens),
            schema=act.schema,
        )

    def _reading(self, step: Step, text: str, *, asked: Request) -> ParsedAnswer | None:
        """The answer as JSON where the act is there to give JSON; None where prose will do.

        Raises:
            InvalidAnswer: JSON is wanted and there is none, or not the one that is wanted.
        """
        if not text.strip():
            raise InvalidAnswer("the answer is empty")
        act = step.act
        stores = act_facts.stores(self.narrative, act, is_last=step.is_last)
        if act.schema is None and not stores:
            return None
        try:
            prompt = "\n".join([asked.system, *(message.text for message in asked.messages)])
            return read_answer(text, schema=act.schema, as_rows=stores, prompt=prompt)
        except InvalidAnswer as unusable:
            if self.context.is_dry:
                return None  # nobody has answered
            if act_facts.insists(self.narrative, act):
                raise
            self.warn(f"act '{act.name}' stores nothing: {unusable.what}")
            return None

    def _take(self, step: Step, result: ActResult, *, reading: ParsedAnswer | None) -> None:
        """Keep what the answer is for: state, and rows."""
        if reading and reading.repaired:
            self.warn(f"act '{step.act.name}': the JSON of an answer had to be repaired")
        if step.act.state_capture and not self.context.is_dry:
            values = [reading.value] if reading else value_in(result.text)
            self.inputs.capture(step.act, values)
        if reading and act_facts.stores(self.narrative, step.act, is_last=step.is_last):
            self._output(step, reading.rows, answer=result.answer)

    def _output(
        self, step: Step, rows: tuple[Mapping[str, Any], ...], *, answer: Answer | None
    ) -> None:
        if not rows:
            self.warn(f"act '{step.act.name}' gave no rows to store")
            return
        output = Output(
            table=answers_table(target=self.narrative.target, narrative=self.narrative.name),
            rows=rows,
            act=step.act.name,
            answer=answer,
            template=self.narrative.template,
        )
        self.outputs.append(output)


def _idle(step: Step, why: str = "the table is empty") -> ActResult:
    return step.result(ActState.IDLE, reason=f"nothing to do: {why}")


def _attached(result: ActResult) -> NewPicture:
    origin: dict[str, Any] = {"act": result.name, "prompt": result.prompt}
    if (answer := result.answer) is not None:
        origin |= {"model": answer.asked or answer.model, "version": answer.model}
        origin |= {"execution_id": answer.execution_id} if answer.execution_id else {}
    return NewPicture(sha256=json.loads(result.text)["sha256"], origin=origin)


def _shown(piece: Piece) -> str:
    return piece.part.text if piece.part.text is not None else f"[{piece.part.mime}]"


def _first(*choices: Any) -> Any:
    return next((choice for choice in choices if choice is not None), None)
