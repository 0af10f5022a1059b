"""`botticelli import`."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

from botticelli import files
from botticelli.cli.setup.sample import toml_key, toml_value
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.config.legacy import (
    SETTINGS,
    NarrativeFound,
    convert,
    files_in,
    found_from,
    is_earlier_file,
    nested,
)
from botticelli.errors import BotticelliError, UsageError

JUDGE: Final = "shipped/curate_and_approve"
WRITER: Final = "shipped/generation_carousel.batch_generate"
# Where the earlier system kept narratives that it named by half a path.
FOLDERS: Final = (".", "narratives", "crates/botticelli_narrative/narratives")


@command(name="import", json=False)
def import_earlier(
    env: Environment, paths: list[Path] | None = None, *, to: Path | None = None
) -> None:
    """Convert the earlier system's files to botticelli.toml.

    A folder stands for its actor_server.toml, bot_server.toml and botticelli.toml, a file for
    itself and the botticelli.toml beside it. What became of each key is told on stderr. An earlier
    botticelli.toml that is written over is kept as botticelli.earlier.toml.

    Takes:
        paths [FILE|DIR]...: The earlier project, or files of it.
        to FILE: Write to this file instead of stdout.

    Examples:
        botticelli import --to botticelli.toml
        botticelli import actor_server.toml > new.toml
    """
    target = None if to is None else _writable(env.cwd / to)
    sources = list(_sources([env.cwd / each for each in paths or [Path()]]))
    imported = convert(sources, cwd=env.cwd)
    for fate in imported.fates:
        (env.complain if fate.is_loss else env.say)(fate.line)
    values = dict(imported.values)
    base = target.parent if target else env.cwd
    folders = list(_folders(imported.narratives, base=base, cwd=env.cwd, say=env.complain))
    if folders:
        values["narratives", "folders"] = list(dict.fromkeys(folders))
    _choose_narratives(values, base=base, complain=env.complain)
    text = f"# Made by `botticelli import` from {', '.join(each.name for each in sources)}.\n"
    text += "".join(_tables(nested(values), ()))
    if target is None:
        env.stdout.write(text)
        return
    _keep(target, env.say)
    files.write(target, text.encode())
    env.say(f"{to} written; botticelli check --config {to} lists what is still missing")


def _writable(target: Path) -> Path:
    """Return the file if it may be written: it is new, or the earlier system's."""
    from botticelli.config.sources import is_earlier, read_text

    if not target.parent.is_dir():
        raise UsageError("the folder is not there", where=str(target.parent), hint="create it")
    if os.path.lexists(target) and not is_earlier(read_text(target, str(target))):
        raise UsageError("the file exists already", where=str(target), hint="choose another name")
    return target


def _keep(target: Path, say: Callable[[str], None]) -> None:
    """Keep the earlier system's own file under another name."""
    if target.exists():
        numbers = ("" if number == 1 else f".{number}" for number in count(1))
        names = (target.with_name(f"{target.stem}.earlier{each}.toml") for each in numbers)
        kept = next(each for each in names if not os.path.lexists(each))
        files.write(kept, target.read_bytes())
        say(f"{target.name} of the earlier system is kept as {kept.name}")


def _sources(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that are meant, each once."""
    found: dict[Path, None] = {}
    for path in paths:
        found |= dict.fromkeys(files_in(path) if path.is_dir() else [path])
    if found and not any(path.name in SETTINGS for path in found):
        beside = [folder / name for folder in {p.parent: 0 for p in found} for name in SETTINGS]
        found |= dict.fromkeys(path for path in beside if is_earlier_file(path))
    yield from found


def _folders(
    narratives: Sequence[NarrativeFound], *, base: Path, cwd: Path, say: Callable[[str], None]
) -> Iterator[str]:
    """Yield the folders of the narratives that the stages ran, as `base` sees them."""
    for one in narratives:
        names = [f"{folder}/{one.path}{end}" for folder in FOLDERS for end in ("", ".toml")]
        tried = (found_from(name, one.where.parent, cwd) for name in [one.path, *names])
        if path := next(filter(None, tried), None):
            yield os.path.relpath(path.parent, base)
        else:
            say(f"{one.where.name}: {one.path} is not there; add its folder to narratives.folders")


def _choose_narratives(
    values: dict[tuple[str, ...], Any], *, base: Path, complain: Callable[[str], None]
) -> None:
    """Leave each stage a narrative that works: the shipped one where the earlier cannot."""
    from botticelli.narrative.language.load import find_narrative
    from botticelli.stages.curate.judge import require_scores

    places = [base / each for each in values.get(("narratives", "folders"), ["narratives"])]
    for stage, shipped in (("generate", WRITER), ("curate", JUDGE)):
        ours = (stage, "narrative")
        usual = shipped.removeprefix("shipped/")
        try:
            found = find_narrative(values.get(ours, usual), folders=places, cwd=base)
            if stage == "curate":
                require_scores(*found)
        except BotticelliError as error:
            what = f"{stage}.narrative = {toml_value(values.get(ours, usual))}: not taken"
            complain(f"{what}: {error.what}; {shipped} takes its place")
            values[ours] = shipped


def _tables(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Yield the text of a table and of those in it."""
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if plain and path:
        yield f"\n[{toml_key(path)}]\n"
    yield from (f"{toml_key((key,))} = {toml_value(value)}\n" for key, value in plain.items())
    for key in sorted(table.keys() - plain.keys()):
        yield from _tables(table[key], (*path, key))
