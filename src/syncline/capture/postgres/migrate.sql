-- What `syncline install` says around the migrations of our tables (syncline/journal/migrations).

-- name: record
INSERT INTO syncline.migration (number, name) VALUES {rows} ON CONFLICT (number) DO NOTHING

-- name: finish
UPDATE syncline.meta SET schema_version = {version}

-- name: grants
-- Whoever works with our tables may work with the new ones too: workers change them, writers that mark by themselves read some.
DO $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT a.grantee::regrole::text FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind IN ('r', 'p') AND a.privilege_type = 'UPDATE'
          AND a.grantee <> c.relowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA syncline TO %s', grantee);
        EXECUTE format('GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA syncline TO %s', grantee);
        EXECUTE format('GRANT EXECUTE ON FUNCTION syncline.rotate_history(interval) TO %s', grantee);
    END LOOP;
    FOR grantee IN
        SELECT a.grantee::regrole::text FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.relnamespace = 'syncline'::regnamespace AND c.relname IN ('meta', 'entity', 'outbox', 'parked', 'task')
          AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND a.grantee <> 0
        GROUP BY a.grantee HAVING count(*) > 1
    LOOP
        EXECUTE format('GRANT SELECT ON syncline.meta, syncline.entity, syncline.outbox, syncline.block, syncline.parked, syncline.task TO %s', grantee);
    END LOOP;
END $$

-- name: end_sessions
-- Workers connect again, and those of the previous release learn that their time is over.
DO $$
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND application_name IN ('syncline reader', 'syncline acker', 'syncline control', 'syncline listener', 'syncline apart');
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'this role may not end the sessions of workers: restart those of the previous release';
END $$
