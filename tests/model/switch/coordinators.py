"""The operator and the coordinators: goal X, other side Y, steps 1 to 7 of ``docs/explanation/switch.md``."""

from __future__ import annotations

from tests.model.switch.application import LOCKED
from tests.model.switch.scope import Action, SwitchScope
from tests.model.switch.state import NOBODY, SIDES, Coordinator, Gate, State, put


def operator(_: SwitchScope, state: State) -> Action:
    """Want the other side."""
    if state.goals:
        journal = state.journal._replace(goal=1 - state.journal.goal)
        yield ("the operator wants {}", SIDES[journal.goal]), state._replace(journal=journal, goals=state.goals - 1)


def start(scope: SwitchScope, state: State) -> Action:
    """Take the lease, where the goal is not reached; anybody may, unless that is the mutant."""
    number, holder, goal, phase, _ = state.journal
    reached = state.gates[goal].mode == "a" and state.gates[1 - goal].mode == "l" and phase == goal
    first = number == 0 or (phase != goal and state.gates[phase].mode == "a")
    if holder != NOBODY or reached or not (scope.takeover or first):
        return
    for place, coordinator in enumerate(state.coordinators):
        if not coordinator.step:
            mode = state.gates[goal].mode if scope.is_links == "as read" else ""
            taken = state._replace(
                coordinators=put(state.coordinators, place, Coordinator(1, number + 1, goal, mode=mode)),
                journal=state.journal._replace(number=number + 1, holder=place),
            )
            yield ("coordinator {} takes the lease, goal {}", number + 1, SIDES[goal]), taken
            return


def coordinators(scope: SwitchScope, state: State) -> Action:
    """Let each go on, crash, or be frozen past its lease."""
    for place, coordinator in enumerate(state.coordinators):
        if coordinator.step:
            yield from _troubles(scope, state, place)
            yield from _One(scope, state, place).step()


def _ended(state: State, place: int) -> State:
    journal = state.journal
    freed = journal._replace(holder=NOBODY) if journal.holder == place else journal
    return state._replace(coordinators=put(state.coordinators, place, Coordinator()), journal=freed)


def _troubles(scope: SwitchScope, state: State, place: int) -> Action:
    step, number, goal, *_ = state.coordinators[place]
    in_charge = state.journal.holder == place
    if state.faults:
        yield ("coordinator {} crashes", number), _ended(state, place)._replace(faults=state.faults - 1)
        if in_charge:
            frozen = state._replace(journal=state.journal._replace(holder=NOBODY), faults=state.faults - 1)
            yield ("the lease of coordinator {} runs out while it is frozen", number), frozen
    wanted = state.journal.goal
    turns = step == 5 and wanted != goal and in_charge and not state.coordinators[1 - place].step
    if turns and not scope.new_number_to_turn_back:
        turned = put(state.coordinators, 1 - place, Coordinator(1, number, wanted))
        after = state._replace(coordinators=turned, journal=state.journal._replace(holder=1 - place))
        yield ("coordinator {} turns back; its statement that opens {} is on its way", number, SIDES[goal]), after
    if step < 6 and wanted != goal and in_charge:
        yield ("coordinator {} sees that the goal has changed", number), _ended(state, place)
    if scope.looks_at_lease and not in_charge:
        yield ("coordinator {} sees that its lease is gone", number), _ended(state, place)


