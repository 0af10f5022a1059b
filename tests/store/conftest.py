"""Fixtures of the store's tests."""

import pytest

from botticelli.store.connection import connect


@pytest.fixture
def connections(db_url):
    """`connections()` gives one more connection to the database of `db`; closed afterwards."""
    opened = []

    def another():
        opened.append(connect(db_url))
        return opened[-1]

    yield another
    for conn in opened:
        conn.close()
