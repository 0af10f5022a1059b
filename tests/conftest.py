"""Fixtures for all tests; each family lives in a module of its own."""

import signal

from hypothesis import HealthCheck, settings

# A shell ignores Ctrl-C for what it runs in the background, and what we start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no fault of what is tested. The database of a test may see all of its examples.
settings.register_profile(
    "botticelli",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("botticelli")

pytest_plugins = ["tests.database", "tests.commandline", "tests.outside", "tests.desk"]
