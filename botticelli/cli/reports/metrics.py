"""`botticelli metrics`: the state of the whole pipeline as Prometheus metrics.

Every label has few values, all of them from the configuration or from schema.sql: stages, states,
destinations, models. Nothing is labeled with an id. Names are documented in docs/monitoring.md.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

import typer

from botticelli import files
from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.config.model import STAGES, Config
from botticelli.errors import ConfigError, UsageError
from botticelli.reports.budget import ModelBudget, budget_report
from botticelli.store.reads.metrics import Samples, read_samples
from botticelli.store.reads.status import QUEUE_STATES

SUFFIX: Final = ".prom"  # node_exporter's textfile collector reads no other
READABLE: Final = 0o644  # node_exporter runs as somebody else

DELIVERY_STATES: Final = (
    "pending",
    "sending",
    "posted",
    "failed",
    "held",
    "dropped",
    "withdrawn",
)
OUTCOMES: Final = ("done", "deferred", "failed", "interrupted")
CALL_STATES: Final = ("done", "failed", "unusable")


class Metric(NamedTuple):
    """One metric. The format adds `_total` to the name of a counter."""

    kind: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()


WINDOW: Final = ("provider", "model", "window")
METRICS: Final[Mapping[str, Metric]] = {
    "build_info": Metric("gauge", "Version of the program.", ("version",)),
    "schema_version": Metric("gauge", "Version of the database schema."),
    "metrics_timestamp_seconds": Metric(
        "gauge", "When these figures were read, by the database's clock."
    ),
    "database_size_bytes": Metric("gauge", "Size of the database on disk."),
    "command_approvals_pending": Metric("gauge", "Bot commands that wait for a person."),
    "stage_paused": Metric("gauge", "1: the stage is paused.", ("stage",)),
    "stage_breaker_open": Metric("gauge", "1: the breaker is open or half open.", ("stage",)),
    "stage_running": Metric("gauge", "1: a run holds the stage's lock.", ("stage",)),
    "stage_consecutive_failures": Metric("gauge", "Failed runs in a row.", ("stage",)),
    "stage_last_run_timestamp_seconds": Metric("gauge", "When the last run ended.", ("stage",)),
    "stage_last_success_timestamp_seconds": Metric(
        "gauge", "When a run last succeeded.", ("stage",)
    ),
    "stage_last_failure_timestamp_seconds": Metric("gauge", "When a run last failed.", ("stage",)),
    "stage_last_success_duration_seconds": Metric(
        "gauge", "How long the last run took that succeeded.", ("stage",)
    ),
    "stage_interval_seconds": Metric("gauge", "The configured distance of two runs.", ("stage",)),
    "runs": Metric("counter", "Runs that ended.", ("stage", "outcome")),
    "queue_depth": Metric(
        "gauge", "Candidates, approved posts and open items by state.", ("queue", "state")
    ),
    "deliveries": Metric("gauge", "Deliveries by destination and state.", ("destination", "state")),
    "delivery_waiting_age_seconds": Metric(
        "gauge", "Age of the oldest delivery that is not out; 0: none.", ("destination",)
    ),
    "delivery_stuck_age_seconds": Metric(
        "gauge",
        "For how long the oldest delivery's outcome is unknown; 0: none.",
        ("destination",),
    ),
    "candidates": Metric("counter", "Candidates that were written."),
    "posts_approved": Metric("counter", "Posts that were approved."),
    "posts_published": Metric(
        "counter", "Posts that went out, those taken back included.", ("destination",)
    ),
    "tokens_per_approved_post": Metric(
        "gauge", "Tokens by approved posts, both of the last 30 days."
    ),
    "budget_requests_used": Metric(
        "gauge",
        "Requests of the last minute, or of the provider's day; reserved included.",
        WINDOW,
    ),
    "budget_requests_limit": Metric(
        "gauge", "Requests allowed: limit times multiplier. Absent: unlimited.", WINDOW
    ),
    "budget_tokens_used": Metric(
        "gauge", "Tokens of the last minute, or of the provider's day; reserved included.", WINDOW
    ),
    "budget_tokens_limit": Metric(
        "gauge", "Tokens allowed: limit times multiplier. Absent: unlimited.", WINDOW
    ),
    "budget_held": Metric("gauge", "1: a 429 holds all calls.", ("provider", "model")),
    "budget_waiting_calls": Metric(
        "gauge", "Calls that wait for room in the budget.", ("provider", "model")
    ),
    "model_calls": Metric(
        "counter", "Calls to models, failed ones too.", ("provider", "model", "outcome")
    ),
    "model_tokens": Metric(
        "counter",
        "Tokens as the provider reported them; input without cached ones.",
        ("provider", "model", "type"),
    ),
    "model_cost_usd": Metric(
        "counter",
        "What the calls cost by the price table, in US dollars.",
        ("provider", "model"),
    ),
}


@command(json=False)
def metrics(
    env: Environment,
    *,
    textfile: Annotated[
        Path | None,
        typer.Option(
            "--textfile",
            metavar="FILE.prom",
            help="Write to a file, for node_exporter's textfile collector.",
        ),
    ] = None,
) -> None:
    """Print metrics in the Prometheus text format.

    Examples:
        botticelli metrics
        botticelli metrics --textfile /var/lib/node_exporter/botticelli.prom
    """
    if textfile is not None and textfile.suffix != SUFFIX:
        raise UsageError(
            f"'{textfile}' would not be read", where="--textfile", hint=f"let it end in {SUFFIX}"
        )
    text = exposition(_all_samples(env))
    if textfile is None:
        env.stdout.write(env.hide(text))
    else:
        _replace(env.cwd / textfile, env.hide(text))


def _all_samples(env: Environment) -> dict[str, Samples]:
    """Return the samples of all metrics. Reads only: SELECT on all tables is enough."""
    from importlib.metadata import version

    config = env.config
    with env.database() as conn:
        found = read_samples(conn)
        budget = budget_report(
            conn, models=config.models, multipliers=config.budget, clock=env.clock
        )
    build: Samples = {(version("botticelli"),): 1}
    intervals: Samples = {
        (name,): each.interval.total_seconds() for name, each in config.schedules.items()
    }
    found |= {"build_info": build, "stage_interval_seconds": intervals}
    found |= _budget_samples(budget.models)
    for name, labels in _always_there(found, config).items():
        found[name] = dict.fromkeys(labels, 0.0) | {**found.get(name, {})}
    return found


def _always_there(
    found: Mapping[str, Samples], config: Config
) -> Mapping[str, Iterable[tuple[str, ...]]]:
    """Return the labels that get a 0 where there is nothing: a series must not come and go."""
    known = (destination for destination, _ in found.get("deliveries", ()))
    names = tuple(dict.fromkeys([*config.destinations, *known]))
    destinations = [(name,) for name in names]
    models = dict.fromkeys((*model,) for *model, _ in found.get("model_calls", ()))
    return {
        "runs": product(STAGES, OUTCOMES),
        "queue_depth": [
            (queue, state)
            for queue, states in QUEUE_STATES.items()
            if queue != "deliveries"
            for state in states
        ],
        "deliveries": product(names, DELIVERY_STATES),
        "delivery_waiting_age_seconds": destinations,
        "delivery_stuck_age_seconds": destinations,
        "posts_published": destinations,
        "model_calls": [(*model, state) for model in models for state in CALL_STATES],
    }


def _budget_samples(models: Iterable[ModelBudget]) -> Mapping[str, Samples]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for one in models:
        model = (one.provider, one.model)
        for unit, window, use in (
            ("requests", "minute", one.minute_requests),
            ("requests", "day", one.day_requests),
            ("tokens", "minute", one.minute_tokens),
            ("tokens", "day", one.day_tokens),
        ):
            used = found.setdefault(f"budget_{unit}_used", {})
            used[*model, window] = use.used + use.reserved
            if use.allowed is not None:
                limits = found.setdefault(f"budget_{unit}_limit", {})
                limits[*model, window] = use.allowed
        found.setdefault("budget_held", {})[model] = float(one.held_until is not None)
        found.setdefault("budget_waiting_calls", {})[model] = one.waiting
    return found


def exposition(found: Mapping[str, Samples]) -> str:
    """Return the samples of METRICS in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.core import Metric as Family
    from prometheus_client.registry import Collector

    class Collected(Collector):
        def collect(self) -> Iterator[Family]:
            for name, metric in METRICS.items():
                kind = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
                family = kind(f"botticelli_{name}", metric.help, labels=metric.labels)
                for values, number in found.get(name, {}).items():
                    family.add_metric(values, number)
                yield family

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected())
    return generate_latest(registry).decode()


def _replace(path: Path, text: str) -> None:
    """Write all or nothing: a reader sees either the old file or the new one.

    Raises:
        ConfigError: The folder is not there, or is not ours to write.
    """
    try:
        with files.written(path) as file:
            os.fchmod(file.fileno(), READABLE)  # whatever the umask says
            file.write(text.encode())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ConfigError(
            f"cannot be written ({error.strerror})",
            where=str(path),
            hint="make the folder and let this user write there",
        ) from error
