"""`botticelli metrics`: what Prometheus reads, and what the dashboard and the alerts make of it."""

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from botticelli.store.schema import EXPECTED_VERSION

TOP = Path(__file__).parents[2]
RULES = TOP / "deploy/prometheus/botticelli.rules.yml"
DASHBOARD = TOP / "deploy/grafana/botticelli.json"
WRITER = "gemini-3.5-flash-lite"
LIMITS = f"""
[models.limits."{WRITER}"]
rpm = 1000
tpm = 10000000
rpd = 1000
tpd = 10000000
"""
FROM_SCRAPING = {"instance", "job"}  # Prometheus adds them


def samples(text):
    """{(name, label, ...): value}, labels as name=value in the order of their names."""
    return {
        (sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items()))): value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for value in [sample.value]
    }


@pytest.fixture
def told(line, generous, db, tmp_path):
    """The figures after a whole line: five candidates, some approved, one of them posted."""
    (tmp_path / "botticelli.toml").write_text(LIMITS)
    for words in ("generate --iterations 1", "curate --drain", "post"):
        ended = line(words)
        assert ended.code == 0, ended.err
    ended = line("metrics")
    assert ended.code == 0, ended.err
    return ended.out


@pytest.mark.slow
def test_the_figures_agree_with_the_database(told, db, gemini):
    found = samples(told)

    def one(query):
        return db.execute(query).fetchone()[0]

    approved = one("SELECT count(*) FROM approved_discord_posts")
    of_model = (f"model={WRITER}", "provider=gemini")
    assert found["botticelli_schema_version",] == EXPECTED_VERSION
    assert found["botticelli_database_size_bytes",] > 1e6
    assert found["botticelli_candidates_total",] == 5
    assert found["botticelli_posts_approved_total",] == approved
    assert found["botticelli_posts_published_total", "destination=discord"] == 1
    assert found["botticelli_queue_depth", "queue=approved", "state=pending"] == approved - 1
    assert found["botticelli_queue_depth", "queue=candidates", "state=rejected"] == 5 - approved
    assert found["botticelli_deliveries", "destination=discord", "state=posted"] == 1
    assert found["botticelli_delivery_stuck_age_seconds", "destination=discord"] == 0
    for stage in ("generate", "curate", "post"):
        assert found["botticelli_runs_total", "outcome=done", f"stage={stage}"] == 1
        assert found["botticelli_stage_paused", f"stage={stage}"] == 0
        assert found["botticelli_stage_last_success_timestamp_seconds", f"stage={stage}"] == (
            pytest.approx(found["botticelli_metrics_timestamp_seconds",], abs=900)
        )
        assert 0 < found["botticelli_stage_last_success_duration_seconds", f"stage={stage}"] < 900
    calls = [key for key in found if key[0] == "botticelli_model_calls_total"]
    assert sum(found[key] for key in calls) == len(gemini.calls)
    tokens = sum(found[key] for key in found if key[0] == "botticelli_model_tokens_total")
    assert tokens == one(
        "SELECT sum(input_tokens + output_tokens + coalesce(thought_tokens, 0)) FROM act_executions"
    )
    assert found["botticelli_tokens_per_approved_post",] == pytest.approx(tokens / approved)
    assert found["botticelli_model_cost_usd_total", *of_model] == pytest.approx(
        float(one(f"SELECT sum(cost_usd) FROM act_executions WHERE model = '{WRITER}'"))
    )
    used = found["botticelli_budget_requests_used", *of_model, "window=day"]
    assert 0 < used <= found["botticelli_budget_requests_limit", *of_model, "window=day"]


