"""What a document link keeps in PostgreSQL beside versions: its source, its workers, what was rejected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from syncline.engines.postgres.documents.session import OwnSession, as_kept
from syncline.engines.postgres.target.lent import TargetConnection
from syncline.model.entity import TableName
from syncline.postgres.sql import blocks

SILENT_SECONDS = 10.0
"""A worker that has not been heard of for so long is gone."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Beats:
    """The counters of both sides, as one of them has them."""

    there: int = 0
    """MongoDB's own."""
    here: int = 0
    """PostgreSQL's own."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Which link it is."""

    number: int
    source: str | None
    """The identity of the MongoDB whose documents these are; ``None``: it is not known yet."""
    declared: Mapping[str, str]
    """The declaration's fingerprint under which each collection is written."""
    unmarked: frozenset[str] = frozenset()
    """Collections whose documents were not all marked since: an installation was cut off."""
    id: str = ""
    """Who this PostgreSQL is to MongoDB."""
    system: str = ""
    """Its cluster, and its database there."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose rows are there, whatever version the schema is of."""

    source: str | None = None
    """The identity of the MongoDB; ``None``: nobody has said so."""
    id: str | None = None
    """Who this PostgreSQL is; ``None``: it is not said yet."""
    system: str = ""
    """Its cluster, and its database there."""
    rows: bool = False
    """There is a row of some document."""
    declared: Mapping[str, str] = field(default_factory=dict)
    unmarked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Proofs:
    """What verifications have said."""

    certificates: Sequence[Row] = ()
    """The newest of each collection under its declaration."""
    verifying: Sequence[Row] = ()
    """Passes under way."""
    failures: Sequence[Row] = ()
    """Collections that a worker could not verify."""


class Keeping(OwnSession):
    """Reads and writes them.

    Args:
        url: the PostgreSQL.
        seconds: limit of a statement.
        lent: gives a session of somebody else's to use instead.

    """

    def __init__(
        self, url: str, *, seconds: float = 5.0, lent: Callable[[], Awaitable[TargetConnection]] | None = None
    ) -> None:
        super().__init__(url, seconds=seconds)
        self._lent = lent
        package = __package__ or ""
        self._sql = {**blocks("verifying.sql", package), **blocks("keeping.sql", package)}

    async def session(self) -> TargetConnection:
        """Give the session itself."""
        return await (super().session() if self._lent is None else self._lent())

    async def kept(self) -> Kept:
        """Read which link it is.

        Raises:
            NotInstalledError: our tables are not there.

        """
        link = (await self._asked("link"))[0]
        declared, unmarked = _declared(await self._asked("declared"))
        return Kept(link["number"], link["source"], declared, unmarked, link["id"], link["system"])

    async def beats(self) -> Beats:
        """Read the counters by which a restore is noticed."""
        row = (await self._asked("beats"))[0]
        return Beats(row["beat_there"], row["beat_here"])

    async def advance(self, there: int, here: int = 0) -> Beats:
        """Advance our own counter, above what MongoDB knows of it, and note what MongoDB's has come to."""
        row = (await self._asked("advance", there=there, here=here))[0]
        return Beats(row["beat_there"], row["beat_here"])

    async def forget_proofs(self) -> None:
        """Forget what was proved equal: what is there since is something else."""
        await self._asked("forget_proofs")

    async def owner(self) -> Owner:
        """Read whose rows are there, installed or not, and of an older version too."""
        there = (await self._asked("there"))[0]
        link = next(iter(await self._asked("owner")), {}) if there["link"] else {}
        rows = there["key_version"] and (await self._asked("has_rows"))[0]["exists"]
        declared = _declared(await self._asked("declared") if there["mapping"] else ())
        return Owner(link.get("source"), link.get("id"), link.get("system", ""), bool(rows), *declared)

    async def set_source(self, source: str | None) -> None:
        """Note whose documents these are."""
        await self._asked("source", source=source)

    async def declare(self, collection: str, fingerprint: str) -> None:
        """Note a new collection, not all of whose documents are marked yet."""
        await self._asked("declare", collection=collection, fingerprint=fingerprint)

    async def beat(self, worker: str, name: str, version: str, report: Row) -> None:
        """Say that a worker lives."""
        await self._asked("beat", id=worker, name=name, version=version, report=Jsonb(dict(report)))

    async def gone(self, worker: str) -> None:
        """Say that it has ended."""
        await self._asked("gone", id=worker)

    async def workers(self) -> Sequence[Row]:
        """List who works, or did within the last hour and has not said goodbye."""
        return await self._asked("workers", silence=SILENT_SECONDS)

    async def rejected(self, collection: str | None = None, *, limit: int = 100) -> Sequence[Row]:
        """List rejected documents, the oldest first."""
        return await self._asked("rejected", collection=collection, limit=limit)

    async def count_rejected(self, collection: str | None = None) -> int:
        """Count them."""
        return int((await self._asked("count_rejected", collection=collection))[0]["count"])

    async def marks_rejected(self) -> Mapping[str, frozenset[tuple[str, str]]]:
        """Give the marks of rejected documents, each with what is shown of its ``_id``; 10,000 at most."""
        found = await self._asked("marks_rejected")
        return {row["collection"]: frozenset(zip(row["marks"], row["ids"], strict=True)) for row in found}

    async def proofs(self) -> Proofs:
        """Give what verifications have said."""
        return Proofs(*[await self._asked(name) for name in ("proofs", "verifying", "failures")])

    async def ask(self, collection: str | None, ids: Sequence[str] | None) -> int:
        """Ask for another try of rejected documents; how many."""
        connection = await self.session()
        try:
            given = {"collection": collection, "ids": None if ids is None else list(ids)}
            return (await connection.execute(self._sql["ask"], given)).rowcount
        except psycopg.Error as error:
            raise as_kept(error) from error

    async def may_forget(self, pause: float) -> bool:
        """Take the task of forgetting deleted keys and old failures, if it is due."""
        return bool(await self._asked("forget_now", pause=pause))

    async def forget_settled(self) -> None:
        """Forget failures that were settled more than 90 days ago."""
        await self._asked("forget_settled")

    async def unproved(self, collections: Sequence[str], moment: datetime) -> Sequence[str]:
        """Name those of these collections that no verification which began after a moment has proved equal."""
        found = await self._asked("unproved", collections=[*collections], moment=moment)
        return [row["collection"] for row in found]

    async def tables(self) -> Sequence[str]:
        """Name what is in our schema."""
        return [row["name"] for row in await self._asked("tables")]

    async def drop(self) -> None:
        """Take our schema away."""
        await self._asked("drop")

    async def about(self) -> Row:
        """Ask the server what it is."""
        return (await self._asked("about"))[0]

    async def lacking(self, tables: Sequence[TableName]) -> Sequence[str]:
        """Name those of our tables, and of these, that the role may not read and write."""
        found = await self._asked("lacking", schemas=[one.schema for one in tables], names=[one.name for one in tables])
        return [row["name"] for row in found]

    async def _asked(self, name: str, /, **given: Any) -> Sequence[Row]:
        connection = await self.session()
        try:
            async with connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(self._sql[name], given)
                return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise as_kept(error) from error


def _declared(rows: Sequence[Row]) -> tuple[Mapping[str, str], frozenset[str]]:
    fingerprints = {row["collection"]: row["fingerprint"] for row in rows}
    return fingerprints, frozenset(row["collection"] for row in rows if not row["marked"])
