"""Real `botticelli` processes that a test kills, and a model that tells when to."""

import subprocess
import sys
import threading
from textwrap import dedent

from tests.commandline import isolated


class Moments:
    """Answers for a model; tells when it has been asked a number of times more."""

    def __init__(self, answer):
        self._answer = answer
        self._count = 0
        self._changed = threading.Condition()

    def __call__(self, call):
        with self._changed:
            self._count += 1
            self._changed.notify_all()
        return self._answer(call)

    def wait(self, more, *, seconds):
        with self._changed:
            aim = self._count + more
            self._changed.wait_for(lambda: self._count >= aim, timeout=seconds)


class Line:
    """Starts processes of one command in a folder, with a database and a loopback Gemini."""

    def __init__(self, folder, db_url, gemini, *, words, settings):
        self._folder = folder
        self._words = words
        self._environ = isolated(folder) | {
            "DATABASE_URL": db_url,
            "GEMINI_API_KEY": gemini.key,
            "GOOGLE_GEMINI_BASE_URL": gemini.url,
        }
        (folder / "botticelli.toml").write_text(dedent(settings))

    def trust(self):
        """Say yes to whatever the folder's files ask for."""
        command = [sys.executable, "-m", "botticelli", "trust", "."]
        subprocess.run(command, env=self._environ, cwd=self._folder, check=True)

    def start(self, *more):
        return subprocess.Popen(
            [sys.executable, "-m", "botticelli", *self._words, *more],
            env=self._environ,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
