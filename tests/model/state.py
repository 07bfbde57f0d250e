"""What the model knows at one moment: frozen tuples, so that two equal moments are one state.

Time does not exist here. Whatever may happen next, may happen next; a worker that is frozen is one that takes no step.
Fields called ghosts belong to no program: they only say, for the invariants, what really happened.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

NOBODY = -1
ABSENT = 0
"""Content of a row that is not there; others are 1, 2, … (the value of the unique field, where a scope has one)."""
POISON = 9
"""Content that the target rejects."""
EDITED = -1
"""Version and content of a document that somebody changed by hand."""

Ticket = tuple[int, int]
"""Epoch and batch number."""
UNTICKETED: Ticket = (0, 0)


class Row(NamedTuple):
    """A record of the source. ``version``: the commit that made it so (a ghost; two states are equal iff it is)."""

    version: int
    value: int


class Mark(NamedTuple):
    """A key that waits in the outbox. ``made``: the commit that it stands for (a ghost; 0: none, somebody just asked)."""

    seq: int
    key: int
    hint: str
    made: int
    row: int = 0
    """The block that it stands in (``blocks.py``); 0: it is a row of its own."""


class Deferred(NamedTuple):
    """A second delete. Due when no write of the key below ``bound`` can be executed any more."""

    key: int
    bound: Ticket


class Task(NamedTuple):
    """A backfill or a sweep; it has come to key ``at``, and has looked at it (``seen``: 0 no, 1 target has it)."""

    kind: str
    at: int = 0
    seen: int = 0
    below: int = 0
    """With ``patient_sweep``: it begins when no mark below this is left …"""
    bound: Ticket = UNTICKETED
    """… and no write below this ticket can be executed any more."""


class Lease(NamedTuple):
    """A lane's row in the source."""

    owner: int
    epoch: int
    confirmed: int


class Source(NamedTuple):
    """Everything in the source database: what a restore brings back."""

    rows: tuple[Row, ...]
    outbox: tuple[Mark, ...]
    next_seq: int
    deferred: tuple[Deferred, ...]
    parked: tuple[int, ...]
    """Per key: the version of the newest change that was parked, 0: none."""
    tasks: tuple[Task, ...]
    leases: tuple[Lease, ...]
    alive: tuple[bool, ...]
    """Per worker: its row has not expired."""
    epoch: int
    beat: int
    confirmed_beat: int
    base: tuple[int, int] = (0, 0)
    """With ``exact_beats``: the life of the server that the last beat saw, and the beat before its first one."""
    system: int = 0
    """Its cluster and database."""
    nonces: tuple[int, ...] = ()
    """What its renewals have left in the target, newest first."""
    contested: bool = False
    """Somebody else was seen to write to the target: its workers do not start."""
    told: bool = False
    """Ghost: its operator knows that the target is, or was, somebody else's."""


class Document(NamedTuple):
    """A document of the target."""

    ticket: Ticket
    version: int
    value: int


class Target(NamedTuple):
    """Everything in the target database."""

    documents: tuple[Document | None, ...]
    epochs: tuple[int, ...]
    """What each lane has announced."""
    beat: int
    beat_life: int = 0
    """With ``exact_beats``: the life of the server that wrote the beat."""
    system: int = 0
    """Whose the target is: the system of the source that wrote the beat, and its nonce."""
    nonce: int = 0
    reached: tuple[int, ...] = ()
    """Ghost: the newest state of each key that was ever visible here."""
    by_stale: tuple[bool, ...] = ()
    """Ghost: it was brought by a write that was late: its sender had given it up, or lost the lane."""


class Message(NamedTuple):
    """A write of one key on its way to the target."""

    key: int
    ticket: Ticket
    version: int
    value: int
    kind: str
    """insert, update, delete; away: a delete of what a record's own new state must replace."""


class Write(NamedTuple):
    """What a batch does with one key. ``status``: '' unsent, sent, again (insert met a document), ok, conflict, bad; stale (the
    fence refused it), then, read back, ok or above (a higher ticket stands there)."""

    key: int
    version: int
    value: int
    kind: str
    status: str = ""


class Batch(NamedTuple):
    """Marks that were read together, and what became of them."""

    number: int
    leases: tuple[int, ...]
    """Epoch per lane as it was held when the marks were read."""
    stage: str
    """marks (read), ready (states read), sent, failed; settling (conflicts), clearing."""
    marks: tuple[Mark, ...]
    writes: tuple[Write, ...] = ()
    waiting: tuple[int, ...] = ()
    """Keys whose marks stay."""
    seen: tuple[Mark, ...] = ()
    """Only for the mutant that writes a block back as it was read."""

    def ticket(self, lane: int) -> Ticket:
        return (self.leases[lane], self.number)


class Worker(NamedTuple):
    """A worker's memory, in its present session with the source."""

    life: int
    """The server that the session is with."""
    held: tuple[int, ...]
    """Per lane: epoch, 0 where it is not held."""
    number: int = 0
    batches: tuple[Batch, ...] = ()
    stage: str = ""
    """Where its renewal stands."""
    memo: tuple[int, ...] = ()
    """What that renewal has read so far."""
    witness: bool = False
    """Ghost: that renewal began after the restore."""
    confirmed: int = 0
    """The beat that it knows to have reached the target."""
    tries: tuple[int, ...] = ()
    """Per key: 3 x how often its value was found with a rightful holder, + how often with an outdated one (0, 1, 2)."""
    last_seq: int = 0
    """Only for the mutant that reads with a cursor."""
    debt: tuple[tuple[int, Ticket], ...] = ()
    """Only for the mutant that defers second deletes after the acknowledgement."""
    above: int = 0
    """An epoch that somebody else has written under: its own are higher."""
    tried: tuple[int, ...] = ()
    """Keys that are written again for that reason; once."""
    seen: int = 0
    """The newest nonce that it knows to stand in the target."""
    nonces: tuple[int, ...] = ()
    """What its renewal has read of the source's."""
    over: int = 0
    """Whose the target was when its renewal read it."""
    lasting: bool = False
    """It has exchanged beats in this session before."""


