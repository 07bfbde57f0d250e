"""The checks of ``syncline db doctor``: each named database, one after the other, and all of them together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from syncline.errors import ConfigError, NamedDatabaseError, SynclineError
from syncline.insight.checks.finding import Finding, Level, critical, ok, warning
from syncline.postgres import poolers
from syncline.postgres.lent import Pooling, SourceConnection
from syncline.split.address import Address
from syncline.split.connecting import told
from syncline.split.database import Database
from syncline.split.databases import Databases
from syncline.split.examination import Seen, compare, look
from syncline.split.names import Name

_LOOPBACK = ("localhost", "127.", "::1", "[::1]", "/")


@dataclass(frozen=True, slots=True)
class Report:
    """What was found of one database; of all together under the name ``all``."""

    name: str
    findings: tuple[Finding, ...]
    seen: Seen | None = None
    pooling: Pooling | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        shown: dict[str, Any] = {"name": self.name, "findings": [finding.as_dict() for finding in self.findings]}
        if self.seen is not None:
            shown |= {
                "variable": self.seen.address.called,
                "place": self.seen.address.place,
                "version": self.seen.version,
                "role": self.seen.role,
                "tls": self.seen.tls,
                "latency_ms": round(self.seen.latency_seconds * 1000, 2),
                "pooler": str(self.pooling) if self.pooling else None,
                "pool_size": self.seen.address.pool_size,
                "free_connections": self.seen.free,
            }
        return shown


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found."""

    split: bool
    reports: tuple[Report, ...] = field(default=())

    @property
    def level(self) -> Level:
        """The worst of it; also the exit status."""
        return max((finding.level for report in self.reports for finding in report.findings), default=Level.OK)

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        return {
            "mode": "split" if self.split else "single",
            "level": self.level.name.lower(),
            "databases": [report.as_dict() for report in self.reports],
        }


async def examine(databases: Databases) -> Examination:
    """Look at each database; in single mode the one is looked at once for each name."""
    reports = [await _examine(database, databases) for database in databases]
    seen = {report.name: report.seen for report in reports if report.seen is not None}
    if databases.split:
        reports.append(Report("all", tuple(_together(seen, databases))))
    return Examination(databases.split, tuple(reports))


async def _examine(database: Database, databases: Databases) -> Report:
    try:
        seen = await asyncio.to_thread(look, database.address)
        pooling = await mode(database.address)
    except NamedDatabaseError as error:
        return Report(database.name, (_unreachable(error),))
    owned = list(databases.routing.ownership.owned(database.name))
    findings = [*_server(seen), _tls(seen), *_pooler(seen, pooling), _connections(seen), *_rights(seen, owned)]
    return Report(database.name, (*findings, *await _direct(database, seen)), seen, pooling)


async def mode(address: Address) -> Pooling:
    """Find out whether a pooler lends the sessions, and how.

    Raises:
        NamedDatabaseError: no connection can be opened.

    """
    options = {**address.arguments(), "prepare_threshold": None}

    async def opened() -> SourceConnection:
        return await SourceConnection.connect(address.conninfo, autocommit=True, **options)

    began = time.monotonic()
    with told(address):
        first = await opened()
    try:
        _, found = await poolers.examine(first, began)
        return found or await poolers.mode_of(first, opened)
    finally:
        await first.close()


def _unreachable(error: SynclineError) -> Finding:
    return critical(
        "connection", error.message, why="nothing that lives there works", fix=error.hint or "correct the URL"
    )


def _server(seen: Seen) -> Iterator[Finding]:
    if not seen.product.startswith("PostgreSQL"):
        yield critical("server", seen.product, why="named databases are PostgreSQL only", fix="use PostgreSQL")
    elif seen.standby:
        yield critical(
            "server",
            f"PostgreSQL {seen.version} at {seen.address.place} is a standby",
            why="nothing can be written there",
            fix="point the URL at the primary (libpq: target_session_attrs=read-write)",
        )
    else:
        yield ok("server", f"PostgreSQL {seen.version} at {seen.address.place}, as {seen.role}")
    yield ok(
        "latency", f"{seen.latency_seconds * 1000:.1f} ms a round trip, {seen.connect_seconds * 1000:.0f} ms to connect"
    )


