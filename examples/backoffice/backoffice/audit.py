"""The audit: an entry commits with the change that it tells of, or neither does."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.callers import Caller
from backoffice.models.delivery import DataAudit
from backoffice.models.people import PrimaryAudit


def audit(
    session: AsyncSession,
    entry: type[PrimaryAudit | DataAudit],
    caller: Caller,
    action: str,
    subject: object,
    **details: Any,
) -> None:
    """Note what the caller does, in the transaction that does it.

    Args:
        session: of the change.
        entry: the audit of the database that is changed.
        caller: who does it.
        action: such as ``user.deactivated``.
        subject: whose id or name it is.
        details: what changed; no secrets.

    """
    session.add(
        entry(
            actor_id=caller.user_id,
            actor=caller.email,
            action=action,
            subject=str(subject),
            details=details,
            request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
        )
    )
