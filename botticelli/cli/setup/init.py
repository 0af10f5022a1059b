"""`botticelli init`."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from botticelli import files
from botticelli.cli.setup import answers, draft
from botticelli.cli.setup.sample import Choices, sample
from botticelli.cli.setup.trust import trust_own
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.cli.shell.output import Console, render
from botticelli.config.load import load
from botticelli.config.model import Config
from botticelli.config.sources import NAME as SETTINGS
from botticelli.config.sources import with_dotenv
from botticelli.errors import BotticelliError, ConfigError, UsageError
from botticelli.narrative.files import about
from botticelli.platforms.open import PLATFORMS
from botticelli.records import record

Meaning = TypeVar("Meaning")

VARIABLES: Final = """\
# Copy this to .env (cp .env.example .env; chmod 600 .env) and fill it in: botticelli reads .env
# beside botticelli.toml. Real environment variables take precedence. Keep .env to yourself.

# https://aistudio.google.com/apikey
GEMINI_API_KEY=

# The bot's token (https://discord.com/developers/applications)
DISCORD_TOKEN=
# The channel it writes to, unless botticelli.toml names one
# POSTING_CHANNEL_ID=
# In place of a bot, a webhook's URL: webhook = "${DISCORD_WEBHOOK}" in botticelli.toml
# DISCORD_WEBHOOK=

# Without it: the embedded PostgreSQL
# DATABASE_URL=postgresql://user:password@localhost/botticelli
"""
IGNORED: Final = "# Keys and tokens, posts written to files, state\n.env\n/outbox/\n/state/\n"
YOURS: Final = (about.NAME, ".env", ".gitignore")  # never written twice, not even with --force
QUESTIONS: Final[Mapping[str, str]] = {
    "who": """
1. Who are you, and for whom do you write?
   such as: the Leeds chess club, for its members and those who may become one
""",
    "what": """
2. What shall be written about?
   such as: openings, endgames, our Thursday evenings, the tournament in May
""",
    "channel": """
3. Where do posts go?
   a Discord channel's id or link, a webhook's URL, or: file (a folder)
""",
    "model": """
4. Which model writes?
   gemini, ollama:NAME, NAME@URL of an OpenAI-compatible server, local,
   or: offline (filler texts, to try things out)
