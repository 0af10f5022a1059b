"""What `check` looks at beyond loading: files, addresses, schemas, commands, models, tables ...

Nothing is run or sent. What is certain to end a run is a mistake; what it would go on without is a
warning.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from botticelli.config.keys import NOTHING
from botticelli.config.model import Config, Models
from botticelli.config.operations import Narratives, Security
from botticelli.config.sources import read_text
from botticelli.errors import BotticelliError, ConfigError, Problem
from botticelli.narrative.checks.asks import is_variable, reached
from botticelli.narrative.commands.database import check_update
from botticelli.narrative.files import about
from botticelli.narrative.files.lookup import find_file, folders_of
from botticelli.narrative.files.media import LARGEST, checked_mime, decoded
from botticelli.narrative.files.public_addresses import addresses_of, public_addresses
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
from botticelli.narrative.language.table import Findings
from botticelli.narrative.language.template import meant, placeholders
from botticelli.narrative.run import act_facts
from botticelli.narrative.run.input_reader import EVERY, LARGEST_TEXT
from botticelli.pictures.reading import EXTRA, has_pillow
from botticelli.platforms.discord.commands.table import TABLE
from botticelli.platforms.rules.command_policy import CommandFacts, CommandVerdict, decide
from botticelli.platforms.rules.security_rules import rules_of_narrative, rules_of_user
from botticelli.store.connection import Connection
from botticelli.store.tables.columns import answers_table
from botticelli.text import nearest
from botticelli.toml_lines import Key, key_lines, line_of, parse, spell

# Words that stand for something a person was to fill in: YOUR_GUILD_ID_HERE, <TOKEN>, xxx.
FILLER: Final = re.compile(
    r"<[^\W\d][\w -]*>|\[[A-Z][A-Z _-]+\]|x{3,}|\.{3}|(?:change|replace|fill)[-_ ]?(?:me|this|in)"
    r"|todo|tbd|placeholder|dummy|insert[-_ ].*|your[-_ ].*|.*[-_]here"
    r"|(?:your|my)[-_].*[-_](?:id|token|key|url|secret)"
    r"|\S*[:@/](?:<[^\W\d][\w -]*>|your[-_][^/]*|changeme)(?:[/:@]\S*)?",
    re.IGNORECASE,
)
VARIABLES: Final = (
    *("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "DISCORD_TOKEN", "DISCORD_BOT_TOKEN"),
    *("DISCORD_WEBHOOK", "POSTING_CHANNEL_ID", "DATABASE_URL"),
)
WHAT: Final = "still has to be filled in"
# Finds a file that a narrative names (`files.find_file` with its folders); raises ConfigError.
Search = Callable[[str], Path]
HEAD: Final = 4096  # bytes that show what a file is
# Variables that every run has.
GIVEN: Final = (
    "iteration", "recent_posts", "theme", "today", "upcoming", "house_rules", "best_posts",
    "worst_posts", "experiment", "input", "previous", "prev", "previous_output", "json",
)  # fmt: skip


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
    check_security(file, config.security if config else None, findings=findings)
    check_commands(file, writable=narratives.writable_tables, findings=findings)
    check_placeholders(file, findings=findings)
    if config and not config.models.only:
        check_models(file, config.models, findings=findings)
    return findings


def findings_of(file: NarrativeFile) -> Findings:
    """Return where findings about a file are collected; it knows the file's lines."""
    return Findings(path=file.path, text=file.text)


@contextmanager
def _noted(findings: Findings, key: Key, name: str = "", *, about: str = "") -> Iterator[None]:
    """Note what is wrong at a key of the input that stands at `key`."""
    place = key if not name or key[-1] == name else (*key, name)
    try:
        yield
    except ConfigError as error:
        findings.error(place, about + error.what, hint=error.hint)


def check_files(file: NarrativeFile, search: Search, *, findings: Findings) -> None:
    """Note each file that the acts name and that is not there, or of no use."""
    for key, _, each in file.inputs():
        if isinstance(each, Media) and each.base64:
            with _noted(findings, key, "base64"):
                checked_mime(each, decoded(each.base64), name=each.filename or "")
        elif isinstance(each, Text | Media) and each.file:
            with _noted(findings, key, "file"):
                _check_file(each, search(each.file))


def _check_file(given: Text | Media, path: Path) -> None:
    size = path.stat().st_size
    most = LARGEST_TEXT if isinstance(given, Text) else LARGEST
    if size > most:
        hint = f"at most {most // 2**20} MiB can be sent"
        raise ConfigError(f"'{given.file}' has {size / 2**20:.1f} MiB", hint=hint)
    if isinstance(given, Media):
        with path.open("rb") as stream:
            checked_mime(given, stream.read(HEAD), name=given.file or "")


