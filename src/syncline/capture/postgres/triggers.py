"""The triggers that capture an entity's changes: what they must look like, composed and not yet executed.

Statement-level triggers read a statement's rows from transition tables, the fast form, where every way of writing a row
is a statement on its table. Partitions, inheritance and subscriptions are written past it: there, one trigger per row.
None has a WHEN or a column list: PostgreSQL would refuse to change the type of what these name.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from syncline.capture.postgres.composing import (
    ours,
    table_of,
    template,
)
from syncline.capture.postgres.functions import Watch
from syncline.model.entity import TableName
from syncline.model.link import current

ALWAYS, REPLICA = "A", "R"
"""``pg_trigger.tgenabled``: fires whoever writes; fires where replication writes."""
ROW, INSERT, DELETE, UPDATE, TRUNCATE = 1, 4, 8, 16, 32
"""Bits of ``pg_trigger.tgtype``."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger as it must be."""

    entity: int
    table: TableName
    name: str
    function: str
    type: int
    """``pg_trigger.tgtype``."""
    old_table: str | None = None
    new_table: str | None = None
    enabled: str = ALWAYS
    """``pg_trigger.tgenabled``."""

    @property
    def create(self) -> tuple[sql.Composed, ...]:
        """Compose what makes it, or makes it what it must be."""
        name, table = sql.Identifier(self.name), table_of(self.table)
        made = template(f"trigger_{self.function.rpartition('_')[2]}").format(
            trigger=name,
            function=ours(self.function),
            table=table,
            event={INSERT: sql.SQL("INSERT"), DELETE: sql.SQL("DELETE")}.get(self.type, sql.SQL("")),
            rows=sql.SQL("NEW" if self.new_table else "OLD"),
        )
        said = (
            f"Syncline: captures changes, for entity {self.entity}. `syncline install` puts it back, "
            "`syncline uninstall` removes it."
        )
        comment = template("trigger_comment").format(trigger=name, table=table, comment=sql.Literal(said))
        return made, enable_trigger(self.table, self.name, self.enabled), comment


def row_triggers(watch: Watch, table: TableName) -> tuple[Trigger, ...]:
    """Triggers for a table that is written past its statements. PostgreSQL copies them to partitions by itself."""
    return (_trigger(watch, table, "row", "row", ROW | INSERT | UPDATE | DELETE), truncate_trigger(watch, table))


def replica_trigger(watch: Watch, table: TableName) -> Trigger:
    """The trigger beside those of an ordinary table into which pglogical writes row by row."""
    return _trigger(watch, table, "row", "row", ROW | INSERT | UPDATE | DELETE, enabled=REPLICA)


def statement_triggers(watch: Watch, table: TableName) -> tuple[Trigger, ...]:
    """Triggers for an ordinary table."""
    return (
        _trigger(watch, table, "statement", "insert", INSERT, new_table="changed"),
        _trigger(watch, table, "update", "update", UPDATE, old_table="before", new_table="changed"),
        _trigger(watch, table, "statement", "delete", DELETE, old_table="changed"),
        truncate_trigger(watch, table),
    )


def truncate_trigger(watch: Watch, table: TableName) -> Trigger:
    """The trigger on TRUNCATE, which PostgreSQL copies to no partition."""
    return _trigger(watch, table, "truncate", "truncate", TRUNCATE)


def drop_trigger(table: TableName, name: str) -> sql.Composed:
    """Compose its removal."""
    return template("trigger_drop").format(trigger=sql.Identifier(name), table=table_of(table))


def enable_trigger(table: TableName, name: str, enabled: str = ALWAYS) -> sql.Composed:
    """Compose what makes it fire always, in replicas and restores too; or there only."""
    block = "trigger_replica" if enabled == REPLICA else "trigger_always"
    return template(block).format(trigger=sql.Identifier(name), table=table_of(table))


def observed_before(table: TableName, entity: int) -> sql.Composed:
    """Compose the note that an entity's triggers on a table are those that workers saw last."""
    return _observed("observed_before", table, entity)


def observed_after(table: TableName, entity: int) -> sql.Composed:
    """Compose what workers are to take those for that are there now, if the ones before were known."""
    return _observed("observed_after", table, entity)


def _observed(name: str, table: TableName, entity: int) -> sql.Composed:
    stem = sql.Literal(f"{current().trigger_prefix}{entity}_%".replace("_", "\\_"))
    return template(name).format(
        entity=sql.Literal(entity), table=sql.Literal(table_of(table).as_string(None)), stem=stem
    )


def _trigger(
    watch: Watch,
    table: TableName,
    role: str,
    suffix: str,
    type_: int,
    *,
    old_table: str | None = None,
    new_table: str | None = None,
    enabled: str = ALWAYS,
) -> Trigger:
    name, function = f"{current().trigger_prefix}{watch.stem}_{suffix}", f"capture_{watch.stem}_{role}"
    return Trigger(watch.entity, table, name, function, type_, old_table, new_table, enabled)
