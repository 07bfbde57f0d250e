-- The acknowledgement, in parts; acknowledge.py joins the ones that are needed into one statement:
-- WITH held, done, … SELECT lane FROM held.

-- name: held
-- The lease rows are locked FOR SHARE: without the lock, or with FOR KEY SHARE, a takeover that is not yet committed
-- would let the marks be deleted under a lease that is no longer held.
held AS MATERIALIZED (
    SELECT l.lane
    FROM syncline.lane AS l
    JOIN unnest(%(lanes)s::smallint[], %(epochs)s::bigint[]) AS mine (lane, epoch)
      ON l.lane = mine.lane AND l.epoch = mine.epoch
    WHERE l.owner = %(worker)s
    FOR SHARE OF l
)

-- name: done
done AS (
    DELETE FROM syncline.outbox AS o
    WHERE o.seq = ANY(%(seqs)s::bigint[]) AND o.lane IN (SELECT lane FROM held)
    RETURNING o.tx, o.seq, o.at, o.entity, o.lane, o.hint, o.key, o.event_type, o.payload
)

-- name: unique_key
-- What of a parked key is unique: keys may be longer than an index takes.
md5({})

-- name: whole
-- Nothing is ever added to a block: of one that was read whole, and done, all goes that is there now.
whole AS (
    DELETE FROM syncline.block AS b
    WHERE b.seq = ANY(%(whole)s::bigint[]) AND b.lane IN (SELECT lane FROM held)
    RETURNING b.tx, b.at, b.entity, b.lane, b.hint, b.first, b.seqs, b.keys
)

-- name: parts
-- Of others what was done leaves the row as it is now, not as it was read, and the row goes with its last key; what is left keeps its
-- numbers and its transaction. The rows are locked first: of two that acknowledge parts the second sees what the first has left.
-- (IN … IS TRUE looks keys up in a hash table, whatever plan is kept.)
part AS MATERIALIZED (
    SELECT b.* FROM syncline.block AS b
    WHERE b.seq = ANY(%(parted)s::bigint[]) AND b.seq <> ALL(%(whole)s::bigint[]) AND b.lane IN (SELECT lane FROM held)
    ORDER BY b.seq
    FOR UPDATE OF b
), told AS MATERIALIZED (
    SELECT p.seq AS block, coalesce(u.seq, p.first + u.place - 1) AS seq, u.key,
           ((p.seq, u.key) IN (SELECT * FROM unnest(%(block_of)s::bigint[], %(block_keys)s::text[]))) IS TRUE AS done
    FROM part AS p CROSS JOIN LATERAL unnest(p.seqs, p.keys) WITH ORDINALITY AS u (seq, key, place)
), remainder AS MATERIALIZED (
    SELECT block, array_agg(seq ORDER BY seq) AS seqs, array_agg(key ORDER BY seq) AS keys, count(*) AS size, min(seq) AS first, max(seq) AS last
    FROM told WHERE NOT done GROUP BY block
), shrunk AS (
    UPDATE syncline.block AS b SET seqs = CASE WHEN r.last - r.first + 1 = r.size THEN '{}' ELSE r.seqs END,
           keys = r.keys, size = r.size, first = r.first
    FROM remainder AS r WHERE b.seq = r.block
), gone AS (
    DELETE FROM syncline.block AS b WHERE b.seq IN (SELECT seq FROM part EXCEPT SELECT block FROM remainder)
)

-- name: single
single AS (
    DELETE FROM syncline.outbox AS o
    WHERE o.seq = ANY(%(seqs)s::bigint[]) AND o.lane IN (SELECT lane FROM held)
    RETURNING o.tx, o.seq, o.at, o.entity, o.lane, o.hint, o.key, o.event_type, o.payload
)

-- name: of_single
SELECT * FROM single

