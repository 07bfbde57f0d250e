"""Reads statements: which tables they write, and which rows when that stands in their parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import DDL, BindParameter, ColumnClause, Delete, Insert, TableClause, TextClause, Update
from sqlalchemy.engine.interfaces import Compiled, ExecutionContext
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.compiler import DDLCompiler, SQLCompiler
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList
from sqlalchemy.sql.selectable import FromClause

from syncline.capture.sqlalchemy.installed import Installed
from syncline.model.entity import TableName

_VERB = re.compile(r"\b(insert|update|delete|merge|truncate|copy)\b", re.IGNORECASE)
_LOCK = re.compile(r"\bfor\s+(no\s+key\s+)?update\b", re.IGNORECASE)
_BLIND = re.compile(r"(?:\A|;)(?:\s|--[^\n]*\n|/\*.*?\*/)*(call|do|execute)\b", re.IGNORECASE | re.DOTALL)
_HIDDEN_NAME = re.compile(r"\bu&\"", re.IGNORECASE)
_WORD = re.compile(r"\w[\w$]*")


@dataclass(frozen=True, slots=True)
class Write:
    """One table that a statement writes, as far as can be told."""

    table: TableName | None
    """``None``: any table, there is no telling (``CALL``, ``DO``, ``EXECUTE``)."""
    statement: Insert | Update | Delete | None = None
    """The whole statement, when writing this table is all that it does."""


def may_write(sql: str) -> bool:
    """Whether a statement needs a closer look; false for nearly every query."""
    return _VERB.search(sql) is not None or _BLIND.search(sql) is not None


def writes(sql: str, context: ExecutionContext, installed: Installed) -> list[Write]:
    """Find the tables in question that a statement may write. Textual SQL is judged by its words: too much is found."""
    compiled = context.compiled
    if isinstance(compiled, DDLCompiler) and not isinstance(compiled.statement, DDL):
        return []
    if (
        isinstance(compiled, SQLCompiler)
        and compiled.statement is not None
        and not isinstance(compiled.statement, TextClause)
    ):
        translate = context.execution_options.get("schema_translate_map") or {}
        return list(_compiled_writes(compiled, installed, translate))
    return _worded(sql, installed)


def _compiled_writes(
    compiled: Compiled, installed: Installed, translate: Mapping[str | None, str | None]
) -> Iterator[Write]:
    top = compiled.statement
    for element in visitors.iterate(top):
        if isinstance(element, (Insert, Update, Delete)):
            for target in _targets(element.table):
                table = installed.find(translate.get(target.schema, target.schema), target.name)
                if table is not None:
                    yield Write(table, element if element is top else None)
        elif isinstance(element, TextClause):
            yield from _worded(element.text, installed)


def _targets(target: FromClause) -> Iterator[TableClause]:
    """Tables below a target, which may be an alias or a join."""
    return (part for part in visitors.iterate(target) if isinstance(part, TableClause))


def _worded(sql: str, installed: Installed) -> list[Write]:
    if _BLIND.search(sql):
        return [Write(None)]
    unlocked = _LOCK.sub(" ", sql)
    if not _VERB.search(unlocked):
        return []
    if _HIDDEN_NAME.search(unlocked):
        return [Write(None)]
    lowered = unlocked.lower()
    words = set(_WORD.findall(lowered))
    return [
        Write(table)
        for table in (*installed.roles, *installed.aliases)
        if _mentions(table.name.lower(), lowered, words)
    ]


def _mentions(name: str, text: str, words: set[str]) -> bool:
    return name in words or (_WORD.fullmatch(name) is None and name.replace('"', '""') in text)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that a statement names by its parameters."""

    before: Mapping[str, str]
    """Column to parameter: the values that the rows have (for INSERT: nothing)."""
    after: Mapping[str, str]
    """Column to parameter: the values that they get."""
    expressions: frozenset[str]
    """Columns that get a value which stands in no parameter."""


def named_rows(
    statement: Insert | Update | Delete, compiled: SQLCompiler, parameters: Sequence[Mapping[str, Any]]
) -> Rows:
    """Read which rows a statement writes: ``column = :parameter``, joined by AND, and the values that it sets.

    Other conditions only narrow the choice, so that what is named is all that can be written.
    """
    columns = {column.key: column.name for column in statement.table.c if isinstance(column, ColumnClause)}
    if isinstance(statement, Delete):
        return Rows(_equalities(statement, compiled), {}, frozenset())
    given = {columns[key]: key for key in (parameters[0] if parameters else ()) if key in columns}
    expressed = frozenset(_expressed(statement)) - given.keys()
    if isinstance(statement, Insert):
        plain = statement.select is None and not statement._multi_values and statement._post_values_clause is None  # noqa: SLF001
        return Rows({}, given if plain else {}, expressed)
    before = _equalities(statement, compiled)
    taken = set(before.values())
    return Rows(before, {name: key for name, key in given.items() if key not in taken}, expressed)


def _expressed(statement: Insert | Update) -> Iterator[str]:
    for source in (statement._values or {}, dict(getattr(statement, "_ordered_values", None) or ())):  # noqa: SLF001
        for column in source:
            yield getattr(column, "name", str(column))


def _equalities(statement: Update | Delete, compiled: SQLCompiler) -> dict[str, str]:
    found: dict[str, str] = {}
    for criterion in _conjuncts(statement._where_criteria):  # noqa: SLF001  no public name
        if isinstance(criterion, BinaryExpression) and criterion.operator is operators.eq:
            column, value = criterion.left, criterion.right
            if (
                isinstance(column, ColumnClause)
                and column.table is statement.table
                and isinstance(value, BindParameter)
            ):
                found[column.name] = compiled.bind_names.get(value, value.key)
    return found


def _conjuncts(criteria: Sequence[Any]) -> Iterator[Any]:
    for criterion in criteria:
        if isinstance(criterion, BooleanClauseList) and criterion.operator is operators.and_:
            yield from _conjuncts(criterion.clauses)
        else:
            yield criterion
