"""Who is at work: the name that stands on locks, leases and runs."""

from botticelli.records import record


@record
class Identity:
    """One started process.

    Args:
        host: Name of the machine.
        pid: Process id on it.
        owner: host:pid:random, unique to this start, so that a reused pid is somebody else.
    """

    host: str
    pid: int
    owner: str
