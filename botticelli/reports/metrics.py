"""The state of the whole line as Prometheus metrics.

Every label has few values, all of them from the configuration or from schema.sql: stages, states,
destinations, models. Nothing is labelled with an id. Names are documented in docs/monitoring.md.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from botticelli.clock import Clock
from botticelli.config.model import STAGES, Config
from botticelli.records import record
from botticelli.reports.budget import ModelBudget, Rate, budget_report
from botticelli.store.connection import Connection
from botticelli.store.reads.metrics import CallTotals, StageTotals, Totals, read_totals

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

Sample = tuple[tuple[str, ...], float]


@record
class Metric:
    """One metric with its samples.

    Args:
        name: Without `_total` for counters: the format adds it.
    """

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()
    samples: tuple[Sample, ...]


def read_metrics(
    conn: Connection, config: Config, *, version: str, clock: Clock
) -> tuple[Metric, ...]:
    """Return every metric. Reads only: SELECT on all tables is enough."""
    totals = read_totals(conn)
    budget = budget_report(conn, models=config.models, multipliers=config.budget, clock=clock)
    return (
        _gauge("botticelli_build_info", "Version of the program.", [((version,), 1)], "version"),
        _gauge(
            "botticelli_schema_version",
            "Version of the database schema.",
            [((), totals.schema_version)],
        ),
        _gauge(
            "botticelli_metrics_timestamp_seconds",
            "When these figures were read, by the database's clock.",
            [((), totals.now.timestamp())],
        ),
        _gauge(
            "botticelli_database_size_bytes",
            "Size of the database on disk.",
            [((), totals.size_bytes)],
        ),
        _gauge(
            "botticelli_command_approvals_pending",
            "Bot commands that wait for a person.",
            [((), totals.approvals)],
        ),
        *_stages(totals, config),
        *_queues(totals),
        *_deliveries(totals, config),
        *_posts(totals, config),
        *_budget(budget.models),
        *_calls(totals.calls),
    )


def exposition(metrics: Iterable[Metric]) -> str:
    """Return metrics in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.core import Metric as Family
    from prometheus_client.registry import Collector

    class Collected(Collector):
        def collect(self) -> Iterator[Family]:
            for metric in metrics:
                kind = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
                family = kind(metric.name, metric.help, labels=metric.labels)
                for values, number in metric.samples:
                    family.add_metric(values, number)
                yield family

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected())
    return generate_latest(registry).decode()


def _gauge(name: str, help_: str, samples: Iterable[Sample], *labels: str) -> Metric:
    return Metric(name=name, kind="gauge", help=help_, labels=labels, samples=tuple(samples))


def _counter(name: str, help_: str, samples: Iterable[Sample], *labels: str) -> Metric:
    return Metric(name=name, kind="counter", help=help_, labels=labels, samples=tuple(samples))


def _stages(totals: Totals, config: Config) -> Iterator[Metric]:
    stages = totals.stages
    flags: Sequence[tuple[str, str, Any]] = (
        ("paused", "1: the stage is paused.", lambda s: s.is_paused),
        ("breaker_open", "1: the breaker is open or half open.", lambda s: s.breaker_open),
        ("running", "1: a run holds the stage's lock.", lambda s: s.is_running),
        ("consecutive_failures", "Failed runs in a row.", lambda s: s.consecutive_failures),
    )
    for name, help_, value in flags:
        yield _of_stages(name, help_, {one.stage: float(value(one)) for one in stages})
    times: Sequence[tuple[str, str, Any]] = (
        ("last_run", "When the last run ended.", lambda s: s.last_run),
        ("last_success", "When a run last succeeded.", lambda s: s.last_success),
        ("last_failure", "When a run last failed.", lambda s: s.last_failure),
    )
    for name, help_, value in times:
        yield _of_stages(f"{name}_timestamp_seconds", help_, _moments(stages, value))
    yield _of_stages(
        "last_success_duration_seconds",
        "How long the last run took that succeeded.",
        {s.stage: s.last_success_seconds for s in stages if s.last_success_seconds is not None},
    )
    yield _of_stages(
        "interval_seconds",
        "The configured distance of two runs.",
        {name: schedule.interval.total_seconds() for name, schedule in config.schedules.items()},
    )
    known = {(one.stage, one.outcome): one.runs for one in totals.runs}
    yield _counter(
        "botticelli_runs",
        "Runs that ended.",
        _filled(known, STAGES, OUTCOMES),
        "stage",
        "outcome",
    )


def _of_stages(name: str, help_: str, values: Mapping[str, float]) -> Metric:
    samples = [((stage,), value) for stage, value in values.items()]
    return _gauge(f"botticelli_stage_{name}", help_, samples, "stage")


def _moments(stages: Iterable[StageTotals], moment: Any) -> dict[str, float]:
    return {one.stage: moment(one).timestamp() for one in stages if moment(one) is not None}


def _filled(
    known: Mapping[tuple[str, str], int], names: Iterable[str], states: Sequence[str]
) -> list[Sample]:
    """Return a sample for every pair, 0 where there is nothing: a series must not come and go."""
    keys = dict.fromkeys([(name, state) for name in names for state in states])
    return [(key, known.get(key, 0)) for key in dict.fromkeys([*keys, *known])]


