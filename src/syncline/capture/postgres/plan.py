"""From the functions and triggers that must be, and those that are, to the statements between them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from syncline.capture.postgres.functions import (
    Function,
    Watch,
    drop_function,
    key_function,
    own,
    trigger_functions,
)
from syncline.capture.postgres.install_plan import InstallPlan
from syncline.capture.postgres.state import Member, PresentFunction, PresentTrigger
from syncline.capture.postgres.triggers import (
    ALWAYS,
    TRUNCATE,
    Trigger,
    drop_trigger,
    enable_trigger,
    observed_after,
    observed_before,
    replica_trigger,
    row_triggers,
    statement_triggers,
    truncate_trigger,
)
from syncline.model.entity import Entity, TableName
from syncline.model.link import current
from syncline.model.mapping import Projection
from syncline.model.new_columns import Newcomers
from syncline.postgres.sql import ours


@dataclass(frozen=True, slots=True)
class Wanted:
    """An entity with its id, compiled against its tables."""

    id: int
    projection: Projection
    capture: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    """The columns that are known from now on."""
    newcomers: Sequence[Newcomers] = ()
    """What is new, and not all decided."""

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
            for by_row_too in {rows, rows or family[0].pglogical}:
                all_.functions |= {f.identity: f for f in trigger_functions(watch, by_row=by_row_too)}
            for trigger in _triggers(watch, family, by_row=rows):
                all_.triggers[trigger.table, trigger.name] = trigger, one.id
    return all_


def written_by_row(family: Sequence[Member]) -> bool:
    """Can rows of this table be written without a statement on it? Then statement-level triggers miss some."""
    return len(family) > 1 or family[0].kind == "p" or family[0].inherits or any(m.subscribed for m in family)


def _triggers(watch: Watch, family: Sequence[Member], *, by_row: bool) -> list[Trigger]:
    root, *rest = family
    if not by_row:
        triggers = list(statement_triggers(watch, root.table))
        return [replica_trigger(watch, root.table), *_but_truncate(triggers)] if root.pglogical else triggers
    triggers = list(row_triggers(watch, root.table))
    for member in rest:
        triggers += (
            [truncate_trigger(watch, member.table)] if member.is_partition else row_triggers(watch, member.table)
        )
    return _but_truncate(triggers) if root.pglogical else triggers


def _but_truncate(triggers: Iterable[Trigger]) -> list[Trigger]:
    """Leave out the one at which pglogical's apply would stop: it has no snapshot for it."""
    return [trigger for trigger in triggers if trigger.type != TRUNCATE]


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
    own = _own_replacements(wanted, present) if upgraded else set()
    for table, entity in sorted(own, key=str):
        plan.on_table(table, entity, None, observed_before(table, entity))
    keep = {place for place, t in present.items() if place in wanted.triggers and t.fits(wanted.triggers[place][0])}
    for place in sorted(present.keys() - keep, key=str):
        gone = None if place in wanted.triggers else f"{place[0]}: drop trigger {place[1]}"
        plan.on_table(place[0], present[place].entity, gone, drop_trigger(*place))
    plan_owners(plan, functions, captured)
    changed = _plan_functions(plan, wanted, functions, {} if upgraded else captured)
    for place, (trigger, entity) in wanted.triggers.items():
        if place in keep:
            continue
        verb = "replace" if place in present else "create"
        function = changed.pop((trigger.function, ()), None)
        if function is not None:  # the new trigger must not meet the old one for a moment
            plan.on_table(trigger.table, entity, None, *function.create)
        plan.on_table(trigger.table, entity, f"{trigger.table}: {verb} trigger {trigger.name}", *trigger.create)
        replaced = upgraded and place in present and present[place].enabled == trigger.enabled
        if entity in captured and not replaced:
            gap(plan, captured[entity], f"trigger {trigger.name} on {trigger.table} was missing or altered")
    for function in changed.values():
        plan.arm(function.entity, None, *function.create)
    _enable(plan, wanted, [t for t in triggers if t.copy or (t.table, t.name) in keep], captured)
    for table, entity in sorted(own, key=str):
        plan.on_table(table, entity, None, observed_after(table, entity))


