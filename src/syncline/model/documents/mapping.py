"""A collection compiled: documents to rows and back."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from syncline.errors import UnmappableError
from syncline.model.documents.columnar import Split, split
from syncline.model.documents.compiling import compile_collection
from syncline.model.documents.declaration import Collection, fingerprint_of
from syncline.model.documents.plans import Children
from syncline.model.documents.reading import first_fields, read, write
from syncline.model.documents.tables import Row, Rows
from syncline.model.documents.values import Json, same
from syncline.model.strict_bson import DOCUMENT, Odd

_WHOLE = "$bson"


class DocumentMapping:
    """The mapping of one collection: ``document(rows(bytes)) == bytes``, whatever the document holds."""

    __slots__ = ("_key", "_top", "collection", "fingerprint", "tables")

    def __init__(self, collection: Collection) -> None:
        """Compile.

        Raises:
            MappingError: the declaration contradicts itself.

        """
        self.collection = collection
        self._key, self._top, self.tables = compile_collection(collection)
        self.fingerprint = fingerprint_of(collection)
        """Changes when the same document becomes other rows: what is there must be written anew then."""

    def __reduce__(self) -> tuple[type[DocumentMapping], tuple[Collection]]:
        """Compile it anew where it arrives."""
        return DocumentMapping, (self.collection,)

    def key_of(self, value: Any) -> Any:
        """Give the key's column for an ``_id``.

        Raises:
            UnmappableError: it is not of the declared type.

        """
        return self._key.key(value)

    def rows(self, document: bytes) -> Rows:
        """Turn a document into rows, by table.

        Raises:
            UnmappableError: something has no place in them; the message names the field.

        """
        found = read(document)
        if not isinstance(found, Odd):
            return self._rows(found)
        if self._top.rest is None:
            raise UnmappableError("the document", f"it is {found.what}, and there is no rest", hint='rest = "rest"')
        rows = self._rows(first_fields(document))
        whole = {_WHOLE: {"type": DOCUMENT, "base64": base64.b64encode(document).decode()}}
        rows[0][0] = self._with_rest(rows[0][0], Json(whole))
        return rows

    def rows_of(self, document: dict[str, Any]) -> Rows:
        """Turn a document, as ``reading.read`` decodes it, into rows; see ``rows``."""
        return self._rows(document)

    def split(self, documents: Sequence[dict[str, Any]]) -> Split:
        """Turn many documents, as ``reading.read`` decodes them, into rows; odd ones are left to ``rows``."""
        return split(self._key, self._top, self.tables, documents)

    def document(self, rows: Sequence[Sequence[Row]]) -> bytes:
        """Turn rows into the document that they are of.

        Raises:
            UnmappableError: they hold what BSON cannot; the message names the field.

        """
        (row,) = rows[0]
        rest = row[self._top.rest] if self._top.rest is not None else None
        if rest is not None and isinstance(rest.value, dict) and _WHOLE in rest.value:
            whole = base64.b64decode(rest.value[_WHOLE]["base64"])
            if _equal(self.rows(whole), rows):
                return whole
            row = self._with_rest(row, self._rows(first_fields(whole))[0][0][self._top.rest or 0])
        return write(self._top.join(row, self._children(rows)))

    def _rows(self, document: dict[str, Any]) -> Rows:
        out: Rows = tuple([] for _ in self.tables)
        if "_id" not in document:
            raise UnmappableError("_id", "the document has none")
        self._top.split(document, (self.key_of(document["_id"]),), out)
        return out

    def _with_rest(self, row: Row, rest: Any) -> Row:
        place = self._top.rest or 0
        return (*row[:place], rest, *row[place + 1 :])

    def _children(self, rows: Sequence[Sequence[Row]]) -> Children:
        grouped: list[dict[Row, list[Row]]] = [{}]
        for table in self.tables[1:]:
            parent = self.tables[table.parent or 0].keys
            groups: dict[Row, list[Row]] = {}
            for row in sorted(rows[table.number], key=itemgetter(slice(1, table.keys))):
                groups.setdefault(row[:parent], []).append(row)
            grouped.append(groups)
        return tuple(grouped)


def _equal(one: Sequence[Sequence[Row]], other: Sequence[Sequence[Row]]) -> bool:
    return all(
        len(left) == len(right)
        and all(
            all(map(same, *pair)) for pair in zip(sorted(left, key=_by_key), sorted(right, key=_by_key), strict=True)
        )
        for left, right in zip(one, other, strict=True)
    )


def _by_key(row: Row) -> tuple[int, ...]:
    """Sort rows of one document: by their positions."""
    return tuple(value for value in row[1:] if type(value) is int)
