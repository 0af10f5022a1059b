"""The parts of the configuration: curation, hooks, health, retention, security."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from botticelli.config.keys import NOTHING, day_or_none, key, pattern
from botticelli.config.secrets import Secret
from botticelli.records import record

IDS: Mapping[str, Any] = {"type": ["string", "integer"], "pattern": "^[0-9]+$"}
AN_ID = ["123456789012345678"]
Mode = Literal["auto", "human"]


@record
class Weights:
    """What each criterion counts in the total of 50; 0 leaves it out.

    Args:
        engagement: Weight of engagement.
        clarity: Weight of clarity.
        value: Weight of value.
        tone: Weight of tone.
        polish: Weight of polish.
    """

    engagement: float = key(1, min=0, max=100)
    clarity: float = key(1, min=0, max=100)
    value: float = key(1, min=0, max=100)
    tone: float = key(1, min=0, max=100)
    polish: float = key(1, min=0, max=100)


@record
class Similarity:
    """When a text counts as a repeat: such candidates are not judged, such posts not sent.

    docs/curation.md has the figures behind the defaults.

    Args:
        window: How far back candidates and posts are compared.
        near: Share of common trigrams from which two texts are the same; 1: only identical words.
        reworded: Cosine similarity of meaning from which a text is perhaps the same, for a person
            to decide if the judge does not; 1: never. Needs the extra 'similarity', knows English.
    """

    window: timedelta = key(timedelta(days=90), unit="days", type="integer", min=1, max=3650)
    near: float = key(0.55, min=0.3, max=1)
    reworded: float = key(0.45, min=0.3, max=1)


@record
class StageHooks:
    """Whom to notify: URLs, commands, Apprise addresses. All may hold secrets.

    Args:
        ping: URL of a dead man's switch like healthchecks.io: /start and /fail are added.
        on_failure: Notified when a run has failed: a URL (POST), a command, or an Apprise address.
        on_success: Notified when a run has done its work.
        on_breaker_open: Notified when repeated failures have opened the stage's breaker.
        on_empty_queue: Notified when a run found nothing to work on.
    """

    ping: Secret = key(Secret(""), eg="https://hc-ping.com/your-uuid")
    on_failure: tuple[Secret, ...] = key((), single=True, eg="notify-send botticelli")
    on_success: tuple[Secret, ...] = key((), single=True, eg="https://example.org/hook")
    on_breaker_open: tuple[Secret, ...] = key(
        (), single=True, eg="mailtos://user:password@example.org"
    )
    on_empty_queue: tuple[Secret, ...] = key((), single=True, eg="logger -t botticelli")


NO_HOOKS = StageHooks()
GROUPS = ("every", "collect", "generate", "curate", "post", "observe")  # of hooks


@record
class Hooks:
    """Notifications of how runs ended. A hook that fails never fails a run.

    Args:
        timeout: Longest wait for one hook.
        environment: Names of further variables that commands get, besides PATH, HOME and the like.
        every: For every stage.
        collect: For the collect stage, besides those above.
        generate: For the generate stage, besides those above.
        curate: For the curate stage, besides those above.
        post: For the post stage, besides those above.
    """

    timeout: timedelta = key(timedelta(seconds=10), unit="seconds", over=0, max=300)
    environment: tuple[str, ...] = key((), eg=["NTFY_TOKEN"])
    every: StageHooks = key(NO_HOOKS, name="")
    collect: StageHooks = key(NO_HOOKS)
    generate: StageHooks = key(NO_HOOKS)
    curate: StageHooks = key(NO_HOOKS)
    post: StageHooks = key(NO_HOOKS)
    observe: StageHooks = key(NO_HOOKS)

    def targets(self) -> Iterator[tuple[str, Secret]]:
        """Yield every address and command, each with its key, such as hooks.post.ping."""
        for stage in GROUPS:
            for name, found in vars(getattr(self, stage)).items():
                key = f"hooks.{stage}.{name}".replace(".every", "")
                targets = (found,) if isinstance(found, Secret) else found
                yield from ((key, target) for target in targets if target)


@record
class HealthConfig:
    """When `botticelli health` reports a problem.

    Args:
        late_factor: A stage is late when its last success is older than this many of its intervals.
        pending_candidates: More candidates than this wait for the judge.
        stuck: A delivery has been uncertain, or due and not sent, for longer.
        budget_left_percent: Less than this share of a model's day is left.
        disk_free_mb: Less than this is free where the state is stored.
    """

    late_factor: float = key(2.5, over=0)
    pending_candidates: int = key(500, min=1)
    stuck: timedelta = key(timedelta(hours=6), unit="minutes", over=0)
    budget_left_percent: float = key(1, min=0, max=100)
    disk_free_mb: float = key(500, min=0)


@record
class ReviewConfig:
    """How people decide.

    Args:
        who: The name that decisions are recorded under; left out: user@host.
    """

    who: str = key("", eg="Ada")


@record
class DeskConfig:
    """The desk, in a browser: `botticelli desk`.

    Args:
        listen: HOST:PORT it listens on. Other machines reach it only if people have passwords, or
            a proxy says who they are.
        hosts: Further names it is reached by, as a proxy passes them on.
        user_header: Header in which a proxy says who is there; believed over a unix socket, or
            with the secret.
        proxy_secret: What that proxy sends as X-Botticelli-Proxy, best as "${VARIABLE}".
        proxy_role: Role of whom a proxy names and `desk user` does not.
    """

    listen: str = key("127.0.0.1:8080", pattern=r"^(\S+:\d+|fd://.*)$")
    hosts: tuple[str, ...] = key((), eg=["desk.example.org"])
    user_header: str = key("", eg="Remote-User")
    proxy_secret: Secret = key(Secret(""), eg="${DESK_PROXY_SECRET}")
    proxy_role: Literal["viewer", "editor", "approver", "admin"] = key(
        "viewer", enum=["viewer", "editor", "approver", "admin"]
    )


@record
class LearningConfig:
    """What readers' reactions may change: docs/learning.md. All of it is off until you say so.

    Args:
        observe: Count reactions and replies at fixed ages of each post.
        like: What a reaction or like counts in a post's score.
        reply: What a reply counts.
        repost: What a repost, boost or quote counts.
        multiplier: Multiply the judge's total by what readers liked of an angle, a theme, a length,
            before the best are chosen.
        examples: Give narratives the best and the worst posts: {{best_posts}}, {{worst_posts}}.
        shares: Write more posts of the angles that readers like, fewer of the others.
        most: Bound of the multiplier: 0.1 is from 0.9 to 1.1.
        exploration: Share of the candidates that are chosen without the multiplier.
        freeze: Learn nothing from what was posted after this day, YYYY-MM-DD.
    """

    observe: bool = key(False)
    like: float = key(1, min=0, max=100)
    reply: float = key(2, min=0, max=100)
    repost: float = key(2, min=0, max=100)
    multiplier: bool = key(False)
    examples: bool = key(False)
    shares: bool = key(False)
    most: float = key(0.1, min=0, max=0.1)
    exploration: float = key(0.15, min=0.1, max=1)
    freeze: date | None = key(
        None,
        parse=date.fromisoformat,
        pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        eg="2026-12-31",
    )


@record
class RetentionConfig:
    """How many days `botticelli db prune` keeps what is only history; 0: for ever.

    Args:
        act_executions: Prompts and answers of models.
        runs: Runs of the stages.
        rejected_candidates: Candidates that were not chosen.
        command_audit: Bot commands that were run or refused.
    """

    act_executions: int = key(180, min=0)
    runs: int = key(400, min=0)
    rejected_candidates: int = key(400, min=0)
    command_audit: int = key(400, min=0)


@record
class Security:
    """What bot commands of narratives may do; stronger than what a narrative allows itself.

    Args:
        writes: Whether a writing command without a permission may run; ask: confirm at a terminal,
            refuse elsewhere.
        allowed_commands: Commands that may always run; * stands for anything.
        deny: Commands that never run, whatever a narrative says.
        require_confirmation: Commands that a person must confirm each time: botticelli approvals.
        guild_ids: Servers that may be touched; left out: any.
        channel_ids: Channels, or categories of channels, that may be touched; left out: any.
        channel_prefix: How the name of every channel that is touched must begin.
        max_length: Most UTF-16 units of any text that is sent.
        max_mentions: Most mentions in one command.
        max_links: Most links in one command.
        allowed_links: Host names that may be linked, with their sub-domains; left out: any.
        rate_limits: How often a command may run, by its name.
        approve_without_review: Whether trusted narratives may write approved posts, past the judge.
    """

    writes: Literal["ask", "allow", "deny"] = key("ask")
    allowed_commands: tuple[str, ...] = key((), eg=["messages.send", "database.update_table"])
    deny: tuple[str, ...] = key((), eg=["members.*", "channels.delete"])
    require_confirmation: tuple[str, ...] = key((), eg=["messages.clear"])
    guild_ids: tuple[str, ...] = key((), each=IDS, eg=AN_ID)
    channel_ids: tuple[str, ...] = key((), each=IDS, eg=AN_ID)
    channel_prefix: str = key("", eg="bot-")
    max_length: int | None = key(None, min=0, eg=2000)
    max_mentions: int | None = key(None, min=0, eg=0)
    max_links: int | None = key(None, min=0, eg=3)
    allowed_links: tuple[str, ...] | None = key(None, eg=["example.org"])
    rate_limits: Mapping[str, str] = key(
        NOTHING,
        each={
            "description": 'A number and a span: "5/minute"; also second, hour, day.',
            "pattern": "^\\s*[0-9]+\\s*(/|per)\\s*(second|minute|hour|day)s?\\s*$",
        },
        eg={"messages.send": "5/minute"},
    )
    approve_without_review: bool = key(False)


@record
class Source:
    """A place where things to write about are found; a narrative takes them as `sources.NAME`.

    Args:
        name: NAME of [sources.NAME].
        kind: What it is: a feed (RSS, Atom), a web page, the releases or tags of a GitHub
            repository, a folder of Markdown files, a Discord channel, or a table of the database.
        url: Address of a feed or a page; of a GitHub server other than github.com.
        repository: OWNER/NAME of a GitHub repository.
        what: What of the repository.
        folder: Folder of Markdown files; their front matter may name title, date and link.
        channel: Id of a Discord channel, read by the bot of DISCORD_TOKEN.
        table: Table whose rows are the items; its columns are found by their names.
        where: Which of its rows: one boolean SQL expression.
        interval: How often it is read.
        max_age: Older items are never written about.
        reuse_after: After how long an item may be written about again; left out: never.
    """

    name: str
    kind: Literal["feed", "page", "github", "folder", "discord", "table"] = key(eg="feed")
    url: str = key("", eg="https://example.org/feed.xml")
    repository: str = key("", pattern="^[^/\\s]+/[^/\\s]+$", eg="owner/project")
    what: Literal["releases", "tags"] = key("releases")
    folder: Path = key(Path("content"), eg="content/blog")
    channel: str = key("", type=["string", "integer"], eg=AN_ID)
    table: str = key("", eg="articles")
    where: str = key("", eg="status = 'published'")
    interval: timedelta = key(timedelta(hours=1), unit="minutes", min=1)
    max_age: timedelta = key(timedelta(days=30), unit="days", min=1, max=36500)
    reuse_after: timedelta | None = key(None, unit="days", min=1, max=36500, eg=180)

    @property
    def place(self) -> str:
        """Where it is: another place under the same name is another source."""
        if self.kind == "github":
            server = (self.url or "https://github.com").rstrip("/")
            return f"{server}/{self.repository}/{self.what}.atom"
        places = {"folder": str(self.folder), "discord": self.channel, "table": self.table}
        return places.get(self.kind, self.url)


@record
class Narratives:
    """Where narratives and the files they name are looked up.

    Args:
        folders: Folders with narratives, searched in this order; the shipped ones come last.
        context: Folders for file names in narratives.
        writable_tables: Tables that database commands of narratives may change.
        private_urls: Whether narratives may read media from private networks and this machine.
        environment: Variables that narratives may read, besides ids such as TEST_GUILD_ID; what is
            secret never.
    """

    folders: tuple[Path, ...] = key((Path("narratives"),))
    context: tuple[Path, ...] = key((), eg=["narratives"])
    writable_tables: tuple[str, ...] = key(
        ("approved_discord_posts", "potential_discord_posts", "content", "post_history")
    )
    private_urls: bool = key(False)
    environment: tuple[str, ...] = key(
        (), each={"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}, eg=["CITY"]
    )


@record
class Supervision:
    """What keeps runs apart and failing stages quiet.

    Args:
        failure_threshold: Failed runs in a row that open the breaker.
        reset_timeout: How long it refuses before it tries one run.
        lease: How long a lock or claim outlives its holder's last heartbeat.
        circuit_breaker: Pauses a stage that fails again and again.
    """

    failure_threshold: int = key(5, name="circuit_breaker.failure_threshold", min=1)
    reset_timeout: timedelta = key(
        timedelta(seconds=300), name="circuit_breaker.reset_timeout_seconds", min=0
    )
    lease: timedelta = key(timedelta(seconds=45), name="lease.seconds", min=5, max=60)


@record
class Guard:
    """What no message may hold; a post that does is held for a person.

    Args:
        forbidden: Regular expressions, searched without regard to case.
        allowed_links: Hosts that may be linked, with their sub-domains; left out: any.
        allow_invites: Whether invitations to other servers may stand in a post.
        allowed_mentions: Ids of users or roles that a post may ping.
    """

    forbidden: tuple[str, ...] = key((), parse=pattern, eg=["\\bgiveaway\\b"])
    allowed_links: tuple[str, ...] | None = key(None, eg=["github.com"])
    allow_invites: bool = key(False)
    allowed_mentions: tuple[str, ...] = key((), eg=AN_ID)


@record
class Recycle:
    """Says the best posts of a destination anew, after a while.

    Args:
        after: Days since a post, or what was made of it, went out there; 0: never.
        at_most: How often one post is said anew.
        narrative: Narrative that writes it, of FILE.NAME or FILE.
    """

    after: timedelta = key(timedelta(0), unit="days", type="integer", min=0, max=3650, eg=90)
    at_most: int = key(1, min=1, max=100)
    narrative: str = key("recycle")


@record
class ThemeConfig:
    """Something to write about in a part of the year; narratives read it as {{theme}}.

    Args:
        begins: First day: "12-01" (every year) or "2026-12-01".
        ends: Last day, included.
        holiday: A holiday instead, "COUNTRY: NAME" or "COUNTRY-REGION: NAME".
        calendar: An .ics file instead, each of whose events is one.
        days_before: Days before a holiday or an event that it begins.
        days_after: Days behind it that it still goes on.
        brief: What the writer is told.
        tags: Tags that its posts get.
        weight: The share of a batch that is about it.
    """

    begins: str = key("", name="from", parse=day_or_none, eg="12-01")
    ends: str = key("", name="to", parse=day_or_none, eg="12-26")
    holiday: str = key("", eg="US: Thanksgiving Day")
    calendar: Path | None = key(None, eg="events.ics")
    days_before: int = key(7, min=0, max=366)
    days_after: int = key(0, min=0, max=366)
    brief: str = key("", eg="The garden in winter: rest, plans, birds.")
    tags: tuple[str, ...] = key((), eg=["winter"])
    weight: float = key(0.3, over=0, max=1)


@record
class ExperimentConfig:
    """Posts are written in two or three ways; narratives see which as {{experiment.NAME}}.

    Args:
        arms: The ways, in words for the prompt.
        to: The destination whose readers decide; left out: the first one.
        mode: test: find out whether one is better; thompson: write more of what seems better.
        rule: When a test ends: at `posts` of each arm, or sooner if the difference is large.
        posts: Posts of each arm at which a test ends.
        use: The arm of all posts from now on: the experiment is over.
    """

    arms: tuple[str, ...] = key(
        each={"minLength": 1},
        minItems=2,
        maxItems=3,
        uniqueItems=True,
        eg=["a question", "a number"],
    )
    to: str = key("", eg="main")
    mode: Literal["test", "thompson"] = key("test")
    rule: Literal["fixed", "sequential"] = key("fixed")
    posts: int = key(80, min=10, max=1000)
    use: str = key("", eg="a number")
