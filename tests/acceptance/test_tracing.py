"""Traces: real processes, a collector on loopback that decodes what OTLP/HTTP brings."""

import socket
import subprocess
import sys
import time

import pytest

from tests.commandline import isolated, run_installed
from tests.fakes.otlp import FakeCollector

pytestmark = pytest.mark.slow  # whole commands and servers, seconds each

CLIENT, INTERNAL = 3, 1
BOUND = 15.0  # seconds on top of three times the run alone; left to itself, the SDK takes 30


@pytest.fixture
def collector():
    with FakeCollector() as server:
        yield server


@pytest.fixture
def traced(environ, collector, tmp_path):
    """`traced("post")` runs that command with a collector named in its environment."""
    environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
    return lambda words: run_installed(words, environ=environ, cwd=tmp_path)


def named(spans, start):
    return [span for span in spans if span.name.startswith(start)]


def test_a_batch_is_one_trace_of_run_narratives_and_calls(traced, generous, collector, db, gemini):
    ended = traced("generate --iterations 1")

    assert (ended.code, ended.err.count("traces")) == (0, 0), ended.err
    spans = collector.spans
    run = next(span for span in spans if not span.parent)
    items = named(spans, "invoke_workflow ")
    calls = named(spans, "generate_content ")
    assert len({span.trace for span in spans}) == 1
    assert (run.name, run.kind) == ("generate", INTERNAL)
    assert run.facts == {
        "botticelli.stage": "generate",
        "botticelli.run.id": db.execute("SELECT id FROM runs").fetchone()[0],
        "botticelli.run.exit_code": 0,
    }
    assert run.resource["service.name"] == "botticelli"
    assert [item.parent == run.id for item in items] == [True] * 5
    assert {item.facts["gen_ai.workflow.name"] for item in items} == {
        "community", "feature", "problem_solution", "tutorial", "usecase",
    }  # fmt: skip
    assert sorted(item.facts["botticelli.item.id"] for item in items) == [
        id_ for (id_,) in db.execute("SELECT id FROM generation_items ORDER BY 1")
    ]
    assert len(calls) == len(gemini.calls) == 15
    assert [sum(call.parent == item.id for call in calls) for item in items] == [3] * 5
    assert len(spans) == 1 + 5 + 15
    check_conventions(calls, db)


def check_conventions(calls, db):
    """Every call tells what the conventions ask for, and what the database says of it."""
    assert {(call.kind, call.is_error) for call in calls} == {(CLIENT, False)}
    for call in calls:
        assert call.facts["gen_ai.operation.name"] == "generate_content"
        assert call.facts["gen_ai.provider.name"] == "gcp.gemini"
        assert call.name == f"generate_content {call.facts['gen_ai.request.model']}"
        assert call.facts["gen_ai.response.finish_reasons"] == ["stop"]
        assert call.facts["gen_ai.output.type"] in {"text", "json"}
    told = sorted(
        (
            call.facts["botticelli.act.name"],
            call.facts["gen_ai.response.id"],
            call.facts["gen_ai.response.model"],
            call.facts["gen_ai.usage.input_tokens"],
            call.facts["gen_ai.usage.output_tokens"],
            call.facts.get("gen_ai.usage.reasoning.output_tokens", 0),
        )
        for call in calls
    )
    assert told == sorted(
        db.execute(
            "SELECT act_name, provider_request_id, model_version, input_tokens,"
            " output_tokens + coalesce(thought_tokens, 0), coalesce(thought_tokens, 0)"
            " FROM act_executions"
        ).fetchall()
    )


def test_a_delivery_is_a_span_and_no_text_or_secret_leaves(
    traced, generous, collector, db, environ
):
    for words in ("generate --iterations 1", "curate --drain", "post"):
        assert traced(words).code == 0

    sent = b"".join(collector.bodies)
    assert b"invoke_workflow" in sent
    texts = db.execute(
        "SELECT prompt FROM act_executions UNION SELECT response FROM act_executions"
        " UNION SELECT text_content FROM potential_discord_posts"
    ).fetchall()
    assert len(texts) > 30
    for (text,) in texts:
        for piece in (text[:25], text[-25:]):
            assert piece.encode() not in sent
    for secret in ("GEMINI_API_KEY", "DISCORD_TOKEN"):
        assert environ[secret].encode() not in sent
    (delivery,) = named(collector.spans, "deliver ")
    run = next(span for span in collector.spans if span.id == delivery.parent)
    assert (run.name, delivery.name, delivery.kind) == ("post", "deliver discord", CLIENT)
    assert delivery.facts == {
        "botticelli.destination": "discord",
        "botticelli.platform": "discord",
        "botticelli.delivery.id": 1,
        "botticelli.post.id": db.execute("SELECT post_id FROM deliveries").fetchone()[0],
        "botticelli.delivery.state": "posted",
    }