def check_urls(file: NarrativeFile, *, is_private_allowed: bool, findings: Findings) -> None:
    """Note each URL that is none, or leads to this machine by its very letters."""
    numbers = partial(addresses_of, asks=False)
    for key, _, each in file.inputs():
        if isinstance(each, Media) and each.url:
            with _noted(findings, key, "url"):
                public_addresses(each.url, resolve=numbers, is_private_allowed=is_private_allowed)


def check_queries(file: NarrativeFile, *, findings: Findings) -> None:
    """Note each WHERE and ORDER BY that would be refused when the act runs."""
    from botticelli.store.tables.predicates import parse_order_by, parse_where

    for key, _, each in file.inputs():
        if not isinstance(each, TableRead):
            continue
        filters = (("where", parse_where, each.where), ("order_by", parse_order_by, each.order_by))
        for name, read, text in filters:
            if text and not any(placeholders(text)):
                with _noted(findings, key, name):
                    read(text)


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


def check_security(file: NarrativeFile, security: Security | None, *, findings: Findings) -> None:
    """Note each [security] that would let nothing run, and commands that the rules do not let run.

    Where a command acts is not looked at: that is asked of its platform when it runs. Without the
    user's own `security` no command is.
    """
    user = None
    with suppress(ConfigError):  # reported with the configuration
        user = rules_of_user(security).wherever if security else None
    for narrative in file.narratives.values():
        try:
            own = rules_of_narrative(narrative.security).wherever
        except ConfigError as error:
            findings.error(tuple(error.where.split(".")), error.what, hint=error.hint)
            continue
        if user is None or security is None:
            continue
        for act, given in narrative.inputs():
            if isinstance(given, BotCommand) and (facts := _facts(given)):
                said = decide(facts, user=user, narratives=[own], writes=security.writes)
                _note_verdict(act, given, said, findings=findings)


def _note_verdict(
    act: Act, command: BotCommand, said: CommandVerdict, *, findings: Findings
) -> None:
    if said.word in ("refuse", "ask"):
        is_certain = said.word == "refuse" and command.required
        note = findings.error if is_certain else findings.warn
        how = "" if said.word == "refuse" else " where nobody can be asked"
        what = f"{command.platform}.{command.command} is refused{how}: {said.why}"
        note(act.place, what, hint=said.hint)


def check_commands(file: NarrativeFile, *, writable: Sequence[str], findings: Findings) -> None:
    """Note commands that do not exist, or cannot be run with their arguments.

    Args:
        file: The loaded file.
        writable: Tables that database commands may change.
        findings: Takes what is found.
    """
    for key, _, given in file.inputs():
        if isinstance(given, BotCommand):
            note = findings.error if given.required else findings.warn
            name = f"{given.platform}.{given.command}"
            for path in fillers(given.args):
                note((*key, "args"), f"{name}: {spell(path)} {WHAT}")
            try:
                _check_command(given, writable=writable)
            except BotticelliError as error:
                note(key, f"{name}: {error.what}", hint=error.hint)


def _facts(command: BotCommand) -> CommandFacts | None:
    """Return what the rules are asked about a command; None: nobody knows it."""
    if command.platform == "database":
        return CommandFacts(platform="database", command=command.command, args={}, writes=True)
    if command.platform != "discord" or command.command not in TABLE:
        return None
    writes = TABLE[command.command].writes
    return CommandFacts(platform="discord", command=command.command, args={}, writes=writes)


def check_placeholders(file: NarrativeFile, *, findings: Findings) -> None:
    """Note placeholders that nothing fills in: a command ends with them, a prompt shows them."""
    for narrative in file.narratives.values():
        known = {*narrative.variables, *GIVEN}
        for act, placeholder in act_facts.dangling(narrative, prompts=True):
            name = placeholder.name
            if meant(name, known) or is_variable(placeholder):
                continue
            before = [each.name for each in narrative.acts[: narrative.acts.index(act)]]
            tables = [each for given in act.inputs for each in act_facts.names_of(given)]
            near = nearest(name.partition(".")[0], [*before, *tables, *known])
            what = f"{placeholder.source} is no act before this one, no table and no variable"
            hint = (
                near or f'give it a value: [narrative.context] {name} = "..."; --input goes before'
            )
            findings.error(act.place, what, hint=hint)


