"""What cannot move, or not as it is: said before anything is done. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from syncline.split.catalogue import Catalogue
from syncline.split.findings import Finding, Kind
from syncline.split.obstacles import Ties
from syncline.split.ownership import Ownership
from syncline.split.schema.reading import Source
from syncline.split.schema.steps import Maker
from syncline.split.schema.tables import Table
from syncline.split.schema.target import Target
from syncline.split.schema.things import Level, Notice

OLDEST = 14
_ELSEWHERE = frozenset({Kind.STATEMENT, Kind.TRANSACTION, Kind.MIGRATION, Kind.UNSEEN, Kind.EXEMPTION})
"""What `split check` says, and a schema does not."""
_ODD = {
    "foreign_table": (
        Level.OBSTACLE,
        "is a foreign table",
        "make it on the other side yourself, and let no rule give it to {database}",
    ),
    "inheritance": (
        Level.OBSTACLE,
        "inherits without being a partition ({what}): rows would be carried twice",
        "make it a partitioned table, or ALTER TABLE … NO INHERIT",
    ),
    "large_objects": (
        Level.OBSTACLE,
        "has {what}, which may name large objects; those do not move",
        "keep the contents as bytea, or exempt it if these are no large objects",
    ),
    "no_key": (
        Level.OBSTACLE,
        "has no primary key, nor another that is unique and never NULL: its rows cannot be told apart",
        "add a primary key",
    ),
    "unlogged": (
        Level.NOTE,
        "is unlogged, and will be over there: a crash of the server empties it",
        "ALTER TABLE … SET LOGGED",
    ),
    "tablespace": (
        Level.NOTE,
        "is in the tablespace {what}; over there it comes into the default one",
        "ALTER TABLE … SET TABLESPACE afterwards",
    ),
    "publication": (
        Level.NOTE,
        "is in the publication {what}, which does not move",
        "make a publication over there, and subscribe to it",
    ),
    "security_label": (Level.NOTE, "has a security label of {what}, which does not move", "SECURITY LABEL over there"),
    "invalid_index": (
        Level.NOTE,
        "has the index {what}, which was never finished and does not move",
        "REINDEX INDEX, or drop it",
    ),
}
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


def notices(
    database: str,
    source: Source,
    target: Target,
    here: Target,
    catalogue: Catalogue,
    ownership: Ownership,
    maker: Maker,
) -> Iterator[Notice]:
    """Give all of them.

    Args:
        database: the one whose tables move.
        source: what was read of them.
        target: the other side.
        here: what the source's server is.
        catalogue: what ties its tables.
        ownership: whose they are.
        maker: makes the steps.

    """
    yield from _server(target, here)
    yield from _ties(database, Ties(catalogue, ownership).findings())
    yield from _odd(database, source, catalogue)
    yield from _extensions(source, target)
    yield from _unmade(source, target, maker)
    yield from _roles(source, target)
    yield from _shared(source)
    yield from _newer(target, maker)
    yield from _others(source, target)
    yield Notice(
        Level.NOTE,
        "owner",
        f"over there everything belongs to {target.role}",
        "ALTER … OWNER TO afterwards, where it matters",
    )


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


def _ties(database: str, findings: Iterable[Finding]) -> Iterator[Notice]:
    for finding in findings:
        if finding.kind not in _ELSEWHERE and (database in finding.databases or not finding.databases):
            yield Notice(Level.OBSTACLE, finding.id, finding.message, finding.remedy)


def _odd(database: str, source: Source, catalogue: Catalogue) -> Iterator[Notice]:
    for oid, sort, what in source.oddities:
        if sort == "event_trigger":
            yield Notice(
                Level.NOTE,
                f"event_trigger:{what}",
                f"the event trigger {what} does not move",
                "make it over there if it is needed",
            )
        elif oid in source.moving:
            level, text, remedy = _ODD[sort]
            name = str(catalogue.names[oid])
            ending = f".{what}" if sort in ("large_objects", "invalid_index") else ""
            yield Notice(
                level, f"{sort}:{name}{ending}", f"{name} {text.format(what=what)}", remedy.format(database=database)
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


def _unmade(source: Source, target: Target, maker: Maker) -> Iterator[Notice]:
    for key in maker.unmade():
        address, _ = source.addresses[key]
        if key[0] == "pg_policy":
            roles = next(set(row[4]) - target.roles for row in source.blocks["policies"] if row[0] == key[1])
            yield Notice(
                Level.OBSTACLE,
                f"policy:{source.label(key)}",
                f"the {source.label(key)} is for roles that the other side lacks",
                "over there: " + "; ".join(f"CREATE ROLE {role}" for role in sorted(roles)),
            )
        elif address not in target.there:
            users = ", ".join(
                sorted(source.label(one) for one, needs in source.selection.needs.items() if key in needs)
            )
            yield Notice(
                Level.OBSTACLE,
                f"unmade:{source.label(key)}",
                f"Syncline cannot make the {source.label(key)} ({users} needs it)",
                "make it over there by hand; then it is found",
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


def _shared(source: Source) -> Iterator[Notice]:
    """Find types and functions that tables which stay use, too."""
    for user, needs in source.graph.edges.items():
        if user in source.selection.things or (user not in source.addresses and user[0] != "pg_class"):
            continue
        for key in sorted(needs & source.selection.things):
            if key[0] in ("pg_type", "pg_proc"):
                label = source.label(key)
                yield Notice(
                    Level.NOTE,
                    f"shared:{label}",
                    f"the {label} stays here, too: it is used on both sides",
                    "from now on each side has its own: change both in a migration of each",
                )


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


def shape(table: Table) -> list[tuple[str, str, bool]]:
    """Say what makes two tables of one name the same for rows that come."""
    return sorted((column.name, column.type, bool(column.generated)) for column in table.columns)


def _difference(table: Table, there: Table) -> str:
    one, other = set(shape(table)), set(shape(there))
    return "; ".join(
        f"{where} {', '.join(sorted(f'{name} {type_}' for name, type_, _ in found))}"
        for where, found in (("here", one - other), ("there", other - one))
        if found
    )
