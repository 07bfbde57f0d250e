-- What says at once, in the transaction of the change itself, that a schema change has ended capture. Templates, as triggers.sql.

-- name: function
CREATE OR REPLACE FUNCTION syncline.note_ddl() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '200ms'
    AS {body}

-- name: body
-- Compared with what a worker remembers of the tables. Whatever fails here is nobody's business: the worker looks, too.
BEGIN
    IF current_setting('syncline.installing', true) = 'on' OR (
        EXISTS (SELECT FROM pg_event_trigger_ddl_commands())
        AND NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() AS c WHERE c.schema_name IS DISTINCT FROM 'pg_temp')
    ) THEN
        RETURN;
    END IF;
    INSERT INTO syncline.notice (name, severity, message, entity)
    SELECT 'CaptureBroken', 'critical', format('entity %s: %s; run `syncline install`', b.name, string_agg(b.what, '; ')), b.name
    FROM (
        WITH entity AS (
            SELECT e.id, e.name, o.catalog FROM syncline.entity AS e JOIN syncline.observed AS o ON o.entity = e.id
            WHERE e.capture = 'triggers' AND e.state = 'armed'
        ), root AS (
            SELECT e.id, e.name, (t.state ->> 'oid')::oid AS oid, t.state -> 'members' -> (t.state ->> 'oid') ->> 2 AS relation
            FROM entity AS e, jsonb_array_elements(e.catalog -> 'tables') AS t (state) WHERE t.state ->> 'oid' IS NOT NULL
        ), gone AS (
            SELECT r.*, n.nspname || '.' || c.relname AS now
            FROM root AS r LEFT JOIN pg_class AS c ON c.oid = r.oid LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname || '.' || c.relname IS DISTINCT FROM r.relation
              AND NOT EXISTS (SELECT FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid JOIN pg_class AS o ON o.oid = t.tgrelid
                              JOIN pg_namespace AS s ON s.oid = o.relnamespace
                              WHERE s.nspname || '.' || o.relname = r.relation AND p.pronamespace = 'syncline'::regnamespace
                                AND p.proname ~ format('^capture_%s_', r.id))
        ), known AS (
            SELECT e.id, e.name, split_part(k.key, ' ', 1)::oid AS oid, substr(k.key, strpos(k.key, ' ') + 1) AS trigger
            FROM entity AS e, jsonb_object_keys(e.catalog -> 'triggers') AS k (key)
        )
        SELECT g.name, CASE WHEN g.now IS NULL THEN format('%s was dropped', g.relation) ELSE format('%s is %s now', g.relation, g.now) END AS what
        FROM gone AS g
        UNION
        SELECT k.name, format('trigger %s on %s is missing or not ENABLE ALWAYS', k.trigger, k.oid::regclass)
        FROM known AS k JOIN pg_class AS c ON c.oid = k.oid LEFT JOIN pg_trigger AS t ON t.tgrelid = k.oid AND t.tgname = k.trigger
        WHERE t.tgenabled <> CASE WHEN k.trigger ~ '_row$' AND t.tgenabled = 'R' THEN 'R' ELSE 'A' END::"char" OR (t.oid IS NULL AND k.oid IN (SELECT r.oid FROM root AS r WHERE r.id = k.id))
    ) AS b
    WHERE NOT EXISTS (SELECT FROM syncline.notice AS n WHERE n.name = 'CaptureBroken' AND n.entity = b.name AND n.resolved_at IS NULL)
    GROUP BY b.name;
EXCEPTION WHEN OTHERS THEN
    NULL;
END

-- name: create
CREATE EVENT TRIGGER syncline_ddl ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'DROP TABLE', 'CREATE TRIGGER', 'ALTER TRIGGER', 'DROP TRIGGER', 'ALTER FUNCTION', 'DROP FUNCTION',
                 'ALTER ROUTINE', 'DROP ROUTINE', 'ALTER SCHEMA', 'DROP SCHEMA', 'DROP OWNED', 'DROP EXTENSION')
    EXECUTE FUNCTION syncline.note_ddl()

-- name: always
ALTER EVENT TRIGGER syncline_ddl ENABLE ALWAYS

-- name: drop
DROP EVENT TRIGGER syncline_ddl

-- name: drop_function
DROP FUNCTION IF EXISTS syncline.note_ddl()

-- name: found
-- What is there, and who is asked.
SELECT p.prosrc AS body, t.evtenabled::text AS enabled, coalesce(pg_catalog.pg_has_role(t.evtowner, 'USAGE'), false) AS owned,
       r.rolsuper AS super, (SELECT o.rolname::text FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS o ON o.oid = n.nspowner
                             WHERE n.nspname = 'syncline') AS owner, r.rolname::text AS role
FROM pg_catalog.pg_roles AS r
LEFT JOIN pg_catalog.pg_event_trigger AS t ON t.evtname = 'syncline_ddl'
LEFT JOIN pg_catalog.pg_proc AS p ON p.oid = t.evtfoid AND p.proname = 'note_ddl' AND p.pronamespace = pg_catalog.to_regnamespace('syncline')
WHERE r.rolname = current_user

-- name: probe_function
CREATE FUNCTION pg_temp.syncline_probe() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'

-- name: probe
CREATE EVENT TRIGGER syncline_probe ON ddl_command_end EXECUTE FUNCTION pg_temp.syncline_probe()

-- name: comment
COMMENT ON EVENT TRIGGER syncline_ddl IS 'Syncline: says at once that a schema change has ended capture. `syncline uninstall` removes it.'

-- name: function_comment
COMMENT ON FUNCTION syncline.note_ddl() IS 'Syncline: compares the catalog with what a worker has seen.'
