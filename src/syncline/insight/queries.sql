-- What operators ask: one set of statements for the command, the page, the probes and the metrics.
-- Each is fast with a million rows in history and outbox. Parameters are psycopg's; `psql` reads the rest as it stands.

-- name: server
SELECT current_setting('server_version'), pg_catalog.pg_is_in_recovery()

-- name: measures
-- Queue size and lag leave out the second deletes (hint G) and what is parked.
SELECT (SELECT count(*) FROM syncline.outbox WHERE hint <> 'G') AS queue_size,
       coalesce(extract(epoch FROM clock_timestamp() - least(
           (SELECT at FROM syncline.outbox WHERE hint <> 'G' ORDER BY seq LIMIT 1),
           (SELECT min(created_at) FROM syncline.task WHERE reason = 'truncate'))), 0)::float8 AS lag_seconds,
       (SELECT coalesce(sum(changes), 0)::bigint FROM syncline.parked) AS failed_events,
       (SELECT count(*) FROM syncline.deferred)
           + (SELECT count(*) FROM syncline.outbox WHERE hint = 'G') AS deferred_deletes

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
SELECT w.id::text AS id, w.name, w.version, w.started_at, w.expires_at > clock_timestamp() AS alive,
       (SELECT count(*) FROM syncline.lane AS l WHERE l.owner = w.id) AS lanes, w.report
FROM syncline.worker AS w
ORDER BY alive DESC, w.started_at LIMIT 100

-- name: notices
-- What is not resolved, and what was within the last day.
SELECT id, at, name, severity, message, resolved_at IS NOT NULL AS resolved
FROM syncline.notice
WHERE resolved_at IS NULL OR resolved_at > clock_timestamp() - interval '1 day'
ORDER BY resolved_at IS NOT NULL, id DESC LIMIT 50

-- name: certificates
-- The newest of each entity.
SELECT e.name AS entity, c.as_of, c.finished_at, c.records, c.verdict
FROM syncline.entity AS e
CROSS JOIN LATERAL (SELECT as_of, finished_at, records, verdict FROM syncline.certificate
                    WHERE entity = e.id ORDER BY id DESC LIMIT 1) AS c
ORDER BY e.name

-- name: entities
SELECT id, name, source_table, collection, key_columns, key_types, capture, definition FROM syncline.entity ORDER BY name

-- name: pending
SELECT seq, at, hint::text AS hint, syncline.event_name(%(name)s, hint, event_type) AS event_type, tx::text AS tx
FROM syncline.outbox
WHERE entity = %(entity)s AND lane = syncline.lane_of(%(entity)s::smallint, %(key)s) AND key = %(key)s
ORDER BY seq LIMIT 100

-- name: deferred
SELECT due FROM syncline.deferred
WHERE entity = %(entity)s AND lane = syncline.lane_of(%(entity)s::smallint, %(key)s) AND key = %(key)s
ORDER BY due LIMIT 10

-- name: parked_entry
SELECT code, error, retry_count, changes, created_at, parked_at, tried_at
FROM syncline.parked WHERE entity = %(entity)s AND md5(key) = md5(%(key)s) AND key = %(key)s

-- name: newest_events
SELECT seq, created_at, processed_at, syncline.event_name(%(name)s, hint, event_type) AS event_type
FROM syncline.history WHERE key = %(key)s AND entity = %(entity)s
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
SELECT coalesce(sum(syncline.mark(some.entity, some.keys, 'R')), 0)::bigint
FROM (
    SELECT p.entity, array_agg(p.key ORDER BY p.id) AS keys
    FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity
    WHERE (%(entity)s::text IS NULL OR e.name = %(entity)s)
      AND (%(keys)s::text[] IS NULL OR p.key = ANY(%(keys)s::text[]))
    GROUP BY p.entity
) AS some

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
