"""The operator and the coordinators: the steps of ``tests.model.switch``, with leases and a barrier for readers."""

from __future__ import annotations

from tests.model.phases.scope import Action, PhaseScope
from tests.model.phases.state import MONGO, POSTGRES, SIDES, Coordinator, Gate, State, put
from tests.model.switch.state import NOBODY

NUMBER, CLOSE, LEASES, LINK, DRAIN, ANNOUNCE, BARRIER, OPEN, REVERSE, PHASE = range(1, 11)


def operator(_: PhaseScope, state: State) -> Action:
    """Want the other side."""
    if state.budget.goals:
        journal = state.journal._replace(goal=1 - state.journal.goal)
        spent = state.budget._replace(goals=state.budget.goals - 1)
        yield ("the operator wants {}", SIDES[journal.goal]), state._replace(journal=journal, budget=spent)


def start(_: PhaseScope, state: State) -> Action:
    """Take the lease, where the goal is not reached."""
    number, holder, goal, phase, _ = state.journal
    reached = state.gates[goal].mode == "a" and state.gates[1 - goal].mode == "l" and phase == goal
    if holder != NOBODY or reached:
        return
    for place, coordinator in enumerate(state.coordinators):
        if not coordinator.step:
            following = max(number, *(gate.number for gate in state.gates)) + 1
            taken = state._replace(
                coordinators=put(state.coordinators, place, Coordinator(1, following, goal)),
                journal=state.journal._replace(number=following, holder=place),
            )
            yield ("coordinator {} takes the lease, goal {}", following, SIDES[goal]), taken
            return


def rescue(scope: PhaseScope, state: State) -> Action:
    """Open MongoDB again, by one update of the document that has its gate and the phase: PostgreSQL is not asked."""
    gate = state.gates[MONGO]
    excluded = not state.announced or scope.rescue_asks != "announced and phase"
    excluded = excluded and (state.reads[0] == MONGO or scope.rescue_asks == "nothing")
    if gate.mode == "n" and state.budget.rescues and excluded:
        known = (state.journal.number, *(each.number for each in (*state.gates, *state.coordinators)))
        number = (gate.number if scope.rescue_number == "next" else max(known)) + 1
        opened = gate._replace(mode="a", number=number, opened=number)
        reads = (state.reads[0], number) if scope.rescue_supersedes else state.reads
        spent = state.budget._replace(rescues=state.budget.rescues - 1)
        after = state._replace(gates=put(state.gates, MONGO, opened), reads=reads, budget=spent)
        yield ("MongoDB is opened again, number {}, PostgreSQL is away", number), after


def coordinators(scope: PhaseScope, state: State) -> Action:
    """Let each go on, crash, or be frozen past its lease."""
    for place, coordinator in enumerate(state.coordinators):
        if coordinator.step:
            yield from _troubles(state, place)
            yield from _One(scope, state, place).step()


def _ended(state: State, place: int) -> State:
    journal = state.journal
    freed = journal._replace(holder=NOBODY) if journal.holder == place else journal
    return state._replace(coordinators=put(state.coordinators, place, Coordinator()), journal=freed)


def _troubles(state: State, place: int) -> Action:
    step, number, goal, *_ = state.coordinators[place]
    in_charge = state.journal.holder == place
    if state.budget.faults:
        spent = state.budget._replace(faults=state.budget.faults - 1)
        yield ("coordinator {} crashes", number), _ended(state, place)._replace(budget=spent)
        if in_charge:
            frozen = state._replace(journal=state.journal._replace(holder=NOBODY), budget=spent)
            yield ("the lease of coordinator {} runs out while it is frozen", number), frozen
    if step < REVERSE and state.journal.goal != goal and in_charge:
        yield ("coordinator {} sees that the goal has changed", number), _ended(state, place)
    if not in_charge:
        yield ("coordinator {} sees that its lease is gone", number), _ended(state, place)


