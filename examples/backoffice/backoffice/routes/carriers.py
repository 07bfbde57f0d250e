"""Carriers."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.audit import audit
from backoffice.models.delivery import Carrier, DataAudit
from backoffice.paging import Before, Limit, PathId, page_of
from backoffice.permissions import Permission
from backoffice.problems import documented, missing
from backoffice.schemas import delivery as schemas
from backoffice.schemas.common import Page, changes
from backoffice.security import Authenticated, require_permission
from backoffice.services import DataWrites, Reads

router = APIRouter(prefix="/api/carriers", tags=["delivery"])
may_read = [Depends(require_permission(Permission.DELIVERY_READ))]
may_write = [Depends(require_permission(Permission.DELIVERY_WRITE))]


@router.get("", dependencies=may_read, responses=documented(401, 403, 422))
async def list_carriers(session: Reads, before: Before = None, limit: Limit = 50) -> Page[schemas.Carrier]:
    """List carriers, newest first."""
    return await page_of(session, schemas.Carrier, Carrier, before, limit)


@router.get("/{carrier_id}", dependencies=may_read, responses=documented(401, 403, 404, 422))
async def get_carrier(carrier_id: PathId, session: Reads) -> schemas.Carrier:
    """Give one."""
    return schemas.Carrier.model_validate(await _carrier(session, carrier_id))


@router.post("", status_code=201, dependencies=may_write, responses=documented(401, 403, 409, 422))
async def create_carrier(new: schemas.NewCarrier, caller: Authenticated, write: DataWrites) -> schemas.Carrier:
    """Add a carrier."""

    async def work(session: AsyncSession) -> schemas.Carrier:
        carrier = Carrier(**new.model_dump())
        session.add(carrier)
        await session.flush()
        audit(session, DataAudit, caller, "carrier.created", carrier.id, **new.model_dump())
        return schemas.Carrier.model_validate(carrier)

    return await write.run(work)


@router.patch("/{carrier_id}", dependencies=may_write, responses=documented(401, 403, 404, 422))
async def change_carrier(
    carrier_id: PathId, change: schemas.CarrierChange, caller: Authenticated, write: DataWrites
) -> schemas.Carrier:
    """Change one."""
    wanted = changes(change)

    async def work(session: AsyncSession) -> schemas.Carrier:
        carrier = await _carrier(session, carrier_id, lock=True)
        for name, value in wanted.items():
            setattr(carrier, name, value)
        audit(session, DataAudit, caller, "carrier.changed", carrier.id, **wanted)
        await session.flush()
        return schemas.Carrier.model_validate(carrier)

    return await write.run(work)


@router.delete("/{carrier_id}", status_code=204, dependencies=may_write, responses=documented(401, 403, 404, 422))
async def delete_carrier(carrier_id: PathId, caller: Authenticated, write: DataWrites) -> None:
    """Remove one, with its prices."""

    async def work(session: AsyncSession) -> None:
        carrier = await _carrier(session, carrier_id, lock=True)
        await session.delete(carrier)
        audit(session, DataAudit, caller, "carrier.deleted", carrier.id, code=carrier.code)

    await write.run(work)


async def _carrier(session: AsyncSession, carrier_id: int, *, lock: bool = False) -> Carrier:
    carrier = await session.get(Carrier, carrier_id, with_for_update=lock or None)
    if carrier is None:
        raise missing("carrier")
    return carrier
