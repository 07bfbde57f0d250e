"""Long lists, a page at a time, newest first. The cursor is the id of the last record that was given."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Path, Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.schemas.common import MAX_ID, Numbered, Page

T = TypeVar("T", bound=Numbered)

PathId = Annotated[int, Path(ge=1, le=MAX_ID)]
Before = Annotated[int | None, Query(ge=1, le=MAX_ID, description="The page before: its nextCursor.")]
Limit = Annotated[int, Query(ge=1, le=200)]


async def page_of(
    session: AsyncSession, kind: type[T], model: Any, before: int | None, limit: int, *where: Any
) -> Page[T]:
    """Read a page of records; one more than is asked for says whether there is another page."""
    statement = select(model).where(model.id < (before or MAX_ID), *where).order_by(model.id.desc()).limit(limit + 1)
    found = (await session.scalars(statement)).all()
    items = [kind.model_validate(one) for one in found[:limit]]
    return Page[kind](items=items, next_cursor=items[-1].id if len(found) > limit else None)  # type: ignore[valid-type]
