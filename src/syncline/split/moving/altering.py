"""Schema changes while a move lasts: what is altered on the side that serves is altered on the other one, too.

Your ALTER never waits for us. It is seen within a second, compared with what the table was, and followed in two parts:
at once what rows that are read from now on need, and when every change before is over there what looks at all rows.
What cannot be followed stops the move of that table, with the reason.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from syncline.errors import SchemaMoveError
from syncline.model.link import Link, entered
from syncline.postgres.sql import blocks
from syncline.split.moving.gates import Gates
from syncline.split.moving.holding import hold, is_captured
from syncline.split.moving.labels import missing, try_parked_again
from syncline.split.moving.move import Look, Moving
from syncline.split.moving.over_there import alter, shared
from syncline.split.moving.state import Phase as MovePhase
from syncline.split.moving.tables import PACKAGE
from syncline.split.moving.watched import Known, Watched, across_releases, digest, family
from syncline.split.names import Name
from syncline.split.schema.carrying import carry_out
from syncline.split.schema.changes import Change, changed
from syncline.split.schema.definitions import Definition, read_definitions
from syncline.split.schema.things import Phase
from syncline.split.switching.gate import gate_in

AGAIN_SECONDS = 5.0
"""Between tries of what was refused."""
_WITH_TABLES = frozenset(("schema", "extension", "collation", "type", "domain", "sequence", "function", "procedure"))
"""What is made with an alteration; tables that came after the copy do not move."""


@dataclass(slots=True)
class Watcher:
    """Watches the tables of one side, and alters those of the other.

    Args:
        one: the move.
        side: the side that serves.
        look: plans what else the other side needs: types, sequences and functions that came.

    """

    one: Moving
    side: str
    look: Look
    _settled: object = field(default=None, init=False)
    """What was seen when nothing was left to do: as long as it is the same, nothing else is asked."""
    _oids: tuple[int, ...] = field(default=(), init=False)
    """The tables that are known, whatever they are called by now."""
    _seen: str = field(default="", init=False)
    _is_captured: bool = field(default=False, init=False)
    _prepared: bool = field(default=False, init=False)
    _refused: bool = field(default=False, init=False)
    """Something is to be tried again, though nothing is altered by then."""
    _parked: int = field(default=0, init=False)
    """How many turns more try what was refused for a label that is there now: a worker may be about to park one."""
    _again_at: float = field(default=0.0, init=False)
    """When: each try of a refused statement makes a plan, and asks for a lock that everybody waits behind."""

    def turn(
        self,
        here: psycopg.Connection[Any],
        there: psycopg.Connection[Any],
        home: psycopg.Connection[Any],
        gates: Gates,
    ) -> Iterator[str]:
        """Look once, and follow what was altered; tell what was done. Two questions where nothing was.

        Args:
            here: to the side that serves.
            there: to the other one.
            home: to the move's home, whichever of the two it is.
            gates: what both gates say.

        Raises:
            SchemaMoveError: a statement was refused over there; it is tried again at the next turn.
            psycopg.Error: as the driver raises it.

        """
        if not self._is_captured:  # what came before is followed then: nobody knows yet which changes to wait for
            self._is_captured = is_captured(here, self._way)
            if not self._is_captured:
                return
        watched = Watched(self.one.ends.database, self.side, home)
        if not self._prepared:
            watched.prepare()
            self._prepared = True
        before = digest(here, self.one.tables, self._oids)
        seen = (gates.opened(gates.home), gates.opened(self.one.ends.database), watched.version(), before)
        if self._parked:
            self._parked -= 1
            try_parked_again(here, self._way)
        if seen == self._settled:
            return
        known = watched.all()
        now = family(here, self.one.tables)
        if not self._is_of_now(here, there, watched, known, now, gates):
            return
        if before != self._seen and not (self._refused and time.monotonic() < self._again_at):
            self._refused, self._again_at = False, 0.0
            yield from self._followed(here, there, watched, known, now, gates)
            self._seen = "" if self._refused else before
        for one in (known := watched.all()).values():
            if one.stopped:  # whoever stopped it may have died before; or its copy has come to its end since
                self._hold(here, watched, known, one, held=True)
        yield from self._made(here, there, watched)
        self._oids = tuple(sorted({*known, *now}))
        waits = self._refused or any(one.stopped or one.pending for one in known.values())
        self._settled = None if waits else seen

    def _is_of_now(
        self,
        here: psycopg.Connection[Any],
        there: psycopg.Connection[Any],
        watched: Watched,
        known: Mapping[int, Known],
        now: Sequence[int],
        gates: Gates,
    ) -> bool:
        """Tell whether what is known is of this time of service; otherwise note what tables are now."""
        mine, theirs = (gates.opened(side) for side in self._sides)
        if known and theirs <= watched.since():
            return True
        quoting = across_releases(here, there)
        theirs_of = read_definitions(there, family(there, self.one.tables), quoting=quoting).values()
        others = {one.table.quoted: one for one in theirs_of}
        definitions = {
            oid: shared(one, others.get(one.table.quoted))
            for oid, one in read_definitions(here, known or now, quoting=quoting).items()
        }
        if not known:
            watched.begin(definitions)
        watched.renew(definitions, mine)
        self._seen = ""
        return False

    def _followed(
        self,
        here: psycopg.Connection[Any],
        there: psycopg.Connection[Any],
        watched: Watched,
        known: Mapping[int, Known],
        now: Sequence[int],
        gates: Gates,
    ) -> Iterator[str]:
        definitions = read_definitions(here, known, quoting=across_releases(here, there))
        if gate_in(here, self.one.ends.database) != gates.rows[self.side]:
            self._refused = True  # sides change: what a coordinator does to keys and triggers is nobody's alteration
            return
        yield from self._labels(here, there)
        altered = {
            oid: (one, definitions.get(oid))
            for oid, one in known.items()
            if oid not in definitions or definitions[oid].fingerprint != one.definition.fingerprint
        }
        new = sorted({*now} - known.keys())
        attached = {one.table.parent for one in read_definitions(here, new).values()}
        for oid, one in known.items():
            if one.stopped and oid not in altered and one.definition.table.quoted not in attached:
                self._hold(here, watched, known, one, held=False)
                watched.stop(oid, ())
                yield f"{one.definition.table.quoted} is what it was again: its move goes on"
        if new:
            yield from self._attached(here, watched, known, new)
        major = there.info.server_version // 10_000
        for oid, (one, definition) in altered.items():
            change = changed(one.definition, definition, moving=frozenset(known), major=major)
            if change.stop or definition is None:
                if watched.stop(oid, change.stop):
                    self._hold(here, watched, known, one, held=True)
                    yield f"the move of {change.table} stops: {'; '.join(change.stop)}"
                continue
            yield from self._altered(here, there, watched, known, oid, change, definition)

    def _labels(self, here: psycopg.Connection[Any], there: psycopg.Connection[Any]) -> Iterator[str]:
        """Make labels of enums over there; first, as a default may be one."""
        for name, statements in missing(here, there, self.one.tables):
            try:
                alter(there, statements)
            except SchemaMoveError as error:
                self._refused, self._again_at = True, time.monotonic() + AGAIN_SECONDS
                yield f"the type {name} has labels that are not over there: {error.message}"
                continue
            self._parked = 2
            yield f"the type {name} has more labels, and they are over there: {'; '.join(statements)}"

    def _altered(
        self,
        here: psycopg.Connection[Any],
        there: psycopg.Connection[Any],
        watched: Watched,
        known: Mapping[int, Known],
        oid: int,
        change: Change,
        definition: Definition,
    ) -> Iterator[str]:
        """Alter a table over there; where that is refused it stops, and is tried again at each turn."""
        one = known[oid]
        before, after = ([], []) if definition.table.parent else (change.before, change.after)  # its parent's do
        if change.drops and before:
            self._hold(here, watched, known, one, held=True)
            again = read_definitions(here, [oid], quoting=across_releases(here, there)).get(oid)
            if again is None or again.fingerprint != definition.fingerprint:  # the next turn compares it anew
                self._refused = True
                return
        try:
            self._prepare(here, there)
            alter(there, before)
        except SchemaMoveError as error:
            self._refused, self._again_at = True, time.monotonic() + AGAIN_SECONDS
            if watched.stop(oid, [error.message]):
                self._hold(here, watched, known, one, held=True)
                yield f"the move of {change.table} stops: {error.message}"
            return
        if one.stopped or (change.drops and before):
            self._hold(here, watched, known, one, held=False)
        mark = self._highest(here)
        watched.altered(oid, definition, [*one.pending, *after], mark, rewritten=change.rewritten)
        if before or after:
            yield f"{change.table} was altered, and is over there: {'; '.join([*before, *after])}"

    def _attached(
        self, here: psycopg.Connection[Any], watched: Watched, known: Mapping[int, Known], new: Sequence[int]
    ) -> Iterator[str]:
        """Stop the tables that partitions were attached to."""
        for definition in read_definitions(here, new).values():
            parent = definition.table.parent
            for oid, one in known.items():
                why = f"{definition.table.quoted} was attached to it, as a partition"
                if one.definition.table.quoted == parent and watched.stop(oid, [why]):
                    self._hold(here, watched, known, one, held=True)
                    yield f"the move of {parent} stops: {why}"

    def _prepare(self, here: psycopg.Connection[Any], there: psycopg.Connection[Any]) -> None:
        """Make what came with the alteration: types, sequences, functions. On the way home everything is there.

        What is in the way of other tables is no matter here; what this one needs and lacks is refused by its ALTER.
        """
        if self.side == self.one.ends.home:
            plan = self.look(here, there)
            steps = tuple(step for step in plan.steps if step.kind in _WITH_TABLES)  # a new table would stay empty
            carry_out(replace(plan, steps=steps, notices=()), there, Phase.BEFORE, rows=True)

    @property
    def _sides(self) -> tuple[str, str]:
        """Name the one that serves, and the other one."""
        home, goal = self.one.ends.names
        return (home, goal) if self.side == home else (goal, home)

    @property
    def _way(self) -> Link:
        return self.one.ways.from_(self.side, self.one.ends.home).link

    def _hold(
        self,
        here: psycopg.Connection[Any],
        watched: Watched,
        known: Mapping[int, Known],
        one: Known,
        *,
        held: bool,
    ) -> None:
        """Hold a table, or let it go unless another partition of it has stopped."""
        entity, oid = self._entity(known, one), one.definition.table.oid
        others = [] if held else [each for each in watched.all().values() if each.definition.table.oid != oid]
        if any(each.stopped and self._entity(known, each) == entity for each in others):
            return
        copied = self.side != self.one.ends.home or self.one.state.phase is MovePhase.FOLLOWING
        hold(here, self._way, entity, held=held, copied=copied)

    def _entity(self, known: Mapping[int, Known], one: Known) -> str:
        """Name the entity of a table, or of that whose partition it is."""
        tables = {each.definition.table.quoted: each.definition.table for each in known.values()}
        table = one.definition.table
        while table.parent is not None and table.parent in tables:
            table = tables[table.parent]
        name = Name.read(table.quoted)
        return next(each.entity for each in self.one.state.tables if (each.schema, each.name) == tuple(name))

    def _made(self, here: psycopg.Connection[Any], there: psycopg.Connection[Any], watched: Watched) -> Iterator[str]:
        """Make what looks at all rows, when the changes of before are there."""
        failed, known = None, watched.all()
        for oid, one in known.items():
            if one.pending and self._is_through(here, self._entity(known, one), one.mark):
                try:
                    alter(there, one.pending)
                except SchemaMoveError as error:
                    failed = failed or error  # the other tables have theirs
                    continue
                watched.made(oid)
                yield f"{one.definition.table.quoted}: {'; '.join(one.pending)}"
        if failed:
            raise failed

    def _highest(self, here: psycopg.Connection[Any]) -> int:
        row = here.execute(self._sql("highest"), prepare=False).fetchone()
        return int(row[0]) if row else 0

    def _is_through(self, here: psycopg.Connection[Any], entity: str, mark: int) -> bool:
        row = here.execute(self._sql("up_to_of"), {"seq": mark, "entity": entity}, prepare=False).fetchone()
        return bool(row and row[0])

    def _sql(self, block: str) -> str:
        with entered(self._way):
            return blocks("link.sql", PACKAGE)[block]
