"""What the model of the SQL fence knows at one moment: frozen tuples, as in ``tests.model.state``.

A transaction lives on the target's server: it goes on, or is ended there, whatever becomes of its client.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

NOBODY = -1
COPIER = -2


class Row(NamedTuple):
    """A record. ``version``: the commit that made it so (a ghost)."""

    version: int = 0
    there: bool = False
    value: int = 0
    """Of a unique column; 0: NULL."""
    parent: int = 0
    """A foreign key: the key that it refers to, plus one; 0: NULL."""


class Lease(NamedTuple):
    """A lane's row in the source."""

    owner: int
    epoch: int
    live: bool


class Source(NamedTuple):
    """The source database, in which transactions are atomic."""

    rows: tuple[Row, ...]
    marks: frozenset[tuple[int, int]]
    """Key and the version that it stands for (a ghost)."""
    leases: tuple[Lease, ...]
    parked: frozenset[int]
    begun: int
    """Transactions of the script that have committed."""
    commits: int


class Target(NamedTuple):
    """What has committed in the target database."""

    rows: tuple[Row, ...]
    records: tuple[tuple[int, int], ...]
    """Per lane: the epoch that was announced (and a batch number, for the mutants that compare it)."""
    seen: tuple[int, ...]
    """Ghost: the newest state of each key that readers could see."""


class Item(NamedTuple):
    """What a batch does with one key. kind: put, delete; clear: the unique column is set to a placeholder;
    loosen: the row is written without its reference; let go: a row that is to be deleted loses its reference; remove: the
    row is taken away and written anew; insert: a copied row, which changes nothing where there is one."""

    kind: str
    key: int
    row: Row


class Refusal(NamedTuple):
    """A constraint kept an item out; the statement was rolled back to a savepoint."""

    key: int
    why: str
    """value: another record has it; parent: it is missing; child: another record refers to this one."""
    other: int


class Transaction(NamedTuple):
    """A batch on the target's server."""

    client: int
    """The worker that waits for the answer; ``COPIER``: a copier; ``NOBODY``: it is gone, or has given up."""
    number: int
    lanes: tuple[tuple[int, int], ...]
    """Lane and epoch, in the order of the locks; none: a range that is copied."""
    items: tuple[Item, ...]
    at: int = 0
    """Operations done."""
    effects: tuple[tuple[int, Row], ...] = ()
    """Rows written and not committed."""
    refused: tuple[Refusal, ...] = ()
    attempt: int = 0
    """Of a range."""
    locked: frozenset[int] = frozenset()
    """Rows that are locked: nobody changes them, or comes to refer to them."""


class Batch(NamedTuple):
    """Marks that were read together. stage: marks, states (read), sent, done."""

    number: int
    stage: str
    lanes: tuple[tuple[int, int], ...]
    keys: tuple[int, ...]
    marks: frozenset[tuple[int, int]] = frozenset()
    items: tuple[Item, ...] = ()
    refused: tuple[Refusal, ...] = ()


class Hold(NamedTuple):
    """A lane in a worker's memory. stage: '' (not held), acquired, asking (for the exclusive lock), announced."""

    epoch: int = 0
    stage: str = ""


class Worker(NamedTuple):
    """A worker's memory."""

    lanes: tuple[Hold, ...]
    batches: tuple[Batch, ...] = ()
    yielding: frozenset[int] = frozenset()
    """Keys that give their unique value or their reference up before they are written."""

    def epoch(self, lane: int) -> int:
        """Give the epoch under which it serves a lane; 0: it does not."""
        hold = self.lanes[lane]
        return hold.epoch if hold.stage == "announced" else 0


class Copy(NamedTuple):
    """The initial copy of the table, which is one range. stage: '' (idle), attempt, read, sent, done."""

    begun: bool = False
    """Marks wait, in the source."""
    fencing: bool = False
    """The lanes' new epochs are still to be announced."""
    declared: bool = True
    """Marks are read."""
    stage: str = ""
    mine: int = 0
    """The copier's attempt."""
    items: tuple[Item, ...] = ()
    """What it has read."""
    attempt: int = 0
    """As it stands in the target."""
    done: bool = False
    """Likewise."""


class State(NamedTuple):
    """One moment."""

    source: Source
    target: Target
    transactions: tuple[Transaction, ...]
    workers: tuple[Worker, ...]
    faults: int
    """How much may still go wrong."""
    went_back: int = -1
    """Ghost: the key whose older state readers have seen after a newer one."""
    copy: Copy = Copy()


T = TypeVar("T")


def put(items: tuple[T, ...], place: int, item: T) -> tuple[T, ...]:
    """Replace one item."""
    return (*items[:place], item, *items[place + 1 :])


def with_worker(state: State, number: int, worker: Worker) -> State:
    """Replace a worker."""
    return state._replace(workers=put(state.workers, number, worker))


def orphaned(
    transactions: tuple[Transaction, ...], client: int, numbers: frozenset[int] | None = None
) -> tuple[Transaction, ...]:
    """Nobody waits for these transactions of a client any more; ``None``: for none of them."""
    return tuple(
        sorted(
            one._replace(client=NOBODY) if one.client == client and (numbers is None or one.number in numbers) else one
            for one in transactions
        )
    )


def forgetting(state: State, number: int, lanes: frozenset[int], *, sent: bool = False) -> State:
    """Let a worker forget lanes, and the batches that it has not sent yet; with ``sent`` those on their way, too."""
    worker = state.workers[number]
    gone = frozenset(
        batch.number
        for batch in worker.batches
        if not lanes.isdisjoint(dict(batch.lanes)) and (sent or batch.stage in {"marks", "states"})
    )
    left = worker._replace(
        lanes=tuple(Hold() if lane in lanes else hold for lane, hold in enumerate(worker.lanes)),
        batches=tuple(batch for batch in worker.batches if batch.number not in gone),
    )
    return with_worker(state._replace(transactions=orphaned(state.transactions, number, gone)), number, left)
