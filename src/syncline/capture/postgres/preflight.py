"""What must hold before anything is installed: refusals that say what would do, and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from psycopg import AsyncConnection

from syncline.capture.postgres.columns import policies
from syncline.capture.postgres.install_plan import InstallPlan
from syncline.capture.postgres.plan import Wanted
from syncline.capture.postgres.state import Facts, Member, read_role
from syncline.errors import MappingError, PrivilegeError
from syncline.journal.registry import InstalledEntity
from syncline.model.entity import Entity, Shape, TableName
from syncline.model.link import current
from syncline.model.mapping import Projection
from syncline.model.masks import check_mask
from syncline.model.new_columns import note, see
from syncline.model.projections import projection_of
from syncline.postgres.catalog import read_named, shape_of
from syncline.postgres.dialect import refuse_old

_KINDS = {"v": "a view", "m": "a materialised view", "f": "a foreign table"}


def examine_server(facts: Facts) -> None:
    """Refuse servers and databases that nothing can be installed in.

    Raises:
        UnsuitableSourceError: the server is too old.
        MappingError: the database's encoding says nothing.

    """
    refuse_old(facts.version)
    if facts.unencoded:
        raise MappingError(
            "this database has the encoding SQL_ASCII: its bytes have no meaning that could be carried over",
            hint="move it to a database with the encoding UTF8 (dump, restore)",
        )


async def wanted_entities(
    conn: AsyncConnection[Any],
    entities: Sequence[Entity],
    present: Mapping[str, InstalledEntity],
    last: int,
    *,
    capture: str,
) -> list[Wanted]:
    """Compile the entities against their tables and give each its id: the one it has, or one that nobody ever had.

    Raises:
        MappingError: a table, key or embed cannot be captured.

    """
    wanted = []
    tables = [table for entity in entities for table in (entity.table, *(embed.table for embed in entity.embeds))]
    shapes = await read_named(conn, tables)
    next_id = max([last, *(entity.id for entity in present.values())])
    for entity in entities:
        shape = _capturable(entity.name, await shape_of(conn, entity.table, shapes))
        children = {
            e.table: _capturable(f"{entity.name}.{e.field}", await shape_of(conn, e.table, shapes))
            for e in entity.embeds
        }
        known = present.get(entity.name)
        if known is None:
            next_id += 1
        columns = known.known_columns if known else None
        seen = see(entity, shape, children, columns)
        projection = projection_of(entity, seen.shape, seen.children)
        check_mask(projection)
        _check_excluded(projection, known)
        noted = note(entity, shape, children, columns, policies(known))
        wanted.append(Wanted(known.id if known else next_id, projection, capture, noted, seen.newcomers))
    return wanted


def _check_excluded(projection: Projection, known: InstalledEntity | None) -> None:
    """Refuse to exclude what never was a column: a secret would not be left out for a slip of the pen.

    Raises:
        MappingError: there is no such column, and the installation before did not exclude it.

    """
    before = _excluded(known.definition if known else {})
    for place, shape, gone in missing_excluded(projection):
        for name in gone:
            if (place, name) not in before:
                columns = [column.name for column in shape.columns]
                close = get_close_matches(name, columns, n=1)
                raise MappingError(
                    f"{place}: exclude: {shape.table} has no column {name!r}",
                    hint=f"did you mean {close[0]!r}?" if close else f"its columns: {', '.join(columns)}",
                )


def missing_excluded(projection: Projection) -> list[tuple[str, Shape, tuple[str, ...]]]:
    """List where columns are excluded that are not there: path of the section, table, columns."""
    name = projection.entity.name
    found = [(name, projection.shape, projection.gone)]
    found += [(f"{name}.embed.{e.embed.field}", e.shape, e.gone) for e in projection.embeds]
    return [one for one in found if one[2]]


def _excluded(definition: Mapping[str, Any]) -> set[tuple[str, str]]:
    name = definition.get("name", "")
    places = [(name, definition.get("fields", {}))]
    places += [(f"{name}.embed.{e['field']}", e.get("fields", {})) for e in definition.get("embeds", ())]
    return {(place, column) for place, fields in places for column in fields.get("exclude", ())}


def _capturable(where: str, shape: Shape) -> Shape:
    table = shape.table
    if shape.kind in _KINDS:
        raise MappingError(
            f"{where}: {table} is {_KINDS[shape.kind]}; its changes cannot be captured",
            hint="sync the tables behind it; computed fields and embeds can take the place of a view",
        )
    if shape.is_partition:
        raise MappingError(f"{where}: {table} is a partition", hint="name the partitioned table that it belongs to")
    if table.schema == current().schema:
        raise MappingError(f"{where}: {table} is one of Syncline's own tables")
    return shape


def warn_of_excluded(plan: InstallPlan, wanted: Sequence[Wanted]) -> None:
    """Name the columns that are excluded and are gone."""
    for one in wanted:
        for place, shape, gone in missing_excluded(one.projection):
            plan.warnings.append(
                f"{shape.table} has no column {', '.join(gone)} any more: take it out of exclude of [entities.{place}]"
            )


async def examine(
    conn: AsyncConnection[Any],
    facts: Facts,
    families: Mapping[TableName, Sequence[Member]],
    worker_role: str | None,
    plan: InstallPlan,
) -> None:
    """Refuse what cannot work; warn of what may surprise.

    Raises:
        MappingError: a table is temporary.
        PrivilegeError: the role cannot install here.

    """
    _privileges(facts, [member for family in families.values() for member in family])
    reader = await read_role(conn, worker_role or facts.role)
    for table, family in families.items():
        root = family[0]
        if root.persistence == "t":
            raise MappingError(f"{table} is temporary", hint="sync a table that stays")
        if root.persistence == "u":
            plan.warnings.append(f"{table} is unlogged: a crash of the server empties it, and no mark says so")
        if root.pglogical:
            plan.warnings.append(
                f"{table}: pglogical writes into this database: what it writes is captured row by row, and no "
                "trigger is on TRUNCATE, at which its apply would stop: a worker notices within seconds that it was "
                "emptied"
            )
        if root.kind != "p" and len(family) > 1:
            plan.warnings.append(f"{table} has inheritance children: no constraint keeps keys apart between them")
        filtered = root.row_security and reader is not None and not reader.sees_all
        if filtered and (worker_role not in (None, root.owner) or not root.owned or root.row_security_forced):
            plan.warnings.append(
                f"{table} has row-level security, and {reader.name if reader else facts.role} is not above it: the "
                f"worker would get an error. ALTER ROLE … BYPASSRLS"
            )


def _privileges(facts: Facts, members: Sequence[Member]) -> None:
    if facts.owns_schema is None and not facts.may_create:
        raise PrivilegeError(
            f"{facts.role} may not create a schema in {facts.database}",
            hint=f'GRANT CREATE ON DATABASE "{facts.database}" TO "{facts.role}"',
        )
    if facts.owns_schema is False:
        raise PrivilegeError(
            f"the schema {current().schema} belongs to another role than {facts.role}",
            hint="install as the role that installed before",
        )
    foreign = {member.owner: member.table for member in members if not member.owned}
    if foreign:
        tables = ", ".join(f"{table} (of {owner})" for owner, table in foreign.items())
        grants = "; ".join(f'GRANT "{owner}" TO "{facts.role}"' for owner in foreign)
        raise PrivilegeError(
            f"only its owner can put triggers on {tables}; this is {facts.role}",
            hint=f"install as the owner, or {grants}",
        )
