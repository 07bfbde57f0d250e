"""OpenTelemetry, the worker's half of a trace: the span that wrote gets a child that ends with the delivery."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import Any

from syncline.errors import ConfigError
from syncline.telemetry.observer import Delivered, Event, NullObserver

try:
    from opentelemetry import trace
    from opentelemetry.trace import Link, SpanKind, Tracer, TracerProvider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:  # pragma: no cover
    raise ConfigError("tracing needs OpenTelemetry", hint="pip install 'syncline[tracing]'") from error

NAME = "syncline"
EXPORTER = "OTEL_TRACES_EXPORTER"
_PROPAGATOR = TraceContextTextMapPropagator()


class TracingObserver(NullObserver):
    """Makes the spans of what a worker delivers.

    ``syncline deliver``, a child of the span that wrote, from the capture to the acknowledgement; and one
    ``syncline apply`` for the batch, which links to the spans that wrote.
    """

    wants_traces = True

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer: Tracer = trace.get_tracer(NAME, tracer_provider=provider)

    def tell(self, event: Event) -> None:
        """Make the spans of what is delivered, all ended by now."""
        if not isinstance(event, Delivered):
            return
        deliveries = event.deliveries
        now = datetime.now(UTC)
        end = _nanoseconds(now)
        contexts = [_PROPAGATOR.extract({"traceparent": one.traceparent}) for one in deliveries]
        links = [Link(trace.get_current_span(context).get_span_context()) for context in contexts]
        batch = self._tracer.start_span(
            "syncline apply",
            context=trace.set_span_in_context(trace.INVALID_SPAN),
            kind=SpanKind.CONSUMER,
            links=links,
            start_time=_nanoseconds(now - event.took),
            attributes={"syncline.transactions": len(deliveries)},
        )
        batch.end(end)
        for one, context in zip(deliveries, contexts, strict=True):
            span = self._tracer.start_span(
                "syncline deliver",
                context=context,
                kind=SpanKind.CONSUMER,
                links=[Link(batch.get_span_context())],
                start_time=_nanoseconds(min(one.captured_at, now)),
                attributes={
                    "syncline.transaction": one.transaction,
                    "syncline.entities": list(one.entities),
                    "syncline.marks": one.marks,
                },
            )
            span.end(end)


@contextlib.contextmanager
def exporting_traces(service: str) -> Iterator[TracerProvider]:
    """Give the process's provider; where nobody has set one, one with the exporter of ``OTEL_TRACES_EXPORTER``.

    The exporter ("otlp" by default, with ``OTEL_EXPORTER_OTLP_ENDPOINT`` and the like) comes from its own package.

    Raises:
        ConfigError: the SDK or the exporter is not installed.

    """
    present = trace.get_tracer_provider()
    if not isinstance(present, trace.ProxyTracerProvider):
        yield present
        return
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider as SdkProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError("tracing needs the OpenTelemetry SDK", hint="pip install opentelemetry-sdk") from error
    resource = Resource.create({} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service})
    provider = SdkProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(_exporter()))
    try:
        yield provider
    finally:
        provider.shutdown()


def _exporter() -> Any:
    name = os.environ.get(EXPORTER, "otlp")
    found = {entry.name: entry for entry in entry_points(group="opentelemetry_traces_exporter")}
    if name not in found:
        have = ", ".join(sorted(found)) or "none"
        raise ConfigError(
            f"there is no exporter of traces called {name!r} (installed: {have})",
            hint=f"pip install opentelemetry-exporter-otlp, or set {EXPORTER}",
        )
    return found[name].load()()


def _nanoseconds(when: datetime) -> int:
    return int(when.timestamp() * 1e9)
