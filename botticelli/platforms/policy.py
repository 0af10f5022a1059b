"""May this command run? Every rule's word on it. Pure; fails closed.

There are two layers of rules: the user's own (`[security]` in botticelli.toml) and the narrative's
(`[security.policy]`, `[security.constraints]`, `[security.content]`). A command must pass both, and
what the user denies no narrative can allow. What a model wrote never takes part in this: names,
places and texts are judged as they would be sent.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Final, Literal

from botticelli.config.model import Security
from botticelli.errors import ConfigError
from botticelli.text import utf16_length

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
NAMES_CHANNELS: Final = ("channels.create", "channels.get_or_create", "channels.edit")

_SPAN: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE: Final = re.compile(r"\s*(\d+)\s*(?:/|per)\s*(second|minute|hour|day)s?\s*")
_MENTION: Final = re.compile(r"@everyone\b|@here\b|<@[!&]?\d+>")
_LINK: Final = re.compile(r"(?:https?://|(?<![a-z0-9])www\.)([^\s/\\?#)\]>\"']+)", re.IGNORECASE)

_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "policy": frozenset(
        ("allowed_commands", "denied_commands", "require_confirmation", "rate_limits")
    ),
    "constraints": frozenset(("guild_id", "channel_ids", "channel_prefix")),
    "content": frozenset(("max_length", "max_mentions", "max_links", "allowed_links")),
}

Word = Literal["allow", "ask", "confirm", "refuse"]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """At most so many runs of a command within a span of time."""

    most: int
    span: timedelta


@dataclass(frozen=True, kw_only=True)
class Rules:
    """One layer of rules. None: no rule of that kind.

    Args:
        source: What a refusal names.
        allowed: Commands that may run; in a narrative nothing else may.
        confirmed: Commands that a person must confirm each time.
        rates: Command -> how often.
    """

    source: str
    allowed: tuple[str, ...] | None = None
    denied: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()
    rates: Mapping[str, Rate] = field(default_factory=lambda: NOTHING)
    guilds: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None
    channel_prefix: str = ""
    max_length: int | None = None
    max_mentions: int | None = None
    max_links: int | None = None
    allowed_links: tuple[str, ...] | None = None

    @property
    def is_about_places(self) -> bool:
        """Whether it must be known where a command acts."""
        return self.guilds is not None or self.channels is not None or bool(self.channel_prefix)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A command that wants to run.

    Args:
        command: By its name of today, without the platform; `older` are the names it had.
        guild_id, channel_id, channel_name, category_id: Where it acts, as the platform itself
            tells; empty: nowhere, or it cannot be told.
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
    secrets: Sequence[str] = ()
    older: Sequence[str] = ()

    @property
    def name(self) -> str:
        """platform.command."""
        return f"{self.platform}.{self.command}"

    @property
    def prose(self) -> tuple[str, ...]:
        """The texts that people would read: no ids."""
        readable = {k: v for k, v in self.args.items() if not k.endswith(("_id", "_ids"))}
        return tuple(text for value in readable.values() for text in texts(value))

    def is_among(self, patterns: Sequence[str]) -> bool:
        """Tell whether a list names it, as command or platform.command; * stands for anything."""
        today = (self.command, *self.older)
        names = (*today, *(f"{self.platform}.{command}" for command in today))
        return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)

    def rates(self, rules: Rules) -> list[Rate]:
        """How often it may run."""
        return [rate for pattern, rate in rules.rates.items() if self.is_among([pattern])]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of a command.

    Args:
        word: It may run; whoever is at the terminal is asked; a person must confirm it; refused.
        rule: What decided.
        why, mend: For a person.
    """

    word: Word
    rule: str
    why: str = ""
    mend: str = ""


def rules_of_user(security: Security) -> Rules:
    """Return the user's own layer."""
    return Rules(
        source="[security] in botticelli.toml",
        allowed=security.allowed_commands,
        denied=security.deny,
        confirmed=security.require_confirmation,
        rates={name: rate_of(text) for name, text in security.rate_limits.items()},
        guilds=security.guild_ids or None,
        channels=security.channel_ids or None,
        channel_prefix=security.channel_prefix,
        max_length=security.max_length,
        max_mentions=security.max_mentions,
        max_links=security.max_links,
        allowed_links=security.allowed_links,
    )