class Verifier(NamedTuple):
    """A pass of verification over one key."""

    stage: str = ""
    row: Row | None = None
    pending: str = ""
    document: Document | None = None
    epochs: tuple[int, ...] = ()
    wrong: str = ""
    damaged_throughout: bool = False
    """Ghost: ever since the pass began there was real damage."""


class Budget(NamedTuple):
    """What may still go wrong or be done."""

    faults: int
    damage: int
    renewals: int
    verifies: int


class Side(NamedTuple):
    """A second source with its workers: a copy of the first. Fields are those of ``State``."""

    begun: int
    open: tuple[tuple[int, tuple[int, ...]], ...]
    source: Source
    messages: tuple[Message, ...]
    workers: tuple[Worker, ...]
    commits: int
    reached: tuple[int, ...]
    by_stale: tuple[bool, ...]


class State(NamedTuple):
    """One moment."""

    begun: int
    """Transactions of the script that have begun."""
    open: tuple[tuple[int, tuple[int, ...]], ...]
    """Those not committed yet: number, and the seqs that they have drawn."""
    source: Source
    target: Target
    messages: tuple[Message, ...]
    workers: tuple[Worker, ...]
    verifier: Verifier
    budget: Budget
    commits: int
    """Ghost: the newest version."""
    life: int
    """Number of the source's server: it changes when it is restored."""
    backup: Any = None
    """What a restore will bring back: a Source or a Target, and what the ghosts said then."""
    restored: str = ""
    """Ghost: the side that was restored."""
    noticed: bool = False
    tampered: tuple[bool, ...] = ()
    """Ghost, per key: somebody has changed the document by hand, and no repair has marked the key since."""
    unmarked: tuple[int, ...] = ()
    """Only for the mutant that marks after the commit: changes that are not marked yet."""
    other: Side | None = None
    """The copy, when there is one."""
    drawn: int = 0
    """How many nonces anybody has drawn: the next one is another."""
    adopted: int = 0
    """How often the target was taken over."""


T = TypeVar("T")


def put(items: tuple[T, ...], place: int, item: T) -> tuple[T, ...]:
    """Replace one item."""
    return (*items[:place], item, *items[place + 1 :])


def without(items: tuple[T, ...], item: T) -> tuple[T, ...]:
    """Leave out one item (the first that is equal)."""
    place = items.index(item)
    return (*items[:place], *items[place + 1 :])


def lane_of(state: State, key: int) -> int:
    """Keys are dealt out to the lanes."""
    return key % len(state.source.leases)


def with_marks(source: Source, *marks: tuple[int, str, int]) -> Source:
    """Add marks (key, hint, made)."""
    new = tuple(Mark(source.next_seq + n, *mark) for n, mark in enumerate(marks))
    return source._replace(outbox=source.outbox + new, next_seq=source.next_seq + len(new))


def with_worker(state: State, number: int, worker: Worker) -> State:
    """Replace a worker."""
    return state._replace(workers=put(state.workers, number, worker))


COPIED = 100
"""Changes of a copy have versions above this."""


def copied(state: State, system: int) -> State:
    """Copy the source as it is now; its one worker has not run yet."""
    source = state.source._replace(alive=(False,), system=system)
    fresh = Worker(state.life, (0,) * len(source.leases), tries=(0,) * len(source.rows))
    target = state.target
    return state._replace(other=Side(0, (), source, (), (fresh,), COPIED, target.reached, target.by_stale))


def exchanged(state: State) -> State:
    """Look from the other source: what holds for one side holds for both."""
    other, target = state.other, state.target
    assert other is not None
    here = Side(
        state.begun,
        state.open,
        state.source,
        state.messages,
        state.workers,
        state.commits,
        target.reached,
        target.by_stale,
    )
    return state._replace(
        begun=other.begun,
        open=other.open,
        source=other.source,
        messages=other.messages,
        workers=other.workers,
        commits=other.commits,
        target=target._replace(reached=other.reached, by_stale=other.by_stale),
        other=here,
    )


def waits_for(worker: Worker, message: Message) -> tuple[int, int] | None:
    """Give the places of the batch and the write that wait for a reply to this message."""
    for place, batch in enumerate(worker.batches):
        if batch.number == message.ticket[1] and message.ticket[0] in batch.leases:
            for number, write in enumerate(batch.writes):
                if write.key == message.key and write.status == "sent":
                    return place, number
    return None


def awaited(state: State, message: Message) -> bool:
    """Tell whether any worker waits for the reply."""
    return any(waits_for(worker, message) for worker in state.workers)


def late(state: State, message: Message) -> bool:
    """Tell whether a write comes late: its lane has another owner, or its sender has given it up."""
    return message.ticket[0] < state.source.leases[lane_of(state, message.key)].epoch or not awaited(state, message)


def equal(row: Row, document: Document | None) -> bool:
    """Compare both sides of a key."""
    if document is None:
        return row.value == ABSENT
    return row.value != ABSENT and document.version == row.version
