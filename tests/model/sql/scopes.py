"""Explorations of the SQL fence: the design holds in each of them, and each mutant has a counterexample."""

from __future__ import annotations

from dataclasses import replace

from tests.model.sql.scope import PLAIN, SqlScope

PUT, DELETE = ((0, PLAIN),), ((0, None),)

FENCE = SqlScope(about="put, delete, put; a takeover, a crash or a lost answer", script=(PUT, DELETE, PUT), faults=1)
OVER = SqlScope(about="delete and put of a row that stands", begin_with=(PLAIN,), script=(DELETE, PUT), faults=1)
LANES = SqlScope(
    about="batches over two lanes, one of which is lost",
    keys=2,
    lanes=2,
    script=(((0, PLAIN), (1, PLAIN)), ((0, None),)),
    faults=1,
    kinds="e",
)
CROSSED = SqlScope(
    about="two batches over two lanes each, the lanes in either order; a takeover of both",
    keys=4,
    lanes=2,
    batches=2,
    queues=True,
    readers=1,
    livelocks=False,
    groups=((0, 3), (1, 2)),
    script=(((0, PLAIN), (1, PLAIN), (2, PLAIN), (3, PLAIN)),),
    faults=2,
    kinds="e",
)
CHILD = SqlScope(
    about="a parent and its child come and go, in batches of any keys, of two workers",
    keys=2,
    lanes=2,
    owners=(0, 1),
    script=(((0, PLAIN), (1, (0, 1))), ((1, None), (0, None))),
    detector=True,
)
MOVES = SqlScope(
    about="a child moves to another parent, its first one goes",
    keys=3,
    lanes=1,
    workers=1,
    batches=2,
    begin_with=(PLAIN, None, (0, 1)),
    script=(((1, PLAIN), (2, (0, 2)), (0, None)),),
    detector=True,
)
CIRCLE = SqlScope(
    about="two records that refer to each other, in one worker's batches",
    keys=2,
    workers=1,
    script=(((0, (0, 2)), (1, (0, 1))),),
    gives_way="nothing",
)
CIRCLE_GOES = replace(
    CIRCLE, about="likewise, both are deleted", begin_with=((0, 2), (0, 1)), script=(((0, None), (1, None)),)
)
CIRCLE_APART = replace(
    CIRCLE,
    about="likewise, of two workers: one reference is NULL for a moment",
    lanes=2,
    owners=(0, 1),
    workers=2,
    gives_way="clear",
    detector=True,
)
VALUE = SqlScope(
    about="a unique value moves on, in either order of arrival",
    keys=2,
    lanes=2,
    owners=(0, 1),
    begin_with=((1, 0), (2, 0)),
    script=(((0, (3, 0)), (1, (1, 0))),),
    gives_way="nothing",
    detector=True,
)
SWAP = SqlScope(
    about="two records, each referred to, exchange a unique value; one worker",
    keys=4,
    workers=1,
    begin_with=((1, 0), (2, 0), (0, 1), (0, 2)),
    script=(((0, (2, 0)), (1, (1, 0))),),
    cascades=True,
    detector=True,
)
SWAP_APART = replace(
    SWAP, about="likewise, two workers", keys=2, begin_with=((1, 0), (2, 0)), lanes=2, owners=(0, 1), workers=2
)

TABLES_CIRCLE = replace(
    CIRCLE, about="likewise, of two tables: one reference is NULL for a moment", tables=(0, 1), gives_way="clear"
)
TABLES_CIRCLE_GOES = replace(
    TABLES_CIRCLE,
    about="likewise, both are deleted: one reference is given up",
    begin_with=((0, 2), (0, 1)),
    script=(((0, None), (1, None)),),
)
TABLES_CHILD = replace(CHILD, about="a parent and its child come and go, in tables of their own", tables=(0, 1))
CASCADE = SqlScope(
    about="a parent is deleted and comes again with a child, which the target would delete with it; tables of their own",
    keys=2,
    tables=(0, 1),
    lanes=2,
    owners=(0, 1),
    begin_with=(PLAIN, None),
    script=(((0, None),), ((0, PLAIN), (1, (0, 1)))),
    cascades=True,
    detector=True,
)
CASCADES = replace(
    CASCADE,
    about="likewise in a tree of one table: two are deleted and come again with a grandchild",
    keys=3,
    tables=(),
    lanes=1,
    owners=(),
    workers=1,
    batches=2,
    groups=((0, 1), (2,)),
    begin_with=(PLAIN, (0, 1), None),
    script=(((0, None), (1, None)), ((0, PLAIN), (1, (0, 1)), (2, (0, 2)))),
)

