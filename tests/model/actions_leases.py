"""Leases, epochs and beats: a renewal, step by step (``relay/leases.py``, ``relay/restores.py``).

Where a scope has no restores, a renewal that finds nothing new is no step at all, and others have fewer steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from tests.model import actions_relay
from tests.model.actions_source import with_task
from tests.model.scope import Scope, Step
from tests.model.state import NOBODY, Lease, Source, State, Worker, put, with_worker

ENDED = "ended"
TELLS = "worker {} tells the target beat {}, nonce {}, and finds beat {}, nonce {}, of system {}"


def renew(scope: Scope, state: State) -> Iterator[Step]:
    """Whatever a worker's renewal does next."""
    for number, worker in enumerate(state.workers):
        if worker.stage == ENDED:
            continue
        if worker.life != state.life:
            yield ("worker {} opens a new session", number), _new_session(state, number)
        elif worker.stage == "":
            yield from _begin(scope, state, number, worker)
        elif worker.stage in {"beat read", "beat told"}:
            yield from _exchange(scope, state, number, worker)
        elif worker.stage == "in doubt":
            yield _doubt(scope, state, number, worker)
        elif worker.stage == "balance":
            yield from _look(scope, state, number, worker)
        elif worker.stage == "looked":
            yield from _acquire(scope, state, number, worker)
        elif worker.stage == "acquired":
            yield from _announce(scope, state, number, worker)
        elif worker.stage == "announced":
            yield _confirm(state, number, worker)


def _new_session(state: State, number: int) -> State:
    keys, lanes = len(state.source.rows), len(state.source.leases)
    return with_worker(state, number, Worker(state.life, (0,) * lanes, tries=(0,) * keys))


def free_lanes(source: Source, number: int, worker: Worker) -> list[int]:
    """List the lanes that a worker may take."""
    return [
        lane
        for lane, lease in enumerate(source.leases)
        if not worker.held[lane] and (lease.owner in {NOBODY, number} or not source.alive[lease.owner])
    ]


def _begin(scope: Scope, state: State, number: int, worker: Worker) -> Iterator[Step]:
    """Renew in the source: the worker lives, the beat advances; lanes that were lost are forgotten."""
    source = state.source
    kept = tuple(
        epoch if (lease.owner, lease.epoch) == (number, epoch) else 0
        for epoch, lease in zip(worker.held, source.leases, strict=True)
    )
    alive = put(source.alive, number, True)
    if not scope.restores_matter:
        free = bool(free_lanes(source, number, worker))
        if kept != worker.held or not source.alive[number] or free:
            renewed = state._replace(source=source._replace(alive=alive))
            if not free:
                yield ("worker {} renews", number), with_worker(renewed, number, worker._replace(held=kept))
                return
            stored = max(state.target.epochs)
            yield (
                ("worker {} renews, and reads the lanes' records in the target (highest: {})", number, stored),
                with_worker(renewed, number, worker._replace(held=kept, stage="looked", memo=(stored,))),
            )
        return
    if not state.budget.renewals:
        return
    if source.contested:
        yield ("worker {} renews, and reads that somebody else writes to the target", number), _end(state, number)
        return
    nonces, drawn = source.nonces, state.drawn
    if scope.nonces and (not nonces or nonces[0] == worker.seen):
        drawn += 1
        nonces = (drawn, *nonces)
    confirmed = max(source.confirmed_beat, worker.confirmed)
    base = source.base if source.base[0] == state.life else (state.life, source.beat)
    beat = source.beat + 1
    if scope.broken == "beat confirmed in advance":
        confirmed = max(confirmed, beat)
    renewed = source._replace(alive=alive, beat=beat, confirmed_beat=confirmed, base=base, nonces=nonces)
    free = sum(1 << lane for lane in free_lanes(renewed, number, worker._replace(held=kept)))
    memo = (beat, confirmed, source.epoch, free, *(lease.confirmed for lease in source.leases))
    budget = state.budget._replace(renewals=state.budget.renewals - 1)
    yield (
        ("worker {} renews: beat {} (confirmed: {})", number, beat, confirmed),
        with_worker(
            state._replace(source=renewed, budget=budget, drawn=drawn),
            number,
            worker._replace(held=kept, stage="beat read", memo=memo, witness=bool(state.restored), nonces=nonces),
        ),
    )


