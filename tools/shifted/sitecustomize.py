"""Loaded by every Python of `tools.any_hour`: hands the shifted clock on, and sleeps truly."""

import os
import select
import subprocess
import time
from collections.abc import Mapping
from typing import Any

SHIFTED = {
    name: os.environ[name]
    for name in (
        "LD_PRELOAD",
        "FAKETIME",
        "FAKETIME_DONT_FAKE_MONOTONIC",
        "FAKETIME_SHARED",
        "PYTHONPATH",
    )
    if name in os.environ
}
_begin = subprocess.Popen.__init__


def _begin_shifted(
    self: subprocess.Popen[Any], *args: Any, env: Mapping[str, str] | None = None, **options: Any
) -> None:
    """Start a program in the same time, whatever else its environment keeps from it."""
    _begin(self, *args, env=env if env is None else {**env, **SHIFTED}, **options)


def _sleep(seconds: float) -> None:
    """Sleep by select: libfaketime 0.9.10 mistakes Python's own monotonic deadline for a date."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


subprocess.Popen.__init__ = _begin_shifted  # type: ignore[method-assign]
time.sleep = _sleep
