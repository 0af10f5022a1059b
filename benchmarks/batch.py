"""How long a batch takes against its longest chains: `python -m benchmarks.batch [--rounds 3]`.

50 posts of 3 chained calls, 300 ms each, 16 workers, no rate limit. Promise: within 15 % of
ceil(50 / 16) x 3 x 0.3 s plus start-up, which is the same command with one post and a model that
answers at once, measured in turn with it. Real `botticelli generate` processes throughout.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.server import own_postgres

NARRATIVE = """
[narrative]
name = "chain"
target = "potential_discord_posts"
toc = ["draft", "critique", "post"]

[acts]
draft = "Draft post {{iteration}}."
critique = "Say what is weak in this draft: {{draft}}"

[acts.post]
schema = "post"

[[acts.post.input]]
type = "text"
content = "Write the post anew after this: {{critique}}"

[schemas.post]
type = "object"
required = ["text_content", "content_type"]
properties = { text_content = { type = "string" }, content_type = { type = "string" } }
"""
ACTS = 3


@contextmanager
def model(latency: float) -> Iterator[str]:
    """Start a Gemini-like server as a process; yield its address."""
    command = [sys.executable, "-m", "tests.fakes.gemini", "--vary", "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as fake:
        assert fake.stdout is not None
        try:
            yield json.loads(fake.stdout.readline())["url"]
        finally:
            fake.terminate()


def generate(folder: Path, url: str, server: str, *, items: int, workers: int) -> float:
    """Run one batch to its end; return the seconds of the whole process."""
    botticelli = str(Path(sys.executable).with_name("botticelli"))
    environ = {
        **os.environ,
        "BOTTICELLI_CONFIG": "",
        "DATABASE_URL": url,
        "GEMINI_API_KEY": "test-key",
        "GOOGLE_GEMINI_BASE_URL": server,
        "NO_PROXY": "127.0.0.1",
    }
    words = ["generate", "chain", "--json", "--iterations", str(items), "--workers", str(workers)]
    began = time.perf_counter()
    ended = subprocess.run(
        [botticelli, *words], cwd=folder, env=environ, check=False, capture_output=True, text=True
    )
    took = time.perf_counter() - began
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert (report["planned"], report["left"], report["failed"]) == (items, 0, 0), report
    assert report["calls"] == items * ACTS, report
    return took


def main() -> None:
    """Print the batch, the ideal and the start-up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=50)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--latency", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    ideal = math.ceil(given.items / given.workers) * ACTS * given.latency
    with (
        tempfile.TemporaryDirectory(prefix="botticelli-bench-") as name,
        own_postgres() as url,
        model(0.0) as quick,
        model(given.latency) as slow,
    ):
        folder = Path(name)
        (folder / "chain.toml").write_text(NARRATIVE, encoding="utf-8")
        (folder / "botticelli.toml").touch()  # limits are for Google's own server, or the file's
        generate(folder, url, quick, items=1, workers=1)  # a warm-up
        pairs = [
            (
                generate(folder, url, quick, items=1, workers=1),
                generate(folder, url, slow, items=given.items, workers=given.workers),
            )
            for _ in range(given.rounds)
        ]
    start_up = statistics.median(start for start, _ in pairs)
    took = statistics.median(batch for _, batch in pairs)
    ratio = statistics.median(batch / (ideal + start) for start, batch in pairs)
    print(
        f"{given.items} posts x {ACTS} calls of {given.latency:g} s, {given.workers} workers:"
        f" {took:.2f} s; ideal {ideal:.2f} s + start-up {start_up:.2f} s;"
        f" ratio {ratio:.2f} (promised: 1.15)"
    )


if __name__ == "__main__":
    main()
