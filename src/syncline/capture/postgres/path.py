"""Under which ``search_path`` the SQL of the configuration is evaluated: recorded by the installation, tried here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, sql

from syncline.capture.postgres.expressions import check_expressions, expressions
from syncline.capture.postgres.install_plan import InstallPlan
from syncline.capture.postgres.plan import Wanted
from syncline.capture.postgres.state import read
from syncline.errors import MappingError
from syncline.journal.migration import SchemaVersion
from syncline.postgres.sql import ours

NUMBER = 4
"""The migration that made a place for it."""


@dataclass(frozen=True, slots=True)
class Path:
    """The path that shall be in force, and the one that is recorded."""

    wanted: str
    recorded: str | None


async def plan_path(
    conn: AsyncConnection[Any],
    plan: InstallPlan,
    declared: Sequence[str],
    version: SchemaVersion | None,
    wanted: Sequence[Wanted],
) -> Path:
    """Choose the path and try every expression under it.

    Args:
        conn: to the source.
        plan: gets the warnings.
        declared: what the configuration says; empty: what is recorded, at first that of this role.
        version: of our schema; ``None``: there is none yet.
        wanted: the entities.

    Raises:
        MappingError: an expression does not fit, or reads other rows than its own.

    """
    own = str((await read(conn, "path"))[0]["own"])
    recorded = None
    if version is not None and NUMBER in version.applied:
        recorded = (await read(conn, "recorded_path"))[0]["recorded"]
    quoted = ", ".join(sql.Identifier(schema).as_string(None) for schema in declared)
    path = Path(quoted or (own if recorded is None else recorded), recorded)
    await _refuse_missing(conn, declared)
    found = [one for entity in wanted for one in expressions(entity.projection)]
    plan.warnings += await check_expressions(conn, found, path.wanted)
    if found and not declared and path.wanted != own:
        plan.warnings.append(
            f"where and computed fields are evaluated under the search_path {path.wanted!r}, as recorded by the first "
            f"installation; this role's is {own!r}: `search_path` in [source] changes it"
        )
    return path


async def _refuse_missing(conn: AsyncConnection[Any], declared: Sequence[str]) -> None:
    missing = (
        [row["name"] for row in await read(conn, "missing_schemas", {"names": list(declared)})] if declared else []
    )
    if missing:
        raise MappingError(f"search_path of [source]: there is no schema {', '.join(missing)}", hint="create it first")


def record_path(plan: InstallPlan, path: Path) -> None:
    """Add the statement that records it, and what follows from a change."""
    if path.wanted == path.recorded:
        return
    said = None if path.recorded is None else f"where and computed fields: search_path is {path.wanted} now"
    plan.add(
        said, sql.SQL(ours("/* syncline */ UPDATE syncline.meta SET search_path = {}")).format(sql.Literal(path.wanted))
    )
