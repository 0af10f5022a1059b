"""Whether a command may run, by every rule. Pure; fails closed.

There are two layers of rules: the user's own (`[security]` in botticelli.toml) and the narrative's
(`[security.policy]`, `[security.constraints]`, `[security.content]`). A command must pass both, and
what the user denies no narrative can allow. What a model wrote never takes part in this: names,
places and texts are judged as they would be sent.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal

from botticelli.config.leaks import find_leak
from botticelli.platforms.command_set import Place
from botticelli.platforms.discord.commands.table import older
from botticelli.platforms.rules.security_rules import CommandRate, SecurityRules, is_named
from botticelli.platforms.rules.text_reading import TextReading, disallowed_host
from botticelli.records import record

MAKES_CHANNELS: Final = ("channels.create", "channels.get_or_create")
NAMES_CHANNELS: Final = (*MAKES_CHANNELS, "channels.edit")

# Commands that do what another one does: who denies that one means them, too.
IMPLIED: Final[Mapping[str, tuple[str, ...]]] = {
    "channels.get_or_create": ("channels.create",),
    "forum.create_post": ("threads.create", "messages.send"),
    "messages.bulk_delete": ("messages.delete",),
    "messages.clear": ("messages.delete", "messages.bulk_delete"),
}
# Whoever may not send may not put words before people in another way either: what has one of these
# arguments, on any platform, and Discord's commands whose words are those of a message or a name.
SEND: Final = "messages.send"
MESSAGES: Final = frozenset(("content", "message", "text", "body", "embeds", "components", "poll"))
SAYS: Final = frozenset(("messages.crosspost", "messages.edit", "threads.create"))
ROLE_CHANGES: Final = ("roles.assign", "roles.remove")  # of members.edit with roles

NOWHERE: Final = Place()

Word = Literal["allow", "ask", "confirm", "refuse"]


@record
class CommandFacts:
    """A command that wants to run.

    Args:
        command: By its current name, without the platform.
        place: Where it acts, as the platform itself says.
        secrets: Texts that must never leave.
    """

    platform: str
    command: str
    args: Mapping[str, Any]
    writes: bool
    place: Place = NOWHERE
    secrets: Sequence[str] = ()

    @property
    def name(self) -> str:
        """platform.command."""
        return f"{self.platform}.{self.command}"

    @cached_property
    def prose(self) -> tuple[TextReading, ...]:
        """The texts that people would read: no ids."""
        readable = {k: v for k, v in self.args.items() if not k.endswith(("_id", "_ids"))}
        return tuple(TextReading(text) for value in readable.values() for text in texts(value))

    @property
    def implied(self) -> tuple[str, ...]:
        """The commands whose work it does, too."""
        done = IMPLIED.get(self.command, ()) if self.platform == "discord" else ()
        if self.command == "members.edit" and self.args.get("roles") is not None:
            done = ROLE_CHANGES
        is_message = not MESSAGES.isdisjoint(self.args) or self.command in SAYS
        if self.writes and self.platform != "database" and is_message:
            done = (*done, SEND)
        return tuple(one for one in done if one != self.command)

    def is_among(self, patterns: Sequence[str]) -> bool:
        """Return whether a list names it, as command or platform.command; * stands for anything."""
        return is_named(self.platform, self._names(self.command), patterns)

    def does(self, patterns: Sequence[str]) -> str:
        """Return the command on a list whose work it does, too; empty if none."""
        return next(
            (one for one in self.implied if is_named(self.platform, self._names(one), patterns)), ""
        )

    def _names(self, command: str) -> tuple[str, ...]:
        return (command, *(older(command) if self.platform == "discord" else ()))

    def rates(self, rules: SecurityRules) -> list[CommandRate]:
        """How often it may run."""
        return [rate for pattern, rate in rules.rates.items() if self.is_among([pattern])]


@record
class CommandVerdict:
    """What the rules decide about a command.

    Args:
        word: It may run; the person at the terminal is asked; a person must confirm it; refused.
        rule: What decided.
        why, hint: For a person.
    """

    word: Word
    rule: str
    why: str = ""
    hint: str = ""


def decide(
    facts: CommandFacts,
    *,
    user: SecurityRules,
    narratives: Sequence[SecurityRules],
    writes: Literal["ask", "allow", "deny"],
) -> CommandVerdict:
    """Decide whether a command may run.

    Args:
        facts: The command.
        user: The user's own layer.
        narratives: The layers of the narrative and of those that called it, its own last: whoever
            is called may do no more than its callers.
        writes: The user's setting for writes in general.
    """
    for layer in (user, *narratives):
        if refusal := _refusal(facts, layer, is_users=layer is user):
            return refusal
    granted = bool(narratives) and facts.is_among(narratives[-1].allowed or ())
    is_open = not facts.writes or facts.is_among(user.allowed or ())
    if writes == "deny" and not is_open:
        return _closed(facts)
    lists = [layer.confirmed for layer in (user, *narratives)]
    if any(facts.is_among(each) or facts.does(each) for each in lists):
        return CommandVerdict(
            word="confirm", rule="require_confirmation", why="a person must confirm it"
        )
    if is_open or granted:
        return CommandVerdict(word="allow", rule="allowed_commands" if facts.writes else "read")
    return CommandVerdict(word="allow", rule="writes") if writes == "allow" else _unasked(facts)


def _refusal(facts: CommandFacts, layer: SecurityRules, *, is_users: bool) -> CommandVerdict | None:
    for rule, check in _CHECKS if facts.writes else _CHECKS_OF_READS:
        if why := check(facts, layer):
            return CommandVerdict(word="refuse", rule=rule, why=f"{why} ({layer.source})")
    if is_users or layer.allowed is None or facts.is_among(layer.allowed):
        return None
    return CommandVerdict(
        word="refuse",
        rule="allowed_commands",
        why=f"{facts.command} is not among the allowed_commands of {layer.source}",
        hint=f'add "{facts.command}" to [security.policy] allowed_commands',
    )


def _closed(facts: CommandFacts) -> CommandVerdict:
    return CommandVerdict(
        word="refuse",
        rule="writes",
        why='[security] writes = "deny" in botticelli.toml keeps it from changing anything',
        hint=f'add "{facts.name}" to [security] allowed_commands there',
    )


def _unasked(facts: CommandFacts) -> CommandVerdict:
    return CommandVerdict(
        word="ask",
        rule="writes",
        why="it changes something, which is not permitted",
        hint=(
            "run with --allow-writes, or add to the narrative: [security.policy]"
            f' allowed_commands = ["{facts.command}"], or set [security] writes = "allow"'
            " in botticelli.toml"
        ),
    )


# -- rules that refuse ----------------------------------------------------------------------------


def _secrets(facts: CommandFacts, _layer: SecurityRules) -> str:
    found = (find_leak(text, facts.secrets) for text in texts(facts.args))
    how = next(filter(None, found), "")
    return f"it would give away a secret ({how})" if how else ""


def _denied(facts: CommandFacts, layer: SecurityRules) -> str:
    if facts.is_among(layer.denied):
        return f"{facts.command} is denied"
    found = facts.does(layer.denied)
    return f"{facts.command} does what {found} does, which is denied" if found else ""


def _guild(facts: CommandFacts, layer: SecurityRules) -> str:
    if layer.guilds is None or facts.platform == "database" or facts.place.guild_id in layer.guilds:
        return ""
    place = f"server {facts.place.guild_id}" if facts.place.guild_id else "an unknown server"
    return f"it acts on {place}, allowed is {', '.join(layer.guilds)}"


def _channel(facts: CommandFacts, layer: SecurityRules) -> str:
    if layer.channels is None:
        return ""
    allowed = f"allowed is {', '.join(layer.channels)}"
    place = facts.place
    makes = facts.command in MAKES_CHANNELS and not place.channel_id
    if (makes or place.into_id) and place.into_id not in layer.channels:
        return f"it puts a channel into {place.into_id or 'no category'}, {allowed}"
    if not place.channel_id or {place.channel_id, place.category_id} & set(layer.channels):
        return ""
    return f"it acts on channel {place.channel_id}, {allowed}"


def _prefix(facts: CommandFacts, layer: SecurityRules) -> str:
    prefix = layer.channel_prefix
    names = [facts.place.channel_name] if facts.place.channel_id else []
    if facts.command in NAMES_CHANNELS and facts.args.get("name"):
        names.append(str(facts.args["name"]))
    wrong = next((name for name in names if not name.startswith(prefix)), None)
    return "" if wrong is None else f"channel '{wrong}' does not begin with '{prefix}'"


def _characters(facts: CommandFacts, _layer: SecurityRules) -> str:
    if facts.platform == "database":
        return ""
    for reading in facts.prose:
        if hidden := reading.hidden_character:
            return f"a text holds a control or hidden character ({hidden})"
    content = facts.args.get("content")
    if isinstance(content, str) and content and TextReading(content).is_blank:
        return "the content shows nothing"
    return ""


def _length(facts: CommandFacts, layer: SecurityRules) -> str:
    longest = max((one.length for one in facts.prose), default=0)
    if layer.max_length is None or longest <= layer.max_length:
        return ""
    return f"a text has {longest} characters, {layer.max_length} are allowed"


def _mentions(facts: CommandFacts, layer: SecurityRules) -> str:
    if layer.max_mentions is None:
        return ""
    count = sum(one.mention_count for one in facts.prose)
    if count <= layer.max_mentions:
        return ""
    return f"it mentions {count} times, {layer.max_mentions} are allowed"


def _links(facts: CommandFacts, layer: SecurityRules) -> str:
    if layer.max_links is not None:
        count = sum(one.link_count for one in facts.prose)
        if count > layer.max_links:
            return f"it has {count} links, {layer.max_links} are allowed"
    if layer.allowed_links is None:
        return ""
    for reading in facts.prose:
        if host := disallowed_host(reading.links, layer.allowed_links):
            return f"{host} is not among the allowed links"
    return ""


Check = Callable[[CommandFacts, SecurityRules], str]  # why it is refused, or ""

_ABOUT_TEXTS: Final[frozenset[Check]] = frozenset((_characters, _length, _mentions, _links))
_CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("secrets", _secrets),
    ("denied", _denied),
    ("guild_id", _guild),
    ("channel_ids", _channel),
    ("channel_prefix", _prefix),
    ("characters", _characters),
    ("max_length", _length),
    ("max_mentions", _mentions),
    ("links", _links),
)
_CHECKS_OF_READS: Final = tuple(one for one in _CHECKS if one[1] not in _ABOUT_TEXTS)


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a value, keys of tables included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts(inner)