def rules_of_narrative(security: Mapping[str, Any]) -> Rules:
    """Return a narrative's layer, from its [security.*] as written.

    Raises:
        ConfigError: A rule cannot be understood: then nothing may run, least of all by a typo.
    """
    policy, constraints, content = (_section(security, name) for name in _KEYS)
    _no_others(security, "security", frozenset(_KEYS))
    confirmed = policy.get("require_confirmation", ())
    if isinstance(confirmed, bool):
        confirmed = ("*",) if confirmed else ()
    allowed = policy.get("allowed_commands")
    rates = policy.get("rate_limits", NOTHING)
    if not isinstance(rates, Mapping):
        raise _bad("security.policy.rate_limits", "is no table of command = limit")
    links = content.get("allowed_links")
    return Rules(
        source="the narrative's [security]",
        allowed=None if allowed is None else _list(allowed, "security.policy.allowed_commands"),
        denied=_list(policy.get("denied_commands", ()), "security.policy.denied_commands"),
        confirmed=_list(confirmed, "security.policy.require_confirmation"),
        rates={str(name): rate_of(text) for name, text in rates.items()},
        guilds=_ids(constraints.get("guild_id"), "security.constraints.guild_id"),
        channels=_ids(constraints.get("channel_ids"), "security.constraints.channel_ids"),
        channel_prefix=str(constraints.get("channel_prefix", "")),
        max_length=_number(content, "max_length"),
        max_mentions=_number(content, "max_mentions"),
        max_links=_number(content, "max_links"),
        allowed_links=None if links is None else _list(links, "security.content.allowed_links"),
    )


def rate_of(text: Any) -> Rate:
    """Return "5/minute" as a rate.

    Raises:
        ConfigError: It is none.
    """
    match = _RATE.fullmatch(str(text))
    if match is None:
        raise _bad("security.rate_limits", f"'{text}' is no limit", 'write "5/minute"')
    return Rate(most=int(match[1]), span=timedelta(seconds=_SPAN[match[2]]))


def decide(
    asked: Asked, *, user: Rules, narrative: Rules, writes: Literal["ask", "allow", "deny"]
) -> Verdict:
    """Return what becomes of a command. `writes` is the user's word on writes in general."""
    if refusal := _refusal(asked, user=user, narrative=narrative):
        return refusal
    granted = asked.is_among(narrative.allowed or ())
    is_open = not asked.writes or asked.is_among(user.allowed or ())
    if writes == "deny" and not is_open:
        return _closed(asked)
    if asked.is_among((*user.confirmed, *narrative.confirmed)):
        return Verdict(word="confirm", rule="require_confirmation", why="a person must confirm it")
    if is_open or granted:
        return Verdict(word="allow", rule="allowed_commands" if asked.writes else "read")
    return Verdict(word="allow", rule="writes") if writes == "allow" else _unasked(asked)


def _refusal(asked: Asked, *, user: Rules, narrative: Rules) -> Verdict | None:
    for layer in (user, narrative):
        for rule, check in _CHECKS:
            if why := check(asked, layer):
                return Verdict(word="refuse", rule=rule, why=f"{why} ({layer.source})")
    if narrative.allowed is None or asked.is_among(narrative.allowed):
        return None
    return Verdict(
        word="refuse",
        rule="allowed_commands",
        why=f"{asked.command} is not among the narrative's allowed_commands",
        mend=f'add "{asked.command}" to [security.policy] allowed_commands',
    )


def _closed(asked: Asked) -> Verdict:
    return Verdict(
        word="refuse",
        rule="writes",
        why='[security] writes = "deny" in botticelli.toml keeps it from changing anything',
        mend=f'add "{asked.name}" to [security] allowed_commands there',
    )


def _unasked(asked: Asked) -> Verdict:
    return Verdict(
        word="ask",
        rule="writes",
        why="it changes something, and nobody has allowed that",
        mend=(
            "run with --allow-writes, or add to the narrative: [security.policy]"
            f' allowed_commands = ["{asked.command}"], or set [security] writes = "allow"'
            " in botticelli.toml"
        ),
    )


# -- rules that refuse ----------------------------------------------------------------------------