def _exchange(scope: Scope, state: State, number: int, worker: Worker) -> Iterator[Step]:
    """Read the target's beat and judge it; then overwrite it, and judge what was overwritten."""
    if scope.nonces:
        yield _exchange_nonces(scope, state, number, worker)
        return
    mine, confirmed = worker.memo[:2]
    found, life = state.target.beat, state.target.beat_life
    first = worker.stage == "beat read"
    target = state.target
    if (not first or scope.broken == "beat told unjudged") and found <= mine:
        target = target._replace(beat=mine, beat_life=state.life)
    told = (
        ("worker {} reads beat {} in the target", number, found)
        if first
        else ("worker {} tells the target beat {}, and finds {}", number, mine, found)
    )
    verdict = _judge_beat(scope, state.source, found, life, mine, confirmed)
    changed = state._replace(target=target)
    after = "beat told" if first else "balance"
    if scope.broken == "beat told unjudged" and first:
        after, verdict = "balance", ""
    if verdict == "source" and not scope.exact_beats:
        doubting = worker._replace(stage="in doubt", memo=(*worker.memo, found, first))
        yield told, with_worker(changed, number, doubting)
        return
    new = worker._replace(stage=after, confirmed=worker.confirmed if first else max(mine, worker.confirmed))
    if verdict:
        changed, new, told = _reconcile(scope, changed, number, new, verdict, told, found)
    yield told, with_worker(changed, number, new)


def _judge_beat(scope: Scope, source: Source, found: int, life: int, mine: int, confirmed: int) -> str:
    if found == 0 and not confirmed:
        return ""
    if found < confirmed:
        return "target"
    if scope.exact_beats:
        if life == source.base[0]:
            return ""
        return "source" if found > source.base[1] else ""
    return "source" if found > mine else ""


def _exchange_nonces(scope: Scope, state: State, number: int, worker: Worker) -> Step:
    """The same as it is built: whose target it is is compared too, and what only this source can have left there."""
    mine = worker.memo[0]
    target, source = state.target, state.source
    first = worker.stage == "beat read"
    found = (target.beat, target.nonce, target.system)
    told = (
        ("worker {} reads in the target: beat {}, nonce {}, of system {}", number, *found)
        if first
        else (TELLS, number, mine, worker.nonces[0], *found)
    )
    changed = state
    if not first and found[2] in {source.system, worker.over} and found[0] <= mine:
        changed = state._replace(target=target._replace(beat=mine, nonce=worker.nonces[0], system=source.system))
    verdict = judge(scope, source.system, worker, found, mine, worker.nonces)
    if verdict in {"source", "forked"}:
        return told, with_worker(changed, number, worker._replace(stage="in doubt", memo=(*worker.memo, *found, first)))
    return _answered(scope, changed, number, worker, first=first, found=found, verdict=verdict, told=told)


def judge(
    scope: Scope, system: int, worker: Worker, found: tuple[int, int, int], mine: int, nonces: tuple[int, ...]
) -> str:
    """Compare as ``judge_beat`` does; installations are equal."""
    count, nonce, owner = found
    asks = scope.broken != actions_relay.AS_IT_WAS
    if not count:
        return "target" if worker.memo[1] else ""
    if owner != system and asks and scope.broken != "identity ignored":
        return "foreign"
    if count < worker.memo[1]:
        return "target"
    if count > mine:
        return "forked" if worker.lasting and asks else "source"
    if nonce not in nonces and asks and scope.broken != "nonce ignored":
        return "forked" if worker.lasting else "source"
    return ""


def _answered(
    scope: Scope,
    state: State,
    number: int,
    worker: Worker,
    *,
    first: bool,
    found: tuple[int, int, int],
    verdict: str,
    told: tuple[object, ...],
) -> Step:
    """Go on, reconcile, or end."""
    if verdict in {"foreign", "forked"}:
        source = state.source._replace(contested=state.source.contested or verdict == "forked")
        ended = _end(state._replace(source=source), number)
        return (told[0] + "; it is somebody else's: the worker alarms and ends", *told[1:]), ended
    after = "beat told" if first else "balance"
    new = worker._replace(stage=after, over=found[2])
    if not first:
        new = new._replace(confirmed=max(worker.memo[0], worker.confirmed), lasting=True)
        if found[0] <= worker.memo[0]:
            new = new._replace(seen=worker.nonces[0])
    if verdict:
        state, new, told = _reconcile(scope, state, number, new, verdict, told, found[0])
        if verdict == "source":
            nonces = state.source.nonces
            state = state._replace(source=state.source._replace(nonces=(*nonces[:1], found[1], *nonces[1:])))
    return told, with_worker(state, number, new)


