"""Writing routes under the switch of a split: the whole transaction runs again on the side that serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Generic, Self, TypeVar

from syncline.errors import GateClosedError
from syncline.split.databases import Databases
from syncline.split.switching.running import DEADLINE
from syncline.web.problems import Problem

Handle = TypeVar("Handle")
Result = TypeVar("Result")


class Writes(Generic[Handle]):
    """Runs the transactions of routes; made once, and a dependency.

    from syncline.contrib.fastapi.writes import Writes

    writes = Writes(databases, databases.async_session_factory().begin)

    @app.post("/api/carriers")
    async def create(body: NewCarrier, write: Annotated[Writes[AsyncSession], Depends(writes)]):
        async def work(session: AsyncSession) -> int:          # all that the transaction reads and writes
            carrier = Carrier(name=body.name)
            session.add(carrier)
            await session.flush()
            return carrier.id

        return await write.run(work)
    """

    def __init__(
        self,
        databases: Databases,
        using: Callable[[], AbstractAsyncContextManager[Handle]],
        *,
        deadline: timedelta = DEADLINE,
    ) -> None:
        self._databases = databases
        self._using = using
        self._deadline = deadline

    def __call__(self) -> Self:
        """Be a dependency."""
        return self

    async def run(self, work: Callable[[Handle], Awaitable[Result]]) -> Result:
        """Run a transaction; ``work`` may be called several times.

        Raises:
            Problem: 503 with ``Retry-After``: no side has accepted it in time, and nothing is written.
            UnknownOutcomeError: see ``Databases.run``.

        """
        try:
            return await self._databases.arun(work, self._using, deadline=self._deadline)
        except GateClosedError as error:
            raise Problem(503, error.message, hint=error.hint, headers={"Retry-After": "1"}) from error
