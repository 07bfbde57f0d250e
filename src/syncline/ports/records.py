"""The records of a source, as they are now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from typing import Any, Protocol

from syncline.errors import ConfigError, MappingError
from syncline.model.entity import Entity, TableName
from syncline.model.mapping import Projection, Row
from syncline.model.new_columns import Newcomers
from syncline.ports.target import Document, State


@dataclass(frozen=True, slots=True)
class Plan:
    """An entity, compiled against its tables."""

    id: int
    entity: Entity
    projection: Projection
    statements: Any
    """What the engine that compiled it reads it with; nobody else's business."""

    @property
    def name(self) -> str:
        """The entity's name."""
        return self.entity.name


@dataclass(frozen=True, slots=True)
class Plans:
    """What came of compiling the configured entities."""

    by_id: dict[int, Plan] = field(default_factory=dict)
    problems: dict[str, MappingError] = field(default_factory=dict)
    """Entities that do not fit their tables any more, and why; the others go on."""
    pending: dict[int, str] = field(default_factory=dict)
    """Entities, by id, whose triggers are not all there yet: an installation goes on with them. Their marks wait."""
    newcomers: dict[str, Sequence[Newcomers]] = field(default_factory=dict)
    """Columns that came after the last installation, by entity."""
    known: str = ""
    """Digest of what the last installation took note of."""
    tables: Sequence[TableName] = ()
    catalog: str = ""
    """Digest of the catalog's description of these tables."""
    installed: Mapping[str, Any] = field(default_factory=dict)
    """What was installed then."""
    declared: str = ""
    """Digest of what is installed, where the entities were taken from there."""

    def named(self, name: str) -> Plan:
        """Find an entity's plan.

        Raises:
            ConfigError, MappingError: there is none of that name, or it does not fit its table.

        """
        if name in self.problems:
            problem = self.problems[name]
            raise MappingError(f"entity {name}: {problem.message}", hint=problem.hint) from problem
        if name in self.pending.values():
            raise ConfigError(f"entity {name} is not installed to its end", hint="`syncline install` goes on with it")
        for plan in self.by_id.values():
            if plan.name == name:
                return plan
        known = ", ".join(sorted(plan.name for plan in self.by_id.values()))
        raise ConfigError(f"there is no entity {name!r}", hint=f"configured: {known}")


@dataclass(frozen=True, slots=True)
class States:
    """Rows of some keys (or of a range) and of their children, from one snapshot."""

    plan: Plan
    rows: Sequence[Row]
    children: Sequence[Sequence[Row]]

    def present(self, ticket: int) -> list[State]:
        """Turn them into what a target stores, under this ticket."""
        bodies = self.plan.projection.bodies(self.rows, self.children)
        ids, keys = self.plan.projection.ids_of(self.rows, bodies), (row[-1] for row in self.rows)
        return list(map(State._make, zip(keys, ids, repeat(ticket), bodies, strict=False)))

    def documents(self, *, source: str, synced_at: datetime, ticket: int) -> list[Document]:
        """Turn them into documents; each has its key text in ``_originalId``."""
        return self.plan.projection.documents(
            self.rows, self.children, source=source, synced_at=synced_at, ticket=ticket
        )


@dataclass(frozen=True, slots=True)
class Excerpt(States):
    """States of some of the keys: more did not fit. Of a key without a row nothing is known."""


class Durability(Protocol):
    """Where writers may be told of a commit before it would survive a crash of the source."""

    async def wait(self, *, apart: bool = False) -> None:
        """Return when everything that was committed so far would survive; ``apart`` as in ``Records.read``."""
        ...

    async def asynchronous_writers(self) -> bool:
        """Tell whether a setting lets somebody commit so."""
        ...


class Records(Protocol):
    """Reads what the tables hold now, committed, from the primary. Reading changes nothing, and may be repeated."""

    @property
    def name(self) -> str:
        """What documents carry as ``_source``."""
        ...

    @property
    def durability(self) -> Durability | None:
        """``None``: what is committed is durable."""
        ...

    async def read(
        self, plan: Plan, keys: Sequence[str], *, most_bytes: int | None = None, apart: bool = False
    ) -> States:
        """Read the records of keys, parents and children in one snapshot; never older than the marks read before.

        Keys without a row are missing in the result: deleted, never there, or outside the entity's filter.

        Args:
            plan: the entity.
            keys: their texts.
            most_bytes: about so much is kept; when there is more, the result is an ``Excerpt``.
            apart: not in turn with what else is read, if there is room for that.

        Raises:
            KeyFormatError: a text is not a key of this entity.
            TableLockedError: somebody alters the table.
            SourceError: a record cannot be read.
            SourceUnavailableError: the session is over.

        """
        ...
