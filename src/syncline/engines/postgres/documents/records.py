"""Rows of collections as a source: what the tables hold now becomes the documents that they are of.

For the way back of a document link: marks are those of any source (triggers on a collection's tables, the children's
too), and a record is a whole document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bson.raw_bson import RawBSONDocument

from syncline.engines.postgres.connections import Connections
from syncline.engines.postgres.documents.rows import DocumentTables
from syncline.engines.postgres.documents.texts import from_text, to_text
from syncline.engines.postgres.records import PostgresDurability
from syncline.engines.postgres.states import queries_of, snapshot
from syncline.errors import UnmappableError
from syncline.model.documents import DocumentMapping
from syncline.model.documents.types import ID_TYPES
from syncline.model.entity import Column, Embed, Entity
from syncline.model.keys import KeyCodec
from syncline.model.mapping import Projection, Row
from syncline.ports import Excerpt, Plan, Plans, States
from syncline.postgres.connection import translated

_AT_A_TIME = 100
"""Documents that are read and composed before their size is looked at."""


def entity_of(mapping: DocumentMapping) -> Entity:
    """Declare what is captured of a collection: changes of its table, and of its child tables for the same key."""
    table, *children = mapping.tables
    key = table.columns[0].name
    embeds = tuple(Embed(f"rows_{one.number}", one.name, (one.columns[0].name,)) for one in children)
    return Entity(mapping.collection.name, table.name, mapping.collection.name, key=(key,), embeds=embeds)


class DocumentRecords:
    """Reads documents from the tables of their collections; see ``syncline.ports.Records``.

    Args:
        connections: to the database.
        mappings: of the collections.

    """

    name = "postgresql"

    def __init__(self, connections: Connections, mappings: Iterable[DocumentMapping]) -> None:
        self._connections = connections
        self._tables = {mapping.collection.name: DocumentTables(mapping) for mapping in mappings}
        self.durability = PostgresDurability(connections)

    async def read(
        self, plan: Plan, keys: Sequence[str], *, most_bytes: int | None = None, apart: bool = False
    ) -> States:
        """Read documents as they are now: all tables of one in one snapshot."""
        tables = self._tables[plan.name]
        kind = ID_TYPES[tables.mapping.collection.id]
        (parameters,) = plan.projection.codec.parameters(keys)
        rows: list[Row] = []
        size = 0
        async with self._connections.reading_on(apart=apart) as connection:
            for start in range(0, len(keys), _AT_A_TIME):
                wanted = parameters[start : start + _AT_A_TIME]
                with translated():
                    async with snapshot(connection):
                        found = await tables.read(connection, [from_text(kind, text) for text in wanted])
                for key, one in found.items():
                    document = tables.mapping.document(one)
                    size += len(document)
                    rows.append((document, kind.stand_for(key), to_text(key)))
                if most_bytes is not None and size > most_bytes and start + _AT_A_TIME < len(keys):
                    return Excerpt(plan, rows, ())
        return States(plan, rows, ())


def whole_documents(plans: Plans, mappings: Mapping[str, DocumentMapping]) -> Plans:
    """Have the records of these plans read as ``DocumentRecords`` reads them; never together with their marks."""
    by_id = {
        number: replace(
            plan,
            projection=_Whole(plan.projection, mappings[plan.name]),
            statements=replace(queries_of(plan), together=None),
        )
        for number, plan in plans.by_id.items()
        if plan.name in mappings
    }
    return replace(plans, by_id={**plans.by_id, **by_id})


class _Whole(Projection):
    """A projection whose rows are documents already."""

    __slots__ = ()

    def __init__(self, compiled: Projection, mapping: DocumentMapping) -> None:
        for slot in Projection.__slots__:
            setattr(self, slot, getattr(compiled, slot))
        self.codec = _Ids(compiled.codec.columns, mapping)

    def bodies(self, rows: Sequence[Row], child_rows: Sequence[Sequence[Row]] = ()) -> list[Any]:  # noqa: ARG002
        """Give the documents as they are, not decoded."""
        return [RawBSONDocument(row[0]) for row in rows]

    def ids_of(self, rows: Sequence[Row], bodies: Sequence[Any]) -> list[Any]:  # noqa: ARG002
        """Give the ``_id``s."""
        return [row[1] for row in rows]


class _Ids(KeyCodec):
    """Keys of rows and the ``_id``s that they stand for."""

    __slots__ = ("_kind", "_mapping")

    def __init__(self, columns: Sequence[Column], mapping: DocumentMapping) -> None:
        super().__init__(columns)
        self._mapping, self._kind = mapping, ID_TYPES[mapping.collection.id]

    def document_id(self, key_text: str) -> Any:
        """Turn a key's text into the ``_id``."""
        (text,) = self.parse(key_text)
        return self._kind.stand_for(from_text(self._kind, text))

    def key_text(self, document_id: Any) -> str | None:
        """Turn an ``_id`` into its row's key, if it can have one."""
        try:
            return to_text(self._mapping.key_of(document_id))
        except UnmappableError:
            return None
