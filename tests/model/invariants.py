"""What must hold: of every state, of every step, and of every end."""

from __future__ import annotations

from collections import Counter

from tests.model.actions_leases import ENDED, judge
from tests.model.actions_relay import AS_IT_WAS
from tests.model.actions_verify import KEY
from tests.model.scope import Scope
from tests.model.state import POISON, State, equal, exchanged, late


def violation(scope: Scope, before: State, after: State) -> str:
    """Say what a step breaks, or nothing."""
    for invariant in ALONE if scope.copy else EVERY:
        said = invariant(scope, before, after)
        if said:
            return said
    if quiescent(scope, after):
        return converged(scope, after)
    return ""


def marks_removed_only_if_reached(scope: Scope, before: State, after: State) -> str:
    """No loss, step by step: a mark goes only when the target has reached the state that it stands for, or it is parked."""
    if scope.copy == "twin" and not scope.every_ticket_told:
        return (
            ""  # two may come to one epoch: then a ticket of the other's looks like one's own (see ``one epoch twice``)
        )
    if before.source.outbox is after.source.outbox or after.life != before.life or after.restored != before.restored:
        return ""
    left = {(mark.key, mark.made) for mark in after.source.outbox}
    if scope.broken == "remainder of another transaction":
        left = {(mark.key, made) for mark in after.source.outbox for made in range(after.commits + 1)}
    for mark in before.source.outbox:
        if (mark.key, mark.made) in left or after.restored:
            continue
        if after.target.reached[mark.key] < mark.made and after.source.parked[mark.key] < mark.made:
            return f"mark {mark.seq} of key {mark.key} is gone, but the target never reached version {mark.made}"
    return ""


def tokens_tell_the_truth(scope: Scope, before: State, after: State) -> str:
    """A transaction counts as synced when none of its marks waits; then the target has reached each of its keys, or it is parked."""
    if before.source.outbox is after.source.outbox or after.life != before.life or after.restored != before.restored:
        return ""
    waiting = {mark.made for mark in after.source.outbox}
    for mark in before.source.outbox:
        if not mark.made or mark.made in waiting or after.restored:
            continue
        if after.target.reached[mark.key] < mark.made and after.source.parked[mark.key] < mark.made:
            return f"the transaction of version {mark.made} counts as synced, but key {mark.key} has not reached the target"
    return ""


def a_change_waits_once(scope: Scope, before: State, after: State) -> str:
    """What was acknowledged comes back for a new change only; no acknowledgement doubles what is left."""
    if before.source.outbox is after.source.outbox or after.life != before.life or before.unmarked:
        return ""
    waited = Counter((mark.key, mark.made) for mark in before.source.outbox)
    for mark, number in Counter((mark.key, mark.made) for mark in after.source.outbox).items():
        key, made = mark
        if 0 < made <= before.commits and number > waited[mark]:
            return f"key {key} waits again for version {made}"
    return ""


def readers_only_see_progress(scope: Scope, before: State, after: State) -> str:
    """G4. The exceptions: a late write may bring back a deleted record; what a former owner of the lane wrote may be taken
    back by the new one, for a moment; a record may go away for its unique value."""
    if before.target.documents is after.target.documents or after.restored:
        return ""
    for key, (old, new) in enumerate(zip(before.target.documents, after.target.documents, strict=True)):
        if old is new or after.tampered[key] or (before.target.by_stale[key] and scope.former_owners):
            continue
        if old is not None and new is not None and new.version < old.version:
            return f"readers see key {key} go back from version {old.version} to {new.version}"
        if old is None and new is not None and new.version < after.target.reached[key]:
            (message,) = [m for m in before.messages if (m.key, m.ticket) == (key, new.ticket) and m.kind != "delete"]
            if not late(before, message):
                return f"a write of key {key} that is not late brings back version {new.version}"
        if (
            old is not None
            and new is None
            and not scope.unique
            and after.target.reached[key] > _deleted(before, after, key)
        ):
            return f"readers see key {key} vanish although version {old.version} is newer"
    return ""


def _deleted(before: State, after: State, key: int) -> int:
    """Give the version of the delete that was just executed."""
    gone = [m.version for m in before.messages if m.key == key and m.kind == "delete" and m not in after.messages]
    return max(gone, default=after.target.reached[key])


def one_state_under_a_ticket(scope: Scope, before: State, after: State) -> str:
    """No two states of a key under one ticket."""
    if len(after.messages) <= len(before.messages):
        return ""
    for message in after.messages:
        if message.kind == "away" or message in before.messages:
            continue
        document = after.target.documents[message.key]
        others = [
            m.version for m in after.messages if (m.key, m.ticket) == (message.key, message.ticket) and m.kind != "away"
        ]
        if document is not None and document.ticket == message.ticket and not after.tampered[message.key]:
            others.append(document.version)
        if any(version != message.version for version in others):
            return f"two states of key {message.key} under ticket {message.ticket[0]}.{message.ticket[1]}"
    return ""


