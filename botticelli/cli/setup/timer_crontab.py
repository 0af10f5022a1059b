"""Timers of cron: lines in the crontab of the current user."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final
from zoneinfo import available_timezones

from botticelli.cli.setup.timer_install import (
    ProjectTimers,
    Timer,
    TimersReport,
    is_same,
    note_exported,
    refuse_namesake,
    run,
    scope_of,
    this_program,
)
from botticelli.cli.shared.timer_plans import plans_of
from botticelli.cli.shell.environment import Environment
from botticelli.errors import Unavailable
from botticelli.schedule.crontab import CronClock, crontab, projects_in, replace_block
from botticelli.schedule.units import UnitScope

LOCAL_TIME: Final = Path("/etc/localtime")


class Crontab:
    """Lines in the crontab of the current user."""

    def __init__(self, env: Environment, *, program: str | None) -> None:
        self._env = env
        self._place = scope_of(env, program=program or this_program(env))

    def _block(self, place: UnitScope) -> str:
        return crontab(plans_of(self._env.config), place=place, clock=cron_clock(self._env))

    def plan(self) -> Iterator[str]:
        """See Units."""
        yield "crontab -"
        yield self._block(self._place).rstrip()

    def check(self) -> None:
        """See Units."""
        for found, _ in projects_in(_crontab_of_user()):
            refuse_namesake(found, self._place, option=" --cron")
        note_exported(self._env, self._place)

    def install(self) -> None:
        """See Units."""
        self._replace(self._block(self._place))

    def remove(self) -> bool:
        """See Units."""
        return self._replace("")

    def _replace(self, block: str) -> bool:
        """Put a block in the place of ours; return whether that changed anything."""
        before = _crontab_of_user()
        text = replace_block(before, block, is_ours=self._is_ours)
        if text != before:
            run(["crontab", "-"], text=text)
        return text != before

    def status(self) -> TimersReport:
        """See Units."""
        blocks = list(projects_in(_crontab_of_user()))
        ours = [(mark, block) for mark, block in blocks if self._is_ours(mark)]
        place = self._place
        if ours and ours[0][0]:
            place = replace(place, program=ours[0][0].program)
        is_current = [block for _, block in ours] == [self._block(place)]
        return TimersReport(
            kind="cron",
            project=place.project,
            timers=self._timers(bool(ours), is_current),
            others=tuple(
                ProjectTimers(
                    project=mark.project, config=mark.config, timers=self._timers(True, None)
                )
                for mark, _ in blocks
                if mark and not self._is_ours(mark)
            ),
            exit_code=0 if is_current else 1,
        )

    def _is_ours(self, mark: UnitScope | None) -> bool:
        """Return whether a block is this project's; one of an earlier version is anybody's."""
        return mark is None or not mark.config or is_same(mark, self._place)

    def _timers(self, is_there: bool, is_current: bool | None) -> tuple[Timer, ...]:
        return tuple(
            Timer(name=plan.stage, installed=is_there, armed=is_there, current=is_current)
            for plan in plans_of(self._env.config)
        )


def _crontab_of_user() -> str:
    return run(["crontab", "-l"], may_fail=True)


def cron_clock(env: Environment) -> CronClock:
    """Return how the cron of this machine reads times: TZ, else /etc/localtime, else UTC."""
    linked = os.path.realpath(LOCAL_TIME).partition("zoneinfo/")[2]
    named = [env.environ.get("TZ", "").removeprefix(":"), linked]
    zones = [zone for zone in named if zone.removeprefix("posix/") in available_timezones()]
    return CronClock(zone=(zones or ["UTC"])[0], on=env.clock.now().date(), knows_zones=_is_cronie)


def _is_cronie() -> bool:
    try:
        return "cronie" in run(["crontab", "-V"], text="", may_fail=True)
    except Unavailable:
        return False
