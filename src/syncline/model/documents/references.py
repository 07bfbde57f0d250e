"""Which collections refer to others."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.model.documents.mapping import DocumentMapping


def parents_first(mappings: Sequence[DocumentMapping]) -> list[str]:
    """Give the collections' names so that each comes behind those that it refers to; a circle begins anywhere."""
    names = [mapping.collection.name for mapping in mappings]
    parents = {mapping.collection.name: _parents(mapping) for mapping in mappings}
    order: dict[str, None] = {}
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name not in seen:
            seen.add(name)
            for parent in names:
                if parent in parents[name]:
                    visit(parent)
            order[name] = None

    for name in names:
        visit(name)
    return list(order)


def _parents(mapping: DocumentMapping) -> set[str]:
    return {column.field.references for table in mapping.tables for column in table.columns}
