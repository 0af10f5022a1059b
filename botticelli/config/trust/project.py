"""What the files of a project may do before their user has said yes: `botticelli trust FOLDER`.

A project is data that somebody may have cloned. Its programs, hooks and addresses are used once the
user trusts them (docs/security.md). What the user's own configuration, the command line or the
environment of the process say needs no trust; loopback is exempt.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from botticelli.config.addresses import UntrustedAddress, is_loopback
from botticelli.config.hiding import SHORTEST, Hider, secrets_of_environment
from botticelli.config.model import Config, Destination, Models, NamedModel
from botticelli.config.operations import GROUPS, Hooks, Source, StageHooks
from botticelli.config.secrets import Secret
from botticelli.config.sources import NAME as SETTINGS
from botticelli.config.sources import user_folder
from botticelli.config.trust.records import TrustRecord, digest_of_project
from botticelli.records import record

# Variables that decide which programs run, and how, or who decides: not those of a project that is
# not trusted.
OF_PROGRAMS: Final = (
    r"PATH|HOME|SHELL\w*|ENV|BASH\w*|IFS|PS[1-4]|PROMPT_COMMAND|ZDOTDIR|INPUTRC|CDPATH|USER|LOGNAME"
    r"|(?:\w+_)?(?:EDITOR|VISUAL|PAGER|BROWSER|ASKPASS|PROXY|CA_BUNDLE)|MANPAGER|EXINIT|VIM\w*"
    r"|TMP|TEMP|TMPDIR|TZDIR|TERMINFO\w*|TERMCAP|LOCPATH|NLSPATH|NETRC|SSLKEYLOGFILE"
    r"|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS|NOTIFY_SOCKET|INVOCATION_ID|CREDENTIALS_DIRECTORY"
    r"|OTEL_\w*ENDPOINT|(?:LD|DYLD|GIT|SSL|SSH|XDG|OPENSSL|GCONV|GLIBC|MALLOC|DBUS|SYSTEMD)_\w+"
    r"|(?:PYTHON|PG|PSQL|LESS|PERL|RUBY|NODE|JAVA|_JAVA|JDK_JAVA|GNUPG|KRB5)\w+"
    r"|BOTTICELLI_(?:CONFIG|CONTEXT_PATH)"
)
NO_SECRETS: Final = Hider(())


@record
class ProjectFiles:
    """The files that speak for a project.

    Args:
        root: Its folder.
        assigned: What its .env says.
        process: The environment of the process.
        speaks: Whether botticelli.toml is the project's word; else it is the user's own.
    """

    root: Path
    assigned: Mapping[str, str]
    process: Mapping[str, str]
    speaks: bool

    @property
    def environ(self) -> dict[str, str]:
        """All variables: those of the process go first."""
        return {**self.assigned, **self.process}

    def assigns(self, name: str) -> bool:
        """Return whether a variable is what .env says."""
        return name in self.assigned and name not in self.process

    @property
    def steering(self) -> tuple[str, ...]:
        """The variables of .env that decide which programs run, or reach another machine."""
        named = (
            name
            for name in self.assigned
            if self.assigns(name) and re.fullmatch(OF_PROGRAMS, name, re.IGNORECASE)
        )
        ends = ("_PROXY", "ENDPOINT")  # of names whose values are addresses
        stay = (n for n in named if not (n.upper().endswith(ends) and is_here(self.assigned[n])))
        return tuple(sorted(stay))

    @property
    def default_server(self) -> Path:
        """The folder of the embedded PostgreSQL, unless the configuration names another."""
        state = user_folder(self.process, "XDG_STATE_HOME", ".local/state")
        return state / "botticelli/postgres"

    def own(self, name: str) -> bool:
        """Return whether a file of that name lies in the project, and not behind a link."""
        return (self.root / name).resolve().is_relative_to(self.root.resolve())

    def says_outside(self, folder: Path) -> bool:
        """Return whether botticelli.toml names a folder outside of the project."""
        is_outside = not folder.resolve().is_relative_to(self.root.resolve())
        return is_outside and self.says(str(folder))

    def says(self, value: str) -> bool:
        """Return whether a value of botticelli.toml is the project's word, not a variable's."""
        return self.speaks and bool(value) and value not in self.process.values()


def asks_of(config: Config, files: ProjectFiles) -> tuple[str, ...]:
    """Return what a project's files ask for that needs the user's trust, a line each."""
    lines = [f".env: {name} = {files.assigned[name]}" for name in files.steering]
    lines += [f"{key} = {address}" for key, address in addresses(config, files)]
    lines += [f"{key} = {value}" for key, value in _settings(config, files)]
    return tuple(_shown(line) for line in lines)


def _settings(config: Config, files: ProjectFiles) -> Iterator[tuple[str, object]]:
    """Yield what botticelli.toml says beyond what any project may, with its keys."""
    if not files.speaks:
        return
    hooks = config.hooks.targets()
    yield from ((key, each.reveal()) for key, each in hooks if not _is_here_hook(each))
    yield from server_of(config, files)
    security, narratives = config.security, config.narratives
    yes = {
        # The embedded server knows the databases of all projects of the user.
        "project.share": config.project.share and not config.database.url,
        "security.writes": security.writes == "allow",
        "security.approve_without_review": security.approve_without_review,
        "narratives.private_urls": narratives.private_urls,
    }
    yield from ((key, "allow" if key.endswith("writes") else "true") for key in yes if yes[key])
    yield from (("security.allowed_commands", each) for each in security.allowed_commands)
    lent = (each for each in narratives.environment if not files.assigns(each))
    yield from (("narratives.environment", each) for each in lent if each in files.process)
    for key in ("folders", "context"):
        folders: tuple[Path, ...] = getattr(narratives, key)
        yield from ((f"narratives.{key}", each) for each in folders if files.says_outside(each))
    for name, place in config.destinations.items():
        if files.says_outside(place.folder):
            yield f"destinations.{name}.folder", place.folder
    for name, source in config.sources.items():
        if source.kind == "folder" and files.says_outside(source.folder):
            yield f"sources.{name}.folder", source.folder


def server_of(config: Config, files: ProjectFiles) -> Iterator[tuple[str, Path]]:
    """Yield what botticelli.toml says of the embedded PostgreSQL, whose files are programs, too."""
    database = config.database
    if files.speaks and database.binaries:
        yield "database.binaries", database.binaries
    if files.speaks and database.folder != files.default_server:
        yield "database.folder", database.folder


def _shown(line: str) -> str:
    """Return a line without the passwords in it, but not to be confused with another one."""
    from hashlib import sha256

    mark = sha256(line.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{NO_SECRETS.hide(line)[:200]} [{mark}]"


def addresses(config: Config, files: ProjectFiles) -> Iterator[tuple[str, str]]:
    """Yield the addresses of other machines that a project's files name, with their keys."""
    models = config.models
    named = [
        ("GOOGLE_GEMINI_BASE_URL", models.gemini_base_url),
        ("OPENAI_BASE_URL", models.openai_base_url),
    ]
    found = [(f".env: {name}", address) for name, address in named if files.assigns(name)]
    if files.assigns("DATABASE_URL"):
        found.append((".env: DATABASE_URL", config.database.url))
    elif files.says(config.database.url):
        found.append(("database.url", config.database.url))
    for name, model in models.named.items():
        if files.says(model.base_url):
            found.append((f"models.{name}.base_url", model.base_url))
    for name, place in config.destinations.items():
        is_named = files.says(place.base_url)
        if files.environ.get("DISCORD_API_BASE"):
            is_named = files.assigns("DISCORD_API_BASE")
        if is_named:
            found.append((f"destinations.{name}.base_url", place.base_url))
    found += [
        (f"sources.{name}.url", source.url)
        for name, source in config.sources.items()
        if files.says(source.url)
    ]
    return ((key, address) for key, address in found if not is_here(address))


