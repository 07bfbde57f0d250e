"""Named, versioned steps on columns."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import TypeAdapter
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.audit import audit
from backoffice.imports.steps import Step
from backoffice.models.delivery import DataAudit, Transform
from backoffice.paging import Before, Limit, page_of
from backoffice.permissions import Permission
from backoffice.problems import documented, missing
from backoffice.schemas import imports as schemas
from backoffice.schemas.common import Page
from backoffice.security import Authenticated, require_permission
from backoffice.services import DataWrites, Reads

router = APIRouter(prefix="/api/transforms", tags=["imports"])
may_read = [Depends(require_permission(Permission.IMPORTS_READ))]
may_write = [Depends(require_permission(Permission.IMPORTS_WRITE))]

Name = Annotated[schemas.TransformName, Path(examples=["dhl-prices"])]
_STEPS = TypeAdapter[list[Step]](list[Step])


@router.get("", dependencies=may_read, responses=documented(401, 403, 422))
async def list_transforms(session: Reads, before: Before = None, limit: Limit = 50) -> Page[schemas.Transform]:
    """List all versions of all transforms, newest first."""
    return await page_of(session, schemas.Transform, Transform, before, limit)


@router.get("/{name}", dependencies=may_read, responses=documented(401, 403, 404, 422))
async def get_transform(name: Name, session: Reads) -> schemas.Transform:
    """Give the newest version."""
    found, _ = await steps_of(session, name, None)
    return schemas.Transform.model_validate(found)


@router.post("/{name}", status_code=201, dependencies=may_write, responses=documented(401, 403, 409, 422))
async def save_transform(
    name: Name, new: schemas.NewTransform, caller: Authenticated, write: DataWrites
) -> schemas.Transform:
    """Save the next version."""
    steps: list[dict[str, Any]] = [one.model_dump(mode="json", by_alias=True) for one in new.steps]

    async def work(session: AsyncSession) -> schemas.Transform:
        last = await session.scalar(select(func.max(Transform.version)).where(Transform.name == name))
        made = Transform(name=name, version=(last or 0) + 1, steps=steps, author_id=caller.user_id)
        session.add(made)
        audit(session, DataAudit, caller, "transform.saved", f"{name}/{made.version}")
        await session.flush()
        return schemas.Transform.model_validate(made)

    return await write.run(work)


async def steps_of(session: AsyncSession, name: str, version: int | None) -> tuple[Transform, list[Step]]:
    """Read a version of a transform, by default the newest."""
    wanted = select(Transform).where(Transform.name == name).order_by(Transform.version.desc()).limit(1)
    found = await session.scalar(wanted if version is None else wanted.where(Transform.version == version))
    if found is None:
        raise missing("transform" if version is None else "version of this transform")
    return found, _STEPS.validate_python(found.steps)
