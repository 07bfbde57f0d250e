"""What an entity's records become, by the form that its target has. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from syncline.model.entity import ROWS, Entity, Shape, TableName
from syncline.model.mapping import Projection
from syncline.model.rows import RowProjection


def projection_of(
    entity: Entity, shape: Shape, children: Mapping[TableName, Shape] | None = None, *, path: str | None = None
) -> Projection:
    """Compile an entity against its tables; ``path`` is the ``search_path`` of its SQL.

    Raises:
        MappingError: what is declared does not fit the tables, or has no meaning in this form.

    """
    kind = RowProjection if entity.form == ROWS else Projection
    return kind(entity, shape, children, path=path)


def served(projection: Projection) -> Entity:
    """Give the entity as a target needs it: a table there may have another primary key, so rows' key is spelt out."""
    entity = projection.entity
    return replace(entity, key=tuple(column.name for column in projection.key)) if entity.form == ROWS else entity
