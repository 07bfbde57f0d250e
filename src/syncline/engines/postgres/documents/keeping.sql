-- What a document link keeps beside the versions of keys: which MongoDB is its source, who works, what was rejected.

-- name: link
-- With the cluster, and the database in it: a copy has the same id.
SELECT number, source, id::text AS id,
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) || '/'
       || (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AS system
FROM syncline_documents.link

-- name: beats
SELECT beat_there, beat_here FROM syncline_documents.link

-- name: advance
-- What MongoDB's counter has come to, and our own.
UPDATE syncline_documents.link
SET beat_there = greatest(beat_there, %(there)s), beat_here = greatest(beat_here, %(here)s) + 1
RETURNING beat_there, beat_here

-- name: forget_proofs
-- What was proved of what was there before a restore.
DELETE FROM syncline_documents.certificate

-- name: there
SELECT pg_catalog.to_regclass('syncline_documents.link') IS NOT NULL AS link,
       pg_catalog.to_regclass('syncline_documents.key_version') IS NOT NULL AS key_version,
       pg_catalog.to_regclass('syncline_documents.mapping') IS NOT NULL AS mapping

-- name: owner
-- Of an older version, too, which lacks columns.
SELECT to_jsonb(l) ->> 'source' AS source, to_jsonb(l) ->> 'id' AS id,
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) || '/'
       || (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AS system
FROM syncline_documents.link AS l

-- name: declare
-- Not marked yet: an installation that is cut off before goes on there.
INSERT INTO syncline_documents.mapping (collection, fingerprint, marked) VALUES (%(collection)s, %(fingerprint)s, false)
ON CONFLICT DO NOTHING

-- name: source
UPDATE syncline_documents.link SET source = %(source)s

-- name: declared
-- Of an older version, too.
SELECT collection, fingerprint, coalesce((to_jsonb(m) ->> 'marked')::boolean, true) AS marked
FROM syncline_documents.mapping AS m

-- name: has_rows
SELECT EXISTS (SELECT FROM syncline_documents.key_version WHERE NOT deleted)

-- name: beat
INSERT INTO syncline_documents.worker (id, name, version, report)
VALUES (%(id)s, %(name)s, %(version)s, %(report)s)
ON CONFLICT (id) DO UPDATE SET seen_at = now(), report = excluded.report

-- name: gone
DELETE FROM syncline_documents.worker WHERE id = %(id)s OR seen_at < now() - interval '1 hour'

-- name: workers
SELECT id, name, version, started_at, seen_at > now() - make_interval(secs => %(silence)s) AS alive, report
FROM syncline_documents.worker ORDER BY started_at, id

-- name: rejected
-- Not what was written since: an older attempt may have been noted after it.
SELECT r.collection, r.mongo_id, r.mark, r.reason, r.attempts, r.first_at, r.last_at,
       r.next_at = 'infinity' AS given_up
FROM syncline_documents.rejected AS r
WHERE (%(collection)s::text IS NULL OR r.collection = %(collection)s) AND NOT EXISTS (
    SELECT FROM syncline_documents.key_version AS k
    WHERE k.collection = r.collection AND k.mongo_id = r.key AND k.version >= r.version
)
ORDER BY first_at, collection, mongo_id LIMIT %(limit)s

-- name: count_rejected
SELECT count(*) FROM syncline_documents.rejected AS r
WHERE (%(collection)s::text IS NULL OR r.collection = %(collection)s) AND NOT EXISTS (
    SELECT FROM syncline_documents.key_version AS k
    WHERE k.collection = r.collection AND k.mongo_id = r.key AND k.version >= r.version
)

-- name: marks_rejected
SELECT s.collection, array_agg(s.mark) AS marks, array_agg(s.mongo_id) AS ids
FROM (
    SELECT r.collection, r.mark, r.mongo_id FROM syncline_documents.rejected AS r
    WHERE NOT EXISTS (
        SELECT FROM syncline_documents.key_version AS k
        WHERE k.collection = r.collection AND k.mongo_id = r.key AND k.version >= r.version
    )
    LIMIT 10000
) AS s
GROUP BY s.collection

-- name: ask
UPDATE syncline_documents.rejected SET next_at = now()
WHERE (%(collection)s::text IS NULL OR collection = %(collection)s)
  AND (%(ids)s::text[] IS NULL OR mongo_id = ANY(%(ids)s::text[]))

-- name: forget_now
-- One worker in an hour has the task of forgetting deleted keys, and failures that were settled long ago.
UPDATE syncline_documents.link SET forgotten_at = now()
WHERE forgotten_at < now() - make_interval(secs => %(pause)s)
  AND (EXISTS (SELECT FROM syncline_documents.key_version WHERE deleted)
       OR EXISTS (SELECT FROM syncline_documents.settled_failure WHERE settled_at < now() - interval '90 days'))
RETURNING number

-- name: tables
SELECT c.relname::text AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'syncline_documents' AND c.relkind IN ('r', 'p')
ORDER BY c.relname

-- name: drop
DROP SCHEMA IF EXISTS syncline_documents CASCADE

-- name: about
SELECT current_setting('server_version') AS version, pg_catalog.pg_is_in_recovery() AS standby,
       extract(epoch FROM pg_catalog.clock_timestamp())::float8 AS clock,
       (SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()) AS tls

-- name: lacking
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE (n.nspname = 'syncline_documents'
       OR (n.nspname::text, c.relname::text) IN (SELECT * FROM unnest(%(schemas)s::text[], %(names)s::text[])))
  AND c.relkind IN ('r', 'p')
  AND (SELECT count(*) FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p (privilege)
       WHERE pg_catalog.has_table_privilege(c.oid, p.privilege)) < 4
ORDER BY 1

-- name: forget_settled
DELETE FROM syncline_documents.settled_failure WHERE settled_at < now() - interval '90 days'
