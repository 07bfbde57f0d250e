"""Taking everything out again."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection, sql

from syncline.capture.postgres import strangers
from syncline.capture.postgres.event_triggers import plan_event_trigger_removal
from syncline.capture.postgres.grants import plan_revokes
from syncline.capture.postgres.install_plan import InstallPlan
from syncline.capture.postgres.schema import drop_view, shown
from syncline.capture.postgres.state import read, read_locked, read_triggers
from syncline.capture.postgres.triggers import drop_trigger
from syncline.errors import SourceError
from syncline.model.link import current
from syncline.postgres.sql import ours


async def plan_removal(conn: AsyncConnection[Any]) -> InstallPlan:
    """Plan to drop the triggers, one table at a time, and when none is left views and our schema.

    Raises:
        SourceError: views of others read our tables, or tables of others are in our schema; they would go with them.

    """
    others = await read(conn, "dependants")
    if others:
        names = ", ".join(f"{row['schema']}.{row['name']}" for row in others)
        raise SourceError(f"{names} would be dropped too: it reads Syncline's tables", hint="drop it yourself first")
    await strangers.refuse_to_drop(conn)
    plan = InstallPlan()
    await plan_event_trigger_removal(conn, plan)
    for trigger in await read_triggers(conn):
        if not trigger.copy:
            drop = drop_trigger(trigger.table, trigger.name)
            plan.on_table(trigger.table, None, f"{trigger.table}: drop trigger {trigger.name}", drop)
    for row in await read(conn, "other_views"):
        plan.last.append(drop_view(row["schema"], row["name"]))
        plan.say(f"drop view {shown(row['schema'], row['name'])}")
    if (await read(conn, "remembers_grants"))[0]["yes"]:
        await plan_revokes(conn, plan)
    plan.last.append(sql.SQL(ours("/* syncline */ DROP SCHEMA syncline CASCADE")).format())
    plan.say(f"drop schema {current().schema}")
    plan.tables = await read_locked(conn, list(plan.steps))
    return plan
