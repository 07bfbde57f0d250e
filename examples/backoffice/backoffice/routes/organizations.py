"""Customers."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.audit import audit
from backoffice.models.customers import Organization
from backoffice.models.people import PrimaryAudit
from backoffice.paging import Before, Limit, PathId, page_of
from backoffice.permissions import Permission
from backoffice.problems import documented, missing
from backoffice.schemas import customers as schemas
from backoffice.schemas.common import Page, changes
from backoffice.security import Authenticated, require_permission
from backoffice.services import Reads, Session

router = APIRouter(prefix="/api/organizations", tags=["customers"])
may_read = [Depends(require_permission(Permission.CUSTOMERS_READ))]
may_write = [Depends(require_permission(Permission.CUSTOMERS_WRITE))]


@router.get("", dependencies=may_read, responses=documented(401, 403, 422))
async def list_organizations(session: Reads, before: Before = None, limit: Limit = 50) -> Page[schemas.Organization]:
    """List customers, newest first."""
    return await page_of(session, schemas.Organization, Organization, before, limit)


@router.get("/{organization_id}", dependencies=may_read, responses=documented(401, 403, 404, 422))
async def get_organization(organization_id: PathId, session: Reads) -> schemas.Organization:
    """Give one."""
    return schemas.Organization.model_validate(await _organization(session, organization_id))


@router.post("", status_code=201, dependencies=may_write, responses=documented(401, 403, 409, 422))
async def create_organization(
    new: schemas.NewOrganization, caller: Authenticated, session: Session
) -> schemas.Organization:
    """Add a customer."""
    organization = Organization(**new.model_dump())
    session.add(organization)
    await session.flush()
    audit(session, PrimaryAudit, caller, "organization.created", organization.id, **new.model_dump())
    await session.commit()
    return schemas.Organization.model_validate(organization)


@router.patch("/{organization_id}", dependencies=may_write, responses=documented(401, 403, 404, 409, 422))
async def change_organization(
    organization_id: PathId, change: schemas.OrganizationChange, caller: Authenticated, session: Session
) -> schemas.Organization:
    """Change one."""
    organization = await _organization(session, organization_id, lock=True)
    wanted = changes(change)
    for name, value in wanted.items():
        setattr(organization, name, value)
    audit(session, PrimaryAudit, caller, "organization.changed", organization.id, **wanted)
    await session.commit()
    return schemas.Organization.model_validate(organization)


@router.delete(
    "/{organization_id}", status_code=204, dependencies=may_write, responses=documented(401, 403, 404, 409, 422)
)
async def delete_organization(organization_id: PathId, caller: Authenticated, session: Session) -> None:
    """Remove a customer without facilities and integrations."""
    organization = await _organization(session, organization_id, lock=True)
    await session.delete(organization)
    audit(session, PrimaryAudit, caller, "organization.deleted", organization.id, name=organization.name)
    await session.commit()


async def _organization(session: AsyncSession, organization_id: int, *, lock: bool = False) -> Organization:
    organization = await session.get(Organization, organization_id, with_for_update=lock or None)
    if organization is None:
        raise missing("organization")
    return organization
