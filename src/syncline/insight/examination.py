"""Examining the source: every check ends, changes nothing, and does not hide the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from psycopg import sql

from syncline.config import Settings, redact
from syncline.errors import SourceUnavailableError
from syncline.insight import reach
from syncline.insight.checks.finding import Finding, Subject, critical, warning
from syncline.postgres.connection import Connection, translated
from syncline.postgres.dialect import on_cockroach

T = TypeVar("T")
Check = Callable[[Subject], Awaitable[list[Finding]]]

CHECK_SECONDS = 10.0
"""Limit of one check."""


class Examination:
    """Runs checks one after the other. A check that hangs costs the connection; the next one gets another.

    On PostgreSQL each runs in a transaction that the server keeps from writing. (Not for the session, which a pooler
    may lend to others.)
    """

    def __init__(self, settings: Settings, stack: AsyncExitStack, connection: Connection) -> None:
        self.subject = Subject(settings, connection, None)
        self._stack = stack
        self._lost = False

    async def run(self, checks: Sequence[Check]) -> list[Finding]:
        """Run checks; one that fails is a finding."""
        found: list[Finding] = []
        for number, check in enumerate(checks):
            if self._lost:
                break
            try:
                await self._reconnected()
            except SourceUnavailableError as error:
                self._lost = True
                found.append(lost(error, f"; {len(checks) - number} checks were not made"))
                break
            found += await self._one(check)
        return found

    async def _one(self, check: Check) -> list[Finding]:
        name = check.__name__.replace("_", " ")
        try:
            return await bounded(self._read_only(check), self.subject.connection)
        except Exception as error:  # noqa: BLE001  one that fails must not hide the others
            return [unchecked(name, error)]

    async def _read_only(self, check: Check) -> list[Finding]:
        connection = self.subject.connection
        if on_cockroach(connection):  # some of its answers are errors, which would end a transaction
            return await check(self.subject)
        await connection.set_read_only(True)
        limits = sql.SQL("SELECT set_config('statement_timeout', {}, true), set_config('lock_timeout', {}, true)")
        milliseconds = [sql.Literal(str(int(CHECK_SECONDS * part))) for part in (800, 200)]
        async with connection.transaction():
            await connection.execute(limits.format(*milliseconds))
            return await check(self.subject)

    async def _reconnected(self) -> None:
        if self.subject.connection.closed:
            self.subject = replace(self.subject, connection=await opened(self.subject.settings, self._stack))


@asynccontextmanager
async def examination(settings: Settings) -> AsyncIterator[Examination]:
    """Open a connection to the source for as long as the checks take.

    Raises:
        SourceUnavailableError: it cannot be reached.

    """
    async with AsyncExitStack() as stack:
        yield Examination(settings, stack, await opened(settings, stack))


async def opened(settings: Settings, stack: AsyncExitStack) -> Connection:
    """Open a connection that the stack closes."""
    source = reach.source(settings.source, purpose="doctor", installed=False)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            with translated():
                return await stack.enter_async_context(source)
    except TimeoutError:
        raise SourceUnavailableError(
            f"PostgreSQL does not answer within {CHECK_SECONDS:g} s", hint="is it overloaded, or frozen?"
        ) from None


async def bounded(work: Coroutine[Any, Any, T], connection: Connection) -> T:
    """Wait for work on a connection for as long as a check may take; then both are given up.

    Raises:
        TimeoutError: it took longer.

    """
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=CHECK_SECONDS)
    if done:
        return task.result()
    await connection.close()
    task.cancel()
    await asyncio.wait({task}, timeout=1)
    raise TimeoutError(f"no answer within {CHECK_SECONDS:g} s")


def unchecked(name: str, error: Exception) -> Finding:
    """Say that a check could not be made, and why."""
    reason = (redact(str(error)).strip() or type(error).__name__).splitlines()[0]
    why = "what it looks for may be there, unseen"
    fix = getattr(error, "hint", None) or "correct what the message says, then: syncline doctor"
    return warning(name, f"could not be checked: {reason}", why=why, fix=fix)


def lost(error: SourceUnavailableError, what: str = "") -> Finding:
    """Say that the source cannot be reached."""
    why = "nothing is captured or applied while the source is down"
    return critical("source", error.message + what, why=why, fix=error.hint or "check `url` of [source]")
