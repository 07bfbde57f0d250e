"""A MongoDB, a PostgreSQL, bad networks before both, the collection with its tables, and who writes, carries and changes phases."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from pymongo import MongoClient

from syncline.capture.documents import wrap
from syncline.config.documents import load_documents
from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres
from syncline.engines.mongo.writes import DURABLE
from syncline.engines.postgres.documents.definitions import schema
from tests import engines
from tests.chaos.migrate.cards import COLUMNS, DATABASE, DECLARED, NAME, NUMBERS, shared
from tests.chaos.processes import Process
from tests.chaos.proxy import Proxy
from tests.chaos.rows import socket_of

PROGRAM = "tests.chaos.migrate.commands"
MARKED = {"_sync.mark": {"$exists": True}}
REJECTED = "SELECT collection || ' ' || mongo_id || ': ' || reason FROM syncline_documents.rejected"
IN_THE_WAY = "SELECT mongo_id::jsonb #>> '{}' FROM syncline_documents.rejected WHERE waits"
WAY_BACK = "SELECT 'there' WHERE to_regclass('syncline_back.outbox') IS NOT NULL"
BACK = "SELECT key FROM syncline_back.waiting UNION ALL SELECT key FROM syncline_back.parked"
MISMATCHES = """
SELECT method || ' ' || outcome || ', ' || reads || ' times, change ' || number FROM syncline_documents.shadow_report
WHERE outcome = 'mismatch' AND reads > 0
"""


class Scene:
    """What is acted upon."""

    def __init__(
        self, folder: Path, mongodb: PrivateMongo, postgresql: PrivatePostgres, nets: Sequence[Proxy], *, lease: float
    ) -> None:
        self.folder, self.mongodb, self.postgresql, self.lease = folder, mongodb, postgresql, lease
        self.nets = dict(zip(("mongodb", "postgresql"), nets, strict=True))
        self.config = folder / "syncline.toml"
        self.urls = {
            "MONGODB_URL": f"mongodb://127.0.0.1:{nets[0].port}/{DATABASE}?directConnection=true",
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{nets[1].port}/postgres?sslmode=disable&gssencmode=disable",
        }
        self.config.write_text(DECLARED.format(columns=COLUMNS))
        self.client: MongoClient[Any] = MongoClient(mongodb.url, serverSelectionTimeoutMS=60_000)

    def start(self) -> None:
        """Make the tables, the indexes, and the documents that everybody writes; install."""
        with self.connected() as connection:
            for statement in schema(load_documents(self.config, self.urls).mappings):
                connection.execute(statement)
        install = self.process("install")
        install.start("install", "--yes", *self.options)
        if install.wait(120) != 0:
            raise AssertionError(install.last_words())
        cards = wrap(self.database.get_collection(NAME, write_concern=DURABLE))
        cards.bare.create_index("code", unique=True, partialFilterExpression={"code": {"$exists": True}})
        cards.insert_many([{"_id": key, **dict.fromkeys(NUMBERS, 0)} for key in shared()])

    @property
    def database(self) -> Any:
        """MongoDB's database, past the network."""
        return self.client[DATABASE]

    @property
    def options(self) -> tuple[str, ...]:
        return ("--config", str(self.config))

    def connected(self) -> psycopg.Connection[Any]:
        """Connect to PostgreSQL past the network."""
        return psycopg.connect(self.postgresql.url, autocommit=True, connect_timeout=5)

    def process(self, name: str, program: str = PROGRAM) -> Process:
        """Prepare one; what PostgreSQL has not taken is tried again at once."""
        given = {"SYNCLINE_CHAOS_JITTER": "0.03", "DUAL_WRITE_RETRY_DELAY": "0.2", "DUAL_WRITE_ENABLED": ""}
        return Process(name, self.folder, program, self.urls | given)

    # -- what is there

    def documents(self) -> dict[str, dict[str, Any]]:
        """Read the documents as they are stored; tombstones are none, and those of the way back stay for a while."""
        return {one["_id"]: one for one in self.database[NAME].find({"_sync.deleted": {"$exists": False}})}

    def waiting(self) -> int:
        """Count what is to be carried: marks, tombstones too, documents that nobody has adopted, and rows on the way back."""
        found = int(self.database[NAME].count_documents({"$or": [MARKED, {"_sync": {"$exists": False}}]}))
        return found + (len(self.listed(BACK)) if self.listed(WAY_BACK) else 0)

    def phase(self) -> str:
        """Read the phase where it has its truth."""
        said = self.database["syncline_phases"].find_one({"_id": "phases"}) or {}
        return next((str(one["phase"]) for one in said.get("collections", ()) if one["name"] == NAME), "off")

    def listed(self, query: str) -> list[str]:
        """Read a column of texts from PostgreSQL."""
        with self.connected() as connection:
            return [text for (text,) in connection.execute(query.encode())]


@contextlib.contextmanager
def scene(seed: int, *, lease: float) -> Iterator[Scene]:
    """Make one; what it wrote down is there until the end."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(engines.scratch_folder())
        mongodb = stack.enter_context(engines.running_mongo())
        postgresql = stack.enter_context(engines.running_postgres())
        sockets = (mongodb._socket, socket_of(postgresql))
        nets = [stack.enter_context(Proxy(socket, seed=seed, delay=0.02)) for socket in sockets]
        made = Scene(folder, mongodb, postgresql, nets, lease=lease)
        stack.callback(made.client.close)
        made.start()
        yield made
