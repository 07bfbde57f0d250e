"""Explorations of documents as a source: the design holds in each of them, and each mutant has a counterexample."""

from __future__ import annotations

from dataclasses import replace

from tests.model.documents.scope import DocumentScope

WRITES = DocumentScope(about="pipelines, inserts, operators, deletes; 3 writes, 3 carriers", carriers=3)
FOREIGN = DocumentScope(
    about="somebody who does not know of our field; verification", writes=2, foreign=1, foreign_kinds="crdt"
)
NOTED = DocumentScope(about="updates that note themselves", kinds="pnd")
STREAM = replace(FOREIGN, about="likewise; a reader of change events", stream=True)
SKEW = DocumentScope(about="the server's clock is set back", skew=1)
COPY = DocumentScope(about="a copy beside writers", writes=2, copies=True)
PURGE = DocumentScope(about="PostgreSQL forgets what is deleted", purges=1)
POSTGRES = DocumentScope(about="PostgreSQL is restored, 2 writes", restore="pg", writes=2)
MONGO = DocumentScope(about="MongoDB is restored, 2 writes", restore="mongo", writes=2)

SMALL: dict[str, DocumentScope] = {
    "documents: writes": WRITES,
    "documents: foreign": FOREIGN,
    "documents: stream": replace(STREAM, about="a reader of change events, 1 write", writes=1),
    "documents: noted": NOTED,
    "documents: copy": COPY,
    "documents: clock": SKEW,
    "documents: purge": PURGE,
    "documents: PostgreSQL restored": POSTGRES,
    "documents: MongoDB restored": replace(MONGO, about="MongoDB is restored, pipelines and deletes", kinds="pd"),
}
"""Explored by every run of the tests."""

LARGE: dict[str, DocumentScope] = {
    "documents: 4 writes": replace(WRITES, about="4 writes, 3 carriers", writes=4),
    "documents: 6 writes": DocumentScope(about="6 writes, 2 carriers", writes=6),
    "documents: noted, 4 writes": replace(NOTED, about="4 writes of any kind", writes=4, kinds="pniod"),
    "documents: clock, 4 writes": replace(SKEW, about="the clock, 4 writes, 3 carriers", writes=4, carriers=3),
    "documents: clock and purge": replace(PURGE, about="the clock and a purge, 4 writes", skew=1, writes=4),
    "documents: PostgreSQL restored, 4 writes": replace(POSTGRES, about="4 writes", writes=4),
    "documents: PostgreSQL restored, purge": replace(POSTGRES, about="3 writes and a purge", writes=3, purges=1),
    "documents: MongoDB restored, any": MONGO,
    "documents: MongoDB restored, 3 writes": replace(MONGO, about="3 writes", writes=3),
    "documents: MongoDB restored, clock": replace(MONGO, about="and its clock is set back", skew=1),
    "documents: foreign twice": replace(FOREIGN, about="two foreign writes", foreign=2),
    "documents: foreign, purge": replace(FOREIGN, about="and a purge", purges=1),
    "documents: copy, 3 writes": replace(COPY, about="3 writes, 3 carriers", writes=3, carriers=3),
    "documents: copy, clock": replace(COPY, about="and the clock is set back", skew=1, writes=3),
    "documents: copy, purge": replace(COPY, about="and a purge", purges=1, writes=3),
    "documents: copy, foreign": replace(FOREIGN, about="a copy", copies=True),
    "documents: copy, PostgreSQL restored": replace(POSTGRES, about="a copy", copies=True),
    "documents: copy, MongoDB restored": replace(MONGO, about="a copy, pipelines and deletes", copies=True, kinds="pd"),
    "documents: stream, 2 writes": STREAM,
    "documents: stream, deaths": replace(STREAM, about="the reader dies", deaths=1),
    "documents: stream, token": replace(STREAM, about="the reader's token is lost", lost_tokens=1),
    "documents: stream, purge": replace(STREAM, about="and a purge", purges=1),
    "documents: unneeded: no $inc": replace(
        SKEW, about="operators leave the version: safe, raises more", increments=False
    ),
}
"""Explored by ``make model``."""

_CLOCK = replace(SKEW, writes=4, kinds="pd")
_RESTORED = replace(POSTGRES, writes=3)
_DELETED = replace(STREAM, writes=1, foreign_kinds="d")
_CHANGED = replace(STREAM, writes=1, foreign_kinds="c")

MUTANTS: dict[str, DocumentScope] = {
    name: replace(scope, about=name)
    for name, scope in {
        "documents: deleted at once": replace(WRITES, deletes="at once"),
        "documents: no version is kept of what is deleted": replace(WRITES, keeps_counter=False),
        "documents: one mark for many writes": replace(WRITES, unique_marks=False),
        "documents: cleared without comparing": replace(WRITES, compares_mark=False),
        "documents: never raised": replace(SKEW, raises=False),
        "documents: an equal version is applied": replace(_CLOCK, equal="applied"),
        "documents: an equal version is written over": replace(_CLOCK, equal="over"),
        "documents: the link's number is not compared": replace(POSTGRES, kinds="pd", fence=False),
        "documents: likewise, MongoDB restored": replace(MONGO, kinds="pd", fence=False),
        "documents: forgotten without a new number": replace(PURGE, purge="plain"),
        "documents: forgotten while a document is there": replace(PURGE, purge="present", skew=1),
        "documents: restored without new marks": replace(POSTGRES, renews=False),
        "documents: the sweep deletes in PostgreSQL": replace(FOREIGN, writes=2, foreign_kinds="d", sweep="direct"),
        "documents: no floor": replace(FOREIGN, foreign_kinds="r", floor=False),
        "documents: inserts draw from a client's clock": replace(_RESTORED, kinds="pid", insert_clock="client"),
        "documents: the copy writes over": replace(COPY, copies_over=True),
        "documents: the copy is not fenced": replace(POSTGRES, kinds="pd", copies=True, fence=False),
        "documents: operators keep a mark": replace(WRITES, operators_mark="when missing"),
        "documents: noted, and not entered": replace(NOTED, enters=False),
        "documents: a pipeline drops what is noted": replace(NOTED, keeps_noted=False),
        "documents: cleared by who has not read what is noted": replace(NOTED, spares_noted=False),
        "documents: a process takes out what others noted": replace(NOTED, takes_own=False),
        "documents: operators match tombstones": replace(WRITES, spares_tombstones=False),
        "documents: an upsert leaves the tombstone": replace(WRITES, revives=False),
        "documents: delete events are passed over": replace(_DELETED, stream_deletes="nothing"),
        "documents: delete events look at the row": replace(_DELETED, stream_deletes="row"),
        "documents: a tombstone over a document": replace(_DELETED, writes=2, stream_spares=False),
        "documents: the token before the mark": replace(_CHANGED, stream_saves="before", deaths=1),
        "documents: a lost token, start over": replace(_CHANGED, lost_token="start over", lost_tokens=1),
    }.items()
}
"""The design without one mechanism."""
