"""`botticelli doctor`: what does not work here, and what to type about it."""

import json
import re
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from botticelli.clock import SystemClock
from botticelli.errors import Unavailable
from botticelli.reports.findings import PATIENCE, examine, fine
from botticelli.schedule.crontab import replace_block
from tests.database import approved

QUIET = "[models]\ndefault = 'offline'\njudge = 'offline'\n[destinations.a]\nplatform = 'outbox'\n"


class Shifted(SystemClock):
    """A machine whose clock is wrong."""

    def __init__(self, **by):
        self.by = timedelta(**by)

    def now(self):
        return datetime.now(UTC) + self.by


def configure(botticelli, text=QUIET):
    (botticelli.cwd / "botticelli.toml").write_text(text)


def told(ended, subject):
    """Return (level, what, mend) of all findings about a subject."""
    return [
        (each["level"], each["what"], each["mend"])
        for each in json.loads(ended.out)["findings"]
        if each["subject"] == subject
    ]


def levels(ended):
    return {each["subject"]: each["level"] for each in json.loads(ended.out)["findings"]}


@pytest.fixture
def discord(botticelli, discord):
    botticelli.environ |= {
        "DISCORD_TOKEN": discord.token,
        "POSTING_CHANNEL_ID": discord.channel,
        "DISCORD_API_BASE": f"{discord.url}/api",
    }
    return discord


def test_where_all_is_well_it_says_so_and_changes_nothing(botticelli, db):
    configure(botticelli)
    before = db.execute("SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_xact_user_tables")
    before = before.fetchone()

    ended = botticelli("doctor --json")

    assert ended.code == 0, ended.out
    found = levels(ended)
    assert {found[name] for name in ("database", "clock", "schema", "stages", "leftovers")} == {
        "ok"
    }
    assert "fault" not in found.values()
    after = db.execute("SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_xact_user_tables")
    assert after.fetchone() == before
    assert not (botticelli.cwd / "outbox").exists()


def test_a_database_that_is_down_hides_nothing_else(botticelli, discord):
    botticelli.environ["DATABASE_URL"] = "postgresql://u:hunter22@127.0.0.1:1/none"
    (botticelli.cwd / ".env").write_text("OPENAI_API_KEY=secret\n")
    (botticelli.cwd / ".env").chmod(0o644)

    ended = botticelli("doctor --json")

    assert ended.code == 69
    ((level, what, hint),) = told(ended, "database")
    assert level == "fault"
    assert "127.0.0.1:1/none" in what
    assert "DATABASE_URL" in hint
    assert levels(ended)["destination discord"] == "ok"
    assert told(ended, "secrets")[0][2] == f"chmod 600 {botticelli.cwd / '.env'}"
    assert "hunter22" not in ended.out + ended.err


def test_our_own_server_is_not_started_to_be_looked_at(botticelli):
    configure(botticelli)

    ended = botticelli("doctor --json")

    assert ended.code == 0
    assert ("not checked", "the database is not running", "botticelli db start") in told(
        ended, "schema, stages, leftovers, quota"
    )
    assert not (botticelli.cwd / ".local").exists()


@pytest.mark.slow
def test_a_server_that_says_nothing_holds_up_nobody(botticelli):
    configure(botticelli)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        botticelli.environ["DATABASE_URL"] = f"postgresql://u@127.0.0.1:{port}/x?connect_timeout=2"
        began = time.monotonic()
        ended = botticelli("doctor --json")

    assert time.monotonic() - began < 10
    assert ended.code == 69
    assert levels(ended)["disk"] == "ok"


def test_what_hangs_is_left_behind_and_what_it_found_is_told():
    never = threading.Event()

    def hangs():
        yield fine("slow", "the first half")
        never.wait()

    def fails():
        raise Unavailable("gone", where="there", hint="look")

    found = examine(
        {"slow": hangs, "bad": fails, "good": lambda: [fine("good", "here")]},
        clock=SystemClock(),
        patience=0.2,
    )

    never.set()
    assert [(each.level, each.what) for each in found] == [
        ("ok", "the first half"),
        ("fault", "no answer within 0.2 s"),
        ("fault", "there: gone"),
        ("ok", "here"),
    ]
    assert max(each.exit_code for each in found) == 69


def test_an_empty_database_is_told_as_such(botticelli, empty_url):
    configure(botticelli)
    botticelli.environ["DATABASE_URL"] = empty_url

    ended = botticelli("doctor --json")

    assert ended.code == 0
    assert told(ended, "schema") == [("warning", "there is none yet", "botticelli db init")]
    assert "leftovers" not in levels(ended)


