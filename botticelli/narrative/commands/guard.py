"""The commands that narratives reach: every one is judged, recorded and only then run.

judged by the user's rules and the narrative's (platforms/rules/command_policy.py)
  -> refused | a person at the terminal is asked | waits in command_approvals | runs
and recorded in command_audit whatever was decided.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final, Literal

from botticelli.config.operations import Security
from botticelli.errors import BotticelliError, ConfigError
from botticelli.narrative.commands.base import CommandCall
from botticelli.narrative.commands.database import DatabaseCommands
from botticelli.narrative.errors import CommandFailed, Denied
from botticelli.platforms.base import LockedOut, LockedOutMidway, NotSent, Refused, Unconfirmed
from botticelli.platforms.command_set import CommandSet, Once, OnceOnly
from botticelli.platforms.rules.command_policy import CommandFacts, CommandVerdict, decide
from botticelli.platforms.rules.security_rules import (
    SecurityRules,
    rules_of_narrative,
    rules_of_user,
)
from botticelli.records import record
from botticelli.store.commands import approvals, audit, unmarked_sends
from botticelli.store.commands.approvals import CommandRequest
from botticelli.store.commands.unmarked_sends import UnmarkedSend
from botticelli.store.connection import Connection
from botticelli.store.session import lend
from botticelli.text import exposed, mapped, storable

LONGEST_KEPT: Final = 20_000  # characters of one argument in the audit table
# Keys of results under which the audit table finds what was made or changed.
RESULT_IDS: Final = ("id", "message_id", "thread_id", "code", "user_id", "role_id", "channel_id")
RECOGNIZED: Final = ("discord.messages.send",)  # what can be found again once it is out

Consent = Literal["yes", "no", "always"]
Ask = Callable[[str], Consent]


class Pending(Denied):
    """A person must confirm the command first; it waits in command_approvals."""


@record
class GuardedCommands:
    """See Commands.

    Args:
        conn: For the audit and the approvals; never inside a transaction.
        platforms: Platform -> its commands.
        find: Finds the commands of a platform that is not among them (plugins).
        secrets: Texts that no command may carry out.
        ask: Asks the person at the terminal; None if nobody is there.
        allow_writes: The person has said so on the command line; a "deny" stands all the same.
        actor: Who runs this process.
        always: Commands that the person has allowed for the rest of this run; grows.
    """

    conn: Connection
    platforms: Mapping[str, CommandSet]
    security: Security
    actor: str
    find: Callable[[str], CommandSet | None] = lambda _: None
    secrets: Sequence[str] = ()
    ask: Ask | None = None
    allow_writes: bool = False
    always: set[str] = field(default_factory=set)

    def writes(self, platform: str, command: str) -> bool:
        """See Commands."""
        commands = self.platforms.get(platform) or self.find(platform)
        return commands is None or _writes(commands, command)

    def run(self, call: CommandCall) -> Any:
        """See Commands.

        Raises:
            Denied: The rules do not let it run; Pending: not before a person has confirmed it.
            CommandFailed: It did not succeed, or there is no such command.
            LockedOut: The platform does not accept our credentials: every further call counts.
        """
        try:
            commands = self._commands(call)
        except CommandFailed:
            self._record(call, "refused", rule="unknown", reason="no such platform")
            raise
        call = replace(call, command=commands.canonical(call.command))
        earlier = self._earlier(call)
        if earlier is not None and earlier.result_id:
            reason = unmarked_sends.BEFORE + call.about
            self._record(call, "refused", rule="done before", reason=reason)
            # As the result of the message that is out, for the acts that mark its rows.
            ids = {"id": earlier.result_id, "message_id": earlier.result_id, "existed": True}
            return {**ids, **{key: earlier.args.get(key) for key in ("channel_id", "content")}}
        if earlier is not None:
            call = replace(call, args=earlier.args)  # the message that may be out already
        try:
            if call.platform != "database":  # statements are checked where they run
                commands.preview(call.command, call.args)  # an invalid one is no matter of rules
            verdict = self._judge(call, commands)
            if verdict.word in ("ask", "confirm"):
                commands.preview(call.command, call.args)  # nor is a person asked about one
        except BotticelliError as error:
            self._record(call, "refused", rule="not understood", reason=str(error))
            raise _failed(error, call) from error
        return self._carry_out(call, commands, self._permission(call, verdict), earlier)

    def _earlier(self, call: CommandCall) -> UnmarkedSend | None:
        """Return what an earlier run has sent, or may have: for these rows, or before a wish."""
        if _marks_rows(call):
            return unmarked_sends.find(self.conn, call.identity, about=call.about)
        if call.run_id is None or call.name not in RECOGNIZED:
            return None
        entry = self._entry(call, "refused", rule="", reason="")
        return unmarked_sends.find_before_a_wish(self.conn, entry)

    def request(self, call: CommandCall) -> Any:
        """Return what a command would send, as far as it is known. No rules, no network.

        Raises:
            CommandFailed: There is no such command, or its arguments are invalid.
        """
        try:
            return self._commands(call).preview(call.command, call.args)
        except BotticelliError as error:
            raise _failed(error, call) from error

    def preview(self, call: CommandCall) -> tuple[Any, CommandVerdict]:
        """Return what a command would send and what the rules decide. Nothing is changed.

        Raises:
            CommandFailed: There is no such command, or its arguments are invalid.
        """
        commands = self._commands(call)
        call = replace(call, command=commands.canonical(call.command))
        try:
            return commands.preview(call.command, call.args), self._judge(call, commands)
        except BotticelliError as error:
            raise _failed(error, call) from error

    def _commands(self, call: CommandCall) -> CommandSet:
        commands = self.platforms.get(call.platform) or self.find(call.platform)
        if commands is None:
            known = ", ".join(sorted(self.platforms)) or "none"
            raise CommandFailed(
                f"there are no {call.platform} commands here",
                where=call.name,
                hint=f"platforms that are set up: {known}",
            )
        return commands.of(call) if isinstance(commands, DatabaseCommands) else commands

    # -- the rules --------------------------------------------------------------------------------

    def _judge(self, call: CommandCall, commands: CommandSet) -> CommandVerdict:
        layers = self._layers(call)
        facts = self._facts(call, writes=_writes(commands, call.command))
        # What is refused wherever it acts is refused before the platform is asked where that is.
        verdict = self._decide(facts, [layer.wherever for layer in layers])
        if verdict.word == "refuse" or not any(layer.is_about_places for layer in layers):
            return verdict
        return self._decide(replace(facts, place=commands.place(call.command, call.args)), layers)

    def _decide(self, facts: CommandFacts, layers: Sequence[SecurityRules]) -> CommandVerdict:
        mode = self.security.writes
        if self.allow_writes and mode == "ask":
            mode = "allow"
        user, *narratives = layers
        return decide(facts, user=user, narratives=narratives, writes=mode)

    def _layers(self, call: CommandCall) -> list[SecurityRules]:
        """The rules that hold for a call: the user's, then the callers', then its own."""
        above = [rules_of_narrative(security, name) for name, security in call.above]
        return [rules_of_user(self.security), *above, rules_of_narrative(call.security)]

    def _facts(self, call: CommandCall, *, writes: bool) -> CommandFacts:
        return CommandFacts(
            platform=call.platform,
            command=call.command,
            args=call.args,
            writes=writes,
            secrets=self.secrets,
        )

    def _bounds(self, call: CommandCall) -> list[audit.Bound]:
        """Return how often the command may run, by every layer; what a narrative calls counts."""
        facts = self._facts(call, writes=True)
        names = [*(name for name, _ in call.above), call.narrative]
        whose = [None, *(tuple(dict.fromkeys(names[depth:])) for depth in range(len(names)))]
        return [
            audit.Bound(most=rate.most, span=rate.span, narratives=narratives)
            for layer, narratives in zip(self._layers(call), whose, strict=True)
            for rate in facts.rates(layer)
        ]

    # -- permission -------------------------------------------------------------------------------

    def _permission(self, call: CommandCall, verdict: CommandVerdict) -> "_Permission":
        """Return the permission to run, recorded in the audit.

        Raises:
            Denied: There is none.
        """
        if verdict.word == "allow":
            return self._begin(call, "allowed", verdict)
        if verdict.word == "confirm":
            request = self._request(call)
            if given := approvals.use(self.conn, request):
                approval, by = given
                return self._begin(call, "approved", verdict, by=by, approval=approval)
            if denial := approvals.find_denial(self.conn, request):
                raise self._refused(call, _denied(denial))
            if self.ask is None:
                raise self._pending(call, request)
        if verdict.word == "refuse" or self.ask is None:
            raise self._refused(call, verdict)
        self._ask_person(call, verdict, self.ask)
        return self._begin(call, "confirmed", verdict)

    def _ask_person(self, call: CommandCall, verdict: CommandVerdict, ask: Ask) -> None:
        if call.name in self.always and verdict.word != "confirm":
            return
        args = exposed(json.dumps(_as_json(call.args, self._clean), ensure_ascii=False))
        answer = ask(f"{call.name} {args}: {verdict.why}. Run it?")
        if answer == "no":
            why = "the person at the terminal said no"
            raise self._refused(call, replace(verdict, why=why, hint=""))
        if answer == "always":
            self.always.add(call.name)

    def _pending(self, call: CommandCall, request: CommandRequest) -> Pending:
        number = approvals.request(self.conn, request)
        self._record(call, "pending", rule="require_confirmation", reason=f"#{number}")
        return Pending(
            f"a person must confirm it first (approval {number})",
            where=call.name,
            hint=f"see `botticelli approvals show {number}`, then botticelli approvals approve"
            f" {number} and run this again",
        )

    def _refused(self, call: CommandCall, verdict: CommandVerdict) -> Denied:
        self._record(call, "refused", rule=verdict.rule, reason=verdict.why)
        return Denied(f"refused: {verdict.why}", where=call.name, hint=verdict.hint)

    def _begin(
        self,
        call: CommandCall,
        decision: audit.Decision,
        verdict: CommandVerdict,
        *,
        by: str = "",
        approval: int | None = None,
    ) -> "_Permission":
        entry = self._entry(call, decision, rule=verdict.rule, reason=call.about or verdict.why)
        entry = replace(entry, actor=by or self.actor)
        written = audit.insert(self.conn, entry, bounds=self._bounds(call))
        if isinstance(written, int):
            return _Permission(audit_id=written, approval=approval)
        if approval is not None:
            approvals.give_back(self.conn, approval)
        why = f"it has run {written.most} times within {written.span}, which is the most"
        raise self._refused(call, CommandVerdict(word="refuse", rule="rate_limits", why=why))

    # -- the command itself -----------------------------------------------------------------------

    def _carry_out(
        self,
        call: CommandCall,
        commands: CommandSet,
        permission: "_Permission",
        earlier: UnmarkedSend | None,
    ) -> Any:
        lend(self.conn)
        try:
            if _marks_rows(call) and isinstance(commands, OnceOnly):
                once = self._once(permission, earlier)
                result = commands.run_once(call.command, call.args, once=once)
            else:
                result = commands.run(call.command, call.args)
        except BotticelliError as error:
            is_open = isinstance(error, Unconfirmed | LockedOutMidway)
            self._end(permission, "unknown" if is_open else "failed", str(error))
            is_certain = isinstance(error, NotSent | Refused | ConfigError) and not is_open
            if permission.approval is not None and is_certain:
                approvals.give_back(self.conn, permission.approval)
            raise _failed(error, call) from error
        except BaseException as error:
            self._end(permission, "unknown", type(error).__name__)
            raise
        audit.end(self.conn, permission.audit_id, result_id=_result_ids(result))
        return result

    def _end(self, permission: "_Permission", outcome: audit.Outcome, error: str) -> None:
        audit.end(self.conn, permission.audit_id, outcome=outcome, error=self._clean(error))

    # -- messages for rows that a narrative marks afterwards are sent once, whatever dies ---------

    def _once(self, permission: "_Permission", earlier: UnmarkedSend | None) -> Once:
        """Return what keeps this attempt from sending a second message."""
        if earlier is None:
            return Once(key=unmarked_sends.get(self.conn, permission.audit_id).key)
        known = unmarked_sends.sent_since(self.conn, "discord", earlier.at)
        return Once(key=earlier.key, since=earlier.at, known=known)

    # -- what is recorded -------------------------------------------------------------------------

    def _record(
        self, call: CommandCall, decision: audit.Decision, *, rule: str, reason: str
    ) -> None:
        audit.insert(self.conn, self._entry(call, decision, rule=rule, reason=reason))

    def _entry(
        self, call: CommandCall, decision: audit.Decision, *, rule: str, reason: str
    ) -> audit.AuditEntry:
        return audit.AuditEntry(
            **call.identity | {"command": self._clean(call.command)},
            args=_as_json(call.args, lambda text: self._clean(text)[:LONGEST_KEPT]),
            actor=self.actor,
            decision=decision,
            rule=rule,
            reason=self._clean(reason),
        )

    def _request(self, call: CommandCall) -> CommandRequest:
        return CommandRequest(**call.identity, args=_as_json(call.args, lambda text: text))

    def _clean(self, text: str) -> str:
        for secret in filter(None, self.secrets):
            text = text.replace(secret, "***")
        return storable(text)


def _writes(commands: CommandSet, command: str) -> bool:
    """Return whether a command changes anything; an unknown one counts as changing."""
    name = commands.canonical(command)
    return not any(one.name == name and not one.writes for one in commands.describe())


@record
class _Permission:
    """To run one command, once."""

    audit_id: int
    approval: int | None = None


def _failed(error: BotticelliError, call: CommandCall) -> BotticelliError:
    """Return a failure as narratives know it; a dead token ends the run, not the act alone."""
    if isinstance(error, CommandFailed | LockedOut):
        return error
    hint = error.hint
    if isinstance(error, Unconfirmed):
        hint = hint or "look whether it was done before anything else"
    return CommandFailed(error.what, where=error.where or call.name, hint=hint)


def _denied(denial: approvals.Approval) -> CommandVerdict:
    reason = f": {denial.reason}" if denial.reason else ""
    return CommandVerdict(
        word="refuse",
        rule="denied by a person",
        why=f"{denial.decided_by} denied it (approval {denial.id}{reason})",
        hint=f"should that have changed: botticelli approvals approve {denial.id}",
    )


def _marks_rows(call: CommandCall) -> bool:
    """Whether a call sends something for rows that its narrative will mark."""
    return bool(call.about) and call.name in RECOGNIZED


def _result_ids(result: Any) -> str | None:
    """Return the ids of what a command made or changed, as a line, or None if it names none."""
    if not isinstance(result, Mapping):
        return None
    ids = result.get("ids")
    if isinstance(ids, list):
        return ",".join(map(str, ids[:20])) or None
    return next((str(result[key]) for key in RESULT_IDS if result.get(key)), None)


def _as_json(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value as JSON can hold it, with every text changed."""
    plain = (bool, int, type(None))
    return mapped(value, lambda one: one if isinstance(one, plain) else storable(change(str(one))))