def _own_replacements(
    wanted: Arms, present: Mapping[tuple[TableName, str], PresentTrigger]
) -> set[tuple[TableName, int]]:
    """List table and entity where triggers that were on are replaced: no change is missed, no worker need mark anew."""
    replaced = {
        (table, entity)
        for (table, name), (trigger, entity) in wanted.triggers.items()
        if (table, name) in present and not present[table, name].fits(trigger)
    }
    on = {place: trigger.enabled for place, (trigger, _) in wanted.triggers.items()}
    off = {(place[0], found.entity) for place, found in present.items() if found.enabled != on.get(place, ALWAYS)}
    missing = {
        (table, entity) for (table, name), (_, entity) in wanted.triggers.items() if (table, name) not in present
    }
    return replaced - off - missing


def _plan_functions(
    plan: InstallPlan, wanted: Arms, functions: Sequence[PresentFunction], captured: Mapping[int, str]
) -> dict[tuple[str, tuple[str, ...]], Function]:
    """Add what makes new functions and drops old ones; return those to be replaced, which waits for the triggers."""
    present = {function.identity: function for function in functions}
    changed = {}
    for identity in sorted(present.keys() - wanted.functions.keys()):
        drop = drop_function(*identity)
        plan.arm(present[identity].entity, f"drop function {current().schema}.{identity[0]}", drop)
    for identity, function in wanted.functions.items():
        there = present.get(identity)
        if there is None:
            plan.add(f"create function {current().schema}.{function.name}", *function.create)
        elif not there.fits(function):
            plan.say(f"replace function {current().schema}.{function.name}")
            changed[identity] = function
            if function.definer and function.entity in captured and not there.missed_nothing(function):
                gap(plan, captured[function.entity], f"function {current().schema}.{function.name} was altered")
    return changed


def plan_owners(plan: InstallPlan, functions: Sequence[PresentFunction], captured: Mapping[int, str]) -> None:
    """Let functions mark again whose owner may not any more: they become those of the role that installs."""
    unable = [function for function in functions if not function.may_mark]
    if not unable:
        return
    rights = [
        ours("USAGE, CREATE ON SCHEMA syncline"),
        ours("ALL ON ALL TABLES IN SCHEMA syncline"),
        ours("EXECUTE ON ALL FUNCTIONS IN SCHEMA syncline"),
    ]
    grants = [sql.SQL("/* syncline */ GRANT {} TO CURRENT_USER").format(sql.SQL(right)) for right in rights]
    plan.add("grant our tables to the role that installs", *grants)
    for function in unable:
        plan.arm(
            function.entity,
            f"function {current().schema}.{function.name}: make it the installing role's",
            own(function.name),
        )
        if function.entity in captured:
            gap(
                plan,
                captured[function.entity],
                f"the owner of function {current().schema}.{function.name} may not mark any more",
            )


def _enable(plan: InstallPlan, wanted: Arms, triggers: Iterable[PresentTrigger], captured: Mapping[int, str]) -> None:
    by_name = {trigger.name: (entity, trigger.enabled) for trigger, entity in wanted.triggers.values()}
    for trigger in triggers:
        entity, enabled = by_name.get(trigger.name, (0, trigger.enabled))
        if trigger.enabled == enabled:
            continue
        enable = enable_trigger(trigger.table, trigger.name, enabled)
        plan.on_table(trigger.table, entity, f"{trigger.table}: enable trigger {trigger.name}", enable)
        name = captured.get(entity)
        if name is not None and trigger.enabled != ALWAYS:  # one that fired always missed nothing
            # "O" is what ENABLE TRIGGER leaves behind: it was off before that, or a dump was restored.
            what = "is switched off" if trigger.enabled == "D" else "was switched off, or not on for replication"
            gap(plan, name, f"trigger {trigger.name} on {trigger.table} {what}")


def gap(plan: InstallPlan, entity: str, what: str) -> None:
    plan.stale(entity)
    plan.warnings.append(
        f"{entity}: {what}: changes may be missing until its records have been marked (backfill, sweep)"
    )
