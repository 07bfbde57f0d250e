"""A page of documents as the rows that they become, beside the rows that are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from syncline.documents.passing import Passing
from syncline.engines.mongo.stored_marks import Page
from syncline.engines.postgres.documents.comparing import Texts, lines, texts
from syncline.engines.postgres.documents.copy_text import first_of
from syncline.engines.postgres.documents.keys import key_text
from syncline.engines.postgres.documents.texts import to_text
from syncline.errors import MappingError
from syncline.model.documents import DocumentMapping
from syncline.model.strict_bson import encoded


@dataclass(slots=True)
class PageRows:
    """Of a stretch of keys, or of some keys."""

    wanted: list[list[list[Any]]]
    """Rows that its documents become, by table, by column."""
    lines: Sequence[bytes] = ()
    """Rows that are there, by table, as they were copied out."""
    found: Sequence[Sequence[Texts]] = ()
    """Or as they were selected."""
    tombstones: int = 0
    after: bytes | None = None
    """The last ``_id`` of it, as a document."""
    last: str | None = None
    """The last key whose rows were read for it."""
    ends: bool = False
    """It is the rows behind the last document."""

    @property
    def keys(self) -> list[str]:
        """Give the keys of its documents."""
        return [to_text(key) or "" for key in self.wanted[0][0]]

    @property
    def rows(self) -> int:
        """How many the collection's own table has."""
        return self.lines[0].count(b"\n") if self.lines else len(self.found[0]) if self.found else 0

    def differing(self) -> set[str | None]:
        """Give the keys of the rows that are not the same on both sides."""
        return {
            *(
                first_of(row)
                for pair in zip(map(lines, self.wanted), self.lines, strict=False)
                for row in _unlike(*pair)
            ),
            *(row[0] for pair in zip(self.wanted, self.found, strict=False) for row in {*texts(pair[0])} ^ {*pair[1]}),
        }


def _unlike(wanted: bytes, found: bytes) -> set[bytes]:
    return set() if wanted == found else {*wanted.splitlines()} ^ {*found.splitlines()}


def page_rows(one: Passing, page: Page) -> PageRows:
    """Make the rows that documents become; those that are marked, or become none, are under suspicion."""
    mapping = one.mapping
    if one.part.keys_only:
        return _keys_of(one, page)
    for id_ in (*page.low, *page.gone):
        one.suspect(id_)
    for fields, mark in zip(page.fields, page.marks, strict=True):
        if mark:
            one.suspect(fields["_id"])
    split = mapping.split(page.fields)
    wanted = [table.values for table in split.tables]
    odd = [(page.fields[place]["_id"], encoded(page.fields[place])) for place in split.odd]
    for id_, body in (*odd, *((each.id, each.body) for each in page.odd)):
        try:
            rows = mapping.rows(body)
        except MappingError:
            one.suspect(id_)
            continue
        for columns, new in zip(wanted, rows, strict=True):
            for values, column in zip(columns, zip(*new, strict=True), strict=False):
                values.extend(column)
    for each in page.odd:
        if each.mark:
            one.suspect(each.id)
    return PageRows(wanted, tombstones=len(page.gone))


def _keys_of(one: Passing, page: Page) -> PageRows:
    """Give the keys of documents; a document that can have none is under suspicion."""
    keys = []
    for id_ in (*page.low, *(fields["_id"] for fields in page.fields), *(each.id for each in page.odd)):
        if (key := key_text(one.mapping, id_)) is None:
            one.suspect(id_)
        else:
            keys.append(key)
    return PageRows([[keys]], tombstones=len(page.gone))


def last_key(mapping: DocumentMapping, page: Page) -> str | None:
    """Give the key of the last document that has one."""
    return next((key for id_ in reversed(page.ids) if (key := key_text(mapping, id_)) is not None), None)
