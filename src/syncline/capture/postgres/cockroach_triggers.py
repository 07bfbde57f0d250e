"""What captures changes in CockroachDB, composed only: a row-level trigger per table, and its function."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from psycopg import sql

from syncline.capture.postgres.composing import dollar_quoted, lane
from syncline.capture.postgres.functions import Watch
from syncline.model.entity import Column, TableName
from syncline.model.key_types import key_type
from syncline.model.link import current
from syncline.postgres.sql import blocks, identifier, ours

KEY_TYPES = frozenset({"int2", "int4", "int8", "text", "varchar", "uuid", "bool"})
"""Types whose text follows no setting: functions there cannot pin one."""


@dataclass(frozen=True, slots=True)
class Capture:
    """A trigger with its function, named for what it does."""

    entity: int
    table: TableName
    trigger: str
    function: str
    create_function: sql.Composed
    create_trigger: sql.Composed


def key_function(entity: int, columns: Sequence[Column]) -> sql.Composed:
    """``syncline.key_<id>(column, …)``: the entity's key text."""
    types = [key_type(column).sql for column in columns]
    texts = ", ".join(f"${place}::text" for place in range(1, len(types) + 1))
    single = len(types) == 1
    return template("key_function").format(
        function=identifier(f"key_{entity}"),
        arguments=sql.SQL(", ").join([sql.SQL(name) for name in types]),
        volatility=sql.SQL("IMMUTABLE" if single else "STABLE"),
        body=dollar_quoted(f"SELECT {texts}" if single else f"SELECT jsonb_build_array({texts})::text"),
    )


def capture(watch: Watch) -> Capture:
    """Compose what captures a table's changes.

    Names carry a digest of what is done: a function that a trigger uses cannot be replaced.
    """
    own = not watch.embed
    parts = {
        "id": sql.Literal(watch.entity),
        "old_key": _key(watch, "OLD"),
        "new_key": _key(watch, "NEW"),
        "old_present": _present(watch, "OLD"),
        "new_present": _present(watch, "NEW"),
        "hint": sql.SQL("left(TG_OP, 1)" if own else "'U'"),
        "gone": sql.SQL("'D'" if own else "'U'"),
    }
    for row, hint in (("after", "hint"), ("before", "gone")):
        key = f"v_{row}"
        of = {"lane": lane(key, str(watch.entity), "cockroach.sql"), "of": sql.SQL(key), "of_row": parts[hint]}
        parts[f"mark_{row}"] = template("mark", part=True).format(id=parts["id"], **of)
    body = "\n" + template("row").format(**parts).as_string(None) + "\n"
    digest = hashlib.sha256(f"{watch.table}\n{body}".encode()).hexdigest()[:8]
    function, trigger = f"capture_{watch.stem}_{digest}", f"{current().trigger_prefix}{watch.stem}_{digest}"
    names = {"function": identifier(function)}
    return Capture(
        watch.entity,
        watch.table,
        trigger,
        function,
        template("trigger_function").format(**names, body=dollar_quoted(body)),
        template("trigger_row").format(**names, trigger=sql.Identifier(trigger), table=table_of(watch.table)),
    )


def _key(watch: Watch, row: str) -> sql.Composed:
    texts = sql.SQL(", ").join([sql.SQL("{}::text").format(_of(row, column)) for column in watch.columns])
    return sql.Composed([texts]) if len(watch.columns) == 1 else sql.SQL("jsonb_build_array({})::text").format(texts)


def _present(watch: Watch, row: str) -> sql.Composable:
    """A child without a parent has no key to mark; the entity's own key is never null."""
    if not watch.embed:
        return sql.SQL("true")
    return sql.SQL(" AND ").join([sql.SQL("{} IS NOT NULL").format(_of(row, column)) for column in watch.columns])


def _of(row: str, column: Column) -> sql.Composed:
    return sql.SQL("({}).{}").format(sql.SQL(row), sql.Identifier(column.name))


def drop(table: TableName | None, trigger: str) -> list[sql.Composed]:
    """Compose the removal of a trigger and its function; ``None``: its table is gone."""
    function = identifier(trigger.replace(current().trigger_prefix, "capture_", 1))
    statements = [
        sql.SQL("/* syncline */ DROP FUNCTION IF EXISTS {}").format(function),
        sql.SQL(ours("/* syncline */ DELETE FROM syncline.capture WHERE name = {}")).format(sql.Literal(trigger)),
    ]
    if table is not None:
        dropped = sql.SQL("/* syncline */ DROP TRIGGER IF EXISTS {} ON {}").format(
            sql.Identifier(trigger), table_of(table)
        )
        statements.insert(0, dropped)
    return statements


def template(name: str, *, part: bool = False) -> sql.SQL:
    """Give a named block; a part of another one carries no comment with our name."""
    return sql.SQL(cast(Any, blocks("triggers_cockroach.sql", "syncline.capture.postgres", comment=not part)[name]))


def table_of(table: TableName) -> sql.Identifier:
    """Name a table."""
    return sql.Identifier(table.schema, table.name)
