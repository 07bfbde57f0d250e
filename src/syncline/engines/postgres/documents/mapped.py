"""Documents as the rows that they become, many at once: by table, by column. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from syncline.engines.postgres.documents.texts import to_text
from syncline.errors import MappingError
from syncline.model.documents import DocumentMapping, Rows
from syncline.ports.documents import MarkedDocument

_FEW = 4
"""So many documents are taken one by one: by column they cost more."""


@dataclass(slots=True)
class Mapped:
    """What is made of documents."""

    documents: list[MarkedDocument]
    """Those that become rows, or have none any more."""
    ids: list[str]
    """Their keys, as text."""
    columns: Sequence[list[list[Any]]]
    """Of those that become rows, by table, by column."""
    refused: list[tuple[MarkedDocument, MappingError]]
    """They have no place in rows."""

    @property
    def gone(self) -> list[str]:
        """Give the keys of those that are deleted."""
        return [id_ for id_, one in zip(self.ids, self.documents, strict=True) if one.deleted]


def mapped(mapping: DocumentMapping, documents: Sequence[MarkedDocument]) -> Mapped:
    """Make the rows of documents."""
    made = Mapped([], [], [[[] for _ in table.columns] for table in mapping.tables], [])
    alike = [one for one in documents if one.fields is not None and not one.deleted]
    others = [one for one in documents if one.fields is None or one.deleted]
    if len(alike) > _FEW:
        alike = _by_column(mapping, made, alike)
    for one in (*alike, *others):
        try:
            _add(mapping, made, one)
        except MappingError as error:
            made.refused.append((one, error))
    return made


def _by_column(mapping: DocumentMapping, made: Mapped, documents: Sequence[MarkedDocument]) -> list[MarkedDocument]:
    """Take those that are as declared; give the others."""
    split = mapping.split([one.fields for one in documents if one.fields is not None])
    made.documents += [documents[place] for place in split.tables[0].owners]
    made.ids += [to_text(key) or "" for key in split.tables[0].values[0]]
    made.columns = [one.values for one in split.tables]
    return [documents[place] for place in sorted(split.odd)]


def _add(mapping: DocumentMapping, made: Mapped, one: MarkedDocument) -> None:
    key = to_text(mapping.key_of(one.id)) or ""
    if not one.deleted:
        for columns, rows in zip(made.columns, _rows(mapping, one), strict=True):
            for values, column in zip(columns, zip(*rows, strict=True), strict=False):
                values.extend(column)
    made.documents.append(one)
    made.ids.append(key)


def _rows(mapping: DocumentMapping, one: MarkedDocument) -> Rows:
    return mapping.rows(one.stored) if one.fields is None else mapping.rows_of(one.fields)
