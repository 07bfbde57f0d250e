"""The journal of phases in a PostgreSQL: what stands, how it came there, who knows of it, what speaks for the next."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from syncline.config.urls import of_primary, without_pooler
from syncline.engines.postgres.documents.schema import PHASES
from syncline.engines.postgres.target.session import translated
from syncline.errors import TargetRefusedError
from syncline.forking import after_fork, leave_to_parent
from syncline.model.documents.query_shapes import QueryShape
from syncline.phases.phase import phase_named
from syncline.phases.shadow.report import Outcome
from syncline.phases.standing import Entry, Process, Standing, Standings
from syncline.postgres.bounded import bounded
from syncline.postgres.sql import blocks

_CONNECT_SECONDS = 2


class InPostgreSQL:
    """A PostgreSQL that has the journal of phases; a session that is lost is opened again by the next call.

    Args:
        url: the database.
        seconds: limit of a statement.

    """

    def __init__(self, url: str, *, seconds: float = 2.0) -> None:
        self._url, self._seconds = of_primary(without_pooler(url)[0]), seconds
        self._session: psycopg.Connection[TupleRow] | None = None
        self._is_there = False
        self._sql: Mapping[str, str] = blocks("journal.sql", "syncline.phases")
        after_fork(self._forked)

    def _forked(self) -> None:
        leave_to_parent(self._session)
        self._session = None

    @contextmanager
    def connected(self) -> Iterator[psycopg.Connection[TupleRow]]:
        """Lend the session, in a transaction; errors are ours.

        The limit is the transaction's: what is set for a session is the next client's behind a pooler.
        """
        with translated():
            if self._session is None or self._session.closed:
                self._session = psycopg.connect(
                    self._url,
                    **bounded("syncline phases", connect_seconds=_CONNECT_SECONDS, silent_seconds=self._seconds),
                )
            self._require_primary(self._session)
            limit = f"{int(self._seconds * 1000)}ms"
            try:
                with self._session.transaction():
                    self._session.execute("SELECT pg_catalog.set_config('statement_timeout', %s, true)", [limit])
                    yield self._session
            except psycopg.Error:
                self._is_there = False  # somebody may have taken the tables away
                raise

    def _require_primary(self, session: psycopg.Connection[TupleRow]) -> None:
        """See that phases are not read as they were a while ago; a standby that is promoted says so by itself."""
        if session.info.parameter_status("in_hot_standby") == "on":
            refused = TargetRefusedError(
                f"the PostgreSQL at {session.info.host}:{session.info.port} is a standby",
                hint="name the primary, or all servers: of several the one that takes writes is taken",
            )
            session.close()  # the next one may lead elsewhere
            raise refused

    def rows(self, name: str, **values: Any) -> list[TupleRow]:
        """Run a statement of ours that reads."""
        with self.connected() as connection:
            return connection.execute(self._sql[name], values).fetchall()

    def run(self, name: str, **values: Any) -> None:
        """Run a statement of ours."""
        with self.connected() as connection:
            connection.execute(self._sql[name], values)

    def prepare(self) -> None:
        """Make the tables; idempotent."""
        with self.connected() as connection:
            connection.execute(self._sql["alone"])
            for name in ("schema", *PHASES):
                connection.execute(self._sql[name])

    @property
    def there(self) -> bool:
        """Whether the tables are there; once they are, it is asked again after an error only."""
        self._is_there = self._is_there or bool(self.rows("there")[0][0])
        return self._is_there

    def read(self) -> Standings:
        """Give what it says."""
        found = self.rows("read") if self.there else []
        return {name: Standing(phase_named(phase), percent, *rest) for name, phase, percent, *rest in found}

    def put(self, standings: Standings) -> None:
        """Keep these beside the others."""
        self.run("put", **_columns(standings))

    def change(self, standings: Standings, entries: Sequence[Entry] = ()) -> None:
        """Keep these beside the others, and note how it came to them; once, however often it is called."""
        with self.connected() as connection:
            connection.execute(self._sql["alone"])
            connection.execute(self._sql["put"], _columns(standings))
            for one in entries:
                noted = {"number": one.number, "collection": one.collection, "at": one.at}
                noted |= {"was": one.was and str(one.was), "phase": str(one.phase), "percent": one.percent}
                connection.execute(self._sql["note"], noted | {"reason": one.reason, "against": list(one.against)})

    def history(self, collections: Sequence[str] | None, limit: int) -> list[Entry]:
        """List the changes, the newest first."""
        found = self.rows("history", collections=collections and list(collections), limit=limit) if self.there else []
        return [
            Entry(number, name, at, was and phase_named(was), phase_named(phase), percent, by, reason, tuple(against))
            for number, name, at, was, phase, percent, by, reason, against in found
        ]

    def beat(self, process: str, number: int, lease_seconds: float) -> None:
        """Note what a process goes by, where there is a journal."""
        if self.there:
            self.run("beat", process=process, number=number, lease=lease_seconds)

    def processes(self) -> Sequence[Process]:
        """List those whose lease holds."""
        return [Process(*row) for row in self.rows("processes")] if self.there else []

    def leave(self, process: str) -> None:
        """Forget a process that ends, and those that ended long ago."""
        if self.there:
            self.run("leave", process=process)

    def shadowed(
        self, counts: Mapping[tuple[str, str, Outcome], int], declared: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Add what shadow reads came to: by collection, method and outcome. 0 reads declare a method.

        Args:
            counts: what there is to add.
            declared: the fingerprints of the collections' declarations under which PostgreSQL was read.

        """
        if not counts or not self.there:
            return
        names = list(counts)
        self.run(
            "shadowed",
            collections=[one[0] for one in names],
            methods=[one[1] for one in names],
            outcomes=[str(one[2]) for one in names],
            mappings=[declared.get(one[0], "") for one in names],
            reads=list(counts.values()),
        )

    def asked(self, queries: Collection[QueryShape]) -> None:
        """Keep what queries go by; nothing, where an older installation has no place for it."""
        if queries and self.there and self.rows("queries_kept")[0][0]:
            self.run("query_asked", queries=Jsonb([asdict(one) for one in queries]))

    def queries(self) -> list[QueryShape]:
        """Give what queries go by, as far as processes have told it."""
        found = self.rows("queries") if self.rows("queries_kept")[0][0] else []
        return [QueryShape(collection, tuple(equal), tuple(ranged)) for collection, equal, ranged in found]

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.close()
            self._session = None


def _columns(standings: Standings) -> dict[str, list[Any]]:
    return {
        "collections": list(standings),
        "phases": [str(one.phase) for one in standings.values()],
        "percents": [one.percent for one in standings.values()],
        "numbers": [one.number for one in standings.values()],
        "since": [one.since for one in standings.values()],
    }
