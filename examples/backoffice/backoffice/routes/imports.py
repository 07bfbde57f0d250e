"""Imports: upload, look at the report, commit or discard."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.imports.files import FORMATS, FileError, Format, rows
from backoffice.imports.rates import examined
from backoffice.imports.staging import GivenUpError
from backoffice.imports.steps import Step
from backoffice.imports.transform import Reject, Row, Transform
from backoffice.models.delivery import ImportBatch, ImportReject, ImportRow
from backoffice.models.integrations import ImportRun
from backoffice.paging import Before, Limit, PathId, page_of
from backoffice.permissions import Permission
from backoffice.problems import documented, missing
from backoffice.routes.transforms import steps_of
from backoffice.schemas import imports as schemas
from backoffice.schemas.common import Id, Line, Page
from backoffice.security import Authenticated, require_permission
from backoffice.services import Reads, Serving, Session
from syncline.contrib.fastapi import Problem

router = APIRouter(prefix="/api/imports", tags=["imports"])
may_read = [Depends(require_permission(Permission.IMPORTS_READ))]
may_write = [Depends(require_permission(Permission.IMPORTS_WRITE))]

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "carrier,zone,to_grams,price,days\nDHL,EU-1,5000,4.90,2\n",
            },
            **{one: {"schema": {"type": "string", "format": "binary"}} for one in FORMATS if one != "text/csv"},
        },
    }
}
PREVIEWED = 100


@router.post(
    "",
    status_code=201,
    dependencies=may_write,
    openapi_extra=BODY,
    responses=documented(401, 403, 404, 409, 413, 415, 422),
)
async def upload(
    request: Request,
    caller: Authenticated,
    services: Serving,
    session: Session,
    name: Annotated[Line, Query(examples=["Prices of May"])],
    transform: Annotated[schemas.TransformName | None, Query()] = None,
    version: Annotated[Id | None, Query(description="By default the newest.")] = None,
) -> schemas.ImportRun:
    """Upload a file as it is (`curl --data-binary @prices.csv -H 'Content-Type: text/csv'`), and stage its rows."""
    format_ = FORMATS.get(request.headers.get("Content-Type", "").partition(";")[0].strip().lower())
    if format_ is None:
        raise Problem(415, f"Content-Type must be one of {', '.join(FORMATS)}")
    chosen: tuple[str, int] | None = None
    steps: list[Step] = []
    if transform is not None:
        found, steps = await steps_of(session, transform, version)
        chosen = (found.name, found.version)
        await session.commit()
    with tempfile.TemporaryFile() as file:
        async for part in request.stream():
            file.write(part)
        import_id = await services.imports.begin(caller, name, format_, chosen)
        try:
            await services.imports.stage(import_id, lambda: _from_the_beginning(file, format_), Transform(steps))
        except FileError as error:
            raise Problem(422, f"the file cannot be read: {error}", id=import_id) from None
        except GivenUpError:
            raise Problem(409, "the import took too long to begin; upload the file again", id=import_id) from None
    return await _shown(session, import_id)


@router.get("", dependencies=may_read, responses=documented(401, 403, 422))
async def list_imports(session: Reads, before: Before = None, limit: Limit = 50) -> Page[schemas.ImportRun]:
    """List imports, newest first."""
    return await page_of(session, schemas.ImportRun, ImportRun, before, limit)


@router.get("/{import_id}", dependencies=may_read, responses=documented(401, 403, 404, 422))
async def get_import(import_id: PathId, session: Reads) -> schemas.ImportRun:
    """Give one."""
    return await _shown(session, import_id)


@router.get("/{import_id}/report", dependencies=may_read, responses=documented(401, 403, 404, 422))
async def report(import_id: PathId, session: Reads) -> schemas.Report:
    """Say how many rows are good, and why others are not."""
    batch = await session.get(ImportBatch, import_id)
    if batch is None:
        raise missing("import")
    lines = func.count().label("lines")
    reasons = (
        select(ImportReject.column, ImportReject.message, lines, func.min(ImportReject.line).label("first_line"))
        .where(ImportReject.import_id == import_id)
        .group_by(ImportReject.column, ImportReject.message)
        .order_by(lines.desc(), func.min(ImportReject.line))
        .limit(50)
    )
    found = [schemas.Reason.model_validate(row) for row in await session.execute(reasons)]
    return schemas.Report(rows=batch.rows, rejects=batch.rejects, reasons=found)


@router.get("/{import_id}/rejects", dependencies=may_read, responses=documented(401, 403, 422))
async def list_rejects(
    import_id: PathId, session: Reads, before: Before = None, limit: Limit = 50
) -> Page[schemas.Reject]:
    """List rejects with their lines and columns, the last one first."""
    mine = ImportReject.import_id == import_id
    return await page_of(session, schemas.Reject, ImportReject, before, limit, mine)


@router.post("/{import_id}/preview", dependencies=may_read, responses=documented(401, 403, 404, 422))
async def preview(import_id: PathId, new: schemas.Preview, session: Session) -> list[schemas.PreviewedRow]:
    """Try steps on the first 100 staged rows; nothing is changed."""
    first = select(ImportRow.line, ImportRow.source).where(ImportRow.import_id == import_id).order_by(ImportRow.line)
    found = (await session.execute(first.limit(PREVIEWED))).all()
    if not found:
        raise missing("import with staged rows")
    return [
        schemas.PreviewedRow(
            line=line,
            source=source,
            content=content,
            errors=[{"column": one.column, "message": one.message} for one in rejects],
        )
        for line, source, content, rejects in examined([(line, source) for line, source in found], Transform(new.steps))
    ]


@router.post("/{import_id}/commit", dependencies=may_write, responses=documented(401, 403, 404, 409, 422))
async def commit(import_id: PathId, caller: Authenticated, services: Serving, session: Session) -> schemas.ImportRun:
    """Make the good rows prices: all of them, or none."""
    if not await services.imports.commit(import_id, caller):
        raise await _not_staged(session, import_id)
    return await _shown(session, import_id)


@router.delete("/{import_id}", dependencies=may_write, responses=documented(401, 403, 404, 409, 422))
async def discard(import_id: PathId, caller: Authenticated, services: Serving, session: Session) -> schemas.ImportRun:
    """Drop the staged rows."""
    if not await services.imports.discard(import_id, caller):
        raise await _not_staged(session, import_id)
    return await _shown(session, import_id)


def _from_the_beginning(file: BinaryIO, format_: Format) -> Iterator[tuple[int, Row] | Reject]:
    file.seek(0)
    return rows(file, format_)


async def _shown(session: AsyncSession, import_id: int) -> schemas.ImportRun:
    run = await session.get(ImportRun, import_id)
    if run is None:
        raise missing("import")
    return schemas.ImportRun.model_validate(run)


async def _not_staged(session: AsyncSession, import_id: int) -> Problem:
    run = await _shown(session, import_id)
    return Problem(409, f"the import is {run.state}, not staged", state=run.state)
