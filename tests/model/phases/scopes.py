"""Explorations of the phases: the design holds in each of them, and each mutant has a counterexample."""

from __future__ import annotations

from dataclasses import replace

from tests.model.phases.epochs import LIVE, EpochScope
from tests.model.phases.restores import RestoreScope
from tests.model.phases.scope import PhaseScope
from tests.model.phases.validator import ValidatorScope

THERE = PhaseScope(about="MongoDB serves, then PostgreSQL; 2 writes")
BACK = PhaseScope(about="PostgreSQL serves, then MongoDB; 2 writes, 2 links back", begins=1, backs=2)
AGAIN = PhaseScope(about="there and back, 1 write", goals=2, writes=1)
READS = PhaseScope(about="a reader, a writer", reads=1, writes=1)
LEASE = replace(THERE, about="there; leases, 1 write", gate="lease", writes=1)
BOTH = replace(LEASE, about="there; leases, a validator that is late at times", gate="both")
AWAY = replace(LEASE, about="there; MongoDB is opened again without PostgreSQL", rescues=1)
LATE = PhaseScope(about="back; a write of long ago arrives", begins=1, late=True, gate="lease", writes=1)
LEASE_BACK = replace(BACK, about="back; leases", gate="lease")

SMALL: dict[str, PhaseScope | ValidatorScope | RestoreScope | EpochScope] = {
    "phases: there": THERE,
    "phases: back": BACK,
    "phases: there and back": AGAIN,
    "phases: a crash": replace(THERE, about="there; a crash or freeze", writes=1, faults=1),
    "phases: two carriers": replace(THERE, about="there; 2 carriers", carriers=2),
    "phases: reads": READS,
    "phases: leases": LEASE,
    "phases: leases, back": LEASE_BACK,
    "phases: leases, a late write": LATE,
    "phases: leases and a validator": BOTH,
    "phases: opened again": AWAY,
    "phases: a restore": RestoreScope(about="a side is restored; 2 workers, 3 rounds"),
    "phases: validator": ValidatorScope(about="a validator, 3 coordinators, 1 fault", numbers=3, faults=1),
    "phases: a request": EpochScope(about="the reads of a request, 3 changes"),
    "phases: a request that does not end": EpochScope(about="a request that does not end", endless=True),
}
"""Explored by every run of the tests."""

LARGE: dict[str, PhaseScope | ValidatorScope | RestoreScope | EpochScope] = {
    "phases: 3 writes": replace(THERE, about="there and back, 3 writes, 2 links back", writes=3, goals=2, backs=2),
    "phases: carriers, links": replace(AGAIN, about="2 writes, 2 carriers, 2 links", writes=2, carriers=2, backs=2),
    "phases: there and back, a crash": replace(AGAIN, about="and a crash or freeze", faults=1),
    "phases: reads, there and back": replace(READS, about="reads, there and back", goals=2),
    "phases: reads, a crash": replace(READS, about="reads, there and back, a crash or freeze", goals=2, faults=1),
    "phases: marks": replace(AGAIN, about="a mark without a change", writes=2, spurious=1),
    "phases: leases, there and back": replace(
        LEASE, about="there and back, 2 writes, 2 links", goals=2, writes=2, backs=2
    ),
    "phases: leases and a validator, there and back": replace(BOTH, about="there and back, a crash", goals=2, faults=1),
    "phases: leases and a validator, back": replace(LEASE_BACK, about="back; leases and a validator", gate="both"),
    "phases: leases, 2 processes": replace(LEASE, about="2 processes, 2 writes", processes=2, writes=2),
    "phases: leases, a crash": replace(LEASE, about="there and back, a crash or freeze", goals=2, faults=1),
    "phases: leases, a late write, 2 writes": replace(LATE, writes=2, backs=2),
    "phases: opened again, reads": replace(AWAY, about="opened again; reads", reads=1),
    "phases: opened again, there and back": replace(AWAY, about="opened again; there and back", goals=2, writes=2),
    "phases: opened again, a crash": replace(AWAY, about="opened again; there and back, a crash", goals=2, faults=1),
    "phases: a restore, 3 workers": RestoreScope(about="a side is restored; 3 workers, 5 rounds", workers=3, rounds=5),
    "phases: validator, 5 coordinators": ValidatorScope(
        about="a validator, 5 coordinators, 3 faults", numbers=5, faults=3
    ),
    "phases: unneeded: numbers behind a validator": replace(BACK, about="the link back compares none", numbers=False),
}
"""Explored by ``make model``."""

