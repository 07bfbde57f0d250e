-- What is there: read by `syncline install` before it decides what to do.

-- name: facts
SELECT current_user::text AS role,
       pg_catalog.current_setting('server_version_num')::integer AS version,
       pg_catalog.current_setting('server_encoding') = 'SQL_ASCII' AS unencoded,
       pg_catalog.current_setting('max_prepared_transactions')::integer AS prepared,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create,
       pg_catalog.current_database()::text AS database,
       (SELECT pg_catalog.pg_has_role(n.nspowner, 'USAGE') FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'syncline') AS owns_schema,
       (SELECT p.prosrc FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname = 'syncline' AND p.proname = 'wake') AS wake

-- name: tables
-- The tables in question with all their partitions and inheritance children.
WITH RECURSIVE member AS (
    SELECT c.oid, c.oid AS root
    FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS w (schema, name)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
    UNION
    SELECT i.inhrelid, m.root FROM member AS m JOIN pg_catalog.pg_inherits AS i ON i.inhparent = m.oid
)
SELECT m.root::bigint AS root, c.oid::bigint AS oid, n.nspname::text AS schema, c.relname::text AS name,
       c.relkind::text AS kind, c.relpersistence::text AS persistence, c.relispartition AS is_partition,
       NOT c.relispartition AND EXISTS (SELECT FROM pg_catalog.pg_inherits AS p WHERE p.inhrelid = c.oid) AS inherits,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned, o.rolname::text AS owner,
       c.relrowsecurity AS row_security, c.relforcerowsecurity AS row_security_forced,
       EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS s WHERE s.srrelid = c.oid) AS subscribed, %(pglogical)s::boolean AS pglogical
FROM member AS m
JOIN pg_catalog.pg_class AS c ON c.oid = m.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles AS o ON o.oid = c.relowner
ORDER BY m.root, m.oid <> m.root, n.nspname, c.relname

-- name: functions
SELECT p.proname::text AS name, p.prosrc AS body, p.prosecdef AS definer, coalesce(p.proconfig, '{}') AS settings,
       CASE p.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END AS volatility,
       ARRAY(SELECT CASE WHEN tn.nspname = 'pg_catalog' THEN t.typname::text
                         ELSE pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.typname) END
             FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, place)
             JOIN pg_catalog.pg_type AS t ON t.oid = a.type
             JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.typnamespace ORDER BY a.place) AS arguments,
       NOT p.prosecdef OR pg_catalog.has_schema_privilege(p.proowner, n.oid, 'USAGE')
           AND coalesce(pg_catalog.has_function_privilege(p.proowner, pg_catalog.to_regprocedure('syncline.wake()'), 'EXECUTE'), true)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c
                           WHERE c.relnamespace = n.oid AND c.relname IN ('outbox', 'block', 'task', 'notice', 'entity')
                             AND NOT (pg_catalog.has_table_privilege(p.proowner, c.oid, 'SELECT')
                                      AND (c.relname = 'entity' OR pg_catalog.has_table_privilege(p.proowner, c.oid, 'INSERT')))) AS may_mark
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = 'syncline' AND p.proname ~ '^(key|capture)_[0-9]+'

-- name: triggers
-- Every trigger that calls one of our functions, the copies on partitions included.
SELECT c.oid::bigint AS oid, tn.nspname::text AS schema, c.relname::text AS table, t.tgname::text AS name,
       p.proname::text AS function, t.tgtype::integer AS type, t.tgoldtable::text AS old_table, t.tgnewtable::text AS new_table,
       t.tgenabled::text AS enabled, t.tgparentid <> 0 AS copy, t.tgqual IS NOT NULL AS conditional, t.tgattr::text <> '' AS some_columns
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = c.relnamespace
WHERE n.nspname = 'syncline'

-- name: view
-- A relation of that name in that schema: is it ours, and may we make one?
SELECT pg_catalog.has_schema_privilege(n.oid, 'CREATE') AS may_create, c.oid IS NOT NULL AS taken,
       coalesce(pg_catalog.obj_description(c.oid, 'pg_class') LIKE 'Syncline:%%', false) AND c.relkind = 'v'
       AND ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum)
           = '{id,event_type,aggregate_type,aggregate_id,payload,created_at,retry_count,last_error,processed,processed_at}' AS ours
FROM pg_catalog.pg_namespace AS n
LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = %(name)s
WHERE n.nspname = %(schema)s

-- name: other_views
-- Every view of ours outside of our schema: it says so, and it shows all that ours shows.
SELECT n.nspname::text AS schema, c.relname::text AS name FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND n.nspname <> 'syncline' AND pg_catalog.obj_description(c.oid, 'pg_class') LIKE 'Syncline:%'
  AND EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_depend AS d
                  ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
              WHERE r.ev_class = c.oid AND d.refobjid = pg_catalog.to_regclass('syncline.changes'))
  AND ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum)
      = '{id,event_type,aggregate_type,aggregate_id,payload,created_at,retry_count,last_error,processed,processed_at}'