class _One:
    """The next step of a coordinator."""

    def __init__(self, scope: PhaseScope, state: State, place: int) -> None:
        self.scope, self.state, self.place = scope, state, place
        self.at, self.number, self.goal, *_ = state.coordinators[place]
        self.other = 1 - self.goal
        self.mine, self.theirs = state.gates[self.goal], state.gates[self.other]

    def step(self) -> Action:
        steps = (
            self.note_number, self.close, self.leases, self.give_to_link, self.drain,
            self.announce, self.barrier, self.open, self.reverse, self.end,
        )  # fmt: skip
        yield from steps[self.at - 1]()

    def to(self, step: int, **changes: object) -> State:
        changed = self.state._replace(**changes)  # type: ignore[arg-type]
        mine = Coordinator(step, self.number, self.goal)
        return changed._replace(coordinators=put(self.state.coordinators, self.place, mine))

    def changed(self, side: int, mode: str = "", *, opened: bool = False) -> tuple[Gate, ...]:
        gate = self.state.gates[side]
        after = gate._replace(mode=mode or gate.mode, number=max(self.number, gate.number))
        if opened:
            after = after._replace(opened=self.number)
        if after.mode == "l" and gate.mode != "l":
            after = after._replace(link=self.number)
        return put(self.state.gates, side, after)

    def on(self, side: int, told: str, following: int, **changes: object) -> Action:
        """Change a gate that no higher number has changed."""
        if self.state.gates[side].number > self.number:
            yield ("coordinator {} is superseded on {}", self.number, SIDES[side]), _ended(self.state, self.place)
        else:
            yield (told, self.number, SIDES[side]), self.to(following, **changes)

    def note_number(self) -> Action:
        following = REVERSE if self.mine.mode == "a" else CLOSE
        gates = self.changed(self.goal)
        yield from self.on(self.goal, "coordinator {} notes its number on {}", following, gates=gates)

    def close(self) -> Action:
        gates = self.changed(self.other, "n")
        yield from self.on(self.other, "coordinator {} closes {}", LEASES, gates=gates)

    def leases(self) -> Action:
        waits = self.scope.gate != "validator" and self.scope.waits_for_leases and self.other == MONGO
        if not (waits and any(each.lease for each in self.state.processes)):
            yield ("coordinator {}: no lease of before holds", self.number), self.to(LINK)

    def give_to_link(self) -> Action:
        if self.theirs.opened > self.mine.opened:
            following = ANNOUNCE if self.scope.barrier == "before drain" else DRAIN
            gates = self.changed(self.goal, "l")
            yield from self.on(self.goal, "coordinator {}: {} takes the link's writes", following, gates=gates)
        else:
            told = ("coordinator {}: {} has the truth itself", self.number, SIDES[self.goal])
            yield told, self.to(ANNOUNCE)

    def drain(self) -> Action:
        state = self.state
        tombstone = state.document.deleted and state.document.ticket
        held = bool(tombstone) and self.scope.second_deletes_wait
        left = state.document.mark if self.other == MONGO else state.queue or held
        if not (left and self.scope.drains):
            following = OPEN if self.scope.barrier == "before drain" else ANNOUNCE
            yield ("coordinator {} finds {} drained", self.number, SIDES[self.other]), self.to(following)

    def announce(self) -> Action:
        if self.state.reads[1] <= self.number:
            told = ("coordinator {} announces that {} will be read", self.number, SIDES[self.goal])
            announced = self.state.announced or self.state.reads[0] != self.goal
            yield told, self.to(BARRIER, reads=(self.goal, self.number), announced=announced)
        else:
            yield ("coordinator {} finds a later announcement", self.number), _ended(self.state, self.place)

    def barrier(self) -> Action:
        old = any(each.lease and each.number < self.number for each in self.state.readers)
        if not old or self.scope.barrier == "never":
            drains = self.scope.barrier == "before drain" and self.theirs.opened > self.mine.opened
            told = ("coordinator {}: every reader has acknowledged, or has no lease", self.number)
            yield told, self.to(DRAIN if drains else OPEN)

    def open(self) -> Action:
        gates = self.changed(self.goal, "a", opened=True)
        announced = self.state.announced and self.goal == POSTGRES
        yield from self.on(self.goal, "coordinator {} OPENS {}", REVERSE, gates=gates, announced=announced)

    def reverse(self) -> Action:
        gates = self.changed(self.other, "l")
        announced = self.state.announced and not (self.other == MONGO and self.state.reads[0] == POSTGRES)
        told = "coordinator {}: {} takes the link's writes"
        yield from self.on(self.other, told, PHASE, gates=gates, announced=announced)

    def end(self) -> Action:
        after, journal = _ended(self.state, self.place), self.state.journal
        if journal.phase_number < self.number:
            reached = after.journal._replace(phase=self.goal, phase_number=self.number)
            told = ("coordinator {} notes that {} serves", self.number, SIDES[self.goal])
            yield told, after._replace(journal=reached)
        else:
            yield ("coordinator {} finds a later note", self.number), after


__all__ = ["POSTGRES", "coordinators", "operator", "start"]
