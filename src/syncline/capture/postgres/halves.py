"""Our schema in halves: another tool dropped some of it. What is missing is put back as ``schema.sql`` has it."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from psycopg import sql

from syncline.capture.postgres.install_plan import InstallPlan
from syncline.capture.postgres.migrate import grants_of_roles
from syncline.journal.migration import migrations
from syncline.journal.parts import Kind, Part, numbered, parts
from syncline.journal.tables import set_back
from syncline.model.link import current
from syncline.postgres.dialect import Dialect
from syncline.postgres.sql import blocks, identifier

_REMEMBERS = frozenset({"entity", "outbox", "block", "deferred", "parked", "task"})
"""Tables whose rows are changes, or say whose changes they are: without them every record has to be looked at."""
_OF_ENTITIES = ("entity", "outbox", "block", "deferred", "parked", "task", "observed", "capture")
_HOLDS = frozenset({Kind.TABLE, Kind.COLUMN})
_ALTERED = _HOLDS | {Kind.DEFINITION}
_STEP = 512
"""Between two numbers of the outbox: a block has those down to the one before."""


def lost_entities(lacking: Sequence[Part]) -> bool:
    """Tell whether nobody knows any more which entities there were, and under which numbers."""
    return "entity" in _losses(lacking)


def plan_missing(plan: InstallPlan, lacking: Sequence[Part], names: Collection[str], dialect: Dialect) -> None:
    """Put back what is missing, before anything else; what that may have lost is marked and swept.

    Args:
        plan: is added to.
        lacking: what is missing.
        names: of the entities that are configured.
        dialect: of the source.

    """
    if not lacking:
        return
    losses = _losses(lacking, _ALTERED)
    if lost_entities(lacking):
        plan.migrations += _forgotten(lacking, dialect)
    elif losses and dialect is Dialect.POSTGRESQL:
        plan.migrations.append(_remembered())
    for part in lacking:
        # Each alone, as a migration is: an installation that breaks off goes on from there.
        plan.migrations.append(sql.Composed([sql.SQL(";\n".join([*part.statements, *_numbers(part, dialect)]))]))
        plan.say(f"put back {part}")
    if dialect is Dialect.POSTGRESQL:
        plan.migrations.append(grants_of_roles())
        if any(part.kind is Kind.COLUMN and part.name == "notice.entity" for part in lacking):
            plan.migrations.append(_told_by_messages())
        if any("notice.resolved_at" in (part.name, part.column) for part in lacking):
            plan.migrations.append(_open_again())
    if losses:
        plan.sweep_all = True
        what = ", ".join(f"{current().schema}.{name}" for name in losses)
        plan.warnings.append(
            f"another tool has dropped or altered {what}, or a part of it: changes may be missing until every record "
            "has been marked (backfill, sweep)"
        )
        for name in names:
            plan.stale(name)


def _losses(lacking: Sequence[Part], kinds: Collection[Kind] = _HOLDS) -> list[str]:
    return sorted({part.table or part.name for part in lacking if part.kind in kinds} & _REMEMBERS)


def _remembered() -> sql.Composed:
    """Compose the note, before anything is put back, that every entity is to be marked: also where this breaks off."""
    return sql.Composed([sql.SQL(blocks("halves.sql", "syncline.capture.postgres")["remembered"])])


def _told_by_messages() -> sql.Composed:
    """Compose what tells again which entity each open notice is about: else nobody could end it."""
    (column,) = (migration for migration in migrations(Dialect.POSTGRESQL) if migration.name == "notice_entity")
    return sql.Composed([sql.SQL(column.steps[-1])])


def _open_again() -> sql.Composed:
    """Compose what ends the notices that cannot have been open: else each one ever left would be."""
    return sql.Composed([sql.SQL(blocks("halves.sql", "syncline.capture.postgres")["open_again"])])


def _forgotten(lacking: Sequence[Part], dialect: Dialect) -> Iterator[sql.Composed]:
    """Compose the removal of what refers to entities by numbers that mean nothing any more."""
    away = {part.name for part in lacking if part.kind is Kind.TABLE}
    ours = {part.name for part in parts(dialect) if part.kind is Kind.TABLE}
    for table in _OF_ENTITIES:
        if table in ours - away:
            yield sql.SQL("/* syncline */ DELETE FROM {}").format(identifier(table))


def plan_numbers(plan: InstallPlan, found: Mapping[str, tuple[int, int]]) -> None:
    """Let numbers go on above all that are there, where somebody has set a sequence back.

    Args:
        plan: is added to.
        found: the last number that each table was given, and the highest that it has.

    """
    behind = set_back(found)
    for table in behind:
        restart = _restart(table, numbered()[table], above=found[table][1])
        plan.migrations.append(sql.Composed([sql.SQL(restart)]))
    if behind:
        plan.say(f"put forward the numbers of {', '.join(f'{current().schema}.{table}' for table in behind)}")


def _numbers(part: Part, dialect: Dialect) -> list[str]:
    """Let numbers begin anew with what is put back."""
    if not part.identity or dialect is Dialect.COCKROACHDB:
        return []
    return [_restart(part.table or part.name, part.identity)]


def _restart(table: str, column: str, *, above: int = 0) -> str:
    """Compose what lets numbers begin above all that were ever given out: workers remember how far they have read."""
    first = max(time.time_ns() // 1000, above + _STEP)
    return f"ALTER TABLE {current().schema}.{table} ALTER COLUMN {column} RESTART WITH {first}"
