"""`botticelli rules`: house rules that a model proposed or a person wrote, and who decides."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from botticelli.agreement import rate
from botticelli.cli.shell.command import command, group
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Columns, Lines, Listing, state
from botticelli.errors import UsageError
from botticelli.store.connection import Connection
from botticelli.store.curation import house_rules
from botticelli.store.curation.house_rules import Decision, HouseRule

RuleId = Annotated[int, typer.Argument(metavar="ID", help="The id of the rule.")]
LEAST: Final = 10  # decisions on each side before the effect of a rule is said
STYLES: Final = {"accepted": "green", "proposed": "yellow", "dropped": "dim"}


def _versions(one: Mapping[str, Any]) -> str:
    if one["since"] is None:
        return ""
    return f"{one['since']} on" if one["until"] is None else f"{one['since']} to {one['until'] - 1}"


SHOWN: Final[Columns] = {
    "id>": "id",
    "state": lambda one: state(one["state"], other=STYLES[one["state"]]),
    "holds in": _versions,
    "cases>": lambda one: len(one["cases"]) or "",
    "rule": "text",
    "approved before": lambda one: one["approval_before"].percent if one["approval"] else "",
    "and under it": "effect",
}

rules = group(
    "rules",
    examples="""
    botticelli rules list
    botticelli rules review
    botticelli rules accept 3
    botticelli rules edit 3 "Open with what happened, not with a question."
    botticelli rules add "No exclamation marks."
    """,
)


@command(rules, "list")
def list_rules(conn: Connection, *, everything: bool = False) -> Listing:
    """List the house rules with what they changed.

    Takes:
        everything --all: Include dropped ones.
    """
    return Listing(
        name="rules",
        rows=[_listed(one) for one in house_rules.list_rules(conn, everything=everything)],
        columns=SHOWN,
        empty="there are no house rules; `botticelli learn` proposes some, `rules add` takes yours",
        after="what each rests on: botticelli rules show ID",
        facts={"version": house_rules.current(conn).version},
    )


def _listed(one: HouseRule) -> dict[str, Any]:
    """Return a rule with its effect: the share that people approved of before it and under it.

    With Wilson's interval of 95 %; nothing is said of fewer than 10 decisions on a side.
    """
    fewest = min(one.written, one.written_before)
    before = rate(one.approved_before, one.written_before) if fewest >= LEAST else None
    under = rate(one.approved, one.written) if before else None
    too_few = "" if one.since is None else f"not enough data ({fewest} of {LEAST} decisions)"
    effect = under.percent if under else too_few
    return {**vars(one), "effect": effect, "approval": under, "approval_before": before}


@command(rules)
def show(conn: Connection, rule: RuleId) -> Lines:
    """Show a rule with the words that it rests on."""
    found = {one.id: one for one in house_rules.list_rules(conn, everything=True)}
    if rule not in found:
        raise UsageError(f"there is no rule {rule}", hint="see `botticelli rules`")
    return Lines(text=_words(found[rule]), facts=_listed(found[rule]))


def _words(one: HouseRule) -> list[str]:
    listed = _listed(one)
    by = f"; {one.decided_by} decided {one.decided_at:%Y-%m-%d}" if one.decided_at else ""
    before = listed["approval_before"]
    effect = f"; approved before: {before.percent}, under it" if before else "; its effect"
    return [
        f"rule {one.id}, {one.state}: {one.text}",
        f"by {one.proposed_by}{by}",
        *filter(None, [one.why]),
        *(f"  {each['case']}: '{each['quote']}'" for each in one.cases),
        *(
            []
            if one.since is None
            else [f"in versions {_versions(listed)}{effect}: {listed['effect']}"]
        ),
    ]


@command(rules, decides=True)
def accept(env: Environment, conn: Connection, rule: RuleId) -> Lines:
    """Accept a proposed rule: from now on writer and judge are given it."""
    return _decide(env, conn, rule, "accept")


@command(rules, decides=True)
def edit(env: Environment, conn: Connection, rule: RuleId, text: str) -> Lines:
    """Accept a rule in other words.

    Takes:
        text TEXT: What it says, in one sentence.
    """
    return _decide(env, conn, rule, "edit", text)


@command(rules, decides=True)
def drop(env: Environment, conn: Connection, rule: RuleId) -> Lines:
    """Drop a rule: it does not hold any more, and is not proposed again."""
    return _decide(env, conn, rule, "drop")


@command(rules, decides=True)
def add(env: Environment, conn: Connection, text: str) -> Lines:
    """Add a rule of your own; it holds at once.

    Takes:
        text TEXT: What it says, in one sentence.
    """
    return _decide(env, conn, 0, "edit", text)


@command(rules, json=False, decides=True)
def review(env: Environment, conn: Connection) -> None:
    """Go through the proposed rules: accept, edit, drop or skip each.

    Examples:
        botticelli rules review --by Ada
    """
    if not (env.is_terminal and sys.stdin.isatty()):
        raise UsageError(
            "nobody is there to decide", hint="use `botticelli rules accept ID`, edit or drop"
        )
    waiting = [one for one in house_rules.list_rules(conn) if one.state == "proposed"]
    if not waiting:
        env.say("no rule waits for a decision")
    for one in waiting:
        for line in _words(one):
            env.console.line(line)
        key = typer.prompt("accept, edit, drop, skip or quit? [a/e/d/s/q]", default="s").strip()
        if key[:1] == "q":
            return
        if key[:1] not in ("a", "e", "d"):
            continue
        text = typer.prompt("the rule", default=one.text) if key[:1] == "e" else one.text
        decision: Decision = "drop" if key[:1] == "d" else "accept" if text == one.text else "edit"
        env.show(_decide(env, conn, one.id, decision, text), as_json=False)


def _decide(
    env: Environment, conn: Connection, rule: int, decision: Decision, text: str = ""
) -> Lines:
    id_ = house_rules.decide(conn, rule, decision, by=env.user, text=text)
    holding = house_rules.current(conn)
    words = {"accept": "accepted", "edit": "accepted", "drop": "dropped"}[decision]
    if decision != "drop":
        words += f"; version {holding.version} of the rules holds from the next batch on"
    return Lines(
        text=f"rule {id_} is {words}",
        facts={"rule": id_, "decision": decision, "version": holding.version, "by": env.user},
    )
