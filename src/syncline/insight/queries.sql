-- What operators ask: one set of statements for the command, the page, the probes and the metrics.
-- Each is fast with a million rows in history and outbox. Parameters are psycopg's; `psql` reads the rest as it stands.

-- name: server
SELECT current_setting('server_version') AS server_version, pg_catalog.pg_is_in_recovery() AS standby

-- name: measures
-- What waits until its table is copied is no part of the queue: it is counted apart.
SELECT queue_size() AS queue_size, lag_seconds() AS lag_seconds,
       (SELECT coalesce(sum(changes), 0)::bigint FROM syncline.parked) AS failed_events,
       (SELECT count(*) FROM syncline.deferred)
           + (SELECT count(*) FROM syncline.outbox WHERE hint = 'G')
           + (SELECT coalesce(sum(size), 0)::bigint FROM syncline.block WHERE hint = 'G') AS deferred_deletes,
       CASE WHEN EXISTS (being_copied())
            THEN (SELECT count(*) FROM syncline.waiting AS o WHERE o.hint <> 'G' AND o.entity IN (being_copied()))
            ELSE 0 END AS held_by_copy

-- name: tasks
SELECT t.id, t.kind, coalesce(e.name, t.entity::text) AS entity, t.reason, t.progress, t.created_at,
       coalesce(t.claimed_until > clock_timestamp(), false) AS running
FROM syncline.task AS t LEFT JOIN syncline.entity AS e ON e.id = t.entity
ORDER BY t.id LIMIT 100

-- name: lane_counts
SELECT count(*) AS total, count(w.id) AS owned
FROM syncline.lane AS l
LEFT JOIN syncline.worker AS w ON w.id = l.owner AND w.expires_at > clock_timestamp()

-- name: workers
-- One that waits for a target which does not answer renews late, and is alive all the same.
SELECT w.id::text AS id, w.name, w.version, w.started_at,
       w.expires_at > clock_timestamp() - interval '5 seconds' AS alive,
       (SELECT count(*) FROM syncline.lane AS l WHERE l.owner = w.id) AS lanes, w.report
FROM syncline.worker AS w
ORDER BY alive DESC, w.started_at LIMIT 100

-- name: notices
-- What is not resolved, the gravest first, and what was within the last day.
SELECT id, at, name, entity, severity, message, resolved_at IS NOT NULL AS resolved
FROM syncline.notice
WHERE resolved_at IS NULL OR resolved_at > clock_timestamp() - interval '1 day'
ORDER BY resolved_at IS NOT NULL, CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, id DESC LIMIT 50

-- name: certificates
-- The newest proof of each entity (a slow pass may end after a quick one that began later), and how many there were. One of the
-- future was made before the clock was set back: it hides no other.
SELECT e.name AS entity, c.as_of, c.finished_at, c.records, c.verdict, c.report -> 'divergent' AS divergent,
       n.passes, n.equal_passes
FROM syncline.entity AS e
CROSS JOIN LATERAL (SELECT as_of, finished_at, records, verdict, report FROM syncline.certificate
                    WHERE entity = e.id ORDER BY as_of > clock_timestamp(), as_of DESC, id DESC LIMIT 1) AS c
CROSS JOIN LATERAL (SELECT count(*) AS passes, count(*) FILTER (WHERE verdict = 'equal') AS equal_passes
                    FROM syncline.certificate WHERE entity = e.id) AS n
ORDER BY e.name

-- name: verifying
-- Full passes under way, and how far they have come.
SELECT e.name AS entity, v.origin, v.started_at, coalesce((v.state ->> 'records')::bigint, 0) AS records,
       coalesce(v.claimed_until > clock_timestamp(), false) AS running
FROM syncline.verification AS v JOIN syncline.entity AS e ON e.id = v.entity
ORDER BY v.id LIMIT 100

-- name: unarmed
-- Entities that an installation has begun with: not served yet.
SELECT name FROM syncline.entity WHERE state = 'pending' ORDER BY name

-- name: entities
SELECT id, name, source_table, collection, key_columns, key_types, capture, definition FROM syncline.entity ORDER BY name

-- name: pending
SELECT seq, at, hint::text AS hint, syncline.event_name(%(name)s, hint, event_type) AS event_type, tx::text AS tx
FROM syncline.waiting
WHERE entity = %(entity)s AND lane = syncline.lane_of(%(entity)s::smallint, %(key)s) AND key = %(key)s
ORDER BY seq LIMIT 100