@pytest.mark.parametrize(
    "case",
    [
        ("DROP INDEX runs_by_stage", "index runs_by_stage missing", "botticelli db migrate", 1),
        (
            "ALTER TABLE runs ALTER host DROP NOT NULL",
            "column runs.host different",
            "botticelli db doctor",
            1,
        ),
        (
            "INSERT INTO schema_version (version) VALUES (99)",
            "version 99",
            "pip install --upgrade botticelli",
            78,
        ),
        (
            "UPDATE schema_version SET version = version - 1",
            "this program brings it to",
            "botticelli db migrate",
            0,
        ),
    ],
)
def test_a_schema_that_is_not_ours_is_told_with_its_mend(botticelli, db, case):
    damage, says, hint, code = case
    configure(botticelli)
    db.execute(damage)

    ended = botticelli("doctor --json")

    assert ended.code == code, ended.out
    ((_, what, command),) = told(ended, "schema")
    assert says in what
    assert command == hint


def test_a_table_that_is_gone_spoils_only_what_reads_it(botticelli, db):
    configure(botticelli)
    db.execute("DROP TABLE deliveries CASCADE")

    ended = botticelli("doctor --json")

    assert ended.code == 1
    assert levels(ended)["leftovers"] == "not checked"
    assert levels(ended)["stages"] == "ok"
    assert levels(ended)["quota"] == "ok"


def test_a_database_that_takes_no_changes_is_a_fault(botticelli, db):
    configure(botticelli)
    db.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on',"
        " current_database()); END $$"
    )

    ended = botticelli("doctor --json")

    assert ended.code == 69
    assert "takes no changes" in told(ended, "database")[0][1]


@pytest.mark.parametrize(
    ("seconds", "level", "code"), [(2, "ok", 0), (-20, "warning", 0), (200, "fault", 1)]
)
def test_a_clock_that_is_wrong_is_told(botticelli, db, seconds, level, code):
    configure(botticelli)
    botticelli.clock = Shifted(seconds=seconds)

    ended = botticelli("doctor --json")

    assert ended.code == code
    ((found, what, hint),) = told(ended, "clock")
    assert found == level
    if level != "ok":
        way = "behind" if seconds > 0 else "ahead of"
        assert what == f"the database is {abs(seconds)} s {way} this machine"
        assert hint == "timedatectl set-ntp true"


def test_the_platforms_clock_is_read_from_its_answers(botticelli, db, discord, monkeypatch):
    reply = discord.reply
    late = datetime.now(UTC) + timedelta(seconds=300)
    stamp = late.strftime("%a, %d %b %Y %H:%M:%S GMT")

    def dated(request):
        answer = reply(request)
        return type(answer)(
            status=answer.status, body=answer.body, headers=(*answer.headers, ("Date", stamp))
        )

    monkeypatch.setattr(discord, "reply", dated)

    ended = botticelli("doctor --json")

    database, platform = told(ended, "clock")
    assert database[0] == "ok"
    assert platform[0] == "fault"
    assert "discord is" in platform[1]
    assert "ahead of this machine" in platform[1]
    assert ended.code == 1


def test_a_wrong_token_and_a_missing_right_are_told(botticelli, db, discord):
    discord.deny("SEND_MESSAGES")
    barred = botticelli("doctor --json")
    botticelli.environ["DISCORD_TOKEN"] = "wrong"
    locked_out = botticelli("doctor --json")
    botticelli.environ["DISCORD_API_BASE"] = "http://127.0.0.1:1/api"
    unreachable = botticelli("doctor --json")

    assert barred.code == locked_out.code == 78
    assert "Send Messages" in told(barred, "destination discord")[0][1]
    assert "token" in told(locked_out, "destination discord")[0][1]
    assert unreachable.code == 69
    assert discord.messages() == []


def test_a_wrong_key_is_told_and_costs_nothing(botticelli, db, gemini):
    botticelli.environ |= {"GOOGLE_GEMINI_BASE_URL": gemini.url, "GEMINI_API_KEY": "wrong"}
    wrong = botticelli("doctor --json")
    botticelli.environ |= {"GEMINI_API_KEY": gemini.key}
    right = botticelli("doctor --json")
    assert not gemini.calls

    assert levels(wrong)["model gemini-3.5-flash-lite"] == "fault"
    assert wrong.code == 78
    assert levels(right)["model gemini-3.5-flash-lite"] == "ok"