def _end(state: State, number: int) -> State:
    """The worker gives its lanes back and ends, and does so again whenever it is started; what it has sent is under way."""
    worker, source = state.workers[number], state.source
    leases = tuple(
        lease._replace(owner=NOBODY) if (lease.owner, lease.epoch) == (number, epoch) else lease
        for lease, epoch in zip(source.leases, worker.held, strict=True)
    )
    source = source._replace(leases=leases, alive=put(source.alive, number, False), told=True)
    gone = Worker(state.life, (0,) * len(worker.held), stage=ENDED, tries=(0,) * len(source.rows))
    return with_worker(state._replace(source=source), number, gone)


def adopt(scope: Scope, state: State) -> Iterator[Step]:
    """Somebody types ``syncline adopt``: everything is marked and swept, under epochs above all others."""
    if state.adopted >= scope.adoptions or state.other is None:
        return
    source, target = state.source, state.target
    for kind in ("backfill", "sweep"):
        source = with_task(scope, source, state, kind, (max(source.epoch, *target.epochs) + 1, 0))
    beat, drawn = max(source.beat, target.beat) + 1, state.drawn + 1
    source = source._replace(
        beat=beat,
        epoch=max(source.epoch, *target.epochs) + 1,
        nonces=(drawn, *source.nonces),
        contested=False,
        told=False,
    )
    target = target._replace(beat=beat, nonce=drawn, system=source.system)
    workers = tuple(worker._replace(stage="") if worker.stage == ENDED else worker for worker in state.workers)
    yield (
        ("-- `syncline adopt` makes the target this source's",),
        state._replace(source=source, target=target, workers=workers, drawn=drawn, adopted=state.adopted + 1),
    )


def _doubt(scope: Scope, state: State, number: int, worker: Worker) -> Step:
    """The target has seen a later beat than ours: it may be another worker's. The source knows."""
    if scope.nonces:
        return _doubt_nonces(scope, state, number, worker)
    *memo, found, first = worker.memo
    after = "beat told" if first else "balance"
    confirmed = worker.confirmed if first else max(memo[0], worker.confirmed)
    new = worker._replace(stage=after, memo=tuple(memo), confirmed=confirmed)
    told = ("worker {} asks the source for its beat: {}", number, state.source.beat)
    if found <= state.source.beat and scope.broken != "later beats are not excused":
        return told, with_worker(state, number, new)
    changed, new, told = _reconcile(scope, state, number, new, "source", told, found)
    return told, with_worker(changed, number, new)


def _doubt_nonces(scope: Scope, state: State, number: int, worker: Worker) -> Step:
    """Judge once more by what the source says now."""
    *memo, count, nonce, system, first = worker.memo
    found, source = (count, nonce, system), state.source
    now = worker._replace(memo=tuple(memo))
    verdict = judge(scope, source.system, now, found, max(memo[0], source.beat), source.nonces)
    told = ("worker {} asks the source for its beat and nonces: {}, {}", number, source.beat, list(source.nonces))
    return _answered(scope, state, number, now, first=bool(first), found=found, verdict=verdict, told=told)


def _reconcile(scope: Scope, state: State, number: int, worker: Worker, verdict: str, told, found: int):
    """Ask for a backfill and a sweep, put the beat right, drop all leases."""
    state = _alarm(scope, state)
    source = state.source
    if verdict == "source":
        base = (state.life, max(source.base[1], found)) if scope.exact_beats else source.base
        source = source._replace(beat=max(source.beat, found), base=base)
    leases = tuple(
        lease._replace(owner=NOBODY) if epoch and (lease.owner, lease.epoch) == (number, epoch) else lease
        for lease, epoch in zip(source.leases, worker.held, strict=True)
    )
    new = worker._replace(held=(0,) * len(worker.held))
    words = (
        told[0] + "; it concludes that the {} was restored, and asks for a backfill and a sweep",
        *told[1:],
        verdict,
    )
    return state._replace(source=source._replace(leases=leases)), new, words