def _tls(seen: Seen) -> Finding:
    host = seen.address.place.rpartition(" at ")[2]
    if seen.tls:
        return ok("TLS", "the connection is encrypted")
    if seen.socket or host.startswith(_LOOPBACK):
        return ok("TLS", "none; the connection does not leave this machine")
    return warning(
        "TLS",
        f"the connection to {host} is not encrypted",
        why="passwords and rows can be read on the way",
        fix=f"add sslmode=require (or verify-full and sslrootcert=…) to {seen.address.called}",
    )


def _pooler(seen: Seen, found: Pooling) -> Iterator[Finding]:
    called = seen.address.called
    if found is Pooling.STATEMENT:
        yield critical(
            "pooler",
            "a pooler in statement mode: it allows no transactions",
            why="every session of the application fails",
            fix="set pool_mode = transaction in the pooler",
        )
    elif found is Pooling.TRANSACTION and not seen.address.pooled:
        yield critical(
            "pooler",
            f"a pooler in transaction mode, of which {called} does not say",
            why="prepared statements and a session's settings meet other clients: a statement fails at its sixth run",
            fix=f"add pgbouncer=true to {called}",
        )
    elif found is Pooling.TRANSACTION:
        yield ok("pooler", "in transaction mode, as pgbouncer=true says")
    else:
        kept = "; pgbouncer=true is kept to: no statement is prepared" if seen.address.pooled else ""
        yield ok("pooler", ("none" if found is Pooling.NONE else "in session mode") + kept)


def _connections(seen: Seen) -> Finding:
    size = seen.address.pool_size
    if seen.address.pooled:
        return ok(
            "connections", f"a pool of {size}; how many the server still has, the pooler decides ({seen.free} now)"
        )
    if size > seen.free:
        return warning(
            "connections",
            f"a pool of {size}, and the server has {seen.free} connections left for this role",
            why="when they are needed they are refused",
            fix=f"lower connection_limit=… of {seen.address.called}, or raise max_connections",
        )
    return ok("connections", f"a pool of {size} a process; the server has {seen.free} left")


def _rights(seen: Seen, owned: list[Name]) -> Iterator[Finding]:
    missing = [str(name) for name in owned if name not in seen.tables]
    lacking = {str(name): seen.tables[name] for name in owned if seen.tables.get(name)}
    if missing:
        yield warning(
            "tables",
            f"{', '.join(missing[:5])}: not in this database",
            why="statements on them come here, and fail",
            fix="run the migrations, or correct `tables` in the configuration",
        )
    for table, privileges in list(lacking.items())[:5]:
        wanted = ", ".join(privileges)
        yield warning(
            "rights",
            f"{seen.role} may not {wanted} on {table}",
            why="such statements of the application fail",
            fix=f"GRANT {wanted} ON {table} TO {seen.role};",
        )
    if owned and not missing and not lacking:
        yield ok("rights", f"{seen.role} may read and write all {len(owned)} known tables")


async def _direct(database: Database, seen: Seen) -> list[Finding]:
    try:
        address = database.direct_address
        if address.conninfo == seen.address.conninfo:
            return []
        other, found = await asyncio.to_thread(look, address), await mode(address)
    except (NamedDatabaseError, ConfigError) as error:
        return [
            warning(
                "direct URL",
                error.message,
                why="migrations, dumps and LISTEN cannot do their work",
                fix=error.hint or "correct it",
            )
        ]
    if not other.identity.is_same(seen.identity):
        said = f"{address.called} leads to another database ({address.place})"
        return [critical("direct URL", said, why="migrations would change that one", fix=f"correct {address.called}")]
    if found in (Pooling.TRANSACTION, Pooling.STATEMENT):
        said = f"{address.called} leads through a pooler, too"
        return [
            warning(
                "direct URL", said, why="locks of a session and LISTEN are lost there", fix=f"correct {address.called}"
            )
        ]
    return [ok("direct URL", f"{address.called} leads to the same database, past the pooler")]


def _together(seen: Mapping[str, Seen], databases: Databases) -> Iterator[Finding]:
    try:
        compare(seen, databases.routing.ownership)
    except NamedDatabaseError as error:
        yield critical("databases", error.message, why="rows go where they do not belong", fix=error.hint or "")
    else:
        if len(seen) > 1:
            yield ok("databases", f"{' and '.join(seen)} are different databases")
