"""Connections to other systems, and what ran there."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.audit import audit
from backoffice.models.integrations import Integration, IntegrationRun
from backoffice.models.people import PrimaryAudit
from backoffice.paging import Before, Limit, PathId, page_of
from backoffice.permissions import Permission
from backoffice.problems import documented, missing
from backoffice.schemas import integrations as schemas
from backoffice.schemas.common import Page, changes
from backoffice.security import Authenticated, require_permission
from backoffice.services import Reads, Session
from syncline.contrib.fastapi import Problem

router = APIRouter(prefix="/api/integrations", tags=["integrations"])
may_read = [Depends(require_permission(Permission.INTEGRATIONS_READ))]
may_write = [Depends(require_permission(Permission.INTEGRATIONS_WRITE))]


@router.get("", dependencies=may_read, responses=documented(401, 403, 422))
async def list_integrations(session: Reads, before: Before = None, limit: Limit = 50) -> Page[schemas.Integration]:
    """List connections, newest first."""
    return await page_of(session, schemas.Integration, Integration, before, limit)


@router.get("/{integration_id}", dependencies=may_read, responses=documented(401, 403, 404, 422))
async def get_integration(integration_id: PathId, session: Reads) -> schemas.Integration:
    """Give one."""
    return schemas.Integration.model_validate(await _integration(session, integration_id))


@router.post("", status_code=201, dependencies=may_write, responses=documented(401, 403, 409, 422))
async def create_integration(
    new: schemas.NewIntegration, caller: Authenticated, session: Session
) -> schemas.Integration:
    """Add a connection."""
    integration = Integration(**new.model_dump())
    session.add(integration)
    await session.flush()
    audit(session, PrimaryAudit, caller, "integration.created", integration.id, name=new.name, kind=new.kind)
    await session.commit()
    return schemas.Integration.model_validate(integration)


@router.patch("/{integration_id}", dependencies=may_write, responses=documented(401, 403, 404, 409, 422))
async def change_integration(
    integration_id: PathId, change: schemas.IntegrationChange, caller: Authenticated, session: Session
) -> schemas.Integration:
    """Change one."""
    integration = await _integration(session, integration_id, lock=True)
    wanted = changes(change)
    for name, value in wanted.items():
        setattr(integration, name, value)
    audit(session, PrimaryAudit, caller, "integration.changed", integration.id, fields=sorted(wanted))
    await session.commit()
    return schemas.Integration.model_validate(integration)


@router.delete("/{integration_id}", status_code=204, dependencies=may_write, responses=documented(401, 403, 404, 422))
async def delete_integration(integration_id: PathId, caller: Authenticated, session: Session) -> None:
    """Remove one, with its runs."""
    integration = await _integration(session, integration_id, lock=True)
    await session.delete(integration)
    audit(session, PrimaryAudit, caller, "integration.deleted", integration.id, name=integration.name)
    await session.commit()


@router.get("/{integration_id}/runs", dependencies=may_read, responses=documented(401, 403, 422))
async def list_runs(
    integration_id: PathId, session: Reads, before: Before = None, limit: Limit = 50
) -> Page[schemas.IntegrationRun]:
    """List runs, newest first."""
    mine = IntegrationRun.integration_id == integration_id
    return await page_of(session, schemas.IntegrationRun, IntegrationRun, before, limit, mine)


@router.post(
    "/{integration_id}/runs", status_code=201, dependencies=may_write, responses=documented(401, 403, 404, 409, 422)
)
async def begin_run(integration_id: PathId, session: Session) -> schemas.IntegrationRun:
    """Begin a run; one of an integration runs at a time."""
    integration = await _integration(session, integration_id)
    if not integration.enabled:
        raise Problem(409, "the integration is not enabled")
    run = IntegrationRun(integration_id=integration_id)
    session.add(run)
    await session.commit()
    return schemas.IntegrationRun.model_validate(run)


@router.post(
    "/{integration_id}/runs/{run_id}/end", dependencies=may_write, responses=documented(401, 403, 404, 409, 422)
)
async def end_run(
    integration_id: PathId, run_id: PathId, end: schemas.RunEnd, session: Session
) -> schemas.IntegrationRun:
    """End a run."""
    run = await session.get(IntegrationRun, run_id, with_for_update=True)
    if run is None or run.integration_id != integration_id:
        raise missing("run")
    if run.state != "running":
        raise Problem(409, "it has ended already")
    run.state, run.records, run.message, run.ended_at = end.state, end.records, end.message, func.now()
    await session.commit()
    await session.refresh(run)
    return schemas.IntegrationRun.model_validate(run)


async def _integration(session: AsyncSession, integration_id: int, *, lock: bool = False) -> Integration:
    integration = await session.get(Integration, integration_id, with_for_update=lock or None)
    if integration is None:
        raise missing("integration")
    return integration