COPY = SqlScope(
    about="the table is copied, a row of it is deleted; a copier crashes",
    copies=True,
    workers=1,
    begin_with=(PLAIN,),
    script=(DELETE,),
    faults=1,
)
READ_BEFORE = replace(
    COPY, about="a worker has read a state before the copy begins", begin_with=(), script=(PUT, PUT), faults=0
)

SMALL: dict[str, SqlScope] = {
    "sql: fence": FENCE,
    "sql: fence, a row stands": OVER,
    "sql: lanes": LANES,
    "sql: child and parent": CHILD,
    "sql: child moves": MOVES,
    "sql: circle of references": CIRCLE,
    "sql: circle goes": CIRCLE_GOES,
    "sql: circle, 2 workers": CIRCLE_APART,
    "sql: value moves": VALUE,
    "sql: swap": SWAP,
    "sql: swap, 2 workers": SWAP_APART,
    "sql: value stays": SqlScope(
        about="the target alone has the constraint: one of both is parked",
        keys=2,
        workers=1,
        script=(((0, (1, 0)), (1, (1, 0))),),
        target_only=True,
    ),
    "sql: child and parent, 2 tables": TABLES_CHILD,
    "sql: circle, 2 tables": TABLES_CIRCLE,
    "sql: circle goes, 2 tables": TABLES_CIRCLE_GOES,
    "sql: cascade, 2 tables": CASCADE,
    "sql: cascade, tree": CASCADES,
    "sql: copy": COPY,
    "sql: copy, marks from before": READ_BEFORE,
    "sql: FOR SHARE": replace(FENCE, about="SELECT … FOR SHARE of the epoch instead", fence="share"),
}
"""Explored by every run of the tests."""

LARGE: dict[str, SqlScope] = {
    "sql: crossed lanes": CROSSED,
    "sql: cascade, a fault": replace(CASCADE, faults=1),
    "sql: value moves, a takeover": replace(VALUE, gives_way="clear", faults=1, kinds="e"),
    "sql: child and parent, 2 tables, a takeover": replace(TABLES_CHILD, faults=1, kinds="e"),
    "sql: circle goes, 2 tables, 2 workers, a fault": replace(
        TABLES_CIRCLE_GOES, lanes=2, owners=(0, 1), workers=2, detector=True, faults=1, kinds="ec"
    ),
    "sql: copy, 2 faults": replace(COPY, about="likewise, it comes back", faults=2, script=(DELETE, PUT)),
    "sql: copy, 2 workers": replace(COPY, workers=2),
    "sql: copy, 2 keys": replace(COPY, keys=2, begin_with=(PLAIN, PLAIN), script=(DELETE, ((1, None),), PUT)),
}
"""Explored by ``make model``."""

MUTANTS: dict[str, SqlScope] = {
    "sql: marks flow beside the copy": replace(COPY, marks_wait=False),
    "sql: a range is not entered": replace(COPY, range_entered=False),
    "sql: capture after the copy's snapshot": replace(COPY, captured_first=False),
    "sql: the copy does not fence": replace(READ_BEFORE, copy_fences=False),
    "sql: no lock": replace(OVER, fence="no lock"),
    "sql: lock and epoch in one statement": replace(OVER, fence="lock and read at once"),
    "sql: unknown outcome keeps the epoch": replace(FENCE, kinds="t", unknown_costs_epoch=False),
    "sql: not announced": replace(OVER, announces=False),
    "sql: marks read before the announcement": replace(OVER, reads_after_announcing=False),
    "sql: record compared and set as the last write": replace(FENCE, fence="record last", unknown_costs_epoch=False),
    "sql: no fence": replace(OVER, fence="nothing"),
    "sql: states before marks": replace(OVER, marks_before_states=False, faults=0),
    "sql: a key in two batches": replace(OVER, one_batch_a_key=False, batches=2, faults=0),
    "sql: a lost lane's batch is not waited for": replace(LANES, awaits_batches=False),
    "sql: locks as they come": replace(CROSSED, sorted_locks=False),
    "sql: a statement a row": replace(CIRCLE, together=False),
    "sql: a statement a row that goes": replace(CIRCLE_GOES, together=False),
    "sql: nobody gives way": replace(SWAP, gives_way="nothing"),
    "sql: a referenced row is removed": replace(SWAP, gives_way="remove"),
    "sql: children go along": replace(CASCADE, keeps_children="nothing"),
    "sql: children are looked for before the lock": replace(CASCADE, keeps_children="looks, then locks"),
    "sql: children are looked for once": replace(CASCADES, keeps_children="looks once"),
    "sql: deletes in a circle wait": replace(TABLES_CIRCLE_GOES, lets_go=False),
    "sql: a missing parent is parked at once": replace(CHILD, settles="parks at once"),
    "sql: a value that moves is parked at once": replace(VALUE, settles="parks at once"),
}
"""The design without one mechanism."""
