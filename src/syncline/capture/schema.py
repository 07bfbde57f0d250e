"""Our schema in the plan: tables, how writers wake the worker, the view for people."""

from __future__ import annotations

import re
from typing import Any

from psycopg import AsyncConnection, sql

from syncline.capture.install_plan import InstallPlan
from syncline.capture.migrate import record_all
from syncline.capture.state import Facts, read, read_view
from syncline.outbox.migration import SCHEMA_VERSION
from syncline.outbox.sql import blocks, script

_WAKE = re.compile(r"^CREATE FUNCTION (syncline\.wake\(\).*?^END \$\$);", re.MULTILINE | re.DOTALL)


def plan_schema(plan: InstallPlan, facts: Facts, *, wake: bool, package: str, old_package: str | None) -> None:
    """Add our tables when they are not there, and the form of ``wake()`` that this server can bear."""
    if facts.owns_schema is None:
        meta = sql.SQL("/* syncline */ INSERT INTO syncline.meta (schema_version, package) VALUES ({}, {})")
        plan.add(
            "create schema syncline with its tables",
            sql.Composed([_trusted(script("schema.sql"))]),
            meta.format(sql.Literal(SCHEMA_VERSION), sql.Literal(package)),
            record_all(),
        )
    elif old_package != package:
        meta = sql.SQL("/* syncline */ UPDATE syncline.meta SET package = {}")
        plan.last.append(meta.format(sql.Literal(package)))  # until all is done the functions may be the old ones
        plan.say(f"syncline {old_package} becomes {package}")
    wanted, why = _wake(facts, wake=wake)
    if _source(wanted) != _source(facts.wake or wake_function()):
        plan.add(f"syncline.wake(): {why}", sql.Composed([_trusted(wanted)]))
    if wake and facts.prepared > 0:
        plan.warnings.append(
            "max_prepared_transactions > 0: transactions with NOTIFY cannot be prepared, so writers do not wake the "
            "worker; it polls"
        )


async def plan_view(conn: AsyncConnection[Any], plan: InstallPlan, schema: str | None) -> None:
    """Add the view ``"Outbox"`` in a schema that people have in their search path; drop ours elsewhere."""
    for row in await read(conn, "other_views"):
        if row["schema"] != schema:
            plan.add(f'drop view {row["schema"]}."Outbox"', drop_view(row["schema"]))
    if schema is None:
        return
    view = await read_view(conn, schema)
    if view is None:
        plan.warnings.append(f'there is no schema {schema}: the view is syncline."Outbox" only')
    elif view.taken and not view.ours:
        plan.warnings.append(f'{schema}."Outbox" is not ours and stays as it is: the view is syncline."Outbox" only')
    elif not view.taken and not view.may_create:
        plan.warnings.append(f'no CREATE on schema {schema}: the view is syncline."Outbox" only')
    elif not view.taken:
        name = sql.Identifier(schema, "Outbox")
        plan.add(
            f'create view {schema}."Outbox"',
            sql.SQL('/* syncline */ CREATE VIEW {} AS SELECT * FROM syncline."Outbox"').format(name),
            sql.SQL("/* syncline */ COMMENT ON VIEW {} IS {}").format(
                name, sql.Literal("Syncline: every change, waiting, parked and applied. Read only.")
            ),
        )


def drop_view(schema: str) -> sql.Composed:
    """Compose the removal of our view there."""
    return sql.SQL("/* syncline */ DROP VIEW {}").format(sql.Identifier(schema, "Outbox"))


def wake_function() -> str:
    """Give the ``wake()`` of ``schema.sql``, in a form that replaces another one."""
    found = _WAKE.search(script("schema.sql"))
    assert found is not None  # noqa: S101  a test holds schema.sql to it
    return f"/* syncline */ CREATE OR REPLACE FUNCTION {found[1]}"


def _wake(facts: Facts, *, wake: bool) -> tuple[str, str]:
    if wake and facts.prepared == 0:
        return wake_function(), "writers wake an idle worker"
    return blocks("triggers.sql", "syncline.capture")["wake_off"], "writers do not wake the worker, it polls"


def _source(function: str) -> str:
    return function.split("$$")[1] if "$$" in function else function


def _trusted(text: str) -> sql.SQL:
    return sql.SQL(text)