-- name: deferred
SELECT due FROM syncline.deferred
WHERE entity = %(entity)s AND lane = syncline.lane_of(%(entity)s::smallint, %(key)s) AND key = %(key)s
ORDER BY due LIMIT 10

-- name: tasks_of_entity
SELECT DISTINCT ON (kind) kind, reason, progress, created_at, coalesce(claimed_until > clock_timestamp(), false) AS running
FROM syncline.task WHERE entity = %(entity)s ORDER BY kind, id

-- name: parked_entry
SELECT code, error, retry_count, changes, created_at, parked_at, tried_at
FROM syncline.parked WHERE entity = %(entity)s AND md5(key) = md5(%(key)s) AND key = %(key)s

-- name: newest_events
SELECT seq, created_at, processed_at, syncline.event_name(%(name)s, hint, event_type) AS event_type
FROM (SELECT * FROM syncline.history WHERE key = %(key)s AND entity = %(entity)s AND octet_length(key) <= 2000
      UNION ALL
      SELECT * FROM syncline.history WHERE key = %(key)s AND entity = %(entity)s AND octet_length(key) > 2000) AS h
ORDER BY created_at DESC LIMIT %(limit)s

-- name: lane_of_key
SELECT l.lane, l.epoch, w.name AS owner
FROM syncline.lane AS l
LEFT JOIN syncline.worker AS w ON w.id = l.owner AND w.expires_at > clock_timestamp()
WHERE l.lane = syncline.lane_of(%(entity)s::smallint, %(key)s)

-- name: parked
SELECT p.id, e.name AS entity, p.key, p.code, p.error, p.changes, p.retry_count, p.created_at, p.parked_at, p.tried_at
FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity
WHERE (%(entity)s::text IS NULL OR e.name = %(entity)s) AND p.id > %(after)s
ORDER BY p.id LIMIT %(limit)s

-- name: parked_total
SELECT count(*), coalesce(sum(p.changes), 0)::bigint
FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity
WHERE %(entity)s::text IS NULL OR e.name = %(entity)s

-- name: retry_parked
-- A new mark: the worker tries the record once more, and clears the entry when it succeeds.
SELECT coalesce(sum(syncline.mark(grouped.entity, grouped.keys, 'R')), 0)::bigint
FROM (
    SELECT p.entity, array_agg(p.key ORDER BY p.id) AS keys
    FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity
    WHERE (%(entity)s::text IS NULL OR e.name = %(entity)s)
      AND (%(keys)s::text[] IS NULL OR p.key = ANY(%(keys)s::text[]))
    GROUP BY p.entity
) AS grouped

-- name: discard_parked
-- The entries go; a notice stays as their trace.
WITH gone AS (
    DELETE FROM syncline.parked AS p USING syncline.entity AS e
    WHERE e.id = p.entity AND (%(entity)s::text IS NULL OR e.name = %(entity)s)
      AND (%(keys)s::text[] IS NULL OR p.key = ANY(%(keys)s::text[]))
    RETURNING e.name AS entity, p.key, p.changes, p.code, p.id
), trace AS (
    INSERT INTO syncline.notice (name, severity, message, resolved_at)
    SELECT 'ParkedDiscarded', 'info',
           format('%%s discarded %%s parked records of %%s: %%s', session_user, count(*), entity,
                  left(string_agg(format('%%s (%%s)', key, code), ', ' ORDER BY id), 2000)),
           clock_timestamp()
    FROM gone GROUP BY entity
)
SELECT count(*) FROM gone

-- name: notices_all
SELECT id, at, name, entity, severity, message, resolved_at
FROM syncline.notice
WHERE %(closed)s OR resolved_at IS NULL
ORDER BY id DESC LIMIT %(limit)s

-- name: resolve_notices
UPDATE syncline.notice SET resolved_at = clock_timestamp()
WHERE resolved_at IS NULL AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s::bigint[]))
RETURNING id

-- name: clock
SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8

-- name: oldest_transactions
-- Whatever holds back the removal of dead rows, in every database of the server.
SELECT kind, what, where_, seconds, fix FROM (
    SELECT 'transaction' AS kind, format('process %%s (%%s, %%s)', pid, coalesce(usename, '?'), coalesce(application_name, '')) AS what,
           coalesce(datname, '') AS where_, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds,
           format('SELECT pg_terminate_backend(%%s);', pid) AS fix
    FROM pg_catalog.pg_stat_activity
    WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
      AND backend_type <> 'autovacuum worker'
    UNION ALL
    SELECT 'prepared transaction', format('%%L of %%s', gid, owner), database, extract(epoch FROM clock_timestamp() - prepared)::float8,
           format('ROLLBACK PREPARED %%L;  -- in database %%s', gid, database)
    FROM pg_catalog.pg_prepared_xacts
) AS holders
ORDER BY seconds DESC LIMIT 5

