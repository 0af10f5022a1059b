"""OpenTelemetry: sends spans to a collector by OTLP/HTTP, and never stands in the work's way.

The SDK and its exporter are an optional extra; they read the OTEL_* variables of the process.
An error's message is not exported, only its kind: it may quote what a model wrote.
"""

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botticelli.errors import TryLater
from botticelli.tracing import Kind, Span, Tracer, Value

if TYPE_CHECKING:
    import opentelemetry.trace
    from opentelemetry.sdk.resources import Resource

log = logging.getLogger(__name__)

PROTOCOL: Final = "http/protobuf"
LAST_SECONDS: Final = 1.5  # what a collector gets at the end; supervise's 3 s and these are below 5


def tracer(environ: Mapping[str, str], *, host: str) -> Tracer | None:
    """Return the tracer for the collector that OTEL_* variables name, a .env's included, if any.

    A wrong setting is logged and never fails the command. `host` is this machine's name.
    """
    from importlib.metadata import version

    given = {name: value for name, value in environ.items() if name.startswith("OTEL_")}
    exporters = given.get("OTEL_TRACES_EXPORTER") or "otlp"
    if given.get("OTEL_SDK_DISABLED", "").lower() == "true" or "otlp" not in exporters.split(","):
        return None
    general = given.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = given.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or general or PROTOCOL
    if protocol != PROTOCOL:
        log.warning("traces are off: OTEL_EXPORTER_OTLP_PROTOCOL has to be %s", PROTOCOL)
        return None
    os.environ.update(given)  # the SDK reads no other
    try:
        return Exporting(version=version("botticelli"), host=host)
    except ImportError:
        log.debug("traces are off: pip install 'botticelli[otel]'")
    except Exception as error:  # noqa: BLE001 - a collector's settings must not fail a stage
        log.warning("traces are off: %s", error)
    return None


class Exporting:
    """A tracer whose spans go to a collector, from a thread of their own.

    Args:
        version: Of this program.
        host: This machine's name.

    Raises:
        ImportError: The extra is not installed.
    """

    def __init__(self, *, version: str, host: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from botticelli.web_session import Session

        self._ear = _Ear()
        self._provider = TracerProvider(
            resource=_resource(version=version, host=host), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(session=Session())))
        self._tracer = self._provider.get_tracer("botticelli", version)

    @contextmanager
    def span(self, name: str, facts: Mapping[str, Value | None], *, kind: Kind) -> Iterator[Span]:
        """See Tracer."""
        from opentelemetry.trace import SpanKind

        with self._tracer.start_as_current_span(
            name,
            kind=SpanKind.CLIENT if kind == "client" else SpanKind.INTERNAL,
            record_exception=False,
            set_status_on_exception=False,
        ) as opened:
            span = _RecordedSpan(opened)
            span.set(facts)
            try:
                yield span
            except TryLater:
                raise
            except BaseException as error:
                span.fail(type(error).__name__)
                raise

    def close(self) -> None:
        """Send what is left, within LAST_SECONDS; what cannot be sent by then is lost."""
        sender = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        sender.start()
        sender.join(LAST_SECONDS)
        if sender.is_alive() or self._ear.heard:
            log.warning("not all traces reached the collector that OTEL_EXPORTER_OTLP_* names")


class _Ear(logging.Handler):
    """Keeps what OpenTelemetry logs from stderr, where each retry would be a line; hears errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard = False
        logger = logging.getLogger("opentelemetry")
        logger.handlers[:] = [self]
        logger.propagate = log.isEnabledFor(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - logging's signature
        """See logging.Handler."""
        self.heard = True


class _RecordedSpan(Span):
    """An OpenTelemetry span as our floors know it."""

    def __init__(self, opened: "opentelemetry.trace.Span") -> None:
        self._span = opened

    def set(self, facts: Mapping[str, Value | None]) -> None:
        """See Span."""
        self._span.set_attributes({key: fact for key, fact in facts.items() if fact is not None})

    def fail(self, kind: str) -> None:
        """See Span."""
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR)


def _resource(*, version: str, host: str) -> "Resource":
    """Return this service's attributes; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    ours = Resource.create({"service.version": version, "host.name": host})
    named = Resource({"service.name": "botticelli"})
    return ours.merge(named).merge(OTELResourceDetector().detect())
