"""The part of the configuration that operators care for: hooks, health, retention."""

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta

from botticelli.config.secrets import Secret
from botticelli.records import record


@record
class StageHooks:
    """Who is told of one stage: URLs, commands, Apprise addresses. All may hold secrets.

    Args:
        ping: A dead man's switch in the manner of healthchecks.io; empty: none.
    """

    ping: Secret = Secret("")
    on_failure: tuple[Secret, ...] = ()
    on_success: tuple[Secret, ...] = ()
    on_breaker_open: tuple[Secret, ...] = ()
    on_empty_queue: tuple[Secret, ...] = ()


@record
class Hooks:
    """Who is told how runs ended.

    Args:
        timeout: Longest wait for all that are told of one outcome, at the same time.
        every: Told of every stage.
        stages: Told of one stage besides.
    """

    timeout: timedelta = timedelta(seconds=10)
    every: StageHooks = StageHooks()
    stages: Mapping[str, StageHooks] = field(default_factory=dict)


@record
class Health:
    """When `health` calls it unwell.

    Args:
        late_factor: A stage is late when its last success is older than so many intervals.
        pending_candidates: More than this wait for the judge.
        stuck: A delivery has been uncertain, or due and not sent, for longer.
        budget_left_percent: Less than this share of a model's day is left.
        disk_free_mb: Megabytes; less is free where the state lies.
    """

    late_factor: float = 2.5
    pending_candidates: int = 500
    stuck: timedelta = timedelta(hours=6)
    budget_left_percent: float = 1
    disk_free_mb: float = 500


@record
class Retention:
    """How many days `db prune` keeps what is only history; 0: for ever."""

    act_executions: int = 180
    runs: int = 400
    rejected_candidates: int = 400
    command_audit: int = 400
