"""Roles, and what there is to be allowed. Administrators change them."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.audit import audit
from backoffice.models.people import PrimaryAudit, Role
from backoffice.paging import PathId
from backoffice.permissions import Permission
from backoffice.problems import documented, missing
from backoffice.schemas import people as schemas
from backoffice.schemas.common import changes
from backoffice.security import Admin, require_permission
from backoffice.services import Reads, Session
from syncline.contrib.fastapi import Problem

router = APIRouter(prefix="/api/roles", tags=["roles"])
may_read = [Depends(require_permission(Permission.USERS_READ))]


@router.get("", dependencies=may_read, responses=documented(401, 403))
async def list_roles(session: Reads) -> list[schemas.Role]:
    """List all roles."""
    return [schemas.Role.model_validate(one) for one in await session.scalars(select(Role).order_by(Role.id))]


@router.get("/permissions", dependencies=may_read, responses=documented(401, 403))
async def list_permissions() -> list[Permission]:
    """List what a role may allow."""
    return list(Permission)


@router.post("", status_code=201, responses=documented(401, 403, 409, 422))
async def create_role(new: schemas.NewRole, caller: Admin, session: Session) -> schemas.Role:
    """Add a role."""
    role = Role(name=new.name, permissions=sorted(set(new.permissions)))
    session.add(role)
    await session.flush()
    audit(session, PrimaryAudit, caller, "role.created", role.id, name=role.name, permissions=role.permissions)
    await session.commit()
    return schemas.Role.model_validate(role)


@router.patch("/{role_id}", responses=documented(401, 403, 404, 409, 422))
async def change_role(role_id: PathId, change: schemas.RoleChange, caller: Admin, session: Session) -> schemas.Role:
    """Change a role: what its users may do counts at once, in every process."""
    role = await _role(session, role_id)
    wanted = changes(change)
    if "permissions" in wanted:
        wanted["permissions"] = sorted(set(wanted["permissions"]))
    for name, value in wanted.items():
        setattr(role, name, value)
    audit(session, PrimaryAudit, caller, "role.changed", role.id, **wanted)
    await session.commit()
    return schemas.Role.model_validate(role)


@router.delete("/{role_id}", status_code=204, responses=documented(401, 403, 404, 409, 422))
async def delete_role(role_id: PathId, caller: Admin, session: Session) -> None:
    """Remove a role that nobody has."""
    role = await _role(session, role_id)
    if role.admin:
        raise Problem(409, "the role of administrators stays")
    await session.delete(role)
    audit(session, PrimaryAudit, caller, "role.deleted", role.id, name=role.name)
    await session.commit()


async def _role(session: AsyncSession, role_id: int) -> Role:
    role = await session.get(Role, role_id, with_for_update=True)
    if role is None:
        raise missing("role")
    return role
