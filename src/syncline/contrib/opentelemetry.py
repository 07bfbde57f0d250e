"""Tracing for applications (the extra ``[tracing]``): changes know the span that wrote them.

See docs/how-to/tracing.md; the requests' spans are ``syncline.contrib.fastapi``'s.
"""

from syncline.capture.sqlalchemy.traces import attach_traces, traceparent
from syncline.telemetry.tracing import exporting_traces

__all__ = ["attach_traces", "exporting_traces", "traceparent"]
