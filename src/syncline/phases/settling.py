"""Rows of the way back say what became of them, soon after a worker has acknowledged their marks."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType

from syncline.engines.postgres.documents.row_states import RowStates
from syncline.errors import SynclineError
from syncline.telemetry.observer import BatchDone, Event, NullObserver

EVERY_SECONDS = 0.5
"""Rows are settled so often, many at a time."""
ALL_SECONDS = 3600.0
"""So often tables are looked through: a worker that was killed has left rows that nobody else knows of."""
_MOST = 100_000
"""So many keys of a collection are known one by one; beyond it, the table is looked through."""


class Settling(NullObserver):
    """An observer of a worker of the way back that has the rows of its batches settled.

    Args:
        states: by collection.

    """

    wants_keys = True

    def __init__(self, states: Mapping[str, RowStates] = MappingProxyType({})) -> None:
        self._states = states
        self._keys: defaultdict[str, set[str]] = defaultdict(set)
        self._whole = {*states}
        """Collections whose tables are to be looked through."""

    def tell(self, event: Event) -> None:
        """Note the keys of a batch."""
        if isinstance(event, BatchDone) and event.entity in self._states:
            keys = self._keys[event.entity]
            keys.update(event.keys)
            if len(keys) > _MOST:
                keys.clear()
                self._whole.add(event.entity)

    async def run(self) -> None:
        """Settle until it is cancelled."""
        loop = asyncio.get_running_loop()
        again = loop.time() + ALL_SECONDS
        while True:
            with suppress(SynclineError):  # the worker says what the trouble is
                await self.settle()
            await asyncio.sleep(EVERY_SECONDS)
            if loop.time() > again:
                again = loop.time() + ALL_SECONDS
                self._whole.update(self._states)

    async def settle(self) -> None:
        """Settle what is known by now.

        Raises:
            SynclineError: PostgreSQL does not answer; what is not settled is still known.

        """
        for name, states in self._states.items():
            if name in self._whole:
                async for page in states.unsettled():
                    self._keys[name].update(await states.settle(page))
                self._whole.discard(name)
            if keys := self._keys.pop(name, None):
                await self._settle(name, states, keys)

    async def _settle(self, name: str, states: RowStates, keys: set[str]) -> None:
        left = keys
        try:
            left = {*await states.settle(sorted(keys))}
        finally:
            self._keys[name] |= left

    async def close(self) -> None:
        """Settle what is left, and end the sessions."""
        try:
            with suppress(SynclineError):
                await self.settle()
        finally:
            for states in self._states.values():
                await states.close()
