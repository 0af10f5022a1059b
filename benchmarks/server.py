"""A PostgreSQL of the benchmark's own, with nothing made hasty, and processes against it."""

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botticelli.store.connection import connect
from botticelli.store.embedded.server import Embedded
from botticelli.store.schema import apply_schema


@contextmanager
def own_postgres(*settings: str) -> Iterator[str]:
    """Start a fresh server with our schema; yield its URL; remove it. `settings`: name=value."""
    with tempfile.TemporaryDirectory(prefix="botticelli-bench-") as folder:
        server = Embedded(Path(folder) / "postgres", settings=settings)
        try:
            url = server.ensure()
            with connect(url) as conn:
                apply_schema(conn)
            yield url
        finally:
            server.stop()


def in_processes(work: Callable[..., Any], *arguments: Any, count: int) -> list[Any]:
    """Run `work(number, *arguments)` in `count` processes at once and return what they return."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(count) as pool:
        pending = [pool.apply_async(work, (number, *arguments)) for number in range(count)]
        return [one.get() for one in pending]