def _check_command(command: BotCommand, *, writable: Sequence[str]) -> None:
    args = {  # Ellipsis where a placeholder leaves a value open
        name: value if isinstance(value, Mapping) or not any(placeholders(value)) else ...
        for name, value in command.args.items()
    }
    if command.platform == "discord":
        from botticelli.platforms.discord.commands.request import check_arguments

        check_arguments(command.command, args)
    elif command.platform == "database":
        check_update(command.command, args, writable=writable)


def check_tables(file: NarrativeFile, *, conn: Connection, cwd: Path, findings: Findings) -> None:
    """Note tables and columns that are named and not there, unless the file itself makes them."""
    from botticelli.store.tables.columns import TableError
    from botticelli.store.tables.rows import Query, read_rows

    resolve = partial(resolve_nested, cwd=cwd)
    run = (each for own in file.narratives.values() for _, each in reached(file, own, resolve))
    made = {
        answers_table(target=each.target, narrative=each.name)
        for each in run
        if not each.skip_content_generation
    }
    for key, _, given in file.inputs():
        if isinstance(given, TableRead) and given.table not in made:
            query = Query(
                table=given.table,
                columns=() if given.columns == EVERY else given.columns,
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
    """Note models that nothing leads to, and those that shall draw and do not."""
    from botticelli.models.open import require_drawing, route

    for narrative in file.narratives.values():
        named: list[tuple[Key, tuple[str, ...]]] = [
            (_key_of(file, narrative, "model"), narrative.models)
        ]
        named += [((*act.place, "model"), act.models) for act in narrative.acts]
        drawing = [act.place for act in narrative.acts if act.image is not None]
        if not narrative.models:
            own = [act.place for act in narrative.acts if act.models]
            named += [((*place, "type"), models.image) for place in drawing if place not in own]
        if drawing and not has_pillow():
            what = "Pillow is not installed: a picture that does not fit a platform holds its post"
            findings.warn(drawing[0], what, hint=EXTRA)
        for key, names in named:
            for name in names:
                with _noted(findings, key, about=f"model '{name}': "):
                    route(models.aliases.get(name, name), models)
                    if key[:-1] in drawing:
                        require_drawing(name, models)


def _key_of(file: NarrativeFile, narrative: Narrative, name: str) -> Key:
    is_single = file.default == narrative.key and len(file.narratives) == 1
    return ("narrative", name) if is_single else ("narrative", narrative.key, name)


def missing_words(
    files: Iterable[NarrativeFile], config: Config, *, environ: Mapping[str, str], cwd: Path
) -> Iterator[Problem]:
    """Yield what an ABOUT.md that these narratives read still lacks, each once."""
    for path in dict.fromkeys(_pages(files, config, environ=environ, cwd=cwd)):
        if path.parent == about.SHIPPED.resolve():
            if not config.models.only:
                what = "not there: posts are about no channel in particular"
                yield Problem(where=about.NAME, what=what, hint="write one: botticelli init")
            continue
        try:
            text = read_text(path, str(path))
        except ConfigError as error:
            yield from error.problems
            continue
        if about.advertises(text):
            hint = f"say in {about.NAME} what your channel is about"
            yield Problem(where=str(path), what="is about Botticelli itself", hint=hint)
        elif path.name == about.NAME:
            hint = "write it, or have it drafted: botticelli init --from URL"
            for line, what in about.unfinished(text):
                yield Problem(where=f"{path}:{line}", what=what, hint=hint)


def _pages(
    files: Iterable[NarrativeFile], config: Config, *, environ: Mapping[str, str], cwd: Path
) -> Iterator[Path]:
    for file in files:
        folders = folders_of(file.path, config, environ=environ, cwd=cwd)
        for _, _, given in file.inputs():
            if isinstance(given, Text) and given.file:
                try:
                    yield find_file(given.file, folders=folders)
                except ConfigError:
                    continue  # reported with the narrative


def fillers(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where such a word stands alone in a table, list or text; in prose it is none."""
    if isinstance(value, str) and len(value) < 200 and FILLER.fullmatch(value.strip()):
        yield path
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from fillers(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from fillers(inner, (*path, index))


def fillers_of_project(source: Path | None, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Yield those of a configuration file, and of the variables that keys and ids come from."""
    for name in (name for name in VARIABLES if environ.get(name) and [*fillers(environ[name])]):
        yield Problem(what=WHAT, where=name, hint="set it to the real value")
    if source:
        text = read_text(source, str(source))
        for path in fillers(parse(text, str(source))):
            line = line_of(path, key_lines(text))
            yield Problem(what=WHAT, where=f"{source}:{line}: {spell(path)}")
