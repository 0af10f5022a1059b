"""Simulate learning over 300 channels: false alarms, power, what feedback gains or costs.

    python -m benchmarks.learning

Without a database: the statistics alone, over counts as small communities have them.
"""

from statistics import fmean

from tests.unit.test_learning_simulated import (
    ANGLES,
    ARMS,
    LIKED,
    gain,
    power,
    rate_of_winners,
    share_of_best,
)

SEEDS = 300


def main() -> None:
    """Print the figures."""
    for name, arms in (("two", ARMS), ("three", ("a", "b", "c"))):
        for rule in ("fixed", "sequential"):
            rate = rate_of_winners(SEEDS, lift=1.0, rule=rule, wanted=60, arms=arms)
            print(f"false alarms, {name} arms, {rule}: {rate:.1%}", flush=True)
    for lift, wanted in ((1.5, 80), (2.0, 30)):
        for rule in ("fixed", "sequential"):
            found = power(SEEDS, lift=lift, rule=rule, wanted=wanted)
            print(f"power, {lift} times, {wanted} posts, {rule}: {found:.0%}", flush=True)
    for name, likes in (("effects", LIKED), ("no effects", ANGLES)):
        more, error, least = gain(SEEDS, likes)
        print(
            f"feedback, {name}: {more:+.1%} (se {error:.1%}), least angle {least:.1%}", flush=True
        )
    best = fmean(share_of_best(seed) for seed in range(min(SEEDS, 60)))
    print(f"thompson: {best:.2f} of the second half", flush=True)


if __name__ == "__main__":
    main()
