"""Every field: there, and what it was; or refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from syncline.errors import RowError
from syncline.model.entity import Entity, Fields
from syncline.testing.mapping import messages
from syncline.testing.mapping.base import MappingCase
from syncline.testing.mapping.comparison import shown_key
from syncline.testing.mapping.declared import camel
from syncline.testing.mapping.pair import Pair
from syncline.testing.mapping.rows import Place, Rows
from syncline.testing.mapping.tables import Column, Table, find
from syncline.testing.mapping.values import edge_texts, unstorable_texts

NAMED = "mapping"
"""Code of a record that is parked because a document cannot hold one of its values."""


class FieldTests(MappingCase):
    """What becomes of each column."""

    def test_every_column_is_mapped_or_excluded(self, syncline_pair: Pair) -> None:
        """A column that was added later, or forgotten, must not go unnoticed."""
        lines = []
        for entity in syncline_pair.entities:
            places = [(f"entities.{entity.name}", entity.fields, entity.table, _key(syncline_pair, entity))]
            places += [(f"entities.{entity.name}.embed.{e.field}", e.fields, e.table, e.on) for e in entity.embeds]
            for section, fields, name, implied in places:
                table = find(syncline_pair.prepared.tables, name)
                lines += [
                    f"  {name}.{column}: neither included nor excluded\n    look at:    include, exclude of [{section}]"
                    for column in _forgotten(fields, table, implied)
                ]
        syncline_pair.fail_with("\n".join(["the mapping forgets columns:", *lines]) if lines else "")

    def test_every_value_comes_back_or_is_rejected_by_name(self, syncline_pair: Pair) -> None:
        """Extremes of every type, nulls, odd texts: lossless, or parked with the name of the field."""

        async def scenario(pair: Pair) -> None:
            put_edges(pair.rows)
            pair.rows.fill(self.rows_per_table)
            async with pair.worker():
                await pair.drained()
                await self._lossless_or_named(pair)

        self.play(syncline_pair, scenario)

    def test_a_rejected_record_stops_no_other_and_can_go(self, syncline_pair: Pair) -> None:
        """It is parked alone; once it is gone nothing is left of it."""

        async def scenario(pair: Pair) -> None:
            async with pair.worker():
                pair.rows.fill(2)
                await pair.drained()
                bad = [(table, put(pair.rows, table, given, tries=5)) for table, given in unstorable(pair.rows)]
                pair.rows.fill(self.rows_per_table)
                await pair.drained()
                await self._lossless_or_named(pair)
                if not pair.parked():
                    pytest.skip("no column of this mapping takes a value that a document cannot hold")
                for table, place in bad:
                    assert place is None or pair.rows.delete(table, place)
                await pair.settled()

        self.play(syncline_pair, scenario)

    async def _lossless_or_named(self, pair: Pair) -> None:
        parked = pair.parked()
        by_name = {entity.name: entity for entity in pair.entities}
        anonymous = [one for one in parked if one[2] != NAMED or not _names_a_field(pair, by_name[one[0]], one[3])]
        refused = {(name, _shown(key, len(_key(pair, by_name[name])))) for name, key, *_ in parked}
        differences = [one for one in pair.differences() if (one.entity, one.key) not in refused]
        report = await pair.verify()
        wrong = any(one.counts.total() or one.hot or one.lagging for one in report.entities)
        pair.fail_with(
            messages.of_parked(anonymous),
            messages.of_differences(differences),
            messages.of_report(report) if wrong else "",
        )


def put_edges(rows: Rows) -> None:
    """Insert rows with the values at the edges of each column; what the database refuses cannot occur."""
    for table in rows.synced:
        columns = [column for column in table.columns if _is_free(rows, table, column)]
        put(rows, table, {column.name: None for column in columns if not column.not_null}, tries=3)
        edges = {column.name: [*edge_texts(column.type), *unstorable_texts(column.type)] for column in columns}
        for number in range(max((len(texts) for texts in edges.values()), default=0)):
            given = {name: texts[number] for name, texts in edges.items() if number < len(texts)}
            if put(rows, table, given, tries=2) is None:
                for name, text in given.items():
                    put(rows, table, {name: text}, tries=5)


def unstorable(rows: Rows) -> Iterator[tuple[Table, Mapping[str, str]]]:
    """List values that the database takes and no document can hold, one at a time."""
    for table in rows.synced:
        for column in table.columns:
            if _is_free(rows, table, column):
                yield from ((table, {column.name: text}) for text in unstorable_texts(column.type))


def put(rows: Rows, table: Table, given: Mapping[str, Any], *, tries: int) -> Place | None:
    """Insert a row with these values; ``None``: the database does not take it."""
    try:
        return rows.insert(table, given, tries=tries)
    except RowError:
        return None


def _is_free(rows: Rows, table: Table, column: Column) -> bool:
    """Whether the harness may choose the column's values: nobody else does, and nothing refers by it."""
    taken = {*rows.decided(table), *(name for key in table.foreign_keys for name in key.columns)}
    generated = column.has_default and column.name in rows.key_of(table)
    return not (column.name in taken or column.computed_by_database or generated or column.name in table.choices)


def _key(pair: Pair, entity: Entity) -> Sequence[str]:
    return entity.key or find(pair.prepared.tables, entity.table).primary_key


def _forgotten(fields: Fields, table: Table, implied: Sequence[str]) -> list[str]:
    if fields.include is None:
        return []
    known = {*fields.include, *fields.exclude, *fields.rename, *fields.types, *implied}
    return [column.name for column in table.columns if column.name not in known]


def _names_a_field(pair: Pair, entity: Entity, error: str) -> bool:
    tables = [(entity.fields, entity.table), *((embed.fields, embed.table) for embed in entity.embeds)]
    names = {name for fields, _ in tables for name in (*fields.rename.values(), *fields.computed)}
    for fields, name in tables:
        columns = [column.name for column in find(pair.prepared.tables, name).columns]
        names |= {camel(column) if fields.naming == "camel" else column for column in columns}
    return any(name in error for name in names)


def _shown(key_text: str, width: int) -> str:
    return key_text if width == 1 else shown_key(json.loads(key_text))
