"""A span for each request, for applications that no instrumentation serves yet."""

from __future__ import annotations

from contextlib import AbstractContextManager

import structlog
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from syncline.contrib.fastapi.middleware import template


class RequestSpans:
    """Gives each request a span, continues the caller's trace, and puts ``trace_id`` into every structlog line.

    Where a span is current already (FastAPI or OpenTelemetry's own instrumentation made one) that one is kept.
    """

    def __init__(self, app: ASGIApp, provider: TracerProvider | None = None) -> None:
        self._app = app
        self._tracer = trace.get_tracer("syncline", tracer_provider=provider)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        present = trace.get_current_span()
        if present.get_span_context().is_valid:
            with _logged(present):
                await self._app(scope, receive, send)
            return
        outer = contexts.attach(extract(Headers(scope=scope)))
        try:
            with self._tracer.start_as_current_span(scope["method"], kind=SpanKind.SERVER) as span, _logged(span):
                await self._within(span, scope, receive, send)
        finally:
            contexts.detach(outer)

    async def _within(self, span: Span, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= 500:
                    span.set_status(StatusCode.ERROR)
            await send(message)

        span.set_attribute("http.request.method", scope["method"])
        if "request_id" in scope.get("state", {}):
            span.set_attribute("http.request.id", scope["state"]["request_id"])
        try:
            await self._app(scope, receive, sending)
        finally:
            route = template(scope)
            span.set_attribute("http.route", route)
            span.update_name(f"{scope['method']} {route}")


def _logged(span: Span) -> AbstractContextManager[None]:
    """Put the span's trace into the log lines of a block."""
    return structlog.contextvars.bound_contextvars(trace_id=trace.format_trace_id(span.get_span_context().trace_id))
