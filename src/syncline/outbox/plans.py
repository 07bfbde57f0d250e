"""Compiling the configured entities against the source's tables as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncline.errors import ConfigError, MappingError
from syncline.model.entity import Entity, TableName
from syncline.outbox.catalog import fingerprint, read_named, shape_of
from syncline.outbox.connection import Connection, translated
from syncline.outbox.registry import PENDING, installed
from syncline.outbox.states import Plan, compile_plan


@dataclass(frozen=True, slots=True)
class Plans:
    """What came of the compilation."""

    by_id: dict[int, Plan] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    """Entities that do not fit their tables any more, and why; the others go on."""
    pending: dict[int, str] = field(default_factory=dict)
    """Entities, by id, whose triggers are not all there yet: an installation goes on with them. Their marks wait."""
    tables: Sequence[TableName] = ()
    catalog: str = ""
    """Digest of the catalog's description of these tables; see ``catalog.fingerprint``."""

    def named(self, name: str) -> Plan:
        """Find an entity's plan.

        Raises:
            ConfigError, MappingError: there is none of that name, or it does not fit its table.

        """
        if name in self.problems:
            raise MappingError(f"entity {name}: {self.problems[name]}")
        if name in self.pending.values():
            raise ConfigError(f"entity {name} is not installed to its end", hint="`syncline install` goes on with it")
        for plan in self.by_id.values():
            if plan.name == name:
                return plan
        known = ", ".join(sorted(plan.name for plan in self.by_id.values()))
        raise ConfigError(f"there is no entity {name!r}", hint=f"configured: {known}")


async def compile_plans(connection: Connection, entities: Sequence[Entity]) -> Plans:
    """Compile entities.

    Raises:
        NotInstalledError, VersionError: our tables are not there.
        ConfigError: an entity was not installed.

    """
    present = await installed(connection)
    missing = [entity.name for entity in entities if entity.name not in present]
    if missing:
        raise ConfigError(f"not installed in the source: {', '.join(missing)}", hint="run: syncline install")
    tables = sorted({t for e in entities for t in (e.table, *(embed.table for embed in e.embeds))}, key=str)
    with translated():
        plans = Plans(tables=tables, catalog=await fingerprint(connection, tables))
        shapes = await read_named(connection, tables)
        for entity in entities:
            id_ = present[entity.name].id
            if present[entity.name].state == PENDING:
                plans.pending[id_] = entity.name
                continue
            try:
                shape = await shape_of(connection, entity.table, shapes)
                children = {embed.table: await shape_of(connection, embed.table, shapes) for embed in entity.embeds}
                plans.by_id[id_] = compile_plan(id_, entity, shape, children, context=connection)
            except MappingError as error:
                plans.problems[entity.name] = error.message
    return plans
