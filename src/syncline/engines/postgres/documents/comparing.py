"""Rows as texts, a column at a time, in the form in which PostgreSQL itself writes them: equal texts are equal values.

The other way round does not hold (numbers in ``jsonb``, infinities): what differs here is only a suspicion.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from psycopg import sql

from syncline.engines.postgres.documents.copy_text import escaped, joined
from syncline.engines.postgres.documents.definitions import named, quoted, type_sql
from syncline.engines.postgres.documents.texts import to_text
from syncline.model.documents import Table
from syncline.model.documents.values import Json

Texts = tuple[str | None, ...]


def texts(columns: Sequence[Sequence[Any]]) -> Iterable[Texts]:
    """Write rows that are given by column."""
    return zip(*map(_column, columns), strict=True)


def lines(columns: Sequence[Sequence[Any]]) -> bytes:
    """Write rows that are given by column as ``copied`` selects them, one a line."""
    return joined([escaped(_column(column)) for column in columns])


def _column(column: Sequence[Any]) -> Sequence[str | None]:
    kinds = {*map(type, column)}
    if len(kinds) == 1 and (write := _COLUMNS.get(*kinds)) is not None:
        return write(column)
    if type(None) in kinds and len(kinds) == 2 and (write := _COLUMNS.get(*(kinds - {type(None)}))) is not None:
        texts = iter(write([one for one in column if one is not None]))
        return [None if one is None else next(texts) for one in column]
    return [*map(_value, column)]


def _value(value: Any) -> str | None:
    write = _VALUES.get(type(value))
    return to_text(value) if write is None else write(value)


def _double(value: float) -> str:
    text = repr(value)
    return text.removesuffix(".0")


def _instant(value: datetime) -> str:
    text = value.isoformat(" ").removesuffix("+00:00")
    return f"{text.rstrip('0') if '.' in text else text}+00"


def _instants(column: Sequence[datetime]) -> Sequence[str]:
    whole = "\n".join(map(str, column))
    if "." in whole or whole.count("+"):
        return [*map(_instant, column)]
    return f"{whole.replace(chr(10), _IN_UTC)}+00".split("\n")


def _json(value: Json) -> str:
    return json.dumps(_sorted(value.value), ensure_ascii=False)


def _sorted(found: Any) -> Any:
    if isinstance(found, dict):
        names = sorted(found, key=lambda name: (len(data := name.encode()), data))
        return {name: _sorted(found[name]) for name in names}
    return [*map(_sorted, found)] if isinstance(found, list) else found


_VALUES: Mapping[type, Callable[[Any], str]] = {
    float: _double,
    datetime: _instant,
    date: date.isoformat,
    Decimal: lambda value: format(value, "f"),
    Json: _json,
}
_COLUMNS: Mapping[type, Callable[[Sequence[Any]], Sequence[str | None]]] = {
    str: lambda column: column,
    type(None): lambda column: column,
    int: lambda column: [*map(str, column)],
    bool: lambda column: ["true" if one else "false" for one in column],
    float: lambda column: [*map(_double, column)],
    datetime: _instants,
}
_IN_UTC = "+00\n"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows by their keys, as texts; ``None``: from the beginning, to the end."""

    first: str | None = None
    """The key that they begin with."""
    end: str | None = None
    """The key before which they end."""
    after: str | None = None
    """The key behind which they begin."""
    last: str | None = None
    """The last key of them."""

    @property
    def limits(self) -> Sequence[tuple[str, str]]:
        """Give the conditions on a key, each an operator and its operand."""
        found = ((">=", self.first), ("<", self.end), (">", self.after), ("<=", self.last))
        return [(compared, limit) for compared, limit in found if limit is not None]


def copied(table: Table, stretch: Stretch, *, keys_only: bool = False) -> sql.Composed:
    """Copy out rows as texts."""
    key = table.columns[0]
    conditions: list[sql.Composable] = [sql.SQL("true")]
    for compared, limit in stretch.limits:
        bound = sql.SQL("{}::text::{}").format(sql.Literal(limit), type_sql(table, key))
        conditions.append(sql.SQL("t.{} {} {}").format(sql.Identifier(key.name), sql.SQL(compared), bound))
    columns = [key] if keys_only else table.columns
    return sql.SQL("/* syncline */ COPY (SELECT {} FROM {} AS t WHERE {}) TO STDOUT").format(
        sql.SQL(", ").join([sql.SQL("t.{}::text").format(sql.Identifier(column.name)) for column in columns]),
        sql.Identifier(table.name.schema, table.name.name),
        sql.SQL(" AND ").join(conditions),
    )


def of(table: Table, *, keys_only: bool = False) -> sql.Composed:
    """Select the rows of keys, as texts."""
    return _select(table, keys_only, sql.SQL("{} = ANY(%(keys)s::text[]::{}[])").format(_key(table), _type(table)))


def keys(tables: Sequence[Table], *, begun: bool) -> sql.Composed:
    """Select the next keys that any table has a row of, as texts."""
    each = [
        sql.SQL("(SELECT DISTINCT {} AS k FROM {} AS t WHERE {} ORDER BY 1 LIMIT %(size)s)").format(
            _key(table),
            named(table),
            sql.SQL("{} > %(after)s::text::{}").format(_key(table), _type(table)) if begun else sql.SQL("true"),
        )
        for table in tables
    ]
    return sql.SQL("/* syncline */ SELECT u.k::text FROM ({}) AS u ORDER BY u.k LIMIT %(size)s").format(
        sql.SQL(" UNION ").join(each)
    )


def sample(table: Table) -> sql.Composed:
    """Select keys at random, as texts."""
    return sql.SQL("/* syncline */ SELECT {}::text FROM {} AS t ORDER BY random() LIMIT %(size)s").format(
        _key(table), named(table)
    )


def _select(table: Table, keys_only: bool, condition: sql.Composable) -> sql.Composed:
    wanted = table.columns[:1] if keys_only else table.columns
    columns = sql.SQL(", ").join([sql.SQL("t.{}::text").format(quoted(column.name)) for column in wanted])
    return sql.SQL("/* syncline */ SELECT {} FROM {} AS t WHERE {}").format(columns, named(table), condition)


def _key(table: Table) -> sql.Composed:
    return sql.SQL("t.{}").format(quoted(table.columns[0].name))


def _type(table: Table) -> sql.Composable:
    return type_sql(table, table.columns[0], percent="%%")
