"""What a batch does with one table, and what became of it. Values are texts, as PostgreSQL's output functions write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from syncline.engines.postgres.target.tables import Table
from syncline.model.entity import TableName
from syncline.ports import Rejection
from syncline.postgres.arrays import texts

Value = str | None
_UNKNOWN: Mapping[str, Value] = MappingProxyType({})


class Put(NamedTuple):
    """A row that shall be there."""

    key: str
    """The key's text, as marks have it."""
    values: Sequence[Value]
    """In the order of ``Changes.names``."""
    id: Mapping[str, Value] = _UNKNOWN
    """The key's columns, as casts to text write them: output functions of boolean, char(n), inet differ."""


class Gone(NamedTuple):
    """A row that shall not be there."""

    key: str
    values: Sequence[Value]
    """Of the key's columns."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows of one table; each key occurs once."""

    table: Table
    names: Sequence[str]
    """Columns of the rows."""
    puts: Sequence[Put] = ()
    gone: Sequence[Gone] = ()

    def without(self, keys: set[str]) -> Changes:
        """Leave keys out."""
        return Changes(
            self.table,
            self.names,
            [put for put in self.puts if put.key not in keys],
            [gone for gone in self.gone if gone.key not in keys],
        )

    @property
    def keys(self) -> list[str]:
        """List the keys."""
        return [put.key for put in self.puts] + [gone.key for gone in self.gone]

    def kinds(self) -> list[Changes]:
        """Part what shall be there from what shall not."""
        puts, gone = Changes(self.table, self.names, puts=self.puts), Changes(self.table, self.names, gone=self.gone)
        return [one for one in (gone, puts) if one.keys]

    def halves(self) -> list[Changes]:
        """Part one kind in two."""
        puts, gone = len(self.puts) // 2, len(self.gone) // 2
        return [
            Changes(self.table, self.names, self.puts[puts:], self.gone[gone:]),
            Changes(self.table, self.names, self.puts[:puts], self.gone[:gone]),
        ]

    def values_of(self, put: Put, columns: Sequence[str]) -> tuple[tuple[str, Value], ...]:
        """Take columns out of a row."""
        return tuple((name, put.values[self.names.index(name)]) for name in columns)

    def key_of(self, put: Put) -> tuple[Value, ...]:
        """Give a row's key, in the words in which the target is asked for others' keys."""
        return tuple(put.id[n] if n in put.id else put.values[self.names.index(n)] for n in self.table.key)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A constraint lets another row stand in the way, perhaps only until that one is written, too."""

    table: TableName
    key: str
    why: str
    """value: another row has it; parent: it is missing; child: a row refers to this one."""
    constraint: str
    other_table: TableName | None = None
    columns: tuple[str, ...] = ()
    """Of the other row; of its key, if that is known; empty: not known which row it is."""
    other: tuple[Value, ...] = ()
    """What it has there."""
    held: tuple[tuple[str, Value], ...] = ()
    """Columns of this row (of a child: of the other one) that are the reason, with their values."""


@dataclass(slots=True)
class Outcome:
    """What became of a batch: what is not named here is written."""

    rejected: list[tuple[TableName, Rejection]] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def column_texts(table: Table, names: Sequence[str], rows: Sequence[Sequence[Value]]) -> list[str]:
    """Write rows as one array literal for each column that is written."""
    places = [place for place, name in enumerate(names) if not table.column(name).generated]
    columns = list(zip(*rows, strict=True))
    return [texts(columns[place]) for place in places]


def key_texts(rows: Sequence[Sequence[Value]]) -> list[str]:
    """Write keys as one array literal a column."""
    return [texts(column) for column in zip(*rows, strict=True)]
