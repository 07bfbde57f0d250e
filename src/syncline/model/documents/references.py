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


def ancestors(mappings: Sequence[DocumentMapping]) -> dict[str, list[str]]:
    """Give for each collection those that it refers to, and these to, and so on, parents first; never itself."""
    order = parents_first(mappings)
    parents = {mapping.collection.name: _parents(mapping) for mapping in mappings}
    found: dict[str, list[str]] = {}
    for name in order:
        reached: set[str] = set()
        ahead = [name]
        while ahead:
            new = parents[ahead.pop()] & parents.keys() - reached
            reached |= new
            ahead += new
        found[name] = [one for one in order if one in reached and one != name]
    return found


def _parents(mapping: DocumentMapping) -> set[str]:
    return {column.field.references for table in mapping.tables for column in table.columns}
