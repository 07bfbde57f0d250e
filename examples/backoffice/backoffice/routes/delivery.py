"""The delivery matrix: carrier, zone and weight band give a price and days."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.audit import audit
from backoffice.models.delivery import Carrier, DataAudit, Rate
from backoffice.paging import PathId
from backoffice.permissions import Permission
from backoffice.problems import documented, missing
from backoffice.schemas import delivery as schemas
from backoffice.schemas.common import Code
from backoffice.security import Authenticated, require_permission
from backoffice.services import DataWrites, Reads

router = APIRouter(prefix="/api/delivery", tags=["delivery"])
may_read = [Depends(require_permission(Permission.DELIVERY_READ))]
may_write = [Depends(require_permission(Permission.DELIVERY_WRITE))]

Zone = Annotated[Code, Path()]
ToGrams = Annotated[schemas.Grams, Path()]


@router.get("/offers", dependencies=may_read, responses=documented(401, 403, 422))
async def offers(
    session: Reads,
    zone: Annotated[Code, Query(examples=["EU-1"])],
    grams: Annotated[schemas.Grams, Query(examples=[1200])],
) -> list[schemas.Offer]:
    """Give what each active carrier takes for a weight, cheapest first."""
    bands = (
        select(Rate.carrier_id, func.min(Rate.to_grams).label("to_grams"))
        .where(Rate.zone == zone, Rate.to_grams >= grams)
        .group_by(Rate.carrier_id)
        .subquery()
    )
    found = await session.execute(
        select(Carrier.code.label("carrier"), Rate.price, Rate.days, Rate.to_grams)
        .join(Carrier, Carrier.id == Rate.carrier_id)
        .join(bands, (bands.c.carrier_id == Rate.carrier_id) & (bands.c.to_grams == Rate.to_grams))
        .where(Rate.zone == zone, Carrier.active)
        .order_by(Rate.price, Rate.days, Carrier.code)
    )
    return [schemas.Offer.model_validate(row) for row in found]


@router.get("/rates/{carrier_id}", dependencies=may_read, responses=documented(401, 403, 422))
async def list_rates(
    carrier_id: PathId,
    session: Reads,
    after_zone: Annotated[str, Query(alias="afterZone", max_length=20, description="The last one's zone.")] = "",
    after_grams: Annotated[int, Query(alias="afterGrams", ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> list[schemas.Rate]:
    """List what a carrier takes, by zone and weight; the next page begins after the last one of this."""
    mine = select(Rate).where(
        Rate.carrier_id == carrier_id, tuple_(Rate.zone, Rate.to_grams) > tuple_(after_zone, after_grams)
    )
    found = await session.scalars(mine.order_by(Rate.zone, Rate.to_grams).limit(limit))
    return [schemas.Rate.model_validate(one) for one in found]


@router.put("/rates/{carrier_id}/{zone}/{to_grams}", dependencies=may_write, responses=documented(401, 403, 409, 422))
async def set_rate(
    carrier_id: PathId, zone: Zone, to_grams: ToGrams, new: schemas.NewRate, caller: Authenticated, write: DataWrites
) -> schemas.Rate:
    """Set a cell."""
    values = {"carrier_id": carrier_id, "zone": zone, "to_grams": to_grams, **new.model_dump()}
    written = insert(Rate).values(values)
    changed = written.on_conflict_do_update(index_elements=Rate.__table__.primary_key, set_=new.model_dump())
    told = {"price": str(new.price), "days": new.days}

    async def work(session: AsyncSession) -> schemas.Rate:
        await session.execute(changed)
        audit(session, DataAudit, caller, "rate.set", f"{carrier_id}/{zone}/{to_grams}", **told)
        return schemas.Rate.model_validate(values)

    return await write.run(work)


@router.delete(
    "/rates/{carrier_id}/{zone}/{to_grams}",
    status_code=204,
    dependencies=may_write,
    responses=documented(401, 403, 404, 422),
)
async def delete_rate(
    carrier_id: PathId, zone: Zone, to_grams: ToGrams, caller: Authenticated, write: DataWrites
) -> None:
    """Remove a cell: its band becomes part of the next one."""
    gone = delete(Rate).where(Rate.carrier_id == carrier_id, Rate.zone == zone, Rate.to_grams == to_grams)

    async def work(session: AsyncSession) -> None:
        if await session.scalar(gone.returning(Rate.days)) is None:
            raise missing("price")
        audit(session, DataAudit, caller, "rate.deleted", f"{carrier_id}/{zone}/{to_grams}")

    await write.run(work)