-- name: role
SELECT r.rolname::text AS name, r.rolsuper OR r.rolbypassrls AS sees_all, r.rolsuper AS super FROM pg_catalog.pg_roles AS r WHERE r.rolname = %(role)s

-- name: dependants
-- Views outside of our schema that read our tables.
SELECT DISTINCT n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid AND d.classid = 'pg_catalog.pg_rewrite'::regclass
JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS ours ON ours.oid = d.refobjid AND d.refclassid = 'pg_catalog.pg_class'::regclass
JOIN pg_catalog.pg_namespace AS s ON s.oid = ours.relnamespace AND s.nspname = 'syncline'
WHERE n.nspname <> 'syncline' AND coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '') NOT LIKE 'Syncline:%'
ORDER BY 1, 2

-- name: blockers
-- Who holds locks on these tables, longest transaction first. (Reading is in the way of DROP TRIGGER only.) And who has the
-- lock that the transactions of all installations take in turn.
SELECT a.pid, coalesce(a.usename::text, '') AS role, coalesce(a.application_name, '') AS application,
       a.backend_type::text AS kind, coalesce(a.state, '') AS state, a.xact_start AS since, coalesce(l.relation::regclass::text, 'the lock of installations') AS table
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND (l.locktype = 'relation' AND l.relation = ANY(%(tables)s::bigint[])
       OR l.locktype = 'advisory' AND l.classid = 1398361667 AND l.objid = 2 AND l.objsubid = 2)
  AND a.pid <> pg_catalog.pg_backend_pid()
ORDER BY l.mode = 'AccessShareLock', a.xact_start, a.pid LIMIT 3

-- name: meta
SELECT last_entity, package FROM syncline.meta

-- name: path
-- The path that this session has, and the one that was recorded; the column may still be missing.
SELECT array_to_string(ARRAY(SELECT pg_catalog.quote_ident(s) FROM unnest(pg_catalog.current_schemas(false)) AS s), ', ') AS own

-- name: missing_schemas
SELECT s AS name FROM unnest(%(names)s::text[]) AS s WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = s)

-- name: recorded_path
SELECT search_path AS recorded FROM syncline.meta

-- name: grants
-- What the role lacks: on our schema, on our tables, on our sequences, on the synced tables and their schemas.
SELECT NOT pg_catalog.has_schema_privilege(%(role)s, 'syncline', 'USAGE') AS schema,
       EXISTS (SELECT FROM pg_catalog.pg_class AS c
               WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                 AND NOT (pg_catalog.has_table_privilege(%(role)s, c.oid, 'SELECT') AND pg_catalog.has_table_privilege(%(role)s, c.oid, 'INSERT')
                          AND pg_catalog.has_table_privilege(%(role)s, c.oid, 'UPDATE') AND pg_catalog.has_table_privilege(%(role)s, c.oid, 'DELETE')))
       OR EXISTS (SELECT FROM pg_catalog.pg_class AS c
               WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind = 'S'
                 AND NOT (pg_catalog.has_sequence_privilege(%(role)s, c.oid, 'SELECT') AND pg_catalog.has_sequence_privilege(%(role)s, c.oid, 'USAGE')))
       OR NOT pg_catalog.has_function_privilege(%(role)s, 'syncline.rotate_history(interval)', 'EXECUTE') AS own,
       EXISTS (SELECT FROM unnest(%(read)s::text[]) AS t (name)
               WHERE NOT pg_catalog.has_table_privilege(%(role)s, t.name, 'SELECT')) AS reads

-- name: table_grants
SELECT n.nspname::text AS schema, c.relname::text AS name,
       NOT pg_catalog.has_schema_privilege(%(role)s, n.oid, 'USAGE') AS usage,
       NOT pg_catalog.has_table_privilege(%(role)s, c.oid, 'SELECT') AS read
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY(%(tables)s::bigint[])
ORDER BY 1, 2

-- name: granted
-- Grants of ours whose role and object are still there. (No such table: an installation that was never migrated.)
-- `heir`: the schema of another link, for which the same role works; `may_note`: whether we may tell it of the grant.
SELECT g.role, g.schema, g.name, h.schema AS heir, h.may_note
FROM syncline.granted AS g
JOIN pg_catalog.pg_roles AS r ON r.rolname = g.role
JOIN pg_catalog.pg_namespace AS n ON n.nspname = g.schema
LEFT JOIN LATERAL (
    SELECT o.nspname::text AS schema,
           pg_catalog.has_schema_privilege(o.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'INSERT') AS may_note
    FROM pg_catalog.pg_namespace AS o
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = o.oid AND c.relname = 'granted' AND c.relkind = 'r'
    WHERE o.nspname ~ '^syncline(_|$)' AND o.nspname <> 'syncline' AND pg_catalog.has_schema_privilege(r.oid, o.oid, 'USAGE')
    ORDER BY may_note DESC, 1 LIMIT 1
) AS h ON NOT r.rolsuper
WHERE g.name = '' OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid AND c.relname = g.name)
ORDER BY g.name = '', 1, 2, 3

-- name: remembers_grants
SELECT to_regclass('syncline.granted') IS NOT NULL AS yes
