"""Compiling the configured entities against the source's tables as they are now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from syncline.engines.postgres.states import compile_plan
from syncline.errors import CommandNeededError, ConfigError, MappingError
from syncline.journal.declared import read_declared
from syncline.journal.registry import InstalledEntity, installed, known_columns
from syncline.model.entity import Column, Entity
from syncline.model.mapping import has_sql
from syncline.model.new_columns import see
from syncline.ports import PENDING, Plans
from syncline.postgres.catalog import fingerprint, read_named, shape_of
from syncline.postgres.connection import Connection, translated
from syncline.postgres.path import closed_schemas, pin_path

_FAMILIES = {"smallint": "bigint", "integer": "bigint", "character varying": "text"}


def _closed(connection: Connection, schemas: Sequence[str]) -> str:
    names = ", ".join(schemas)
    return (
        f"its where or computed fields are evaluated under a search_path with {names}, which this role may not use: "
        f'GRANT USAGE ON SCHEMA {names} TO "{connection.info.user}"'
    )


async def compile_declared(
    connection: Connection, entities: Sequence[Entity], *, differs: Callable[[str], None] = lambda _: None
) -> Plans:
    """Compile what is installed; ``differs`` is told where the configuration says otherwise: it does not count.

    Raises:
        NotInstalledError, VersionError: our tables are not there, or not of this version.

    """
    declared = await read_declared(connection, entities)
    for difference in declared.differences:
        differs(difference)
    return replace(await compile_plans(connection, declared.entities), declared=declared.digest)


async def compile_plans(connection: Connection, entities: Sequence[Entity]) -> Plans:
    """Compile entities.

    Raises:
        NotInstalledError, VersionError: our tables are not there.
        ConfigError: an entity was not installed.

    """
    present = await installed(connection)
    path = await pin_path(connection)
    missing = [entity.name for entity in entities if entity.name not in present]
    if missing:
        raise ConfigError(f"not installed in the source: {', '.join(missing)}", hint="run: syncline install")
    tables = sorted({t for e in entities for t in (e.table, *(embed.table for embed in e.embeds))}, key=str)
    with translated():
        catalog, known = await fingerprint(connection, tables), await known_columns(connection)
        plans = Plans(tables=tables, catalog=catalog, known=known, installed=present)
        shapes = await read_named(connection, tables)
        closed = await closed_schemas(connection, path) if path and any(map(has_sql, entities)) else []
        for entity in entities:
            id_ = present[entity.name].id
            if present[entity.name].state == PENDING:
                plans.pending[id_] = entity.name
                continue
            try:
                if closed and has_sql(entity):
                    raise MappingError(_closed(connection, closed))
                shape = await shape_of(connection, entity.table, shapes)
                children = {embed.table: await shape_of(connection, embed.table, shapes) for embed in entity.embeds}
                seen = see(entity, shape, children, present[entity.name].known_columns)
                plans.newcomers[entity.name] = seen.newcomers
                shape, children = seen.shape, dict(seen.children)
                if waiting := [new.sentence for new in seen.newcomers if new.policy == "stop" and new.columns]:
                    raise MappingError("; ".join(waiting))
                plan = compile_plan(id_, entity, shape, children, context=connection, path=path)
                _refuse_another_key(present[entity.name], plan.projection.key)
                plans.by_id[id_] = plan
            except MappingError as error:
                plans.problems[entity.name] = error.with_traceback(None)
    return plans


def _refuse_another_key(known: InstalledEntity, key: Sequence[Column]) -> None:
    """Marks carry the texts of the key that was installed: under another one they would name other records.

    Raises:
        CommandNeededError: the table's key is not that one any more.

    """
    then = list(zip(known.key_columns, map(_family, known.key_types), strict=True))
    if then != [(column.name, _family(column.type)) for column in key]:
        was = ", ".join(map(" ".join, zip(known.key_columns, known.key_types, strict=True)))
        is_ = ", ".join(f"{column.name} {column.type}" for column in key)
        raise CommandNeededError(f"its key is ({is_}), it was installed with ({was})", hint="run `syncline install`")


def _family(type_: str) -> str:
    """Name the types among which a column may change without any value's text changing."""
    base, _, rest = type_.partition("(")
    if base == "numeric":
        return type_.partition(",")[2]
    _, closed, after = rest.partition(")")
    name = base + after if closed else type_
    return _FAMILIES.get(name, name)
