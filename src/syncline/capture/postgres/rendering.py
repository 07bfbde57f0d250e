"""An installation's plan as SQL that a database administrator runs with psql."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from psycopg import sql

from syncline.capture.postgres.carry_out import prologue, texts
from syncline.capture.postgres.install_plan import InstallPlan
from syncline.capture.postgres.migrate import LOCK_TIMEOUT as MIGRATION_LOCK_TIMEOUT
from syncline.capture.postgres.migrate import Each
from syncline.model.defaults import LOCK_TIMEOUT


def render(plan: InstallPlan, *, lock_timeout: timedelta = LOCK_TIMEOUT) -> str:
    """Write the plan as SQL that psql runs: for review, for a DBA, for a migration."""
    if not plan.changes:
        return "-- nothing to do\n"
    lines = ["-- " + line for line in (*plan.summary, *(f"Warning: {w}" for w in plan.warnings))]
    if plan.one_by_one:
        return "\n".join([*lines, "", *_texts([*plan.migrations, *plan.statements]), ""])
    lines += _HOW_TO_RUN
    for step in plan.migrations:
        if isinstance(step, Each):
            lines += ["", *texts([step]), "\\gexec"]
        else:
            lines += _transaction([step], MIGRATION_LOCK_TIMEOUT, hold=False)
    for statements in (plan.statements, plan.rows):
        lines += _transaction(statements, lock_timeout, hold=False)
    for one in plan.steps.values():
        lines += _transaction(one.statements, lock_timeout)
    lines += _transaction([statement for one in plan.arming.values() for statement in one], lock_timeout, hold=False)
    lines += _transaction(plan.last, lock_timeout, hold=False)
    return "\n".join([*lines, ""])


_HOW_TO_RUN = (
    "--",
    "-- One short transaction a table, so that no writer waits long. When others hold a table psql stops;",
    "-- what was done stays. Then have this script written anew: it goes on from there.",
    "\\set ON_ERROR_STOP on",
)


def _transaction(statements: Sequence[sql.Composed], lock_timeout: timedelta, *, hold: bool = True) -> list[str]:
    if not statements:
        return []
    return ["", "BEGIN;", *_texts([*prologue(lock_timeout, hold=hold), *statements]), "COMMIT;"]


def _texts(statements: Iterable[sql.Composed]) -> list[str]:
    return [f"{text};" for text in texts(statements)]
