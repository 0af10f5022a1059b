"""How long to wait before another attempt: doubled each time, capped, spread by chance."""

import math
import random

from botticelli.records import record


@record
class Backoff:
    """Waits between attempts at one thing.

    Args:
        base: Seconds after the first failure; doubled with each further one.
        cap: Seconds that no wait exceeds, unless the server asks for more.
        jitter: Share of each wait that chance may take off: 0.5 waits between half of it and all
            of it, so that those who failed together do not come back together. 0: none.
    """

    base: float
    cap: float = math.inf
    jitter: float = 0.0

    def after(
        self, failures: int, *, asked: float | None = None, chance: random.Random | None = None
    ) -> float:
        """Return the seconds to wait before the next attempt.

        Args:
            failures: How many attempts in a row have failed, 1 or more.
            asked: Seconds that the server asks for; the wait is never shorter.
            chance: Draws the jitter; required if there is any.
        """
        wait = min(self.cap, self.base * 2.0 ** min(failures - 1, 1000))
        if self.jitter:
            assert chance is not None, "jitter needs a source of chance"
            wait = chance.uniform(wait * (1 - self.jitter), wait)
        return max(asked or 0.0, wait)
