"""Where each key of the earlier system's files goes, and why others are not needed.

A form is a regular expression for "STAGE:FILE'S KEY"; the stage is empty outside of actors and
bots. The first form that fits counts.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeGuard

Leaves = Mapping[str, Any]
Convert = Callable[[Any, str, Leaves], Any]  # value, key, all keys beside it

_BOT: Final = r":(?:bot_server\.)?\w+\."
_SCHEDULE: Final = r"(?:actor|actors\[\d+\])\.schedule\."
_EVERY: Final = r"(?:check_|base_)?interval_"
_ON: Final = r"[\w.\[\]]*"


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether a value can be reckoned with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _times(factor: int) -> Convert:
    return lambda value, _key, _leaves: int(value * factor) if is_number(value) else value


def _minutes(value: Any, _key: str, _leaves: Leaves) -> Any:
    return math.ceil(value / 60) if is_number(value) else value


def _list(value: Any, _key: str, _leaves: Leaves) -> Any:
    return value if isinstance(value, list) else [value]


def _hours(value: Any, key: str, leaves: Leaves) -> Any:
    """Return the window that two keys make; each is told."""
    both = [leaves.get(f"{key.rpartition('_')[0]}_{end}") for end in ("start", "end")]
    texts = [each[:5] for each in both if isinstance(each, str)]
    return "-".join(texts) if len(texts) == len(both) else value


def _cron(value: Any, _key: str, _leaves: Leaves) -> Any:
    """Return a line as ours: there seconds come first, and a year may come last."""
    fields = value.split() if isinstance(value, str) else []
    return " ".join(fields[1:6]) if len(fields) in (6, 7) else value


def _share(value: Any, key: str, leaves: Leaves) -> Any:
    """Return minutes of jitter in percent of the interval beside them."""
    table = key.rpartition(".")[0]
    for name, seconds in {"hours": 3600, "minutes": 60, "seconds": 1}.items():
        for begin in ("interval_", "check_interval_", "base_interval_", ""):
            span = leaves.get(f"{table}.{begin}{name}")
            if is_number(span) and span > 0 and is_number(value):
                return round(min(100.0, 6000 * value / (span * seconds)), 2)
    return value


def _tier(value: Any, _key: str, _leaves: Leaves) -> Any:
    return "tier1" if str(value).lower().replace("-", "") == "payasyougo" else value


def _root(value: Any, _key: str, _leaves: Leaves) -> Any:
    root = str(value).rstrip("/")
    return root if root.endswith("/v1") else f"{root}/v1"


def _reference(value: Any, key: str, leaves: Leaves) -> Any:
    """Return FILE.NAME of the two keys that name a narrative."""
    table = key.rpartition(".")[0]
    found = [leaves.get(f"{table}.{name}") for name in ("narrative_path", "narrative")]
    path = next((each for each in found if isinstance(each, str)), "")
    name, stem = leaves.get(f"{table}.narrative_name"), Path(path).name.removesuffix(".toml")
    return f"{stem}.{name}" if isinstance(name, str) and name not in ("", stem) else stem or value


_POST: Final = "(?:post|others):"
_WORK: Final = "(?:generate|curate)"
_RUNS: Final = r"skills\.narrative_execution\.narrative_(?:path|name)"
_WINDOW: Final = r"skills\.content_scheduling\.schedule_window_(?:start|end)"
_LIMITS: Final = r"(?:actor\.config|skills\.rate_limiting)\."
_FAILS: Final = r"(?:circuit_breaker\.)?(?:max_consecutive_failures|failure_threshold)"
TAKEN: Final[Sequence[tuple[str, str, Convert | None]]] = (
    (rf":server\.{_FAILS}", "circuit_breaker.failure_threshold", None),
    (r":server\.(circuit_breaker\.reset_timeout_seconds)", "{0}", None),
    (r":(database\.url)", "{0}", None),
    (r"\w+:actor\.execution\.(max_retries|continue_on_error|stop_on_unr\w+)", "{stage}.{0}", None),
    (r"curate:actor\.execution\.(processing_strategy)", "curate.{0}", None),
    (r"\w+:actor\.config\.retry_attempts", "{stage}.max_retries", None),
    (rf"others:{_SCHEDULE}seconds", "{place}.min_interval_minutes", _minutes),
    (rf"\w+:{_SCHEDULE}(seconds|jitter_percent|at|time_zone)", "{stage}.schedule.{0}", None),
    (rf"\w+:{_SCHEDULE}jitter_minutes", "{stage}.schedule.jitter_percent", _share),
    (rf"\w+:{_SCHEDULE}timezone", "{stage}.schedule.time_zone", None),
    (rf"\w+:{_SCHEDULE}(?:expression|cron)", "{stage}.schedule.cron", _cron),
    (rf"\w+:{_SCHEDULE}type = \"(?:Interval|Daily|Cron)\"", "{stage}.schedule.type", None),
    (rf"{_WORK}:{_RUNS}", "{stage}.narrative", _reference),
    (rf"{_POST}(?:platform|actors\[\d+\])\.channel_id", "{place}.channel", None),
    (rf"{_POST}platform\.(?:bot_)?token", "{place}.token", None),
    (rf"{_POST}{_LIMITS}max_posts_per_day", "{place}.posts_per_day", None),
    (rf"{_POST}{_LIMITS}(min_interval_minutes)", "{place}.{0}", None),
    (rf"{_POST}actor\.config\.timezone", "{place}.time_zone", None),
    (rf"{_POST}{_WINDOW}", "{place}.active_hours", _hours),
    (r"\w+:skills\.duplicate_check\.lookback_days", "similarity.window_days", None),
    (rf"{_WORK}{_BOT}narrative(?:_path|_name)?", "{stage}.narrative", _reference),
    (rf"generate{_BOT}model", "models.default", None),
    (rf"curate{_BOT}model", "models.judge", None),
    (rf"curate{_BOT}batch_size", "curate.batch", None),
    (rf"post{_BOT}channel_id", "{place}.channel", None),
    (rf"\w+{_BOT}{_EVERY}hours", "{stage}.schedule.seconds", _times(3600)),
    (rf"\w+{_BOT}{_EVERY}minutes", "{stage}.schedule.seconds", _times(60)),
    (rf"\w+{_BOT}{_EVERY}seconds", "{stage}.schedule.seconds", None),
    (rf"\w+{_BOT}jitter_percent", "{stage}.schedule.jitter_percent", None),
    (rf"\w+{_BOT}jitter_minutes", "{stage}.schedule.jitter_percent", _share),
    (r":context\.paths?", "narratives.context", _list),
    (r":budget\.([rt]p[md])(?:_multiplier)?", "budget.{0}", None),
    (r":inference\.(?:api_url|base_url)", "models.inference.base_url", _root),
    (r":inference\.model", "models.inference.model", None),
    (r":providers\.gemini\.default_tier", "models.tier", _tier),
    (r":providers\.gemini\.tiers\.[^.]+\.(max_concurrent)", "models.{0}", None),
)
OF_MODELS: Final = re.compile(
    r'providers\.([^.]+)\.tiers\.([^.]+)\.(?:models\.(?:"(.+)"|([^.]+))\.)?(\w+)(?:\..*)?'
)
RATES: Final = ("rpm", "tpm", "rpd", "tpd", "max_concurrent")

_ALWAYS: Final = "ours does so always"
_MODELS: Final = "limits and prices go by model: [models.limits], [models.prices]"
_SKILLS: Final = "each stage knows what it has to do"
_NAMES: Final = "a stage goes by its own name"
UNUSED: Final[Sequence[tuple[str, str]]] = (
    (r".* = \"null\"", "what is left out has no limit"),
    (r":server\.check_interval_seconds", "timers wake the stages; nothing has to be polled"),
    (r":server\.state_.*", "all state is in PostgreSQL, always"),
    (r":server\.observability\.health_endpoint", "use `botticelli health`"),
    (r":server\.observability\.metrics_enabled", "use `botticelli metrics`"),
    (r":server\.observability\.log_level", "set BOTTICELLI_LOG=debug for more than the usual"),
    (r":server\.circuit_breaker\.(enabled|auto_pause|reset_on_success) = true", _ALWAYS),
    (r":server\.(name|description)", "a project has the name of its folder"),
    (r":database\.pool_size", "a command opens the connections that it needs"),
    (r":database\.connection_timeout_seconds", "write ?connect_timeout=30 into the URL"),
    (r"\w*:(actor|actors\[\d+\])\.(name|description|platform)", _NAMES),
    (r"\w*:actors\[\d+\]\.config_file", "what that file says stands in ours"),
    (rf"\w*:{_ON}enabled = true", "a stage runs once its timer is installed: botticelli timers"),
    (r":bot_server\.enabled = false", "nothing runs before its timer is installed"),
    (r"(post|others):skills\.narrative_execution\..*", "post sends the approved text as it is"),
    (rf"post{_BOT}(narrative.*|model)", "post sends the approved text; no model is asked"),
    (r"\w*:actor\.knowledge.*", "a narrative names the tables that it reads"),
    (r"\w*:(actor\.)?skills(\[\d+\])? = (\[.*\]|\".*\")", _SKILLS),
    (r"\w*:skills\.[^.]+\.name", _SKILLS),
    (r"\w*:actor\.cache.*", "commands of a narrative say how long their answer holds"),
    (r"\w*:actor\.config.*", "only posts have such limits: [destinations.NAME]"),
    (r"\w*:actor\.execution\.processing_strategy = \"single_run\"", _ALWAYS),
    (r"\w*:skills\.content_selection\..*", "curate chooses by scores: [curate.weights]"),
    (r"\w*:skills\.content_scheduling\.randomize.*", "[post.schedule] has its jitter"),
    (r"\w*:skills\.duplicate_check\..*", "[similarity] has measured bounds of its own"),
    (r"\w*:skills\.content_formatter\.max_text_length", "each platform's own limit is kept"),
    (r"\w*:skills\.(rate_limiting|content_scheduling)\..*", "only posts have such rules"),
    (r"\w*:platform\.type = \"discord\"", "a destination is on Discord unless it says otherwise"),
    (rf"\w*:{_SCHEDULE}type = \"Immediate\"", "a stage runs at once when started by hand"),
    (r":inference\.backend", "[models.inference] speaks to any OpenAI-compatible server"),
    (r":providers\.[^.]+\.default_tier", "limits go by model, not by provider"),
    (r":providers\.[^.]+\.tiers\..*\.(name|rpm|tpm|rpd|tpd|cost_\w+)", _MODELS),
)
# What to do about keys without a counterpart.
HINTS: Final[Sequence[tuple[str, str]]] = (
    (r":server\.circuit_breaker\..* = false", "ours cannot be switched off"),
    (rf"\w*:{_ON}enabled = false", "pause its stage: botticelli pause"),
    (r":providers\.anthropic\..*", "reach it as an OpenAI-compatible server: [models.NAME]"),
    (rf"\w*:{_SCHEDULE}.*", "types are Interval, Daily and Cron"),
    (r"\w*:skills\.social_media_posting\..*", "posts go to [destinations.NAME]"),
)


def first(
    table: Sequence[tuple[str, Any, Any]] | Sequence[tuple[str, Any]], subject: str, value: str
) -> tuple[Any, ...]:
    """Return the row whose form fits "STAGE:KEY" or, where it says " = ", that with the value.

    Empty: none fits. The row's form is returned as the match.
    """
    for form, *rest in table:
        text = f"{subject} = {value}" if " = " in form else subject
        if match := re.fullmatch(form, text, re.DOTALL):
            return (match, *rest)
    return ()
