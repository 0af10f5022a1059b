"""How close the commands that timers start come to bare Python: `python -m benchmarks.startup`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.pairs import Ratio, compare

ONE_QUERY = "import psycopg; psycopg.connect({url!r}).execute('SELECT 1').fetchone()"
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
        hello = Path(folder, "hello.py")
        hello.write_text(HELLO_TYPER, encoding="utf-8")
        one_query = [sys.executable, "-c", ONE_QUERY.format(url=url)]
        try:
            for line in ("status", "health", "post", "generate --help"):
                command = [botticelli, *line.split()]
                show(line, compare(command, one_query, environ=environ, rounds=rounds))
            show(
                "--help",
                compare(
                    [botticelli, "--help"],
                    [sys.executable, str(hello), "--help"],
                    environ=environ,
                    rounds=rounds,
                ),
            )
        finally:
            subprocess.run([botticelli, "db", "stop"], env=full, check=False, capture_output=True)


def show(what: str, ratio: Ratio) -> None:
    """Print one row of the table."""
    print(
        f"botticelli {what:<16} {ratio.command_ms:7.1f} ms   floor {ratio.floor_ms:7.1f} ms   "
        f"ratio {ratio.ratio:.2f} (promised: 1.50)"
    )


if __name__ == "__main__":
    main()
