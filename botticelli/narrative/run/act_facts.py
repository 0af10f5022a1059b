"""What can be said of an act before it runs: whether it asks, writes, stores, is sent out."""

from collections.abc import Iterator
from typing import Final

from botticelli.narrative.commands.base import Commands
from botticelli.narrative.language.model import (
    Act,
    BotCommand,
    Input,
    Narrative,
    Nested,
    TableRead,
    Text,
)
from botticelli.narrative.language.template import Placeholder, meant, placeholders

# Fields of a command's result that are remembered in the state (docs/dialect.md §14).
REMEMBERED: Final = (
    "id", "channel_id", "message_id", "role_id", "user_id", "guild_id", "emoji_id", "webhook_id",
    "integration_id", "invite_code", "thread_id", "event_id", "sticker_id",
)  # fmt: skip
# The answer of the act before.
LATEST: Final = ("previous", "prev", "previous_output", "json")


def asks(act: Act) -> bool:
    """Whether the act has a prompt of its own; else it only acts, and no model is called."""
    return any(
        isinstance(given, Text) and (given.file is not None or (given.content or "").strip())
        for given in act.inputs
    )


def writes(act: Act, commands: Commands) -> bool:
    """Whether one of the act's commands changes anything."""
    return any(commands.writes(given.platform, given.command) for given in _commands(act))


def stores(narrative: Narrative, act: Act, *, is_last: bool) -> bool:
    """Whether the act's JSON is stored: all in template mode, else the last.

    docs/dialect.md §16.18.
    """
    if narrative.skip_content_generation or act.skip_content_generation or act.image is not None:
        return False
    if act.extract_output is not None:
        return act.extract_output
    return bool(narrative.template) or is_last


def insists(narrative: Narrative, act: Act) -> bool:
    """Whether JSON is what the act is there for; else an answer in prose is as good."""
    wants_rows = bool(narrative.target or narrative.template)
    return act.schema is not None or bool(act.extract_output) or wants_rows


def is_about_source(act: Act) -> bool:
    """Whether it writes about an item of a source: without one there is nothing to say."""
    return any(isinstance(given, TableRead) and given.source for given in act.inputs)


def is_sent_on(narrative: Narrative, act: Act) -> bool:
    """Whether a later command has what this act gives among its arguments."""
    position = next(index for index, each in enumerate(narrative.acts) if each is act)
    for index, later in enumerate(narrative.acts[position + 1 :]):
        for given in _commands(later):
            named = [meant(each.name, [act.name, *LATEST]) for each in placeholders(given.args)]
            if act.name in named or (index == 0 and set(named) & set(LATEST)):
                return True
    return False


def needs(narrative: Narrative, act: Act, failed: Act) -> bool:
    """Whether a writing act would be wrong after another one was not done.

    It marks rows of a table whose words that one was to send, or takes from the state what that one
    was to leave there. What it names of an act is found out when it is filled in.
    """
    kept = {*keys_of(failed), *(f"{each.platform}.{each.command}" for each in _commands(failed))}
    for each in placeholders([command.args for command in _commands(act)]):
        kind, _, key = each.name.partition(":")
        if kind in ("state", "STATE") and {key, key.rpartition(".")[0]} & {*kept, *REMEMBERED}:
            return True
    before = narrative.acts[: narrative.acts.index(failed) + 1]
    reads = [given for one in before for given in one.inputs if isinstance(given, TableRead)]
    words = {name for given in reads for name in names_of(given)}
    words |= {one.name for one in before if asks(one) or not words.isdisjoint(_read_by(one))}
    sent = [command.args for command in _commands(failed)]
    marked = {str(each.args.get("table_name")) for each in _commands(act) if _is_mark(each)}
    sends = any(meant(each.name, words) for each in placeholders(sent))
    if marked.isdisjoint(given.table for given in reads):  # which rows it is about is not known
        sends |= any("content" in args for args in sent)
    return bool(marked) and sends


def _read_by(act: Act) -> Iterator[str]:
    return (name for given in act.inputs for name in names_of(given))


def _is_mark(command: BotCommand) -> bool:
    return command.platform == "database"


def queue_of(narrative: Narrative) -> tuple[TableRead, ...]:
    """Return the reads that a poster lives on: rows that a later command sends out.

    Empty if the narrative is no poster, or fills its tables itself before it reads them.
    """
    for act in narrative.acts:
        if act.narrative or any(isinstance(given, Nested) for given in act.inputs):
            return ()
        reads = tuple(given for given in act.inputs if isinstance(given, TableRead))
        if reads and is_sent_on(narrative, act):
            return reads
    return ()


def marked_tables(narrative: Narrative) -> frozenset[str]:
    """Return the tables in which the narrative marks rows that it has read, by update_table."""
    return frozenset(
        str(given.args.get("table_name"))
        for _, given in narrative.inputs()
        if isinstance(given, BotCommand) and _is_mark(given)
    )


def dangling(narrative: Narrative, *, prompts: bool = False) -> Iterator[tuple[Act, Placeholder]]:
    """Yield placeholders of commands that neither an act before nor a table can ever fill in.

    Whether they name a variable or something in the state is for the caller to find out. With
    `prompts` also each `{{name}}` of a prompt, which stays there as it is written.
    """
    before: set[str] = set()
    for act in narrative.acts:
        before |= {name for given in act.inputs for name in names_of(given)}
        texts = [act.system, *(each.content or "" for each in act.inputs if isinstance(each, Text))]
        shown = [each for each in placeholders(texts) if each.style == "braces"]
        for each in (*placeholders([each.args for each in _commands(act)]), *shown * prompts):
            if not _may_mean(each.name, before):
                yield act, each
        before |= {act.name, *LATEST, *keys_of(act)}


def keys_of(act: Act) -> frozenset[str]:
    """Return the keys of the state that the act names for what it keeps there."""
    stored = (given.store_as for given in _commands(act) if given.store_as)
    return frozenset((*stored, *act.state_capture))


def names_of(given: Input) -> tuple[str, ...]:
    """Return the names under which placeholders find what an input reads or runs."""
    if isinstance(given, TableRead):
        return (given.table, *given.names)
    return (given.name,) if isinstance(given, Nested) else ()


def _may_mean(name: str, known: set[str]) -> bool:
    return name.startswith(("state:", "STATE:")) or bool(meant(name, known))


def _commands(act: Act) -> Iterator[BotCommand]:
    return (given for given in act.inputs if isinstance(given, BotCommand))
