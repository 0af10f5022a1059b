"""How many requests and tokens fell into any window of time, and a limit on that."""

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Arrivals:
    """Every arrival with its weight, for the verdict afterwards."""

    times: list[float] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)

    def add(self, at: float, weight: int) -> None:
        """Note one arrival."""
        self.times.append(at)
        self.weights.append(weight)

    def max_in_window(self, seconds: float) -> tuple[int, int]:
        """Return the most arrivals and the most weight in any half-open window [t, t + seconds)."""
        most, heaviest, first, weight = 0, 0, 0, 0
        # Threads note their arrivals in any order; only sorted times tell the truth.
        arrivals = sorted(zip(self.times, self.weights, strict=True))
        for last, (at, amount) in enumerate(arrivals):
            weight += amount
            while at - arrivals[first][0] >= seconds:
                weight -= arrivals[first][1]
                first += 1
            most, heaviest = max(most, last - first + 1), max(heaviest, weight)
        return most, heaviest


@dataclass
class SlidingLimit:
    """The sum of weights allowed in any window of `seconds`."""

    allowed: int
    seconds: float
    _taken: deque[tuple[float, int]] = field(default_factory=deque)
    taken: int = 0

    def wait_for(self, now: float, weight: int) -> float:
        """Return the seconds until `weight` fits; 0 if it fits now. Takes nothing."""
        while self._taken and now - self._taken[0][0] >= self.seconds:
            self.taken -= self._taken.popleft()[1]
        if self.taken + weight <= self.allowed:
            return 0.0
        excess = self.taken + weight - self.allowed
        for at, taken in self._taken:
            excess -= taken
            if excess <= 0:
                return at + self.seconds - now
        return self.seconds

    def take(self, now: float, weight: int) -> None:
        """Count a weight that was let through."""
        self._taken.append((max(now, self._taken[-1][0]) if self._taken else now, weight))
        self.taken += weight
