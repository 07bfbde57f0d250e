"""Rows within the constraints of the user's tables: made, changed, re-keyed and deleted, as an application would.

Foreign keys are followed (a parent is chosen, or made), CHECKs that list values are read, others are met by trying
again. What that does not meet, ``decide`` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from syncline.errors import RowError
from syncline.model.entity import Entity, TableName
from syncline.testing.mapping.demands import conditions_of, kinds_of, parents_first
from syncline.testing.mapping.tables import Column, ForeignKey, Table, find, named
from syncline.testing.mapping.values import random_text

TRIES = 40
Values = dict[str, Any]
Decide = Callable[[str, int, Random], Mapping[str, Any] | None]
"""The user's ``row``: table, running number and chance to the values of some columns; ``None``: no rows here."""


class Place(NamedTuple):
    """Where a row is, until it changes."""

    tableoid: int
    ctid: str


class Rows:
    """Writes rows through one connection of the application.

    Args:
        conn: to the test's database, in autocommit mode.
        tables: as read from the catalog.
        entities: what is synced; its tables are filled, others only as parents.
        random: where chance comes from.
        decide: the user's say.

    """

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        tables: Mapping[TableName, Table],
        entities: Sequence[Entity],
        random: Random,
        decide: Decide,
    ) -> None:
        self._conn, self._tables, self._random, self._decide = conn, tables, random, decide
        self._number = 0
        self._making: list[TableName] = []
        self._kinds = kinds_of(entities)
        self._filtering = conditions_of(entities)
        self._keys = {entity.table: entity.key for entity in entities if entity.key}
        wanted = dict.fromkeys(t for e in entities for t in (e.table, *(embed.table for embed in e.embeds)))
        self.synced = [find(tables, name) for name in parents_first(tables, list(wanted))]
        """The tables behind the entities, parents before children."""

    # -- one row

    def insert(self, table: Table, given: Mapping[str, Any] | None = None, *, tries: int = TRIES) -> Place | None:
        """Insert a row; ``None``: the user wants none in this table.

        Raises:
            RowError: the database refused every try; the message has its reason.

        """
        values = self._fresh(table, dict(given or {}))
        if values is None:
            return None
        return self._until_accepted(table, values, given or {}, tries, self._insert)

    def update(self, table: Table, place: Place) -> bool:
        """Change some columns of a row that are not its key; false: there are none that may change."""
        changes = self._changes(table)
        if not changes:
            return False
        self._until_accepted(table, changes, {}, TRIES, lambda t, v: self._update(t, place, v))
        return True

    def change_key(self, table: Table, place: Place) -> bool:
        """Give a row another key; false: the database does not let it."""
        names = [name for name in self.key_of(table) if not table.column(name).computed_by_database]
        fresh = self._fresh(table, {}, wanted=names)
        if not fresh or not set(names) & fresh.keys():
            return False
        values = {name: fresh[name] for name in names if name in fresh}
        try:
            self._until_accepted(table, values, {}, 10, lambda t, v: self._update(t, place, v))
        except RowError:
            return False
        return True

    def delete(self, table: Table, place: Place) -> bool:
        """Delete a row; false: others refer to it."""
        query = sql.SQL("DELETE FROM {} WHERE tableoid = %s AND ctid = %s").format(_identifier(table))
        try:
            with self._conn.transaction():
                self._conn.execute(query, place)
        except psycopg.IntegrityError:
            return False
        return True

    def all(self, table: Table) -> list[Place]:
        """List the rows in the order of their keys."""
        order = sql.SQL(", ").join(map(named, self.key_of(table) or [c.name for c in table.columns[:1]]))
        query = sql.SQL("SELECT tableoid::bigint, ctid::text FROM {} ORDER BY {}").format(_identifier(table), order)
        return [Place(*row) for row in self._conn.execute(query, ()).fetchall()]

    def any(self, table: Table) -> Place | None:
        """Choose a row; ``None``: the table is empty."""
        found = self.all(table)
        return self._random.choice(found) if found else None

    def change(self, table: Table) -> bool:
        """Update some row, or insert one; false: there are to be none."""
        place = self.any(table)
        return (place is not None and self.update(table, place)) or self.insert(table) is not None

    def table_of(self, entity: Entity) -> Table:
        """Find an entity's table."""
        return find(self._tables, entity.table)

    def key_of(self, table: Table) -> tuple[str, ...]:
        """Name the key columns: the entity's, else the primary key."""
        return self._keys.get(table.name) or table.primary_key

    def decided(self, table: Table) -> frozenset[str]:
        """Name the columns that the user gives values for."""
        return frozenset(self._decide(str(table.name), 0, Random(0)) or ())  # noqa: S311

    # -- many rows

    def fill(self, count: int) -> None:
        """Insert so many rows into each synced table."""
        for table in self.synced:
            for _ in range(count):
                self.insert(table)

    def history(self, steps: int) -> Iterator[str]:
        """Do random changes, in transactions of one to three, every eighth rolled back; says what was done."""
        for _ in range(steps):
            done = []
            with self._conn.transaction():
                done = [self.step() for _ in range(self._random.randint(1, 3))]
                if self._random.random() < 1 / 8:
                    raise psycopg.Rollback
            yield "; ".join(done)

    def step(self) -> str:
        """Do one random change."""
        table = self._random.choice(self.synced)
        place = self.any(table)
        what = self._random.choices(("insert", "update", "delete", "key"), (4, 5, 2, 1))[0]
        if place is None or what == "insert":
            self.insert(table)
        elif what == "update":
            self.update(table, place)
        elif what == "delete":
            self.delete(table, place)
        else:
            self.change_key(table, place)
        return f"{what} {table.name}"

    # -- values

    def _fresh(self, table: Table, given: Values, *, wanted: Sequence[str] = ()) -> Values | None:
        """Make values for the columns of a row that ``given`` does not have; ``wanted`` columns are never left out."""
        self._number += 1
        decided = self._decide(str(table.name), self._number, self._random)
        if decided is None:
            return None
        values = {**decided, **given}
        for key in table.foreign_keys:
            self._refer(table, key, values)
        for column in table.columns:
            if column.name not in values and not column.computed_by_database:
                self._add(table, column, values, wanted)
        return values

    def _add(self, table: Table, column: Column, values: Values, wanted: Sequence[str]) -> None:
        left_out = column.has_default and (column.name in self.key_of(table) or self._random.random() < 0.3)
        if left_out and column.name not in wanted:
            return
        if not column.not_null and self._random.random() < self._share_of_nulls(table, column):
            values[column.name] = None
            return
        text = self._value(table, column)
        if text is None and column.not_null and not column.has_default:
            raise RowError(
                f"{table.name}.{column.name}: values of the type {column.sql_type} are not generated",
                hint=_advice(table, column.name),
            )
        if text is not None or not column.not_null:
            values[column.name] = text

    def _share_of_nulls(self, table: Table, column: Column) -> float:
        """A column that a ``where`` looks at decides whether the record is there: as often as not."""
        named = any(column.name in condition for condition in self._filtering.get(table.name, ()))
        return 0.5 if named else 0.15

    def _value(self, table: Table, column: Column) -> str | None:
        if column.name in table.choices:
            return self._random.choice(table.choices[column.name])
        return random_text(column.type, self._random, self._number, kind=self._kinds.get((table.name, column.name)))

    def _refer(self, table: Table, key: ForeignKey, values: Values) -> None:
        """Choose a parent, or make one; where the reference may be null it sometimes is."""
        missing = [name for name in key.columns if name not in values]
        nullable = [name for name in missing if not table.column(name).not_null]
        if not missing:
            return
        if nullable and self._random.random() < 0.2:
            values.update(dict.fromkeys(nullable))
            return
        found = self._parent(key, values)
        if found is None and key.parent not in (table.name, *self._making):
            known = {p: values[c] for c, p in zip(key.columns, key.parent_columns, strict=True) if c in values}
            self._making.append(table.name)
            try:
                self.insert(find(self._tables, key.parent), known)
            finally:
                self._making.pop()
            found = self._parent(key, values)
        if found is not None:
            values.update(zip(key.columns, found, strict=True))
        elif nullable:
            values.update(dict.fromkeys(nullable))
        else:
            raise RowError(f"{table.name}: no row of {key.parent} to refer to", hint=_advice(table, missing[0]))

    def _parent(self, key: ForeignKey, values: Values) -> Sequence[Any] | None:
        known = {p: values[c] for c, p in zip(key.columns, key.parent_columns, strict=True) if c in values}
        conditions = [sql.SQL("{} = %s").format(named(name)) for name in known]
        columns = sql.SQL(", ").join(sql.SQL("{}::text").format(named(name)) for name in key.parent_columns)
        query = sql.SQL("SELECT DISTINCT {} FROM {} WHERE {} ORDER BY 1").format(
            columns,
            named(key.parent.schema, key.parent.name),
            sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true"),
        )
        found = self._conn.execute(query, list(known.values())).fetchall()
        return self._random.choice(found) if found else None

    def _changes(self, table: Table) -> Values:
        fixed = {*self.key_of(table), *table.primary_key, *(c.name for c in table.columns if c.computed_by_database)}
        fresh = self._fresh(table, {}, wanted=[column.name for column in table.columns]) or {}
        free = [name for name in fresh if name not in fixed]
        if not free:
            return {}
        chosen = set(self._random.sample(free, self._random.randint(1, len(free))))
        for key in table.foreign_keys:  # the columns of a reference change together or not at all
            if chosen & set(key.columns):
                chosen = chosen | set(key.columns) if fixed.isdisjoint(key.columns) else chosen - set(key.columns)
        return {name: fresh[name] for name in free if name in chosen}

    # -- statements

    def _until_accepted(
        self,
        table: Table,
        values: Values,
        given: Mapping[str, Any],
        tries: int,
        send: Callable[[Table, Values], Place | None],
    ) -> Place | None:
        for attempt in range(tries):
            try:
                with self._conn.transaction():
                    return send(table, values)
            except (psycopg.IntegrityError, psycopg.DataError) as error:
                if attempt == tries - 1:
                    raise _refused(table, error, tries) from error
                self._try_others(table, values, given, error)
        return None

    def _try_others(self, table: Table, values: Values, given: Mapping[str, Any], error: psycopg.Error) -> None:
        """Make other values for the columns of the constraint that was violated; for all when it is not known."""
        blamed = set(table.constraints.get(error.diag.constraint_name or "", ())) & values.keys() - given.keys()
        fresh = self._fresh(table, dict(given), wanted=list(values)) or {}
        for name in blamed or set(values) - set(given):
            if name in fresh:
                values[name] = fresh[name]

    def _insert(self, table: Table, values: Values) -> Place:
        names = sql.SQL(", ").join(map(named, values))
        marks = sql.SQL(", ").join([sql.Placeholder()] * len(values))
        what = sql.SQL("({}) VALUES ({})").format(names, marks) if values else sql.SQL("DEFAULT VALUES")
        query = sql.SQL("INSERT INTO {} {} RETURNING tableoid::bigint, ctid::text").format(_identifier(table), what)
        found = self._conn.execute(query, _adapted(table, values)).fetchone()
        if found is None:  # a trigger or a rule of the user's put it elsewhere
            raise RowError(f"{table.name}: an INSERT inserted nothing", hint=_advice(table, "…"))
        return Place(*found)

    def _update(self, table: Table, place: Place, values: Values) -> None:
        settings = sql.SQL(", ").join(sql.SQL("{} = %s").format(named(name)) for name in values)
        query = sql.SQL("UPDATE {} SET {} WHERE tableoid = %s AND ctid = %s").format(_identifier(table), settings)
        self._conn.execute(query, [*_adapted(table, values), *place])


def _adapted(table: Table, values: Values) -> list[Any]:
    """Wrap what the driver does not send to a JSON column by itself."""
    return [
        Jsonb(value)
        if isinstance(value, dict) or (isinstance(value, list) and table.column(name).type.name in {"json", "jsonb"})
        else value
        for name, value in values.items()
    ]


def _identifier(table: Table) -> sql.Identifier:
    return named(table.name.schema, table.name.name)


def _advice(table: Table, column: str) -> str:
    return (
        "give values for it in your test class:\n"
        "    def row(self, table, number, random):\n"
        f"        return {{{column!r}: ...}} if table == {str(table.name)!r} else {{}}"
    )


def _refused(table: Table, error: psycopg.Error, tries: int) -> RowError:
    blamed = table.constraints.get(error.diag.constraint_name or "", ()) or (error.diag.column_name or "…",)
    first = str(error).strip().splitlines()[0]
    return RowError(
        f"{table.name}: the database refused {tries} generated rows: {first}", hint=_advice(table, blamed[0])
    )
