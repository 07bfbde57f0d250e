"""The scopes that the design is explored in: small ones for every run of the tests, large ones for ``make model``."""

from __future__ import annotations

from dataclasses import replace

from tests.model.scope import TRUNCATE, Scope

PUT, CUT, CHANGE = ((0, 1),), ((0, 0),), ((0, 2),)
BOTH, TURNED = ((0, 1), (1, 1)), ((0, 0), (1, 2))
RESTORES = Scope(restores_matter=True, begin_with=(1,), script=(CHANGE,), renewals=2, workers=1)

OTHERWISE = ((0, 3),)
COPIES = replace(RESTORES, exact_beats=False, nonces=True, copy="elsewhere", copy_script=(OTHERWISE,), renewals=4)

SMALL: dict[str, Scope] = {
    "late": Scope(
        about="insert and delete; late and lost writes, lost replies, crash, takeover", script=(PUT, CUT), faults=1
    ),
    "late again": Scope(about="delete and insert again, likewise", begin_with=(1,), script=(CUT, PUT), faults=1),
    "frozen": Scope(
        about="a worker is frozen before it sends, for longer than grace",
        script=(PUT, CUT),
        faults=1,
        grace="weak",
        split_sends=True,
    ),
    "stop": Scope(about="orderly stops", script=(PUT, CUT), faults=1, fault_kinds="s"),
    "start": Scope(about="nobody has a lane yet", script=(PUT,), owner=False, faults=1),
    "commit order": Scope(
        about="sequence numbers drawn in one order, committed in another, or rolled back",
        keys=2,
        workers=1,
        script=(((0, 1),), ((1, 1),), ((0, 0),)),
        two_steps=True,
    ),
    "batches": Scope(
        about="batches of several keys, split anywhere; a lost reply",
        keys=2,
        workers=1,
        script=(BOTH, CUT),
        faults=1,
        fault_kinds="t",
        split_batches=True,
        compress=True,
    ),
    "lanes": Scope(
        about="a batch over two lanes, one of which is lost", keys=2, lanes=2, script=(BOTH,), faults=1, fault_kinds="e"
    ),
    "parking": Scope(about="a rejected state, then a good one", begin_with=(1,), script=(((0, 9),), PUT), faults=1),
    "backfill and sweep": Scope(
        about="one key only in the source, one only in the target, while both change",
        keys=2,
        workers=1,
        begin_with=(1, 0),
        target_begins_with=(0, 1),
        script=(((0, 0), (1, 1)),),
        tasks=("backfill", "sweep"),
    ),
    "truncate": Scope(about="TRUNCATE while a write is under way", script=(PUT, TRUNCATE), faults=1),
    "blocks": Scope(
        about="marks in blocks of two keys, acknowledged in any parts",
        keys=2,
        workers=1,
        script=(BOTH, TURNED),
        blocks=True,
        split_batches=True,
        compress=True,
    ),
    "blocks, lanes": Scope(
        about="a statement over two lanes, one of which is lost",
        keys=2,
        lanes=2,
        script=(BOTH,),
        faults=1,
        fault_kinds="e",
        blocks=True,
    ),
    "blocks, rejected": Scope(
        about="a block with a state that is rejected, then a good one",
        keys=2,
        workers=1,
        begin_with=(1, 1),
        script=(((0, 9), (1, 2)), ((0, 2),)),
        faults=1,
        fault_kinds="t",
        blocks=True,
        split_batches=True,
        compress=True,
    ),
    "blocks, commit order": Scope(
        about="blocks whose numbers are drawn in one order, committed in another, or rolled back",
        keys=3,
        workers=1,
        script=(BOTH, ((2, 1),), ((0, 0), (2, 0))),
        two_steps=True,
        blocks=True,
    ),
    "blocks, truncate": Scope(
        about="TRUNCATE while a part of a block is under way",
        keys=2,
        workers=1,
        script=(BOTH, TRUNCATE),
        blocks=True,
        split_batches=True,
    ),
    "blocks, verify": Scope(
        about="verification beside blocks",
        keys=2,
        workers=1,
        begin_with=(1, 1),
        script=(((0, 2), (1, 2)),),
        verifies=1,
        blocks=True,
        split_batches=True,
    ),
    "swap": Scope(
        about="two records exchange a unique value",
        keys=2,
        workers=1,
        begin_with=(1, 2),
        script=(((0, 2), (1, 1)),),
        unique=True,
        livelocks=True,
        compress=True,
    ),
    "value moves": Scope(
        about="a unique value moves from one record to another, in batches of one",
        keys=2,
        workers=1,
        begin_with=(1, 2),
        script=(((0, 3), (1, 1)),),
        unique=True,
        split_batches=True,
        livelocks=True,
        compress=True,
    ),
    "value stays": Scope(
        about="the value belongs to another record for good: parked",
        keys=2,
        workers=1,
        begin_with=(1, 0),
        script=(((1, 1),),),
        unique=True,
        livelocks=True,
        compress=True,
    ),
    "verify": Scope(
        about="verification beside a writer and a takeover",
        begin_with=(1,),
        script=(CUT,),
        verifies=1,
        faults=1,
        fault_kinds="e",
    ),
    "verify, insert": Scope(
        about="beside an insert and a delete", workers=1, script=(PUT, CUT), verifies=1, faults=1, fault_kinds="t"
    ),
    "verify, to and fro": Scope(
        about="beside a record that changes and changes back",
        workers=1,
        begin_with=(1,),
        script=(CHANGE, ((0, 1),), CHANGE, ((0, 1),)),
        verifies=1,
    ),
    "damage": Scope(
        about="damage by hand, verification, repair", workers=1, script=(PUT, CUT), verifies=1, damage=1, repair=True
    ),
    "damage, change": Scope(
        about="likewise, of a record that changes",
        workers=1,
        begin_with=(1,),
        script=(CHANGE,),
        verifies=1,
        damage=1,
        repair=True,
    ),
    "restored source": replace(RESTORES, about="the source is restored", restore="source", lost_beats=1),
    "restored source, as built": replace(
        RESTORES,
        about="the same with nonces",
        exact_beats=False,
        nonces=True,
        restore="source",
        lost_beats=1,
    ),
    "restored target": replace(RESTORES, about="the target is restored", restore="target", lost_beats=1),
    "copy": replace(COPIES, about="a copy of the source in another database, whose worker writes to the same target"),
    "moved": replace(COPIES, about="likewise, and one of the two adopts the target", script=(), adoptions=1),
    "twin": replace(COPIES, about="a copy that is equal to the byte", copy="twin", renewals=3),
    "no restore": replace(
        RESTORES,
        about="beats of two workers, takeovers: no false alarm",
        workers=2,
        renewals=3,
        faults=1,
        fault_kinds="ec",
    ),
    "no livelock": Scope(
        about="an end can be reached from everywhere", script=(PUT, CUT), faults=1, fault_kinds="ec", livelocks=True
    ),
}
LARGE: dict[str, Scope] = {
    "late 2": replace(SMALL["late"], about="two faults", faults=2),
    "late, 3 changes": replace(SMALL["late"], about="insert, delete, insert", script=(PUT, CUT, PUT)),
    "late, 3 faults": replace(
        SMALL["late"], about="a single delete, three faults", begin_with=(1,), script=(CUT,), faults=3
    ),
    "frozen, 3 changes": replace(SMALL["frozen"], about="three changes", script=(PUT, CUT, PUT)),
    "frozen, strong": replace(SMALL["frozen"], about="two faults, strong grace", grace="strong", faults=2),
    "commit order, takeover": replace(
        SMALL["commit order"],
        about="with a takeover",
        workers=2,
        script=(((0, 1),), ((1, 1),)),
        faults=1,
        fault_kinds="e",
    ),
    "batches, 2 workers": replace(
        SMALL["batches"], about="with a takeover or a crash", workers=2, fault_kinds="ec", split_batches=False
    ),
    "lanes, delete": replace(SMALL["lanes"], about="with a delete", script=(BOTH, CUT)),
    "start 2": replace(SMALL["start"], about="two faults", script=(PUT, CUT), faults=2, fault_kinds="ec"),
    "backfill and sweep, 2 changes": replace(
        SMALL["backfill and sweep"], about="two transactions", script=(CUT, ((1, 1),))
    ),
    "truncate 2": replace(SMALL["truncate"], about="insert, TRUNCATE, insert", script=(PUT, TRUNCATE, PUT)),
    "blocks, lost reply": replace(SMALL["blocks"], about="and a lost reply", faults=1, fault_kinds="t"),
    "blocks, takeover": replace(
        SMALL["blocks"],
        about="and the rest is another worker's, after a takeover or a crash",
        workers=2,
        script=(BOTH,),
        faults=1,
        fault_kinds="ec",
    ),
    "blocks, swap": replace(
        SMALL["swap"], about="a block whose records exchange a value", blocks=True, split_batches=True
    ),
    "swap, split": replace(SMALL["swap"], about="in batches of one, any number under way", split_batches=True),
    "verify 2": replace(SMALL["verify"], about="two changes, any fault", script=(PUT, CUT), fault_kinds="ect"),
    "damage, takeover": replace(
        SMALL["damage, change"], about="with a takeover", workers=2, faults=1, fault_kinds="ec"
    ),
    "restored source, 2 workers": replace(SMALL["restored source"], about="two workers", workers=2),
    "restored source, delete": replace(SMALL["restored source"], about="a delete, a crash", script=(CUT,), faults=1),
    "moved, both change": replace(SMALL["moved"], about="while both change", script=(CHANGE,)),
    "moved, takeover": replace(
        SMALL["moved"],
        about="while the source changes, and a lease expires",
        script=(CHANGE,),
        copy_script=(),
        faults=1,
        fault_kinds="e",
    ),
    "twin 2": replace(SMALL["twin"], about="another renewal", renewals=4),
    "restored target, 2 workers": replace(SMALL["restored target"], about="two workers", workers=2),
    "restored target, delete": replace(SMALL["restored target"], about="a delete, a crash", script=(CUT,), faults=1),
}
"""Explored beside the small ones by ``--large``."""

