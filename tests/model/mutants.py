"""The design with one mechanism taken out, each in a scope that is just large enough to show why it is there."""

from __future__ import annotations

from dataclasses import replace

from tests.model.scope import Scope
from tests.model.scopes import BOTH, CHANGE, CUT, PUT, RESTORES, SMALL

_LATE, _AGAIN = SMALL["late"], SMALL["late again"]
_DAMAGE, _VERIFY = SMALL["damage, change"], SMALL["verify"]

MUTANTS: dict[str, Scope] = {
    "marks after the commit": _LATE,
    "states before marks": _LATE,
    "ticket after states": replace(_LATE, faults=2, fault_kinds="e"),
    "two batches of a key": _LATE,
    "new state under an old ticket": _LATE,
    "cursor": replace(SMALL["commit order"], livelocks=True),
    "acknowledgement without the lease": _LATE,
    "one lane speaks for all": replace(SMALL["lanes"], script=(BOTH, CHANGE)),
    "refused and silent": SMALL["frozen"],
    "update without fence": replace(_LATE, begin_with=(1,), script=(((0, 2),), ((0, 3),))),
    "delete without fence": replace(_AGAIN, script=(CUT, PUT)),
    "insert gives in": SMALL["restored target"],
    "deleted once": _LATE,
    "no grace": replace(_LATE, grace="none"),
    "second delete after the acknowledgement": replace(_LATE, faults=2, fault_kinds="ct"),
    "rejected and forgotten": SMALL["parking"],
    "parked for ever": SMALL["parking"],
    "nobody gives way": SMALL["swap"],
    "truncate without sweep": SMALL["truncate"],
    "session outlives a restore": replace(SMALL["restored source"], workers=1),
    "restore without backfill": SMALL["restored target"],
    "restore without sweep": replace(SMALL["restored source"], begin_with=(0,), script=(PUT,)),
    "epochs not above the target's": replace(SMALL["restored source"], faults=1, fault_kinds="c"),
    "beat told unjudged": SMALL["restored source"],
    "beat confirmed in advance": SMALL["no restore"],
    "later beats are not excused": replace(RESTORES, exact_beats=False, workers=2, renewals=3),
    "later epochs are not excused": replace(SMALL["no restore"], renewals=3),
    "marks are not asked for": _VERIFY,
    "second deletes are not asked for": SMALL["verify, insert"],
    "tasks are not asked for": replace(SMALL["verify, insert"], begin_with=(1,), script=(((-1, 0),),)),
    "one look is enough": SMALL["verify, to and fro"],
    "the row is not looked at again": SMALL["verify, to and fro"],
    "the document is not looked at again": SMALL["verify, to and fro"],
    "repair without release": _DAMAGE,
    "stale acknowledged": _DAMAGE,
    "read back and not above is done": _DAMAGE,
    "remainder lost": SMALL["blocks"],
    "remainder doubled": SMALL["blocks"],
    "remainder as it was read": replace(SMALL["blocks"], compress=False),
    "remainder of another transaction": SMALL["blocks"],
    "a rejected part takes the block along": SMALL["blocks, rejected"],
    "a block has the lane of its first key": replace(SMALL["blocks, lanes"], script=(((1, 1),), ((0, 1), (1, 2)))),
    "blocks are asked for by one key": SMALL["blocks, verify"],
    "identity ignored": SMALL["copy"],
    "nonce ignored": replace(SMALL["twin"], renewals=4),
}


def mutant(name: str) -> Scope:
    """Give the scope with the mechanism taken out."""
    return replace(MUTANTS[name], broken="" if name == "no grace" else name, about=name)
