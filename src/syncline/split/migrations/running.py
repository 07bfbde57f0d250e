"""Applying what databases lack: judged before anything changes, one runner at a time, database after database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from alembic.runtime.environment import EnvironmentContext
from alembic.script import Script

from syncline.errors import MigrationError
from syncline.split.databases import Databases
from syncline.split.examination import compare, look
from syncline.split.migrations.environment import WORK, Work
from syncline.split.migrations.failures import failure
from syncline.split.migrations.judging import Judged, judge
from syncline.split.migrations.on_the_move import OnTheMove, move_of
from syncline.split.migrations.plan import Plan, plan
from syncline.split.migrations.session import PATIENT, Patience, Watch, alone, on_sqlalchemy, opened, versions
from syncline.split.migrations.trees import ALL, Tree, trees

Tell = Callable[[Tree, Script, str], None]
"""Told of each revision: the tree, the revision, ``applying`` or ``noted``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done in one tree, or would be."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    noted: tuple[str, ...]
    """Revisions that the tree of before had done."""
    applied: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Write it for JSON."""
        return {
            "name": self.name,
            "before": list(self.before),
            "after": list(self.after),
            "noted": list(self.noted),
            "applied": list(self.applied),
        }


def foresee(
    databases: Databases, wanted: str = ALL, *, to: str | None = None, wait_seconds: float = 0.0, today: date
) -> tuple[list[Plan], Judged]:
    """Say what ``migrate`` would do, and what is wrong with it. Reads only.

    Raises:
        MigrationError: a tree or a database cannot be migrated as it is.

    """
    chosen = trees(databases, wanted)
    if to is not None and len(chosen) > 1:
        raise MigrationError("a revision is one tree's", hint="name the database, too")
    for tree in chosen:
        tree.head()
    if databases.split:
        seen = {tree.name: look(tree.database.direct_address) for tree in chosen}
        compare(seen, databases.routing.ownership)
    plans = [_planned(tree, to, wait_seconds) for tree in chosen]
    judged = judge(
        [(one.tree, one.pending) for one in plans], databases.routing.ownership, databases.configured.settings, today
    )
    return plans, judged


def _planned(tree: Tree, to: str | None, wait_seconds: float) -> Plan:
    """Plan for a database; where its tables move, for the side on which they serve."""
    with opened(tree) as connection:
        _not_anothers(tree, connection)
        found = plan(tree, connection, to)
    move = move_of(tree, wait_seconds, needed=found.lacks)
    if move is None:
        return found
    with opened(tree, move.address) as connection:
        return plan(tree, connection, to)


def migrate(
    databases: Databases,
    wanted: str = ALL,
    *,
    to: str | None = None,
    patience: Patience = PATIENT,
    today: date,
    tell: Tell = lambda *_: None,
) -> list[Outcome]:
    """Apply what databases lack, in the order of the configuration. What is done stays if a later one fails.

    Args:
        databases: the named databases.
        wanted: the name of one, or ``all``.
        to: a revision of that one; by default the head.
        patience: how long is waited for others.
        today: for exemptions.
        tell: told of each revision.

    Raises:
        MigrationError: a revision touches another database's tables (nothing has been done), or fails: it says which,
            and what of it is kept.

    """
    plans, judged = foresee(databases, wanted, to=to, wait_seconds=patience.runner_seconds, today=today)
    if judged.crossings:
        raise crossing(judged)
    return [_apply(one, to, judged, patience, tell) for one in plans]


def crossing(judged: Judged) -> MigrationError:
    """Make the error of revisions that touch another database's tables."""
    first, *others = judged.crossings
    more = f" (and {len(others)} more; `syncline db check` lists them)" if others else ""
    return MigrationError(first.message + more, hint=f"{first.remedy}; nothing has been applied")


def outcome(one: Plan) -> Outcome:
    """Say what becomes of a database when its plan is carried out."""
    noted = (one.adopts,) if one.adopts else ()
    applied = tuple(script.revision for script in one.pending)
    return Outcome(one.tree.name, one.current, applied[-1:] or noted or one.current, noted, applied)


def _apply(planned: Plan, to: str | None, judged: Judged, patience: Patience, tell: Tell) -> Outcome:
    tree = planned.tree
    move = move_of(tree, patience.runner_seconds, needed=planned.lacks)
    with alone(tree, patience, move.address if move else None) as connection:
        here = plan(tree, connection, to) if planned.lacks else planned  # a runner before us may have done it
        with move.noted(connection) if move else nullcontext():
            if here.lacks:
                _carry_out(here, connection, judged, patience, tell, move)
        return outcome(here)


def _carry_out(
    here: Plan,
    connection: psycopg.Connection[Any],
    judged: Judged,
    patience: Patience,
    tell: Tell,
    move: OnTheMove | None,
) -> None:
    tree, running = here.tree, list[Script]()
    watch = Watch(tree.databases.routing, tree.name)

    def steps(_: Any, __: Any) -> Iterator[Any]:
        for word, step in _steps(here):
            revision = tree.scripts.get_revision(step.revision.revision if word == "applying" else str(here.adopts))
            running.append(revision)
            watch.exempt = judged.lets(tree, revision.revision)
            tell(tree, revision, word)
            yield step

    try:
        with on_sqlalchemy(connection, watch, patience, move) as lent:
            config = tree.config(**{WORK: Work(tree, lent)})
            with EnvironmentContext(config, tree.scripts, fn=steps):
                tree.scripts.run_env()
    except Exception as error:  # a user's code may raise anything
        raise failure(tree, running[-1] if running else None, error, connection) from error


def _steps(here: Plan) -> Iterator[tuple[str, Any]]:
    tree = here.tree
    start: Sequence[str] = here.current
    if here.adopts:
        for step in tree.scripts._stamp_revs(here.adopts, ()):  # noqa: SLF001  as Alembic's own commands do
            yield "noted", step
        start = (here.adopts,)
    if here.pending:
        target = here.pending[-1].revision
        yield from (("applying", step) for step in tree.upgrades(start, target))


def _not_anothers(tree: Tree, connection: psycopg.Connection[Any]) -> None:
    """See that a database of split mode is not one in which only others' trees have been run."""
    if not tree.databases.split or versions(connection, tree.version_table) is not None:
        return
    for other in trees(tree.databases):
        if other.name != tree.name and versions(connection, other.version_table):
            address = tree.database.direct_address
            raise MigrationError(
                f"{address.called} leads to {address.place}, where {other.name} was migrated and {tree.name} was not",
                hint=f"are the URLs of {tree.name} and {other.name} swapped?",
            )
