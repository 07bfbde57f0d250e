"""The statements by which the session hook reads and marks keys. Key text is made by the source, never here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ARRAY, Connection, Text, bindparam, text
from sqlalchemy.types import TypeEngine

from syncline.capture.sqlalchemy.installed import OURS, Installed, Role
from syncline.model.entity import TableName
from syncline.model.link import current

Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a table by which rows are named, with the types in which their values are sent."""

    table: TableName
    names: tuple[str, ...]
    types: tuple[TypeEngine[Any], ...]

    def __hash__(self) -> int:
        return hash((self.table, self.names))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Columns) and (self.table, self.names) == (other.table, other.names)


@dataclass(slots=True)
class Collected:
    """What one flush has written through one connection, each key once."""

    direct: dict[tuple[Role, Columns], dict[Values, str]] = field(default_factory=dict)
    """Rows whose key columns are known, with the hint."""
    rows: dict[tuple[Role, Columns], dict[Values, str]] = field(default_factory=dict)
    """Rows that are known by other columns: their keys are read when all is written."""
    keys: dict[tuple[int, str], str] = field(default_factory=dict)
    """Key texts that were read before they were written over."""

    def note(self, role: Role, columns: Columns, values: Values, hint: str) -> None:
        """Remember a row. The hints of one key are merged: created and then changed is a change."""
        store = self.direct if set(role.columns) <= set(columns.names) else self.rows
        seen = store.setdefault((role, columns), {})
        hint = hint if role.own else "U"
        seen[values] = hint if seen.get(values, hint) == hint else "U"

    def __bool__(self) -> bool:
        return bool(self.direct or self.rows or self.keys)


class Marker:
    """Composes our statements for one connection's dialect."""

    def __init__(self, connection: Connection, installed: Installed) -> None:
        self._connection = connection
        self._installed = installed
        self._quote = connection.dialect.identifier_preparer.quote
        self._binds: list[Any] = []

    def read(self, role: Role, columns: Columns, rows: Iterable[Values]) -> list[str]:
        """Read the keys of rows that are about to be written, and lock them: an object in memory may be out of date."""
        source = self._rows_source(columns, [*rows], None)
        statement = f"SELECT {self._key(role, 't')} {source} WHERE {self._present(role, 't')} FOR NO KEY UPDATE OF t"
        return [row[0] for row in self._run(statement)]

    def mark(self, collected: Collected) -> None:
        """Mark everything that was collected, in one statement."""
        parts = [self._direct(role, columns, rows) for (role, columns), rows in collected.direct.items()]
        parts += [self._read_again(role, columns, rows) for (role, columns), rows in collected.rows.items()]
        if collected.keys:
            parts.append(self._texts(collected.keys))
        union = " UNION ALL ".join(parts)
        self._run(
            f'SELECT {current().schema}.mark(q.entity, array_agg(q.key), CAST(q.hint AS "char")) FROM ('  # noqa: S608
            "SELECT p.entity, p.key, CASE WHEN min(p.hint) = max(p.hint) THEN min(p.hint) ELSE 'U' END AS hint "
            f"FROM ({union}) AS p (entity, hint, key) GROUP BY p.entity, p.key) AS q GROUP BY q.entity, q.hint"
        )

    def _direct(self, role: Role, columns: Columns, rows: Mapping[Values, str]) -> str:
        unnested = self._unnest(columns, [*rows], [*rows.values()])
        names = [f"r.c{columns.names.index(name)}" for name in role.columns]
        present = " AND ".join(f"{name} IS NOT NULL" for name in names)
        return f"SELECT {self._entity(role)}, r.h, {self._key_of(role, names)} FROM {unnested} WHERE {present}"  # noqa: S608

    def _read_again(self, role: Role, columns: Columns, rows: Mapping[Values, str]) -> str:
        source = self._rows_source(columns, [*rows], [*rows.values()])
        return f"SELECT {self._entity(role)}, r.h, {self._key(role, 't')} {source} WHERE {self._present(role, 't')}"

    def _texts(self, keys: Mapping[tuple[int, str], str]) -> str:
        entities = self._array([str(entity) for entity, _ in keys], Text(), "smallint")
        hints = self._array([*keys.values()], Text(), "text")
        texts = self._array([key for _, key in keys], Text(), "text")
        return f"SELECT r.* FROM unnest({entities}, {hints}, {texts}) AS r"  # noqa: S608

    def _rows_source(self, columns: Columns, rows: Sequence[Values], hints: Sequence[str] | None) -> str:
        joined = " AND ".join(f"t.{self._column(name)} = r.c{place}" for place, name in enumerate(columns.names))
        unnested = self._unnest(columns, rows, hints if hints is not None else [""] * len(rows))
        return f"FROM {self._table(columns.table)} AS t JOIN {unnested} ON {joined}"

    def _unnest(self, columns: Columns, rows: Sequence[Values], hints: Sequence[str]) -> str:
        types = self._installed.types[columns.table]
        arrays = [self._array(hints, Text(), "text")]
        for place, (name, type_) in enumerate(zip(columns.names, columns.types, strict=True)):
            arrays.append(self._array([row[place] for row in rows], type_, types[name]))
        names = ", ".join(["h", *(f"c{place}" for place in range(len(columns.names)))])
        return f"unnest({', '.join(arrays)}) AS r ({names})"

    def _array(self, values: Sequence[Any], type_: TypeEngine[Any], sql_type: str) -> str:
        name = f"p{len(self._binds)}"
        self._binds.append(bindparam(name, list(values), type_=ARRAY(type_)))
        return f"CAST(:{name} AS {_literal(sql_type)}[])"

    def _key(self, role: Role, alias: str) -> str:
        return self._key_of(role, [f"{alias}.{self._column(name)}" for name in role.columns])

    def _key_of(self, role: Role, values: Sequence[str]) -> str:
        cast = (f"CAST({value} AS {_literal(type_)})" for value, type_ in zip(values, role.key_types, strict=True))
        return f"{current().schema}.key_{role.entity}({', '.join(cast)})"

    def _present(self, role: Role, alias: str) -> str:
        return " AND ".join(f"{alias}.{self._column(name)} IS NOT NULL" for name in role.columns)

    def _entity(self, role: Role) -> str:
        return f"CAST({role.entity} AS smallint)"

    def _table(self, table: TableName) -> str:
        return _literal(f"{self._quote(table.schema)}.{self._quote(table.name)}")

    def _column(self, name: str) -> str:
        return _literal(self._quote(name))

    def _run(self, statement: str) -> Sequence[Any]:
        binds, self._binds = self._binds, []
        clause = text("/* syncline */ " + statement).bindparams(*binds)
        return self._connection.execute(clause, execution_options=OURS).all()


def _literal(sql: str) -> str:
    """Keep SQLAlchemy from reading a colon as the beginning of a parameter."""
    return sql.replace(":", r"\:")
