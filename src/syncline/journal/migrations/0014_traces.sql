-- name: traces
-- Where `syncline tracing on` was run.
DO $migration$
BEGIN
    IF to_regprocedure('syncline.remember_trace()') IS NOT NULL THEN
        CREATE OR REPLACE FUNCTION syncline.remember_trace() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
            AS $$
        BEGIN
            IF current_setting('syncline.traceparent', true) ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' THEN
                BEGIN
                    INSERT INTO syncline.trace (tx, traceparent)
                    VALUES (pg_current_xact_id(), current_setting('syncline.traceparent', true)) ON CONFLICT DO NOTHING;
                EXCEPTION WHEN OTHERS THEN
                    NULL; -- another tool has dropped the table: no reason for the user's write to fail
                END;
            END IF;
            RETURN NULL;
        END $$;
    END IF;
END $migration$;
