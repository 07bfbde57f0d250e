"""Correlation ids: one per request, in its response, in every line of the log and in the events that it records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syncline import arecord

HEADER = "X-Correlation-ID"
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def begin(proposed: str | None) -> str:
    """Begin a request: take the caller's id if it is one, else make one."""
    chosen = proposed if proposed and _ACCEPTABLE.fullmatch(proposed) else uuid4().hex
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(correlation_id=chosen)
    return chosen


def correlation_id() -> str:
    """Give the present request's id."""
    return str(structlog.contextvars.get_contextvars().get("correlation_id", ""))


async def tell(session: AsyncSession, event: str, key: int, payload: Mapping[str, Any]) -> None:
    """Record an event in the session's transaction: it is in the outbox if and only if that commits.

    Syncline captures every change by itself (``todo.updated``). Events are for what a change does not say
    (``todo.completed``).
    """
    await arecord(session, event, key, {**payload, "correlationId": correlation_id()})
