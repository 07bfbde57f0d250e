"""Trouble on demand: a target that is away, loses replies, delivers late, or stands still where a test wants it to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from syncline.errors import TargetRefusedError, TargetUnavailableError
from syncline.model.entity import Entity
from syncline.ports import Batch, Beat, Document, Fence, Report, Reverse, Target


class Held:
    """A batch on its way: its sender has given it up, and it arrives when the test says so."""

    def __init__(self, target: Target, batch: Batch) -> None:
        self.batch = batch
        self.since = time.monotonic()
        """When its sender gave it up."""
        self._target = target

    async def deliver(self) -> Report:
        """Let the target execute it now."""
        return await self._target.apply(self.batch)


class FaultyTarget:
    """Wraps a target and makes trouble; without being told to, it changes nothing.

    target = FaultyTarget(MemoryTarget())
    target.unavailable = True          # every call fails
    target.lose_replies = 1            # the next write is executed, but its sender never hears of it
    target.hold_writes = 1             # the next write fails, and is executed when the test delivers it
    target.cannot_stand = lambda document: document["name"] == "poison"
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.unavailable = False
        self.lose_replies = 0
        self.hold_writes = 0
        self.delay_seconds = 0.0
        self.cannot_stand: Callable[[Document], bool] = lambda document: False  # noqa: ARG005
        """A batch with such a document fails as if the server broke down under it."""
        self.refuses = False
        """Writes of records are refused, as for a missing privilege; a probe goes through."""
        self.before_apply: Callable[[Batch], Awaitable[None]] | None = None
        """Awaited before each write reaches the target: freeze here, or look."""
        self.after_apply: Callable[[Batch], Awaitable[None]] | None = None
        """Awaited when the target has executed a write and before its sender hears of it."""
        self.held: list[Held] = []
        self.writes: list[Batch] = []
        """Every batch that was sent, those that failed included."""
        self.attempts = 0
        """Calls that failed because the target was unavailable."""

    def _check(self) -> None:
        if self.unavailable:
            self.attempts += 1
            raise TargetUnavailableError("the target is away")

    @property
    def fence(self) -> Fence:
        """As the target says."""
        return self.target.fence

    @property
    def deletes_twice(self) -> bool:
        """As the target says."""
        return self.target.deletes_twice

    @property
    def reverse(self) -> Reverse | None:
        """As the target says."""
        return self.target.reverse

    @property
    def admission(self) -> str:
        """As the target says."""
        return self.target.admission

    async def ask_gate(self) -> bool:
        """Ask the target."""
        self._check()
        return await self.target.ask_gate()

    async def prepare(self, entities: Sequence[Entity]) -> None:
        """Create what is declared."""
        self._check()
        await self.target.prepare(entities)

    async def apply(self, batch: Batch) -> Report:
        """Write states, with all the trouble that was ordered."""
        self.writes.append(batch)
        if self.before_apply is not None:
            await self.before_apply(batch)
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        self._check()
        if self.refuses:
            raise TargetRefusedError("not authorised to write here")
        if any(self.cannot_stand(state.body) for state in batch.states):
            raise TargetUnavailableError("the connection broke while the batch was written")
        if self.hold_writes:
            self.hold_writes -= 1
            self.held.append(Held(self.target, batch))
            raise TargetUnavailableError("no reply in time")
        report = await self.target.apply(batch)
        if self.after_apply is not None:
            await self.after_apply(batch)
        if self.lose_replies:
            self.lose_replies -= 1
            raise TargetUnavailableError("the reply was lost")
        return report

    def as_json(self, batch: Batch) -> dict[str, str]:
        """Give a batch's states as JSON."""
        return self.target.as_json(batch)

    async def lane_epochs(self) -> dict[int, int]:
        """Read the lanes' records."""
        self._check()
        return await self.target.lane_epochs()

    async def announce(self, epochs: Mapping[int, int]) -> set[int]:
        """Raise the lanes' records."""
        self._check()
        return await self.target.announce(epochs)

    async def beat(self, beat: Beat, *, over: str | None = None) -> Beat | None:
        """Store the beat."""
        self._check()
        return await self.target.beat(beat, over=over)

    async def read_beat(self) -> Beat | None:
        """Read the beat."""
        self._check()
        return await self.target.read_beat()

    async def probe(self) -> None:
        """Write something small."""
        self._check()
        await self.target.probe()

    async def holders(self, entity: Entity, values: Sequence[Mapping[str, Any]]) -> list[Document | None]:
        """Find who has these values."""
        self._check()
        return await self.target.holders(entity, values)

    async def read(self, entity: Entity, ids: Sequence[Any]) -> list[Document]:
        """Read records."""
        self._check()
        return await self.target.read(entity, ids)

    async def walk(
        self, entity: Entity, *, after: Any = None, size: int = 1000, resume: bool = False, until: Any = ...
    ) -> AsyncIterator[list[Document]]:
        """Walk a collection."""
        async for page in self.target.walk(entity, after=after, size=size, resume=resume, until=until):
            self._check()
            yield page

    async def cut(self, entity: Entity, parts: int, *, least: int) -> list[Any]:
        """Cut a collection."""
        self._check()
        return await self.target.cut(entity, parts, least=least)

    async def discard(self, entity: Entity, ids: Sequence[Any]) -> int:
        """Remove records."""
        self._check()
        return await self.target.discard(entity, ids)

    async def ping(self) -> Mapping[str, Any]:
        """Reach the target."""
        self._check()
        return await self.target.ping()

    async def close(self) -> None:
        """Close the target."""
        await self.target.close()