MUTANTS: dict[str, PhaseScope | ValidatorScope | RestoreScope | EpochScope] = {
    name: replace(scope, about=name)
    for name, scope in {
        "phases: acknowledged without looking again": replace(LEASE, looks_again=False),
        "phases: acknowledged without looking again, behind a late validator": replace(BOTH, looks_again=False),
        "phases: closed while leases hold": replace(LEASE, waits_for_leases=False),
        "phases: strays stay": replace(LATE, goals=0, writes_strays_over=False),
        "phases: carriers ask no gate": replace(LATE, kinds="p", forward_asks="nothing"),
        "phases: carriers ask for the mode alone": replace(LATE, begins=0, goals=2, kinds="p", forward_asks="mode"),
        "phases: cleared without the validator's number": replace(THERE, writes=1, clearing_says=False),
        "phases: cleared without comparing": replace(THERE, clears_marked=False),
        "phases: the link back compares no tickets": replace(BACK, tickets=False),
        "phases: the link back compares no numbers": replace(LEASE_BACK, kinds="p", numbers=False),
        "phases: the link back leaves no version": replace(BACK, goals=0, backs=1, writes=1, draws="none"),
        "phases: the link back keeps the version": replace(BACK, goals=0, backs=1, writes=1, draws="keeps"),
        "phases: the link back marks": replace(BACK, goals=0, backs=1, writes=1, marks=True),
        "phases: the link back deletes plainly": replace(BACK, writes=3, deletes="plain"),
        "phases: the link back deletes what is older": replace(BACK, deletes="filtered"),
        "phases: any tombstone is removed": replace(BACK, backs=1, writes=3, removes="any"),
        "phases: a tombstone is removed at once": replace(BACK, grace=False),
        "phases: tombstones do not wait for the link back": replace(LEASE_BACK, tombstones_wait=False),
        "phases: tombstones are swept before they are carried": replace(LEASE_BACK, sweeps="any"),
        "phases: old numbers are carried": replace(LATE, backs=2, kinds="p", adopts=False),
        "phases: opened again whatever was announced": replace(
            AWAY, begins=1, goals=2, reads=1, kinds="p", rescue_asks="phase"
        ),
        "phases: opened again whatever the phase": replace(AWAY, rescue_asks="nothing"),
        "phases: opened again without a word to coordinators": replace(AWAY, rescue_supersedes=False),
        "phases: opened again under the next number": replace(AWAY, kinds="p", faults=1, rescue_number="next"),
        "phases: not drained": replace(THERE, writes=1, drains=False),
        "phases: no barrier": replace(READS, barrier="never"),
        "phases: the barrier before the drain": replace(READS, writes=1, barrier="before drain"),
        "phases: readers begin without a lease": replace(READS, reader_leases=False),
        "phases: a counter is read before the note of it": RestoreScope(reads="counter first"),
        "phases: a counter is noted before it is advanced": RestoreScope(advances="note first"),
        "phases: MongoDB notes no counter": RestoreScope(notes=False),
        "phases: who is under way goes on after a restore": RestoreScope(cut_off=False),
        "phases: the validator accepts higher numbers": ValidatorScope(accepts="from"),
        "phases: an unknown collMod is sent again": ValidatorScope(again="same number"),
        "phases: a request goes by its phase whatever has come": EpochScope(keeps="then"),
        "phases: a request goes by a truth that is over": EpochScope(keeps="always", begins=LIVE),
        "phases: a change is acknowledged while a request goes by one before": EpochScope(acknowledges="at once"),
        "phases: a change waits for a request as long as that takes": EpochScope(bounded=False, endless=True),
    }.items()
}
"""The design without one mechanism."""
