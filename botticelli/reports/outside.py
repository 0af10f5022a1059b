"""Models, destinations and hooks: whether they can be asked, and what they say when they are."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from botticelli.budget.limits import limits_in_force
from botticelli.clock import Clock
from botticelli.config.model import Config, Destination
from botticelli.errors import BotticelliError, ConfigError, Exit
from botticelli.models import catalogue
from botticelli.models.base import CanLookUp
from botticelli.models.open import Drivers
from botticelli.platforms.base import NotSent, TellsTime
from botticelli.reports.doctor import time_of
from botticelli.reports.findings import Finding, fault, faults, faults_of, fine, unknown
from botticelli.store.connection import Connection
from botticelli.store.delivery import channels


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
    from botticelli.platforms.discord.open import missing
    from botticelli.platforms.open import open_platform

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
    except BotticelliError as error:
        code = Exit.UNAVAILABLE if isinstance(error, NotSent) else error.exit_code
        yield from faults(error.problems, subject=subject, exit_code=code)
        return
    for complaint in complaints:
        yield fault(subject, complaint, exit_code=Exit.CONFIG)
    if not complaints:
        yield fine(subject, "lets us post")
    if isinstance(platform, TellsTime) and platform.told_time is not None:
        yield time_of(place.platform, platform.told_time - clock.now())


def changed_channels(conn: Connection, config: Config) -> Iterator[Finding]:
    """Yield the destinations that would post to another channel than before."""
    for place in config.destinations.values():
        try:
            channels.require_same(conn, place)
        except ConfigError as error:
            yield from faults_of(error)
