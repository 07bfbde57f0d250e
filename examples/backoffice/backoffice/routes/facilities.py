"""Places of customers. Their delivery zones are DATA's: looked up there, in a query of its own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.audit import audit
from backoffice.models.customers import Facility
from backoffice.models.delivery import Rate
from backoffice.models.people import PrimaryAudit
from backoffice.paging import Before, Limit, PathId, page_of
from backoffice.permissions import Permission
from backoffice.problems import documented, missing
from backoffice.schemas import customers as schemas
from backoffice.schemas.common import Id, Page, changes
from backoffice.security import Authenticated, require_permission
from backoffice.services import Reads, Session
from syncline.contrib.fastapi import Problem

router = APIRouter(prefix="/api/facilities", tags=["customers"])
may_read = [Depends(require_permission(Permission.CUSTOMERS_READ))]
may_write = [Depends(require_permission(Permission.CUSTOMERS_WRITE))]


@router.get("", dependencies=may_read, responses=documented(401, 403, 422))
async def list_facilities(
    session: Reads,
    organization_id: Annotated[Id | None, Query(alias="organizationId")] = None,
    before: Before = None,
    limit: Limit = 50,
) -> Page[schemas.Facility]:
    """List places, newest first; of one customer, if it is named."""
    where = [] if organization_id is None else [Facility.organization_id == organization_id]
    return await page_of(session, schemas.Facility, Facility, before, limit, *where)


@router.get("/{facility_id}", dependencies=may_read, responses=documented(401, 403, 404, 422))
async def get_facility(facility_id: PathId, session: Reads) -> schemas.Facility:
    """Give one."""
    return schemas.Facility.model_validate(await _facility(session, facility_id))


@router.post("", status_code=201, dependencies=may_write, responses=documented(401, 403, 409, 422))
async def create_facility(new: schemas.NewFacility, caller: Authenticated, session: Session) -> schemas.Facility:
    """Add a place."""
    await _see_zone(session, new.zone)
    facility = Facility(**new.model_dump())
    session.add(facility)
    await session.flush()
    audit(session, PrimaryAudit, caller, "facility.created", facility.id, **new.model_dump())
    await session.commit()
    return schemas.Facility.model_validate(facility)


@router.patch("/{facility_id}", dependencies=may_write, responses=documented(401, 403, 404, 409, 422))
async def change_facility(
    facility_id: PathId, change: schemas.FacilityChange, caller: Authenticated, session: Session
) -> schemas.Facility:
    """Change one."""
    wanted = changes(change)
    if "zone" in wanted:
        await _see_zone(session, wanted["zone"])
    facility = await _facility(session, facility_id, lock=True)
    for name, value in wanted.items():
        setattr(facility, name, value)
    audit(session, PrimaryAudit, caller, "facility.changed", facility.id, **wanted)
    await session.commit()
    return schemas.Facility.model_validate(facility)


@router.delete("/{facility_id}", status_code=204, dependencies=may_write, responses=documented(401, 403, 404, 422))
async def delete_facility(facility_id: PathId, caller: Authenticated, session: Session) -> None:
    """Remove one."""
    facility = await _facility(session, facility_id, lock=True)
    await session.delete(facility)
    audit(session, PrimaryAudit, caller, "facility.deleted", facility.id, name=facility.name)
    await session.commit()


async def _facility(session: AsyncSession, facility_id: int, *, lock: bool = False) -> Facility:
    facility = await session.get(Facility, facility_id, with_for_update=lock or None)
    if facility is None:
        raise missing("facility")
    return facility


async def _see_zone(session: AsyncSession, zone: str) -> None:
    """Check on writing what a foreign key would; prices of a zone may be removed later, and nothing breaks by that."""
    if await session.scalar(select(Rate.zone).where(Rate.zone == zone).limit(1)) is None:
        raise Problem(422, f"no carrier delivers to zone {zone}")
