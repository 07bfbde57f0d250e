"""What an installation does, in the order in which every prefix of it is harmless. Pure data.

First our own schema, which locks no table of the users'. Then the triggers, one table after the other, each in a
transaction of its own that waits for its lock only briefly. An entity is armed when all of its tables have been done:
from then on workers serve it, and only then the records that were there before are marked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg import sql

from syncline.model.entity import TableName
from syncline.model.mapping import Projection


@dataclass(slots=True)
class Step:
    """What is done to one table of the users', in one transaction."""

    table: TableName
    statements: list[sql.Composed] = field(default_factory=list)
    entities: set[int] = field(default_factory=set)
    """Ids of those that wait for it."""


@dataclass(slots=True)
class InstallPlan:
    """Statements that bring the database to what the configuration says; none: nothing to do."""

    migrations: list[sql.Composed] = field(default_factory=list)
    """What brings our schema to this package's version first: each is a transaction of its own, and may be repeated."""
    statements: list[sql.Composed] = field(default_factory=list)
    """On our own schema only. On CockroachDB: everything."""
    rows: list[sql.Composed] = field(default_factory=list)
    """What declares the entities: those that are new are pending."""
    steps: dict[TableName, Step] = field(default_factory=dict)
    arming: dict[int, list[sql.Composed]] = field(default_factory=dict)
    """By entity: what is done, at once, when none of its tables waits any more."""
    last: list[sql.Composed] = field(default_factory=list)
    """What is done when nothing waits any more."""
    summary: list[str] = field(default_factory=list)
    """What they do, a line each, for people."""
    warnings: list[str] = field(default_factory=list)
    tables: dict[TableName, list[int]] = field(default_factory=dict)
    """The oids that a step on this table locks: its own, then those of its partitions and children."""
    names: dict[int, str] = field(default_factory=dict)
    """Names of the entities."""
    projections: list[Projection] = field(default_factory=list)
    """What the entities' records become."""
    backfill: list[str] = field(default_factory=list)
    """Entities whose records are to be marked afterwards: new, changed, or not captured for some time."""
    sweep_all: bool = False
    """What is marked is swept too: deletes may have been lost."""
    one_by_one: bool = False
    """The statements are no transaction (CockroachDB): each stands alone, in this order."""

    @property
    def changes(self) -> bool:
        """Say whether there is anything to do."""
        return any((self.migrations, self.statements, self.rows, self.steps, self.arming, self.last))

    def add(self, summary: str | None, *statements: sql.Composed) -> None:
        """Append statements and, if there is something to say, what they do."""
        self.statements.extend(statements)
        self.say(summary)

    def on_table(self, table: TableName, entity: int | None, summary: str | None, *statements: sql.Composed) -> None:
        """Append what is done to a table of the users'; an entity waits for it, or none."""
        step = self.steps.setdefault(table, Step(table))
        step.statements.extend(statements)
        if entity is not None:
            step.entities.add(entity)
        self.say(summary)

    def arm(self, entity: int, summary: str | None, *statements: sql.Composed) -> None:
        """Append what is done when all tables of an entity have been."""
        self.arming.setdefault(entity, []).extend(statements)
        self.say(summary)

    def say(self, summary: str | None) -> None:
        """Add a line for people."""
        if summary is not None:
            self.summary.append(summary)

    def stale(self, entity: str) -> None:
        """Note that this entity's records have to be marked once."""
        if entity not in self.backfill:
            self.backfill.append(entity)
