"""The acknowledgement: one statement that removes marks under the lease, and files what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from syncline.outbox.arrays import integers
from syncline.ports import Rejection


@dataclass(slots=True)
class Acknowledgement:
    """What a worker has done with the marks that it had read.

    ``seqs`` may cover several batches. ``leases`` are the lanes of these marks with the epoch under which each was read.
    """

    seqs: list[int] = field(default_factory=list)
    leases: dict[int, int] = field(default_factory=dict)
    absent: list[tuple[int, int, str]] = field(default_factory=list)
    """(entity, lane, key) of records that were deleted for the first time: to be deleted again after the grace time."""
    rejected: list[tuple[int, Rejection]] = field(default_factory=list)
    """(entity, rejection): parked."""
    unpark: bool = False
    """Some of these keys may be parked: what succeeded is cleared."""
    documents: dict[tuple[int, str], str] = field(default_factory=dict)
    """(entity, key) to JSON of what was applied, for a history that keeps it."""

    def merge(self, other: Acknowledgement) -> None:
        """Take in another one, for one statement."""
        self.seqs += other.seqs
        self.leases |= other.leases
        self.absent += other.absent
        self.rejected += other.rejected
        self.unpark |= other.unpark
        self.documents |= other.documents


@cache
def statement(
    *, history: bool, absent: bool, rejected: bool, unpark: bool, documents: bool, digests: bool = True
) -> str:
    """Compose the acknowledgement from the parts that this one needs.

    The lease rows are locked FOR SHARE: without the lock (or with FOR KEY SHARE) a takeover that is not yet committed
    would let the marks be deleted under a lease that is no longer held. (On CockroachDB it takes none, and needs none:
    there every transaction is serializable.) ``digests``: parked keys are unique by their md5.
    """
    same = "md5(p.key) = md5(d.key)" if digests else "p.key = d.key"
    parts = [
        """held AS MATERIALIZED (
    SELECT l.lane FROM syncline.lane AS l
    JOIN unnest(%(lanes)s::smallint[], %(epochs)s::bigint[]) AS mine (lane, epoch) ON l.lane = mine.lane AND l.epoch = mine.epoch
    WHERE l.owner = %(worker)s
    FOR SHARE OF l
)""",
        """done AS (
    DELETE FROM syncline.outbox AS o
    WHERE o.seq = ANY(%(seqs)s::text::bigint[]) AND o.lane IN (SELECT lane FROM held)
    RETURNING o.tx, o.seq, o.at, o.entity, o.lane, o.hint, o.key, o.event_type, o.payload
)""",
    ]
    if rejected:
        parts += [
            """bad AS (
    SELECT * FROM unnest(%(bad_entities)s::smallint[], %(bad_keys)s::text[], %(bad_codes)s::text[], %(bad_messages)s::text[])
        AS b (entity, key, code, message)
)""",
            f"""park AS (
    INSERT INTO syncline.parked AS p (seq, tx, entity, lane, hint, key, event_type, payload, created_at, changes, code, error)
    SELECT max(d.seq), (array_agg(d.tx ORDER BY d.seq DESC))[1], d.entity, d.lane, (array_agg(d.hint ORDER BY d.seq DESC))[1], d.key,
           (array_agg(d.event_type ORDER BY d.seq DESC))[1], (array_agg(d.payload ORDER BY d.seq DESC))[1], min(d.at), count(*),
           b.code, b.message
    FROM done AS d JOIN bad AS b ON b.entity = d.entity AND b.key = d.key
    GROUP BY d.entity, d.lane, d.key, b.code, b.message
    ON CONFLICT (entity, {"md5(key)" if digests else "key"}) DO UPDATE
    SET seq = excluded.seq, tx = excluded.tx, hint = excluded.hint, event_type = excluded.event_type, payload = excluded.payload,
        changes = p.changes + excluded.changes, retry_count = p.retry_count + 1,
        code = excluded.code, error = excluded.error, tried_at = clock_timestamp()
)""",
        ]
    if unpark:
        but_bad = "AND NOT EXISTS (SELECT FROM bad AS b WHERE b.entity = d.entity AND b.key = d.key)" if rejected else ""
        parts.append(f"""clear AS (
    DELETE FROM syncline.parked AS p USING done AS d
    WHERE p.entity = d.entity AND {same} {but_bad}
)""")  # noqa: S608
    if absent:
        parts.append("""again AS (
    INSERT INTO syncline.deferred (due, entity, lane, key)
    SELECT clock_timestamp() + %(grace)s, a.entity, a.lane, a.key
    FROM unnest(%(absent_entities)s::smallint[], %(absent_lanes)s::smallint[], %(absent_keys)s::text[]) AS a (entity, lane, key)
    WHERE a.lane IN (SELECT lane FROM held)
)""")
    if history:
        but_bad = "AND NOT EXISTS (SELECT FROM bad AS b WHERE b.entity = d.entity AND b.key = d.key)" if rejected else ""
        payload, join = "d.payload", ""
        if documents:
            payload = "coalesce(d.payload, s.document)"
            join = """LEFT JOIN unnest(%(doc_entities)s::smallint[], %(doc_keys)s::text[], %(doc_bodies)s::jsonb[])
        AS s (entity, key, document) ON s.entity = d.entity AND s.key = d.key"""
        parts.append(f"""remember AS (
    INSERT INTO syncline.history (seq, created_at, processed_at, entity, hint, key, event_type, payload)
    SELECT d.seq, d.at, clock_timestamp(), d.entity, d.hint, d.key, d.event_type, {payload}
    FROM done AS d {join}
    WHERE d.hint <> 'G' {but_bad}
)""")  # noqa: S608
    return "/* syncline */ WITH " + ", ".join(parts) + " SELECT lane FROM held"


def parameters(ack: Acknowledgement) -> dict[str, Any]:
    """Turn an acknowledgement into the statement's parameters (``worker`` and ``grace`` come from elsewhere)."""
    values: dict[str, Any] = {
        "seqs": integers(ack.seqs),
        "lanes": list(ack.leases),
        "epochs": list(ack.leases.values()),
    }
    if ack.absent:
        values["absent_entities"], values["absent_lanes"], values["absent_keys"] = map(list, zip(*ack.absent, strict=True))
    if ack.rejected:
        values["bad_entities"] = [entity for entity, _ in ack.rejected]
        values["bad_keys"] = [rejection.key for _, rejection in ack.rejected]
        values["bad_codes"] = [rejection.code for _, rejection in ack.rejected]
        values["bad_messages"] = [rejection.message.replace("\0", "") for _, rejection in ack.rejected]
    if ack.documents:
        values["doc_entities"] = [entity for entity, _ in ack.documents]
        values["doc_keys"] = [key for _, key in ack.documents]
        values["doc_bodies"] = list(ack.documents.values())
    return values
