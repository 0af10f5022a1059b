"""Models, destinations, hooks and rules: whether they can work, and what is said when asked."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Final

from botticelli.budget.limits import limits_in_force
from botticelli.clock import Clock
from botticelli.config.model import Config, Destination
from botticelli.errors import BotticelliError, ConfigError, Exit
from botticelli.models import catalogue
from botticelli.models.base import CanLookUp
from botticelli.models.open import Drivers
from botticelli.models.refusals import LOOK_SECONDS
from botticelli.platforms.base import NotSent, Platform
from botticelli.reports.doctor import time_of
from botticelli.reports.findings import Finding, fault, faults, faults_of, fine, unknown, warning
from botticelli.store.connection import Connection
from botticelli.store.delivery import channels
from botticelli.store.delivery.schedule import rhythm
from botticelli.text import counted
from botticelli.web_bounds import bounded, kind_of

LARGEST_LOOK: Final = 65_536  # bytes


def models(
    names: Iterable[str], config: Config, *, clock: Clock, online: bool
) -> Iterator[Finding]:
    """Yield whether each of these models can be asked; no tokens are spent.

    `online`: its service is asked whether it knows the key and serves the model.
    """
    drivers, today = Drivers(config.models), clock.now().date()
    for name in dict.fromkeys(names):
        subject = f"model {name}"
        try:
            opened = drivers.open(catalogue.current_name(name, config.models, on=today))
            doubt = ""
            if online and isinstance(opened.driver, CanLookUp):
                doubt = opened.driver.look_up(opened.name)
        except BotticelliError as error:
            problems = [replace(problem, where="") for problem in error.problems]
            yield from faults(problems, subject=subject, exit_code=error.exit_code)
            continue
        if doubt:
            yield unknown(subject, doubt)
            continue
        limits = f"; limits: {limits_in_force(opened.name, config.models)}"
        said = f"can be asked through {opened.provider}"
        if online and isinstance(opened.driver, CanLookUp):
            said = f"{opened.provider} knows the key and serves it"
        yield fine(subject, said + ("" if opened.is_free else limits))


def destination(place: Destination, *, clock: Clock, online: bool) -> Iterator[Finding]:
    """Yield whether a destination has what it needs.

    `online`: the platform is asked whether it lets us post, and what time it is there; nothing is
    published.
    """
    from botticelli.platforms.open import missing, open_platform

    subject = f"destination {place.name}"
    if lacking := missing(place):
        yield from faults(lacking)
        return
    try:
        platform = open_platform(place, clock=clock)
    except ConfigError as error:
        yield from faults_of(error)
        return
    if not online:
        yield fine(subject, "has what it needs; --online asks the platform")
        return
    try:
        complaints = platform.check()
        facts = [] if complaints else list(_facts(place, platform))
    except BotticelliError as error:
        code = Exit.UNAVAILABLE if isinstance(error, NotSent) else error.exit_code
        yield from faults(error.problems, subject=subject, exit_code=code)
        return
    for complaint in complaints:
        yield fault(subject, complaint, exit_code=Exit.CONFIG)
    if not complaints:
        yield fine(subject, f"lets us post ({'; '.join(facts)})")
    if platform.told_time is not None:
        yield time_of(place.platform, platform.told_time - clock.now())


def _facts(place: Destination, platform: Platform) -> Iterator[str]:
    """Yield what a person should know of a place to post to, a few words each."""
    limits = platform.limits
    yield from platform.notes
    yield f"length up to {limits.length:,}"
    yield counted(limits.attachments, "picture") if limits.attachments else "no pictures"
    if not platform.idempotency_seconds:
        yield "no once-key: what is unclear is looked up first"
    if place.alt == "none":
        yield "pictures without alternative texts"


def changed_channels(conn: Connection, config: Config) -> Iterator[Finding]:
    """Yield the destinations that would post to another channel than before."""
    from botticelli.platforms.open import wanted_by

    for place in config.destinations.values():
        try:
            channels.require_same(conn, wanted_by(place))
        except ConfigError as error:
            yield from faults_of(error)


def rules(config: Config, *, clock: Clock) -> Iterator[Finding]:
    """Yield what of the post timer's rounds is lost on each destination's rules."""
    from botticelli.schedule.conflicts import Wakings, conflicts

    schedule = config.post.schedule
    wakings = Wakings(
        interval=schedule.interval,
        at=schedule.at,
        line=schedule.cron,
        time_zone=schedule.time_zone,
    )
    for name, place in config.destinations.items():
        found = conflicts(wakings, rhythm(place), now=clock.now(), limit=config.post.limit)
        for each in found:
            say = partial(fault, exit_code=Exit.CONFIG) if each.is_total else warning
            hint = "change [post.schedule], or the destination's hours and intervals"
            yield say(f"destinations.{name}", each.what, hint=hint)


def hooks(config: Config, *, environ: Mapping[str, str], online: bool) -> Iterator[Finding]:
    """Yield hooks that cannot be run; `online`: their servers are asked, and told nothing."""
    path = environ.get("PATH")
    for key, secret in config.hooks.targets():
        target = secret.reveal()
        scheme, separator, _ = target.partition("://")
        if scheme in ("http", "https"):
            yield from _answer_of(key, target) if online else ()
        elif target and (not separator or " " in scheme or "/" in scheme):
            yield from _missing_program(key, target, path=path, cwd=config.project.root)
        elif target and find_spec("apprise") is None:
            what = f"{scheme}:// needs the package apprise, which is not installed"
            yield fault(key, what, hint="pip install 'botticelli[apprise]'", exit_code=Exit.CONFIG)


def _missing_program(
    key: str, target: str, *, path: str | None, cwd: Path | None
) -> Iterator[Finding]:
    try:
        words = shlex.split(target)
    except ValueError as error:
        yield fault(key, f"the command cannot be read: {error}", exit_code=Exit.CONFIG)
        return
    program = words[0] if words else ""
    place = str(cwd / program) if cwd and "/" in program else program
    if which(place, path=path) is None:
        what = f"there is no program '{program}'"
        yield fault(key, what, hint="install it, or give its whole path", exit_code=Exit.CONFIG)


def _answer_of(key: str, address: str) -> Iterator[Finding]:
    """Ask what methods an address takes, which does nothing there."""
    from botticelli.web_session import Session

    try:
        with bounded(seconds=LOOK_SECONDS, size=LARGEST_LOOK), Session() as session:
            answer = session.options(address, timeout=LOOK_SECONDS)
            body = answer.content[:LARGEST_LOOK].decode(errors="replace")
    except OSError as error:
        what = f"its server cannot be asked ({type(error).__name__})"
        yield fault(key, what, exit_code=Exit.UNAVAILABLE)
        return
    if 300 <= answer.status_code < 400:
        what = "its server redirects to another address, which no hook follows"
        yield fault(key, what, hint="name that address", exit_code=Exit.CONFIG)
    elif answer.status_code == 200 and kind_of(body) == "a web page":
        what = "a web page answers there, as that of a network's login or a parked domain would"
        yield fault(key, what, hint="look at the address", exit_code=Exit.CONFIG)
    else:
        yield fine(key, f"a server answers ({answer.status_code})")
