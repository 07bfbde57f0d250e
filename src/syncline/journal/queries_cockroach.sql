-- What is said differently to CockroachDB; the other blocks of queries.sql serve it as they are.

-- name: identity
-- Restarts and failovers of its nodes are its own affair: only another cluster or another database is another source.
SELECT crdb_internal.cluster_id()::text || '/' || current_database()::text AS system, '' AS timeline, '' AS started, false AS standby

-- name: identity_noted
-- As the installation has read it: a cluster's id is not for every role to read (allow_unsafe_internals).
SELECT cluster AS system, '' AS timeline, '' AS started, false AS standby FROM syncline.meta

-- name: read_marks
-- With the time as of which this is read.
SELECT seq, lane, entity, key, hint, durable, NULL::text[] AS keys, cluster_logical_timestamp()::text
FROM syncline.outbox
WHERE seq > %(after)s AND ((1::bigint << lane) & %(lanes)s) <> 0 AND entity <> ALL(%(except)s::smallint[])
ORDER BY seq
LIMIT %(limit)s

-- name: acquire
-- With the transaction's own time: states that are read for these lanes must be no older.
WITH counter AS (
    UPDATE syncline.meta SET epoch = greatest(epoch, %(above)s) + 1 RETURNING epoch
)
UPDATE syncline.lane AS l SET owner = %(worker)s, epoch = counter.epoch
FROM counter
WHERE l.lane = ANY(%(lanes)s)
  AND (l.owner IS NULL OR l.owner = %(worker)s
       OR NOT EXISTS (SELECT 1 FROM syncline.worker AS w WHERE w.id = l.owner AND w.expires_at > clock_timestamp()))
RETURNING l.lane, l.epoch, l.confirmed, cluster_logical_timestamp()::text

-- name: unpark
-- Before an acknowledgement that also parks: CockroachDB refuses statements that modify one table twice. A crash in between
-- does no harm, the mark is still there.
DELETE FROM syncline.parked AS p
USING syncline.outbox AS o, syncline.lane AS l
WHERE o.seq = ANY(%(seqs)s::text::bigint[]) AND o.entity = p.entity AND o.key = p.key
  AND l.lane = o.lane AND l.owner = %(worker)s
  AND (l.lane, l.epoch) IN (SELECT * FROM unnest(%(lanes)s::smallint[], %(epochs)s::bigint[]))
  AND (p.entity, p.key) NOT IN (SELECT * FROM unnest(%(bad_entities)s::smallint[], %(bad_keys)s::text[]))

-- name: forget_history
DELETE FROM syncline.history
WHERE id IN (SELECT id FROM syncline.history WHERE processed_at < clock_timestamp() - %(keep)s ORDER BY processed_at LIMIT %(limit)s)