def test_a_failure_is_told_by_its_kind(traced, generous, collector, gemini, db):
    gemini.script.add("503")

    assert traced("generate --iterations 1").code == 0, "it was tried again"

    failed = [span for span in collector.spans if span.is_error]
    assert [span.facts["error.type"] for span in failed] == ["TransientError"]
    assert len(named(collector.spans, "generate_content ")) == 16


def test_a_run_that_cannot_work_is_an_error_with_its_exit_code(traced, environ, collector, db):
    environ["GEMINI_API_KEY"] = "wrong"

    ended = traced("generate --iterations 1")

    run = next(span for span in collector.spans if not span.parent)
    assert run.is_error
    assert run.facts["botticelli.run.exit_code"] == ended.code != 0


def test_a_delivery_that_failed_is_an_error(traced, collector, db, discord):
    db.execute("INSERT INTO approved_discord_posts (text_content) VALUES ('hello')")
    discord.script.add("500", "500", "500", "500", "500", "500")

    assert traced("post").code != 0

    (delivery,) = named(collector.spans, "deliver ")
    assert delivery.is_error
    assert delivery.facts["error.type"] == delivery.facts["botticelli.delivery.state"]


def test_run_is_traced_as_well(traced, generous, collector, tmp_path):
    (tmp_path / "n.toml").write_text(
        '[narrative]\nname = "n"\ndescription = "d"\n[toc]\norder = ["a"]\n[acts]\na = "Hello"\n'
    )

    ended = traced("run n.toml")

    assert ended.code == 0, ended.err
    names = [span.name.partition(" ")[0] for span in collector.spans]
    assert sorted(names) == ["generate_content", "invoke_workflow", "run"]


def test_standard_variables_are_heeded_and_a_dotenv_counts(environ, collector, tmp_path, db):
    (tmp_path / ".env").write_text(
        f"OTEL_EXPORTER_OTLP_ENDPOINT={collector.url}\nOTEL_SERVICE_NAME=studio\n"
        "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20abc\n"
    )

    assert run_installed("post", environ=environ, cwd=tmp_path).code == 0

    assert {span.resource["service.name"] for span in collector.spans} == {"studio"}
    assert collector.headers[0]["authorization"] == "Bearer abc"


@pytest.mark.parametrize(
    "off",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
    ids=lambda off: next(iter(off)),
)
def test_traces_can_be_turned_off(botticelli, environ, collector, db, off):
    botticelli.environ = environ | off | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}

    assert botticelli("post").code == 0

    assert collector.bodies == []


def test_a_rehearsal_leaves_no_trace(traced, collector, db):
    for words in ("generate --iterations 1 --dry-run", "status"):
        assert traced(words).code == 0

    assert collector.bodies == []


def refusing():
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("trouble", ["refused", "hang", "500"])
def test_a_collector_in_trouble_neither_fails_nor_holds_up_a_run(
    environ, collector, line, db, trouble
):
    _, alone = timed(line, "post")
    environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = refusing() if trouble == "refused" else collector.url
    environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "60000"
    collector.ending = "hang" if trouble == "hang" else ""
    collector.status = 500 if trouble == "500" else 200

    ended, taken = timed(line, "post")

    assert ended.code == 0, ended.err
    assert "traces" in ended.err
    assert ended.err.count("\n") == 1, ended.err
    assert taken < 3 * alone + BOUND


@pytest.mark.parametrize(
    "headers", ["authorization=Bearer%20k3y-of-collector,x-team=studio", "Bearer k3y-of-collector"]
)
def test_the_key_of_a_collector_is_never_logged(line, environ, db, headers):
    environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = refusing()
    environ["OTEL_EXPORTER_OTLP_HEADERS"] = headers

    ended = line("post --debug")

    assert ended.code == 0
    assert "traces" in ended.err
    assert "k3y-of-collector" not in ended.err


def timed(line, words):
    """Run a command; return how it ended, and after how many seconds."""
    began = time.monotonic()
    return line(words), time.monotonic() - began


def test_without_the_extra_a_run_goes_on_and_says_nothing(environ, collector, db, tmp_path):
    """As where only `pip install botticelli` was done: the import fails."""
    environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
    program = (
        "import sys; sys.modules['opentelemetry'] = None;"
        "from botticelli.cli.main import run; sys.argv[1:] = ['post']; run()"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip

    assert done.stderr == ""
    assert collector.bodies == []


def test_sdk_is_not_loaded_where_no_collector_is_named(line, environ, tmp_path, db):
    probe = (
        "import sys; from botticelli.cli.shell.environment import Environment;"
        "from botticelli.cli.main import main; main(['post'], Environment.of_process());"
        "sys.exit('opentelemetry' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", probe], env=environ, cwd=tmp_path, capture_output=True, check=False
    )

    assert isolated(tmp_path).items() <= environ.items()
    assert done.returncode == 0
