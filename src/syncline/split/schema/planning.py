"""What a move of the schema would do: which steps, which are done, what is in the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import psycopg

from syncline.config.named import SplitSettings
from syncline.errors import SchemaMoveError
from syncline.split.catalogue import Catalogue, read_catalogue
from syncline.split.findings import Exemptions
from syncline.split.names import Name
from syncline.split.obstacles import Ties
from syncline.split.ownership import Ownership
from syncline.split.schema.notices import notices
from syncline.split.schema.reading import read_source
from syncline.split.schema.selection import TABLES
from syncline.split.schema.steps import Maker
from syncline.split.schema.target import read_target
from syncline.split.schema.things import Address, Level, Notice, Phase, Sequence, Size, Step


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer."""

    database: str
    tables: tuple[Name, ...]
    steps: tuple[Step, ...]
    there: frozenset[Address]
    """What the other side had when the plan was made."""
    notices: tuple[Notice, ...]
    sizes: tuple[Size, ...]
    sequences: tuple[Sequence, ...]
    drawn: tuple[tuple[str, str], ...] = ()
    """Sequences that no column owns or draws from, and that move, too; schema and name."""

    @property
    def obstacles(self) -> tuple[Notice, ...]:
        """What must be removed first."""
        return tuple(one for one in self.notices if one.level is Level.OBSTACLE)

    def pending(self, *phases: Phase) -> tuple[Step, ...]:
        """Give the steps that are not done yet."""
        return tuple(step for step in self.steps if step.phase in phases and step.done not in self.there)

    def as_dict(self) -> dict[str, Any]:
        """Write it for JSON."""
        return {
            "database": self.database,
            "tables": [
                {"table": size.table, "rows": size.rows, "bytes": size.bytes}
                for size in sorted(self.sizes, key=lambda one: -one.bytes)
            ],
            "obstacles": len(self.obstacles),
            "notices": [one.as_dict() for one in self.notices],
            "steps": [{**step.as_dict(), "done": step.done in self.there} for step in self.steps],
            "sequences": [one.as_dict() for one in self.sequences],
        }


def plan(
    source: psycopg.Connection[Any],
    target: psycopg.Connection[Any],
    ownership: Ownership,
    database: str,
    settings: SplitSettings,
    *,
    today: date,
) -> Plan:
    """Look at both sides; nothing is changed.

    Args:
        source: where the tables are.
        target: where they go.
        ownership: whose they are.
        database: the named database whose tables move.
        settings: for exemptions.
        today: for exemptions.

    Raises:
        SchemaMoveError: there is no such table, or what moves cannot be put in order.
        psycopg.Error: as the driver raises it.

    """
    quoting = source.info.server_version // 10_000 != target.info.server_version // 10_000
    catalogue = read_catalogue(source)
    moving = movers(catalogue, ownership, database)
    there = read_target(target, quoting=quoting)
    if not moving:
        raise _nothing(database, ownership, there.tables)
    here = read_target(source)
    loose = Ties(catalogue, ownership).loose_sequences()
    sequences = frozenset(oid for oid in loose if ownership.owner(catalogue.names[oid]) == database)
    read = read_source(source, catalogue, moving, sequences, quoting=quoting)
    maker = Maker(read, roles=there.roles, major=there.major)
    found = {one.id: one for one in notices(database, read, there, here, catalogue, ownership, maker)}
    exemptions = Exemptions(settings.exempt, today)
    return Plan(
        database=database,
        tables=tuple(sorted(catalogue.names[oid] for oid in moving)),
        steps=maker.steps(),
        there=there.there,
        notices=tuple(_exempt(one, exemptions) for one in found.values()),
        sizes=read.sizes,
        sequences=read.sequences,
        drawn=read.drawn,
    )


def movers(catalogue: Catalogue, ownership: Ownership, database: str) -> frozenset[int]:
    """Find the tables of a database; without those that each database has for itself."""
    return frozenset(
        oid
        for oid, kind in catalogue.kinds.items()
        if kind in TABLES
        and not ownership.is_everywhere(catalogue.names[oid])
        and ownership.owner(catalogue.names[oid]) == database
    )


def _nothing(database: str, ownership: Ownership, there: Any) -> SchemaMoveError:
    """Say that there is nothing to move, and whether it is on the other side."""
    found = [name for name in there if ownership.owner(Name.read(name)) == database]
    hint = f"name its tables in `tables` or `schemas` of [databases.{database}], or its models"
    if found:
        hint = f"the other side has {', '.join(sorted(found)[:3])}: are the two URLs swapped?"
    return SchemaMoveError(f"the source has no table of {database}", hint=hint)


def _exempt(notice: Notice, exemptions: Exemptions) -> Notice:
    """Let an obstacle through that the configuration exempts, with its reason."""
    reason = exemptions.reason(notice.id) if notice.level is Level.OBSTACLE else None
    if reason is None:
        return notice
    return replace(notice, level=Level.NOTE, message=f"{notice.message} (exempt: {reason})")