def is_here(address: str) -> bool:
    """Return whether an address leads to this machine, or to the platform itself."""
    if "\\" in address or not address.isprintable():
        return False
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme.startswith("postgres"):
        places = parts.netloc.rpartition("@")[2].split(",")
        hosts = [re.sub(r"^\[(.*)\].*|:.*", r"\1", place) for place in places]
        query = parse_qs(parts.query)
        named = [*query.get("host", ()), *query.get("hostaddr", ())]
        hosts += ",".join(named).split(",")
        hosts = [host for host in map(unquote, hosts) if host and not host.startswith("/")]
        return "service" not in query and all(map(is_loopback, hosts))  # or by their sockets
    is_discord = parts.scheme == "https" and host in ("discord.com", "discordapp.com")
    return not address or is_discord or is_loopback(host)


def record_of(root: Path, asks: tuple[str, ...], *, by: str, at: str) -> TrustRecord:
    """Return the record of a yes to all that a project's files ask for."""
    root = root.resolve()
    return TrustRecord(digest=digest_of_project(root), path=str(root), asks=asks, by=by, at=at)


def narrowed(config: Config, files: ProjectFiles) -> Config:
    """Return the configuration of a project that is not trusted.

    Its database on another machine cannot be used, no key that is not its own goes to an address
    that it names, and no folder outside of it is read or written. Who runs its hooks and programs
    looks at `untrusted`.
    """
    outside, named = _Outside(files), dict(addresses(config, files))
    database, root = config.database, files.root
    if {".env: DATABASE_URL", "database.url"} & named.keys():
        database = replace(database, url=UntrustedAddress(database.url, root))

    def place(name: str, its: Destination) -> Destination:
        if files.says_outside(its.folder):
            return replace(its, base_url=UntrustedAddress(str(its.folder), root))
        is_lent = f"destinations.{name}.base_url" in named and outside.fills(its)
        return replace(its, base_url=UntrustedAddress(its.base_url, root)) if is_lent else its

    def source(name: str, its: Source) -> Source:
        is_outside = its.kind == "folder" and files.says_outside(its.folder)
        if is_outside or f"sources.{name}.url" in named:
            return replace(its, url=UntrustedAddress(its.place, root))
        return its

    places = {name: place(name, its) for name, its in config.destinations.items()}
    config = replace(
        config,
        database=database,
        models=_models(config.models, named, outside, root=root),
        destinations=MappingProxyType(places),
        sources=MappingProxyType({name: source(name, its) for name, its in config.sources.items()}),
        untrusted=root,
    )
    if not files.speaks:
        return config
    narratives = config.narratives
    inside = {
        key: tuple(each for each in getattr(narratives, key) if not files.says_outside(each))
        for key in ("folders", "context")
    }
    environment = tuple(
        each for each in narratives.environment if files.assigns(each) or each not in files.process
    )
    return replace(
        config,
        project=replace(config.project, share=config.project.share and bool(config.database.url)),
        security=replace(config.security, approve_without_review=False),
        narratives=replace(narratives, private_urls=False, environment=environment, **inside),
    )


