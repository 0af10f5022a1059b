"""Draw the pictures of the README: `python -m tools.pictures` writes docs/pictures/*.svg.

A chess club's project is made in a temporary home with the commands that the README names. A
server on this machine replays what a model answered when it was asked by the same prompts
(`pictured_answers.json` says which model, and when), so that the pictures need no key.
"""

import http.server
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

HERE: Final = Path(__file__).parent
PICTURES: Final = HERE.parent / "docs" / "pictures"
COMMAND: Final = Path(sys.executable).parent / "botticelli"
SHOWN: Final = {"status": ["status"], "trace": ["trace", "c3"]}
COLUMNS: Final = 100
LINES: Final = 46  # of a picture; the life of a post is longer
ROW: Final = re.compile(r'"id": "(\d+)",\s*"text_content": "([^"]{20})')


def main() -> None:
    """Make the project and draw."""
    told = json.loads((HERE / "pictured_answers.json").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as home, _replaying(told) as url:
        project = Path(home) / "chess"
        surroundings = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "TERM": "xterm-256color",
            "COLUMNS": str(COLUMNS),
        }

        def run(*words: str, inside: Path = project) -> str:
            return _on_terminal([str(COMMAND), *words], cwd=inside, env=surroundings)

        model = f"claude@{url}"
        options = ["--about", told["about"], "--channel", "file", "--model", model, "--yes"]
        run("init", "chess", *options, inside=Path(home))
        try:
            for name in told["narratives"]:
                run("generate", f"generation_carousel.{name}", "--iterations", "1", "--now")
            run("curate", "--drain")
            run("post")
            PICTURES.mkdir(exist_ok=True)
            for name, words in SHOWN.items():
                _draw(name, words, run(*words).replace(home, "/home/you"))
        finally:
            run("db", "stop")


def _draw(name: str, words: list[str], shown: str) -> None:
    lines = shown.replace("\r\n", "\n").rstrip().split("\n")
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text(f"$ botticelli {' '.join(words)}", style="bold"))
        for line in lines[:LINES]:
            console.print(Text.from_ansi(line))
        path = PICTURES / f"{name}.svg"
        console.save_svg(str(path), title=f"botticelli {' '.join(words)}", unique_id=name)
    print(path)


def _on_terminal(command: list[str], *, cwd: Path, env: dict[str, str]) -> str:
    """Return what a command shows on a terminal.

    Raises:
        RuntimeError: It failed.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b"".join(_read(ours)).decode()
    if process.wait():
        raise RuntimeError(f"{' '.join(command)}:\n{shown}")
    return shown


def _read(terminal: int) -> Iterator[bytes]:
    try:
        while piece := os.read(terminal, 65_536):
            yield piece
    except OSError:  # how Linux says that nobody holds the other end any more
        os.close(terminal)


class _replaying:  # noqa: N801 - a context manager, named like one
    """A server that gives the answers in the order in which they were given."""

    def __init__(self, told: dict[str, Any]) -> None:
        answers = iter(told["answers"])

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                prompt = json.loads(body)["messages"][-1]["content"]
                codes = {text: code for code, text in ROW.findall(prompt)}
                answer = _verdict(told["verdict"], codes) if codes else next(answers)
                self._say(answer if isinstance(answer, str) else json.dumps(answer), asked=body)

            def _say(self, text: str, *, asked: str) -> None:
                usage = {"prompt_tokens": len(asked) // 4, "completion_tokens": len(text) // 4}
                message = {"role": "assistant", "content": text}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                reply = {"id": "1", "model": "claude", "choices": [choice], "usage": usage}
                payload = json.dumps(reply).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _verdict(verdict: dict[str, Any], codes: dict[str, str]) -> dict[str, Any]:
    """Return the judge's answer with the codes by which it was asked this time."""
    return {"scores": [{**one, "id": codes[one["id"]]} for one in verdict["scores"]]}


if __name__ == "__main__":
    main()