class _One:
    """The next step of a coordinator."""

    def __init__(self, scope: SwitchScope, state: State, place: int) -> None:
        self.scope, self.state, self.place = scope, state, place
        self.at, self.number, self.goal, self.note, self.mode = state.coordinators[place]
        self.other = 1 - self.goal
        self.mine, self.theirs = state.gates[self.goal], state.gates[self.other]

    def step(self) -> Action:
        steps = (self.note_number, self.close, self.give_to_link, self.drain, self.open, self.reverse, self.end)
        yield from steps[self.at - 1]()

    def to(self, step: int, **changes: object) -> State:
        note = changes.pop("note", self.note)
        mode = changes.pop("mode", self.mode)
        coordinator = Coordinator(step, self.number, self.goal, note, mode if step in {2, 3} else "")  # type: ignore[arg-type]
        changed = self.state._replace(**changes)  # type: ignore[arg-type]
        return changed._replace(coordinators=put(self.state.coordinators, self.place, coordinator))

    def changed(self, side: int, mode: str = "", *, opened: bool = False) -> tuple[Gate, ...]:
        gate = self.state.gates[side]
        after = gate._replace(mode=mode or gate.mode, number=max(self.number, gate.number))
        if opened:
            base = self.state.committed if self.scope.gate in {"early", "refused"} else 0
            after = after._replace(opened=self.number, base=base)
        if after.mode == "l" and gate.mode != "l":
            after = after._replace(link=self.number)
        return put(self.state.gates, side, after)

    def waits(self, side: int) -> bool:
        wrote = any(process.side == side and process.stage == "wrote" for process in self.state.processes)
        return self.scope.gate in LOCKED and wrote

    def late(self, side: int) -> Action:
        """A change with a lower number than the gate's."""
        yield ("coordinator {} is superseded on {}", self.number, SIDES[side]), _ended(self.state, self.place)

    def is_late(self, side: int) -> bool:
        return self.scope.numbers and self.state.gates[side].number > self.number

    def note_number(self) -> Action:
        if self.waits(self.goal):
            return
        if self.is_late(self.goal):
            yield from self.late(self.goal)
            return
        gates = self.changed(self.goal)
        note = self.state.sequences[self.other] if self.scope.sequences == "before closing" else 0
        following = 6 if self.mine.mode == "a" else 2 if self.scope.closes_first else 3
        mode = self.mode or self.mine.mode
        yield (
            ("coordinator {} notes its number on {}, mode {}", self.number, SIDES[self.goal], self.mine.mode),
            self.to(following, gates=gates, note=note, mode=mode),
        )

    def close(self) -> Action:
        if self.waits(self.other):
            return
        following = 3 if self.scope.closes_first else 5
        if self.is_late(self.other):
            yield from self.late(self.other)
        elif not self.scope.numbers_other_side and self.theirs.mode != "a":
            yield ("coordinator {} leaves {} as it is", self.number, SIDES[self.other]), self.to(following)
        else:
            shut = "n" if self.scope.closed_to_link else "l"
            gates = self.changed(self.other, shut)
            yield ("coordinator {} closes {}", self.number, SIDES[self.other]), self.to(following, gates=gates)

    def give_to_link(self) -> Action:
        they_have_it = self.theirs.opened > self.mine.opened or not self.scope.opened_tells
        if they_have_it and self.mode in (("l", "n") if self.scope.is_links == "or closed" else ("l",)):
            yield ("coordinator {}: {} is the link's already", self.number, SIDES[self.goal]), self.to(4)
            return
        if self.waits(self.goal):
            return
        if self.is_late(self.goal):
            yield from self.late(self.goal)
        elif they_have_it:
            gates = self.changed(self.goal, "l")
            yield ("coordinator {}: {} takes the link's writes", self.number, SIDES[self.goal]), self.to(4, gates=gates)
        else:
            yield ("coordinator {}: {} has the truth itself", self.number, SIDES[self.goal]), self.to(5)

    def drain(self) -> Action:
        if self.state.marks[self.other] and self.scope.drains:
            return
        theirs = self.note if self.scope.sequences == "before closing" else self.state.sequences[self.other]
        own = self.state.sequences[self.goal]
        value = own if self.scope.sequences == "never" else max(own, theirs)
        following = 5 if self.scope.closes_first else 2
        told = ("coordinator {} finds {} drained, sequence {}", self.number, SIDES[self.other], value)
        yield told, self.to(following, sequences=put(self.state.sequences, self.goal, value))

    def open(self) -> Action:
        if self.waits(self.goal):
            return
        if self.is_late(self.goal):
            yield from self.late(self.goal)
        else:
            gates = self.changed(self.goal, "a", opened=True)
            yield ("coordinator {} OPENS {}", self.number, SIDES[self.goal]), self.to(6, gates=gates)

    def reverse(self) -> Action:
        if self.waits(self.other):
            return
        if self.is_late(self.other):
            yield from self.late(self.other)
        else:
            gates = self.changed(self.other, "l")
            yield (
                ("coordinator {}: {} takes the link's writes", self.number, SIDES[self.other]),
                self.to(7, gates=gates),
            )

    def end(self) -> Action:
        after, journal = _ended(self.state, self.place), self.state.journal
        if journal.phase_number < self.number:
            reached = after.journal._replace(phase=self.goal, phase_number=self.number)
            yield (
                ("coordinator {} notes that {} serves", self.number, SIDES[self.goal]),
                after._replace(journal=reached),
            )
        else:
            yield ("coordinator {} finds a later note", self.number), after
