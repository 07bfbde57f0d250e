"""The event trigger that says at once that a schema change has ended capture. Opt-in: only a superuser may make one.

A worker's look at the catalog finds the same within seconds. The event trigger needs no worker for it.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from syncline.capture.postgres.composing import dollar_quoted
from syncline.capture.postgres.install_plan import InstallPlan
from syncline.errors import PrivilegeError
from syncline.model.link import current
from syncline.postgres.sql import blocks

_WITHOUT = "take event_triggers out of [source]: workers look at the catalog every second"


def name() -> str:
    """Name the event trigger of the link."""
    return f"{current().trigger_prefix}ddl"


async def plan_event_trigger(conn: AsyncConnection[Any], plan: InstallPlan, *, wanted: bool | None) -> None:
    """Add what makes the event trigger be there or not; ``None``: it stays as it is.

    Raises:
        PrivilegeError: the role may not make one, or would lend the owner of our schema its rights.

    """
    found = await _found(conn)
    if wanted is None or (not wanted and found["enabled"] is None):
        return
    if not wanted:
        await _plan_drop(plan, owned=found["owned"])
    elif (found["body"], found["enabled"]) != (_body(), "A"):
        await _may_create(conn, found)
        plan.last += [*([_block("drop")] if found["enabled"] else []), _function(), _block("create"), _block("always")]
        plan.last += [_block("comment"), _block("function_comment")]
        plan.say(f"{'replace' if found['enabled'] else 'create'} event trigger {name()}")


async def may_create(conn: AsyncConnection[Any]) -> bool:
    """Tell whether this role may make one."""
    try:
        await _may_create(conn, await _found(conn))
    except PrivilegeError:
        return False
    return True


async def plan_event_trigger_removal(conn: AsyncConnection[Any], plan: InstallPlan) -> None:
    """Add its removal, before any trigger goes; without the right to it, it goes with the schema."""
    found = await _found(conn)
    if found["enabled"] is not None and found["owned"]:
        plan.add(f"drop event trigger {name()}", _block("drop"))


async def _plan_drop(plan: InstallPlan, *, owned: bool) -> None:
    if not owned:
        plan.warnings.append(f"event trigger {name()} stays: only its owner can drop it")
        return
    plan.last += [_block("drop"), _block("drop_function")]
    plan.say(f"drop event trigger {name()}")


async def _may_create(conn: AsyncConnection[Any], found: dict[str, Any]) -> None:
    if found["owner"] not in (None, found["role"]):
        raise PrivilegeError(
            f"the schema {current().schema} belongs to {found['owner']}, who would act with the rights of"
            f" {found['role']} in an event trigger",
            hint=f"install everything as {found['role']}, or {_WITHOUT}",
        )
    if found["super"]:
        return
    try:
        async with conn.transaction(force_rollback=True):
            await conn.execute(blocks("event_triggers.sql", "syncline.capture.postgres")["probe_function"])
            await conn.execute(blocks("event_triggers.sql", "syncline.capture.postgres")["probe"])
    except psycopg.errors.InsufficientPrivilege as error:
        raise PrivilegeError(
            f"event_triggers = true: {found['role']} may not create event triggers",
            hint=f"install as a superuser, or {_WITHOUT}",
        ) from error


async def _found(conn: AsyncConnection[Any]) -> dict[str, Any]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(blocks("event_triggers.sql", "syncline.capture.postgres")["found"])
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101  whoever asks is a role
    return row


def _body() -> str:
    return "\n" + blocks("event_triggers.sql", "syncline.capture.postgres", comment=False)["body"] + "\n"


def _function() -> sql.Composed:
    return _template("function").format(body=dollar_quoted(_body()))


def _block(name: str) -> sql.Composed:
    return sql.Composed([_template(name)])


def _template(name: str) -> sql.SQL:
    return sql.SQL(blocks("event_triggers.sql", "syncline.capture.postgres")[name])
