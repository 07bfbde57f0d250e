"""Applications: writers at MongoDB behind validator or lease, writers at PostgreSQL behind its gate, readers."""

from __future__ import annotations

from tests.model.phases.scope import Action, PhaseScope
from tests.model.phases.state import MARK_ONLY, MONGO, POSTGRES, SIDES, Document, Process, Reader, State, put


def highest_version(state: State) -> int:
    """Give the highest version that is anywhere; the clock is beyond it."""
    carried = (each.v for each in state.carriers)
    return max(state.document.v, state.row.v, *(each.by for each in state.carriers), *carried, 0)


def highest_mark(state: State) -> int:
    """Give the highest mark that is anywhere; a new one is another."""
    return max(state.document.mark, state.row.mark, *(each.mark for each in state.carriers), 0)


def writers(scope: PhaseScope, state: State) -> Action:
    """Let each go on: read the gate, write, look again."""
    for place, process in enumerate(state.processes):
        if place and process == state.processes[place - 1]:
            continue

        def now(place: int = place, process: Process = process, **changes: object) -> tuple[Process, ...]:
            return put(state.processes, place, process._replace(**changes))  # type: ignore[arg-type]

        gate = state.gates[MONGO]
        if gate.mode == "a" and process.lease != gate.opened:
            took = now(lease=gate.opened)
            yield ("process {} reads MongoDB's gate: opened {}", place, gate.opened), state._replace(processes=took)
        if process.lease and scope.gate != "validator":
            yield ("the lease of process {} runs out", place), state._replace(processes=now(lease=0))
        if process.stage == "idle" and process.lease and state.budget.writes:
            spent = state.budget._replace(writes=state.budget.writes - 1)
            begun = now(stage="sent", number=process.lease, ident=state.written + 1)
            after = state._replace(processes=begun, budget=spent, written=state.written + 1)
            yield ("process {} sends write {} under {}", place, state.written + 1, process.lease), after
        if process.stage == "sent":
            yield from _executed(scope, state, place)
        if process.stage == "wrote":
            yield _looked(scope, state, place)


def _executed(scope: PhaseScope, state: State, place: int) -> Action:
    process, gate, document = state.processes[place], state.gates[MONGO], state.document
    idle = put(state.processes, place, Process(lease=process.lease))
    if scope.gate != "lease" and (gate.mode != "a" or gate.opened != process.number):
        yield ("write {} is refused by the validator", process.ident), state._replace(processes=idle)
        if scope.gate == "validator":
            return  # where there are both, a late collMod may have the validator admit it
    content = document.content | 1 << process.ident
    lost = scope.gate == "validator" and state.committed & ~document.content
    new = Document(True, highest_version(state) + 1, highest_mark(state) + 1, False, process.number, 0, content)
    kinds = [("puts the document", new)]
    if document.alive and "d" in scope.kinds:
        kinds.append(("deletes it", new._replace(deleted=True)))
    for told, after in kinds:
        done = state._replace(document=after, broken="MongoDB does not hold an acknowledged write" if lost else "")
        if scope.gate == "validator":
            done = done._replace(processes=idle, committed=state.committed | 1 << process.ident)
        else:
            done = done._replace(processes=put(state.processes, place, process._replace(stage="wrote")))
        yield ("write {} {} v{}", process.ident, told, after.v), done


def _looked(scope: PhaseScope, state: State, place: int) -> tuple[tuple[object, ...], State]:
    process = state.processes[place]
    idle = put(state.processes, place, Process(lease=process.lease))
    if process.lease != process.number and scope.looks_again:
        return ("write {} is not acknowledged: its lease is gone", process.ident), state._replace(processes=idle)
    told = ("write {} is acknowledged", process.ident)
    return told, state._replace(processes=idle, committed=state.committed | 1 << process.ident)


def postgresql(scope: PhaseScope, state: State) -> Action:
    """Write in PostgreSQL: behind its gate's lock, so passing and committing are one."""
    if state.gates[POSTGRES].mode == "a" and state.budget.writes:
        ident = state.written + 1
        lost = state.committed & ~state.row.content
        after = state._replace(
            row=state.row._replace(alive=True, content=state.row.content | 1 << ident),
            queue=state.queue | 1 << ident,
            committed=state.committed | 1 << ident,
            written=ident,
            budget=state.budget._replace(writes=state.budget.writes - 1),
            broken="PostgreSQL does not hold an acknowledged write" if lost else "",
        )
        yield ("write {} commits in PostgreSQL", ident), after
        if state.row.alive and "d" in scope.kinds:
            gone = after._replace(row=after.row._replace(alive=False))
            yield ("write {}, a delete, commits in PostgreSQL", ident), gone
    if state.budget.spurious:
        spent = state.budget._replace(spurious=state.budget.spurious - 1)
        marked = state._replace(queue=state.queue | MARK_ONLY, budget=spent)
        yield ("verification marks the record in PostgreSQL",), marked


def readers(scope: PhaseScope, state: State) -> Action:
    """Read the side that is named, where the lease holds as the read begins; it may take as long as it likes."""
    for place, reader in enumerate(state.readers):

        def now(place: int = place, reader: Reader = reader, **changes: object) -> tuple[Reader, ...]:
            return put(state.readers, place, reader._replace(**changes))  # type: ignore[arg-type]

        side, number = state.reads
        if not reader.lease or (reader.side, reader.number) != (side, number):
            told = ("reader {} learns that {} is read, number {}", place, SIDES[side], number)
            yield told, state._replace(readers=now(side=side, number=number, lease=True))
        if reader.lease:
            yield ("the lease of reader {} runs out", place), state._replace(readers=now(lease=False))
        may = reader.lease or not scope.reader_leases
        if reader.stage == "idle" and may and state.budget.reads:
            spent = state.budget._replace(reads=state.budget.reads - 1)
            begun = now(stage="begun", base=state.committed, content=reader.side)
            yield ("reader {} begins at {}", place, SIDES[reader.side]), state._replace(readers=begun, budget=spent)
        if reader.stage == "begun":
            found = (state.document, state.row)[reader.content].content
            yield ("reader {} has its answer", place), state._replace(readers=now(stage="has", content=found))
        if reader.stage == "has":
            yield _answered(state, place)


def _answered(state: State, place: int) -> tuple[tuple[object, ...], State]:
    reader = state.readers[place]
    after = put(state.readers, place, reader._replace(stage="idle", base=0, content=0))
    stale = reader.base & ~reader.content
    broken = "a read lacks a write that was acknowledged before it began" if stale else ""
    return ("reader {} answers", place), state._replace(readers=after, broken=broken)
