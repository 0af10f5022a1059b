"""How close the commands that timers start come to bare Python: `python -m benchmarks.startup`.

Promise: at most 1.05 x the floor, by the processor and by the clock, and 40 MB of memory; `--help`
and completion in less than 100 ms.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

from benchmarks.pairs import Ratio, compare

ONE_QUERY = "import psycopg; psycopg.connect({url!r}).execute('SELECT 1').fetchone()"
RUNS = "UPDATE actor_server_state SET last_run = botticelli_now()"
HELLO_TYPER = """
import typer

app = typer.Typer()


@app.command()
def hello(name: str = "world") -> None:
    print(f"hello {name}")


app()
"""


def main(rounds: int = 25) -> None:
    """Print a line for each command, with its floor and the bound that we promise."""
    botticelli = str(Path(sys.executable).with_name("botticelli"))
    with tempfile.TemporaryDirectory(prefix="botticelli-bench-") as folder:
        environ = {
            "XDG_STATE_HOME": folder,
            "DISCORD_TOKEN": "token",
            "POSTING_CHANNEL_ID": "1",
            "BOTTICELLI_CONFIG": "",
            "DATABASE_URL": "",
        }
        os.chdir(folder)
        Path("botticelli.toml").touch()
        full = {**os.environ, **environ}
        subprocess.run([botticelli, "db", "init"], env=full, check=True, capture_output=True)
        url = subprocess.run(
            [botticelli, "db", "url"], env=full, check=True, capture_output=True, text=True
        ).stdout.strip()
        with psycopg.connect(url) as conn:  # health looks closer at stages that have yet to run
            conn.execute(RUNS)
        hello = Path(folder, "hello.py")
        hello.write_text(HELLO_TYPER, encoding="utf-8")
        one_query = [sys.executable, "-c", ONE_QUERY.format(url=url)]
        try:
            for line in ("status", "health", "post", "generate --help"):
                command = [botticelli, *line.split()]
                show(line, compare(command, one_query, environ=environ, rounds=rounds))
            simple = [sys.executable, str(hello), "--help"]
            show("--help", compare([botticelli, "--help"], simple, environ=environ, rounds=rounds))
            environ["_BOTTICELLI_COMPLETE"] = "bash"
            typed = compare([botticelli, "co"], simple, environ=environ, rounds=rounds)
            show("co<tab>", typed)
        finally:
            subprocess.run([botticelli, "db", "stop"], env=full, check=False, capture_output=True)


def show(what: str, ratio: Ratio) -> None:
    """Print one row of the table."""
    print(
        f"botticelli {what:<16} {ratio.command_ms:7.1f} ms   floor {ratio.floor_ms:7.1f} ms   "
        f"ratio {ratio.ratio:.2f}, of processor time {ratio.cpu:.2f}   {ratio.megabytes:.0f} MB"
    )


if __name__ == "__main__":
    main()
