"""What the entities ask of the rows that are generated for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncline.model.entity import Entity, TableName
from syncline.testing.mapping.tables import Table, find


def kinds_of(entities: Sequence[Entity]) -> dict[tuple[TableName, str], str]:
    """List what ``types`` makes of columns: generated values must fit it."""
    found = {(e.table, column): kind for e in entities for column, kind in e.fields.types.items()}
    for embed in (embed for entity in entities for embed in entity.embeds):
        found |= {(embed.table, column): kind for column, kind in embed.fields.types.items()}
    return found


def conditions_of(entities: Sequence[Entity]) -> dict[TableName, list[str]]:
    """List the conditions on each table's rows."""
    places = [(entity.table, entity.where) for entity in entities]
    places += [(embed.table, embed.where) for entity in entities for embed in entity.embeds]
    found: dict[TableName, list[str]] = {}
    for table, where in places:
        if where:
            found.setdefault(table, []).append(where)
    return found


def parents_first(tables: Mapping[TableName, Table], names: list[TableName]) -> list[TableName]:
    """Order tables so that what is referred to comes first; cycles are cut somewhere."""
    ordered: dict[TableName, None] = {}

    def visit(name: TableName, above: tuple[TableName, ...]) -> None:
        if name in ordered or name in above:
            return
        for key in find(tables, name).foreign_keys:
            if key.parent in names:
                visit(key.parent, (*above, name))
        ordered[name] = None

    for name in names:
        visit(name, ())
    return list(ordered)
