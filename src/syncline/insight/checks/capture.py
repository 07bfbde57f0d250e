"""Whether every change is captured, and whether the worker can read what it must."""

from __future__ import annotations

from syncline.capture.install import InstallOptions, plan
from syncline.errors import MappingError, PrivilegeError
from syncline.insight import reach
from syncline.insight.checks.finding import Finding, Patient, critical, ok, warning
from syncline.model.mapping import Projection
from syncline.outbox.registry import check, installed

_EVENTS = {4: "INSERT", 8: "DELETE", 16: "UPDATE"}
_TRUNCATE = 32


async def mapping(patient: Patient) -> list[Finding]:
    """Compile each entity against its tables; name columns that appeared since."""
    found: list[Finding] = []
    for entity in patient.entities:
        missing = [t for t in (entity.table, *(e.table for e in entity.embeds)) if t not in patient.shapes]
        if missing:
            found.append(
                critical(
                    "mapping",
                    f"{entity.name}: there is no table {reach.names(missing)}",
                    why="the entity cannot be read",
                    fix=f"correct [entities.{entity.name}] in the configuration",
                )
            )
            continue
        try:
            projection = Projection(entity, patient.shapes[entity.table], patient.shapes)
        except MappingError as error:
            fix = error.hint or f"correct [entities.{entity.name}] in the configuration"
            found.append(critical("mapping", error.message, why="no record of it can be synced", fix=fix))
            continue
        found += _unmapped(entity.name, str(entity.table), projection.unmapped)
        for embed in projection.embeds:
            found += _unmapped(f"{entity.name}.embed.{embed.embed.field}", str(embed.embed.table), embed.unmapped)
    return found or [ok("mapping", f"{len(patient.entities)} entities fit their tables, every column is mapped")]


def _unmapped(path: str, table: str, columns: tuple[str, ...]) -> list[Finding]:
    if not columns:
        return []
    return [
        warning(
            "mapping",
            f"{table} has columns that are neither included nor excluded: {reach.names(columns)}",
            why="they were added after `include` was written; the target does not have them",
            fix=f"add them to `include` or `exclude` of [entities.{path}], then `syncline install`",
        )
    ]


async def triggers(patient: Patient) -> list[Finding]:
    """See that each table has its triggers, and that nothing puts them to sleep."""
    if patient.settings.source.capture != "triggers":
        return [ok("triggers", "not used: changes are captured in the SQLAlchemy session")]
    found: list[Finding] = []
    for row in await reach.rows(patient.connection, "capture_triggers", tables=patient.table_oids):
        lacking = [name for bit, name in _EVENTS.items() if not row["events"] & bit]
        if not row["partition"] and not row["events"] & _TRUNCATE:
            lacking.append("TRUNCATE")
        if row["asleep"]:
            found.append(
                critical(
                    "triggers",
                    f"{row['name']}: {reach.names(row['asleep'])} not enabled ALWAYS",
                    why="changes under session_replication_role = replica (restores, replication) are not captured",
                    fix=" ".join(
                        f'ALTER TABLE {row["name"]} ENABLE ALWAYS TRIGGER "{name}";' for name in row["asleep"]
                    ),
                )
            )
        elif lacking:
            found.append(
                critical(
                    "triggers",
                    f"{row['name']}: {', '.join(lacking)} is not captured",
                    why="such changes never reach the target",
                    fix="syncline install, then syncline verify",
                )
            )
    return found or [ok("triggers", f"present and always enabled on {len(patient.shapes)} tables")]


async def privileges(patient: Patient) -> list[Finding]:
    """See that this role may do what a worker does."""
    lacking = await reach.rows(patient.connection, "lacking_privileges", tables=patient.table_oids)
    if not lacking:
        return [ok("privileges", "this role may do what a worker does")]
    return [
        critical(
            "privileges",
            f"this role lacks {reach.names([row['lacks'] for row in lacking])}",
            why="a worker under this role would stop",
            fix="syncline install --worker-role ROLE, or: " + " ".join(row["fix"] for row in lacking[:5]),
        )
    ]


async def row_security(patient: Patient) -> list[Finding]:
    """See that no policy hides rows from this role."""
    filtered = await reach.rows(patient.connection, "filtered_tables", tables=patient.table_oids)
    if not filtered:
        return [ok("row security", "hides nothing from this role")]
    role = patient.connection.info.user
    return [
        critical(
            "row security",
            f"policies filter {reach.names([row['name'] for row in filtered])} for this role",
            why="hidden rows would be taken for deleted; the worker therefore refuses to read",
            fix=f'ALTER ROLE "{role}" BYPASSRLS;',
        )
    ]


async def configuration(patient: Patient) -> list[Finding]:
    """Compare what is configured with what is installed, down to each trigger and function."""
    why, fix = "what is captured is not what is configured", "syncline install"
    differences = check(patient.entities, await installed(patient.connection))
    if differences:
        texts = [difference.removesuffix("; run `syncline install`") for difference in differences]
        return [warning("configuration", text, why=why, fix=fix) for text in texts]
    source = patient.settings.source
    try:
        drift = await plan(
            patient.connection, patient.entities, InstallOptions(capture=source.capture, wake=source.wake)
        )
    except PrivilegeError:
        return [ok("configuration", "is what is installed (this role may not look at triggers and functions)")]
    if drift.statements:
        return [warning("configuration", f"`syncline install` would: {reach.names(drift.summary)}", why=why, fix=fix)]
    return [ok("configuration", "is what is installed")]


CHECKS = (mapping, privileges, row_security)
INSTALLED_CHECKS = (configuration, triggers)
