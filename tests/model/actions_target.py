"""The target executes what reaches it: the fence of ``engines/mongo/writes.py``, a key at a time."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.scope import Scope, Step
from tests.model.state import POISON, Document, Message, State, Target, awaited, late, put, waits_for, with_worker


def execute(scope: Scope, state: State) -> Iterator[Step]:
    """A write is executed, now or much later; its reply arrives or is lost."""
    for place, message in enumerate(state.messages):
        if place and state.messages[place - 1] == message:
            continue
        target, reply = written(scope, state.target, message)
        if target.reached is not state.target.reached:
            target = target._replace(by_stale=put(target.by_stale, message.key, late(state, message)))
        rest = state._replace(target=target, messages=(*state.messages[:place], *state.messages[place + 1 :]))
        told = ("the target executes {}{}", _words(message), _outcome(state.target, target, reply))
        yield told, _replied(rest, message, reply)
        budget = state.budget
        if budget.faults and "t" in scope.fault_kinds and awaited(state, message):
            lost = rest._replace(budget=budget._replace(faults=budget.faults - 1))
            yield (told[0] + ", and the reply is lost", *told[1:]), lost


def drop(scope: Scope, state: State) -> Iterator[Step]:
    """A write never arrives."""
    for place, message in enumerate(state.messages):
        if place and state.messages[place - 1] == message:
            continue
        missed = awaited(state, message)
        if missed and not (state.budget.faults and "t" in scope.fault_kinds):
            continue
        budget = state.budget._replace(faults=state.budget.faults - missed)
        rest = (*state.messages[:place], *state.messages[place + 1 :])
        yield ("{} never arrives", _words(message)), state._replace(messages=rest, budget=budget)


def _words(message: Message) -> str:
    what = f"{message.kind} of key {message.key}"
    return f"the {what} to version {message.version} under {message.ticket[0]}.{message.ticket[1]}"


def _outcome(before: Target, after: Target, reply: str) -> str:
    if reply != "ok":
        return {
            "again": ": it is there already",
            "conflict": ": its value is taken",
            "bad": ": rejected",
            "stale": ": refused, a higher ticket stands there",
        }[reply]
    return "" if before.documents != after.documents else ": nothing to do"


def written(scope: Scope, target: Target, message: Message) -> tuple[Target, str]:
    """Execute a write; return the reply."""
    key, ticket = message.key, message.ticket
    stored = target.documents[key]
    if message.kind == "away":
        if stored is not None and stored.ticket < ticket:
            target = target._replace(documents=put(target.documents, key, None))
        return target, "ok"
    if message.kind == "delete":
        if stored is None or stored.ticket < ticket or scope.broken == "delete without fence":
            return _reached(target._replace(documents=put(target.documents, key, None)), message), "ok"
        return target, "stale"
    if message.kind == "insert" and stored is not None:
        return target, "ok" if scope.broken == "insert gives in" else "again"
    if message.value == POISON:
        return target, "bad"
    if stored is not None and not stored.ticket < ticket and scope.broken != "update without fence":
        return target, "stale" if ticket < stored.ticket else "ok"
    if scope.unique and any(
        other is not None and other.value == message.value and place != key
        for place, other in enumerate(target.documents)
    ):
        return target, "conflict"
    document = Document(ticket, message.version, message.value)
    return _reached(target._replace(documents=put(target.documents, key, document)), message), "ok"


def _reached(target: Target, message: Message) -> Target:
    newest = message.version
    if newest <= target.reached[message.key]:
        return target
    return target._replace(reached=put(target.reached, message.key, newest))


def _replied(state: State, message: Message, reply: str) -> State:
    for number, worker in enumerate(state.workers):
        found = waits_for(worker, message)
        if found is not None:
            place, which = found
            batch = worker.batches[place]
            write = batch.writes[which]._replace(status=reply)
            new = batch._replace(writes=put(batch.writes, which, write))
            return with_worker(state, number, worker._replace(batches=put(worker.batches, place, new)))
    return state