""",
}
NEXT: Final = (
    ("botticelli db init", "create its database"),
    ("botticelli check --online", "what is still missing"),
    ("botticelli generate --iterations 1", "write candidates; --dry-run: the cost"),
    ("botticelli curate --drain", "score them, approve the best"),
    ("botticelli post --dry-run", "the very message; nothing is sent"),
)


@record
class CreatedProject:
    """What `init` wrote and kept.

    Args:
        kept: Files that were there, and stay as they are.
        to_fill_in: What only a person can give, a line each.
        next: The commands that come next.
    """

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]
    to_fill_in: tuple[str, ...]
    next: tuple[str, ...]


@record
class Given:
    """What a new project is to be: its page, where posts go, and the settings of its models."""

    page: str
    place: answers.GivenPlace
    models: Mapping[tuple[str, ...], object]


@command()
def init(
    env: Environment,
    folder: Path = Path(),
    *,
    about_text: str = "",
    channel: str = "",
    model: str = "",
    source: str = "",
    yes: bool = False,
    force: bool = False,
) -> CreatedProject:
    """Create a project: ABOUT.md, settings, narratives.

    Asks four questions at a terminal; options answer them. Files that are there are kept.

    Takes:
        folder [DIR]: The folder; created if missing.
        about_text --about TEXT: Who you are, for whom, and about what.
        channel WHERE: A Discord channel's id or link, or file.
        model NAME: gemini, ollama:NAME, NAME@URL, local or offline.
        source --from URL|FILE: Have the model draft ABOUT.md from it.
        yes --yes,-y: Ask nothing, and trust what is there already.
        force: Overwrite settings and narratives, no text of yours.

    Examples:
        botticelli init my-channel
        botticelli init --from https://example.org/club --yes
        botticelli init --about "The Leeds chess club" --channel file --model gemini
    """
    target = (env.cwd / folder).resolve()
    has_settings = os.path.lexists(target / SETTINGS) and not force
    options = {"about": about_text.strip(), "channel": channel.strip(), "model": model.strip()}
    needed = [
        *([] if source or os.path.lexists(target / about.NAME) else ["about"]),
        *(["channel", "model"] if not has_settings else []),
    ]
    private = has_settings and env.at(target).config.narratives.private_urls
    text = draft.read(env, source, private=private) if source else ""
    given = _given(env, options, needed=needed, is_asking=not yes)
    if source and not has_settings:
        draft.refuse_offline(str(given.models["models", "default"]))
    report = _create(env, target, given, force=force, yes=yes)
    return _drafted(env, report, text, source=source) if source else report


def _drafted(env: Environment, report: CreatedProject, text: str, *, source: str) -> CreatedProject:
    """Have ABOUT.md drafted; a page that a person has written is kept beside the draft."""
    there = env.at(report.folder)
    there.writes = True
    try:
        page = draft.draft(there, text, source=source)
    except BotticelliError:
        env.say(f"{report.folder} is written; when this is fixed, the same command drafts ABOUT.md")
        raise
    path = report.folder / about.NAME
    if path.read_text("utf-8", "replace") != about.page():
        path = report.folder / "ABOUT.draft.md"
    _write(path, page.encode(), mode=0o666)
    left = tuple(_to_fill_in(env, report.folder, list(report.kept)))
    return replace(report, written=(*report.written, path.name), to_fill_in=left)


def _given(
    env: Environment, options: Mapping[str, str], *, needed: Sequence[str], is_asking: bool
) -> Given:
    """Return what the options say, and what is asked for at the terminal."""
    models = partial(answers.models_of, ask=partial(answers.models_at, say=env.say))
    given = Given(
        page=about.page(both=_text(options["about"])),
        place=answers.place_of(options["channel"]),
        models=models(options["model"]),
    )
    if ignored := [f"--{name}" for name, text in options.items() if text and name not in needed]:
        env.say(f"{', '.join(ignored)} left aside: the file is there, and is kept")
    if given.place.secrets:
        env.say("a webhook's URL is a secret, and stands in the history of your shell now")
    asked = [name for name in needed if is_asking and not options[name]]
    if not asked:
        return given
    if not (sys.stdin is not None and sys.stdin.isatty() and env.stderr.isatty()):
        raise UsageError(
            f"there is no terminal to ask at: {', '.join(f'--{name}' for name in asked)} missing",
            hint="give the options, or --yes to fill in the files later",
        )
    env.stderr.write("Enter leaves a question for later; Ctrl-C ends, and nothing is written.\n")
    if "about" in asked:
        who, what = _ask(env, "who", _text), _ask(env, "what", _text)
        given = replace(given, page=about.page(who=who, what=what))
    if "channel" in asked:
        given = replace(given, place=_ask(env, "channel", answers.place_of))
    if "model" in asked:
        given = replace(given, models=_ask(env, "model", models))
    return given


def _text(answer: str) -> str:
    """Return an answer as a file can hold it."""
    plain = "".join(sign for sign in answer if sign.isprintable() or sign == "\n")
    return plain.encode("utf-8", "replace").decode().strip()


def _ask(env: Environment, question: str, meaning: Callable[[str], Meaning]) -> Meaning:
    """Ask until the answer means something."""
    env.stderr.write(QUESTIONS[question])
    while True:
        env.stderr.write("> ")
        env.stderr.flush()
        try:
            line = sys.stdin.readline()
        except ValueError:
            env.complain("this is not text of the terminal's encoding; write it again")
            continue
        if not line:
            raise UsageError("the questions were not answered: nothing is written")
        try:
            return meaning(line.strip())
        except UsageError as error:
            env.complain(error.what)
            env.stderr.write(f"   {error.hint}\n")


def _create(
    env: Environment, target: Path, given: Given, *, force: bool, yes: bool
) -> CreatedProject:
    written, kept = [], []
    for name, content in _files(target, given):
        path = target / name
        if os.path.lexists(path) and (not force or name in YOURS):
            kept.append(name)
            continue
        _write(path, content, mode=0o600 if name == ".env" else 0o666)
        written.append(name)
    own = {target / name for name in written}
    if not {SETTINGS, ".env"} & set(kept):
        own.add(target)  # the project's own record
    trust_own(env, target, written=own, yes=yes)
    cwd = env.cwd.resolve()
    short = target.relative_to(cwd) if target.is_relative_to(cwd) else target
    cd = () if target == cwd else (f"cd {shlex.quote(str(short))}",)
    return CreatedProject(
        folder=target,
        written=tuple(written),
        kept=tuple(kept),
        to_fill_in=tuple(_to_fill_in(env, target, kept)),
        next=(*cd, *(command for command, _ in NEXT)),
    )


def _files(target: Path, given: Given) -> Iterator[tuple[str, bytes]]:
    place = given.place
    values: dict[tuple[str, ...], object] = {("project", "name"): project_name(target)}
    values |= given.models
    values |= {("destinations", place.name, key): value for key, value in place.keys.items()}
    yield about.NAME, given.page.encode()
    yield SETTINGS, sample(Choices(destination=place.name, values=values)).encode()
    yield ".env.example", VARIABLES.encode()
    if place.secrets:
        secrets = [f"{key}={value.reveal()}\n" for key, value in place.secrets.items()]
        yield ".env", "".join(secrets).encode()
    yield ".gitignore", IGNORED.encode()
    for path in sorted(about.SHIPPED.glob("*.toml")):
        yield f"narratives/{path.name}", path.read_bytes()


def project_name(folder: Path) -> str:
    """Return a name for the project in that folder, of the signs that a name may have."""
    plain = "".join(sign if sign.isalnum() or sign in " ._-" else "-" for sign in folder.name)
    return plain.strip(" ._-")[:60].strip(" ._-") or "project"


def _write(path: Path, content: bytes, *, mode: int) -> None:
    if path.parent.is_symlink():
        what = "is a link: nothing is written through it"
        raise UsageError(what, where=str(path.parent), hint="make it a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, content, mode=mode)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from error


def _to_fill_in(env: Environment, target: Path, kept: list[str]) -> Iterator[str]:
    """Yield what a person has to give before the project can work."""
    try:
        environ = with_dotenv(env.environ, target)
        config = load(target / SETTINGS, environ=environ, cwd=target, platforms=PLATFORMS)
        variables = ", ".join(dict.fromkeys(_missing(config)))
        lines = list(about.unfinished((target / about.NAME).read_text("utf-8", "replace")))
    except (ConfigError, OSError):
        return  # `check` says what is wrong
    if variables:
        how = "" if os.path.lexists(target / ".env") else " (cp .env.example .env; chmod 600 .env)"
        yield f".env: {variables}{how}"
    for line, what in lines:
        yield f"{about.NAME}:{line} {what}"
    ignored = (target / ".gitignore").read_text("utf-8", "replace")
    if ".gitignore" in kept and ".env" not in ignored:
        yield ".gitignore: add .env, which holds keys, and outbox/"


def _missing(config: Config) -> Iterator[str]:
    """Yield the environment variables that are needed and not set."""
    from botticelli.models.open import route

    for name in (*config.models.default, *config.models.judge):
        way = route(name, config.models)
        if way.provider == "gemini" and not (way.api_key or config.models.gemini_key):
            yield "GEMINI_API_KEY"
        if way.provider == "openai" and not (
            way.base_url or config.models.openai_base_url or way.api_key or config.models.openai_key
        ):
            yield "OPENAI_API_KEY"
    for name, place in config.destinations.items():
        is_bot = not place.webhook and f"destinations.{name}.webhook" not in config.unset
        if place.platform == "discord" and is_bot and not place.token:
            yield "DISCORD_TOKEN"
    yield from config.unset.values()


@render.register
def _(report: CreatedProject, console: Console) -> None:
    for name in report.written:
        console.line(f"wrote {report.folder / name}")
    for name in report.kept:
        again = "" if name in YOURS else " (--force overwrites)"
        console.line(f"kept  {report.folder / name}{again}", style="yellow")
    lists = {"to fill in": report.to_fill_in, "next": report.next}
    for title, lines in lists.items():
        if lines:
            console.line()
            console.line(title, style="bold")
        for line in lines:
            console.line(f"  {line:<36}{dict(NEXT).get(line, '')}".rstrip())