def test_without_a_key_and_offline_the_network_is_not_checked(botticelli, db, discord):
    botticelli.environ["DISCORD_TOKEN"] = ""
    newcomer = botticelli("doctor --json")
    offline = botticelli("doctor --offline --json")

    assert newcomer.code == offline.code == 0
    assert levels(newcomer)["model gemini-3.5-flash-lite"] == "not checked"
    assert levels(newcomer)["destination discord"] == "not checked"
    assert levels(offline)["models, destinations"] == "not checked"
    assert discord.requests == []


def test_what_killed_runs_leave_is_told(botticelli, db):
    configure(botticelli)
    post = approved(db)
    ago = "now() - interval '8 hours'"
    db.execute("INSERT INTO batches (narrative) VALUES ('n')")
    db.execute(
        "INSERT INTO generation_items (batch_id, narrative, iteration, state, lease_expires_at)"
        f" SELECT id, 'n', 1, 'running', {ago} FROM batches"
    )
    db.execute(
        "INSERT INTO deliveries (post_id, destination, state, sent_at, lease_expires_at,"
        f" last_error) VALUES (%s, 'a', 'sending', {ago}, {ago}, 'no answer')",
        (post,),
    )
    db.execute("INSERT INTO runs (stage, host, pid) VALUES ('curate', 'h', 1), ('run', 'h', 2)")

    ended = botticelli("doctor --json")

    assert ended.code == 1, "a delivery that is stuck for 8 hours is a fault"
    assert told(ended, "leftovers") == [
        ("warning", "1 item left by a run that was killed 8 h ago", "botticelli generate"),
        (
            "warning",
            "1 run recorded as running, but killed 0 min ago (curate)",
            "botticelli curate",
        ),
        ("fault", "1 delivery sent without an answer 8 h ago (no answer)", "botticelli post"),
    ]


def test_a_paused_stage_an_open_breaker_and_a_spent_day_are_told(botticelli, db):
    configure(botticelli, '[models.limits."gemini-3.5-flash-lite"]\nrpd = 10\n')
    db.execute(
        "UPDATE actor_server_state SET is_paused = true WHERE task_id = 'post';"
        "UPDATE actor_server_state SET circuit_opened_at = now(), consecutive_failures = 5,"
        " last_error = 'bad key' WHERE task_id = 'generate';"
        "INSERT INTO ledger (key, rpd, day, day_requests, time_zone)"
        " VALUES ('gemini/gemini-3.5-flash-lite', 8, (now() AT TIME ZONE 'UTC')::date, 8, 'UTC')"
    )

    ended = botticelli("doctor --json")

    assert ended.code == 1
    assert told(ended, "stages") == [
        ("fault", "generate failed 5 times in a row: bad key", "botticelli resume generate"),
        ("warning", "post is paused", "botticelli resume post"),
    ]
    ((level, what, hint),) = told(ended, "quota")
    assert (level, hint) == ("warning", "botticelli budget")
    assert "0 of the day's 8 requests left" in what


def test_a_full_disk_is_told_before_it_hurts(botticelli, db):
    configure(botticelli, QUIET + "[health]\ndisk_free_mb = 1e9\n")
    little = botticelli("doctor --json")
    configure(botticelli, QUIET + "[health]\ndisk_free_mb = 1e12\n")
    full = botticelli("doctor --json")

    assert told(little, "disk")[0][0] == "warning" or told(little, "disk")[0][0] == "fault"
    assert told(full, "disk")[0][0] == "fault"
    assert full.code == 1
    assert told(full, "disk")[0][2].startswith("df -h /")


def test_files_with_secrets_that_others_may_read_are_told(botticelli, db, tmp_path, monkeypatch):
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "DISCORD_TOKEN").write_text("a-secret-token")
    monkeypatch.setattr("botticelli.cli.reports.doctor.CREDENTIALS", folder)
    botticelli.environ |= {
        "OPENAI_API_KEY_FILE": str(tmp_path / "key"),
        "SSL_CERT_FILE": str(tmp_path / "public"),
    }
    (tmp_path / "key").write_text("another-secret")
    (tmp_path / "public").write_text("for everybody, with an x in it")
    botticelli.environ["DISCORD_TOKEN"] = "x"
    config = '[models.x]\nprovider = "openai"\napi_key = "inline-secret"\n' + QUIET
    configure(botticelli, config)
    for path in (folder / "DISCORD_TOKEN", tmp_path / "key", tmp_path / "public"):
        path.chmod(0o644)

    bad = told(botticelli("doctor --json"), "secrets")
    for path in (folder / "DISCORD_TOKEN", tmp_path / "key"):
        path.chmod(0o440)
    (botticelli.cwd / "botticelli.toml").chmod(0o600)
    good = told(botticelli("doctor --json"), "secrets")

    assert sorted(hint for _, _, hint in bad) == [
        f"chmod 600 {folder / 'DISCORD_TOKEN'}",
        f"chmod 600 {tmp_path / 'key'}",
        "keep secrets in .env or credentials, and write ${NAME} there",
    ]
    assert good == [("ok", "3 files, readable only by this user", "")]


