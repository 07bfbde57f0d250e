"""The states of the model of the phases, for the search."""

from __future__ import annotations

from collections.abc import Iterable

from tests.model.phases import application, coordinators, links
from tests.model.phases.epochs import EpochScope, EpochWorld
from tests.model.phases.restores import RestoreScope, RestoreWorld
from tests.model.phases.scope import Action, PhaseScope
from tests.model.phases.state import (
    MONGO,
    POSTGRES,
    Budget,
    Coordinator,
    Document,
    Gate,
    Journal,
    Process,
    Reader,
    Row,
    State,
)
from tests.model.phases.validator import ValidatorScope, ValidatorWorld
from tests.model.search import Result, search
from tests.model.switch.state import NOBODY

AnyPhaseScope = PhaseScope | ValidatorScope | RestoreScope | EpochScope


class PhaseWorld:
    """A scope, as something to search."""

    def __init__(self, scope: PhaseScope) -> None:
        self.limit, self.livelocks = scope.limit, scope.livelocks
        self._scope = scope

    def first(self) -> State:
        """One side serves, the other one takes the link's writes."""
        scope, begins = self._scope, self._scope.begins
        gates = tuple(Gate("a", 2, 2) if side == begins else Gate("l", 2, 1, 2) for side in (MONGO, POSTGRES))
        nobody = (Coordinator(), Coordinator())
        budget = Budget(scope.writes, scope.faults, scope.goals, scope.spurious, scope.reads, scope.rescues)
        readers = (Reader(side=begins),) if scope.reads else ()
        journal = Journal(2, NOBODY, begins, begins, 2)
        processes = (Process(),) * scope.processes
        if scope.late:
            processes = (Process("sent", 1, 1), *processes[1:])
        reads, nothing = (begins, 0), (Document(), Row())
        return State(
            gates, *nothing, 0, processes, readers, (), (), nobody, journal, reads, False, 0, int(scope.late), budget
        )

    def normal(self, state: State) -> State:
        """Marks, versions and tickets are only compared; processes have no names; what was broken was seen."""
        document, row, carriers, backs = state.document, state.row, state.carriers, state.backs
        marks = _ranks([document.mark, row.mark, *(each.mark for each in carriers)])
        versions = _ranks([document.v, row.v, *(each.v for each in carriers), *(each.by for each in carriers)])
        tickets = _ranks([document.ticket, *(each.ticket for each in backs)])
        state = state._replace(
            document=document._replace(
                mark=marks[document.mark], v=versions[document.v], ticket=tickets[document.ticket]
            ),
            row=row._replace(mark=marks[row.mark], v=versions[row.v]),
            carriers=tuple(
                sorted(
                    each._replace(mark=marks[each.mark], v=versions[each.v], by=versions[each.by]) for each in carriers
                )
            ),
            backs=tuple(sorted(each._replace(ticket=tickets[each.ticket]) for each in backs)),
            processes=tuple(sorted(state.processes)),
            broken="",
        )
        if state.coordinators[0] > state.coordinators[1]:
            holder = state.journal.holder
            journal = state.journal._replace(holder=NOBODY if holder == NOBODY else 1 - holder)
            state = state._replace(coordinators=state.coordinators[::-1], journal=journal)
        return state

    def steps(self, state: State) -> Action:
        """Let everybody do whatever may come next."""
        for actions in (application.writers, application.postgresql, application.readers):
            yield from actions(self._scope, state)
        for actions in (links.forward, links.back, links.tombstones, links.strays):
            yield from actions(self._scope, state)
        for actions in (coordinators.operator, coordinators.start, coordinators.coordinators, coordinators.rescue):
            yield from actions(self._scope, state)

    def at_rest(self, state: State) -> bool:
        """Nothing is left to do, and the operator's wish is fulfilled."""
        return _still(state)

    def violation(self, _: State, after: State) -> str:
        """Say what a step has broken."""
        if after.broken:
            return after.broken
        if after.gates[MONGO].mode == after.gates[POSTGRES].mode == "a":
            return "both sides accept writes"
        if after.gates[MONGO].opened == after.gates[POSTGRES].opened:
            return "both sides were opened under one number: nobody knows who has the truth"
        if not _still(after):
            return ""
        here, there = after.document, after.row
        if here.alive != there.alive or here.content != there.content or after.committed & ~there.content:
            sides = [f"{'has' if one.alive else 'has not'} it, {one.content:b}" for one in (here, there)]
            told = f"MongoDB {sides[0]}; PostgreSQL {sides[1]}"
            return f"nothing is left to do; acknowledged {after.committed:b}; {told}"
        return ""

    def is_fault(self, before: State, after: State) -> bool:
        """Tell whether something went wrong in a step."""
        return after.budget.faults != before.budget.faults


def _ranks(values: Iterable[int]) -> dict[int, int]:
    """Number values by their order; 0 stays."""
    return {value: rank for rank, value in enumerate(sorted({0, *values}))}


def _still(state: State) -> bool:
    serving = state.journal.phase
    settled = state.gates[serving].mode == "a" and state.gates[1 - serving].mode == "l"
    busy = (
        state.journal.goal != serving
        or state.journal.holder != NOBODY
        or state.document.mark
        or (serving == POSTGRES and state.queue)
        or state.carriers
        or state.backs
        or any(each.step for each in state.coordinators)
        or any(each.stage != "idle" for each in (*state.processes, *state.readers))
    )
    return settled and not busy


def explore(scope: AnyPhaseScope) -> Result:
    """Visit every state that can be reached."""
    if isinstance(scope, EpochScope):
        return search(EpochWorld(scope), scope)
    if isinstance(scope, RestoreScope):
        return search(RestoreWorld(scope), scope)
    if isinstance(scope, ValidatorScope):
        return search(ValidatorWorld(scope), scope)
    return search(PhaseWorld(scope), scope)
