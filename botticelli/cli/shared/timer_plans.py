"""When each command is started by timers, from the configuration."""

from datetime import timedelta

from botticelli import cron
from botticelli.config.model import Config, Schedule
from botticelli.schedule.units import Plan

WEEKLY = Plan(
    stage="prune",
    does="delete old history",
    interval=timedelta(days=7),
    jitter_percent=0,
    first=timedelta(hours=1),
    longest=timedelta(hours=1),
    calendar=("weekly",),
    delay=timedelta(hours=6),
    cron=("24 4 * * 1",),
)


def plans_of(config: Config) -> list[Plan]:
    """Return when each stage is started, and when old history is deleted."""
    return [
        _plan("generate", "write candidate posts", config.generate.schedule, 5, 360),
        _plan("curate", "score pending candidates", config.curate.schedule, 15, 120),
        _plan("post", "publish the next approved post", config.post.schedule, 2, 20),
        WEEKLY,
    ]


def _plan(stage: str, does: str, schedule: Schedule, first: int, longest: int) -> Plan:
    zone = schedule.time_zone
    calendar: tuple[str, ...] = ()  # of an interval
    lines: tuple[str, ...] = ()
    if schedule.kind == "Daily":
        calendar = tuple(f"*-*-* {at}:00 {zone}" for at in schedule.at)
        lines = tuple(f"{int(at[3:])} {int(at[:2])} * * *" for at in schedule.at)
    elif schedule.kind == "Cron":
        calendar = cron.on_calendar(cron.parse(schedule.cron), time_zone=zone)
        lines = (schedule.cron,)
    return Plan(
        stage=stage,
        does=does,
        interval=schedule.interval,
        jitter_percent=schedule.jitter_percent,
        first=timedelta(minutes=first),
        longest=timedelta(minutes=longest),
        calendar=calendar,
        delay=schedule.delay,
        cron=lines,
        time_zone=zone,
    )
