"""The states of the switch's model, for the search."""

from __future__ import annotations

from tests.model.search import Result, search
from tests.model.switch import application, coordinators
from tests.model.switch.scope import Action, SwitchScope
from tests.model.switch.state import NEW, NOBODY, OLD, SIDES, Coordinator, Gate, Journal, Process, Relay, State


class SwitchWorld:
    """A scope, as something to search."""

    def __init__(self, scope: SwitchScope) -> None:
        self.limit, self.livelocks = scope.limit, scope.livelocks
        self._scope = scope

    def first(self) -> State:
        """The old side serves."""
        scope, none = self._scope, (0, 0)
        gates = (Gate("a"), Gate("l", opened=-1))
        nobody = (Coordinator(), Coordinator())
        processes = (Process(),) * scope.processes
        budgets = (scope.writes, scope.faults, scope.goals, scope.spurious)
        return State(gates, none, none, none, 0, processes, (Relay(), Relay()), nobody, Journal(), *budgets)

    def normal(self, state: State) -> State:
        """Processes have no names, nor have coordinators; what was broken was seen."""
        if state.broken:
            state = state._replace(broken="")
        state = state._replace(processes=tuple(sorted(state.processes)))
        if state.coordinators[0] > state.coordinators[1]:
            holder = state.journal.holder
            journal = state.journal._replace(holder=NOBODY if holder == NOBODY else 1 - holder)
            state = state._replace(coordinators=state.coordinators[::-1], journal=journal)
        return state

    def steps(self, state: State) -> Action:
        """Let everybody do whatever may come next."""
        for actions in (application.application, application.links, application.verify):
            yield from actions(self._scope, state)
        for actions in (coordinators.operator, coordinators.start, coordinators.coordinators):
            yield from actions(self._scope, state)

    def at_rest(self, state: State) -> bool:
        """A side serves, and every process has learned it."""
        return _still(state) and all(process.side == state.journal.phase for process in state.processes)

    def violation(self, before: State, after: State) -> str:
        """Say what a step has broken."""
        if after.broken:
            return after.broken
        if after.gates[OLD].mode == after.gates[NEW].mode == "a":
            return "both sides accept writes"
        if _still(after) and not (after.content[OLD] == after.content[NEW] == after.committed):
            told = ", ".join(f"{name} {content:b}" for name, content in zip(SIDES, after.content, strict=True))
            return f"nothing is left to do; committed {after.committed:b}, {told}"
        return ""

    def is_fault(self, before: State, after: State) -> bool:
        """Tell whether something went wrong in a step."""
        return after.faults != before.faults


def _still(state: State) -> bool:
    journal, serving = state.journal, state.journal.phase
    settled = journal.goal == serving and state.gates[serving].mode == "a" and state.gates[1 - serving].mode == "l"
    busy = (
        journal.holder != NOBODY
        or state.marks[serving]
        or any(each.step for each in state.coordinators)
        or any(each.stage != "idle" for each in (*state.relays, *state.processes))
    )
    return settled and not busy


def explore(scope: SwitchScope) -> Result:
    """Visit every state that can be reached."""
    return search(SwitchWorld(scope), scope)
