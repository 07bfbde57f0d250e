-- The view of every change gives what waits in its order without sorting all of it: one join above the union, and no condition
-- within its first two parts.
CREATE OR REPLACE VIEW syncline.changes AS
SELECT c.seq AS id, syncline.event_name(e.name, c.hint, c.event_type) AS event_type, e.name AS aggregate_type,
       c.key AS aggregate_id, c.payload, c.created_at, c.retry_count, c.last_error, c.processed, c.processed_at
FROM (
    SELECT seq, entity, hint, event_type, key, payload, at AS created_at, 0 AS retry_count, NULL::text AS last_error,
           false AS processed, NULL::timestamptz AS processed_at
    FROM syncline.outbox
    UNION ALL
    SELECT seq, entity, hint, event_type, key, payload, created_at, retry_count, error, false, NULL::timestamptz
    FROM syncline.parked
    UNION ALL
    SELECT seq, entity, hint, event_type, key, payload, created_at, 0, NULL::text, true, processed_at
    FROM syncline.history WHERE octet_length(key) <= 2000
    UNION ALL
    SELECT seq, entity, hint, event_type, key, payload, created_at, 0, NULL::text, true, processed_at
    FROM syncline.history WHERE octet_length(key) > 2000
) AS c JOIN syncline.entity AS e ON e.id = c.entity
WHERE c.hint <> 'G';