def verify_is_sound(scope: Scope, before: State, after: State) -> str:
    """G7: what is only late is never reported."""
    if after.verifier.stage == "finding" and not after.tampered[KEY] and not after.restored:
        return f"verify reports key {KEY}, which nobody has damaged"
    return ""


def verify_is_complete(scope: Scope, before: State, after: State) -> str:
    """G7: what was damaged from the beginning to the end of a pass is reported."""
    if after.verifier.stage == "equal" and after.verifier.damaged_throughout:
        return f"verify finds nothing wrong with key {KEY}, which is damaged"
    return ""


def no_false_restore_alarm(scope: Scope, before: State, after: State) -> str:
    """Whoever says that a side was restored is right."""
    return "a restore is announced, but nothing was restored" if after.restored == "none" else ""


def restores_are_noticed(scope: Scope, before: State, after: State) -> str:
    """A renewal that began after a restore, and has come to its end, has noticed it."""
    if not after.restored or after.noticed or not scope.restores_matter:
        return ""
    for old, new in zip(before.workers, after.workers, strict=True):
        if old.stage == "balance" and new.stage in {"", "looked"} and new.witness and new.life == after.life:
            return f"the {after.restored} was restored, and a whole renewal after that has noticed nothing"
    return ""


def quiescent(scope: Scope, state: State) -> bool:
    """Tell whether nothing is left to do for anybody."""
    if scope.copy:
        return state.other is not None and _settled(scope, state) and _settled(scope, exchanged(state))
    source = state.source
    return not (
        source.outbox
        or source.deferred
        or source.tasks
        or state.messages
        or state.open
        or state.unmarked
        or any(worker.batches or worker.debt for worker in state.workers)
        or (state.restored and not state.noticed)
        or (state.restored and any(worker.life != state.life or worker.stage for worker in state.workers))
    )


def _settled(scope: Scope, state: State) -> bool:
    """Of two sources, this one's worker has ended, or has nothing to do, and its next renewal will find nothing."""
    source, target = state.source, state.target
    (worker,) = state.workers
    if state.messages or state.open or worker.stage not in {"", ENDED}:
        return False
    if worker.stage == ENDED:
        return True
    if not worker.lasting:
        return False
    found = (target.beat, target.nonce, target.system)
    idle = worker._replace(memo=(source.beat, source.confirmed_beat))
    return not (
        source.outbox
        or source.deferred
        or source.tasks
        or worker.batches
        or judge(scope, source.system, idle, found, source.beat, source.nonces)
    )


def converged(scope: Scope, state: State) -> str:
    """No loss, convergence: whatever happened, in the end both sides are equal, or the difference is parked."""
    if scope.copy:
        return _equal_or_told(scope, state) or (
            _equal_or_told(scope, exchanged(state)) if scope.broken != AS_IT_WAS else ""
        )
    return _converged(scope, state)


def _equal_or_told(scope: Scope, state: State) -> str:
    """Of two sources: the target is equal to this one, or its operator has been told that somebody else writes there.

    Of twins it may be the other one's: what happened since the copy was made, but before the next renewal, no counter shows.
    """
    assert state.other is not None
    told = state.source.told or (scope.copy == "twin" and state.other.source.told)
    return "" if told else _converged(scope, state)


def copies_write_nothing(scope: Scope, before: State, after: State) -> str:
    """Who is another source by its cluster or database sends nothing, unless somebody has adopted the target."""
    if scope.copy != "elsewhere" or scope.broken == AS_IT_WAS or after.adopted or after.other is None:
        return ""
    return "a copy of the source writes to its target" if after.other.messages else ""


def _converged(scope: Scope, state: State) -> str:
    for key, (row, document) in enumerate(zip(state.source.rows, state.target.documents, strict=True)):
        if state.tampered[key]:
            continue
        same, parked = equal(row, document), state.source.parked[key]
        if not same and not parked:
            said = "absent" if row.value == 0 else f"version {row.version}"
            found = "absent" if document is None else f"version {document.version}"
            return f"nothing is left to do, but key {key} is {said} in the source and {found} in the target"
        if parked and not same and row.value != POISON and not scope.unique:
            return f"nothing is left to do, key {key} is parked, although nothing is wrong with it"
        if parked and same and row.value != POISON:
            return f"nothing is left to do, key {key} is equal, and still parked"
    return ""


ALONE = (marks_removed_only_if_reached, copies_write_nothing)
"""What is looked at where a copy writes beside its source: readers see both."""
EVERY = (
    marks_removed_only_if_reached,
    tokens_tell_the_truth,
    a_change_waits_once,
    readers_only_see_progress,
    one_state_under_a_ticket,
    verify_is_sound,
    verify_is_complete,
    no_false_restore_alarm,
    restores_are_noticed,
)
