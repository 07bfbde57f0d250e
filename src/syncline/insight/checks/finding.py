"""A finding: what is the case, why it matters, and the command that fixes it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

from syncline.config import Settings
from syncline.errors import SourceError
from syncline.model.entity import Entity, Shape, TableName
from syncline.postgres.connection import Connection


class Level(IntEnum):
    """How bad it is; also the exit status of ``syncline doctor``."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    level: Level
    message: str
    why: str = ""
    """What goes wrong if it stays so; empty when all is well."""
    fix: str = ""
    """The command that fixes it."""

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        return asdict(self) | {"level": self.level.name.lower()}


@dataclass(frozen=True, slots=True)
class Subject:
    """What the checks of the source look at."""

    settings: Settings
    connection: Connection
    looked: dict[TableName, Shape] | None
    """Shapes of the tables that exist, those of embedded children too; ``None``: nobody could look yet."""

    @property
    def shapes(self) -> dict[TableName, Shape]:
        """The same, for a check that needs them.

        Raises:
            SourceError: the tables could not be looked at; that is not to say that they are missing.

        """
        if self.looked is None:
            raise SourceError(
                "the tables were not looked at (see the check of the catalog)",
                hint="correct that first, then: syncline doctor",
            )
        return self.looked

    @property
    def entities(self) -> tuple[Entity, ...]:
        """The configured entities."""
        return self.settings.entities

    @property
    def table_oids(self) -> list[int]:
        """The tables as PostgreSQL numbers them."""
        return [shape.oid for shape in self.shapes.values()]


def ok(check: str, message: str) -> Finding:
    """All is well here."""
    return Finding(check, Level.OK, message)


def warning(check: str, message: str, *, why: str, fix: str) -> Finding:
    """Somebody should look at it."""
    return Finding(check, Level.WARNING, message, why, fix)


def critical(check: str, message: str, *, why: str, fix: str) -> Finding:
    """Changes are lost, wrong or stuck, or soon will be."""
    return Finding(check, Level.CRITICAL, message, why, fix)
