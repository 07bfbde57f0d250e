"""The limit on attempts to log in."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from fastapi import Request
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.models.people import LoginAttempt
from syncline.contrib.fastapi import Problem

WINDOW = timedelta(minutes=5)


def address_of(request: Request) -> str:
    """Say where a request comes from."""
    return request.client.host if request.client else "unknown"


async def count_attempt(session: AsyncSession, request: Request, email: str, limit: int) -> str:
    """Count an attempt to log in, and refuse it when there were too many: for the account, from the address, or both.

    It is counted before the password is looked at.

    Returns:
        What ``forget_attempts`` takes.

    """
    address = address_of(request)
    limits = {_key(address, email): limit, _key(address): limit * 10, _key(email): limit * 20}
    await session.execute(delete(LoginAttempt).where(LoginAttempt.at < func.now() - WINDOW))
    await session.execute(insert(LoginAttempt), [{"key": key} for key in sorted(limits)])
    await session.commit()  # first: those who try at the same time must see each other
    counted = await session.execute(
        select(LoginAttempt.key, func.count()).where(LoginAttempt.key.in_(limits)).group_by(LoginAttempt.key)
    )
    counts = dict(counted.all())
    await session.commit()
    if any(counts.get(key, 0) > limit for key, limit in limits.items()):
        wait = {"Retry-After": str(int(WINDOW.total_seconds()))}
        raise Problem(429, "too many attempts to log in; wait a few minutes", headers=wait)
    return _key(address, email)


async def forget_attempts(session: AsyncSession, key: str) -> None:
    """Forget the attempts of somebody who has logged in."""
    await session.execute(delete(LoginAttempt).where(LoginAttempt.key == key))


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
