"""What goes wrong: leases expire, workers crash or stop, a side is restored, somebody edits the target."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.scope import Scope, Step
from tests.model.state import EDITED, NOBODY, Document, Source, State, Target, Worker, copied, put, with_worker


def expire(scope: Scope, state: State) -> Iterator[Step]:
    """A worker is silent for so long that its leases run out."""
    source = state.source
    for number, worker in enumerate(state.workers):
        owns = any(lease.owner == number for lease in source.leases)
        if not source.alive[number] or not owns:
            continue
        gone = not any(worker.held) and not worker.stage
        if not gone and not (state.budget.faults and "e" in scope.fault_kinds):
            continue
        budget = state.budget._replace(faults=state.budget.faults - (not gone))
        alive = put(source.alive, number, False)
        yield (
            ("the leases of worker {} expire", number),
            state._replace(source=source._replace(alive=alive), budget=budget),
        )


def crash(scope: Scope, state: State) -> Iterator[Step]:
    """A worker loses all its memory; what it has sent is under way."""
    if not state.budget.faults:
        return
    budget = state.budget._replace(faults=state.budget.faults - 1)
    source = state.source
    for number, worker in enumerate(state.workers):
        if not (any(worker.held) or worker.batches or worker.stage):
            continue
        empty = Worker(state.life, (0,) * len(worker.held), tries=(0,) * len(source.rows))
        if "c" in scope.fault_kinds:
            yield ("worker {} crashes", number), with_worker(state._replace(budget=budget), number, empty)
        if "s" in scope.fault_kinds and any(worker.held) and worker.life == state.life:
            leases = tuple(
                lease._replace(owner=NOBODY) if (lease.owner, lease.epoch) == (number, epoch) else lease
                for lease, epoch in zip(source.leases, worker.held, strict=True)
            )
            stopped = state._replace(budget=budget, source=source._replace(leases=leases))
            yield ("worker {} stops and gives its lanes back", number), with_worker(stopped, number, empty)


def restore(scope: Scope, state: State) -> Iterator[Step]:
    """A side is set back to an earlier moment."""
    if not scope.restore or state.restored:
        return
    renewed = state.budget._replace(renewals=scope.renewals_after)
    if state.backup is None:
        side = state.source if scope.restore == "source" else state.target
        yield ("-- a backup of the {} is made", scope.restore), state._replace(backup=side)
    elif isinstance(state.backup, Source):
        if state.target.beat - state.backup.beat >= scope.lost_beats:
            yield ("-- the source is restored",), _restored_source(scope, state._replace(budget=renewed), state.backup)
    elif isinstance(state.backup, Target) and state.source.confirmed_beat - state.backup.beat >= scope.lost_beats:
        back = state.backup._replace(reached=state.target.reached)
        if scope.restore_cuts:  # renewals under way fail
            workers = tuple(worker._replace(stage="", memo=()) for worker in state.workers)
            state = state._replace(workers=workers)
        yield (
            ("-- the target is restored",),
            state._replace(target=back, restored="target", backup=(), budget=renewed),
        )


def copy(scope: Scope, state: State) -> Iterator[Step]:
    """Somebody copies the source, and starts a worker there with the configuration as it is."""
    if scope.copy and state.other is None:
        where = "elsewhere" if scope.copy == "elsewhere" else "to the byte"
        yield ("-- a copy of the source is made, {}", where), copied(state, int(scope.copy == "elsewhere"))


def _restored_source(scope: Scope, state: State, backup: Source) -> State:
    """Another server with an older truth: uncommitted transactions are gone, every connection is cut."""
    life = state.life
    if scope.broken != "session outlives a restore":
        life += 1
    return state._replace(
        source=backup,
        life=life,
        open=(),
        restored="source",
        backup=(),
    )


def tamper(scope: Scope, state: State) -> Iterator[Step]:
    """Somebody writes the target by hand."""
    if not state.budget.damage:
        return
    budget = state.budget._replace(damage=state.budget.damage - 1)
    for key, document in enumerate(state.target.documents):
        choices: list[tuple[str, Document | None]] = []
        if document is None:
            choices = [("somebody inserts key {} by hand, with a ticket of his own", Document((9, 1), EDITED, EDITED))]
            choices += [("somebody inserts key {} by hand, without a ticket", Document((0, 0), EDITED, EDITED))]
        else:
            choices = [
                ("somebody removes key {} by hand", None),
                ("somebody edits key {} by hand", document._replace(version=EDITED, value=EDITED)),
                ("somebody gives key {} a ticket that nobody has issued", document._replace(ticket=(9, 1))),
                ("somebody gives key {} a ticket that is not issued yet", document._replace(ticket=(4, 1))),
            ]
        for told, new in choices:
            target = state.target._replace(documents=put(state.target.documents, key, new))
            yield (
                (told, key),
                state._replace(target=target, budget=budget, tampered=put(state.tampered, key, True)),
            )
