"""What `check` looks at beyond loading: files on disk, queries, schemas. Nothing is run or sent."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from botticelli.errors import ConfigError, Problem
from botticelli.narrative.cycles import check_nested
from botticelli.narrative.files import Folders, find_file
from botticelli.narrative.findings import Findings
from botticelli.narrative.lines import Key
from botticelli.narrative.load import resolve_nested
from botticelli.narrative.model import Act, Input, Media, NarrativeFile, TableRead, Text

# Finds a file that a narrative names (`files.find_file` with its folders); raises ConfigError.
Search = Callable[[str], Path]


def problems_of(file: NarrativeFile, *, context: Sequence[Path], cwd: Path) -> list[Problem]:
    """Return everything that loading leaves for the run to find.

    Args:
        file: The loaded file.
        context: Folders for bare file names, as configured.
        cwd: Working directory that nested files may be looked for in.
    """
    folders = Folders(own=file.path.parent, context=tuple(context))
    return [
        *missing_files(file, partial(find_file, folders=folders)),
        *validate_calls(file, cwd=cwd),
        *validate_queries(file),
        *validate_schemas(file),
        *validate_security(file),
    ]


def missing_files(file: NarrativeFile, search: Search) -> list[Problem]:
    """Return a problem for each text or media file that the acts name and that is not there."""
    findings = _findings(file)
    for key, each in _inputs(file):
        if isinstance(each, Text | Media) and each.file:
            try:
                search(each.file)
            except ConfigError as error:
                findings.error(key, error.what, mend=error.mend)
    return findings.problems


def validate_queries(file: NarrativeFile) -> list[Problem]:
    """Return a problem for each WHERE and ORDER BY that would be refused when the act runs."""
    from botticelli.store.predicates import parse_order_by, parse_where

    findings = _findings(file)
    for key, each in _inputs(file):
        if not isinstance(each, TableRead):
            continue
        for parse, text in ((parse_where, each.where), (parse_order_by, each.order_by)):
            try:
                if text and "{{" not in text and "${" not in text:
                    parse(text)
            except ConfigError as error:
                findings.error(key, error.what, mend=error.mend)
    return findings.problems


def validate_calls(file: NarrativeFile, *, cwd: Path) -> list[Problem]:
    """Return a problem for each narrative that runs itself in the end or lacks a nested file."""
    problems: list[Problem] = []
    for narrative in file.narratives.values():
        try:
            check_nested(file, narrative, resolve=partial(resolve_nested, cwd=cwd))
        except ConfigError as error:
            problems += [each for each in error.problems if each not in problems]
    return problems


def validate_schemas(file: NarrativeFile) -> list[Problem]:
    """Return a problem for each act whose `schema` is no JSON Schema."""
    from jsonschema import Draft202012Validator, SchemaError

    findings = _findings(file)
    for act in _acts(file):
        if act.schema is None:
            continue
        try:
            Draft202012Validator.check_schema(act.schema)
        except SchemaError as error:
            what = f"no JSON Schema: {error.message} at {error.json_path}"
            findings.error(("acts", act.name, "schema"), what)
    return findings.problems


def validate_security(file: NarrativeFile) -> list[Problem]:
    """Return a problem for each [security] that cannot be understood: it would let nothing run."""
    from botticelli.platforms.rules import rules_of_narrative

    findings = _findings(file)
    for narrative in file.narratives.values():
        try:
            rules_of_narrative(narrative.security)
        except ConfigError as error:
            findings.error(tuple(error.where.split(".")), error.what, mend=error.mend)
    return findings.problems


def _inputs(file: NarrativeFile) -> Iterator[tuple[Key, Input]]:
    """Yield each input with the best key there is for it."""
    for act in _acts(file):
        for each in act.inputs:
            names = each.names if isinstance(each, TableRead) else ()
            yield ("tables", names[0]) if names else ("acts", act.name), each


def _acts(file: NarrativeFile) -> Iterator[Act]:
    return (act for narrative in file.narratives.values() for act in narrative.acts)


def _findings(file: NarrativeFile) -> Findings:
    try:
        text = file.path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):  # it was read from memory: no lines to tell
        text = ""
    return Findings(path=file.path, text=text)
