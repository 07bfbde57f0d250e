"""Staging the rows of a file in DATA: one transaction, a part of the file in memory at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.imports.rates import examined
from backoffice.imports.statements import COUNT, PATIENCE, REJECT, TWICE, UNKNOWN_CARRIERS
from backoffice.imports.transform import Reject, Row, Transform
from backoffice.models.delivery import ImportBatch, ImportReject, ImportRow

T = TypeVar("T")

AT_ONCE = 1000
DATA = {"database": "data"}


class GivenUpError(Exception):
    """The import was settled by somebody else, who found nothing of it."""


async def stage(
    session: AsyncSession, import_id: int, lines: Iterator[tuple[int, Row] | Reject], transform: Transform
) -> tuple[int, int]:
    """Write the rows and why some are rejected; commit afterwards. The batch comes first, and is what others wait for.

    Returns:
        How many rows are good, and how many lines are not.

    """
    await session.execute(PATIENCE, bind_arguments=DATA)
    batch = insert(ImportBatch).values(import_id=import_id, state="staged").on_conflict_do_nothing()
    if await session.scalar(batch.returning(ImportBatch.import_id)) is None:
        raise GivenUpError
    work = _examined(lines, transform)
    while part := await asyncio.to_thread(lambda: list(islice(work, AT_ONCE))):  # not in the event loop: it is slow
        await _write(session, import_id, part)
    given = {"import_id": import_id}
    for statement in (TWICE, UNKNOWN_CARRIERS, REJECT):
        await session.execute(statement, given)
    counted = (await session.execute(COUNT, given)).one()
    return counted.rows, counted.rejects


Examined = tuple[int, Row | None, dict[str, Any] | None, list[Reject]]


def _examined(lines: Iterable[tuple[int, Row] | Reject], transform: Transform) -> Iterator[Examined]:
    for one in lines:
        if isinstance(one, Reject):
            yield one.line, None, None, [one]
        else:
            yield from examined([one], transform)


async def _write(session: AsyncSession, import_id: int, part: list[Examined]) -> None:
    rows = [
        {"import_id": import_id, "line": line, "source": source, "content": content}
        for line, source, content, _ in part
        if source is not None
    ]
    rejects = [
        {"import_id": import_id, "line": reject.line, "column": reject.column, "message": reject.message}
        for _, _, _, found in part
        for reject in found
    ]
    if rows:
        await session.execute(plain_insert(ImportRow.__table__), rows)  # type: ignore[arg-type]
    if rejects:
        await session.execute(plain_insert(ImportReject.__table__), rejects)  # type: ignore[arg-type]
