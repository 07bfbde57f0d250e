"""From what must be and what is to the statements between them. Pure: everything it needs has been read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql
from psycopg.types.json import Jsonb

from syncline.capture.state import Member, PresentFunction, PresentTrigger
from syncline.capture.triggers import (
    Function,
    Trigger,
    Watch,
    drop_function,
    drop_trigger,
    enable_trigger,
    key_function,
    row_triggers,
    statement_triggers,
    trigger_functions,
    truncate_trigger,
)
from syncline.model.entity import Entity, TableName
from syncline.model.mapping import Projection
from syncline.outbox.registry import InstalledEntity, definition, differences


@dataclass(slots=True)
class InstallPlan:
    """Statements that bring the database to what the configuration says; none: nothing to do."""

    migrations: list[sql.Composed] = field(default_factory=list)
    """What brings our schema to this package's version first: each is a transaction of its own, and may be repeated."""
    statements: list[sql.Composed] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)
    """What they do, a line each, for people."""
    warnings: list[str] = field(default_factory=list)
    tables: dict[str, int] = field(default_factory=dict)
    """Name and oid of each table that will be locked for a moment."""
    backfill: list[str] = field(default_factory=list)
    """Entities whose records are to be marked afterwards: new, changed, or not captured for some time."""
    one_by_one: bool = False
    """The statements are no transaction (CockroachDB): each stands alone, in this order."""

    @property
    def changes(self) -> bool:
        """Say whether there is anything to do."""
        return bool(self.migrations or self.statements)

    def add(self, summary: str | None, *statements: sql.Composed) -> None:
        """Append statements and, if there is something to say, what they do."""
        self.statements.extend(statements)
        if summary is not None:
            self.summary.append(summary)

    def stale(self, entity: str) -> None:
        """Note that this entity's records have to be marked once."""
        if entity not in self.backfill:
            self.backfill.append(entity)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An entity with its id, compiled against its tables."""

    id: int
    projection: Projection
    capture: str

    @property
    def entity(self) -> Entity:
        """The entity."""
        return self.projection.entity

    @property
    def watches(self) -> list[Watch]:
        """Every table whose changes mark its keys."""
        own = Watch(self.id, self.entity.table, tuple(self.projection.key))
        return [own] + [
            Watch(self.id, embed.embed.table, tuple(embed.on), place)
            for place, embed in enumerate(self.projection.embeds, 1)
        ]


@dataclass(slots=True)
class Arms:
    """The functions and triggers that must be there."""

    functions: dict[tuple[str, tuple[str, ...]], Function] = field(default_factory=dict)
    triggers: dict[tuple[TableName, str], tuple[Trigger, int]] = field(default_factory=dict)
    """By table and name: the trigger and the id of its entity."""


def arms(wanted: Iterable[Wanted], members: Mapping[TableName, Sequence[Member]], by_row: frozenset[TableName]) -> Arms:
    """Say which functions and triggers capture these entities."""
    all_ = Arms()
    for one in wanted:
        function = key_function(one.id, one.projection.key)
        all_.functions[function.identity] = function
        for watch in one.watches if one.capture == "triggers" else ():
            family = members[watch.table]
            rows = watch.table in by_row or written_by_row(family)
            all_.functions |= {f.identity: f for f in trigger_functions(watch, by_row=rows)}
            for trigger in _triggers(watch, family, by_row=rows):
                all_.triggers[trigger.table, trigger.name] = trigger, one.id
    return all_


def written_by_row(family: Sequence[Member]) -> bool:
    """Can rows of this table be written without a statement on it? Then statement-level triggers miss some."""
    return len(family) > 1 or family[0].kind == "p" or family[0].inherits or any(m.subscribed for m in family)


def _triggers(watch: Watch, family: Sequence[Member], *, by_row: bool) -> list[Trigger]:
    root, *rest = family
    if not by_row:
        return list(statement_triggers(watch, root.table))
    triggers = list(row_triggers(watch, root.table))
    for member in rest:
        triggers += (
            [truncate_trigger(watch, member.table)] if member.is_partition else row_triggers(watch, member.table)
        )
    return triggers


def plan_triggers(
    plan: InstallPlan,
    wanted: Arms,
    functions: Sequence[PresentFunction],
    triggers: Sequence[PresentTrigger],
    captured: Mapping[int, str],
    *,
    upgraded: bool,
) -> None:
    """Add the statements that make functions and triggers what they must be.

    Args:
        plan: is added to.
        wanted: what must be there.
        functions: what is there.
        triggers: what is there.
        captured: names by id of the entities that should have been captured until now; where a trigger of theirs
            is missing or off, changes may have been lost.
        upgraded: another version of Syncline wrote functions and triggers; they may well differ.

    """
    present = {(t.table, t.name): t for t in triggers if not t.copy}
    keep = {place for place, t in present.items() if place in wanted.triggers and t.fits(wanted.triggers[place][0])}
    for place in sorted(present.keys() - keep, key=str):
        gone = None if place in wanted.triggers else f"{place[0]}: drop trigger {place[1]}"
        plan.add(gone, drop_trigger(*place))
    _plan_functions(plan, wanted, functions, {} if upgraded else captured)
    for place, (trigger, entity) in wanted.triggers.items():
        if place in keep:
            continue
        verb = "replace" if place in present else "create"
        plan.add(f"{trigger.table}: {verb} trigger {trigger.name}", *trigger.create)
        replaced = upgraded and place in present and present[place].enabled == "A"
        if entity in captured and not replaced:
            gap(plan, captured[entity], f"trigger {trigger.name} on {trigger.table} was missing or altered")
    _enable(plan, wanted, [t for t in triggers if t.copy or (t.table, t.name) in keep], captured)


def _plan_functions(
    plan: InstallPlan, wanted: Arms, functions: Sequence[PresentFunction], captured: Mapping[int, str]
) -> None:
    present = {function.identity: function for function in functions}
    for identity in sorted(present.keys() - wanted.functions.keys()):
        plan.add(f"drop function syncline.{identity[0]}", drop_function(*identity))
    for identity, function in wanted.functions.items():
        there = present.get(identity)
        if there is None or not there.fits(function):
            verb = "create" if there is None else "replace"
            plan.add(f"{verb} function syncline.{function.name}", *function.create)
            if there is not None and function.definer and function.entity in captured:
                gap(plan, captured[function.entity], f"function syncline.{function.name} was altered")


def _enable(plan: InstallPlan, wanted: Arms, triggers: Iterable[PresentTrigger], captured: Mapping[int, str]) -> None:
    entities = {trigger.name: entity for trigger, entity in wanted.triggers.values()}
    for trigger in triggers:
        if trigger.enabled == "A" or trigger.name not in entities:
            continue
        plan.add(f"{trigger.table}: enable trigger {trigger.name}", enable_trigger(trigger.table, trigger.name))
        name = captured.get(entities[trigger.name])
        if name is not None:
            # "O" is what ENABLE TRIGGER leaves behind: it was off before that, or a dump was restored.
            what = "is switched off" if trigger.enabled == "D" else "was switched off, or not on for replication"
            gap(plan, name, f"trigger {trigger.name} on {trigger.table} {what}")


def gap(plan: InstallPlan, entity: str, what: str) -> None:
    plan.stale(entity)
    plan.warnings.append(
        f"{entity}: {what}: changes may be missing until its records have been marked (backfill, sweep)"
    )


def plan_entities(plan: InstallPlan, wanted: Sequence[Wanted], present: Mapping[str, InstalledEntity]) -> None:
    """Add the statements for the rows of ``syncline.entity``."""
    for one in wanted:
        name = one.entity.name
        values = _values(one)
        old = present.get(name)
        if old is None:
            plan.add(
                f"{name}: new entity {one.id}, {one.entity.table} to {one.entity.collection}",
                _insert(one.id, name, values),
            )
            plan.stale(name)
            continue
        changed = differences(definition(one.entity), old.definition)
        keyed = (old.table, old.key_columns, old.key_types) != (values[0], tuple(values[2]), tuple(values[3]))
        if keyed:
            changed = sorted({*changed, "key"})
            plan.warnings.append(f"{name}: its key is another one now; records under old keys stay until a sweep")
            plan.add(None, *forget_entity(old.id))
        if changed or old.capture != one.capture or old.collection != one.entity.collection:
            plan.add(f"{name}: changed ({', '.join(changed) or 'capture'})", _update(one.id, values))
            plan.stale(name)
    names = {one.entity.name for one in wanted}
    for old in present.values():
        if old.name not in names:
            gone = sql.SQL("/* syncline */ DELETE FROM syncline.entity WHERE id = {}").format(sql.Literal(old.id))
            plan.add(f"{old.name}: removed; its documents stay in {old.collection}", *forget_entity(old.id), gone)


def plan_backfills(plan: InstallPlan, wanted: Sequence[Wanted], present: Mapping[str, InstalledEntity]) -> None:
    """Request, with the installation itself, what it makes necessary: backfills and sweeps."""
    ids = {one.entity.name: one.id for one in wanted}
    for name in plan.backfill:
        kinds = ["backfill", "sweep"] if name in present else ["backfill"]
        plan.add(f"{name}: the worker will mark its records", *(_request(kind, ids[name]) for kind in kinds))


def _request(kind: str, id_: int) -> sql.Composed:
    return sql.SQL(
        "/* syncline */ INSERT INTO syncline.task (kind, entity, reason) VALUES ({kind}, {id}, 'install')"
    ).format(kind=sql.Literal(kind), id=sql.Literal(id_))


def _values(one: Wanted) -> tuple[str, str, list[str], list[str], str, Jsonb]:
    entity, key = one.entity, one.projection.key
    return (
        str(entity.table),
        entity.collection,
        [column.name for column in key],
        [column.type for column in key],
        one.capture,
        Jsonb(definition(entity)),
    )


def _insert(id_: int, name: str, values: Sequence[object]) -> sql.Composed:
    return sql.SQL(
        "/* syncline */ WITH numbered AS (UPDATE syncline.meta SET last_entity = greatest(last_entity, {id}))"
        " INSERT INTO syncline.entity (id, name, source_table, collection, key_columns, key_types, capture, definition)"
        " VALUES ({id}, {name}, {values})"
    ).format(id=sql.Literal(id_), name=sql.Literal(name), values=_literals(values))


def _update(id_: int, values: Sequence[object]) -> sql.Composed:
    return sql.SQL(
        "/* syncline */ UPDATE syncline.entity SET"
        " (source_table, collection, key_columns, key_types, capture, definition) = ({values}) WHERE id = {id}"
    ).format(id=sql.Literal(id_), values=_literals(values))


def forget_entity(id_: int) -> list[sql.Composed]:
    """Compose the removal of what the worker can no longer understand."""
    tables = ("outbox", "deferred", "parked", "task")
    query = sql.SQL("/* syncline */ DELETE FROM {} WHERE entity = {}")
    return [query.format(sql.Identifier("syncline", table), sql.Literal(id_)) for table in tables]


def _literals(values: Iterable[object]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{}::text[]").format(sql.Literal(value)) if isinstance(value, list) else sql.Literal(value)
        for value in values
    )
