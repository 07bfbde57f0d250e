"""Who did what."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends

from backoffice.models.delivery import DataAudit
from backoffice.models.people import PrimaryAudit
from backoffice.paging import Before, Limit, page_of
from backoffice.permissions import Permission
from backoffice.problems import documented
from backoffice.schemas import people as schemas
from backoffice.schemas.common import Page
from backoffice.security import require_permission
from backoffice.services import Reads

router = APIRouter(prefix="/api/audit", tags=["audit"])
may_read = [Depends(require_permission(Permission.AUDIT_READ))]
AUDITS = {"primary": PrimaryAudit, "data": DataAudit}


@router.get("/{database}", dependencies=may_read, responses=documented(401, 403, 422))
async def list_entries(
    database: Literal["primary", "data"], session: Reads, before: Before = None, limit: Limit = 50
) -> Page[schemas.AuditEntry]:
    """List what was done in a database, newest first; an entry is where the change is."""
    return await page_of(session, schemas.AuditEntry, AUDITS[database], before, limit)
