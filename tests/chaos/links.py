"""A chaos run over links: a way and its way back, with writers on both sides, and a link from there to a MongoDB.

The links are those of one file, and each worker serves all of them: `one` and `two` are PostgreSQL servers, `there` leads
from one to two, `back` from two to one, and `on` from one to the MongoDB, which gets what both sides' writers do.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
from pymongo import MongoClient

from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres
from tests import engines
from tests.chaos import archive, faults, schema
from tests.chaos.commands import COULD_NOT_RUN
from tests.chaos.faults import Fault
from tests.chaos.journal import Journal
from tests.chaos.operators import Operator
from tests.chaos.proxy import Proxy
from tests.chaos.readers import Reader, regressions
from tests.chaos.rows import LATE_SECONDS, WHOLE, RowChaos, RowReader
from tests.chaos.run import ChaosError, Wanted
from tests.chaos.writers import Writer

FIRST = 12_000
"""Keys from here on are those of the second side's writers, as far as numbers make them."""
FILTER = 'where = "NOT hidden"\n'
"""Of the link to the documents alone: what a way's filter hides on one side its way back would have on the other."""
FIRST_LINE = 1_000_000_000
HOLLOW = "CREATE TABLE hollow (id bigint PRIMARY KEY);\n"
"""Empty in the source, so that a TRUNCATE of it changes nothing; a row of the target would be swept away."""
TABLES = HOLLOW + schema.TABLES.replace(
    "    NEW.version := nextval('public.versions');\n",
    "    IF coalesce(current_setting('syncline.link', true), '') = '' THEN\n"
    "        NEW.version := nextval('public.versions');\n    END IF;\n",
)
"""What a link writes is a copy, and keeps its version."""
OF_ONE = {
    "account": f"id < {FIRST}",
    "orders": f"id < '{schema.order_id(FIRST)}'",
    "membership": f"team < {FIRST // schema.TEAM}",
}
SELDOM = 0.25
REFUSED = (("backfill",), ("backfill", "--no-sweep"), ("copy", "--replace"), ("repair",), ("resync", "--no-wait"))
"""What makes one side as the other is; the sweep after a TRUNCATE is tried when all is calm."""
HELD_SECONDS = 60.0
PAUSE_SECONDS = 0.06
"""Between transactions of a writer: there are twice as many, and each change goes over two links."""
LINKS = {"there": 0, "back": 1, "on": 0}
"""And the place of the server that each one's source is."""
FILE = """
[worker]
{worker}
[history]
keep = "off"
[log]
format = "json"
[links.there]
source = {{ url = "{one}", connect_timeout_seconds = 2 }}
target = {{ url = "{two}", {limits} }}
{there}
[links.back]
reverse_of = "there"
source = {{ url = "{two}", connect_timeout_seconds = 2 }}
target = {{ url = "{one}", {limits} }}
{back}
[links.on]
source = {{ url = "{one}", connect_timeout_seconds = 2 }}
target = {{ url = "{mongo}", database = "{database}", {limits} }}
{on}
"""


class OnwardOperator(Operator):
    """Backfills, verifies and repairs the link that has no way back, and tries to for those that have one."""

    def _words(self) -> list[str]:
        if self._random.random() < SELDOM:
            return [*self._random.choice(REFUSED), "--link", self._random.choice(("there", "back"))]
        entity = self._random.choice(([], ["account"], ["orders"], ["line"], ["membership"], ["archive"]))
        kind = self._random.choice(("verify", "verify", "repair", "backfill"))
        return [kind, *entity, "--link", "on"]

    def _judge(self, words: list[str], status: int, out: bytes) -> None:
        """What makes one side as the other is, is refused while both are written to."""
        if words[-1] == "on":
            super()._judge(words, status, out)
        elif status != COULD_NOT_RUN:
            self._complain(f"{words} was not refused: {status}")


