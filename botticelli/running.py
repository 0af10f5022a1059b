"""Which run this process is doing: every line of its log carries the number.

No context variable: the workers of a run are threads, and a thread starts with an empty context.
"""


class Running:
    """The present run of a process, which does one after the other; None: none yet."""

    def __init__(self) -> None:
        self.run: int | None = None


here = Running()
