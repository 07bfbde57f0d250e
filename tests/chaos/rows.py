"""A chaos run with a PostgreSQL as the target: the same faults, and rows of tables without a column of ours."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg

from syncline.embedded.postgres import PrivatePostgres
from tests import engines
from tests.chaos import archive, schema
from tests.chaos.acting import Acting
from tests.chaos.archive import RowVandal
from tests.chaos.journal import Journal
from tests.chaos.operators import Operator
from tests.chaos.readers import regressions
from tests.chaos.run import Chaos, ChaosError, Wanted

ENTITIES = """
[entities.account]
where = "NOT hidden"
[entities.orders]
[entities.line]
[entities.membership]
"""
WHOLE = {"account": "WHERE NOT hidden", "orders": "", "line": "", "membership": "", archive.NAME: ""}
"""What of each table of the source has to be in the target."""
TARGET_TABLES = schema.TABLES.split("CREATE TRIGGER", maxsplit=1)[0] + archive.TABLE
"""Triggers of the source's own would change the rows once more."""
LATE_SECONDS = 1.0
"""A reader's look takes so long at most: behind this fence nothing comes back."""


class RowOperator(Operator):
    """An operator of tables."""

    _entities = (*WHOLE,)


def socket_of(server: PrivatePostgres) -> Path:
    """Give the path of a server's Unix socket."""
    return Path(server.url.partition("host=")[2].partition("&")[0]) / ".s.PGSQL.5432"


class RowReader(Acting):
    """Looks at every row again and again; keeps what has changed."""

    def __init__(self, url: str, journal: Journal, *, pause: float = 0.1) -> None:
        super().__init__("reader")
        self._url, self._journal, self._pause = url, journal, pause
        self.looks = 0

    def _go_on(self) -> None:
        known: dict[str, dict[str, int]] = {name: {} for name in schema.KEY_TEXTS}
        while not self._ended.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=3) as connection:
                    while not self._ended.wait(self._pause):
                        for name, key in schema.KEY_TEXTS.items():
                            self._look(connection, name, key, known[name])
                        self.looks += 1
            except psycopg.Error:
                time.sleep(0.05)

    def _look(self, connection: psycopg.Connection[Any], name: str, key: str, known: dict[str, int]) -> None:
        began = self._journal.now()
        seen = dict(connection.execute(f"SELECT {key}, version FROM {name}"))
        for one in seen.keys() | known.keys():
            if seen.get(one) != known.get(one):
                self._journal.saw((name, one), began, {0: seen[one]} if one in seen else None)
        known.clear()
        known.update(seen)


class RowChaos(Chaos):
    """One run between two PostgreSQL servers."""

    _entities = ENTITIES
    _whole: Mapping[str, str] = WHOLE
    _mongo: PrivatePostgres

    @staticmethod
    def servers(wanted: Wanted) -> Sequence[AbstractContextManager[Any]]:
        """Give two servers."""
        return engines.running_postgres(), engines.running_postgres()

    def _target_socket(self) -> Path:
        return socket_of(self._mongo)

    def _target(self) -> str:
        port = self.target_net.port
        return f'url = "postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable&gssencmode=disable"'

    def _fill_target(self) -> None:
        with psycopg.connect(self._mongo.url, autocommit=True) as connection:
            connection.execute(TARGET_TABLES)
            connection.execute(archive.FILL, (self._rows,))
        self._wait_settled()

    def _make_reader(self) -> RowReader:
        return RowReader(self._mongo.url, self.journal)

    def _make_operator(self, number: int) -> Operator:
        return RowOperator(
            number, self._config, self.journal, seed=self._seed, damaged=self._was_damaged, hurry=self._hurry
        )

    def _make_vandal(self) -> RowVandal:
        pause = 0.5 / self._hurry
        return RowVandal(self._mongo.url, "", self.journal, self._rows, seed=self._seed, pause=pause)

    def _cut_power(self) -> None:
        """Whoever sees a row sees what lasts."""

    def _judge(self) -> None:
        for thread in self._threads():
            if thread.crash is not None:
                raise ChaosError(self._story(f"{thread.name} failed: {thread.crash!r}"))
        with (
            psycopg.connect(self._postgres.url, autocommit=True) as here,
            psycopg.connect(self._mongo.url, autocommit=True) as there,
        ):
            found = list(self._differences(here, there))
        parked = list(self._left("parked"))
        notices = list(self._left("notice", "name NOT IN ('Diverged', 'Repair')" if self._vandals else "true"))
        for what, those in (("rows differ", found), ("records are parked", parked), ("notices", notices)):
            if those:
                raise ChaosError(self._story(f"{len(those)} {what}", [*map(str, those[:8])]))
        self._judge_damage(self._damage())
        if back := self._went_back():
            keys = [key for key, _ in back[:5]]
            raise ChaosError(self._story(f"{len(back)} records went back", [*map(str, back[:5])], keys))
        self._judge_processes()

    def _went_back(self) -> list[Any]:
        return list(regressions(self.journal, window=LATE_SECONDS))

    def _left(self, table: str, where: str = "true") -> Iterator[str]:
        for url, journal in self._journals():
            with psycopg.connect(url, autocommit=True) as connection:
                for (text,) in connection.execute(f"SELECT t::text FROM {journal}.{table} AS t WHERE {where}"):
                    yield f"{journal}: {text}"

    def _damage(self) -> set[str]:
        """Find the rows of the archive that differ."""
        with psycopg.connect(self._postgres.url) as here, psycopg.connect(self._mongo.url) as there:
            rows = [{*one.execute(f"SELECT id::text, t::text FROM {archive.NAME} AS t")} for one in (here, there)]
        return {key for key, _ in rows[0] ^ rows[1]}

    def _differences(
        self, here: psycopg.Connection[Any], there: psycopg.Connection[Any]
    ) -> Iterator[tuple[str, str, str]]:
        """Compare both sides, without what is damaged by hand."""
        self.outcome.records = 0
        for table, where in self._whole.items():
            wanted = {text for (text,) in here.execute(f"SELECT t::text FROM {table} AS t {where}")}
            found = {text for (text,) in there.execute(f"SELECT t::text FROM {table} AS t")}
            self.outcome.records += len(wanted)
            if table == archive.NAME:
                continue
            for text in sorted(wanted ^ found):
                yield table, "missing" if text in wanted else "surplus", text