-- name: replication_slots
SELECT slot_name, active, wal_status, coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn), 0)::bigint AS retained_bytes,
       coalesce(age(xmin), 0) AS xmin_age
FROM pg_catalog.pg_replication_slots
WHERE NOT active OR age(xmin) > 1000000
ORDER BY retained_bytes DESC LIMIT 10

-- name: hidden_sessions
SELECT NOT (pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'MEMBER')) AS hidden

-- name: asynchronous_commits
SELECT CASE WHEN setrole = 0 AND setdatabase = 0 THEN 'all roles'
            WHEN setrole = 0 THEN format('database %%I', d.datname)
            WHEN setdatabase = 0 THEN format('role %%I', r.rolname)
            ELSE format('role %%I in database %%I', r.rolname, d.datname) END AS who,
       CASE WHEN setrole = 0 THEN format('ALTER DATABASE %%I RESET synchronous_commit;', d.datname)
            WHEN setdatabase = 0 THEN format('ALTER ROLE %%I RESET synchronous_commit;', r.rolname)
            ELSE format('ALTER ROLE %%I IN DATABASE %%I RESET synchronous_commit;', r.rolname, d.datname) END AS fix
FROM pg_catalog.pg_db_role_setting AS s
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
LEFT JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
  AND EXISTS (SELECT FROM unnest(s.setconfig) AS c WHERE lower(c) IN ('synchronous_commit=off', 'synchronous_commit=false', 'synchronous_commit=0', 'synchronous_commit=no'))
UNION ALL
SELECT 'the whole server', 'ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf();'
FROM pg_catalog.pg_settings AS s
WHERE s.name = 'synchronous_commit' AND s.reset_val = 'off' AND NOT EXISTS (
    -- What this session would fall back to may be its role's or its database's setting.
    SELECT FROM pg_catalog.pg_db_role_setting AS own, unnest(own.setconfig) AS c
    WHERE own.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
      AND own.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
      AND lower(c) LIKE 'synchronous_commit=%%')

-- name: unsafe_settings
SELECT name FROM pg_catalog.pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off' ORDER BY 1

-- name: indexes_over
-- Is there, for each table with some columns, an index that finds rows by these, whatever follows them in it?
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_index AS i
    WHERE i.indrelid = (w.one ->> 'table')::bigint AND i.indisvalid AND i.indpred IS NULL
      AND jsonb_array_length(w.one -> 'columns') = (
          SELECT count(*) FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
          JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
          WHERE k.place <= jsonb_array_length(w.one -> 'columns') AND w.one -> 'columns' ? a.attname::text)) AS found
FROM jsonb_array_elements(%(wanted)s) WITH ORDINALITY AS w (one, place)
ORDER BY w.place

-- name: package
SELECT package FROM syncline.meta

-- name: prepared_allowed
SELECT setting::int AS allowed,
       coalesce((SELECT prosrc LIKE '%%pg_notify%%' AND prosrc NOT LIKE '%%max_prepared_transactions%%' FROM pg_catalog.pg_proc
                 WHERE pronamespace = to_regnamespace('syncline') AND proname = 'wake'), false) AS wakes
FROM pg_catalog.pg_settings WHERE name = 'max_prepared_transactions'

