"""What one exploration allows: a script of transactions, who takes part, what may go wrong, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.model.state import ABSENT, State

Write = tuple[int, int]
"""Key and new content (``ABSENT``: it is deleted)."""
TRUNCATE: tuple[Write, ...] = ((-1, ABSENT),)
Step = tuple[tuple[object, ...], State]
"""What happens, in words to be put together (template and values), and the state after it."""
Action = Callable[["Scope", State], Iterator[Step]]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """One exploration. The defaults are the design with nothing going wrong."""

    about: str = ""
    # -- who takes part
    keys: int = 1
    lanes: int = 1
    workers: int = 2
    begin_with: tuple[int, ...] = ()
    """Contents of the keys that stand on both sides at the start."""
    target_begins_with: tuple[int, ...] = ()
    """… or in the target, where it is not equal."""
    script: tuple[tuple[Write, ...], ...] = ()
    """Transactions; the next may begin when the one before has begun."""
    two_steps: bool = False
    """Transactions write (and draw their sequence numbers) in one step, commit or roll back in another."""
    owner: bool = True
    """At the start worker 0 has every lane; otherwise nobody has."""
    split_batches: bool = False
    """A batch takes any run of neighbouring marks, not always all of them."""
    blocks: bool = False
    """The marks of a transaction are one row of the outbox for each lane; otherwise one for each key."""
    split_sends: bool = False
    """A worker may be frozen between its reading of the states and the sending."""
    unique: bool = False
    """No two documents may have the same content."""
    # -- what may go wrong
    faults: int = 0
    fault_kinds: str = "ect"
    """e: a lease expires under a living worker; c: a worker crashes; t: a reply is lost, late, or a write dropped;
    s: a worker stops in order."""
    grace: str = "strong"
    """strong: what is older has been executed or dropped by then; weak: except in frozen workers; none."""
    restore: str = ""
    """Which side may be restored once to a backup that is made at any moment: source, target."""
    lost_beats: int = 0
    """A restore loses at least so many beats (otherwise it could not be told)."""
    restore_cuts: bool = True
    """A restore of the target ends the renewals that are under way."""
    renewals: int = 0
    """Before the restore (or in all)."""
    renewals_after: int = 3
    damage: int = 0
    """How many documents somebody changes by hand."""
    copy: str = ""
    """A second source, made as a copy of this one at any moment, has a worker of its own that writes to the same target. elsewhere: it is
    in another cluster or database; twin: equal to the byte."""
    copy_script: tuple[tuple[Write, ...], ...] = ()
    """Its transactions."""
    adoptions: int = 0
    """How often somebody types ``syncline adopt``, on either side."""
    # -- duties
    tasks: tuple[str, ...] = ()
    """Backfills and sweeps that are asked for at the start."""
    verifies: int = 0
    repair: bool = False
    restores_matter: bool = False
    """Renewals exchange beats, step by step."""
    # -- variants of the design, which the model has asked for
    patient_sweep: bool = True
    exact_beats: bool = True
    nonces: bool = False
    """Renewals exchange nonces and identities (instead of ``exact_beats``); so it is built."""
    every_ticket_told: bool = False
    """Also for what a copy keeps out: no mark goes unless the target has reached its state."""
    former_owners: bool = True
    """Readers may see a state vanish again that a worker wrote after it had lost the lane."""
    # -- mutants
    broken: str = ""
    # -- exploration
    livelocks: bool = False
    """Also see that from every state quiescence can be reached without a fault."""
    compress: bool = False
    """Count numbers anew where only their order matters."""
    limit: int = 3_000_000