def test_a_hook_that_is_a_command_is_no_secret_in_a_file(botticelli, db):
    command, address = "/usr/local/bin/tell-somebody", "https://example.org/hook-secret"
    configure(botticelli, f"{QUIET}[hooks]\non_failure = '{command}'\n")
    harmless = told(botticelli("doctor --json"), "secrets")
    configure(botticelli, f"{QUIET}[hooks]\non_failure = ['{command}', '{address}']\n")
    secret = told(botticelli("doctor --json"), "secrets")

    assert harmless == []
    assert [level for level, _, _ in secret] == ["warning"]


def test_a_broken_configuration_is_told_with_every_mistake(botticelli):
    configure(botticelli, "[pots]\nx = 1\n[budget]\nrpm = 2\n")

    ended = botticelli("doctor --json")

    assert ended.code == 78
    assert len(told(ended, "configuration")) == 2


@pytest.fixture
def systemctl(botticelli, monkeypatch):
    """A systemctl and a crontab that say what the test wants."""
    folder = botticelli.cwd / "bin"
    folder.mkdir()

    def says(name, text, code=0):
        script = folder / name
        script.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
        script.chmod(0o755)

    says("systemctl", "", 1)
    says("crontab", "", 0)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return says


def test_timers_that_nobody_installed_are_told(botticelli, db, systemctl):
    configure(botticelli)

    found = told(botticelli("doctor --json"), "timers")

    assert found == [
        ("warning", "nothing wakes the stages on this machine", "botticelli timers install")
    ]


def test_a_crontab_that_is_not_what_the_configuration_says_is_told(botticelli, db, systemctl):
    configure(botticelli)
    rendered = botticelli("timers render --cron --program /opt/bin/botticelli").out
    systemctl("crontab", replace_block("", rendered))
    fresh = told(botticelli("doctor --json"), "timers")
    configure(botticelli, QUIET + "[post.schedule]\ntype = 'Interval'\nseconds = 600\n")
    stale = told(botticelli("doctor --json"), "timers")

    assert [level for level, _, _ in fresh] == ["ok"]
    assert stale[0][0] == "warning"
    assert stale[0][2] == "botticelli timers install --cron"


def test_a_unit_that_is_not_armed_is_a_fault(botticelli, db, systemctl):
    configure(botticelli)
    names = ("generate", "curate", "post", "prune")
    systemctl(
        "systemctl",
        "\n\n".join(
            f"Id=botticelli-{botticelli.cwd.name}-{name}.timer\nLoadState=loaded\n"
            f"ActiveState={'inactive' if name == 'post' else 'active'}\n"
            "LastTriggerUSec=\nNextElapseUSecRealtime=@1790000000"
            for name in names
        ),
    )

    ended = botticelli("doctor --json")

    assert ended.code == 1
    assert ("fault", "system: not active: post", "botticelli timers install") in told(
        ended, "timers"
    )


def test_it_reads_well_at_eighty_columns_and_in_a_pipe(botticelli, db):
    botticelli.environ |= {"TERM": "xterm", "NO_COLOR": "1"}

    on_terminal, piped = botticelli("doctor", terminal=True), botticelli("doctor")

    lines = re.sub(r"\x1b\[\d*m", "", on_terminal.out).splitlines()
    assert [line for line in lines if len(line) > 80 and " " in line.strip()] == []
    assert "\x1b" not in piped.out
    found = [line for line in piped.out.splitlines() if line and not line.startswith(" ")]
    assert found[0].startswith("ok           database: PostgreSQL")
    assert found[-1].endswith("not checked")


def test_its_patience_is_longer_than_a_connections_own_limits():
    from botticelli.store.connection import CONNECT_TIMEOUT

    assert CONNECT_TIMEOUT < PATIENCE
