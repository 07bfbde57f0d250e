"""``syncline doctor``: look everywhere for what goes wrong in practice, before it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from syncline.config import Settings
from syncline.errors import MappingError, NotInstalledError, SourceUnavailableError, SynclineError, VersionError
from syncline.insight import reach
from syncline.insight.checks import capture, cockroach, server, target, work
from syncline.insight.checks.finding import Finding, Level, Patient, critical, ok, warning
from syncline.model.entity import Entity, Shape, TableName
from syncline.outbox.catalog import read_shape
from syncline.outbox.connection import Connection
from syncline.outbox.dialect import on_cockroach
from syncline.outbox.registry import SCHEMA_VERSION
from syncline.targets.mongo import MongoTarget

Check = Callable[[Patient], Awaitable[list[Finding]]]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, the worst first."""

    findings: Sequence[Finding]

    @property
    def level(self) -> Level:
        """The worst of them: also the exit status."""
        return max((finding.level for finding in self.findings), default=Level.OK)

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        return {"level": self.level.name.lower(), "findings": [finding.as_dict() for finding in self.findings]}


async def diagnose(settings: Settings, target_: MongoTarget) -> Diagnosis:
    """Run every check that can be run; what cannot be reached is itself a finding."""
    try:
        async with reach.source(settings.source.url, purpose="doctor", installed=False) as connection:
            installation, found = await _source(settings, connection)
    except SourceUnavailableError as error:
        installation = None
        why = "nothing is captured or applied while the source is down"
        found = [critical("source", error.message, why=why, fix=error.hint or "check `url` of [source]")]
    found += await target.examine(target_, settings.entities, installation)
    return Diagnosis(sorted(found, key=lambda finding: -finding.level))


async def _source(settings: Settings, connection: Connection) -> tuple[str | None, list[Finding]]:
    installation, findings = await _installed(connection)
    shapes = await _shapes(connection, settings.entities)
    patient = Patient(settings, connection, installation is not None, settings.entities, shapes)
    checks: list[Check] = [*server.CHECKS, *capture.CHECKS]
    installed: list[Check] = [*capture.INSTALLED_CHECKS, *work.CHECKS]
    if on_cockroach(connection):
        checks, installed = [*cockroach.CHECKS], [*cockroach.INSTALLED_CHECKS]
    if patient.installed:
        checks += installed
    for check in checks:
        findings += await _run(check, patient)
    return installation, findings


async def _installed(connection: Connection) -> tuple[str | None, list[Finding]]:
    why = "changes are not captured"
    try:
        await reach.check_installed(connection)
    except NotInstalledError as error:
        return None, [critical("installation", error.message, why=why, fix="syncline install")]
    except VersionError as error:
        return None, [critical("installation", error.message, why=why, fix=error.hint or "syncline install")]
    except SynclineError as error:
        return None, [critical("installation", error.message, why=why, fix="syncline install --worker-role ROLE")]
    row = await reach.query(connection, "SELECT installation::text AS installation FROM syncline.meta")
    return row[0]["installation"], [ok("installation", f"installed, schema {SCHEMA_VERSION}")]


async def _shapes(connection: Connection, entities: Sequence[Entity]) -> dict[TableName, Shape]:
    shapes: dict[TableName, Shape] = {}
    for table in {t: None for e in entities for t in (e.table, *(embed.table for embed in e.embeds))}:
        try:
            shapes[table] = await read_shape(connection, table)
        except MappingError:
            continue  # the check of the mapping says so
    return shapes


async def _run(check: Check, patient: Patient) -> list[Finding]:
    name = check.__name__.replace("_", " ")
    try:
        async with asyncio.timeout(20):
            return await check(patient)
    except (SynclineError, psycopg.Error, TimeoutError) as error:
        reason = (str(error).strip() or "it took too long").splitlines()[0]
        return [warning(name, f"could not be checked: {reason}", why="something may hide here", fix="see the reason")]
