"""What learning adds to a batch when it is planned: arms, examples, shares. Frozen with it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from botticelli.config.model import Config, Destination
from botticelli.learning.effects import LEAST_POSTS, shares
from botticelli.learning.trials import balanced_arm, block_of, tempted_arm
from botticelli.narrative.language.model import NarrativeFile
from botticelli.platforms.open import wanted_by
from botticelli.schedule.due import Pace
from botticelli.schedule.forecast import Waiting, forecast
from botticelli.schedule.hours import zone_of
from botticelli.store.connection import Connection
from botticelli.store.curation.evidence import (
    count_slots,
    effects_now,
    list_arm_posts,
    list_evidence,
)
from botticelli.store.delivery import posts
from botticelli.store.delivery.schedule import rhythm
from botticelli.store.generation.items import Item
from botticelli.text import shorten

AHEAD: Final = timedelta(days=60)
EXAMPLES: Final = 5  # posts of {{best_posts}}, and of {{worst_posts}}
OPENING: Final = 200  # characters of each

Items = tuple[tuple[str, int], ...]


def examples(conn: Connection, config: Config, *, now: datetime) -> dict[str, str]:
    """Return {{best_posts}} and {{worst_posts}}: openings, a line each, if enough is known."""
    if not config.learning.examples:
        return {}
    known = list_evidence(conn, config, now=now)
    ranked = sorted(known, key=lambda one: one.residual) if len(known) >= LEAST_POSTS else []
    chosen = {"best_posts": ranked[: -EXAMPLES - 1 : -1], "worst_posts": ranked[:EXAMPLES]}
    return {
        name: "\n".join(f"- {shorten(one.text, OPENING)}" for one in each)
        for name, each in chosen.items()
    }


def shared(
    conn: Connection, config: Config, file: NarrativeFile, items: Items, *, now: datetime
) -> Items:
    """Return the items with more of the angles that readers like; as many in all."""
    if not (config.learning.shares and items):
        return items
    effects = effects_now(conn, config, now=now)
    factors = {
        key: one.factor
        for key, narrative in file.narratives.items()
        if (one := effects.get(("angle", narrative.name)))
    }
    given = shares(Counter(key for key, _ in items), factors)
    rounds = ((key, number) for number in range(1, max(given.values()) + 1) for key in given)
    return tuple((key, number) for key, number in rounds if number <= given[key])


def draw_arms(
    conn: Connection, config: Config, items: Items, *, now: datetime
) -> tuple[dict[str, dict[str, str]], list[dict[str, Any]]]:
    """Return item -> arm of each experiment, and the rows of experiment_slots. Reads only.

    What was drawn is the same however often it is drawn before it is stored.
    """
    slots = [
        row
        for name, one in config.experiments.items()
        if not one.use
        for row in _slots(conn, config, name, items, now=now)
    ]
    used = {name: one.use for name, one in config.experiments.items() if one.use}
    arms = {f"{key}:{number}": dict(used) for key, number in items}
    for row in slots:
        arms[f"{row['narrative']}:{row['iteration']}"][row["experiment"]] = row["arm"]
    return arms, slots


def _slots(
    conn: Connection, config: Config, name: str, items: Items, *, now: datetime
) -> Iterator[dict[str, Any]]:
    """Yield a row of experiment_slots for each item: balanced in its block, or by Thompson."""
    one = config.experiments[name]
    to = config.destinations[config.decides(one)]
    seen = list_arm_posts(conn, config, name, calm=True) if one.mode == "thompson" else ()
    inside, first = count_slots(conn, name)
    times = _expected(conn, config, to, len(items), now=now)
    for slot, ((key, number), at) in enumerate(zip(items, times, strict=False), first):
        block = block_of(at.astimezone(zone_of(to.time_zone)))
        tempted = tempted_arm(name, one.arms, slot, seen) if seen else None
        yield {
            "experiment": name,
            "slot": slot,
            "block": block,
            "arm": tempted or balanced_arm(name, one.arms, block, inside[block]),
            "narrative": key,
            "iteration": number,
        }
        inside[block] += 1


def _expected(
    conn: Connection, config: Config, to: Destination, count: int, *, now: datetime
) -> Iterator[datetime]:
    """Yield when new posts will go out, behind what waits, as far as the rhythm says; then now."""
    queued = posts.read_queues(conn, [wanted_by(to)])[to.name]
    pace = Pace(**{name: getattr(queued, name) for name in Pace.__dataclass_fields__})
    waiting = posts.peek(conn, wanted_by(to), names=tuple(config.destinations), limit=500)
    old = [Waiting(id=0, pinned_to=one.scheduled_for) for one in waiting]
    new = [Waiting(id=number) for number in range(1, count + 1)]
    pace = replace(pace, downtime=None, waiting=len(old) + count)
    at = now
    for at, each in forecast(pace, old + new, rhythm(to), until=now + AHEAD):
        if each.id:
            yield at
    while True:
        yield at


def arms_of(kept: Mapping[str, Any], item: Item) -> Mapping[str, str]:
    """Return experiment -> arm of an item of a batch that kept this."""
    found: Mapping[str, str] = kept.get("arms", {}).get(f"{item.narrative}:{item.iteration}", {})
    return found


def learned_words(
    config: Config, kept: Mapping[str, Any], item: Item | None = None
) -> dict[str, str]:
    """Return the variables: {{best_posts}}, {{worst_posts}}, {{experiment.NAME}} of an item.

    Outside of a batch an experiment's variable is its first arm, or the one that is used.
    """
    arms = {name: one.use or one.arms[0] for name, one in config.experiments.items()}
    arms.update(arms_of(kept, item) if item else {})
    return {
        "best_posts": "",
        "worst_posts": "",
        **kept.get("examples", {}),
        **{f"experiment.{name}": arm for name, arm in arms.items()},
    }
