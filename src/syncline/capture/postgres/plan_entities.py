"""The statements for the rows of ``syncline.entity``, and for the tasks that an installation asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from psycopg import sql
from psycopg.types.json import Jsonb

from syncline.capture.postgres.install_plan import InstallPlan
from syncline.capture.postgres.plan import Wanted
from syncline.journal.registry import ARMED, REARMING, InstalledEntity, definition, differences
from syncline.ports import PENDING
from syncline.postgres.sql import identifier, ours


def plan_entities(
    plan: InstallPlan, wanted: Sequence[Wanted], present: Mapping[str, InstalledEntity], *, gradually: bool = True
) -> None:
    """Add the statements for the rows of ``syncline.entity``.

    Args:
        plan: is added to.
        wanted: what must be there.
        present: what is there.
        gradually: what is new is pending, what changes changes when its tables have been done; else all is at once.

    """

    def later(id_: int, summary: str | None, *statements: sql.Composed) -> None:
        if gradually:
            plan.arm(id_, summary, *statements)
        else:
            plan.add(summary, *statements)

    rows = plan.rows if gradually else plan.statements
    for one in wanted:
        name = one.entity.name
        plan.names[one.id] = name
        values = _values(one)
        old = present.get(name)
        if old is None:
            plan.say(f"{name}: new entity {one.id}, {one.entity.table} to {one.entity.collection}")
            rows.append(_insert(one.id, name, values, pending=gradually))
            later(one.id, None, *([_arm(one.id)] if gradually else []))
            plan.stale(name)
            continue
        changed = differences(definition(one.entity), old.definition)
        keyed = (old.table, old.key_columns, old.key_types) != (values[0], tuple(values[2]), tuple(values[3]))
        if keyed:
            changed = sorted({*changed, "key"})
            plan.warnings.append(f"{name}: its key is another one now; records under old keys stay until a sweep")
            later(one.id, None, *forget_entity(old.id))
        if changed or old.capture != one.capture or old.collection != one.entity.collection:
            later(one.id, f"{name}: changed ({', '.join(changed) or 'capture'})", _update(one.id, values))
            plan.stale(name)
        if old.state != ARMED:
            later(one.id, f"{name}: arm it, an installation before did not come so far", _arm(one.id))
            plan.stale(name)
        elif old.mask != one.entity.mask:
            later(one.id, None if old.mask is None else f"{name}: masks changed", _update(one.id, values))
    names = {one.entity.name for one in wanted}
    if names - present.keys():
        rows.append(_numbered(max(one.id for one in wanted)))
    for old in present.values():
        if old.name not in names:
            plan.names[old.id] = old.name
            gone = sql.SQL(ours("/* syncline */ DELETE FROM syncline.entity WHERE id = {}")).format(sql.Literal(old.id))
            later(old.id, f"{old.name}: removed; its documents stay in {old.collection}", *forget_entity(old.id), gone)


def plan_rearming(plan: InstallPlan, wanted: Sequence[Wanted], present: Mapping[str, InstalledEntity]) -> None:
    """Remember, before any trigger is put back, which entities were not captured meanwhile: until they are marked."""
    waiting = {entity for step in plan.steps.values() for entity in step.entities}
    for one in wanted:
        old = present.get(one.entity.name)
        behind = one.id in waiting or plan.sweep_all
        if old is not None and old.state == ARMED and behind and one.entity.name in plan.backfill:
            plan.rows.append(_set_state(one.id, REARMING))
            plan.arm(one.id, None, _arm(one.id))


def plan_backfills(plan: InstallPlan, wanted: Sequence[Wanted], present: Mapping[str, InstalledEntity]) -> None:
    """Request, with the arming itself, what the installation makes necessary: backfills and sweeps."""
    ids = {one.entity.name: one.id for one in wanted}
    for name in plan.backfill:
        fresh = name not in present or present[name].state == PENDING
        kinds = ["backfill"] if fresh and not plan.sweep_all else ["backfill", "sweep"]
        requests = [_request(kind, ids[name]) for kind in kinds]
        plan.say(f"{name}: the worker will mark its records")
        if plan.one_by_one:
            plan.add(None, *requests)
        else:
            plan.arm(ids[name], None, *requests)


def _request(kind: str, id_: int) -> sql.Composed:
    return sql.SQL(
        ours("/* syncline */ INSERT INTO syncline.task (kind, entity, reason) VALUES ({kind}, {id}, 'install')")
    ).format(kind=sql.Literal(kind), id=sql.Literal(id_))


def _values(one: Wanted) -> tuple[str, str, list[str], list[str], str, Jsonb, list[str]]:
    entity, key = one.entity, one.projection.key
    return (
        str(entity.table),
        entity.collection,
        [column.name for column in key],
        [column.type for column in key],
        one.capture,
        Jsonb(definition(entity)),
        list(entity.mask),
    )


def _insert(id_: int, name: str, values: Sequence[object], *, pending: bool) -> sql.Composed:
    state = PENDING if pending else ARMED
    row = sql.SQL(", ").join((sql.Literal(id_), sql.Literal(name), _literals(values), sql.Literal(state)))
    return sql.SQL(
        ours(
            "/* syncline */ INSERT INTO syncline.entity"
            " (id, name, source_table, collection, key_columns, key_types, capture, definition, mask, state)"
            " VALUES ({})"
        )
    ).format(row)


def _numbered(highest: int) -> sql.Composed:
    """Compose the note that ids up to this one are taken. It comes last: every worker's renewal waits for that row."""
    return sql.SQL(ours("/* syncline */ UPDATE syncline.meta SET last_entity = greatest(last_entity, {})")).format(
        sql.Literal(highest)
    )


def _set_state(id_: int, state: str) -> sql.Composed:
    return sql.SQL(ours("/* syncline */ UPDATE syncline.entity SET state = {} WHERE id = {}")).format(
        sql.Literal(state), sql.Literal(id_)
    )


def _arm(id_: int) -> sql.Composed:
    return _set_state(id_, ARMED)


def _update(id_: int, values: Sequence[object]) -> sql.Composed:
    return sql.SQL(
        ours(
            "/* syncline */ UPDATE syncline.entity SET"
            " (source_table, collection, key_columns, key_types, capture, definition, mask) = ({values})"
            " WHERE id = {id}"
        )
    ).format(id=sql.Literal(id_), values=_literals(values))


def forget_entity(id_: int) -> list[sql.Composed]:
    """Compose the removal of what the worker can no longer understand."""
    tables = ("outbox", "block", "deferred", "parked", "task", "copy")
    query = sql.SQL("/* syncline */ DELETE FROM {} WHERE entity = {}")
    return [query.format(identifier(table), sql.Literal(id_)) for table in tables]


def _literals(values: Iterable[object]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{}::text[]").format(sql.Literal(value)) if isinstance(value, list) else sql.Literal(value)
        for value in values
    )
