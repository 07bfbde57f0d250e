"""Long lists, a page at a time, newest first. The cursor is the id of the last record that was given."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Path, Query

from studybuddy import schemas
from studybuddy.reads import Rows

T = TypeVar("T", bound=schemas.Record)

PathId = Annotated[int, Path(ge=1, le=schemas.MAX_ID)]
Before = Annotated[int | None, Query(ge=1, le=schemas.MAX_ID, description="The page before: its nextCursor.")]
Limit = Annotated[int, Query(ge=1, le=200)]


def page_of(kind: type[T], rows: Rows, limit: int) -> schemas.Page[T]:
    """Make a page of rows, of which one more than ``limit`` was asked for: it says whether there is another page."""
    items = [kind.model_validate(row) for row in rows[:limit]]
    return schemas.Page[kind](items=items, next_cursor=items[-1].id if len(rows) > limit else None)  # type: ignore[valid-type]
