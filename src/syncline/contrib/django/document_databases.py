"""The manager of a project that moves from MongoDB to PostgreSQL: both databases, and repositories over them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from psycopg_pool import ConnectionPool
from pymongo import MongoClient
from pymongo.database import Database

from syncline.breaker import CircuitBreaker
from syncline.capture.documents import MarkedCollection, wrap
from syncline.capture.documents.gate import GateOf
from syncline.config.documents import Documents, load_documents
from syncline.config.dual_write import DualWriteSettings
from syncline.config.urls import database_of
from syncline.contrib.django.document_connections import SHADOW_READS, Beside, Connections
from syncline.contrib.django.postgres_variables import postgres_url
from syncline.documents.installing import install, plan
from syncline.documents.opening import opened
from syncline.engines.mongo.marked import translated
from syncline.engines.mongo.writes import DURABLE
from syncline.errors import ConfigError
from syncline.forking import after_fork
from syncline.model.documents import DocumentMapping
from syncline.phases import FixedPhases, JournalPhases, Phases, phase_named
from syncline.phases.document_standings import DocumentStandings
from syncline.phases.dual_write.blocking import DualWriteService
from syncline.phases.repositories import AbstractRepository, phased
from syncline.phases.repositories.dual import DualWrites
from syncline.phases.repositories.phased import REST, ShadowReader
from syncline.phases.repositories.written import DocumentWriter
from syncline.phases.shadow import BlockingShadowReads, Rules

if TYPE_CHECKING:
    from syncline.telemetry.metrics import AppMetrics

R = TypeVar("R", bound=AbstractRepository)
MONGODB_SECONDS = 5


class DocumentDatabases:
    """Both databases of the declared collections. Nothing connects before it is needed: a server may fork before.

    Args:
        documents: what ``syncline.toml`` declares, with MongoDB's URL.
        postgres: URL of PostgreSQL.
        phases: how far each collection has come; by default as both databases say, and every process follows.
        shadow: compares reads; by default all. The counts of its report are the evidence of a step.
        writer: makes the writes of documents while MongoDB is the truth; by default the dual write service.
        masked: by collection (``*``: all), paths whose values no shadow read reports.
        pool_size: connections with PostgreSQL of a process; shadow reads have four of their own.
        answer_seconds: of an answer of PostgreSQL; then its connection is closed, and in a ramp MongoDB answers.
        env: the environment: ``DUAL_WRITE_*``.
        metrics: counts shadow reads for Prometheus; the view ``metrics`` shows it.

    Raises:
        ConfigError: ``masked`` beside a ``shadow`` of one's own, which has its own rules.

    """

    def __init__(
        self,
        documents: Documents,
        postgres: str,
        *,
        phases: Phases | None = None,
        shadow: ShadowReader | None = None,
        writer: DocumentWriter | None = None,
        masked: Mapping[str, Sequence[str]] = MappingProxyType({}),
        pool_size: int = 8,
        answer_seconds: float = 5.0,
        env: Mapping[str, str] = os.environ,
        metrics: AppMetrics | None = None,
    ) -> None:
        self.documents, self.postgres, self.metrics = documents, postgres, metrics
        self._phases, self._writer = phases, writer
        self._env = env
        if shadow is not None and masked:
            raise ConfigError("masked= is for the shadow reads of the manager", hint="give it to the Rules of your own")
        rules, standings = Rules(at_once=SHADOW_READS, masked=masked), DocumentStandings(documents)
        self.shadow = Beside(shadow or BlockingShadowReads(rules, standings=standings))
        if metrics is not None and self.shadow.report is not None:
            self.shadow.report.counter = metrics
        self._connections = Connections(postgres, pool_size, answer_seconds)
        self._service: DualWriteService | None = None
        self._breaker = CircuitBreaker(REST.total_seconds())
        self._lock = threading.Lock()
        after_fork(self._forked)

    def _forked(self) -> None:
        self._lock = threading.Lock()

    @classmethod
    def from_environment(
        cls,
        file: Path,
        env: Mapping[str, str] = os.environ,
        *,
        shadow: ShadowReader | None = None,
        masked: Mapping[str, Sequence[str]] = MappingProxyType({}),
        metrics: AppMetrics | None = None,
    ) -> Self:
        """Read ``syncline.toml``, ``MONGODB_URL`` and ``POSTGRES_*``.

        ``syncline phase`` changes the phases; ``DUAL_WRITE_ENABLED`` has new collections begin in ``dual_write``. For
        tests, ``SYNCLINE_PHASE`` fixes the phase of all, ``SYNCLINE_RAMP_PERCENT`` how much of a ramp reads PostgreSQL.

        Raises:
            ConfigError: the file or a variable is not right.

        """
        given = {**env, "DATABASE_URL": postgres_url(env)}
        documents, phases = load_documents(file, given), _phases(env)
        options: dict[str, Any] = {"phases": phases, "shadow": shadow, "masked": masked, "metrics": metrics}
        return cls(documents, given["DATABASE_URL"], **options, env=env)

    @property
    def env(self) -> Mapping[str, str]:
        """The environment that was given."""
        return self._env

    @property
    def phases(self) -> Phases:
        """How far each collection has come; followed from the first question on."""
        with self._lock:
            if self._phases is None:
                source = self.documents.url("source")
                self._phases = JournalPhases(source, self.postgres, report=self.shadow.report, env=self._env).start()
            return self._phases

    @property
    def service(self) -> DualWriteService:
        """The dual write service of this process."""
        phases = self.phases
        with self._lock:
            if self._service is None:
                settings = DualWriteSettings.from_environment(self._env)
                self._service = DualWriteService(self.documents, phases=phases, settings=settings)
            return self._service

    @cached_property
    def client(self) -> MongoClient[Any]:
        """MongoDB's client."""
        limit = MONGODB_SECONDS * 1000
        return MongoClient(
            self.documents.url("source"), connect=False, serverSelectionTimeoutMS=limit, connectTimeoutMS=limit
        )

    @property
    def mongodb(self) -> Database[Any]:
        """MongoDB's database; its writes are durable."""
        name = database_of(self.documents.url("source"))
        if not name:
            raise ConfigError("MONGODB_URL names no database", hint="end it in /NAME: mongodb://host:27017/shop")
        return self.client.get_database(name, write_concern=DURABLE)

    @property
    def pool(self) -> ConnectionPool[Any]:
        """Connections with PostgreSQL; opened with the first that is needed."""
        return self._connections.pool()

    def mapping(self, collection: str) -> DocumentMapping:
        """Give the mapping of a collection.

        Raises:
            ConfigError: it is not declared.

        """
        return self.documents.only([collection]).mappings[0]

    def collection(self, name: str) -> MarkedCollection:
        """Give a collection whose writes mark, and ask MongoDB's gate."""
        return wrap(self.mongodb[name], gate=GateOf(lambda: self.phases))

    def repository(self, mongodb: type[R], postgresql: type[R]) -> R:
        """Make the repository of two classes over the same collection: the phase says which one is asked."""
        mapping = self.mapping(mongodb.collection_name)
        over: Any = (mongodb, postgresql)
        first: R = over[0](self.collection(mongodb.collection_name), mapping)
        second: R = over[1](self, mapping)
        phases, writer = self.phases, self._writer or DualWrites(self.service)
        return phased(first, second, phases, shadow=self.shadow, writer=writer, breaker=self._breaker)

    def connection(self, timeout: float | None = None) -> Any:
        """Lend a connection with PostgreSQL for a block: what a repository asks of a pool."""
        return self._connections.lent(timeout)

    def prepare(self) -> None:
        """Create the indexes of MongoDB: of the marks, and those that the declaration names; once is enough.

        Raises:
            SourceError: MongoDB does not answer, or refuses an index, as a unique one of values that are there twice.

        """
        with translated():
            for mapping in self.documents.mappings:
                _prepare(wrap(self.mongodb[mapping.collection.name]), mapping)

    def install(self) -> list[str]:
        """Install what carries documents on both sides, once the tables are there; tell what was done.

        Raises:
            UnsuitableTargetError: the tables are not as declared.
            ForeignTargetError: the rows are of another MongoDB's documents.
            SourceUnavailableError, TargetUnavailableError: a side does not answer.

        """
        self.prepare()
        return asyncio.run(_installed(self.documents))

    def close(self) -> None:
        """Close what is open."""
        self.shadow.close()
        if "client" in self.__dict__:
            self.__dict__.pop("client").close()
        with self._lock:
            if self._service is not None:
                self._service.close()
                self._service = None
            if isinstance(self._phases, JournalPhases):
                self._phases.close()
                self._phases = None
        self._connections.close()


def _prepare(collection: MarkedCollection, mapping: DocumentMapping) -> None:
    collection.prepare_marks()
    for column in mapping.tables[0].columns:
        if column.field.unique:
            only = {column.path: {"$exists": True}}
            collection.create_index(column.path, unique=True, partialFilterExpression=only)
        elif column.field.index or column.field.references:
            collection.create_index(column.path)


async def _installed(documents: Documents) -> list[str]:
    async with opened(documents) as link:
        wanted = await plan(link)
        if wanted.changes:
            await install(link, wanted)
        return wanted.summary


def _phases(env: Mapping[str, str]) -> Phases | None:
    if not (phase := env.get("SYNCLINE_PHASE")):
        return None
    percent = env.get("SYNCLINE_RAMP_PERCENT") or "0"
    try:
        return FixedPhases(phase_named(phase), percent=float(percent))
    except ValueError:
        raise ConfigError(f"SYNCLINE_RAMP_PERCENT = {percent!r} is no number from 0 to 100") from None
