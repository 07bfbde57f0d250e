-- What is asked of a named database before it is trusted, and by `syncline db doctor`. Reads only; any role may.

-- name: server
SELECT version() AS product, current_setting('server_version') AS version, pg_catalog.pg_is_in_recovery() AS standby,
       current_database() AS name, current_user AS role, current_schema() AS schema,
       (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database()) AS oid,
       extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text AS started

-- name: system
-- Refused to some roles of managed services; the time of the start stands in for it then.
SELECT system_identifier::text AS system FROM pg_catalog.pg_control_system()

-- name: tables
SELECT n.nspname AS schema, c.relname AS name,
       array_remove(ARRAY[
           CASE WHEN NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') THEN 'SELECT' END,
           CASE WHEN NOT pg_catalog.has_table_privilege(c.oid, 'INSERT') THEN 'INSERT' END,
           CASE WHEN NOT pg_catalog.has_table_privilege(c.oid, 'UPDATE') THEN 'UPDATE' END,
           CASE WHEN NOT pg_catalog.has_table_privilege(c.oid, 'DELETE') THEN 'DELETE' END], NULL) AS missing
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'

-- name: connections
-- A limit of -1 means no limit. Other sessions are counted for every role, whatever it may see of them.
SELECT current_setting('max_connections')::int AS max_connections,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true)::int, 0)
           - (SELECT coalesce(sum(numbackends), 0)::int FROM pg_catalog.pg_stat_database) AS of_server,
       (SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = current_database()) AS database_limit,
       (SELECT numbackends FROM pg_catalog.pg_stat_database WHERE datname = current_database()) AS in_database,
       (SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = current_user) AS role_limit,
       (SELECT count(*)::int FROM pg_catalog.pg_stat_activity WHERE usename = current_user) AS of_role
