"""The rules for bot commands as users and narratives write them; command_policy.py applies them.

An invalid rule is an error: a typo must not leave a door open.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from botticelli.config import plugins
from botticelli.config.operations import Security
from botticelli.errors import ConfigError
from botticelli.records import record
from botticelli.text import nearest

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

_SPAN: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE: Final = re.compile(r"\s*(\d+)\s*(?:/|per)\s*(second|minute|hour|day)s?\s*")


@record
class CommandRate:
    """At most so many runs of a command within a span of time."""

    most: int
    span: timedelta


@record
class SecurityRules:
    """One layer of rules; None where it has no rule of that kind.

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
    rates: Mapping[str, CommandRate] = field(default_factory=lambda: NOTHING)
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

    @property
    def wherever(self) -> "SecurityRules":
        """The same rules without those about places."""
        return replace(self, guilds=None, channels=None, channel_prefix="")


def rules_of_user(security: Security) -> SecurityRules:
    """Return the user's own layer.

    Raises:
        ConfigError: A rule forbids or bounds a command that does not exist: a typo, most likely.
    """
    known = partial(_named, where="[security] in botticelli.toml")
    return SecurityRules(
        source="[security] in botticelli.toml",
        allowed=security.allowed_commands,
        denied=known(security.deny),
        confirmed=known(security.require_confirmation),
        rates={known((name,))[0]: rate_of(text) for name, text in security.rate_limits.items()},
        guilds=security.guild_ids or None,
        channels=security.channel_ids or None,
        channel_prefix=security.channel_prefix,
        max_length=security.max_length,
        max_mentions=security.max_mentions,
        max_links=security.max_links,
        allowed_links=security.allowed_links,
    )


def rules_of_narrative(security: Mapping[str, Any], name: str = "") -> SecurityRules:
    """Return a narrative's layer, from its [security.*] as written.

    Raises:
        ConfigError: A rule is invalid: then nothing may run, least of all by a typo.
    """
    _no_others(security, "security", _KEYS)
    rules: dict[str, Any] = {}
    for section, keys in _KEYS.items():
        table = security.get(section, NOTHING)
        if not isinstance(table, Mapping):
            raise _bad(f"security.{section}", "is not a table")
        _no_others(table, f"security.{section}", keys)
        for key, (rule, read) in keys.items():
            if table.get(key) is not None:
                rules[rule] = read(table[key], f"security.{section}.{key}")
    source = f"[security] of narrative '{name}'" if name else "the narrative's [security]"
    return SecurityRules(source=source, **rules)


def rate_of(text: Any) -> CommandRate:
    """Return "5/minute" as a rate.

    Raises:
        ConfigError: It is not one.
    """
    match = _RATE.fullmatch(str(text))
    if match is None:
        raise _bad("security.rate_limits", f"'{text}' is not a rate limit", 'write "5/minute"')
    return CommandRate(most=int(match[1]), span=timedelta(seconds=_SPAN[match[2]]))


def _no_others(section: Mapping[str, Any], where: str, known: Mapping[str, Any]) -> None:
    for key in section:
        if key not in known:
            hint = nearest(key, known) or f"known: {', '.join(sorted(known))}"
            raise _bad(where, f"there is no rule '{key}'", hint)


def _list(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise _bad(where, "is not a list of strings")
    return tuple(value)


def is_named(platform: str, commands: Sequence[str], patterns: Sequence[str]) -> bool:
    """Return whether a list names one of the commands, in any case; * stands for anything."""
    names = (*commands, *(f"{platform}.{command}" for command in commands))
    wanted = [pattern.strip().casefold() for pattern in patterns]
    return any(fnmatchcase(name.casefold(), pattern) for pattern in wanted for name in names)


def _named(patterns: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Return the patterns of a rule that keeps commands from running; each must match one."""
    from botticelli.platforms.discord.commands.table import ALIASES, TABLE

    if plugins.names(plugins.COMMANDS):
        return patterns  # they bring commands that are not known before they are loaded
    known = {"discord": (*TABLE, *ALIASES), "database": ("update_table",)}
    for pattern in patterns:
        if any(is_named(platform, names, [pattern]) for platform, names in known.items()):
            continue
        near = nearest(pattern.removeprefix("discord."), known["discord"])
        hint = near or "see `botticelli commands`"
        raise _bad(where, f"no command is called '{pattern}'", hint)
    return patterns


def _ids(value: Any, where: str) -> tuple[str, ...]:
    given = value if isinstance(value, list | tuple) else [value]
    ids = tuple(str(one).strip() for one in given if not isinstance(one, bool))
    if not ids or not all(one.isdecimal() for one in ids):
        raise _bad(where, "is not a Discord id", "write the id's digits")
    return ids


def _number(value: Any, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise _bad(where, "is not a whole number")


def _bad(where: str, what: str, hint: str = "") -> ConfigError:
    return ConfigError(what, where=where, hint=hint)


def _text(value: Any, _where: str) -> str:
    return str(value)


def _commands(value: Any, where: str) -> tuple[str, ...]:
    return _named(_list(value, where), "security.policy")


def _confirmed(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("*",) if value else ()
    return _commands(value or (), where)


def _rates(value: Any, where: str) -> Mapping[str, CommandRate]:
    if not isinstance(value, Mapping):
        raise _bad(where, "is not a table of command = limit")
    return {_commands(str(name), where)[0]: rate_of(text) for name, text in value.items()}


# Section and key of a narrative's [security.*] -> the rule that it is, and what reads it.
_KEYS: Final[Mapping[str, Mapping[str, tuple[str, Callable[[Any, str], Any]]]]] = {
    "policy": {
        "allowed_commands": ("allowed", _list),
        "denied_commands": ("denied", _commands),
        "require_confirmation": ("confirmed", _confirmed),
        "rate_limits": ("rates", _rates),
    },
    "constraints": {
        "guild_id": ("guilds", _ids),
        "channel_ids": ("channels", _ids),
        "channel_prefix": ("channel_prefix", _text),
    },
    "content": {
        "max_length": ("max_length", _number),
        "max_mentions": ("max_mentions", _number),
        "max_links": ("max_links", _number),
        "allowed_links": ("allowed_links", _list),
    },
}
