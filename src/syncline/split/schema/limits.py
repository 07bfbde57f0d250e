"""What the other side is, lacks, or does not let the role do. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from syncline.split.schema.marks import NEW_RIGHTS
from syncline.split.schema.reading import OWN, Source
from syncline.split.schema.steps import Maker
from syncline.split.schema.tables import Table
from syncline.split.schema.target import Target
from syncline.split.schema.things import Level, Notice

OLDEST = 14
_NEWER = (
    (15, r"NULLS NOT DISTINCT", "NULLS NOT DISTINCT"),
    (15, r"ON DELETE SET (NULL|DEFAULT) \(", "ON DELETE SET … of some columns"),
    (15, r"security_invoker", "a view with security_invoker"),
    (15, r"^CREATE UNLOGGED SEQUENCE", "an unlogged sequence"),
    (16, r"^CREATE COLLATION .* rules = ", "a collation with rules"),
    (17, r"^CREATE COLLATION .*builtin", "a collation of the builtin provider"),
    (18, r"\) VIRTUAL", "a virtual generated column"),
    (18, r"WITHOUT OVERLAPS|, PERIOD ", "a key or foreign key over periods"),
    (18, r"NOT ENFORCED", "a constraint that is not enforced"),
)
"""What a release knows first, and how it shows in a statement."""


def limits(source: Source, target: Target, here: Target, maker: Maker) -> Iterator[Notice]:
    """Give all of them.

    Args:
        source: what was read of the tables that move.
        target: the other side.
        here: what the source's server is.
        maker: makes the steps.

    """
    yield from _server(target, here)
    yield from _settings(target, here)
    yield from _extensions(source, target)
    yield from _rights(source, target)
    yield from _roles(source, target)
    yield from _rights_unknown(source, target)
    yield from _newer(target, maker)
    yield from _others(source, target)
    yield from _others_made(source, target, across=target.major != here.major)


def _server(target: Target, here: Target) -> Iterator[Notice]:
    if target.major < OLDEST:
        yield Notice(
            Level.OBSTACLE,
            "release",
            f"the other side is PostgreSQL {target.major}",
            f"take PostgreSQL {OLDEST} or newer",
        )
    elif target.major < here.major:
        yield Notice(
            Level.NOTE,
            "release",
            f"the other side is PostgreSQL {target.major}, older than this one ({here.major}):"
            " texts of functions and views may use what it does not know",
            "take the same release, or a newer one",
        )
    if target.encoding not in (here.encoding, "UTF8"):
        yield Notice(
            Level.OBSTACLE,
            "encoding",
            f"the other side's encoding is {target.encoding}, this one's {here.encoding}",
            f"CREATE DATABASE … ENCODING '{here.encoding}' TEMPLATE template0",
        )
    if target.collation != here.collation:
        yield Notice(
            Level.NOTE,
            "collation",
            f"texts are sorted by {target.collation} over there, here by {here.collation}:"
            " CHECKs, ranges of partitions and the order of results may differ",
            "create the database with the same locale",
        )


def _settings(target: Target, here: Target) -> Iterator[Notice]:
    """Say what means something else to sessions there, such as which day it is: tables do not tell of that."""
    for (name, role), value in sorted(here.settings.items()):
        there = target.settings.get((name, role))
        if value != there and (not role or role in target.roles):
            whose = f" for the role {role}" if role else ""
            now = f"not set{whose} in the database" if there is None else f"{there!r}"
            yield Notice(
                Level.NOTE,
                f"setting:{name}{'@' if role else ''}{role}",
                f"{name} is {value!r}{whose} here, and {now} over there",
                f"over there, where it matters: ALTER {f'ROLE {role} IN ' if role else ''}DATABASE … SET {name} = …",
            )


def _extensions(source: Source, target: Target) -> Iterator[Notice]:
    for oid, statements in ((oid, texts) for _, oid, _, texts in source.blocks["extensions"]):
        name = source.addresses["pg_extension", oid][0].names[0]
        schema = re.sub(r'^.* WITH SCHEMA "?|"$', "", statements[0])
        there = target.extensions.get(name)
        if there is None:
            yield Notice(
                Level.OBSTACLE,
                f"extension:{name}",
                f"the other side's server has no extension {name}",
                f"install {name} on that server, or do without it",
            )
        elif there.schema is None and not (target.superuser or (there.trusted and target.creates)):
            yield Notice(
                Level.OBSTACLE,
                f"extension:{name}",
                f"{target.role} may not create the extension {name}",
                f"let an administrator run there: CREATE EXTENSION {name} SCHEMA {schema}",
            )
        elif there.schema not in (None, schema):
            yield Notice(
                Level.OBSTACLE,
                f"extension:{name}",
                f"{name} is in the schema {there.schema} over there, here in {schema}",
                f"over there: ALTER EXTENSION {name} SET SCHEMA {schema}",
            )


def _rights(source: Source, target: Target) -> Iterator[Notice]:
    """Say what the role may not make; what goes wrong later than this says so itself."""
    lacking = [
        address.names[0]
        for (address, _) in (source.addresses["pg_namespace", row[1]] for row in source.blocks["schemas"])
        if address not in target.there
    ]
    if not (target.superuser or target.creates_in_public):
        tables = [table.quoted for table in source.tables.values() if table.quoted.startswith(("public.", '"public".'))]
        if missing := [name for name in tables if name not in target.tables]:
            yield Notice(
                Level.OBSTACLE,
                "rights:public",
                f"{target.role} may not create tables in the schema public over there, such as {min(missing)}",
                f"over there: GRANT CREATE ON SCHEMA public TO {target.role}",
            )
    if lacking and not (target.superuser or target.creates):
        listed = ", ".join(sorted(lacking))
        yield Notice(
            Level.OBSTACLE,
            "rights:create",
            f"{target.role} may not create the schema {listed} over there",
            f"GRANT CREATE ON DATABASE … TO {target.role}, or let an administrator make the schema {listed}",
        )


def _roles(source: Source, target: Target) -> Iterator[Notice]:
    lacking = Counter(row[5] for row in source.blocks["grants"] if row[5] is not None and row[5] not in target.roles)
    for role, count in sorted(lacking.items()):
        yield Notice(
            Level.NOTE,
            f"role:{role}",
            f"the other side has no role {role}: {count} rights of its are left out",
            f"over there, first: CREATE ROLE {role}",
        )


def _rights_unknown(source: Source, target: Target) -> Iterator[Notice]:
    for right in sorted({row[6] for row in source.blocks["grants"] if NEW_RIGHTS.get(row[6], 0) > target.major}):
        told = f"PostgreSQL {target.major} does not know the right {right}: it is left out"
        yield Notice(Level.NOTE, f"right:{right}", told, f"take PostgreSQL {NEW_RIGHTS[right]} or newer over there")


def _newer(target: Target, maker: Maker) -> Iterator[Notice]:
    for step in maker.steps():
        for major, pattern, what in _NEWER:
            if (
                target.major < major
                and any(re.search(pattern, text, re.DOTALL) for text in step.statements)
                and "function" not in step.kind
            ):
                yield Notice(
                    Level.OBSTACLE,
                    f"release:{step.name}",
                    f"{step.kind} {step.name} has {what}, which PostgreSQL {target.major} lacks",
                    f"take PostgreSQL {major} or newer over there",
                )


def _others(source: Source, target: Target) -> Iterator[Notice]:
    """Find tables that are on the other side already and are others."""
    for table in source.tables.values():
        there = target.tables.get(table.quoted)
        if there is not None and shape(there) != shape(table):
            yield Notice(
                Level.OBSTACLE,
                f"not_empty:{table.quoted}",
                f"the other side has another table {table.quoted}: {_difference(table, there)}",
                "is it the right database? Rename or drop the table there",
            )


def _others_made(source: Source, target: Target, *, across: bool) -> Iterator[Notice]:
    """Find types, sequences and functions that are on the other side already and are others."""
    for block in OWN:
        if across and block == "functions":
            continue  # releases write their bodies differently
        for one, oid, kind, statements in source.blocks[block]:
            found = source.addresses.get((one, oid))
            there = target.made.get(found[0]) if found else None
            if found and there is not None and _plain(there) != _plain(statements):
                yield Notice(
                    Level.OBSTACLE,
                    f"not_empty:{found[1]}",
                    f"the other side has another {kind} {found[1]}",
                    f"make it what it is here, or drop it there: {'; '.join(statements).splitlines()[0]}",
                )


def _plain(statements: Iterable[str]) -> list[str]:
    """Leave out quotes and layout, which differ from release to release."""
    return ["".join(statement.replace('"', "").split()) for statement in statements]


def shape(table: Table) -> list[tuple[str, str, bool]]:
    """Say what makes two tables of one name the same for rows that come."""
    types = {column.name: column.type.replace('"', "") for column in table.columns}  # releases quote other words
    return sorted((column.name, types[column.name], bool(column.generated)) for column in table.columns)


def _difference(table: Table, there: Table) -> str:
    one, other = set(shape(table)), set(shape(there))
    return "; ".join(
        f"{where} {', '.join(sorted(f'{name} {type_}' for name, type_, _ in found))}"
        for where, found in (("here", one - other), ("there", other - one))
        if found
    )