-- name: of_whole
SELECT w.tx, coalesce(u.seq, w.first + u.place - 1), w.at, w.entity, w.lane, w.hint, u.key, NULL::text, NULL::jsonb
    FROM whole AS w CROSS JOIN LATERAL unnest(w.seqs, w.keys) WITH ORDINALITY AS u (seq, key, place)

-- name: of_parts
SELECT p.tx, t.seq, p.at, p.entity, p.lane, p.hint, t.key, NULL::text, NULL::jsonb
    FROM told AS t JOIN part AS p ON p.seq = t.block WHERE t.done

-- name: bad
-- Explicit events go to the history even of a parked record: they have happened.
bad AS (
    SELECT *
    FROM unnest(%(bad_entities)s::smallint[], %(bad_keys)s::text[], %(bad_codes)s::text[], %(bad_messages)s::text[])
        AS b (entity, key, code, message)
), good AS (
    SELECT d.* FROM done AS d
    WHERE NOT EXISTS (SELECT FROM bad AS b WHERE b.entity = d.entity AND b.key = d.key)
), kept AS (
    SELECT * FROM good
    UNION ALL
    SELECT d.* FROM done AS d JOIN bad AS b ON b.entity = d.entity AND b.key = d.key WHERE d.event_type IS NOT NULL
), park AS (
    INSERT INTO syncline.parked AS p
        (seq, first_tx, tx, entity, lane, hint, key, event_type, payload, created_at, changes, code, error)
    SELECT max(d.seq), (array_agg(d.tx ORDER BY d.tx))[1], (array_agg(d.tx ORDER BY d.tx DESC))[1], d.entity, d.lane,
           (array_agg(d.hint ORDER BY d.seq DESC))[1], d.key, (array_agg(d.event_type ORDER BY d.seq DESC))[1],
           (array_agg(d.payload ORDER BY d.seq DESC))[1], min(d.at), count(*), b.code, b.message
    FROM done AS d JOIN bad AS b ON b.entity = d.entity AND b.key = d.key
    GROUP BY d.entity, d.lane, d.key, b.code, b.message
    ON CONFLICT (entity, unique_key(key)) DO UPDATE
    SET seq = excluded.seq, tx = greatest(p.tx, excluded.tx), hint = excluded.hint, event_type = excluded.event_type,
        payload = excluded.payload, changes = p.changes + excluded.changes, retry_count = p.retry_count + 1,
        code = excluded.code, error = excluded.error, tried_at = clock_timestamp()
)

-- name: all_good
good AS (SELECT d.* FROM done AS d), kept AS (SELECT * FROM good)

-- name: clear
clear AS (
    DELETE FROM syncline.parked AS p USING good AS d WHERE p.entity = d.entity AND unique_key(p.key) = unique_key(d.key)
)

-- name: again
again AS (
    INSERT INTO syncline.deferred (due, entity, lane, key)
    SELECT clock_timestamp() + %(grace)s, a.entity, a.lane, a.key
    FROM unnest(%(absent_entities)s::smallint[], %(absent_lanes)s::smallint[], %(absent_keys)s::text[])
        AS a (entity, lane, key)
    WHERE a.lane IN (SELECT lane FROM held)
)

-- name: remember
remember AS (
    INSERT INTO syncline.history (seq, created_at, processed_at, entity, hint, key, event_type, payload)
    SELECT d.seq, d.at, clock_timestamp(), d.entity, d.hint, d.key, d.event_type, d.payload
    FROM kept AS d WHERE d.hint <> 'G'
)

-- name: remember_documents
remember AS (
    INSERT INTO syncline.history (seq, created_at, processed_at, entity, hint, key, event_type, payload)
    SELECT d.seq, d.at, clock_timestamp(), d.entity, d.hint, d.key, d.event_type, coalesce(d.payload, s.document)
    FROM kept AS d
    LEFT JOIN unnest(%(doc_entities)s::smallint[], %(doc_keys)s::text[], %(doc_bodies)s::jsonb[])
        AS s (entity, key, document) ON s.entity = d.entity AND s.key = d.key
    WHERE d.hint <> 'G'
)
