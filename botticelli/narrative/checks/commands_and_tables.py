"""Check a file's commands, tables, models and placeholders before anything runs.

What is certain to end a run is a mistake; what the run would go on without is a warning.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from botticelli.config.model import Models, Security
from botticelli.errors import BotticelliError, ConfigError
from botticelli.narrative.commands.executors import check_update
from botticelli.narrative.language.load import resolve_nested
from botticelli.narrative.language.model import (
    Act,
    BotCommand,
    Narrative,
    NarrativeFile,
    Nested,
    TableRead,
    Text,
)
from botticelli.narrative.language.problems import Findings
from botticelli.narrative.language.template import Placeholder, placeholders
from botticelli.narrative.language.template import names as names_in
from botticelli.narrative.run import act_facts
from botticelli.narrative.run.variables import ENVIRONMENT_NAME
from botticelli.platforms.discord.commands.table import TABLE
from botticelli.platforms.rules.command_policy import CommandFacts, decide
from botticelli.platforms.rules.security_rules import rules_of_narrative, rules_of_user
from botticelli.store.connection import Connection
from botticelli.store.tables.columns import answers_table
from botticelli.text import nearest
from botticelli.toml_lines import Key

# Variables that every run has.
GIVEN: Final = ("iteration", "recent_posts", "input", "previous", "prev", "previous_output", "json")


def check_commands(file: NarrativeFile, *, writable: Sequence[str], findings: Findings) -> None:
    """Note commands that do not exist, or cannot be run with their arguments.

    Args:
        file: The loaded file.
        writable: Tables that database commands may change.
        findings: Takes what is found.
    """
    for key, _, given in file.inputs():
        if isinstance(given, BotCommand):
            try:
                _check_command(given, writable=writable)
            except BotticelliError as error:
                note = findings.error if given.required else findings.warn
                what = f"{given.platform}.{given.command}: {error.what}"
                note(key, what, hint=error.hint)


def check_permissions(file: NarrativeFile, security: Security, *, findings: Findings) -> None:
    """Note commands that the rules refuse, or that lack permission.

    Where a command acts is not looked at: that is asked of its platform when it runs.
    """
    try:
        user = rules_of_user(security).wherever
    except ConfigError:
        return  # reported with the configuration
    for narrative in file.narratives.values():
        try:
            own = rules_of_narrative(narrative.security).wherever
        except ConfigError:
            continue  # reported by validate_security
        for act in narrative.acts:
            for given in act.inputs:
                if not isinstance(given, BotCommand) or (facts := _facts(given)) is None:
                    continue
                said = decide(facts, user=user, narratives=[own], writes=security.writes)
                if said.word in ("refuse", "ask"):
                    is_certain = said.word == "refuse" and given.required
                    note = findings.error if is_certain else findings.warn
                    how = "" if said.word == "refuse" else " where nobody can be asked"
                    what = f"{facts.name} is refused{how}: {said.why}"
                    note(act.place, what, hint=said.hint)


def _facts(command: BotCommand) -> CommandFacts | None:
    """Return what the rules are asked about a command; None: nobody knows it."""
    if command.platform == "database":
        return CommandFacts(platform="database", command=command.command, args={}, writes=True)
    if command.platform != "discord" or command.command not in TABLE:
        return None
    writes = TABLE[command.command].writes
    return CommandFacts(platform="discord", command=command.command, args={}, writes=writes)


def check_placeholders(file: NarrativeFile, *, findings: Findings) -> None:
    """Note placeholders of commands that nothing fills in, and of prompts that look like a slip."""
    for narrative in file.narratives.values():
        known = {*narrative.variables, *GIVEN}
        for act, placeholder in act_facts.dangling(narrative):
            if placeholder.name in known or _is_variable(placeholder):
                continue
            head = placeholder.name.partition(".")[0]
            before = [each.name for each in narrative.acts[: narrative.acts.index(act)]]
            hint = nearest(head, before) or f"give --input {head}=..."
            what = f"{placeholder.source} is no act before this one, no table and no variable"
            findings.warn(act.place, what, hint=hint)
        for act, name, near in _slips(narrative, known):
            what = f"{{{{{name}}}}} is neither an act nor a table: it stays as it is"
            findings.warn(act.place, what, hint=near)


def _is_variable(placeholder: Placeholder) -> bool:
    name, is_dollar = placeholder.name, placeholder.style == "dollar"
    return name.startswith("env:") or bool(is_dollar and ENVIRONMENT_NAME.fullmatch(name))


def _slips(narrative: Narrative, known: set[str]) -> Iterator[tuple[Act, str, str]]:
    """Yield names in prompts that are nearly, but not quite, those of acts or tables."""
    meant = known | set(_meant(narrative))
    for act in narrative.acts:
        texts = [given.content or "" for given in act.inputs if isinstance(given, Text)]
        for name in names_in(texts):
            head = name.partition(".")[0].partition("[")[0]
            is_known = ":" in head or any(
                each == head or each.endswith(f"_{head}") for each in meant
            )
            if not is_known and (near := nearest(head, meant)):
                yield act, name, near


def _meant(narrative: Narrative) -> Iterator[str]:
    """Yield every name that a prompt of the narrative may put in."""
    for act in narrative.acts:
        yield act.name
        for given in act.inputs:
            if isinstance(given, TableRead):
                yield from (given.table, *given.names)
            elif isinstance(given, Nested):
                yield given.name


def _check_command(command: BotCommand, *, writable: Sequence[str]) -> None:
    args = {name: _open_or(value) for name, value in command.args.items()}
    if command.platform == "discord":
        from botticelli.platforms.discord.commands.request import check_arguments

        check_arguments(command.command, args)
    elif command.platform == "database":
        check_update(command.command, args, writable=writable)


def _open_or(value: Any) -> Any:
    """Return the value, or Ellipsis where a placeholder leaves it open."""
    return value if isinstance(value, Mapping) or not any(placeholders(value)) else ...


def check_tables(file: NarrativeFile, *, conn: Connection, cwd: Path, findings: Findings) -> None:
    """Note tables and columns that are named and not there, unless the file itself makes them."""
    from botticelli.store.tables.columns import TableError
    from botticelli.store.tables.rows import Query, read_rows

    made = set(_made_by(file, cwd=cwd))
    for key, _, given in file.inputs():
        if isinstance(given, TableRead) and given.table not in made:
            query = Query(
                table=given.table,
                columns=given.columns,
                where="" if any(placeholders(given.where)) else given.where,
                order_by=given.order_by,
                limit=0,
            )
            try:
                read_rows(conn, query)
            except TableError as error:
                if given.required:
                    findings.error(key, error.what, hint=error.hint)
                else:
                    findings.warn(key, f"{error.what}: the act goes without", hint=error.hint)
            except ConfigError:
                pass  # the filter itself is wrong, which is reported without a database
    _check_templates(file, conn=conn, findings=findings)


def _check_templates(file: NarrativeFile, *, conn: Connection, findings: Findings) -> None:
    from botticelli.store.tables.columns import columns_of

    for narrative in file.narratives.values():
        if narrative.template and not columns_of(conn, narrative.template):
            findings.warn(
                _key_of(file, narrative, "template"),
                f"there is no table '{narrative.template}'",
                hint="make it, or say in the prompts which fields the JSON shall have",
            )


def check_models(file: NarrativeFile, models: Models, *, findings: Findings) -> None:
    """Note models that nothing leads to, wherever the file names them."""
    from botticelli.models.open import route

    for narrative in file.narratives.values():
        named: list[tuple[Key, tuple[str, ...]]] = [
            (_key_of(file, narrative, "model"), narrative.models)
        ]
        named += [((*act.place, "model"), act.models) for act in narrative.acts]
        for key, names in named:
            for name in names:
                try:
                    route(models.aliases.get(name, name), models)
                except ConfigError as error:
                    findings.error(key, f"model '{name}': {error.what}", hint=error.hint)


def _key_of(file: NarrativeFile, narrative: Narrative, name: str) -> Key:
    is_single = file.default == narrative.key and len(file.narratives) == 1
    return ("narrative", name) if is_single else ("narrative", narrative.key, name)


def _made_by(file: NarrativeFile, *, cwd: Path) -> Iterator[str]:
    """Yield the tables that the file's narratives store in, and those that they run."""
    waiting, seen = [(file, each) for each in file.narratives.values()], set[str]()
    resolve = partial(resolve_nested, cwd=cwd)
    while waiting:
        holder, narrative = waiting.pop()
        place = f"{holder.path}:{narrative.key}"
        if place in seen:
            continue
        seen.add(place)
        if not narrative.skip_content_generation:
            yield answers_table(target=narrative.target, narrative=narrative.name)
        for act in narrative.acts:
            for nested in (each for each in act.inputs if isinstance(each, Nested)):
                with suppress(ConfigError):  # reported by the check of nested files
                    waiting.append(resolve(holder, nested))
