"""What cannot move, or not as it is: said before anything is done. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from syncline.split.catalogue import Catalogue
from syncline.split.findings import Finding, Kind
from syncline.split.obstacles import Ties
from syncline.split.ownership import Ownership
from syncline.split.schema.limits import limits
from syncline.split.schema.reading import Source
from syncline.split.schema.steps import Maker
from syncline.split.schema.target import Target
from syncline.split.schema.things import Level, Notice

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
    yield from limits(source, target, here, maker)
    ties = Ties(catalogue, ownership)
    yield from _ties(database, ties.findings())
    yield from _loose(database, ties, catalogue, ownership)
    yield from _odd(database, source, catalogue)
    yield from _unmade(source, target, maker)
    yield from _shared(source)
    yield Notice(
        Level.NOTE,
        "owner",
        f"over there everything belongs to {target.role}",
        "ALTER … OWNER TO afterwards, where it matters",
    )


def _ties(database: str, findings: Iterable[Finding]) -> Iterator[Notice]:
    for finding in findings:
        if finding.kind not in _ELSEWHERE and (database in finding.databases or not finding.databases):
            yield Notice(Level.OBSTACLE, finding.id, finding.message, finding.remedy)


def _loose(database: str, ties: Ties, catalogue: Catalogue, ownership: Ownership) -> Iterator[Notice]:
    for name in sorted(catalogue.names[oid] for oid in ties.loose_sequences()):
        if ownership.owner(name) != database:
            yield Notice(
                Level.NOTE,
                f"sequence_stays:{name}",
                f"the sequence {name} stays: no table that moves is seen to draw from it",
                f"if applications draw from it for such a table, name it in `tables` of [databases.{database}]",
            )


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
