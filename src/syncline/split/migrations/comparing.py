"""What ``db new`` compares: a side's own tables, never the other's, Syncline's or an extension's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from syncline.postgres.sql import blocks
from syncline.split.migrations.trees import Tree
from syncline.split.names import Name
from syncline.split.ownership import Ownership


class Own:
    """Tells which tables are a side's, for Alembic's ``include_name`` and ``include_object``."""

    def __init__(self, tree: Tree, ownership: Ownership, foreign: frozenset[Name] = frozenset()) -> None:
        self._name = tree.name
        self._schemas = ownership.schemas(tree.name)
        self._schema = tree.database.address.schema
        self._ownership = ownership
        self._foreign = foreign

    def include_name(self, name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
        """Say whether something of the database is looked at."""
        if kind == "schema":
            return name is None or name in self._schemas
        return kind != "table" or self._is_own(Name(parents.get("schema_name"), str(name)))

    def include_object(self, found: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        """Say whether something of the models or the database is compared."""
        return kind != "table" or self._is_own(Name(found.schema, str(name)))

    def _is_own(self, table: Name) -> bool:
        named = table if table.schema else Name(self._schema, table.name)
        if named in self._foreign or self._ownership.is_everywhere(table):
            return False
        return self._ownership.owner(table) == self._name


def foreign_tables(connection: psycopg.Connection[Any]) -> frozenset[Name]:
    """List tables that no tree of an application may drop."""
    query = blocks("migrations.sql", "syncline.split.migrations")["foreign_tables"]
    return frozenset(Name(schema, name) for schema, name in connection.execute(query, prepare=False))


def metadata_of(ownership: Ownership, name: str) -> list[Any]:
    """Give the ``MetaData`` of the models that are declared for a database, each once."""
    found: dict[int, Any] = {}
    for models in ownership.declared(name):
        metadata = models if hasattr(models, "tables") else models.metadata
        found[id(metadata)] = metadata
    return list(found.values())