FOUND: dict[str, Scope] = {
    "as built: TRUNCATE": replace(
        SMALL["truncate"], about="the sweep does not wait for what is under way", patient_sweep=False
    ),
    "as built: sweep after a restore": replace(
        SMALL["restored source"], about="likewise, after a restore", begin_with=(0,), script=(PUT,), patient_sweep=False
    ),
    "as built: beats": replace(SMALL["restored source"], about="a restore that loses one beat", exact_beats=False),
    "as built: beats of 2 workers": replace(
        SMALL["restored source"],
        about="a restore that loses two beats, two workers",
        exact_beats=False,
        workers=2,
        lost_beats=2,
    ),
    "no beat lost": replace(SMALL["restored source"], about="a restore that loses no beat", lost_beats=0),
    "beat under way": replace(
        SMALL["restored target"],
        about="a frozen renewal goes on after the target's restore",
        workers=2,
        restore_cuts=False,
        renewals=3,
    ),
    "former owner": replace(
        SMALL["late"],
        about="readers see what a worker without lease has written vanish again",
        begin_with=(1,),
        script=(CHANGE, CUT),
        former_owners=False,
    ),
    "as built before: a copy": replace(
        COPIES,
        about="whose target it is, nobody asks; what the fence refuses counts as done",
        broken="whose target it is, nobody asks",
    ),
    "one epoch twice": replace(
        SMALL["twin"],
        about="source and twin come to one epoch at once",
        renewals=4,
        every_ticket_told=True,
        owner=False,
    ),
    "frozen, then dead": replace(SMALL["frozen"], about="frozen for longer than grace, sends, dies", faults=2),
}
"""Known not to hold: what the model has found, or what is documented as a limit. Each has its counterexample."""
