-- The view of every change under a name that differs from the table's by more than case; the views for people read it.
CREATE OR REPLACE VIEW syncline.changes AS
SELECT o.seq AS id, syncline.event_name(e.name, o.hint, o.event_type) AS event_type, e.name AS aggregate_type,
       o.key AS aggregate_id, o.payload, o.at AS created_at, 0 AS retry_count, NULL::text AS last_error,
       false AS processed, NULL::timestamptz AS processed_at
FROM syncline.outbox AS o JOIN syncline.entity AS e ON e.id = o.entity WHERE o.hint <> 'G'
UNION ALL
SELECT p.seq, syncline.event_name(e.name, p.hint, p.event_type), e.name, p.key, p.payload, p.created_at, p.retry_count, p.error,
       false, NULL::timestamptz
FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity
UNION ALL
SELECT h.seq, syncline.event_name(e.name, h.hint, h.event_type), e.name, h.key, h.payload, h.created_at, 0, NULL::text,
       true, h.processed_at
FROM syncline.history AS h JOIN syncline.entity AS e ON e.id = h.entity WHERE octet_length(h.key) <= 2000
UNION ALL
SELECT h.seq, syncline.event_name(e.name, h.hint, h.event_type), e.name, h.key, h.payload, h.created_at, 0, NULL::text,
       true, h.processed_at
FROM syncline.history AS h JOIN syncline.entity AS e ON e.id = h.entity WHERE octet_length(h.key) > 2000;
COMMENT ON VIEW syncline.changes IS 'Every change: waiting, parked and applied. Read only.';

DO $$
DECLARE
    view record;
BEGIN
    FOR view IN
        SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind = 'v' AND n.nspname <> 'syncline' AND obj_description(c.oid, 'pg_class') LIKE 'Syncline:%'
          AND ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum)
              = '{id,event_type,aggregate_type,aggregate_id,payload,created_at,retry_count,last_error,processed,processed_at}'
    LOOP
        EXECUTE format('CREATE OR REPLACE VIEW %I.%I AS SELECT * FROM syncline.changes', view.nspname, view.relname);
    END LOOP;
END $$;