-- name: lacking_privileges
-- What the role of this connection may not do and a worker must.
SELECT format('%%s on %%s', privilege, object) AS lacks, format('GRANT %%s ON %%s TO %%I;', privilege, object, current_user) AS fix
FROM (
    SELECT 'SELECT' AS privilege, t::regclass::text AS object, t
    FROM unnest(%(tables)s::oid[]) AS t
    UNION ALL
    SELECT p.privilege, format('syncline.%%I', c.relname), c.oid
    FROM pg_catalog.pg_class AS c
    JOIN (VALUES ('outbox', 'SELECT'), ('outbox', 'INSERT'), ('outbox', 'DELETE'), ('block', 'SELECT'), ('block', 'INSERT'),
                 ('block', 'UPDATE'), ('block', 'DELETE'), ('waiting', 'SELECT'), ('deferred', 'SELECT'), ('deferred', 'INSERT'),
                 ('deferred', 'DELETE'), ('parked', 'SELECT'), ('parked', 'INSERT'), ('parked', 'UPDATE'), ('parked', 'DELETE'),
                 ('history', 'SELECT'), ('history', 'INSERT'), ('lane', 'SELECT'), ('lane', 'UPDATE'), ('worker', 'SELECT'),
                 ('worker', 'INSERT'), ('worker', 'UPDATE'), ('worker', 'DELETE'), ('meta', 'SELECT'), ('meta', 'UPDATE'),
                 ('task', 'SELECT'), ('task', 'INSERT'), ('task', 'UPDATE'), ('task', 'DELETE'), ('notice', 'SELECT'),
                 ('notice', 'INSERT'), ('entity', 'SELECT')) AS p (name, privilege) ON p.name = c.relname
    WHERE c.relnamespace = to_regnamespace('syncline')
) AS wanted
WHERE NOT pg_catalog.has_table_privilege(t, privilege)
ORDER BY 1

-- name: filtered_tables
-- Row security would hide rows from this role: they would look deleted.
SELECT t::regclass::text AS name FROM unnest(%(tables)s::oid[]) AS t WHERE pg_catalog.row_security_active(t) ORDER BY 1

-- name: capture_triggers
-- Each watched table and partition with what its triggers of ours see; 4 insert, 8 delete, 16 update, 32 truncate.
SELECT r.relid::regclass::text AS name, w.root AS root, r.isleaf AS leaf, r.level > 0 AS partition,
       coalesce(bit_or(g.tgtype) FILTER (WHERE g.tgenabled = 'A'), 0)::int AS events,
       coalesce(array_agg(g.tgname::text) FILTER (WHERE g.tgenabled <> 'A' AND NOT (g.tgenabled = 'R' AND %(pglogical)s::boolean)), '{}') AS asleep
FROM unnest(%(tables)s::oid[]) AS w (root)
CROSS JOIN LATERAL (SELECT relid, isleaf, level FROM pg_catalog.pg_partition_tree(w.root)
                    UNION ALL SELECT w.root, true, 0 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree(w.root))) AS r
LEFT JOIN (pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_proc AS p ON p.oid = g.tgfoid AND p.pronamespace = to_regnamespace('syncline'))
    ON g.tgrelid = r.relid
GROUP BY 1, 2, 3, 4 ORDER BY 1

-- name: own_tables
SELECT relname AS name, n_live_tup AS live, n_dead_tup AS dead, pg_catalog.pg_total_relation_size(relid) AS bytes,
       last_autovacuum, last_vacuum
FROM pg_catalog.pg_stat_user_tables WHERE schemaname = 'syncline' AND relname IN ('outbox', 'block', 'deferred', 'parked', 'task', 'lane', 'worker', 'meta')

-- name: autovacuum_off
SELECT NOT current_setting('autovacuum')::boolean AS server, ARRAY(
    SELECT c.relname::text FROM pg_catalog.pg_class AS c, unnest(c.reloptions) AS o
    WHERE c.oid IN (to_regclass('syncline.outbox'), to_regclass('syncline.block'))
      AND o IN ('autovacuum_enabled=false', 'autovacuum_enabled=off')
    ORDER BY c.relname DESC) AS of_tables

-- name: overdue_deletes
SELECT count(*) AS overdue FROM (SELECT FROM syncline.deferred WHERE due < clock_timestamp() - interval '5 minutes' LIMIT 1000) AS few

-- name: foreign_keys
SELECT cn.nspname AS child_schema, c.relname AS child, pn.nspname AS parent_schema, p.relname AS parent,
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY AS k (num, n)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = k.num) AS columns,
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.confkey) WITH ORDINALITY AS k (num, n)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = f.confrelid AND a.attnum = k.num) AS refers_to
FROM pg_catalog.pg_constraint AS f
JOIN pg_catalog.pg_class AS c ON c.oid = f.conrelid JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.relnamespace
JOIN pg_catalog.pg_class AS p ON p.oid = f.confrelid JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
WHERE f.contype = 'f' AND f.conparentid = 0 AND NOT is_ours(cn)
ORDER BY 3, 4, 1, 2, f.conname

-- name: extension_tables
-- Tables and views that CREATE EXTENSION made: they come and go with it.
SELECT n.nspname::text AS schema, c.relname::text AS name, e.extname::text AS extension
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
JOIN pg_catalog.pg_class AS c ON c.oid = d.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
