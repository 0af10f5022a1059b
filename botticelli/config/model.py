"""The configuration: every table and key of botticelli.toml, with help, rule and shipped value.

`load` (load.py) makes a `Config` of the file, the environment and the command line: frozen,
complete and checked. A field without `key` is not read from the file.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from botticelli.config.keys import (
    NOTHING,
    ActiveHours,
    active_hours,
    key,
    quiet_date,
    slot,
    time_zone,
)
from botticelli.config.operations import (
    DeskConfig,
    ExperimentConfig,
    Guard,
    HealthConfig,
    Hooks,
    LearningConfig,
    Mode,
    Narratives,
    Recycle,
    RetentionConfig,
    ReviewConfig,
    Security,
    Similarity,
    Source,
    Supervision,
    ThemeConfig,
    Weights,
)
from botticelli.config.project import Project
from botticelli.config.secrets import Secret
from botticelli.records import record

StageName = Literal["collect", "generate", "curate", "post", "observe"]
STAGES: tuple[StageName, ...] = ("collect", "generate", "curate", "post", "observe")


@record
class DatabaseConfig:
    """Where the state is stored.

    Args:
        url: postgresql://...; empty: the embedded PostgreSQL. DATABASE_URL overrides it.
        folder: Data folder of the embedded PostgreSQL; empty: botticelli/postgres under the user's
            state folder.
        binaries: Folder with initdb and postgres to use instead of the bundled ones.
    """

    url: str = key("", eg="${DATABASE_URL}")
    folder: Path = key(eg="/var/lib/botticelli/postgres")
    binaries: Path | None = key(None, eg="/usr/lib/postgresql/17/bin")


@record
class Limits:
    """What the provider allows for one model; keys that are left out keep the built-in value.

    None: unlimited or unknown. Gemini counts input tokens only.

    Args:
        rpm: Requests in any minute.
        tpm: Tokens in any minute.
        rpd: Requests in a day of the provider.
        tpd: Tokens in a day of the provider.
        max_concurrent: Concurrent calls from one process.
        context_window: Tokens that the server reads of a prompt (Ollama: num_ctx); a prompt that is
            certainly larger is not sent.
        time_zone: Zone whose midnight ends the provider's day; Pacific for Gemini, else UTC.
        dollars_a_day: US dollars that calls may cost in a day of the provider, pictures above all.
    """

    rpm: int | None = key(None, min=1, eg=15)
    tpm: int | None = key(None, min=1, eg=250_000)
    rpd: int | None = key(None, min=1, eg=1000)
    tpd: int | None = key(None, min=1, eg=1_000_000)
    max_concurrent: int | None = key(None, min=1, eg=4)
    context_window: int | None = key(None, min=1, eg=8192)
    time_zone: str | None = key(None, parse=time_zone, eg="UTC")
    dollars_a_day: float | None = key(None, over=0, eg=1.0)


@record
class Multipliers:
    """The share of each limit that may be used.

    Args:
        rpm: Requests per minute.
        tpm: Tokens per minute.
        rpd: Requests per day.
        tpd: Tokens per day.
    """

    rpm: float = key(0.8, over=0, max=1)
    tpm: float = key(0.8, over=0, max=1)
    rpd: float = key(0.8, over=0, max=1)
    tpd: float = key(0.8, over=0, max=1)


@record
class Price:
    """US dollars per million tokens, from a date on.

    Args:
        input: Tokens sent.
        output: Tokens received, thinking included.
        cached: Tokens sent that the provider had cached.
        image: US dollars for one picture.
        image_tokens: Tokens received that are a picture; left out: `image` is the price of each.
        valid_from: First day of this price, YYYY-MM-DD.
    """

    input: float = key(min=0, eg=0.1)
    output: float = key(min=0, eg=0.4)
    cached: float | None = key(None, min=0, eg=0.025)
    image: float | None = key(None, min=0, eg=0.04)
    image_tokens: float | None = key(None, min=0, eg=30.0)
    valid_from: date = key(
        date(2000, 1, 1),
        parse=date.fromisoformat,
        pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        eg="2026-01-01",
    )


@record
class NamedModel:
    """A model with settings of its own.

    Args:
        provider: What speaks to it.
        model: The provider's name for it; empty: the name of this table.
        base_url: Root of the API; empty: the provider's own.
        api_key: Best as "${VARIABLE}"; empty: the provider's usual variable.
        path: File of a local or scripted model; folder that pictures are taken from.
        response_format: How a server gives a picture: b64_json or url; left out: as it likes.
    """

    provider: str = key(
        enum=["gemini", "openai", "local", "offline", "scripted", "pictures"], eg="openai"
    )
    model: str = key("", eg="qwen3:8b")
    base_url: str = key("", eg="http://localhost:11434/v1")
    api_key: Secret = key(Secret(""), eg="${MY_MODEL_KEY}")
    path: Path | None = key(None, eg="models/smollm2.gguf")
    response_format: str | None = key(None, enum=["b64_json", "url"], eg="b64_json")


@record
class Models:
    """Which models write and judge; [models.NAME] describes one of your own.

    Args:
        default: The model that writes; the others in a list are used when it is out of budget or
            keeps failing.
        judge: The model that judges; not the writer, so that it does not rate its own words.
        image: The model that makes pictures, for acts of type image.
        vision: The model that writes alt texts, looking at the picture; left out: the default ones.
        only: Used instead of any model that a narrative names; `--offline` sets it.
        tier: Which limits the provider grants you, behind a gateway as well; none: only those of
            [models.limits]. Left out: free, but none for a server on this machine.
        max_concurrent: Concurrent model calls.
        timeout: Longest wait for one answer.
        max_attempts: Attempts at one call before the next model, or failure.
        spend_limit: US dollars that may be spent in any 10 minutes; left out: not limited.
        limits: Limits by model, over the built-in table.
        prices: Prices by model, over the built-in table: one, or a list of them with valid_from.
        aliases: Other names for models: NAME = "model".
    """

    default: tuple[str, ...] = key(("gemini-3.5-flash-lite",), single=True, each={"minLength": 1})
    judge: tuple[str, ...] = key(("gemini-3.8-flash",), single=True, each={"minLength": 1})
    image: tuple[str, ...] = key(("gemini-nano-banana-2.1",), single=True, each={"minLength": 1})
    vision: tuple[str, ...] = key((), single=True, each={"minLength": 1}, eg="gemini-3.5-flash")
    only: tuple[str, ...] = ()
    tier: str | None = key(None, enum=["free", "tier1", "tier2", "tier3", "none"], eg="tier1")
    max_concurrent: int = key(8, min=1, max=64)
    timeout: timedelta = key(timedelta(seconds=120), unit="seconds", over=0)
    max_attempts: int = key(4, min=1, max=20)
    spend_limit: float | None = key(None, over=0, eg=1.0)
    limits: Mapping[str, Limits] = key(NOTHING)
    prices: Mapping[str, tuple[Price, ...]] = key(NOTHING)
    aliases: Mapping[str, str] = key(
        NOTHING, each={"minLength": 1}, eg={"writer": "gemini-3.5-flash-lite"}
    )
    named: Mapping[str, NamedModel] = key(NOTHING, name="*")
    gemini_key: Secret = Secret("")
    gemini_base_url: str = ""
    openai_key: Secret = Secret("")
    openai_base_url: str = ""


@record
class Schedule:
    """When the timer of this stage starts it.

    Args:
        kind: Every so many seconds, at times of every day, or as a crontab line says.
        interval: Length of the interval (Interval).
        jitter_percent: Each interval is longer or shorter by up to this share, drawn anew each time
            (Interval).
        at: Times of day, HH:MM (Daily).
        cron: minute hour day month weekday, as in a crontab (Cron).
        time_zone: Time zone of the times (Daily, Cron).
        delay: Longest random delay after each of the times (Daily, Cron).
    """

    kind: Literal["Interval", "Daily", "Cron"] = key("Interval", name="type")
    interval: timedelta = key(name="seconds", type="integer", min=1)
    jitter_percent: float = key(0.0, min=0, max=100)
    at: tuple[str, ...] = key(
        (),
        each={"description": "HH:MM", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"},
        minItems=1,
        eg=["09:00", "17:30"],
    )
    cron: str = key("", minLength=1, eg="0 9-21/2 * * mon-fri")
    time_zone: str = key("UTC", parse=time_zone, minLength=1, eg="Europe/Berlin")
    delay: timedelta = key(timedelta(0), name="jitter_minutes", min=0, max=1440, eg=30)


@record
class Retry:
    """How often a stage tries again within one run.

    Args:
        max_retries: Further attempts at one piece of work after a transient failure.
        continue_on_error: Go on with the other pieces after one has failed for good.
        stop_on_unrecoverable: Stop at a failure that no further piece can escape, such as a wrong
            key.
    """

    max_retries: int = key(2, min=0, max=20)
    continue_on_error: bool = key(True)
    stop_on_unrecoverable: bool = key(True)


@record
class CollectConfig:
    """Reads the sources, [sources.NAME], for things to write about."""

    schedule: Schedule = key(Schedule(interval=timedelta(hours=1), jitter_percent=20))


@record
class GenerateConfig:
    """Has a model write candidates.

    Args:
        narrative: FILE or FILE.NAME in the narratives' folders.
        iterations: How often the carousel is repeated; left out: as the narrative says.
    """

    narrative: str = key("generation_carousel.batch_generate", minLength=1)
    iterations: int | None = key(None, min=1, max=10_000, eg=10)
    retry: Retry = key(Retry(), name="")
    schedule: Schedule = key(Schedule(interval=timedelta(days=1), jitter_percent=10))


@record
class CurateConfig:
    """Has a model judge candidates and approves the best.

    Args:
        narrative: FILE or FILE.NAME in the narratives' folders.
        batch: Candidates shown to the judge in one call.
        min_score: Least total (of 50) that may be approved.
        approve_per_run: Most posts approved by one run.
        samples: Passes of the judge over each candidate, each in another order; scores are their
            means.
        require_checks: Never approve automatically a candidate that fails one of the judge's yes/no
            checks.
        ranking: Have the judge rank candidates that tie for the last places, if they are eight or
            more.
        reserve: Next best that are kept for a run in which nothing passes.
        mode: auto: the best are approved; human: they are proposed, and a person approves.
        drain: drain_queue: judge until nothing is pending; single_run: one batch.
    """

    narrative: str = key("curate_and_approve", minLength=1)
    batch: int = key(10, min=1, max=100)
    min_score: float = key(35, min=0, max=50)
    approve_per_run: int = key(3, min=1, max=100)
    samples: int = key(1, min=1, max=9)
    require_checks: bool = key(False)
    ranking: bool = key(True)
    reserve: int = key(0, min=0, max=100)
    mode: Mode = key("auto")
    drain: bool = key(
        False,
        name="processing_strategy",
        parse="drain_queue".__eq__,
        type="string",
        enum=["single_run", "drain_queue"],
        default="single_run",
    )
    retry: Retry = key(Retry(max_retries=3), name="")
    schedule: Schedule = key(Schedule(interval=timedelta(hours=12), jitter_percent=15))
    weights: Weights = key(Weights())


@record
class PostConfig:
    """Publishes approved posts.

    Args:
        limit: Most posts one run publishes to one destination.
    """

    limit: int = key(1, min=1, max=100)
    retry: Retry = key(Retry(), name="")
    schedule: Schedule = key(Schedule(interval=timedelta(hours=2), jitter_percent=25))


@record
class ObserveConfig:
    """Counts what readers did with posts, if [learning] observe says so."""

    schedule: Schedule = key(Schedule(interval=timedelta(minutes=30), jitter_percent=20))


@record
class Destination:
    """A place that posts go to, and its rules.

    Args:
        name: NAME of [destinations.NAME].
        platform: Kind of place.
        channel: The channel's id; left out: POSTING_CHANNEL_ID.
        token: The bot's token, best as "${VARIABLE}"; left out: DISCORD_TOKEN.
        webhook: URL of a webhook to use instead of a bot, best as "${VARIABLE}".
        base_url: Root of the platform's API, with its version; DISCORD_API_BASE overrides it.
        account: The account that is meant, such as "@news" or "news.example.org"; left out: the
            token's. Matrix finds the server of @NAME:SERVER.
        language: Language of posts that do not say theirs, such as "en".
        visibility: Who sees the posts (Mastodon).
        content_warning: What stands before each post, which is shown on demand (Mastodon).
        folder: Where an outbox or a feed writes its files.
        title: Of a feed; left out: the destination's name.
        link: Web address of the site that a feed belongs to.
        api_key: API key of the app (X), best as "${VARIABLE}".
        api_secret: Secret of the API key (X).
        token_secret: Secret of the access token (X).
        dollars_a_month: Most US dollars that its posts may cost in a calendar month (UTC); a lost
            answer counts as paid.
        active_hours: Local hours in which posts may go out, such as "09:00-21:00"; left out: at any
            hour.
        time_zone: Time zone of hours, days and dates, such as "Europe/Berlin".
        min_interval: Least time between two posts.
        posts_per_day: Most posts on one local day; left out: no limit.
        quiet_dates: Days without posts: "12-25" (every year) or "2026-12-25".
        missed: What becomes of rounds that were missed: skip them, make up one, or spread the
            backlog out.
        slots: Local times at which posts go out, such as "mon-fri 09:00" or "sat 11:00"; left out:
            in its rhythm.
        pins: Whether a post that is pinned to an instant waits for the least time between two posts
            and for the next day if this one is full (polite), or goes out then (exact).
        too_long: What becomes of a post that is too long for the platform.
        adapt: Narrative that shortens such a post first, such as "adapt.shorten"; left out: none.
        alt: What becomes of a post whose picture has no words for those who do not see it: it is
            held, words are made (and it is held without), or it goes out as it is.
        tags: Only posts with one of these tags; empty: all.
        content_types: Only posts of one of these types; empty: all.
        crosspost: Publish to following servers (announcement channels).
        thread_name: Open a thread of this name under each post; empty: none. In a forum: the title
            of each post; empty: its first line.
        forum: Open a post of the forum that the channel is, for each.
        forum_tags: Its tags, by name or id.
        silent: Notify nobody of the posts.
        poll_hours: Make a poll of a question at the end of a post and the list of answers below it,
            open for so many hours (Discord); left out: no polls.
        suppress_embeds: Show no previews of links.
        edits: What an edit of a published post does where the platform shows none: refuse it, or
            replace the post by a new one.
        options: Further options of a plugin's platform.
    """

    name: str
    platform: str = key(minLength=1, eg="discord")
    channel: str = key("", type=["string", "integer"], eg="${POSTING_CHANNEL_ID}")
    token: Secret = key(Secret(""), eg="${DISCORD_TOKEN}")
    webhook: Secret = key(Secret(""), eg="${DISCORD_WEBHOOK}")
    base_url: str = key("", eg="https://discord.com/api/v10")
    account: str = key("", eg="@news")
    language: str = key("", pattern="^([A-Za-z]{2,3}(-[A-Za-z0-9]+)*)?$", eg="en")
    visibility: Literal["public", "unlisted", "private", "direct"] = key("public")
    content_warning: str = key("")
    folder: Path = key(Path("outbox"))
    title: str = key("", eg="News of the garden")
    link: str = key("", eg="https://example.org")
    api_key: Secret = key(Secret(""), eg="${X_API_KEY}")
    api_secret: Secret = key(Secret(""), eg="${X_API_SECRET}")
    token_secret: Secret = key(Secret(""), eg="${X_TOKEN_SECRET}")
    dollars_a_month: float = key(10.0, min=0)
    active_hours: ActiveHours | None = key(
        None,
        parse=active_hours,
        pattern="^[0-9]{1,2}:[0-9]{2} *- *[0-9]{1,2}:[0-9]{2}$",
        eg="09:00-21:00",
    )
    time_zone: str = key("UTC", parse=time_zone)
    min_interval: timedelta = key(timedelta(hours=1), unit="minutes", min=0)
    posts_per_day: int | None = key(None, min=1, eg=6)
    quiet_dates: tuple[str, ...] = key(
        (), parse=quiet_date, each={"pattern": "^([0-9]{4}-)?[0-9]{2}-[0-9]{2}$"}, eg=["12-25"]
    )
    missed: Literal["skip", "one", "spread"] = key("one")
    slots: tuple[str, ...] = key((), parse=slot, eg=["mon-fri 09:00", "sat 11:00"])
    pins: Literal["polite", "exact"] = key("polite")
    too_long: Literal["refuse", "split"] = key("refuse")
    adapt: str = key("", eg="adapt.shorten")
    alt: Literal["required", "generate", "none"] = key("required")
    tags: tuple[str, ...] = key((), eg=["news"])
    content_types: tuple[str, ...] = key((), eg=["discord_post"])
    crosspost: bool = key(False)
    thread_name: str = key("", eg="Discussion")
    forum: bool = key(False)
    forum_tags: tuple[str, ...] = key((), eg=["News"])
    silent: bool = key(False)
    poll_hours: int | None = key(None, min=1, max=768, eg=24)
    suppress_embeds: bool = key(False)
    edits: Literal["refuse", "replace"] = key("refuse")
    guard: Guard = key(Guard())
    recycle: Recycle = key(Recycle())
    options: Mapping[str, Any] = key(NOTHING)


@record
class Config:
    """Configuration of Botticelli.

    Args:
        source: The file it came from; None: the shipped defaults.
        destinations: Places that posts go to, by name; left out: one Discord channel,
            POSTING_CHANNEL_ID.
        sources: Places where things to write about are found, by name.
        themes: What to write about in parts of the year, by name.
        experiments: Ways of writing that are compared, by name; one at a time for a destination.
        unset: Key path -> environment variable that the file names and nobody has set. Its value is
            empty here; who needs it raises ConfigError, and `check` lists them all.
        untrusted: Folder of the project whose files ask for more than the user has said yes to.
    """

    source: Path | None = None
    project: Project = key(Project())
    database: DatabaseConfig = key()
    narratives: Narratives = key(Narratives())
    models: Models = key(Models())
    budget: Multipliers = key(Multipliers())
    collect: CollectConfig = key(CollectConfig())
    generate: GenerateConfig = key(GenerateConfig())
    curate: CurateConfig = key(CurateConfig())
    similarity: Similarity = key(Similarity())
    review: ReviewConfig = key(ReviewConfig())
    post: PostConfig = key(PostConfig())
    observe: ObserveConfig = key(ObserveConfig())
    learning: LearningConfig = key(LearningConfig())
    supervision: Supervision = key(Supervision(), name="")
    destinations: Mapping[str, Destination] = key(NOTHING)
    sources: Mapping[str, Source] = key(NOTHING)
    themes: Mapping[str, ThemeConfig] = key(NOTHING)
    experiments: Mapping[str, ExperimentConfig] = key(NOTHING)
    security: Security = key(Security())
    desk: DeskConfig = key(DeskConfig())
    hooks: Hooks = key(Hooks())
    health: HealthConfig = key(HealthConfig())
    retention: RetentionConfig = key(RetentionConfig())
    unset: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    untrusted: Path | None = None

    @property
    def time_zone(self) -> str:
        """The project's time zone: that of its first destination."""
        return next((one.time_zone for one in self.destinations.values()), "UTC")

    def decides(self, experiment: ExperimentConfig) -> str:
        """Return the destination whose readers decide about an experiment."""
        return experiment.to or next(iter(self.destinations), "")

    @property
    def stages(self) -> tuple[StageName, ...]:
        """The stages that have work in this project."""
        is_idle = {"collect": not self.sources, "observe": not self.learning.observe}
        return tuple(name for name in STAGES if not is_idle.get(name))

    @property
    def schedules(self) -> Mapping[str, Schedule]:
        """The schedule of each stage, by its name."""
        return {name: getattr(self, name).schedule for name in STAGES}
