"""A thread that watches for schema changes, for as long as something of a move runs; one process does it at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from syncline.errors import SchemaMoveError, SynclineError
from syncline.postgres.sql import blocks
from syncline.split.moving.altering import AGAIN_SECONDS, Watcher
from syncline.split.moving.gates import read_gates
from syncline.split.moving.move import Look, Moving
from syncline.split.moving.tables import PACKAGE
from syncline.split.moving.watched import Watched

EVERY_SECONDS = 0.5
Tell = Callable[[str], None]


@contextmanager
def watching(one: Moving, look: Look, tell: Tell) -> Iterator[None]:
    """Follow schema changes within a block.

    Args:
        one: the move.
        look: plans what the other side needs.
        tell: told of what was followed, stopped or refused, each once.

    """
    stop = threading.Event()
    thread = threading.Thread(target=_run, args=[one, look, tell, stop], name="syncline schema", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=2 * EVERY_SECONDS)


def require_going(one: Moving, look: Look, tell: Tell) -> None:
    """See that no table's move has stopped; what was taken back since goes on first.

    Raises:
        SchemaMoveError: one has.

    """
    with one.ends.sides.connected() as (home, goal):
        gates = read_gates(one.ends, home, goal)
        if gates.serving != one.ends.home:
            return
        if _alone(one, home):
            for line in Watcher(one, one.ends.home, look).turn(home, goal, home, gates):
                tell(line)
        known = Watched(one.ends.database, one.ends.home, home).all().values()
    if stopped := [f"{each.definition.table.quoted}: {'; '.join(each.stopped)}" for each in known if each.stopped]:
        raise SchemaMoveError(
            f"the move of tables has stopped: {', '.join(stopped[:3])}", hint=way_out(one.ends.database)
        )


def way_out(database: str) -> str:
    """Say what may be done about a table whose move has stopped."""
    return (
        "take the alteration back, or remove what is in its way over there; otherwise"
        f" `syncline split abort {database} --drop`, and begin anew"
    )


def _run(one: Moving, look: Look, tell: Tell, stop: threading.Event) -> None:
    said = ""
    while not stop.is_set():
        try:
            with one.ends.sides.connected() as (home, goal):
                for line in _turns(one, look, home, goal, stop):
                    tell(line)
                    said = ""
        except SynclineError as error:
            if error.message != said:
                said = error.message
                tell(f"a schema change could not be followed yet: {said}")
        stop.wait(AGAIN_SECONDS if said else EVERY_SECONDS)


def _turns(
    one: Moving, look: Look, home: psycopg.Connection[Any], goal: psycopg.Connection[Any], stop: threading.Event
) -> Iterator[str]:
    watchers: Mapping[str, Watcher] = {side: Watcher(one, side, look) for side in one.ends.names}
    alone, gates = False, None
    while not stop.is_set():
        alone = alone or _alone(one, home)  # it is this session's until it ends
        gates = read_gates(one.ends, home, goal, gates) if alone else None
        if gates is not None and (side := gates.serving) is not None:
            here, there = (home, goal) if side == one.ends.home else (goal, home)
            yield from watchers[side].turn(here, there, home, gates)
        stop.wait(EVERY_SECONDS)


def _alone(one: Moving, home: psycopg.Connection[Any]) -> bool:
    """Take the lock of whoever watches, for this session."""
    values = {"name": f"schema of {one.ends.database}"}
    row = home.execute(blocks("moving.sql", PACKAGE)["alone"], values, prepare=False).fetchone()
    return bool(row and row[0])