def _alarm(scope: Scope, state: State) -> State:
    source = state.source
    bound = (max(source.epoch, *state.target.epochs) + 1, 0)
    if scope.broken != "restore without backfill":
        source = with_task(scope, source, state, "backfill", bound)
    if scope.broken != "restore without sweep":
        source = with_task(scope, source, state, "sweep", bound)
    if scope.copy:
        return state._replace(source=source)  # to a copy, its source's progress looks like a restore
    return state._replace(source=source, restored=state.restored or "none", noticed=True)


def _look(scope: Scope, state: State, number: int, worker: Worker) -> Iterator[Step]:
    """Are lanes free? Then read the target's records of the lanes, and judge them."""
    done = worker._replace(stage="", memo=())
    if not worker.memo[3]:  # as it was at the renewal
        yield ("worker {} has its lanes", number), with_worker(state, number, done)
        return
    stored = state.target.epochs
    told = ("worker {} reads the lanes' records in the target: {}", number, list(stored))
    changed = state
    if scope.restores_matter:
        epoch, confirmed = worker.memo[2], worker.memo[4:]
        if any(s < c for s, c in zip(stored, confirmed, strict=True)):
            changed = _alarm(scope, state)
            told = (told[0] + "; it concludes that the target was restored", *told[1:])
        elif max(stored) > epoch and (
            max(stored) > state.source.epoch or scope.broken == "later epochs are not excused"
        ):
            changed = _alarm(scope, state)
            told = (told[0] + "; it concludes that the source was restored", *told[1:])
    yield told, with_worker(changed, number, worker._replace(stage="looked", memo=(max(stored),)))


def _acquire(scope: Scope, state: State, number: int, worker: Worker) -> Iterator[Step]:
    """Compare and set in the source: a new epoch above all that either side knows."""
    source = state.source
    above = 0 if scope.broken == "epochs not above the target's" else worker.memo[0]
    epoch = max(source.epoch, above, worker.above) + 1
    free = free_lanes(source, number, worker)
    if not free:  # the number is used up all the same
        spent = state._replace(source=source._replace(epoch=epoch))
        yield (
            ("worker {} finds the lanes taken", number),
            with_worker(spent, number, worker._replace(stage="", memo=())),
        )
    for count in range(1, len(free) + 1):
        for lanes in combinations(free, count):
            leases = tuple(
                Lease(number, epoch, lease.confirmed) if lane in lanes else lease
                for lane, lease in enumerate(source.leases)
            )
            new = worker._replace(stage="acquired", memo=(epoch, *lanes))
            yield (
                ("worker {} acquires lanes {} under epoch {}", number, list(lanes), epoch),
                with_worker(state._replace(source=source._replace(leases=leases, epoch=epoch)), number, new),
            )


def _announce(scope: Scope, state: State, number: int, worker: Worker) -> Iterator[Step]:
    """Raise the target's records, only where they are lower."""
    epoch, *lanes = worker.memo
    epochs = state.target.epochs
    raised = [lane for lane in lanes if epochs[lane] <= epoch]
    stored = tuple(epoch if lane in raised else one for lane, one in enumerate(epochs))
    if scope.broken == "confirmed before it is announced":
        yield (
            ("worker {} skips the announcement", number),
            with_worker(state, number, worker._replace(stage="announced")),
        )
        return
    new = worker._replace(stage="announced", memo=(epoch, *raised))
    announced = with_worker(state._replace(target=state.target._replace(epochs=stored)), number, new)
    told = ("worker {} announces epoch {} for lanes {} in the target", number, epoch, raised)
    if scope.restores_matter:
        yield told, announced
    else:
        _, confirmed = _confirm(announced, number, new)
        yield (told[0] + " and confirms it in the source", *told[1:]), confirmed


def _confirm(state: State, number: int, worker: Worker) -> Step:
    """Note in the source that the epoch stands in the target; only now are the lanes held."""
    source, (epoch, *lanes) = state.source, worker.memo
    sure = [lane for lane in lanes if (source.leases[lane].owner, source.leases[lane].epoch) == (number, epoch)]
    leases = tuple(
        lease._replace(confirmed=epoch) if lane in sure else lease for lane, lease in enumerate(source.leases)
    )
    held = tuple(epoch if lane in sure else one for lane, one in enumerate(worker.held))
    new = worker._replace(held=held, stage="", memo=())
    return (
        ("worker {} confirms epoch {} in the source: it holds lanes {}", number, epoch, sure),
        with_worker(state._replace(source=source._replace(leases=leases)), number, new),
    )
