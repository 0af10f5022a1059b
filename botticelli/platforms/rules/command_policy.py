"""May this command run? Every rule's word on it. Pure; fails closed.

There are two layers of rules: the user's own (`[security]` in botticelli.toml) and the narrative's
(`[security.policy]`, `[security.constraints]`, `[security.content]`). A command must pass both, and
what the user denies no narrative can allow. What a model wrote never takes part in this: names,
places and texts are judged as they would be sent.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal

from botticelli.platforms.rules.security_rules import Rate, Rules, is_named
from botticelli.platforms.rules.text_reading import TextReading, disallowed_host
from botticelli.records import record

MAKES_CHANNELS: Final = ("channels.create", "channels.get_or_create")
NAMES_CHANNELS: Final = (*MAKES_CHANNELS, "channels.edit")

# Commands that do what another one does: who denies that one means them, too.
IMPLIED: Final[Mapping[str, tuple[str, ...]]] = {
    "channels.get_or_create": ("channels.create",),
    "forum.create_post": ("threads.create",),
    "messages.bulk_delete": ("messages.delete",),
    "messages.clear": ("messages.delete", "messages.bulk_delete"),
}
ROLE_CHANGES: Final = ("roles.assign", "roles.remove")  # of members.edit with roles

Word = Literal["allow", "ask", "confirm", "refuse"]


@record
class Asked:
    """A command that wants to run.

    Args:
        command: By its name of today, without the platform; `older` are the names it had.
        guild_id, channel_id, channel_name, category_id, into_id: Where it acts (see Place), as the
            platform itself tells; empty: nowhere, or it cannot be told.
        secrets: Texts that must never leave.
    """

    platform: str
    command: str
    args: Mapping[str, Any]
    writes: bool
    guild_id: str = ""
    channel_id: str = ""
    channel_name: str = ""
    category_id: str = ""
    into_id: str = ""
    secrets: Sequence[str] = ()
    older: Sequence[str] = ()

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
        if self.platform != "discord":
            return ()
        if self.command == "members.edit" and self.args.get("roles") is not None:
            return ROLE_CHANGES
        return IMPLIED.get(self.command, ())

    def is_among(self, patterns: Sequence[str]) -> bool:
        """Tell whether a list names it, as command or platform.command; * stands for anything."""
        return is_named(self.platform, (self.command, *self.older), patterns)

    def rates(self, rules: Rules) -> list[Rate]:
        """How often it may run."""
        return [rate for pattern, rate in rules.rates.items() if self.is_among([pattern])]


@record
class Verdict:
    """What becomes of a command.

    Args:
        word: It may run; whoever is at the terminal is asked; a person must confirm it; refused.
        rule: What decided.
        why, hint: For a person.
    """

    word: Word
    rule: str
    why: str = ""
    hint: str = ""


def decide(
    asked: Asked,
    *,
    user: Rules,
    narratives: Sequence[Rules],
    writes: Literal["ask", "allow", "deny"],
) -> Verdict:
    """Return what becomes of a command.

    Args:
        asked: The command.
        user: The user's own layer.
        narratives: The layers of the narrative and of those that called it, its own last: whoever
            is called may do no more than its callers.
        writes: The user's word on writes in general.
    """
    for layer in (user, *narratives):
        if refusal := _refusal(asked, layer, is_users=layer is user):
            return refusal
    granted = bool(narratives) and asked.is_among(narratives[-1].allowed or ())
    is_open = not asked.writes or asked.is_among(user.allowed or ())
    if writes == "deny" and not is_open:
        return _closed(asked)
    if any(asked.is_among(layer.confirmed) for layer in (user, *narratives)):
        return Verdict(word="confirm", rule="require_confirmation", why="a person must confirm it")
    if is_open or granted:
        return Verdict(word="allow", rule="allowed_commands" if asked.writes else "read")
    return Verdict(word="allow", rule="writes") if writes == "allow" else _unasked(asked)


def _refusal(asked: Asked, layer: Rules, *, is_users: bool) -> Verdict | None:
    for rule, check in _CHECKS:
        if why := check(asked, layer):
            return Verdict(word="refuse", rule=rule, why=f"{why} ({layer.source})")
    if is_users or layer.allowed is None or asked.is_among(layer.allowed):
        return None
    return Verdict(
        word="refuse",
        rule="allowed_commands",
        why=f"{asked.command} is not among the allowed_commands of {layer.source}",
        hint=f'add "{asked.command}" to [security.policy] allowed_commands',
    )


def _closed(asked: Asked) -> Verdict:
    return Verdict(
        word="refuse",
        rule="writes",
        why='[security] writes = "deny" in botticelli.toml keeps it from changing anything',
        hint=f'add "{asked.name}" to [security] allowed_commands there',
    )


def _unasked(asked: Asked) -> Verdict:
    return Verdict(
        word="ask",
        rule="writes",
        why="it changes something, and nobody has allowed that",
        hint=(
            "run with --allow-writes, or add to the narrative: [security.policy]"
            f' allowed_commands = ["{asked.command}"], or set [security] writes = "allow"'
            " in botticelli.toml"
        ),
    )


# -- rules that refuse ----------------------------------------------------------------------------


def _secrets(asked: Asked, _layer: Rules) -> str:
    for text in texts(asked.args):
        for spelling in TextReading(text).spellings:
            if any(secret and secret in spelling for secret in asked.secrets):
                return "it would give away a secret"
    return ""


def _denied(asked: Asked, layer: Rules) -> str:
    if asked.is_among(layer.denied):
        return f"{asked.command} is denied"
    done = (one for one in asked.implied if is_named(asked.platform, (one,), layer.denied))
    found = next(done, None)
    return "" if found is None else f"{asked.command} does what {found} does, which is denied"


def _guild(asked: Asked, layer: Rules) -> str:
    if layer.guilds is None or asked.platform == "database" or asked.guild_id in layer.guilds:
        return ""
    place = f"server {asked.guild_id}" if asked.guild_id else "an unknown server"
    return f"it acts on {place}, allowed is {', '.join(layer.guilds)}"


def _channel(asked: Asked, layer: Rules) -> str:
    if layer.channels is None:
        return ""
    allowed = f"allowed is {', '.join(layer.channels)}"
    makes = asked.command in MAKES_CHANNELS and not asked.channel_id
    if (makes or asked.into_id) and asked.into_id not in layer.channels:
        return f"it puts a channel into {asked.into_id or 'no category'}, {allowed}"
    if not asked.channel_id or {asked.channel_id, asked.category_id} & set(layer.channels):
        return ""
    return f"it acts on channel {asked.channel_id}, {allowed}"


def _prefix(asked: Asked, layer: Rules) -> str:
    prefix = layer.channel_prefix
    names = [asked.channel_name] if asked.channel_id else []
    if asked.command in NAMES_CHANNELS and asked.args.get("name"):
        names.append(str(asked.args["name"]))
    wrong = next((name for name in names if not name.startswith(prefix)), None)
    return "" if wrong is None else f"channel '{wrong}' does not begin with '{prefix}'"


def _characters(asked: Asked, _layer: Rules) -> str:
    if asked.platform == "database":
        return ""
    for reading in asked.prose:
        if reading.misleading:
            return f"a text holds {reading.misleading}, which hides what it says"
    content = asked.args.get("content")
    if isinstance(content, str) and content and TextReading(content).is_blank:
        return "the content shows nothing"
    return ""


def _length(asked: Asked, layer: Rules) -> str:
    longest = max((one.length for one in asked.prose), default=0)
    if layer.max_length is None or longest <= layer.max_length:
        return ""
    return f"a text has {longest} characters, {layer.max_length} are allowed"


def _mentions(asked: Asked, layer: Rules) -> str:
    if layer.max_mentions is None:
        return ""
    count = sum(one.mention_count for one in asked.prose)
    if count <= layer.max_mentions:
        return ""
    return f"it mentions {count} times, {layer.max_mentions} are allowed"


def _links(asked: Asked, layer: Rules) -> str:
    if layer.max_links is not None:
        count = sum(one.link_count for one in asked.prose)
        if count > layer.max_links:
            return f"it has {count} links, {layer.max_links} are allowed"
    if layer.allowed_links is None:
        return ""
    for reading in asked.prose:
        if host := disallowed_host(reading.links, layer.allowed_links):
            return f"{host} is not among the allowed links"
    return ""


def _only_writes(check: Callable[[Asked, Rules], str]) -> Callable[[Asked, Rules], str]:
    return lambda asked, layer: check(asked, layer) if asked.writes else ""


_CHECKS: Final[tuple[tuple[str, Callable[[Asked, Rules], str]], ...]] = (
    ("secrets", _secrets),
    ("denied", _denied),
    ("guild_id", _guild),
    ("channel_ids", _channel),
    ("channel_prefix", _prefix),
    ("characters", _only_writes(_characters)),
    ("max_length", _only_writes(_length)),
    ("max_mentions", _only_writes(_mentions)),
    ("links", _only_writes(_links)),
)


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
