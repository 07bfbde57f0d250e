-- Capture on CockroachDB: one row-level AFTER trigger per table (24.3 or newer). It has no statement-level triggers, no
-- transition tables and so nothing that fires at TRUNCATE. Its PL/pgSQL knows no PERFORM, no FOUND, no CASE statement, and
-- members of rows only in parentheses. (Known limitations, cockroachlabs.com/docs.)

-- name: key_function
CREATE OR REPLACE FUNCTION {function}({arguments}) RETURNS text
    LANGUAGE SQL {volatility}
    AS {body}

-- name: trigger_function
-- SECURITY DEFINER would be ignored (cockroachdb/cockroach#172407): writers need INSERT on syncline.outbox.
CREATE FUNCTION {function}() RETURNS TRIGGER
    LANGUAGE PLpgSQL
    AS {body}

-- name: row
DECLARE
    v_before text;
    v_after text;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        IF {old_present} THEN
            v_before := {old_key};
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        IF {new_present} THEN
            v_after := {new_key};
        END IF;
    END IF;
    IF v_after IS NOT NULL THEN
        {mark_after};
    END IF;
    IF v_before IS NOT NULL AND (v_after IS NULL OR v_before <> v_after) THEN
        {mark_before};
    END IF;
    RETURN NULL;
END

-- name: mark
INSERT INTO syncline.outbox (entity, lane, hint, key)
        VALUES ({id}, {lane}, {of_row}, {of})

-- name: trigger_row
CREATE TRIGGER {trigger} AFTER INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION {function}()

-- name: present_triggers
SHOW TRIGGERS FROM {table}

-- name: captured
SELECT name, entity, source_table, complete FROM syncline.capture ORDER BY name

-- name: present
SELECT pg_catalog.to_regnamespace('syncline') IS NOT NULL AS present

-- name: functions
SELECT p.proname::text AS name FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = 'syncline'

-- name: our_views
-- Views outside of our schema that show what ours shows, column by column. (Comments on views cannot be relied on there.)
SELECT v.schemaname::text AS schema, v.viewname::text AS name FROM pg_catalog.pg_views AS v
WHERE v.schemaname <> 'syncline' AND v.definition LIKE '%syncline.changes%'
  AND (SELECT string_agg(c.column_name, ',' ORDER BY c.ordinal_position) FROM information_schema.columns AS c
       WHERE c.table_schema = v.schemaname AND c.table_name = v.viewname)
      = 'id,event_type,aggregate_type,aggregate_id,payload,created_at,retry_count,last_error,processed,processed_at'

-- name: taken
SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE c.relname = %(name)s AND n.nspname = %(schema)s) AS taken
