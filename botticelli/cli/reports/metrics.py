"""`botticelli metrics`: the state of the whole pipeline as Prometheus metrics.

Every label has few values, all of them from the configuration or from schema.sql: stages, states,
destinations, models. Nothing is labeled with an id. Names are documented in docs/monitoring.md.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

from botticelli.cli.shell.command import command
from botticelli.cli.shell.environment import Environment
from botticelli.config.model import STAGES, Config
from botticelli.errors import UsageError
from botticelli.reports.budget import ModelBudget, budget_report
from botticelli.store.reads.metrics import Samples, read_samples
from botticelli.store.reads.status import QUEUE_STATES

SUFFIX: Final = ".prom"  # node_exporter's textfile collector reads no other
READABLE: Final = 0o644  # node_exporter runs as somebody else

DELIVERY_STATES: Final = (
    "pending", "sending", "posted", "failed", "held", "dropped", "withdrawn",
)  # fmt: skip
OUTCOMES: Final = ("done", "deferred", "failed", "interrupted")
CALL_STATES: Final = ("done", "failed", "unusable")


class Metric(NamedTuple):
    """One metric. The format adds `_total` to the name of a counter."""

    kind: str
    name: str
    labels: tuple[str, ...]
    help: str


# kind name{labels}: help
TABLE: Final = """
gauge build_info{version}: Version of the program.
gauge schema_version: Version of the database schema.
gauge metrics_timestamp_seconds: When these figures were read, by the database's clock.
gauge database_size_bytes: Size of the database on disk.
gauge command_approvals_pending: Bot commands that wait for a person.
gauge stage_paused{stage}: 1: the stage is paused.
gauge stage_breaker_open{stage}: 1: the breaker is open or half open.
gauge stage_running{stage}: 1: a run holds the stage's lock.
gauge stage_consecutive_failures{stage}: Failed runs in a row.
gauge stage_last_run_timestamp_seconds{stage}: When the last run ended.
gauge stage_last_success_timestamp_seconds{stage}: When a run last succeeded.
gauge stage_last_failure_timestamp_seconds{stage}: When a run last failed.
gauge stage_last_success_duration_seconds{stage}: How long the last run took that succeeded.
gauge stage_interval_seconds{stage}: The configured distance of two runs.
counter runs{stage,outcome}: Runs that ended.
gauge queue_depth{queue,state}: Candidates, approved posts and open items by state.
gauge deliveries{destination,state}: Deliveries by destination and state.
gauge delivery_waiting_age_seconds{destination}:
    Age of the oldest delivery that is not out; 0: none.
gauge delivery_stuck_age_seconds{destination}:
    For how long the oldest delivery's outcome is unknown; 0: none.
counter candidates: Candidates that were written.
counter posts_approved: Posts that were approved.
counter posts_published{destination}: Posts that went out, those taken back included.
gauge tokens_per_approved_post: Tokens by approved posts, both of the last 30 days.
gauge budget_requests_used{provider,model,window}:
    Requests of the last minute, or of the provider's day; reserved included.
gauge budget_requests_limit{provider,model,window}:
    Requests allowed: limit times multiplier. Absent: unlimited.
gauge budget_tokens_used{provider,model,window}:
    Tokens of the last minute, or of the provider's day; reserved included.
gauge budget_tokens_limit{provider,model,window}:
    Tokens allowed: limit times multiplier. Absent: unlimited.
gauge budget_held{provider,model}: 1: a 429 holds all calls.
gauge budget_waiting_calls{provider,model}: Calls that wait for room in the budget.
counter model_calls{provider,model,outcome}: Calls to models, failed ones too.
counter model_tokens{provider,model,type}:
    Tokens as the provider reported them; input without cached ones.
counter model_cost_usd{provider,model}: What the calls cost by the price table, in US dollars.
"""
METRICS: Final = tuple(
    Metric(kind, name, tuple(filter(None, labels.split(","))), help_)
    for kind, name, labels, help_ in re.findall(
        r"^(\w+) (\w+)(?:\{([\w,]+)\})?:\s+(.+)", TABLE, re.MULTILINE
    )
)


@command(json=False)
def metrics(env: Environment, *, textfile: Path | None = None) -> None:
    """Print metrics in the Prometheus text format.

    Takes:
        textfile FILE.prom: Write to a file, for node_exporter's textfile collector.

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
        env.write(textfile, text, mode=READABLE)


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
            for metric in METRICS:
                kind = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
                family = kind(f"botticelli_{metric.name}", metric.help, labels=metric.labels)
                for values, number in found.get(metric.name, {}).items():
                    family.add_metric(values, number)
                yield family

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected())
    return generate_latest(registry).decode()
