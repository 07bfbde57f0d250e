"""What moving tables were when it was looked last: kept at home, so that every process goes on from there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from syncline.model.entity import TableName
from syncline.postgres.sql import blocks
from syncline.split.moving.tables import PACKAGE
from syncline.split.schema.definitions import Definition


@dataclass(frozen=True, slots=True)
class Known:
    """A table."""

    definition: Definition
    pending: tuple[str, ...]
    """Statements for the other side, when every change up to ``mark`` is there."""
    mark: int
    stopped: tuple[str, ...]
    """Why its move cannot go on."""
    rewritten_at: datetime | None
    """When an alteration may have changed values that no trigger has seen."""


class Watched:
    """Reads and writes them.

    Args:
        database: the move's name.
        side: which side's tables these are.
        home: a connection to the move's home, in autocommit.

    """

    def __init__(self, database: str, side: str, home: psycopg.Connection[Any]) -> None:
        self._given = {"name": database, "side": side}
        self._home = home

    def prepare(self) -> None:
        """Make our table."""
        with self._home.transaction():
            self._run("turn")
            self._run("watched")

    def all(self) -> dict[int, Known]:
        """Read what is known, by oid."""
        if not self._run("is_watched").fetchall()[0][0]:
            return {}
        return {
            oid: Known(Definition.from_json(text.encode()), tuple(pending), mark, tuple(stopped), rewritten)
            for oid, text, pending, mark, stopped, rewritten in self._run("known").fetchall()
        }

    def version(self) -> str:
        """Give a text that differs when something else is noted."""
        return str(self._run("version").fetchall()[0][0])

    def begin(self, definitions: Mapping[int, Definition]) -> None:
        """Note what tables are now; those that are noted stay as they are."""
        with self._home.transaction():
            for oid, definition in definitions.items():
                self._run("watch", oid=oid, definition=definition.as_json().decode())

    def since(self) -> int:
        """Say which coordinator had opened the side when its tables were noted."""
        return int(self._run("taken").fetchall()[0][0])

    def renew(self, definitions: Mapping[int, Definition], since: int) -> None:
        """Note what known tables are now: the side serves anew, and what was done meanwhile is not followed."""
        with self._home.transaction():
            for oid, definition in definitions.items():
                self._run("renew", oid=oid, definition=definition.as_json().decode())
            self._run("renewed", since=since)

    def altered(self, oid: int, now: Definition, pending: Sequence[str], mark: int, *, rewritten: bool) -> None:
        """Note that the other side has followed."""
        told = {"definition": now.as_json().decode(), "pending": Jsonb(list(pending)), "mark": mark}
        self._run("altered", oid=oid, rewritten=rewritten, **told)

    def made(self, oid: int) -> None:
        """Note that what was pending is there."""
        self._run("made", oid=oid)

    def stop(self, oid: int, why: Sequence[str]) -> bool:
        """Note why a table's move cannot go on, or that it can again; tell whether that is new."""
        return self._run("stop", oid=oid, stopped=list(why)).rowcount > 0

    def forget(self) -> None:
        """Forget all, of both sides."""
        if self._run("is_watched").fetchall()[0][0]:
            self._run("forget_watched")

    def _run(self, block: str, **values: Any) -> psycopg.Cursor[Any]:
        statement = blocks("moving.sql", PACKAGE)[block]
        given = {**self._given, **values} if "%(" in statement else None
        return self._home.execute(statement, given, prepare=False)


def family(connection: psycopg.Connection[Any], tables: Iterable[TableName]) -> list[int]:
    """Find tables, and their partitions."""
    wanted = list(tables)
    given = {"schemas": [one.schema for one in wanted], "names": [one.name for one in wanted]}
    rows = connection.execute(blocks("moving.sql", PACKAGE)["family"], given, prepare=False).fetchall()
    return [oid for (oid,) in rows]


def digest(connection: psycopg.Connection[Any], tables: Iterable[TableName], oids: Iterable[int]) -> str:
    """Give a text that differs when tables were altered: those that are called so, and others."""
    wanted = list(tables)
    given = {"schemas": [one.schema for one in wanted], "names": [one.name for one in wanted], "oids": list(oids)}
    row = connection.execute(blocks("moving.sql", PACKAGE)["digest"], given, prepare=False).fetchone()
    return str(row[0]) if row else ""


def across_releases(here: psycopg.Connection[Any], there: psycopg.Connection[Any]) -> bool:
    """Tell whether two servers are of different releases: then every name is quoted."""
    return here.info.server_version // 10_000 != there.info.server_version // 10_000
