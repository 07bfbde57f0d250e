"""Rows of documents in a PostgreSQL, each under the version of its document: ``ports.documents.DocumentRows``.

A batch is one transaction: the link's number is compared under a lock, then the versions are raised, and only the rows
of those that were raised are written. What PostgreSQL refuses for a row is halved until the record is alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import psycopg

from syncline.engines.postgres.documents.keys import id_of, key_text
from syncline.engines.postgres.documents.mapped import Mapped, mapped
from syncline.engines.postgres.documents.one_trip import OneTrip
from syncline.engines.postgres.documents.rejections import Rejections
from syncline.engines.postgres.documents.rows import DocumentTables, entered
from syncline.engines.postgres.documents.session import OwnSession, as_kept, of_tables, took_too_long
from syncline.engines.postgres.documents.texts import array, to_text
from syncline.engines.postgres.target.gates import gate_that_refused
from syncline.engines.postgres.target.lent import TargetConnection
from syncline.engines.postgres.target.refusals import CONFLICTS, is_of_rows
from syncline.engines.postgres.target.session import Connection, as_ours, first_line, is_over, translated
from syncline.errors import MappingError
from syncline.model.documents import DocumentMapping
from syncline.model.documents.ids import NO_ID
from syncline.model.retries import Retries
from syncline.model.strict_bson import encoded
from syncline.ports.documents import Fate, MarkedDocument, Outcome
from syncline.postgres.sql import blocks

MADE = (
    "schema",
    "comment",
    "link",
    "link_later",
    "link_id",
    "link_beat",
    "first",
    "key_version",
    "mapping",
    "mapping_later",
    "worker",
)
"""Statements that make what is kept here, each of which may be run again."""

TAG = "documents"
"""What its transactions say as ``syncline.link``."""


_AT_ONCE = 100
"""So many documents are tried in one round trip: what is sent twice when one is not newer is not much."""


class VersionedRows(OwnSession):
    """The rows of collections in a database, over one session.

    Args:
        url: the PostgreSQL.
        mappings: of the collections.
        seconds: limit of a statement.
        retries: how rejected documents are tried again.

    """

    def __init__(
        self, url: str, mappings: Iterable[DocumentMapping], *, seconds: float = 10.0, retries: Retries | None = None
    ) -> None:
        super().__init__(url, seconds=seconds)
        self.at_once = False
        """Whether documents are mostly newer than what is there: few at a time, soon after they are written."""
        self._tables = {mapping.collection.name: DocumentTables(mapping) for mapping in mappings}
        self._most: dict[str, int] = {}
        """So many documents are written at a time since more took too long, by collection."""
        self._troubled = True
        """Whether something was rejected when the number was read last, or since by this session."""
        self._trip: OneTrip | None = None
        self._gated = False
        """Whether there are gates; found out with the link's number, before documents are read."""
        self._sql: Mapping[str, str] = blocks("versions.sql", __package__ or "")
        self._rejections = Rejections(self._tables, retries or Retries())

    async def prepare(self) -> None:
        """Make what is kept of keys; idempotent."""
        connection = await self.session()
        with translated():
            async with connection.transaction():
                await connection.execute(self._sql["alone"])
                for name in MADE:
                    await connection.execute(self._sql[name])
                await self._rejections.prepare(connection)
                for tables in self._tables.values():
                    await connection.execute(self._sql["first_mapping"], tables.named)

    def tables(self, collection: str) -> DocumentTables:
        """Give the tables of a collection."""
        return self._tables[collection]

    async def number(self) -> int:
        """Read the link's number.

        Raises:
            NotInstalledError: our tables are not there.

        """
        connection = await self.session()
        try:
            return await self._number(connection)
        except psycopg.Error as error:
            raise as_kept(error) from error

    async def _number(self, connection: Connection) -> int:
        row = await (await connection.execute(self._sql["number"])).fetchone()
        number, self._gated, self._troubled = row or (0, False, True)
        return int(number)

    async def _enter(self, connection: Connection) -> None:
        await connection.execute(self._entering())

    def _entering(self) -> str:
        return self._sql["enter_gated" if self._gated else "enter"]

    async def renumber(self) -> int:
        """Give the link a new number, when everybody who has entered under the old one has ended."""
        connection = await self.session()
        with translated():
            async with connection.transaction():
                return await self._renumber(connection)

    async def _renumber(self, connection: Connection) -> int:
        await connection.execute(self._sql["alone"])
        row = await (await connection.execute(self._sql["renumber"])).fetchone()
        return int(row[0]) if row else 0

    async def remap(self, collection: str) -> int:
        """Have a collection written under this declaration, and no other; see ``DocumentRows.remap``."""
        connection, tables = await self.session(), self._tables[collection]
        with translated():
            async with connection.transaction():
                number = await self._renumber(connection)
                await tables.require_columns(connection)
                await connection.execute(self._sql["remap"], tables.named)
                return number

    async def remarked(self, collection: str) -> None:
        """Note that every document was marked since."""
        connection = await self.session()
        with translated():
            await connection.execute(self._sql["remarked"], self._tables[collection].named)

    async def version(self, collection: str, id_: Any) -> tuple[int, str] | None:
        """Read the version and the mark of the write that a key's rows are of, or that deleted them."""
        connection = await self.session()
        key = to_text(self._tables[collection].mapping.key_of(id_))
        given = {"collection": collection, "ids": [key]}
        with translated():
            row = await (await connection.execute(self._sql["there"], given)).fetchone()
        return (int(row[1]), str(row[2])) if row else None

    async def forget(self, collection: str, keys: Mapping[str, int]) -> int:
        """Forget deleted keys, by the versions that were read, under a new number: of none has MongoDB a document."""
        connection = await self.session()
        with translated():
            async with connection.transaction():
                await self._renumber(connection)
                given = {"collection": collection, "ids": list(keys), "versions": list(keys.values())}
                return (await connection.execute(self._sql["forget"], given)).rowcount

    async def versions(self, collection: str, ids: Sequence[Any]) -> Mapping[bytes, int]:
        """Read what version each key has, by the encoded ``{_id: …}``; those that are not there are left out."""
        known: dict[str, list[bytes]] = {}
        for id_ in ids:
            if (key := key_text(self._tables[collection].mapping, id_)) is not None:
                known.setdefault(key, []).append(encoded({"_id": id_}))
        connection = await self.session()
        with translated():
            given = {"collection": collection, "ids": list(known)}
            found = await (await connection.execute(self._sql["there"], given)).fetchall() if known else []
        return {one: version for text, version, _ in found for one in known[text]}

    async def deleted_keys(self, collection: str, size: int) -> AsyncIterator[Sequence[tuple[str, Any, int]]]:
        """Walk the deleted keys whose versions are kept: each as text, the ``_id`` that it is of, and its version."""
        mapping = self._tables[collection].mapping
        given: dict[str, Any] = {"collection": collection, "after": None, "size": size}
        while True:
            connection = await self.session()
            with translated():
                found = await (await connection.execute(self._sql["deleted_keys"], given)).fetchall()
            if not found:
                return
            known = [(text, id_of(mapping, text), version) for text, version in found]
            yield [one for one in known if one[1] is not NO_ID]
            given["after"] = found[-1][0]

    async def keys(self, collection: str, size: int) -> AsyncIterator[Sequence[Any]]:
        """Walk the keys that have rows."""
        mapping = self._tables[collection].mapping
        given: dict[str, Any] = {"collection": collection, "after": None, "size": size}
        while True:
            connection = await self.session()
            with translated():
                found = [row[0] for row in await (await connection.execute(self._sql["keys"], given)).fetchall()]
            if not found:
                return
            yield [id_ for text in found if (id_ := id_of(mapping, text)) is not NO_ID]
            given["after"] = found[-1]

    async def drop_strangers(self, collection: str, *, size: int = 1000) -> int:
        """Delete the rows and versions of keys that no ``_id`` becomes; see ``DocumentRows.drop_strangers``."""
        tables, connection = self._tables[collection], await self.session()
        texts = tables.mapping.tables[0].columns[0].type.sql == "text"
        given: dict[str, Any] = {"collection": collection, "after": None, "size": size}
        dropped = 0
        while True:
            with translated():
                found = [row[0] for row in await (await connection.execute(self._sql["all_keys"], given)).fetchall()]
                if not found:
                    return dropped
                strangers = [text for text in found if id_of(tables.mapping, text) is NO_ID]
                async with connection.transaction():
                    await self._enter(connection)
                    entered(tables, await (await connection.execute(self._sql["entered"], tables.named)).fetchone())
                    await tables.delete(connection, strangers if texts else [])
                    await connection.execute(self._sql["drop"], {"collection": collection, "ids": strangers})
            dropped += len(strangers)
            given["after"] = found[-1]

    async def put(self, collection: str, documents: Sequence[MarkedDocument], number: int) -> Sequence[Outcome]:
        """Write what can become rows; see ``syncline.ports.documents.DocumentRows.put``."""
        mapping = self._tables[collection].mapping
        made = mapped(mapping, documents)
        outcomes = [_unmapped(one, error) for one, error in made.refused]
        unwritten, ready = len(outcomes), made.documents
        most = min(self._most.get(collection, len(ready)), len(ready)) or 1
        for start in range(0, len(ready), most):
            part = made if most == len(ready) else mapped(mapping, ready[start : start + most])
            outcomes += await self._halved(collection, part, number)
        if most < len(ready):
            self._most[collection] = most * 2
        if unwritten or any(one.fate is Fate.REJECTED for one in outcomes):
            connection, self._troubled = await self.session(), True
            try:
                return await self._rejections.noted(connection, collection, outcomes)
            except psycopg.Error as error:
                raise of_tables(collection, error) from error
        return outcomes

    async def due(self, collection: str, documents: Sequence[MarkedDocument]) -> Sequence[MarkedDocument]:
        """Leave out what is not to be tried now; see ``syncline.ports.documents.DocumentRows.due``."""
        if not self._troubled:
            return documents
        connection = await self.session()
        try:
            return await self._rejections.due(connection, collection, documents)
        except psycopg.Error as error:
            raise as_kept(error) from error

    async def _halved(self, collection: str, made: Mapped, number: int) -> list[Outcome]:
        ready = made.documents
        if not ready:
            return []
        connection = await self.session()
        if self.at_once and len(ready) <= _AT_ONCE:
            done = await self._written_at_once(connection, collection, made, number)
            if done is not None:
                return done
        try:
            # What needs no answer goes out with what follows: far away, a round trip costs more than a statement.
            async with connection.pipeline(), connection.transaction():
                return await self._written(connection, collection, made, number)
        except _LateError:
            return [Outcome(one, Fate.LATE) for one in ready]
        except psycopg.Error as error:
            if gate_that_refused(error) and not self._gated:
                return [Outcome(one, Fate.LATE) for one in ready]  # it was put there since the number was read
            if took_too_long(error):
                self._most[collection] = len(ready) // 2 or 1
            if not is_of_rows(error) or is_over(connection):
                raise of_tables(collection, error) from error
            if len(ready) == 1:
                waits = error.sqlstate in CONFLICTS
                return [Outcome(ready[0], Fate.REJECTED, reason=first_line(error), waits=waits)]
        half, mapping = len(ready) // 2, self._tables[collection].mapping
        return [
            *await self._halved(collection, mapped(mapping, ready[:half]), number),
            *await self._halved(collection, mapped(mapping, ready[half:]), number),
        ]

    async def _written_at_once(
        self, connection: TargetConnection, collection: str, made: Mapped, number: int
    ) -> list[Outcome] | None:
        """Write all in one round trip if all are newer than what is there, as they are as a rule; otherwise nothing."""
        if connection.bare:  # a pooler's session takes what each transaction begins with
            return None
        if self._trip is None or self._trip.connection is not connection:
            self._trip = OneTrip(connection)
        tables, applied = self._tables[collection], [_applied(one) for one in made.documents]
        given = self._given(tables, made)
        try:
            told = await self._trip.run(
                [
                    (self._entering(), ()),
                    (self._sql["take_all"], {**given, "number": number}),
                    *tables.deletion(made.gone),
                    *tables.writing_columns(made.columns),
                    self._rejections.settling(collection, applied),
                ]
            )
        except psycopg.Error as error:
            if is_over(connection):
                raise as_ours(error) from error
            return None  # step by step, then: it tells why
        if told is None:
            return None
        already = set(told[1])
        return [_applied(one, already=id_ in already) for one, id_ in zip(made.documents, made.ids, strict=True)]

    def _given(self, tables: DocumentTables, made: Mapped) -> dict[str, Any]:
        return {
            **tables.named,
            "ids": array(made.ids),
            "versions": array([str(one.version) for one in made.documents]),
            "marks": array([one.mark for one in made.documents]),
            "deleted": array(["true" if one.deleted else "false" for one in made.documents]),
        }

    async def _written(self, connection: Connection, collection: str, made: Mapped, number: int) -> list[Outcome]:
        tables = self._tables[collection]
        await self._enter(connection)
        said = await connection.execute(self._sql["entered"], tables.named)
        took = await connection.execute(self._sql["take"], self._given(tables, made))
        if entered(tables, await said.fetchone()) != number:
            raise _LateError  # nothing of the transaction stays
        taken = {row[0] for row in await took.fetchall()}
        newer = made if len(taken) == len(made.ids) else mapped(tables.mapping, _those(made, taken))
        await tables.delete(connection, newer.gone)
        await tables.write_columns(connection, newer.columns)
        left = {"collection": collection, "ids": [id_ for id_ in made.ids if id_ not in taken]}
        there = await (await connection.execute(self._sql["there"], left)).fetchall() if left["ids"] else []
        found = {row[0]: (row[1], row[2]) for row in there}
        judged = [_judged(one, id_, taken, found) for one, id_ in zip(made.documents, made.ids, strict=True)]
        await self._rejections.settle(connection, collection, judged)
        return judged


def _unmapped(one: MarkedDocument, error: MappingError) -> Outcome:
    """Of a key that none is there are no rows to delete."""
    return Outcome(one, Fate.APPLIED) if one.deleted else Outcome(one, Fate.REJECTED, reason=str(error))


def _those(made: Mapped, taken: set[str]) -> list[MarkedDocument]:
    return [one for one, id_ in zip(made.documents, made.ids, strict=True) if id_ in taken]


def _applied(one: MarkedDocument, *, already: bool = False) -> Outcome:
    return Outcome(one, Fate.APPLIED, already=already)


class _LateError(Exception):
    """The link has another number."""


def _judged(one: MarkedDocument, id_: str, taken: set[str], found: Mapping[str, tuple[int, str]]) -> Outcome:
    if id_ in taken:
        return Outcome(one, Fate.APPLIED)
    version, mark = found[id_]
    if mark == one.mark:
        return _applied(one, already=True)
    return Outcome(one, Fate.REFUSED, version)
