"""One flush of one session: what it writes is collected statement by statement and object by object, then marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, inspect
from sqlalchemy.engine.interfaces import ExecutionContext
from sqlalchemy.orm import Mapper, UOWTransaction
from sqlalchemy.orm.exc import UnmappedColumnError
from sqlalchemy.sql.compiler import SQLCompiler

from syncline.capture.sqlalchemy.installed import Installed, Role
from syncline.capture.sqlalchemy.marking import Collected, Columns, Marker
from syncline.capture.sqlalchemy.statements import Rows, Write, named_rows
from syncline.errors import CaptureError
from syncline.model.entity import TableName


class Flush:
    """Collects from two sides that complete each other.

    Statements: rows that are updated or deleted are named by their parameters, and seen whatever the reason (cascades,
    orphans, ``post_update``, secondary tables). Objects: new rows and new primary keys, which statements do not name
    yet. That every row which was inserted has been seen as an object is counted.
    """

    def __init__(self, context: UOWTransaction) -> None:
        """Begin; ``context`` is the unit of work that SQLAlchemy's flush events carry."""
        self.context = context
        self._collected: dict[Connection, tuple[Installed, Collected]] = {}
        self._inserted: Counter[TableName] = Counter()
        self._seen: Counter[TableName] = Counter()
        self._counted: ExecutionContext | None = None

    def statement(self, connection: Connection, write: Write, context: ExecutionContext, installed: Installed) -> bool:
        """Collect the rows of a statement of this flush, before it runs; false when it does not say which they are."""
        statement, compiled, table = write.statement, context.compiled, write.table
        if statement is None or table is None or table not in installed.roles or not isinstance(compiled, SQLCompiler):
            return False
        if not isinstance(statement.table, Table):
            return False
        parameters: Sequence[Mapping[str, Any]] = context.compiled_parameters  # type: ignore[attr-defined]
        of_objects = context.execution_options.get("compiled_cache") is not None
        if statement.is_insert and of_objects:
            if (
                self._counted is not context
            ):  # a large INSERT runs in batches, each of them announced with all parameters
                self._inserted[table] += len(parameters)
                self._counted = context
            return True
        named = named_rows(statement, compiled, parameters)
        roles = installed.roles[table]
        if not all(_tells(role, named, statement.is_insert, of_objects, installed) for role in roles):
            return False
        collected = self._of(connection, installed)
        for role in roles:
            hint = "D" if statement.is_delete else "U"
            if named.before:
                self._before(connection, installed, role, statement.table, named, parameters, hint)
            if statement.is_delete:
                continue
            after = {**named.before, **named.after}
            by = _columns_of(table, statement.table, _best(role, after, installed))
            for row in parameters:
                hint = "I" if statement.is_insert else "U"
                collected.note(role, by, tuple(row[after[name]] for name in by.names), hint)
        return True

    def object(
        self, mapper: Mapper[Any], connection: Connection, instance: object, hint: str, installed: Installed
    ) -> None:
        """Collect an object that was inserted or updated: only now its primary key is certain."""
        values = inspect(instance).dict
        for table in mapper.tables:
            name = installed.find(_schema(table, connection), table.name)
            roles = installed.roles.get(name, ()) if name is not None else ()
            if name is None or not roles:
                continue
            self._seen[name] += hint == "I"
            columns: list[Any] = [*table.primary_key] or [c for c in mapper.primary_key if c.table is table]
            try:
                row = tuple(values[mapper.get_property_by_column(column).key] for column in columns)
            except (KeyError, UnmappedColumnError) as error:
                raise CaptureError(
                    f"{mapper.class_.__name__}: the primary key of {name} is not in the object",
                    hint="map all columns of the primary key, or capture the entity with triggers",
                ) from error
            by = Columns(name, tuple(c.name for c in columns), tuple(c.type for c in columns))
            for role in roles:
                self._of(connection, installed).note(role, by, row, hint)

    def mark(self) -> None:
        """Mark what was collected: one statement for each connection.

        Raises:
            CaptureError: rows were inserted that no object stands for.

        """
        for table, rows in self._inserted.items():
            if rows > self._seen[table]:
                raise CaptureError(
                    f"this flush inserted {rows} rows into {table}; only {self._seen[table]} objects stand for them",
                    hint="do not use the session's bulk methods inside of flush events",
                )
        for connection, (installed, collected) in self._collected.items():
            if collected:
                Marker(connection, installed).mark(collected)

    def _before(
        self,
        connection: Connection,
        installed: Installed,
        role: Role,
        table: Table,
        named: Rows,
        parameters: Sequence[Mapping[str, Any]],
        hint: str,
    ) -> None:
        name = role.table
        by = _columns_of(name, table, _best(role, named.before, installed))
        rows = [tuple(row[named.before[column]] for column in by.names) for row in parameters]
        collected = self._of(connection, installed)
        if set(role.columns) <= set(by.names):
            for values in rows:
                collected.note(role, by, values, hint)
            return
        for key in Marker(connection, installed).read(role, by, rows):
            collected.keys[role.entity, key] = hint if role.own else "U"

    def _of(self, connection: Connection, installed: Installed) -> Collected:
        return self._collected.setdefault(connection, (installed, Collected()))[1]


def _tells(role: Role, named: Rows, inserts: bool, of_objects: bool, installed: Installed) -> bool:
    """Whether parameters tell the role's keys, before and after."""
    table = role.table
    identity = set(installed.primary_keys[table]) or set(role.columns)
    if inserts:
        return set(role.columns) <= named.after.keys() or identity <= named.after.keys()
    if not named.before:
        return False
    if of_objects:
        return True
    changed = (named.after.keys() | named.expressions) & (identity | set(role.columns))
    return not changed & named.expressions and _known(role, {**named.before, **named.after}, identity)


def _known(role: Role, columns: Mapping[str, str], identity: set[str]) -> bool:
    return set(role.columns) <= columns.keys() or identity <= columns.keys()


def _best(role: Role, known: Mapping[str, str], installed: Installed) -> tuple[str, ...]:
    """Choose the columns by which rows are named: the key itself, else the primary key, else all that is known."""
    if set(role.columns) <= known.keys():
        return role.columns
    identity = installed.primary_keys[role.table]
    return identity if identity and set(identity) <= known.keys() else tuple(sorted(known))


def _columns_of(name: TableName, table: Table, columns: Sequence[str]) -> Columns:
    types = {column.name: column.type for column in table.c}
    return Columns(name, tuple(columns), tuple(types[column] for column in columns))


def _schema(table: Any, connection: Connection) -> str | None:
    translate = connection.get_execution_options().get("schema_translate_map") or {}
    schema: str | None = translate.get(table.schema, table.schema)
    return schema
