"""Parked records in hand: a list, one in detail, retry and discard with a trace of who asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog

from syncline.config import Settings, redact
from syncline.errors import KeyFormatError, SynclineError
from syncline.insight import notices, parked, reach
from syncline.insight.patience import Patience
from syncline.insight.status import plain
from syncline.model.extended import extended
from syncline.model.json_names import Verbatim
from syncline.one_record import explain_record
from syncline.ports import Target
from syncline.postgres.connection import Connection
from syncline.postgres.sql import blocks
from syncline.web.problems import Problem

PAGE = 50
MOST = 500
"""Records that one action may name."""
ACTIONS = {"retry": parked.retry_parked, "discard": parked.discard_parked}
SECONDS = 10.0
"""Limit for an answer, beside what the source is given for the connection."""
EVENTS = 10
"""Events of a record that are shown with it."""

_log = structlog.get_logger("syncline")


def statements() -> Any:
    """Give the page's statements by name."""
    return blocks("page.sql", "syncline.web.page")


class Records:
    """Asks over a connection of its own each time: people are rare. Raises ``TimeoutError`` when there is no answer.

    Args:
        settings: which source, and the entities as declared.
        open_target: makes the target's client for a block.

    """

    def __init__(self, settings: Settings, open_target: Callable[[], AbstractAsyncContextManager[Target]]) -> None:
        self._settings = settings
        self._open_target = open_target
        self._patience = Patience[Any](SECONDS + settings.source.connect_timeout.total_seconds())

    async def page(self, after: int) -> list[dict[str, Any]]:
        """List the records that follow this id."""
        rows: list[dict[str, Any]] = await self._patience.within(lambda: self._page(after))
        return rows

    async def one(self, record: int) -> dict[str, Any] | None:
        """Tell everything about a parked record: the event's payload, the row and the document as they now are."""
        found: dict[str, Any] | None = await self._patience.within(lambda: self._one(record))
        return found

    async def act(self, action: str, ids: Sequence[int], who: str) -> int:
        """Retry or discard records, and leave a notice that says who asked; return how many there were."""
        done: int = await self._patience.within(lambda: self._act(action, ids, who))
        return done

    async def explain(self, entity: str, key: str) -> dict[str, Any]:
        """Tell everything that is known of a record, parked or not.

        Raises:
            SynclineError: there is no such entity, or this cannot be a key of it.

        """
        found: dict[str, Any] = await self._patience.within(lambda: self._explain(entity, key))
        return found

    async def resolve(self, ids: Sequence[int], who: str) -> list[int]:
        """Close notices; return the ids of those that were open."""
        closed: list[int] = await self._patience.within(lambda: self._resolve(ids, who))
        return closed

    async def _explain(self, entity: str, key: str) -> dict[str, Any]:
        declared = self._settings.entity(entity)
        if declared is None:
            raise Problem(404, f"the configuration of this page declares no entity {entity!r}")
        async with self._source() as source, self._open_target() as target:
            try:
                found = (await explain_record(self._settings, source, target, declared, key, events=EVENTS)).as_dict()
            except KeyFormatError as error:
                raise Problem(422, error.message, hint=error.hint) from error
        return found | {"document": extended(found["document"])}

    async def _resolve(self, ids: Sequence[int], who: str) -> list[int]:
        async with self._source() as source:
            closed = await notices.resolve_notices(source, list(ids))
        _log.info("notices resolved", ids=closed, who=who)
        return closed

    async def _page(self, after: int) -> list[dict[str, Any]]:
        async with self._source() as source:
            rows: list[dict[str, Any]] = plain(
                await reach.query(source, statements()["parked"], {"after": after, "limit": PAGE})
            )
            return rows

    async def _one(self, record: int) -> dict[str, Any] | None:
        async with self._source() as source:
            found = await reach.query(source, statements()["parked_one"], {"id": record})
            if not found:
                return None
            result: dict[str, Any] = plain(found[0])
            return result | await self._sides(source, result["entity"], result["key"])

    async def _act(self, action: str, ids: Sequence[int], who: str) -> int:
        async with self._source() as source, source.transaction():
            done = 0
            for group in await reach.query(source, statements()["parked_keys"], {"ids": list(ids)}):
                entity, keys = group["entity"], group["keys"]
                done += await ACTIONS[action](source, entity=entity, keys=keys)
                shown = ", ".join(keys[:20]) + (" …" if len(keys) > 20 else "")
                message = f"{who} asked to {action} {len(keys)} parked records of {entity}: {shown}"
                await reach.query(source, statements()["audit"], {"message": message[:2000]})
                _log.info("parked records", action=action, entity=entity, records=len(keys), who=who)
            return done

    async def _sides(self, source: Connection, entity: str, key: str) -> dict[str, Any]:
        declared = self._settings.entity(entity)
        if declared is None:
            return {"note": "the configuration of this page does not declare the entity: its row cannot be shown"}
        try:
            async with self._open_target() as target:
                found = await explain_record(self._settings, source, target, declared, key, events=0)
        except SynclineError as error:
            return {"note": redact(error.message)}
        sides: dict[str, Any] = plain(
            {"row": found.row and Verbatim(found.row), "included": found.included, "verdict": found.verdict}
        )
        trouble = found.target_error and redact(found.target_error)
        return sides | {"document": extended(found.document), "targetError": trouble}

    def _source(self) -> AbstractAsyncContextManager[Connection]:
        return reach.source(self._settings.source, purpose="page")
