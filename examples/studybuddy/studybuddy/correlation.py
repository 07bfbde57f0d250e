"""Correlation ids: one per request, in its response, in every line of the log and in the events that it records.

``Syncline.mount`` gives each request its id: the header ``X-Request-ID``, and ``request_id`` in structlog's context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syncline import arecord


def correlation_id() -> str:
    """Give the present request's id."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


async def tell(session: AsyncSession, event: str, key: int, payload: Mapping[str, Any]) -> None:
    """Record an event in the session's transaction: it is in the outbox if and only if that commits.

    Syncline captures every change by itself (``todo.updated``). Events are for what a change does not say
    (``todo.completed``).
    """
    await arecord(session, event, key, {**payload, "correlationId": correlation_id()})
