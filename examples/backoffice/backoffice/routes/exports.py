"""Exports: CSV, written while it is read; nothing that a spreadsheet would carry out."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from backoffice.imports.files import FORMULA
from backoffice.models.delivery import Carrier, ImportReject, Rate
from backoffice.paging import PathId
from backoffice.permissions import Permission
from backoffice.problems import documented
from backoffice.security import require_permission
from backoffice.services import Services, Serving

router = APIRouter(prefix="/api/exports", tags=["exports"])
AT_ONCE = 1000
CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"example": "code,name,active\r\n"}}}}


@router.get(
    "/carriers.csv",
    dependencies=[Depends(require_permission(Permission.DELIVERY_READ))],
    response_class=StreamingResponse,
    responses={**CSV, **documented(401, 403)},
)
async def carriers(services: Serving) -> StreamingResponse:
    """Give all carriers."""
    return await exported(
        services,
        ("code", "name", "active"),
        select(Carrier.code, Carrier.name, Carrier.active).order_by(Carrier.code),
        "carriers.csv",
    )


@router.get(
    "/rates.csv",
    dependencies=[Depends(require_permission(Permission.DELIVERY_READ))],
    response_class=StreamingResponse,
    responses={**CSV, **documented(401, 403)},
)
async def rates(services: Serving) -> StreamingResponse:
    """Give the whole delivery matrix; it can be imported again as it is."""
    statement = (
        select(Carrier.code, Rate.zone, Rate.to_grams, Rate.price, Rate.days)
        .join(Carrier, Carrier.id == Rate.carrier_id)
        .order_by(Rate.carrier_id, Rate.zone, Rate.to_grams)
    )
    return await exported(services, ("carrier", "zone", "to_grams", "price", "days"), statement, "rates.csv")


@router.get(
    "/imports/{import_id}/rejects.csv",
    dependencies=[Depends(require_permission(Permission.IMPORTS_READ))],
    response_class=StreamingResponse,
    responses={**CSV, **documented(401, 403, 422)},
)
async def rejects(import_id: PathId, services: Serving) -> StreamingResponse:
    """Give the rejects of an import, in the order of its lines."""
    statement = (
        select(ImportReject.line, ImportReject.column, ImportReject.message)
        .where(ImportReject.import_id == import_id)
        .order_by(ImportReject.line, ImportReject.id)
    )
    return await exported(services, ("line", "column", "message"), statement, f"rejects-{import_id}.csv")


async def exported(services: Services, header: Sequence[str], statement: Any, name: str) -> StreamingResponse:
    """Answer with the rows of a statement. What fails before the first ones are there is a problem, not half a file."""
    parts = _parts(services, header, statement)
    first = await anext(parts)

    async def content() -> AsyncIterator[str]:
        yield first
        async for part in parts:
            yield part

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(content(), media_type="text/csv; charset=utf-8", headers=headers)


async def _parts(services: Services, header: Sequence[str], statement: Any) -> AsyncIterator[str]:
    async with services.sessions() as session:
        result = await session.stream(statement.execution_options(yield_per=AT_ONCE))
        text = _written([header])
        async for rows in result.partitions():
            yield text + _written(rows)
            text = ""
        if text:
            yield text


def _written(rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([[_harmless(cell) for cell in row] for row in rows])
    return out.getvalue()


def _harmless(cell: Any) -> Any:
    """Put an apostrophe before text that a spreadsheet would take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] and cell[0] in FORMULA else cell
