"""The configuration as commands read it: told of every platform."""

from functools import partial

from botticelli.config import load as loading
from botticelli.platforms.open import PLATFORMS

load = partial(loading.load, platforms=PLATFORMS)
