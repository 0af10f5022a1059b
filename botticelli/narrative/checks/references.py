"""What `check` looks at beyond loading: files on disk, queries, schemas. Nothing is run or sent."""

import binascii
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from botticelli.config.model import Narratives
from botticelli.errors import ConfigError, Problem
from botticelli.narrative.files.lookup import Folders, find_file
from botticelli.narrative.files.media import LARGEST, mime_of, mismatch
from botticelli.narrative.files.public_addresses import numbers, public_addresses
from botticelli.narrative.language.cycles import check_nested
from botticelli.narrative.language.load import resolve_nested
from botticelli.narrative.language.model import Media, NarrativeFile, Nested, TableRead, Text
from botticelli.narrative.language.problems import Findings
from botticelli.narrative.language.template import placeholders
from botticelli.narrative.run.input_reader import LARGEST_TEXT
from botticelli.toml_lines import Key

# Finds a file that a narrative names (`files.find_file` with its folders); raises ConfigError.
Search = Callable[[str], Path]
HEAD: Final = 4096  # bytes that show what a file is


def problems_of(file: NarrativeFile, *, narratives: Narratives, cwd: Path) -> list[Problem]:
    """Return everything that loading leaves for the run to find.

    Args:
        file: The loaded file.
        narratives: Folders for bare file names, and whether private addresses are allowed.
        cwd: Working directory that nested files may be looked for in.
    """
    folders = Folders(own=file.path.parent, context=narratives.context)
    return [
        *missing_files(file, partial(find_file, folders=folders)),
        *validate_urls(file, is_private_allowed=narratives.private_urls),
        *validate_calls(file, cwd=cwd),
        *validate_queries(file),
        *validate_schemas(file),
        *validate_security(file),
    ]


def missing_files(file: NarrativeFile, search: Search) -> list[Problem]:
    """Return a problem for each file that the acts name and that is not there, or of no use."""
    findings = findings_of(file)
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
    return findings.problems


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


def validate_urls(file: NarrativeFile, *, is_private_allowed: bool = False) -> list[Problem]:
    """Return a problem for each URL that is none, or leads to this machine by its very letters."""
    findings = findings_of(file)
    for key, _, each in file.inputs():
        if isinstance(each, Media) and each.url:
            try:
                public_addresses(each.url, resolve=numbers, is_private_allowed=is_private_allowed)
            except ConfigError as error:
                findings.error(_within(key, "url"), error.what, hint=error.hint)
    return findings.problems


def _within(key: Key, name: str) -> Key:
    return key if key[-1] == name else (*key, name)


def validate_queries(file: NarrativeFile) -> list[Problem]:
    """Return a problem for each WHERE and ORDER BY that would be refused when the act runs."""
    from botticelli.store.tables.predicates import parse_order_by, parse_where

    findings = findings_of(file)
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
    return findings.problems


def validate_calls(file: NarrativeFile, *, cwd: Path) -> list[Problem]:
    """Return a problem for each narrative that runs itself in the end or lacks a nested file."""
    findings, resolve = findings_of(file), partial(resolve_nested, cwd=cwd)
    for key, _, given in file.inputs():
        if isinstance(given, Nested):
            try:
                resolve(file, given)
            except ConfigError as error:
                _take(error, key, file=file, findings=findings)
    if findings.problems:
        return findings.problems  # what cannot be found cannot be followed
    for narrative in file.narratives.values():
        try:
            check_nested(file, narrative, resolve=resolve)
        except ConfigError as error:
            _take(error, (), file=file, findings=findings)
    return findings.problems


def _take(error: ConfigError, key: Key, *, file: NarrativeFile, findings: Findings) -> None:
    """Note an error at its own place, if it names one in another file, or at that key."""
    for problem in error.problems:
        if problem.where != str(file.path):
            findings.problems += [] if problem in findings.problems else [problem]
        else:
            findings.error(key, problem.what, hint=problem.hint)


def validate_schemas(file: NarrativeFile) -> list[Problem]:
    """Return a problem for each act whose `schema` is not a JSON Schema."""
    from jsonschema import Draft202012Validator, SchemaError

    findings = findings_of(file)
    for narrative in file.narratives.values():
        for act in narrative.acts:
            if act.schema is None:
                continue
            try:
                Draft202012Validator.check_schema(act.schema)
            except SchemaError as error:
                what = f"no JSON Schema: {error.message} at {error.json_path}"
                findings.error((*act.place, "schema"), what)
    return findings.problems


def validate_security(file: NarrativeFile) -> list[Problem]:
    """Return a problem for each [security] that cannot be understood: it would let nothing run."""
    from botticelli.platforms.rules.security_rules import rules_of_narrative

    findings = findings_of(file)
    for narrative in file.narratives.values():
        try:
            rules_of_narrative(narrative.security)
        except ConfigError as error:
            findings.error(tuple(error.where.split(".")), error.what, hint=error.hint)
    return findings.problems


def findings_of(file: NarrativeFile) -> Findings:
    """Return where findings about a file are collected; it knows the file's lines."""
    return Findings(path=file.path, text=file.text)