class LinkChaos(RowChaos):
    """One run over three links."""

    _with_vandals = False
    _whole = dict.fromkeys(WHOLE, "")
    _tables = TABLES

    def __init__(self, wanted: Wanted, folder: Path, one: PrivatePostgres, two: Any, documents: PrivateMongo) -> None:
        super().__init__(wanted, folder, one, two)
        self._documents = documents
        self._fates = random.Random(f"{wanted.seed} which target")

    @staticmethod
    def servers(wanted: Wanted) -> Sequence[AbstractContextManager[Any]]:
        """Give two servers with tables, and one with documents."""
        return *RowChaos.servers(wanted), engines.running_mongo()

    def _configure(self) -> Path:
        self._documents_net = self._nets.enter_context(Proxy(self._documents._socket, seed=self._seed))
        one, two = (
            f"postgresql://postgres@127.0.0.1:{net.port}/postgres?sslmode=disable&gssencmode=disable"
            for net in (self.source_net, self.target_net)
        )
        sections = {
            link: (self._entities if link == "on" else self._entities.replace(FILTER, "")).replace(
                "[entities.", f"[links.{link}.entities."
            )
            + f"[links.{link}.entities.{archive.NAME}]\n"
            + (f"[links.{link}.entities.hollow]\n" if link != "on" else "")
            for link in LINKS
        }
        config = self._folder / "syncline.toml"
        config.write_text(
            FILE.format(
                one=one,
                two=two,
                mongo=f"mongodb://127.0.0.1:{self._documents_net.port}/?directConnection=true",
                database=schema.DATABASE,
                limits=f"timeout_seconds = {faults.TIMEOUT_SECONDS}, connect_timeout_seconds = 1",
                worker=self._worker_settings(),
                **sections,
            )
        )
        return config

    def _install(self) -> None:
        """The rows that stand are on every side already."""
        with psycopg.connect(self._mongo.url, autocommit=True) as connection:
            connection.execute(TABLES)
            connection.execute(archive.TABLE)
            connection.execute(archive.FILL, (self._rows,))
            connection.execute(f"ALTER TABLE line ALTER COLUMN id RESTART WITH {FIRST_LINE}")
        with MongoClient[dict[str, Any]](self._documents.url) as client:
            archive.copy(client[schema.DATABASE], self._rows)
        self._command("install", "--yes", "--no-backfill")

    def _fill_target(self) -> None:
        self._wait_settled()

    def _make_operator(self, number: int) -> Operator:
        return OnwardOperator(
            number, self._config, self.journal, seed=self._seed, damaged=lambda _: False, hurry=self._hurry
        )

    def _begin_traffic(self, stack: contextlib.ExitStack) -> None:
        own = Journal(began=self.journal.began, writes=self.journal.writes)
        self._others: list[tuple[RowReader | Reader, Journal, float]] = [
            (RowReader(self._postgres.url, own), own, LATE_SECONDS),
        ]
        super()._begin_traffic(stack)

    def _make_writers(self) -> list[Writer]:
        options = {"of": 3, "seed": self._seed, "rows": self._rows, "pause": PAUSE_SECONDS}
        return [
            *(Writer(self._postgres.url, self.journal, number=n, **options) for n in range(3)),
            *(Writer(self._mongo.url, self.journal, number=n, first=FIRST, **options) for n in range(3)),
        ]

    def _threads(self) -> list[Any]:
        return [*super()._threads(), *(reader for reader, _, _ in self._others)]

    # -- faults: the second target has its share of those of targets

    def _purge_newest(self) -> None:
        self._purge(OF_ONE)

    def _of_documents(self) -> bool:
        return self._fates.random() < 0.5

    def _kill_mongo(self, fault: Fault) -> bool:
        if not self._of_documents():
            return super()._kill_mongo(fault)
        self.journal.note("kill the target of documents")
        self._documents.kill()
        time.sleep(fault.seconds)
        self._documents.start()
        self.journal.note("the target of documents is back")
        return True

    def _target_network(self, fault: Fault) -> bool:
        if not self._of_documents():
            return super()._target_network(fault)
        return self._weather(self._documents_net, "target of documents", fault)

    # -- the judgement

    def _journals(self) -> Iterator[tuple[str, str]]:
        for link, place in LINKS.items():
            yield (self._postgres, self._mongo)[place].url, f"syncline_{link}"

    def _went_back(self) -> list[Any]:
        found = super()._went_back()
        for _, journal, window in self._others:
            found += regressions(journal, window=window)
        return found

    def _differences(
        self, here: psycopg.Connection[Any], there: psycopg.Connection[Any]
    ) -> Iterator[tuple[str, str, str]]:
        yield from super()._differences(here, there)
        with MongoClient[dict[str, Any]](self._documents.url) as client:
            for table in WHOLE:
                wanted, found = _by_key(here, table), _in_documents(client[schema.DATABASE], table)
                for key in sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k)):
                    yield table, f"in the documents, {found.get(key)} for {wanted.get(key)}", key

    def _judge_damage(self, damage: set[str]) -> None:
        if damage:
            raise ChaosError(self._story(f"{len(damage)} records of the archive differ", sorted(damage)[:20]))
        for link in LINKS:
            self._verify(set(), "--link", link)
        self._judge_truncate()

    def _judge_truncate(self) -> None:
        """See that the sweep after a TRUNCATE is held while the way back serves: the target's own row stays."""
        url, there = self._postgres.url, self._mongo.url
        _as_link(there, "INSERT INTO hollow VALUES (1)")
        _value(url, "TRUNCATE hollow")
        until = time.monotonic() + HELD_SECONDS
        while not _value(url, "SELECT 1 FROM syncline_there.notice WHERE name = 'TaskHeld' AND resolved_at IS NULL"):
            if time.monotonic() > until:
                raise ChaosError(self._story("no notice says that the sweep after a TRUNCATE is held"))
            time.sleep(0.1)
        kept = _value(there, "SELECT count(*) FROM hollow")
        self._command("backfill", "hollow", "--cancel", "--link", "there")
        if kept != 1:
            raise ChaosError(self._story("a TRUNCATE has swept away what the target's own writers have"))
        _as_link(there, "DELETE FROM hollow")
        _value(url, "DELETE FROM syncline_there.notice WHERE name = 'TaskHeld'")


def _value(url: str, statement: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
    return row and row[0]


def _as_link(url: str, statement: str) -> None:
    """Write what the way back does not take up."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT set_config('syncline.link', 'there', true)")
        connection.execute(statement.encode())


def _by_key(session: psycopg.Connection[Any], table: str) -> Mapping[str, str]:
    key = schema.KEY_TEXTS.get(table, "id::text")
    what = "name || ' ' || amount" if table == archive.NAME else "version::text"
    return dict(session.execute(f"SELECT {key}, {what} FROM {table} {WHOLE[table]}").fetchall())


def _in_documents(database: Any, table: str) -> Mapping[str, str]:
    def what(document: Mapping[str, Any]) -> str:
        if table == archive.NAME:
            return f"{document['name']} {document['amount']}"
        return str(document["version"])

    return {document["_originalId"]: what(document) for document in database[table].find()}