def test_breaker_pause_and_failures_are_told(botticelli, db):
    db.execute(
        "UPDATE actor_server_state SET is_paused = true, circuit_opened_at = now(),"
        " consecutive_failures = 5, last_failure = now() WHERE task_id = 'curate'"
    )
    db.execute(
        "INSERT INTO runs (stage, state, exit_code, host, pid, ended_at) VALUES"
        " ('curate', 'failed', 1, 'h', 1, now()), ('generate', 'done', 75, 'h', 1, now())"
    )
    db.execute(
        "INSERT INTO command_approvals (digest, platform, command, args, expires_at) VALUES"
        " ('1', 'discord', 'x', '{}', now() + interval '1 h'), ('2', 'discord', 'x', '{}', now())"
    )

    found = samples(botticelli("metrics").out)

    assert found["botticelli_stage_paused", "stage=curate"] == 1
    assert found["botticelli_stage_breaker_open", "stage=curate"] == 1
    assert found["botticelli_stage_breaker_open", "stage=post"] == 0
    assert found["botticelli_stage_consecutive_failures", "stage=curate"] == 5
    assert found["botticelli_command_approvals_pending",] == 1
    assert found["botticelli_runs_total", "outcome=failed", "stage=curate"] == 1
    assert found["botticelli_runs_total", "outcome=deferred", "stage=generate"] == 1
    assert ("botticelli_stage_last_success_timestamp_seconds", "stage=curate") not in found


def test_counters_end_in_total_and_units_are_base_units(botticelli, exposed):
    for family in text_string_to_metric_families(botticelli("metrics").out):
        assert family.name.startswith("botticelli_")
        assert family.documentation.endswith(".")
        assert not re.search(r"_(ms|minutes|hours|days|percent|kb|mb)\b", family.name)
        totals = [sample.name.endswith("_total") for sample in family.samples]
        assert set(totals) <= {family.type == "counter"}, family.name


def test_no_label_grows_with_the_work(botticelli, exposed, db):
    """Ten times the work, the same series: nothing is labelled with an id."""
    before = samples(botticelli("metrics").out)
    for _ in range(10):
        db.execute("INSERT INTO potential_discord_posts (text_content) VALUES ('more')")
        db.execute(
            "WITH post AS (INSERT INTO approved_discord_posts (text_content) VALUES ('x')"
            " RETURNING id) INSERT INTO deliveries (post_id, destination)"
            " SELECT id, 'discord' FROM post"
        )
        db.execute(
            "INSERT INTO runs (stage, state, exit_code, host, pid, ended_at)"
            " VALUES ('post', 'done', 0, 'h', 1, now())"
        )

    after = samples(botticelli("metrics").out)

    assert after["botticelli_runs_total", "outcome=done", "stage=post"] == 11
    assert after.keys() == before.keys()


def test_the_textfile_is_replaced_in_one_step_and_readable_by_others(botticelli, db):
    folder = botticelli.cwd / "collector"
    folder.mkdir()
    before = os.umask(0o077)  # as in our units
    try:
        for _ in range(2):
            ended = botticelli("metrics --textfile collector/botticelli.prom")
            assert (ended.code, ended.out) == (0, ""), ended.err
    finally:
        os.umask(before)

    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert samples(file.read_text())["botticelli_schema_version",] == EXPECTED_VERSION


