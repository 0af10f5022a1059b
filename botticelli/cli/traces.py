"""Whether spans go anywhere: OpenTelemetry's own variables say so, those of a .env included."""

import logging
import os
from typing import Final

from botticelli.cli.shell.environment import Environment
from botticelli.tracing import SILENT, Tracer

log = logging.getLogger(__name__)

PROTOCOL: Final = "http/protobuf"


def exporting(env: Environment) -> Tracer:
    """Return the tracer for the collector that is named; what is wrong with it fails nothing."""
    given = {name: value for name, value in env.environ.items() if name.startswith("OTEL_")}
    exporters = given.get("OTEL_TRACES_EXPORTER") or "otlp"
    if given.get("OTEL_SDK_DISABLED", "").lower() == "true" or "otlp" not in exporters.split(","):
        return SILENT
    general = given.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = given.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or general or PROTOCOL
    if protocol != PROTOCOL:
        log.warning("traces are off: OTEL_EXPORTER_OTLP_PROTOCOL has to be %s", PROTOCOL)
        return SILENT
    os.environ.update(given)  # the SDK reads no other
    try:
        return _exporting(env)
    except ImportError:
        log.debug("traces are off: pip install 'botticelli[otel]'")
    except Exception as error:  # noqa: BLE001 - a collector's settings must not fail a stage
        log.warning("traces are off: %s", error)
    return SILENT


def _exporting(env: Environment) -> Tracer:
    from importlib.metadata import version

    from botticelli.otel import Exporting

    return Exporting(version=version("botticelli"), host=env.identity.host)
