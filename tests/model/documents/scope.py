"""What one exploration of documents as a source allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model.documents.state import State
from tests.model.search import Told

Step = tuple[Told, State]
Action = Iterator[Step]


@dataclass(frozen=True, kw_only=True)
class DocumentScope:
    """One exploration. The defaults are the design, with three writes of any kind and two carriers."""

    about: str = ""
    writes: int = 3
    kinds: str = "piod"
    """p: a pipeline (replace, upsert, insert onto a tombstone); i: a plain insert; o: operators; d: a delete; n: a pipeline
    that notes itself for the log of operations."""
    carriers: int = 2
    foreign: int = 0
    foreign_kinds: str = "crd"
    """c: a change in place; r: a replacement or insert without our field; d: a delete; t: a tombstone is deleted."""
    stream: bool = False
    """Foreign writes are found by a reader of change events; otherwise by verification."""
    deaths: int = 0
    """How often the reader dies between the mark and its token, or the other way round."""
    lost_tokens: int = 0
    copies: bool = False
    """Documents that are not marked are carried, too, without a mark: the first copy."""
    purges: int = 0
    restore: str = ""
    """pg or mongo."""
    skew: int = 0
    """How often the clock of MongoDB's server is set back."""
    # -- the mechanisms
    deletes: str = "tombstone"
    """tombstone: the document is replaced by one; at once: it is deleted."""
    copies_over: bool = False
    """The copy writes over whatever there is, as COPY into an emptied table would."""
    keeps_counter: bool = True
    """PostgreSQL keeps the version of what is deleted."""
    unique_marks: bool = True
    """Every write draws a mark; otherwise one that a document has already stays."""
    compares_mark: bool = True
    """A mark is cleared only if it is still the one that was read."""
    raises: bool = True
    equal: str = "same mark"
    """What an equal version in PostgreSQL means: same mark: applied if the mark is the same, else refused; applied; over:
    it is written over."""
    fence: bool = True
    """Carriers compare the link's number."""
    purge: str = "number"
    """number: with a new number of the link, and only what MongoDB has no document of; plain: without; present: with a
    document there, too."""
    renews: bool = True
    """After a restore every document gets a new mark and a higher version."""
    sweep: str = "tombstone"
    """tombstone: a row without a document gets a tombstone in MongoDB; direct: it is deleted in PostgreSQL."""
    # -- what is noted
    enters: bool = True
    """It is written into the log before it goes out of the document."""
    keeps_noted: bool = True
    """Pipelines keep it, and so do tombstones."""
    spares_noted: bool = True
    """A mark is not cleared by who has not read what is noted, and something is."""
    takes_own: bool = True
    """A process takes out what it has entered; otherwise all of it."""
    # -- operators
    floor: bool = True
    """A version below the floor counts as not drawn: who takes the mark draws it from the server's clock."""
    increments: bool = True
    """Operators raise the version by $inc; otherwise it stays, and only the mark is new."""
    operators_mark: str = "always"
    """always; when missing: operators set a mark only where there is none."""
    spares_tombstones: bool = True
    """Operators match no tombstones."""
    revives: bool = True
    """An upsert by operators onto a tombstone takes away that it is deleted; otherwise the tombstone stays one."""
    insert_clock: str = "none"
    """What a plain insert draws: none (below the floor); client: an application's clock, which is late."""
    # -- the reader of change events
    stream_deletes: str = "judged"
    """What a delete event does: judged: nothing if PostgreSQL has the tombstone's version, else a tombstone; row: a tombstone
    only if PostgreSQL has a row; nothing."""
    stream_spares: bool = True
    """Its tombstone is an insert: a document that is there again stays."""
    stream_saves: str = "after"
    """When the token is saved: after the mark, or before."""
    lost_token: str = "mark all"
    """mark all: a lost token means new marks and a sweep, until nothing is under way; start over: the reader goes on."""
    livelocks: bool = True
    limit: int = 1_500_000
