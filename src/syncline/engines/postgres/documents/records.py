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
from syncline.engines.postgres.documents.keys import id_of, key_text
from syncline.engines.postgres.documents.rows import DocumentTables
from syncline.engines.postgres.documents.texts import from_text, to_text
from syncline.engines.postgres.records import PostgresDurability
from syncline.engines.postgres.states import queries_of, snapshot
from syncline.errors import KeyFormatError, UnmappableError
from syncline.model.documents import DocumentMapping, Rows
from syncline.model.documents.ids import NO_ID
from syncline.model.documents.types import ID_TYPES
from syncline.model.entity import Column, Embed, Entity
from syncline.model.keys import KeyCodec
from syncline.model.mapping import Projection, Row
from syncline.ports import Excerpt, Plan, Plans, States
from syncline.postgres.connection import translated

_FIRST, _NARROW, _AT_A_TIME = 4, 25, 100
"""Documents that are read before their size is looked at: a few, more where the last ones were narrow; then twice as
many each time, up to the last."""


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
        self._first: dict[str, int] = {}
        self.durability = PostgresDurability(connections)

    async def read(
        self, plan: Plan, keys: Sequence[str], *, most_bytes: int | None = None, apart: bool = False
    ) -> States:
        """Read documents as they are now: all tables of one in one snapshot."""
        tables = self._tables[plan.name]
        kind = ID_TYPES[tables.mapping.collection.id]
        (parameters,) = plan.projection.codec.parameters(keys)
        rows: list[Row] = []
        size, done, step = 0, 0, self._first.get(plan.name, _FIRST)
        async with self._connections.reading_on(apart=apart) as connection:
            while done < len(keys):
                wanted = parameters[done : done + step]
                done, step = done + step, min(step * 2, _AT_A_TIME)
                with translated():
                    async with snapshot(connection):
                        found = await tables.read(connection, [from_text(kind, text) for text in wanted])
                for key, one in found.items():
                    document = _composed(tables.mapping, one)
                    size += len(document) if isinstance(document, bytes) else 0
                    text = to_text(key) or ""
                    rows.append((document, id_of(tables.mapping, text), text))
                narrow = size * _AT_A_TIME <= (most_bytes or 0) * len(rows)
                self._first[plan.name] = _NARROW if narrow else _FIRST
                if most_bytes is not None and size > most_bytes and done < len(keys):
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


def _composed(mapping: DocumentMapping, rows: Rows) -> bytes | UnmappableError:
    """Compose a document; why there is none is told of it alone, and the others go on."""
    try:
        return mapping.document(rows)
    except UnmappableError as error:
        return error


class _Whole(Projection):
    """A projection whose rows are documents already."""

    __slots__ = ()

    def __init__(self, compiled: Projection, mapping: DocumentMapping) -> None:
        for slot in Projection.__slots__:
            setattr(self, slot, getattr(compiled, slot))
        self.codec = _Ids(compiled.codec.columns, mapping)

    def bodies(self, rows: Sequence[Row], child_rows: Sequence[Sequence[Row]] = ()) -> list[Any]:  # noqa: ARG002
        """Give the documents as they are, not decoded.

        Raises:
            UnmappableError: rows are of none.

        """
        return [*map(_body, rows)]

    def ids_of(self, rows: Sequence[Row], bodies: Sequence[Any]) -> list[Any]:  # noqa: ARG002
        """Give the ``_id``s."""
        return [row[1] for row in rows]


def _body(row: Row) -> RawBSONDocument:
    if isinstance(row[0], UnmappableError):
        raise row[0]
    return RawBSONDocument(row[0])


class _Ids(KeyCodec):
    """Keys of rows and the ``_id``s that they stand for; one that is of none is refused like any that is no key."""

    __slots__ = ("_mapping",)

    def __init__(self, columns: Sequence[Column], mapping: DocumentMapping) -> None:
        super().__init__(columns)
        self._mapping = mapping

    def parse(self, key_text: str) -> tuple[str, ...]:
        """See that it is the key of an ``_id``."""
        self._id(key_text)
        return (key_text,)

    def parameters(self, key_texts: Sequence[str]) -> tuple[list[str], ...]:
        """See that all are."""
        for text in key_texts:
            self._id(text)
        return ([*key_texts],)

    def document_id(self, key_text: str) -> Any:
        """Turn a key's text into the ``_id``."""
        return self._id(key_text)

    def key_text(self, document_id: Any) -> str | None:
        """Turn an ``_id`` into its row's key, if it can have one."""
        return key_text(self._mapping, document_id)

    def _id(self, text: str) -> Any:
        (found,) = super().parse(text)
        if (id_ := id_of(self._mapping, found)) is NO_ID:
            kind = self._mapping.collection.id
            raise KeyFormatError(f"{text[:100]!r} is the key of no _id of {self._mapping.collection.name} ({kind})")
        return id_
