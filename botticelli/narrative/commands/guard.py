"""The commands that narratives reach: every one is judged, written down and only then run.

judged by the user's rules and the narrative's (platforms/rules/command_policy.py)
  -> refused | a person at the terminal is asked | waits in command_approvals | runs
and written into command_audit whatever the word was.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final, Literal

from botticelli.config.model import Security
from botticelli.errors import BotticelliError, ConfigError
from botticelli.narrative.commands import send_once
from botticelli.narrative.commands.audit_text import as_json, result_id_of, storable
from botticelli.narrative.commands.base import CommandCall, CommandExecutor
from botticelli.narrative.commands.executors import Located, PlatformExecutor, Previewing
from botticelli.narrative.errors import CommandFailed, Denied
from botticelli.platforms.base import (
    LockedOut,
    LockedOutMidway,
    NotSent,
    Refused,
    Unconfirmed,
)
from botticelli.platforms.rules import command_policy, security_rules
from botticelli.platforms.rules.security_rules import SecurityRules
from botticelli.records import record
from botticelli.store.commands import approvals, audit, unmarked_sends
from botticelli.store.commands.approvals import Wish
from botticelli.store.connection import Connection
from botticelli.text import exposed

LONGEST_KEPT: Final = 20_000  # characters of one argument in the audit table

Consent = Literal["yes", "no", "always"]
Ask = Callable[[str], Consent]


class Pending(Denied):
    """A person must confirm the command first; it waits in command_approvals."""


@record
class GuardedCommands:
    """See Commands.

    Args:
        conn: For the audit and the approvals; never inside a transaction.
        executors: Platform -> its commands.
        find: Finds the commands of a platform that is not among them (plugins).
        secrets: Texts that no command may carry out.
        ask: Asks the person at the terminal; None: nobody is there.
        allow_writes: The person has said so on the command line; a "deny" stands all the same.
        actor: Whose process this is.
        always: Commands that the person has allowed for the rest of this run; grows.
    """

    conn: Connection
    executors: Mapping[str, CommandExecutor]
    security: Security
    actor: str
    find: Callable[[str], CommandExecutor | None] = lambda _: None
    secrets: Sequence[str] = ()
    ask: Ask | None = None
    allow_writes: bool = False
    always: set[str] = field(default_factory=set)

    def writes(self, platform: str, command: str) -> bool:
        """See Commands."""
        executor = self.executors.get(platform) or self.find(platform)
        return executor is None or executor.writes(command)

    def run(self, call: CommandCall) -> Any:
        """See Commands.

        Raises:
            Denied: The rules do not let it run; Pending: not before a person has confirmed it.
            CommandFailed: It did not succeed, or there is no such command.
            LockedOut: The platform does not accept our credentials: every further call counts.
        """
        executor = self._executor(call)
        if isinstance(executor, Located):
            call = replace(call, command=executor.canonical(call.command))
        errand = send_once.errand_of(self.conn, call)
        if errand is not None and errand.result_id:
            return self._sent_before(call, errand)
        if errand is not None:
            call = replace(call, args=errand.args)  # the message that may be out already
        try:
            if isinstance(executor, PlatformExecutor):
                executor.preview(call)  # what cannot be meant is no matter of rules
            verdict = self._judge(call, executor)
            if verdict.word in ("ask", "confirm") and isinstance(executor, Previewing):
                executor.preview(call)  # and nobody is asked about it
        except BotticelliError as error:
            self._write(call, decision="refused", rule="not understood", reason=str(error))
            raise _failed(error, call) from error
        leave = self._leave(call, verdict)
        return self._carry_out(call, executor, leave, errand)

    def request(self, call: CommandCall) -> Any:
        """Return what a command would send, as far as that can be told. No rules, no network.

        Raises:
            CommandFailed: There is no such command, or its arguments are of no use.
        """
        try:
            return _request_of(call, self._executor(call, is_preview=True))
        except BotticelliError as error:
            raise _failed(error, call) from error

    def preview(self, call: CommandCall) -> tuple[Any, command_policy.CommandVerdict]:
        """Return what a command would send and what the rules say to it. Nothing is changed.

        Raises:
            CommandFailed: There is no such command, or its arguments are of no use.
        """
        executor = self._executor(call, is_preview=True)
        if isinstance(executor, Located):
            call = replace(call, command=executor.canonical(call.command))
        try:
            return _request_of(call, executor), self._judge(call, executor)
        except BotticelliError as error:
            raise _failed(error, call) from error

    def _executor(self, call: CommandCall, *, is_preview: bool = False) -> CommandExecutor:
        executor = self.executors.get(call.platform) or self.find(call.platform)
        if executor is None:
            known = ", ".join(sorted(self.executors)) or "none"
            if not is_preview:
                self._write(call, decision="refused", rule="unknown", reason="no such platform")
            raise CommandFailed(
                f"there are no {call.platform} commands here",
                where=call.name,
                hint=f"platforms that are set up: {known}",
            )
        return executor

    def _judge(self, call: CommandCall, executor: CommandExecutor) -> command_policy.CommandVerdict:
        layers = self._layers(call)
        asked = self._as_asked(call, writes=executor.writes(call.command))
        # What is refused wherever it acts is refused before the platform is asked where that is.
        verdict = self._decide(asked, [layer.wherever for layer in layers])
        if verdict.word == "refuse" or not any(layer.is_about_places for layer in layers):
            return verdict
        if isinstance(executor, Located):
            asked = replace(asked, **vars(executor.place(call.command, call.args)))
        return self._decide(asked, layers)

    def _decide(
        self, asked: command_policy.CommandFacts, layers: Sequence[SecurityRules]
    ) -> command_policy.CommandVerdict:
        mode = self.security.writes
        if self.allow_writes and mode == "ask":
            mode = "allow"
        user, *narratives = layers
        return command_policy.decide(asked, user=user, narratives=narratives, writes=mode)

    def _layers(self, call: CommandCall) -> list[SecurityRules]:
        """The rules that hold for a call: the user's, then the callers', then its own."""
        above = [security_rules.rules_of_narrative(security, name) for name, security in call.above]
        own = security_rules.rules_of_narrative(call.security)
        return [security_rules.rules_of_user(self.security), *above, own]

    def _as_asked(self, call: CommandCall, *, writes: bool) -> command_policy.CommandFacts:
        return command_policy.CommandFacts(
            platform=call.platform,
            command=call.command,
            args=call.args,
            writes=writes,
            secrets=self.secrets,
            older=_older(call),
        )

    # -- what the verdict means -----------------------------------------------------------------

    def _leave(self, call: CommandCall, verdict: command_policy.CommandVerdict) -> "_Leave":
        """Return the leave to run, written into the audit.

        Raises:
            Denied: There is none.
        """
        if verdict.word == "allow":
            return self._begin(call, "allowed", verdict)
        if verdict.word == "refuse":
            raise self._refused(call, verdict)
        wish = self._wish(call)
        given = approvals.use(self.conn, wish) if verdict.word == "confirm" else None
        if given is not None:
            return self._begin(call, "approved", verdict, by=given[1], approval=given[0])
        if verdict.word == "confirm" and (no := approvals.find_denial(self.conn, wish)):
            raise self._refused(call, _denied(no))
        if self.ask is not None:
            return self._asked(call, verdict, self.ask)
        if verdict.word == "confirm":
            raise self._pending(call, wish)
        raise self._refused(call, verdict)

    def _asked(
        self, call: CommandCall, verdict: command_policy.CommandVerdict, ask: Ask
    ) -> "_Leave":
        if call.name not in self.always or verdict.word == "confirm":
            answer = ask(f"{call.name} {_shown(self._whole(call))}: {verdict.why}. Run it?")
            if answer == "no":
                said = replace(verdict, why="whoever was asked said no", hint="")
                raise self._refused(call, said)
            if answer == "always":
                self.always.add(call.name)
        return self._begin(call, "confirmed", verdict)

    def _pending(self, call: CommandCall, wish: Wish) -> Pending:
        number = approvals.request(self.conn, wish)
        self._write(call, decision="pending", rule="require_confirmation", reason=f"#{number}")
        return Pending(
            f"a person must confirm it first (approval {number})",
            where=call.name,
            hint=f"see `botticelli approvals show {number}`, then botticelli approvals approve"
            f" {number} and run this again",
        )

    def _refused(self, call: CommandCall, verdict: command_policy.CommandVerdict) -> Denied:
        self._write(call, decision="refused", rule=verdict.rule, reason=verdict.why)
        return Denied(f"refused: {verdict.why}", where=call.name, hint=verdict.hint)

    def _begin(
        self,
        call: CommandCall,
        decision: audit.Decision,
        verdict: command_policy.CommandVerdict,
        *,
        by: str = "",
        approval: int | None = None,
    ) -> "_Leave":
        bounds = self._bounds(call)
        why = call.about or verdict.why
        entry = self._entry(call, decision=decision, rule=verdict.rule, reason=why)
        entry = replace(entry, actor=by or self.actor)
        written = audit.insert(self.conn, entry, bounds=bounds)
        if isinstance(written, int):
            return _Leave(audit_id=written, approval=approval)
        if approval is not None:
            approvals.give_back(self.conn, approval)
        why = f"it has run {written.most} times within {written.span}, which is the most"
        raise self._refused(
            call, command_policy.CommandVerdict(word="refuse", rule="rate_limits", why=why)
        )

    def _bounds(self, call: CommandCall) -> list[audit.Bound]:
        asked = self._as_asked(call, writes=True)
        user, *narratives = self._layers(call)
        bounds = [audit.Bound(most=rate.most, span=rate.span) for rate in asked.rates(user)]
        names = [*(name for name, _ in call.above), call.narrative]
        for depth, layer in enumerate(narratives):
            # What a narrative has called counts as its own.
            whose = tuple(dict.fromkeys(names[depth:]))
            bounds += [
                audit.Bound(most=rate.most, span=rate.span, narratives=whose)
                for rate in asked.rates(layer)
            ]
        return bounds

    def _sent_before(self, call: CommandCall, errand: unmarked_sends.Errand) -> dict[str, Any]:
        why = f"sent before, for {call.about}"
        self._write(call, decision="refused", rule="done before", reason=why)
        return send_once.told(errand)

    # -- the command itself -----------------------------------------------------------------------

    def _carry_out(
        self,
        call: CommandCall,
        executor: CommandExecutor,
        leave: "_Leave",
        errand: unmarked_sends.Errand | None,
    ) -> Any:
        try:
            if send_once.is_meant(call) and isinstance(executor, PlatformExecutor):
                means = send_once.means(self.conn, leave.audit_id, errand)
                result = executor.run(call, once=means)
            else:
                result = executor.run(call)
        except BotticelliError as error:
            is_open = isinstance(error, Unconfirmed | LockedOutMidway)
            self._end(leave, "unknown" if is_open else "failed", str(error))
            certain = isinstance(error, NotSent | Refused | ConfigError) and not is_open
            if leave.approval is not None and certain:
                approvals.give_back(self.conn, leave.approval)
            raise _failed(error, call) from error
        except BaseException as error:
            self._end(leave, "unknown", type(error).__name__)
            raise
        audit.end(self.conn, leave.audit_id, result_id=result_id_of(result))
        return result

    def _end(self, leave: "_Leave", outcome: audit.Outcome, error: str) -> None:
        audit.end(self.conn, leave.audit_id, outcome=outcome, error=self._clean(error))

    # -- what is written down ---------------------------------------------------------------------

    def _write(
        self, call: CommandCall, *, decision: audit.Decision, rule: str, reason: str
    ) -> None:
        entry = self._entry(call, decision=decision, rule=rule, reason=reason)
        audit.insert(self.conn, entry)

    def _entry(
        self, call: CommandCall, *, decision: audit.Decision, rule: str, reason: str
    ) -> audit.Entry:
        return audit.Entry(
            platform=call.platform,
            command=self._clean(call.command),
            args=self._kept(call),
            narrative=call.narrative,
            act=call.act,
            run_id=call.run_id,
            actor=self.actor,
            decision=decision,
            rule=rule,
            reason=self._clean(reason),
        )

    def _wish(self, call: CommandCall) -> Wish:
        return Wish(
            platform=call.platform,
            command=call.command,
            args=as_json(call.args, lambda text: text),
            narrative=call.narrative,
            act=call.act,
            run_id=call.run_id,
        )

    def _kept(self, call: CommandCall) -> dict[str, Any]:
        kept: dict[str, Any] = as_json(call.args, lambda text: self._clean(text)[:LONGEST_KEPT])
        return kept

    def _whole(self, call: CommandCall) -> dict[str, Any]:
        whole: dict[str, Any] = as_json(call.args, self._clean)
        return whole

    def _clean(self, text: str) -> str:
        for secret in self.secrets:
            if secret:
                text = text.replace(secret, "***")
        return storable(text)


def _request_of(call: CommandCall, executor: CommandExecutor) -> Any:
    """Return what a command would send or change, as far as its executor can tell beforehand."""
    return executor.preview(call) if isinstance(executor, Previewing) else call.args


@record
class _Leave:
    """The leave to run one command."""

    audit_id: int
    approval: int | None = None


def _older(call: CommandCall) -> tuple[str, ...]:
    if call.platform != "discord":
        return ()
    from botticelli.platforms.discord.commands.table import older

    return older(call.command)


def _failed(error: BotticelliError, call: CommandCall) -> BotticelliError:
    """Return a failure as narratives know it; a dead token ends the run, not the act alone."""
    if isinstance(error, CommandFailed | LockedOut):
        return error
    hint = error.hint
    if isinstance(error, Unconfirmed):
        hint = hint or "look whether it was done before anything else"
    where = error.where or call.name
    return CommandFailed(error.what, where=where, hint=hint)


def _shown(args: Mapping[str, Any]) -> str:
    import json

    return exposed(json.dumps(args, ensure_ascii=False))


def _denied(denial: approvals.Approval) -> command_policy.CommandVerdict:
    why = f"{denial.decided_by} denied it (approval {denial.id}"
    why += f": {denial.reason})" if denial.reason else ")"
    hint = f"should that have changed: botticelli approvals approve {denial.id}"
    return command_policy.CommandVerdict(
        word="refuse", rule="denied by a person", why=why, hint=hint
    )
