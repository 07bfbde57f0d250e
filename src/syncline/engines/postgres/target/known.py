"""What is known of the tables that are synced: each is described once, and anew when the catalog has changed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from syncline.engines.postgres.target import suitability
from syncline.engines.postgres.target.session import Connection
from syncline.engines.postgres.target.tables import Table, catalog, describe
from syncline.model.entity import Entity, TableName

LOOK_SECONDS, LOOK_SHARE = 1.0, 50.0
"""How often the catalog is looked at, with renewals; seldom where a look takes long."""


class KnownTables:
    """Keeps the descriptions of tables."""

    def __init__(self) -> None:
        self.by_name: dict[TableName, Table] = {}
        """One that may be another one by now stays: deletes must not take its rows along."""
        self._stale: set[TableName] = set()
        """Those of them that are to be described anew."""
        self._synced: Sequence[TableName] = ()
        self._catalog, self._look_due = "", 0.0

    async def prepare(self, connection: Connection, entities: Sequence[Entity]) -> None:
        """Describe the tables of the entities.

        Raises:
            UnsuitableTargetError: one cannot be a target.
            PrivilegeError: the role lacks a right.

        """
        self._synced = [TableName.parse(one.collection) for one in entities]
        self._catalog = await catalog(connection, self._synced)
        self.by_name.update(await suitability.described(connection, entities))

    def find(self, name: TableName, key: Sequence[str]) -> Table | None:
        """Give a description that still holds, for the key that rows are told apart by."""
        known = self.by_name.get(name)
        return None if known is None or name in self._stale or (key and {*key} != {*known.key}) else known

    async def describe(self, connection: Connection, name: TableName, key: Sequence[str]) -> Table:
        """Describe a table anew."""
        self._stale.discard(name)
        try:
            self.by_name[name] = await describe(connection, name, key)
        except BaseException:
            self.doubt(name)
            raise
        return self.by_name[name]

    def doubt(self, name: TableName) -> None:
        """Have a table described anew before it is used again: it may be another one by now."""
        self._stale.add(name)

    async def look(self, connection: Connection) -> None:
        """Have all described anew when the catalog has changed: what a delete takes along, what computes itself."""
        now = time.monotonic()
        if self._synced and now >= self._look_due:
            found = await catalog(connection, self._synced)
            if found != self._catalog:
                self._stale.update(self.by_name)
            self._catalog = found
            self._look_due = now + max(LOOK_SECONDS, LOOK_SHARE * (time.monotonic() - now))
