"""What `check` looks at beyond loading: files, addresses, schemas, commands, models, tables ...

Nothing is run or sent. What is certain to end a run is a mistake; what it would go on without is a
warning.
"""

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from botticelli.config.keys import NOTHING
from botticelli.config.model import Config, Models, Narratives, Security
from botticelli.errors import BotticelliError, ConfigError
from botticelli.narrative.commands.executors import check_update
from botticelli.narrative.files.lookup import find_file, folders_of
from botticelli.narrative.files.media import LARGEST, mime_of, mismatch
from botticelli.narrative.files.public_addresses import numbers, public_addresses
from botticelli.narrative.language.cycles import check_nested
from botticelli.narrative.language.load import resolve_nested
from botticelli.narrative.language.model import (
    Act,
    BotCommand,
    Media,
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
from botticelli.narrative.run.input_reader import LARGEST_TEXT
from botticelli.narrative.run.variables import ENVIRONMENT_NAME
from botticelli.platforms.discord.commands.table import TABLE
from botticelli.platforms.rules.command_policy import CommandFacts, decide
from botticelli.platforms.rules.security_rules import rules_of_narrative, rules_of_user
from botticelli.store.connection import Connection
from botticelli.store.tables.columns import answers_table
from botticelli.text import nearest
from botticelli.toml_lines import Key

# Finds a file that a narrative names (`files.find_file` with its folders); raises ConfigError.
Search = Callable[[str], Path]
HEAD: Final = 4096  # bytes that show what a file is
# Variables that every run has.
GIVEN: Final = ("iteration", "recent_posts", "input", "previous", "prev", "previous_output", "json")


def check_file(
    file: NarrativeFile,
    config: Config | None,
    *,
    cwd: Path,
    environ: Mapping[str, str] = NOTHING,
) -> Findings:
    """Return everything that loading leaves for the run to find.

    Args:
        file: The loaded file.
        config: None to leave out what depends on it: models and permissions.
        cwd: Working directory that nested files may be looked for in.
        environ: May name a folder with files for narratives.
    """
    narratives, findings = config.narratives if config else Narratives(), findings_of(file)
    folders = folders_of(file.path, config, environ=environ, cwd=cwd)
    check_files(file, partial(find_file, folders=folders), findings=findings)
    check_urls(file, is_private_allowed=narratives.private_urls, findings=findings)
    check_calls(file, cwd=cwd, findings=findings)
    check_queries(file, findings=findings)
    check_schemas(file, findings=findings)
    check_security(file, findings=findings)
    check_commands(file, writable=narratives.writable_tables, findings=findings)
    check_placeholders(file, findings=findings)
    if config:
        check_permissions(file, config.security, findings=findings)
    if config and not config.models.only:
        check_models(file, config.models, findings=findings)
    return findings


def findings_of(file: NarrativeFile) -> Findings:
    """Return where findings about a file are collected; it knows the file's lines."""
    return Findings(path=file.path, text=file.text)


def check_files(file: NarrativeFile, search: Search, *, findings: Findings) -> None:
    """Note each file that the acts name and that is not there, or of no use."""
    for key, _, each in file.inputs():
        name = "base64" if isinstance(each, Media) and each.base64 else "file"
        try:
            if isinstance(each, Media) and each.base64:
                _check_content(each, b64decode(each.base64, validate=True), name="the base64")
            elif isinstance(each, Text | Media) and each.file:
                _check_file(each, search(each.file))
        except ConfigError as error:
            findings.error(_within(key, name), error.what, hint=error.hint)
        except binascii.Error:
            findings.error(_within(key, name), "is no base64", hint="encode it anew")


def _check_file(given: Text | Media, path: Path) -> None:
    size = path.stat().st_size
    most = LARGEST_TEXT if isinstance(given, Text) else LARGEST
    if size > most:
        hint = f"at most {most // 2**20} MiB can be sent"
        raise ConfigError(f"'{given.file}' has {size / 2**20:.1f} MiB", hint=hint)
    if isinstance(given, Media):
        with path.open("rb") as stream:
            _check_content(given, stream.read(HEAD), name=f"'{given.file}'")


def _check_content(given: Media, head: bytes, *, name: str) -> None:
    mime = given.mime or mime_of(given.kind, given.file or "", content=head)
    if not mime:
        raise ConfigError(f"nobody knows what {name} is", hint='add mime = "type/subtype"')
    if wrong := mismatch(given.kind, mime, content=head):
        raise ConfigError(f"{name} {wrong}", hint="name the right file, type and mime")


def check_urls(file: NarrativeFile, *, is_private_allowed: bool, findings: Findings) -> None:
    """Note each URL that is none, or leads to this machine by its very letters."""
    for key, _, each in file.inputs():
        if isinstance(each, Media) and each.url:
            try:
                public_addresses(each.url, resolve=numbers, is_private_allowed=is_private_allowed)
            except ConfigError as error:
                findings.error(_within(key, "url"), error.what, hint=error.hint)


def _within(key: Key, name: str) -> Key:
    return key if key[-1] == name else (*key, name)


def check_queries(file: NarrativeFile, *, findings: Findings) -> None:
    """Note each WHERE and ORDER BY that would be refused when the act runs."""
    from botticelli.store.tables.predicates import parse_order_by, parse_where

    for key, _, each in file.inputs():
        if not isinstance(each, TableRead):
            continue
        filters = (("where", parse_where, each.where), ("order_by", parse_order_by, each.order_by))
        for name, parse, text in filters:
            try:
                if text and not any(placeholders(text)):
                    parse(text)
            except ConfigError as error:
                findings.error(_within(key, name), error.what, hint=error.hint)


def check_calls(file: NarrativeFile, *, cwd: Path, findings: Findings) -> None:
    """Note each narrative that runs itself in the end or lacks a nested file."""
    resolve, known = partial(resolve_nested, cwd=cwd), len(findings.problems)
    for key, _, given in file.inputs():
        if isinstance(given, Nested):
            try:
                resolve(file, given)
            except ConfigError as error:
                _take(error, key, file=file, findings=findings)
    if len(findings.problems) > known:
        return  # what cannot be found cannot be followed
    for narrative in file.narratives.values():
        try:
            check_nested(file, narrative, resolve=resolve)
        except ConfigError as error:
            _take(error, (), file=file, findings=findings)


def _take(error: ConfigError, key: Key, *, file: NarrativeFile, findings: Findings) -> None:
    """Note an error at its own place, if it names one in another file, or at that key."""
    for problem in error.problems:
        if problem.where != str(file.path):
            findings.problems += [] if problem in findings.problems else [problem]
        else:
            findings.error(key, problem.what, hint=problem.hint)


def check_schemas(file: NarrativeFile, *, findings: Findings) -> None:
    """Note each act whose `schema` is not a JSON Schema."""
    from jsonschema import Draft202012Validator, SchemaError

    for narrative in file.narratives.values():
        for act in narrative.acts:
            if act.schema is None:
                continue
            try:
                Draft202012Validator.check_schema(act.schema)
            except SchemaError as error:
                what = f"no JSON Schema: {error.message} at {error.json_path}"
                findings.error((*act.place, "schema"), what)


def check_security(file: NarrativeFile, *, findings: Findings) -> None:
    """Note each [security] that cannot be understood: it would let nothing run."""
    from botticelli.platforms.rules.security_rules import rules_of_narrative

    for narrative in file.narratives.values():
        try:
            rules_of_narrative(narrative.security)
        except ConfigError as error:
            findings.error(tuple(error.where.split(".")), error.what, hint=error.hint)


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
