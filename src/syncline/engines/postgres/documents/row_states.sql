-- What a row says of the way back while PostgreSQL is the truth, as templates: {table} and {key} are composed.

-- name: patience
SELECT pg_catalog.set_config('lock_timeout', %s, true)

-- name: schema
CREATE SCHEMA IF NOT EXISTS syncline_documents

-- name: function
-- When MongoDB got the row last stays as it is: what is written now it has not got.
CREATE OR REPLACE FUNCTION syncline_documents.pending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.sync_status := 'PENDING';
    NEW.sync_error := NULL;
    NEW.last_sync_at := OLD.last_sync_at;
    RETURN NEW;
END $$

-- name: trigger
-- Of an application's writes: the link's own, in both directions, say what they are.
CREATE OR REPLACE TRIGGER syncline_pending BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW
    WHEN (pg_catalog.current_setting('syncline.link', true) IS DISTINCT FROM 'documents')
    EXECUTE FUNCTION syncline_documents.pending()

-- name: drop
DROP TRIGGER IF EXISTS syncline_pending ON {table}

-- name: guarded
-- Whether there is such a table, and whether it has the trigger.
SELECT o.oid IS NOT NULL, EXISTS (
    SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = o.oid AND t.tgname = 'syncline_pending')
FROM (SELECT pg_catalog.to_regclass(%(table)s)::oid) AS o (oid)

-- name: unsettled
SELECT {key}::text FROM {table} AS t
WHERE sync_status <> 'SYNCED' AND (%(after)s::text IS NULL OR {key} > %(after)s::text::{type})
ORDER BY {key} LIMIT %(limit)s

-- name: enter
-- The way back has no mark of what is written here, and the gate is passed whoever serves: no value of a document changes.
SELECT pg_catalog.set_config('syncline.link', 'documents', true),
       pg_catalog.set_config('syncline.passed', %(gate)s, true)

-- name: lock
-- Nobody is waited for. Who writes a row now says PENDING, and is acknowledged later.
SELECT {key}::text FROM {table} AS t WHERE {key} = ANY(%(keys)s::text[]::{type}[])
FOR NO KEY UPDATE SKIP LOCKED

-- name: there
SELECT {key}::text FROM {table} AS t WHERE {key} = ANY(%(keys)s::text[]::{type}[])

-- name: settle
-- In a statement after the locks: whatever was written before is seen with its marks, what comes after them waits. A row
-- whose document was rejected on the way forward says so until it is written.
UPDATE {table} AS t
SET sync_status = s.state, sync_error = s.error,
    last_sync_at = CASE WHEN s.state = 'SYNCED' THEN pg_catalog.clock_timestamp() ELSE t.last_sync_at END
FROM (
    SELECT q.key, q.error,
           CASE WHEN q.error IS NULL THEN 'SYNCED' WHEN q.waits THEN 'PENDING' ELSE 'FAILED' END AS state, q.waits
    FROM (
        SELECT u.key, p.error, EXISTS (
                   SELECT FROM syncline.waiting AS o
                   WHERE o.entity = e.id AND o.lane = syncline.lane_of(e.id, u.key) AND o.key = u.key AND o.hint <> 'G'
               ) AS waits
        FROM unnest(%(keys)s::text[]) AS u (key)
        JOIN syncline.entity AS e ON e.name = %(collection)s
        LEFT JOIN syncline.parked AS p ON p.entity = e.id AND md5(p.key) = md5(u.key) AND p.key = u.key
        WHERE NOT EXISTS (SELECT FROM syncline_documents.rejected AS r
                          WHERE r.collection = %(collection)s AND r.key = u.key)
    ) AS q
) AS s
WHERE {key} = s.key::{type} AND (s.error IS NOT NULL OR NOT s.waits)
  AND (t.sync_status, t.sync_error) IS DISTINCT FROM (s.state, s.error)

-- name: forget
-- Nobody goes back any more, and what is rejected on the way forward says so.
UPDATE {table} AS t SET sync_status = 'SYNCED', sync_error = NULL WHERE {key} = ANY(%(keys)s::text[]::{type}[])
  AND t.sync_status <> 'SYNCED' AND NOT EXISTS (SELECT FROM syncline_documents.rejected AS r
                                                WHERE r.collection = %(collection)s AND r.key = {key}::text)
