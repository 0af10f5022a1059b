"""Fixtures for all tests; each family lives in a module of its own."""

pytest_plugins = ["tests.database", "tests.commandline"]
