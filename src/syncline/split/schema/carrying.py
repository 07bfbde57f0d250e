"""Carrying out a plan: a transaction a step. What is done is what the other side has, so a killed run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg import sql

from syncline.errors import RowsInTheWayError, SchemaMoveError
from syncline.split.schema.planning import Plan
from syncline.split.schema.target import read_there, target_sql
from syncline.split.schema.things import Phase, Step

LOCK = 6_078_521_309_471_125
"""The advisory lock under which each step is made; of the transaction, so that a pooler may be in between."""
_THERE = ("42P07", "42710", "42723", "42P06", "23505", "42P16")
"""A relation, object, function or schema is there already; a second primary key."""


def carry_out(
    plan: Plan,
    target: psycopg.Connection[Any],
    phase: Phase,
    *,
    rows: bool = False,
    altered: frozenset[str] = frozenset(),
    tell: Callable[[Step], None] = lambda _: None,
) -> int:
    """Do what of a phase is not done.

    Args:
        plan: made just before.
        target: the other side.
        phase: which steps; those of earlier phases must be done.
        rows: tables over there may have rows already: the copy has begun.
        altered: tables that were altered here since, and will be there: that they differ is no obstacle.
        tell: told of each step before it is done.

    Returns:
        How many steps were done.

    Raises:
        SchemaMoveError: something is in the way; what was done stays done, and another run goes on.

    """
    see_that_it_may(plan, target, phase, rows=rows, altered=altered)
    done = 0
    for step in plan.pending(phase):
        tell(step)
        done += _do(step, target)
    return done


def see_that_it_may(
    plan: Plan, target: psycopg.Connection[Any], phase: Phase, *, rows: bool, altered: frozenset[str] = frozenset()
) -> None:
    """See that nothing is in the way.

    Raises:
        SchemaMoveError: it says what is.

    """
    expected = {f"not_empty:{table}" for table in altered}
    if obstacles := [one for one in plan.obstacles if one.id not in expected]:
        told = "; ".join(one.message for one in obstacles[:3])
        more = f" and {len(obstacles) - 3} more" if len(obstacles) > 3 else ""
        raise SchemaMoveError(f"{told}{more}", hint=f"{obstacles[0].remedy}; `syncline split plan` names all")
    earlier = [one for one in Phase if list(Phase).index(one) < list(Phase).index(phase)]
    if missing := plan.pending(*earlier):
        first = missing[0]
        raise SchemaMoveError(
            f"{len(missing)} steps of earlier phases are not done, such as {first.kind} {first.name}",
            hint=f"first: syncline split schema {plan.database} --phase {first.phase}",
        )
    if phase is Phase.BEFORE and not rows and (full := list(_with_rows(plan, target))):
        raise SchemaMoveError(
            f"the other side is not empty: {', '.join(full[:3])} has rows",
            hint="empty it, or drop it there; if a copy has begun, go on with --rows",
        )


def script(plan: Plan, *phases: Phase) -> Iterator[str]:
    """Write what is not done as a script for psql, a transaction a step."""
    yield f"-- The schema of {plan.database}'s tables, for the other side."
    yield "SET search_path = '';\nSET check_function_bodies = off;"
    for step in plan.pending(*phases):
        yield f"\n-- {step.phase}: {step.kind} {step.name}".replace("\n", " ").strip()
        yield "BEGIN;"
        yield from (f"{statement.rstrip()};" for statement in step.statements)
        yield "COMMIT;"


def _do(step: Step, target: psycopg.Connection[Any]) -> bool:
    try:
        with target.transaction():
            target.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [LOCK], prepare=False)
            target.execute(target_sql("making"), prepare=False)
            for statement in step.statements:
                target.execute(statement.encode(target.info.encoding), prepare=False)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        if error.sqlstate in _THERE and step.done in read_there(target):  # another run was faster
            return False
        raise _failed(step, error) from None
    return True


def _failed(step: Step, error: psycopg.Error) -> SchemaMoveError:
    text = error.diag.message_primary or str(error)
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    hint = {
        "42501": "give the role the right, or let an administrator make it over there; then run it again",
        "23503": "rows over there lack what they point to: is the copy complete, and does it hold here?",
        "23505": "rows over there are there twice: verify the copy",
    }.get(error.sqlstate or "", "remove the cause, or make it over there by hand; then run it again to go on")
    kind = RowsInTheWayError if (error.sqlstate or "").startswith("23") else SchemaMoveError
    return kind(f"{step.kind} {step.name}: {text}{detail}", hint=hint)


def _with_rows(plan: Plan, target: psycopg.Connection[Any]) -> Iterator[str]:
    there = {step.name: step for step in plan.steps if step.kind == "table" and step.done in plan.there}
    for name, step in there.items():
        table = sql.SQL("SELECT EXISTS (SELECT FROM ONLY {})").format(sql.Identifier(*step.done.names))
        row = target.execute(table, prepare=False).fetchone()
        if row and row[0]:
            yield name
