"""When each command is started by timers, from the configuration."""

from datetime import timedelta

from botticelli import cron
from botticelli.config.model import Config, Schedule
from botticelli.schedule.units import Plan


def plans_of(config: Config) -> list[Plan]:
    """Return when each stage is started, and when old history is deleted."""
    return [
        _plan("generate", "write candidate posts", config.generate.schedule, 5, 360),
        _plan("curate", "score pending candidates", config.curate.schedule, 15, 120),
        _plan("post", "publish the next approved post", config.post.schedule, 2, 20),
        Plan(
            stage="prune",
            does="delete old history",
            interval=timedelta(days=7),
            jitter_percent=0,
            first=timedelta(hours=1),
            longest=timedelta(hours=1),
            calendar=("weekly",),
            delay=timedelta(hours=6),
            cron=("24 4 * * 1",),
        ),
    ]


def _plan(stage: str, does: str, schedule: Schedule, *minutes: int) -> Plan:
    first, longest = minutes
    calendar, lines = _times(schedule)
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
        time_zone=schedule.time_zone,
    )


def _times(schedule: Schedule) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the times of a schedule for OnCalendar= and for a crontab; empty for an interval."""
    zone = schedule.time_zone
    if schedule.kind == "Daily":
        calendar = tuple(f"*-*-* {at}:00 {zone}" for at in schedule.at)
        return calendar, tuple(f"{int(at[3:])} {int(at[:2])} * * *" for at in schedule.at)
    if schedule.kind == "Cron":
        return cron.on_calendar(cron.parse(schedule.cron), time_zone=zone), (schedule.cron,)
    return (), ()
