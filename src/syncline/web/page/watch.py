"""Looks at both databases every other second, keeps the last hour, and tells everybody who has the page open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson
import structlog

from syncline.config import redact
from syncline.errors import SynclineError
from syncline.insight.health import DEADLINE
from syncline.insight.patience import Patience
from syncline.insight.status import Status
from syncline.model.json_names import camelled
from syncline.model.thresholds import Thresholds
from syncline.web.exposition import StatusReader
from syncline.web.page.details import Details
from syncline.web.page.history import History, Rates, Sample
from syncline.web.page.moves import Moves, MovesWatch

PAUSE_SECONDS = 2.0
FIRST_SECONDS = 10.0

_log = structlog.get_logger("syncline")


class Watch:
    """The state of everything, renewed in the background for as long as it runs.

    Args:
        health: reads both databases; closed with this.
        details: what the page asks beside the health; closed with this.
        thresholds: the bounds in force, for the plots.
        pause: seconds between two looks.
        deadline: limit for what the page asks beside the health.
        also: gives what else belongs to the state.
        moves: reads the moves of named databases.

    """

    def __init__(
        self,
        health: StatusReader,
        details: Details,
        *,
        thresholds: Thresholds | None = None,
        pause: float = PAUSE_SECONDS,
        deadline: timedelta = DEADLINE,
        also: Callable[[], Mapping[str, Any]] = dict,
        moves: Moves | None = None,
    ) -> None:
        self._moves = MovesWatch(moves, deadline.total_seconds())
        self._also = also
        self.history = History()
        self.began = time.time()
        self._health, self._asked, self._pause = health, details, pause
        self._bounds = _bounds(thresholds or Thresholds())
        self._rates = Rates()
        self._patience = Patience[dict[str, Any]](deadline.total_seconds())
        self._task: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._state: bytes | None = None
        self._number = 0
        self._closing = False

    # -- running

    def start(self) -> None:
        """Begin to look, unless it does already."""
        if self._task is None or self._task.done():
            self._closing = False
            self._task = asyncio.create_task(self._run(), name="syncline page")

    async def end_streams(self) -> None:
        """Let go of everybody who listens, so that the server can stop."""
        async with self._changed:
            self._closing = True
            self._changed.notify_all()

    async def close(self) -> None:
        """Stop, and close the connections."""
        await self.end_streams()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._patience.settle()
        await self._moves.settle()
        await self._health.close()
        await self._asked.close()

    async def soon(self) -> None:
        """Look now, because something was done; the others are told as well."""
        await self._look()

    # -- telling

    async def current(self) -> bytes:
        """Give the state as JSON; waits for the first look.

        Raises:
            TimeoutError: it does not come to an end.

        """
        self.start()
        async with asyncio.timeout(FIRST_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self._state is not None or self._closing)
        return self._state or b"{}"

    async def states(self, seconds: float) -> AsyncIterator[bytes]:
        """Give the state, then each new one, for so long."""
        self.start()
        seen = 0
        end = time.monotonic() + seconds
        while not self._closing and time.monotonic() < end:
            async with self._changed:
                await self._changed.wait_for(lambda: self._number > seen or self._closing)  # noqa: B023  it ends here
                seen, state = self._number, self._state
            if state is not None:
                yield state

    # -- looking

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001  whatever it is, the next look may succeed
                _log.error("the operations page could not look", error=redact(f"{type(error).__name__}: {error}"))
            await asyncio.sleep(self._pause)

    async def _look(self) -> None:
        async with self._looking:
            state = await self._read()
        async with self._changed:
            self._state = orjson.dumps(camelled(state), default=str)
            self._number += 1
            self._changed.notify_all()

    async def _read(self) -> dict[str, Any]:
        status = await self._health.read()
        source_up, *target_up = (state.connected for state in status.databases.values())
        details = await self._details() if source_up or not self._asked.of_source else {}
        measures = status.measures
        rate = self._rates.step(_totals(status)) if measures else None
        sample = Sample(
            time.time(),
            measures.queue_size if measures else None,
            measures.lag_seconds if measures else None,
            rate,
            measures.failed_events if measures else None,
            source_up,
            all(target_up),
        )
        self.history.add(sample)
        return status.as_dict() | details | dict(self._also()) | dict(await self._moves.current()) | {
            "time": sample.at,
            "watchedSince": self.began,
            "rate": None if rate is None else round(rate, 1),
            "point": self.history.newest(),
            "thresholds": self._bounds,
        }  # fmt: skip

    async def _details(self) -> dict[str, Any]:
        try:
            return await self._patience.within(self._asked.read)
        except TimeoutError:
            return {"detailsError": f"no answer within {self._patience.seconds:g} s"}
        except SynclineError as error:
            return {"detailsError": redact(error.message)}


def _totals(status: Status) -> dict[str, float]:
    """Give the records that each worker has written so far."""
    return {w["id"]: w["report"].get("applied", 0) + w["report"].get("deleted", 0) for w in status.workers}


def _bounds(thresholds: Thresholds) -> dict[str, list[float]]:
    """Give warning and critical bound of what is plotted."""
    names = {"queue": "queue_size", "lag": "lag_seconds", "failed": "failed_events"}
    known = {plot: thresholds.measures[name] for plot, name in names.items() if name in thresholds.measures}
    return {plot: [bound.warning, bound.critical] for plot, bound in known.items()}
