-- name: changes
CREATE OR REPLACE VIEW syncline.changes AS
WITH every AS (
    SELECT seq, entity, hint, event_type, key, payload, at AS created_at, 0 AS retry_count, NULL::text AS last_error,
           false AS processed, NULL::timestamptz AS processed_at
    FROM syncline.outbox WHERE hint <> 'G'
    UNION ALL
    SELECT seq, entity, hint, event_type, key, payload, created_at, retry_count, error, false, NULL::timestamptz
    FROM syncline.parked
    UNION ALL
    SELECT seq, entity, hint, event_type, key, payload, created_at, 0, NULL::text, true, processed_at
    FROM syncline.history
)
SELECT o.seq AS id, syncline.event_name(e.name, o.hint, o.event_type) AS event_type,
       e.name AS aggregate_type, o.key AS aggregate_id, o.payload, o.created_at, o.retry_count, o.last_error, o.processed,
       o.processed_at
FROM every AS o JOIN syncline.entity AS e ON e.id = o.entity