def _models(models: Models, named: Mapping[str, str], outside: "_Outside", *, root: Path) -> Models:
    keys = [model.api_key for model in models.named.values()]

    def withheld(address: str, name: str, is_lent: bool) -> str:
        return UntrustedAddress(address, root) if name in named and is_lent else address

    def reachable(name: str, model: NamedModel) -> NamedModel:
        is_lent = outside.fills(model) or (not model.api_key and outside.fills(models))
        address = withheld(model.base_url, f"models.{name}.base_url", is_lent)
        return replace(model, base_url=address)

    gemini, openai = (
        outside.knows(models.gemini_key, *keys),
        outside.knows(models.openai_key, *keys),
    )
    return replace(
        models,
        gemini_base_url=withheld(models.gemini_base_url, ".env: GOOGLE_GEMINI_BASE_URL", gemini),
        openai_base_url=withheld(models.openai_base_url, ".env: OPENAI_BASE_URL", openai),
        named=MappingProxyType({name: reachable(name, one) for name, one in models.named.items()}),
    )


class _Outside:
    """What is secret and not the project's own."""

    def __init__(self, files: ProjectFiles) -> None:
        # A link may have led to another project's keys: nothing is this one's own.
        self._all = not (files.own(".env") and files.own(SETTINGS))
        self._own = set() if self._all else set(files.assigned.values())
        self._process = set(files.process.values())
        known = secrets_of_environment(files.environ)
        self._secrets = [each for each in known if len(each) >= SHORTEST and each not in self._own]

    def knows(self, *texts: str) -> bool:
        """Return whether one of the texts is, or holds, a secret that the project does not know."""
        shown = [each.reveal() if isinstance(each, Secret) else each for each in texts]
        return any(
            text in self._process or any(secret in text for secret in self._secrets) or self._all
            for text in shown
            if text and text not in self._own
        )

    def fills(self, made: NamedModel | Destination | Models) -> bool:
        """Return whether a field of it holds such a secret."""
        texts = [each for each in vars(made).values() if isinstance(each, str) and each]
        secrets = [each for each in texts if isinstance(each, Secret)]
        within = [each for each in texts if any(one in each for one in self._secrets)]
        options = [str(each) for each in getattr(made, "options", {}).values()]
        return self.knows(*secrets, *within, *options)


def only_here(hooks: Hooks) -> Hooks:
    """Return the hooks without those that run a program or reach another machine."""

    def kept(group: StageHooks) -> StageHooks:
        lists = {
            name: tuple(filter(_is_here_hook, found))
            for name, found in vars(group).items()
            if name != "ping"
        }
        return StageHooks(ping=group.ping if _is_here_hook(group.ping) else Secret(""), **lists)

    groups: dict[str, Any] = {name: kept(vars(hooks)[name]) for name in GROUPS}
    return replace(hooks, **groups)


def _is_here_hook(target: Secret) -> bool:
    address = target.reveal()
    return address.startswith(("http://", "https://")) and " " not in address and is_here(address)
