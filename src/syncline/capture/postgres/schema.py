"""Our schema in the plan: tables, how writers wake the worker, the view for people."""

from __future__ import annotations

import re
from typing import Any

from psycopg import AsyncConnection, sql

from syncline.capture.postgres.install_plan import InstallPlan
from syncline.capture.postgres.migrate import record_all
from syncline.capture.postgres.state import Facts, read, read_view
from syncline.errors import SourceError
from syncline.journal.migration import SCHEMA_VERSION
from syncline.model.link import current
from syncline.postgres.sql import blocks, ours, script

_WAKE = re.compile(r"^CREATE FUNCTION (syncline\w*\.wake\(\).*?^END \$\$);", re.MULTILINE | re.DOTALL)


def plan_schema(
    plan: InstallPlan, facts: Facts, *, fresh: bool, wake: bool, package: str, old_package: str | None
) -> None:
    """Add our tables when they are not there, and the form of ``wake()`` that is wanted."""
    if fresh:
        meta = sql.SQL(ours("/* syncline */ INSERT INTO syncline.meta (schema_version, package) VALUES ({}, {})"))
        plan.add(
            f"create schema {current().schema} with its tables",
            sql.Composed([_trusted(script("schema.sql"))]),
            meta.format(sql.Literal(SCHEMA_VERSION), sql.Literal(package)),
            record_all(),
        )
    elif old_package != package:
        meta = sql.SQL(ours("/* syncline */ UPDATE syncline.meta SET package = {}"))
        plan.last.append(meta.format(sql.Literal(package)))  # until all is done the functions may be the old ones
        plan.say(f"syncline {old_package} becomes {package}")
    wanted, why = _wake(wake=wake)
    if _source(wanted) != _source(facts.wake or wake_function()):
        plan.add(f"{current().schema}.wake(): {why}", sql.Composed([_trusted(wanted)]))
    if wake and facts.prepared > 0:
        plan.warnings.append(
            "max_prepared_transactions > 0: transactions with NOTIFY cannot be prepared, so writers do not wake the "
            "worker; it polls"
        )


async def plan_view(conn: AsyncConnection[Any], plan: InstallPlan, schema: str | None, name: str) -> None:
    """Add the view of every change in a schema that people have in their search path; drop ours elsewhere.

    Raises:
        SourceError: something else has that name.

    """
    for row in await read(conn, "other_views"):
        if (row["schema"], row["name"]) != (schema, name):
            plan.add(f"drop view {shown(row['schema'], row['name'])}", drop_view(row["schema"], row["name"]))
    if schema is None:
        return
    view = await read_view(conn, schema, name)
    if view is None:
        plan.warnings.append(f"there is no schema {schema}: the view is {current().schema}.changes only")
    elif view.taken and not view.ours:
        raise taken(schema, name)
    elif not view.taken and not view.may_create:
        plan.warnings.append(f"no CREATE on schema {schema}: the view is {current().schema}.changes only")
    elif not view.taken:
        place = sql.Identifier(schema, name)
        plan.add(
            f"create view {shown(schema, name)}",
            sql.SQL(ours("/* syncline */ CREATE VIEW {} AS SELECT * FROM syncline.changes")).format(place),
            sql.SQL("/* syncline */ COMMENT ON VIEW {} IS {}").format(
                place, sql.Literal("Syncline: every change, waiting, parked and applied. Read only.")
            ),
        )


def taken(schema: str, name: str) -> SourceError:
    """Say that the name of the view for people is another relation's: queries would read the wrong one."""
    return SourceError(
        f"{shown(schema, name)} is there and is not Syncline's: questions about changes would read the wrong one",
        hint='in [source], give the view another name (view_name = "Changes") or place (view_schema = "ops", or "off")',
    )


def drop_view(schema: str, name: str) -> sql.Composed:
    """Compose the removal of our view there."""
    return sql.SQL("/* syncline */ DROP VIEW IF EXISTS {}").format(sql.Identifier(schema, name))


def shown(schema: str, name: str) -> str:
    """Write a view's name for people, so that it can be pasted into a query."""
    return f'{schema}."{name}"' if name != name.lower() else f"{schema}.{name}"


def wake_function() -> str:
    """Give the ``wake()`` of ``schema.sql``, in a form that replaces another one."""
    found = _WAKE.search(script("schema.sql"))
    assert found is not None  # noqa: S101  a test holds schema.sql to it
    return f"/* syncline */ CREATE OR REPLACE FUNCTION {found[1]}"


def _wake(*, wake: bool) -> tuple[str, str]:
    if wake:
        return wake_function(), "writers wake an idle worker"
    return blocks("triggers.sql", "syncline.capture.postgres")["wake_off"], "writers do not wake the worker, it polls"


def _source(function: str) -> str:
    return function.split("$$")[1] if "$$" in function else function


def _trusted(text: str) -> sql.SQL:
    return sql.SQL(text)
