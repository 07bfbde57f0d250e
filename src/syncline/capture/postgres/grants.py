"""Grants for roles with few rights: the worker's, and writers' that mark by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, sql

from syncline.capture.postgres.install_plan import InstallPlan
from syncline.capture.postgres.state import read, read_role
from syncline.errors import PrivilegeError
from syncline.model.link import current
from syncline.postgres.sql import ours

_READ_BY_WRITERS = ("meta", "entity", "outbox", "block", "parked", "task")


def read_by_writers() -> list[str]:
    """Name the tables that writers read who mark by themselves."""
    return [f"{current().schema}.{name}" for name in _READ_BY_WRITERS]


async def plan_grants(
    conn: AsyncConnection[Any],
    plan: InstallPlan,
    tables: Sequence[int],
    *,
    whole: bool,
    worker: str | None,
    writer: str | None,
) -> None:
    """Add what the roles lack.

    A worker gets USAGE on our schema, SELECT, INSERT, UPDATE and DELETE on our tables, and SELECT on the synced ones.
    A writer gets USAGE on our schema, where it may call ``mark()``, and SELECT on what the session hook and
    read-your-writes look at; it may change nothing.

    Raises:
        PrivilegeError: there is no such role.

    """
    for role in dict.fromkeys(role for role in (worker, writer) if role is not None):
        if await read_role(conn, role) is None:
            raise PrivilegeError(f"there is no role {role}", hint="create it, or name another one")
        lacks = (await _lacks(conn, role)) if whole else {"schema": True, "own": True, "reads": True}
        if lacks["schema"]:
            plan.add(
                f"grant usage on schema {current().schema} to {role}", _grant(ours("USAGE ON SCHEMA syncline"), role)
            )
        if role == worker and lacks["own"]:
            plan.add(
                f"grant our tables to {role}",
                _grant(ours("SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA syncline"), role),
                _grant(ours("SELECT, USAGE ON ALL SEQUENCES IN SCHEMA syncline"), role),
                _grant(ours("EXECUTE ON FUNCTION syncline.rotate_history(interval)"), role),
            )
        if role == writer and lacks["reads"]:
            tables_ = ", ".join(read_by_writers())
            plan.add(f"grant {role} to read {tables_}", _grant(f"SELECT ON {tables_}", role))
    if worker is not None:
        await _grant_tables(conn, plan, tables, worker)


async def _lacks(conn: AsyncConnection[Any], role: str) -> dict[str, Any]:
    return (await read(conn, "grants", {"role": role, "read": read_by_writers()}))[0]


async def _grant_tables(conn: AsyncConnection[Any], plan: InstallPlan, tables: Sequence[int], role: str) -> None:
    schemas = set()
    for row in await read(conn, "table_grants", {"role": role, "tables": list(tables)}):
        if row["usage"] and row["schema"] not in schemas:
            schemas.add(row["schema"])
            grant = sql.SQL("/* syncline */ GRANT USAGE ON SCHEMA {} TO {}")
            note = _note(role, row["schema"])
            plan.add(None, grant.format(sql.Identifier(row["schema"]), sql.Identifier(role)), note)
        if row["read"]:
            grant = sql.SQL("/* syncline */ GRANT SELECT ON {} TO {}")
            table = sql.Identifier(row["schema"], row["name"])
            plan.add(
                f"grant select on {row['schema']}.{row['name']} to {role}",
                grant.format(table, sql.Identifier(role)),
                _note(role, row["schema"], row["name"]),
            )


def _note(role: str, schema: str, name: str = "", *, of: str | None = None) -> sql.Composed:
    """Compose what remembers a grant for ``uninstall``; ``of`` another link's schema."""
    values = sql.SQL(", ").join(map(sql.Literal, (role, schema, name)))
    return sql.SQL("/* syncline */ INSERT INTO {} (role, schema, name) VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.Identifier(of or current().schema, "granted"), values
    )


async def plan_revokes(conn: AsyncConnection[Any], plan: InstallPlan) -> None:
    """Add the revocation of what ``install`` granted outside of our schema, where role and object are still there.

    What the role needs for another link, too, stays, and is that link's to revoke.
    """
    for row in await read(conn, "granted"):
        if (heir := row["heir"]) is not None:
            note = _note(row["role"], row["schema"], row["name"], of=heir)
            plan.last += [note] if row["may_note"] else []
            continue
        role, schema = sql.Identifier(row["role"]), sql.Identifier(row["schema"])
        if row["name"]:
            what = f"select on {row['schema']}.{row['name']}"
            object_ = sql.SQL("SELECT ON {}").format(sql.Identifier(row["schema"], row["name"]))
        else:
            what = f"usage of schema {row['schema']}"
            object_ = sql.SQL("USAGE ON SCHEMA {}").format(schema)
        plan.last.append(sql.SQL("/* syncline */ REVOKE {} FROM {}").format(object_, role))
        plan.say(f"revoke {what} from {row['role']}")


def _grant(what: str, role: str) -> sql.Composed:
    return sql.SQL("/* syncline */ GRANT {} TO {}").format(sql.SQL(what), sql.Identifier(role))
