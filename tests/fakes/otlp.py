"""A loopback collector: OTLP/HTTP with protobuf bodies, decoded by OpenTelemetry's own messages."""

from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.fakes.loopback import Answer, LoopbackServer, Request


@dataclass(frozen=True, kw_only=True)
class Span:
    """One span as it came in; ids are bytes, `parent` is empty for a root."""

    id: bytes
    parent: bytes
    trace: bytes
    name: str
    kind: int
    is_error: bool
    seconds: float
    facts: dict
    resource: dict


class FakeCollector(LoopbackServer):
    """Takes traces. `status`: what it answers; `ending`: how it misbehaves instead."""

    def __init__(self):
        super().__init__()
        self.bodies = []
        self.headers = []
        self.status = 200
        self.ending = ""

    def reply(self, request: Request) -> Answer:
        if (request.method, request.path) != ("POST", "/v1/traces"):
            return Answer(status=404)
        self.bodies.append(request.body)
        self.headers.append(request.headers)
        return Answer(status=self.status, ending=self.ending, content_type="application/x-protobuf")

    @property
    def spans(self) -> list[Span]:
        """All spans that came in so far."""
        found = []
        for body in self.bodies:
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                resource = _facts(group.resource.attributes)
                for scope in group.scope_spans:
                    found += [_span(one, resource) for one in scope.spans]
        return found


def _span(one, resource) -> Span:
    return Span(
        id=one.span_id,
        parent=one.parent_span_id,
        trace=one.trace_id,
        name=one.name,
        kind=one.kind,
        is_error=one.status.code == one.status.STATUS_CODE_ERROR,
        seconds=(one.end_time_unix_nano - one.start_time_unix_nano) / 1e9,
        facts=_facts(one.attributes),
        resource=resource,
    )


def _facts(attributes) -> dict:
    return {each.key: _value(each.value) for each in attributes}


def _value(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)
