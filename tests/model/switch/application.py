"""Applications that write, and the links that carry what they wrote."""

from __future__ import annotations

from tests.model.switch.scope import Action, SwitchScope
from tests.model.switch.state import NEW, OLD, SIDES, Process, Relay, State, put

LOCKED = ("locked", "early", "refused")


def application(scope: SwitchScope, state: State) -> Action:
    """Begin, pass the gate or be refused, write, commit; routing carries no safety, so a process may try either side."""
    for number, process in enumerate(state.processes):
        side = process.side

        def now(*what: object, number: int = number) -> tuple[Process, ...]:
            return put(state.processes, number, Process(*what))  # type: ignore[arg-type]

        if process.stage == "idle" and side != state.journal.phase:
            learned = state._replace(processes=now(state.journal.phase))
            yield ("process {} learns that {} serves", number, SIDES[state.journal.phase]), learned
        if process.stage == "idle" and state.writes and scope.gate in {"snapshot", "early", "refused"}:
            gate = state.gates[side]
            seen = gate.mode if scope.gate == "snapshot" else (state.content[side], gate.opened)
            begun = state._replace(processes=now(side, "begun", 0, seen))
            yield ("process {} begins a transaction on {}, sees {}", number, SIDES[side], seen), begun
        ready = process.stage == "begun" or (process.stage == "idle" and scope.gate in {"locked", "unlocked"})
        if ready and state.writes:
            yield from _write(scope, state, number)
        if process.stage == "wrote":
            yield _commit(scope, state, number)
        if process.stage == "wrote" or (process.stage == "begun" and scope.gate in LOCKED):
            yield ("process {}: its transaction ends without a commit", number), state._replace(processes=now(side))


def _write(scope: SwitchScope, state: State, number: int) -> Action:
    process = state.processes[number]
    side, gate = process.side, state.gates[process.side]
    accepts = (process.seen if scope.gate == "snapshot" else gate.mode) == "a"
    if scope.gate == "refused":
        accepts = accepts and process.seen[1] == gate.opened
    if not accepts:
        other = put(state.processes, number, Process(1 - side))
        yield (
            ("process {} is refused by {}, tries the other side", number, SIDES[side]),
            state._replace(processes=other),
        )
    elif not any(each.stage == "wrote" and each.side == side for each in state.processes):
        ident = state.sequences[side] + 1
        wrote = Process(side, "wrote", ident, process.seen if scope.gate in {"early", "refused"} else "")
        yield (
            ("process {} passes the gate of {} and writes {}", number, SIDES[side], ident),
            state._replace(
                processes=put(state.processes, number, wrote),
                sequences=put(state.sequences, side, ident),
                writes=state.writes - 1,
            ),
        )


def _commit(scope: SwitchScope, state: State, number: int) -> tuple[tuple[object, ...], State]:
    process = state.processes[number]
    side, ident = process.side, process.ident
    bit, gate = 1 << ident, state.gates[side]
    broken = ""
    if state.committed & ~state.content[side]:
        broken = f"{SIDES[side]} does not hold an earlier acknowledged write"
    elif process.seen and process.seen[1] != gate.opened and gate.base & ~process.seen[0]:
        broken = f"its transaction has read what {SIDES[side]} held before it was opened"
    elif state.committed & bit:
        broken = f"the sequence has handed {ident} out twice"
    captured = scope.captured or side == OLD or state.gates[1 - side].mode == "l"
    after = state._replace(
        content=put(state.content, side, state.content[side] | bit),
        marks=put(state.marks, side, state.marks[side] | bit) if captured else state.marks,
        committed=state.committed | bit,
        processes=put(state.processes, number, Process(side)),
        broken=broken,
    )
    return ("process {} commits {} on {}", number, ident, SIDES[side]), after


def links(scope: SwitchScope, state: State) -> Action:
    """Ask the target's gate, read marks and record, write behind the gate, acknowledge."""
    for source, relay in enumerate(state.relays):
        target = 1 - source
        gate, name = state.gates[target], f"link {SIDES[source]} to {SIDES[target]}"

        def now(*what: object, source: int = source) -> tuple[Relay, ...]:
            return put(state.relays, source, Relay(*what))  # type: ignore[arg-type]

        if relay.stage == "idle" and state.marks[source] and (gate.mode == "l" or scope.link_asks == "nothing"):
            yield ("{} asks the gate: link {}", name, gate.link), state._replace(relays=now("asked", gate.link))
        elif relay.stage == "asked" and state.marks[source]:
            read = now("read", relay.link, state.marks[source], state.content[source])
            yield ("{} reads marks and record", name), state._replace(relays=read)
        elif relay.stage == "asked":
            yield ("{} has nothing to do", name), state._replace(relays=now())
        elif relay.stage == "read" and _lets_pass(scope, gate.mode, gate.link == relay.link):
            marks = state.marks if scope.tagged else put(state.marks, target, state.marks[target] | 1)
            written = state._replace(
                content=put(state.content, target, relay.record), relays=now("wrote", 0, relay.marks), marks=marks
            )
            yield ("{} writes the record", name), written
        elif relay.stage == "read":
            yield ("{} is refused", name), state._replace(relays=now())
        elif relay.stage == "wrote":
            left = put(state.marks, source, state.marks[source] & ~relay.marks)
            yield ("{} acknowledges", name), state._replace(marks=left, relays=now())


def _lets_pass(scope: SwitchScope, mode: str, same: bool) -> bool:
    return scope.link_asks == "nothing" or (mode == "l" and (same or scope.link_asks == "mode"))


def verify(_: SwitchScope, state: State) -> Action:
    """Mark the record without a change."""
    for side in (OLD, NEW):
        if state.spurious:
            marked = state._replace(marks=put(state.marks, side, state.marks[side] | 1), spurious=state.spurious - 1)
            yield ("verify marks the record on {}", SIDES[side]), marked
