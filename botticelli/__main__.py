"""The door: `botticelli` and `python -m botticelli`.

It imports next to nothing, not even typing, so that Ctrl-C is answered while the rest is still
being loaded.
"""

import gc
import os
import sys

INTERRUPTED = 130  # 128 + SIGINT
# New objects between two collections. A tick that finds nothing to do makes 65,000: one collection
# of them takes 14 ms, a twelfth of it.
RARELY = 150_000


def run() -> None:
    """Load the command line, run it and end this process; the console script's entry."""
    try:
        gc.set_threshold(RARELY)
        from botticelli.cli.main import run as run_all

        run_all()
    except KeyboardInterrupt:  # nothing was begun: what works has its own answer
        sys.stderr.write("botticelli: interrupted\n")
        sys.stderr.flush()
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    run()
