"""What the relay's protocol can do from each state, for the search."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

from tests.model import actions_faults, actions_leases, actions_relay, actions_source, actions_target, actions_verify
from tests.model.invariants import quiescent, violation
from tests.model.scope import Action, Scope, Step
from tests.model.search import Result, search
from tests.model.state import (
    COPIED,
    NOBODY,
    Budget,
    Document,
    Lease,
    Mark,
    Row,
    Source,
    State,
    Target,
    Ticket,
    Verifier,
    Worker,
    exchanged,
)


def first(scope: Scope) -> State:
    """Make the state at the start: both sides equal, worker 0 has every lane (or nobody has one)."""
    contents = scope.begin_with or (0,) * scope.keys
    version = 1 if any(contents) else 0
    rows = tuple(Row(version if value else 0, value) for value in contents)
    documents = tuple(
        Document((1, 0), version, value) if value else None for value in scope.target_begins_with or contents
    )
    epoch, lanes = int(scope.owner), (0,) * scope.lanes
    lease = Lease(0, 1, 1) if scope.owner else Lease(NOBODY, 0, 0)
    beat = int(scope.owner and scope.restores_matter)
    source = Source(
        rows=rows,
        outbox=(),
        next_seq=1,
        deferred=(),
        parked=(0,) * scope.keys,
        tasks=(),
        leases=(lease,) * scope.lanes,
        alive=tuple(scope.owner and number == 0 for number in range(scope.workers)),
        epoch=epoch,
        beat=beat,
        confirmed_beat=beat,
        nonces=(1,) if scope.nonces and scope.owner else (),
    )
    reached = tuple(row.version for row in rows)
    nonce = int(scope.nonces and scope.owner)
    target = Target(documents, (epoch,) * scope.lanes, beat, 0, 0, nonce, reached, (False,) * scope.keys)
    idle = Worker(0, lanes, tries=(0,) * scope.keys)
    owner = idle._replace(held=(1,) * scope.lanes, confirmed=beat) if scope.owner else idle
    if scope.nonces and scope.owner:
        owner = owner._replace(seen=1, lasting=True)
    state = State(
        begun=0,
        open=(),
        source=source,
        target=target,
        messages=(),
        workers=(owner, *(idle,) * (scope.workers - 1)),
        verifier=Verifier(),
        budget=Budget(scope.faults, scope.damage, scope.renewals, scope.verifies),
        commits=version,
        life=0,
        tampered=(False,) * scope.keys,
        drawn=nonce,
    )
    for kind in scope.tasks:
        state = state._replace(source=actions_source.with_task(scope, state.source, state, kind, (0, 0)))
    return state


def actions(scope: Scope) -> list[Action]:
    """List what can happen at all."""
    chosen: list[Action] = [
        actions_source.transactions,
        actions_source.promotions,
        actions_relay.read_marks,
        actions_relay.read_states,
        actions_relay.send,
        actions_target.execute,
        actions_relay.read_back,
        actions_relay.settle,
        actions_relay.acknowledge,
        actions_relay.give_up,
        actions_target.drop,
        actions_leases.renew,
    ]
    if scope.tasks or scope.restore or any(one[0][0] < 0 for one in scope.script):
        chosen.append(actions_source.tasks)
    if scope.faults:
        chosen += [actions_faults.expire, actions_faults.crash]
    elif scope.restore:
        chosen.append(actions_faults.expire)
    if scope.restore:
        chosen.append(actions_faults.restore)
    if scope.copy:
        chosen += [actions_faults.copy, actions_leases.adopt]
    if scope.damage:
        chosen.append(actions_faults.tamper)
    if scope.verifies:
        chosen.append(actions_verify.verify)
    if scope.broken == "second delete after the acknowledgement":
        chosen.append(actions_source.late_second_deletes)
    return chosen


def canonical(state: State) -> State:
    """Two workers with their names exchanged are the same state: choose the smaller one of the two."""
    workers = state.workers
    if workers[0] < workers[1]:
        return state
    source, backup = state.source, state.backup
    swapped = _renamed(source)
    if isinstance(backup, Source):
        backup = _renamed(backup)
    if workers[0] == workers[1]:
        here = (source.leases, source.alive, state.backup if isinstance(backup, Source) else ())
        if here <= (swapped.leases, swapped.alive, backup if isinstance(backup, Source) else ()):
            return state
    return state._replace(source=swapped, workers=workers[::-1], backup=backup)


def _renamed(source: Source) -> Source:
    leases = tuple(lease if lease.owner == NOBODY else lease._replace(owner=1 - lease.owner) for lease in source.leases)
    return source._replace(leases=leases, alive=source.alive[::-1])


def renumbered(state: State) -> State:
    """Only the order of batch numbers and of sequence numbers matters: count them anew, so that retries come back to
    the same state and do not go on for ever."""
    source, target = state.source, state.target
    numbers = {document.ticket[1] for document in target.documents if document is not None}
    numbers.update(message.ticket[1] for message in state.messages)
    numbers.update(deferred.bound[1] for deferred in source.deferred)
    seqs = {seq for mark in source.outbox for seq in (mark.seq, mark.row) if seq}
    for worker in state.workers:
        for batch in worker.batches:
            numbers.add(batch.number)
            seqs.update(seq for mark in batch.marks for seq in (mark.seq, mark.row) if seq)
    number = {old: new for new, old in enumerate(sorted(numbers | {0}))}
    seq = {0: 0} | {old: new for new, old in enumerate(sorted(seqs), 1)}

    def ticket(old: Ticket) -> Ticket:
        return (old[0], number[old[1]])

    def marks(old: tuple[Mark, ...]) -> tuple[Mark, ...]:
        return tuple(mark._replace(seq=seq[mark.seq], row=seq[mark.row]) for mark in old)

    return state._replace(
        source=source._replace(
            outbox=marks(source.outbox),
            next_seq=len(seq),
            deferred=tuple(one._replace(bound=ticket(one.bound)) for one in source.deferred),
        ),
        target=target._replace(
            documents=tuple(one and one._replace(ticket=ticket(one.ticket)) for one in target.documents)
        ),
        messages=tuple(one._replace(ticket=ticket(one.ticket)) for one in state.messages),
        workers=tuple(
            worker._replace(
                number=len(number) - 1,
                batches=tuple(b._replace(number=number[b.number], marks=marks(b.marks)) for b in worker.batches),
            )
            for worker in state.workers
        ),
    )


def steps(scope: Scope, chosen: list[Action], state: State) -> Iterator[Step]:
    """Everything that can happen next."""
    for action in chosen:
        for told, after in action(scope, state):
            yield told, actions_verify.watched(state, after) if scope.verifies else after
    if state.other is not None:
        copy, there = _of_the_copy(scope), exchanged(state)
        for action in chosen:
            for told, after in action(copy, there):
                yield (f"in the copy: {told[0]}", *told[1:]), _reached_by_the_copy(exchanged(after))


def _reached_by_the_copy(state: State) -> State:
    """What the copy has from its source, it may well bring to the target in its place."""
    target = state.target
    reached = tuple(
        max(there, document.version if document and document.version <= COPIED else 0)
        for there, document in zip(target.reached, target.documents, strict=True)
    )
    return state if reached == target.reached else state._replace(target=target._replace(reached=reached))


@cache
def _of_the_copy(scope: Scope) -> Scope:
    return replace(scope, script=scope.copy_script)


class RelayWorld:
    """The relay's protocol within a scope."""

    def __init__(self, scope: Scope) -> None:
        self.limit, self.livelocks = scope.limit, scope.livelocks
        self.normal = _normal(scope)
        self._scope = scope
        self._chosen = actions(scope)

    def first(self) -> State:
        return first(self._scope)

    def steps(self, state: State) -> Iterator[Step]:
        return steps(self._scope, self._chosen, state)

    def violation(self, before: State, after: State) -> str:
        return violation(self._scope, before, after)

    def at_rest(self, state: State) -> bool:
        return quiescent(self._scope, state)

    def is_fault(self, before: State, after: State) -> bool:
        return after.budget != before.budget


def explore(scope: Scope) -> Result:
    """Visit every state that can be reached."""
    return search(RelayWorld(scope), scope)


def _normal(scope: Scope) -> Callable[[State], State]:
    plain = not (scope.restore or scope.copy or scope.two_steps or scope.tasks or scope.broken == "cursor")
    count = renumbered if plain and scope.compress else lambda state: state
    return count if scope.workers == 1 else lambda state: canonical(count(state))


def walk(scope: Scope, seed: int, length: int = 60) -> Iterator[Step]:
    """Walk at random, not exchanging names; for tests of the code."""
    chance, chosen, state = random.Random(seed), actions(scope), first(scope)
    for _ in range(length):
        choices = list(steps(scope, chosen, state))
        if not choices:
            return
        told, state = chance.choice(choices)
        yield told, state
