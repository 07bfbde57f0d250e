"""``syncline doctor``: look everywhere for what goes wrong in practice, before it does. It reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from syncline.config import Settings
from syncline.errors import (
    NotInstalledError,
    PoolerError,
    PrivilegeError,
    SourceError,
    SourceUnavailableError,
    UnsuitableSourceError,
    VersionError,
)
from syncline.insight import reach
from syncline.insight.checks import capture, cockroach, examine_target, indexes, readers, server, sides, work
from syncline.insight.checks.finding import Finding, Level, Subject, critical, ok
from syncline.insight.checks.replica import replica
from syncline.insight.examination import Check, Examination, examination, lost, unchecked
from syncline.journal.migration import SCHEMA_VERSION
from syncline.ports import ConfiguredTarget
from syncline.postgres.catalog import read_named
from syncline.postgres.connection import translated
from syncline.postgres.dialect import on_cockroach


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


async def diagnose(settings: Settings, target_: ConfiguredTarget) -> Diagnosis:
    """Run every check that can be run; what cannot be reached is itself a finding. Neither side is changed."""
    reached, at_target = await examine_target.examine(target_, settings)
    both = [*sides.checks(target_), *examine_target.both_sides(target_)] if reached else []
    found = await _source(settings, both) + at_target
    return Diagnosis(sorted(found, key=lambda finding: -finding.level))


async def _source(settings: Settings, both: Sequence[Check]) -> list[Finding]:
    try:
        async with examination(settings) as examined:
            return await _examine(examined, both)
    except PoolerError as error:
        return [critical("pooler", error.message, why="nothing else can be looked at", fix=error.hint or "")]
    except UnsuitableSourceError as error:
        return [critical("postgresql", error.message, why="nothing can be installed in it", fix=error.hint or "")]
    except SourceUnavailableError as error:
        return [lost(error)]


async def _examine(examined: Examination, both: Sequence[Check]) -> list[Finding]:
    async def catalog(subject: Subject) -> list[Finding]:
        tables = [t for e in subject.entities for t in (e.table, *(embed.table for embed in e.embeds))]
        with translated():
            examined.subject = replace(subject, looked=await read_named(subject.connection, tables))
        return []

    cockroachdb = on_cockroach(examined.subject.connection)
    found = await examined.run([server.pooler, installation, catalog])
    found += await examined.run(
        cockroach.CHECKS
        if cockroachdb
        else [*server.CHECKS, replica, *capture.CHECKS, *indexes.CHECKS, *readers.CHECKS]
    )
    installed = [*(cockroach.INSTALLED_CHECKS if cockroachdb else (*capture.INSTALLED_CHECKS, *work.CHECKS)), *both]
    level = max((one.level for one in found if one.check == "installation"), default=Level.CRITICAL)
    if level is Level.OK:
        found += await examined.run(installed)
    elif level is Level.WARNING:  # nobody knows whether our tables are there
        why = SourceError("Syncline's tables were not looked at", hint="see the check of the installation")
        found += [unchecked(check.__name__.replace("_", " "), why) for check in installed]
    return found


async def installation(subject: Subject) -> list[Finding]:
    """See that our tables are there, of this package's version."""
    why = "changes are not captured"
    try:
        await reach.check_installed(subject.connection)
    except NotInstalledError as error:
        return [critical("installation", error.message, why=why, fix="syncline install")]
    except VersionError as error:
        return [critical("installation", error.message, why=why, fix=error.hint or "syncline install")]
    except PrivilegeError as error:
        fix = f"syncline install --worker-role {subject.connection.info.user}  # as the role that installed before"
        return [critical("installation", error.message, why="a worker under this role would stop", fix=fix)]
    return [ok("installation", f"installed, schema {SCHEMA_VERSION}")]
