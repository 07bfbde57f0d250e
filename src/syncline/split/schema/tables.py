"""Tables with their columns: what the catalog says of them, and the statements that make them.

Names come from the server as SQL writes them (``quote_ident``, ``format('%I')``), and are put together here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """A column."""

    number: int
    name: str
    quoted: str
    type: str
    collation: str | None
    not_null: bool
    not_null_name: str | None
    """The name of the constraint; from PostgreSQL 18 on it has one."""
    default: str | None
    """Or what generates it."""
    generated: str
    """``s`` stored, ``v`` virtual."""
    identity: str
    """``a`` always, ``d`` by default."""
    sequence: str | None
    """The options of an identity column."""
    storage: str | None
    """Where it differs from the type's own."""
    compression: str | None
    statistics: int | None
    options: tuple[str, ...]
    missing: str | None
    """The value of the rows that were there when the column came."""

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Column:
        """Read a row of the catalog, without the table's oid."""
        return cls(*(*row[:14], tuple(row[14]), row[15]))

    def definition(self) -> str:
        """Write it as CREATE TABLE has it."""
        parts = [self.quoted, self.type]
        if self.collation is not None:
            parts.append(f"COLLATE {self.collation}")
        if self.compression is not None:
            parts.append(f"COMPRESSION {self.compression}")
        if self.generated:
            parts.append(f"GENERATED ALWAYS AS ({self.default}) {'STORED' if self.generated == 's' else 'VIRTUAL'}")
        elif self.identity and self.sequence:  # a partition has its parent's
            parts.append(
                f"GENERATED {'ALWAYS' if self.identity == 'a' else 'BY DEFAULT'} AS IDENTITY ({self.sequence})"
            )
        elif self.default is not None:
            parts.append(f"DEFAULT {self.default}")
        if self.not_null:
            parts.append(f"CONSTRAINT {self.not_null_name} NOT NULL" if self.not_null_name else "NOT NULL")
        return " ".join(parts)

    def settings(self) -> Iterator[str]:
        """Write what CREATE TABLE does not take, as actions of ALTER TABLE."""
        if self.storage is not None:
            yield f"ALTER COLUMN {self.quoted} SET STORAGE {self.storage}"
        if self.statistics is not None:
            yield f"ALTER COLUMN {self.quoted} SET STATISTICS {self.statistics}"
        if self.options:
            yield f"ALTER COLUMN {self.quoted} SET ({', '.join(self.options)})"


@dataclass(frozen=True, slots=True)
class Table:
    """A table, without what is made after it."""

    oid: int
    quoted: str
    """As SQL writes it, with its schema."""
    kind: str
    persistence: str
    method: str | None
    key: str | None
    """Of a partitioned table: what its rows are divided by."""
    parent: str | None
    bound: str | None
    type: str | None
    """The composite type whose table it is (CREATE TABLE … OF)."""
    identity: str
    """What tells rows apart for logical replication: ``d``, ``n``, ``f``, or ``i`` by an index."""
    row_security: bool
    forced: bool
    options: tuple[str, ...]
    file: int | None
    """Changes when the table is rewritten."""
    columns: tuple[Column, ...] = ()

    @classmethod
    def of(cls, row: tuple[Any, ...], columns: Iterable[Column]) -> Table:
        """Read a row of the catalog."""
        return cls(*(*row[:12], tuple(row[12]), row[13], tuple(columns)))

    def statements(self, checks: Iterable[str], owned: Iterable[str]) -> Iterator[str]:
        """Write the statements that make it.

        Args:
            checks: its CHECK constraints that hold.
            owned: the statements that give it its sequences.

        """
        kind = "UNLOGGED " if self.persistence == "u" else ""
        lines = [*(column.definition() for column in self.columns), *checks]
        body = ",\n".join(f"    {line}" for line in lines)
        text = f"CREATE {kind}TABLE {self.quoted} (\n{body}\n)"
        if self.key is not None:
            text += f" PARTITION BY {self.key}"
        if self.method not in (None, "heap"):
            text += f" USING {self.method}"
        if self.options:
            text += f" WITH ({', '.join(self.options)})"
        yield text
        alter = f"ALTER TABLE {self.quoted}"
        yield from (f"{alter} {action}" for column in self.columns for action in column.settings())
        if self.identity in "nf":
            yield f"{alter} REPLICA IDENTITY {'NOTHING' if self.identity == 'n' else 'FULL'}"
        if self.type is not None:
            yield f"{alter} OF {self.type}"
        yield from owned
        if self.parent is not None:
            yield f"ALTER TABLE ONLY {self.parent} ATTACH PARTITION {self.quoted} {self.bound}"
