"""PostgreSQL dies with bookings that no disk has seen: quota and day hold all the same."""

import os
import signal
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from botticelli.store import ledger
from botticelli.store.connection import connect
from botticelli.store.embedded.server import Embedded
from botticelli.store.ledger import Allowance, CallRequest, Window
from botticelli.store.schema import apply_schema

pytestmark = pytest.mark.slow

MANY = 20
HASTY = Allowance(rpm=MANY, tpm=10**6, rpd=10**6)
CAREFUL = Allowance(rpm=MANY, rpd=100)
# Nothing reaches the disk by itself while the test lasts.
SETTINGS = ("wal_writer_delay=10s", "wal_writer_flush_after=1GB", "autovacuum=off")


def call(number, key):
    return CallRequest(key=key, waiter=f"{key}:{number}", owner="o", estimate=100)


def book(conn, number, key, allowance):
    return ledger.reserve(conn, call(number, key), allowance=allowance, window=Window())


def crash(server):
    """Kill the server as a power cut would: nothing is written any more."""
    pid = server.status().pid
    os.kill(pid, signal.SIGSTOP)
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        os.kill(int(child), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)


def day(conn, key):
    (found,) = ledger.accounts(conn, key=key, window=Window())
    return found.day_requests


def test_lost_bookings_break_no_window_and_who_lives_on_is_charged(tmp_path):
    server = Embedded(tmp_path / "pg", settings=SETTINGS)
    try:
        with connect(server.ensure()) as conn:
            apply_schema(conn)
            careful = [book(conn, n, "p/careful", CAREFUL) for n in range(MANY)]
            booked = [book(conn, n, "p/hasty", HASTY) for n in range(MANY)]
            assert {one.why for one in (*careful, *booked)} == {"granted"}
            crash(server)

        with connect(server.ensure()) as conn:
            lost = MANY - day(conn, "p/hasty")
            assert lost > 0, "the test needs bookings that are lost"
            assert day(conn, "p/careful") == MANY, "a day of few requests waits for the disk"

            held = book(conn, 99, "p/hasty", HASTY)
            assert held.seq is None
            assert held.why == "blocked"
            assert held.wait_seconds == pytest.approx(Window().length.total_seconds(), abs=5)

            for number, one in enumerate(booked):
                ledger.settle(
                    conn, call(number, "p/hasty"), seq=one.seq, tokens=90, cost=Decimal(1)
                )
            spent = conn.execute(
                "SELECT count(*), sum(tokens), sum(cost_usd) FROM ledger_grants"
                " WHERE key = 'p/hasty' AND settled_at IS NOT NULL"
            ).fetchone()
            assert spent == (MANY, MANY * 90, MANY)
            assert day(conn, "p/hasty") == MANY

            conn.execute(
                "SELECT set_config('botticelli.now', (now() + %s)::text, false)",
                [timedelta(seconds=63)],
            )
            assert book(conn, 100, "p/hasty", HASTY).why == "granted", "it is held for one window"
    finally:
        server.stop()
