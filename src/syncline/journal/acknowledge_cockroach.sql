-- Where CockroachDB differs: its parked keys are unique as they are. (The lock of `held` takes nothing there, and need not:
-- every transaction is serializable.)

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
    ON CONFLICT (entity, key) DO UPDATE
    SET seq = excluded.seq, tx = greatest(p.tx, excluded.tx), hint = excluded.hint, event_type = excluded.event_type,
        payload = excluded.payload, changes = p.changes + excluded.changes, retry_count = p.retry_count + 1,
        code = excluded.code, error = excluded.error, tried_at = clock_timestamp()
)

-- name: clear
clear AS (
    DELETE FROM syncline.parked AS p USING good AS d WHERE p.entity = d.entity AND p.key = d.key
)