def _secrets(asked: Asked, _layer: Rules) -> str:
    for text in texts(asked.args):
        if any(secret and secret in text for secret in asked.secrets):
            return "it would give away a secret"
    return ""


def _denied(asked: Asked, layer: Rules) -> str:
    return f"{asked.command} is denied" if asked.is_among(layer.denied) else ""


def _guild(asked: Asked, layer: Rules) -> str:
    if layer.guilds is None or asked.platform == "database" or asked.guild_id in layer.guilds:
        return ""
    place = f"server {asked.guild_id}" if asked.guild_id else "an unknown server"
    return f"it acts on {place}, allowed is {', '.join(layer.guilds)}"


def _channel(asked: Asked, layer: Rules) -> str:
    if layer.channels is None or not asked.channel_id:
        return ""
    if {asked.channel_id, asked.category_id} & set(layer.channels):
        return ""
    return f"it acts on channel {asked.channel_id}, allowed is {', '.join(layer.channels)}"


def _prefix(asked: Asked, layer: Rules) -> str:
    prefix = layer.channel_prefix
    names = [asked.channel_name] if asked.channel_id else []
    if asked.command in NAMES_CHANNELS and asked.args.get("name"):
        names.append(str(asked.args["name"]))
    wrong = next((name for name in names if not name.startswith(prefix)), None)
    return "" if wrong is None else f"channel '{wrong}' does not begin with '{prefix}'"


def _length(asked: Asked, layer: Rules) -> str:
    longest = max(map(utf16_length, asked.prose), default=0)
    if layer.max_length is None or longest <= layer.max_length:
        return ""
    return f"a text has {longest} characters, {layer.max_length} are allowed"


def _mentions(asked: Asked, layer: Rules) -> str:
    count = sum(len(_MENTION.findall(text)) for text in asked.prose)
    if layer.max_mentions is None or count <= layer.max_mentions:
        return ""
    return f"it mentions {count} times, {layer.max_mentions} are allowed"


def _links(asked: Asked, layer: Rules) -> str:
    hosts = [match[1] for text in asked.prose for match in _LINK.finditer(text)]
    if layer.max_links is not None and len(hosts) > layer.max_links:
        return f"it has {len(hosts)} links, {layer.max_links} are allowed"
    if layer.allowed_links is None:
        return ""
    for found in hosts:
        host = found.rpartition("@")[2].partition(":")[0].casefold().strip(".,;!")
        if not any(_is_within(host, one.casefold()) for one in layer.allowed_links):
            return f"{host} is not among the allowed links"
    return ""


def _is_within(host: str, allowed: str) -> bool:
    name = allowed.removeprefix("www.")
    host = host.removeprefix("www.")
    return host == name or host.endswith(f".{name}")


def _only_writes(check: Callable[[Asked, Rules], str]) -> Callable[[Asked, Rules], str]:
    return lambda asked, layer: check(asked, layer) if asked.writes else ""


_CHECKS: Final[tuple[tuple[str, Callable[[Asked, Rules], str]], ...]] = (
    ("secrets", _secrets),
    ("denied", _denied),
    ("guild_id", _guild),
    ("channel_ids", _channel),
    ("channel_prefix", _prefix),
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


# -- a narrative's own words ----------------------------------------------------------------------


def _section(security: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = security.get(name, NOTHING)
    if not isinstance(section, Mapping):
        raise _bad(f"security.{name}", "is no table")
    _no_others(section, f"security.{name}", _KEYS[name])
    return section


def _no_others(section: Mapping[str, Any], where: str, known: frozenset[str]) -> None:
    for key in section:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            mend = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known))}"
            raise _bad(where, f"there is no rule '{key}'", mend)


def _list(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise _bad(where, "is no list of texts")
    return tuple(value)


def _ids(value: Any, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    given = value if isinstance(value, list | tuple) else [value]
    ids = tuple(str(one).strip() for one in given if not isinstance(one, bool))
    if not ids or not all(one.isdecimal() for one in ids):
        raise _bad(where, "is no Discord id", "write the id's digits")
    return ids


def _number(section: Mapping[str, Any], name: str) -> int | None:
    value = section.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise _bad(f"security.content.{name}", "is no whole number")


def _bad(where: str, what: str, mend: str = "") -> ConfigError:
    return ConfigError(what, where=where, mend=mend)