def _queues(totals: Totals) -> Iterator[Metric]:
    samples = [
        ((queue, state), count)
        for queue, counts in totals.queues.items()
        if queue != "deliveries"
        for state, count in counts.items()
    ]
    yield _gauge(
        "botticelli_queue_depth",
        "Candidates, approved posts and open items by state.",
        samples,
        "queue",
        "state",
    )


def _deliveries(totals: Totals, config: Config) -> Iterator[Metric]:
    known = {(one.destination, one.state): one.count for one in totals.deliveries}
    names = _destinations(totals, config)
    yield _gauge(
        "botticelli_deliveries",
        "Deliveries by destination and state.",
        _filled(known, names, DELIVERY_STATES),
        "destination",
        "state",
    )
    waiting: dict[str, float] = {}
    for one in totals.deliveries:
        age = _age(totals.now, one.waiting_since)
        waiting[one.destination] = max(age, waiting.get(one.destination, 0))
    stuck = {one.destination: _age(totals.now, one.stuck_since) for one in totals.stuck}
    for name, help_, ages in (
        ("waiting", "Age of the oldest delivery that is not out; 0: none.", waiting),
        ("stuck", "For how long the oldest delivery's outcome is unknown; 0: none.", stuck),
    ):
        yield _gauge(
            f"botticelli_delivery_{name}_age_seconds",
            help_,
            [((destination,), ages.get(destination, 0)) for destination in names],
            "destination",
        )


def _destinations(totals: Totals, config: Config) -> list[str]:
    return list(dict.fromkeys([*config.destinations, *(d.destination for d in totals.deliveries)]))


def _age(now: datetime, since: datetime | None) -> float:
    return 0 if since is None else max(0, (now - since).total_seconds())


def _posts(totals: Totals, config: Config) -> Iterator[Metric]:
    posts = totals.posts
    published = {one.destination: one.count for one in totals.published}
    yield _counter(
        "botticelli_candidates", "Candidates that were written.", [((), posts.candidates)]
    )
    yield _counter("botticelli_posts_approved", "Posts that were approved.", [((), posts.approved)])
    yield _counter(
        "botticelli_posts_published",
        "Posts that went out, those taken back included.",
        [((name,), published.get(name, 0)) for name in _destinations(totals, config)],
        "destination",
    )
    per_post = posts.tokens_per_approved
    yield _gauge(
        "botticelli_tokens_per_approved_post",
        "Tokens by approved posts, both of the last 30 days.",
        [] if per_post is None else [((), per_post)],
    )


def _budget(models: Sequence[ModelBudget]) -> Iterator[Metric]:
    rates: dict[str, list[tuple[tuple[str, str, str], Rate]]] = {"requests": [], "tokens": []}
    for one in models:
        for window, requests, tokens in (
            ("minute", one.minute_requests, one.minute_tokens),
            ("day", one.day_requests, one.day_tokens),
        ):
            labels = (one.provider, one.model, window)
            rates["requests"].append((labels, requests))
            rates["tokens"].append((labels, tokens))
    for unit, found in rates.items():
        yield _gauge(
            f"botticelli_budget_{unit}_used",
            f"{unit.capitalize()} of the last minute, or of the provider's day; reserved included.",
            [(labels, rate.used + rate.reserved) for labels, rate in found],
            *("provider", "model", "window"),
        )
        yield _gauge(
            f"botticelli_budget_{unit}_limit",
            f"{unit.capitalize()} allowed: limit times multiplier. Absent: unlimited.",
            [(labels, rate.allowed) for labels, rate in found if rate.allowed is not None],
            *("provider", "model", "window"),
        )
    held = [((one.provider, one.model), float(one.held_until is not None)) for one in models]
    yield _gauge("botticelli_budget_held", "1: a 429 holds all calls.", held, "provider", "model")
    yield _gauge(
        "botticelli_budget_waiting_calls",
        "Calls that wait for room in the budget.",
        [((one.provider, one.model), one.waiting) for one in models],
        *("provider", "model"),
    )


def _calls(calls: Sequence[CallTotals]) -> Iterator[Metric]:
    models = dict.fromkeys((one.provider, one.model) for one in calls)
    counts = {(one.provider, one.model, one.state): one.calls for one in calls}
    yield _counter(
        "botticelli_model_calls",
        "Calls to models, failed ones too.",
        [
            ((*model, state), counts.get((*model, state), 0))
            for model in models
            for state in CALL_STATES
        ],
        *("provider", "model", "outcome"),
    )
    tokens: dict[tuple[str, str, str], int] = {}
    costs: dict[tuple[str, str], float] = {}
    for one in calls:
        model = (one.provider, one.model)
        costs[model] = costs.get(model, 0) + float(one.cost_usd)
        for kind, number in (
            ("input", one.input_tokens - one.cached_tokens),
            ("cached", one.cached_tokens),
            ("output", one.output_tokens),
            ("thought", one.thought_tokens),
        ):
            tokens[*model, kind] = tokens.get((*model, kind), 0) + number
    yield _counter(
        "botticelli_model_tokens",
        "Tokens as the provider reported them; input without cached ones.",
        tokens.items(),
        *("provider", "model", "type"),
    )
    yield _counter(
        "botticelli_model_cost_usd",
        "What the calls cost by the price table, in US dollars.",
        costs.items(),
        *("provider", "model"),
    )