@pytest.mark.parametrize(
    ("where", "code", "told"),
    [
        ("figures.txt", 2, "let it end in .prom"),
        ("nowhere/figures.prom", 78, "make the folder"),
        ("a-file/figures.prom", 78, "make the folder"),
        ("a-folder.prom", 78, "cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_in_one_line(botticelli, db, where, code, told):
    (botticelli.cwd / "a-file").write_text("")
    (botticelli.cwd / "a-folder.prom").mkdir()

    ended = botticelli(f"metrics --textfile {where}")

    assert ended.code == code
    assert told in ended.err
    assert ended.err.count("\n") == 1
    assert not list(botticelli.cwd.glob(".*.half"))


def test_a_role_that_may_only_read_can_tell_them(botticelli, db, admin):
    admin.execute("CREATE ROLE reader_of_figures LOGIN")
    db.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_of_figures")
    try:
        url = botticelli.environ["DATABASE_URL"]
        botticelli.environ["DATABASE_URL"] = re.sub(r"//\w+", "//reader_of_figures", url)
        ended = botticelli("metrics")
        assert ended.code == 0, ended.err
        assert samples(ended.out)["botticelli_candidates_total",] == 0
    finally:
        admin.execute("DROP OWNED BY reader_of_figures")
        admin.execute("DROP ROLE reader_of_figures")


def expressions():
    """Every expression of the alert rules and the dashboard, with where it stands."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def selectors(expression):
    """The names, matchers and grouping labels that an expression uses."""
    found, labels = [], set()

    def look(node):
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        modifier = getattr(node, "modifier", None)
        for holder in (modifier, getattr(modifier, "matching", None)):
            labels.update(getattr(holder, "labels", None) or ())
        for child in ("expr", "lhs", "rhs", "vector_selector"):
            if (below := getattr(node, child, None)) is not None:
                look(below)
        for argument in getattr(node, "args", None) or ():
            look(argument)

    look(promql_parser.parse(expression))
    return found, labels


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_dashboard_and_alerts_name_what_there_is(exposed, where, expression):
    used, grouping = selectors(expression)
    assert used, "an expression without a metric"
    known = set(FROM_SCRAPING)
    for selector in used:
        assert selector.name in exposed, f"{where}: {selector.name} is not exposed"
        values = exposed[selector.name]
        for matcher in selector.matchers.matchers:
            if matcher.name in FROM_SCRAPING:
                continue
            assert matcher.name in values, f"{where}: {selector.name} has no label {matcher.name}"
            wanted = set(matcher.value.split("|"))
            assert wanted <= values[matcher.name], f"{where}: {matcher}"
        known |= values.keys()
    assert grouping <= known, f"{where}: groups by what is not there"


@pytest.fixture
def exposed(botticelli, db):
    """Metric -> label -> its values, with something of everything in the database."""
    (botticelli.cwd / "botticelli.toml").write_text(LIMITS)
    db.execute(
        "INSERT INTO act_executions (narrative, act_name, sequence_number, inputs_digest, state,"
        " error, provider, model) VALUES ('n', 'a', 0, 'd', 'failed', 'x', 'gemini', 'm')"
    )
    db.execute("UPDATE actor_server_state SET last_success = now(), last_failure = now()")
    db.execute(
        "INSERT INTO runs (stage, state, exit_code, host, pid, ended_at)"
        " VALUES ('post', 'done', 0, 'h', 1, now())"
    )
    db.execute("INSERT INTO approved_discord_posts (text_content) VALUES ('x')")
    found = {}
    for name, *pairs in samples(botticelli("metrics").out):
        labels = found.setdefault(name, {})
        for pair in pairs:
            key, _, value = pair.partition("=")
            labels.setdefault(key, set()).add(value)
    return found


def test_annotations_of_alerts_name_labels_that_are_left(exposed):
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            used, _ = selectors(rule["expr"])
            labels = set().union(*(exposed[selector.name] for selector in used))
            for text in rule["annotations"].values():
                named = set(re.findall(r"\$labels\.(\w+)", text))
                assert named <= labels, rule["alert"]


@pytest.fixture
def promtool():
    """Prometheus' own checker; it is no Python package, so that not every machine has it."""
    return shutil.which("promtool") or pytest.skip("there is no promtool on PATH")


def test_alerts_fire_when_they_should(promtool, tmp_path):
    for file in (RULES, Path(__file__).with_name("alerts.yml")):
        shutil.copy(file, tmp_path)

    done = subprocess.run(
        [promtool, "test", "rules", "alerts.yml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_itself_finds_nothing_to_object_to(promtool, botticelli, exposed):
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=botticelli("metrics").out, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_document_names_every_metric(exposed):
    document = (TOP / "docs/monitoring.md").read_text()

    assert [name for name in exposed if f"`{name}`" not in document] == []
