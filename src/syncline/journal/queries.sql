-- The statements of the relay, as named blocks. Parameters are psycopg's; `psql` reads the rest as it stands.

-- name: identity
-- Who this server is. A worker that reconnects to another answer drops everything that it holds.
SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) || '/' || (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database()) AS system,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'standby' ELSE left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8) END AS timeline,
       pg_catalog.pg_postmaster_start_time()::text AS started,
       pg_catalog.pg_is_in_recovery() AS standby

-- name: installation
SELECT schema_version, package, installation::text AS installation, epoch, beat, confirmed_beat FROM syncline.meta

-- name: nonces
SELECT nonces FROM syncline.meta

-- name: read_marks
-- Marks of a table that is being copied wait: a row that was read for the copy may be older than what they stand for.
-- A block comes whole, in the place of its last key: as many of them as have so many keys, and no more than `blocks`.
SELECT seq, lane, entity, key, hint::text, durable, keys
FROM (
    (SELECT seq, lane, entity, key, hint, durable, NULL::text[] AS keys
     FROM syncline.outbox
     WHERE seq > %(after)s AND (1::bigint << lane) & %(lanes)s <> 0 AND entity <> ALL(%(except)s::smallint[])
       AND no_copy_holds()
     ORDER BY seq
     LIMIT %(limit)s)
    UNION ALL
    SELECT b.seq, b.lane, b.entity, NULL, b.hint, b.durable, b.keys
    FROM (
        SELECT w.*, sum(w.size) OVER (ORDER BY w.seq ROWS UNBOUNDED PRECEDING) - w.size AS before
        FROM (SELECT seq, lane, entity, hint, durable, size, keys
              FROM syncline.block
              WHERE seq > %(after)s AND (1::bigint << lane) & %(lanes)s <> 0 AND entity <> ALL(%(except)s::smallint[])
                AND no_copy_holds()
              ORDER BY seq
              LIMIT %(blocks)s) AS w
    ) AS b
    WHERE b.before < %(limit)s
) AS m
ORDER BY seq

-- name: drawn
-- The floor, step 1: every mark up to here has been drawn by a transaction that had its id already (tx precedes seq). Where somebody
-- has given the sequence a cache, sessions have numbers for transactions to come, and nothing is said.
SELECT CASE WHEN s.is_called AND d.seqcache = 1 THEN s.last_value ELSE 0 END
FROM syncline.outbox_seq_seq AS s JOIN pg_catalog.pg_sequence AS d ON d.seqrelid = s.tableoid

-- name: next_transaction
-- Step 2, a statement of its own: an id above those transactions' ids. (A snapshot's xmax would not be: it is the latest
-- *completed* id plus one, and running transactions may stand above it.)
SELECT pg_catalog.pg_current_xact_id()::text::bigint

-- name: oldest_transaction
-- Step 3: when this has reached step 2's id, every mark up to step 1's is visible or was rolled back.
SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::bigint

-- name: flushed
SELECT pg_catalog.pg_current_wal_flush_lsn() >= %(lsn)s::pg_lsn

-- name: insert_position
SELECT pg_catalog.pg_current_wal_insert_lsn()::text

-- name: mark
-- Whoever marks calls this function, but for the triggers, for which a call is too dear.
SELECT syncline.mark(%(entity)s::smallint, %(keys)s::text[], %(hint)s::"char")

-- name: deferred_due
-- statement_timestamp() is stable, so that the index is searched for it; clock_timestamp() would have the whole index read.
SELECT EXISTS (SELECT FROM syncline.deferred WHERE due <= statement_timestamp())

-- name: wake_lock_held
SELECT (SELECT pid FROM pg_catalog.pg_locks
        WHERE locktype = 'advisory' AND classid = 1398361667 AND objid = 1 AND objsubid = 2 AND mode = 'ExclusiveLock' AND granted
          AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))

-- name: promote_deferred
WITH due AS (
    DELETE FROM syncline.deferred
    WHERE id IN (SELECT id FROM syncline.deferred WHERE due <= statement_timestamp() ORDER BY due LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    RETURNING entity, key
)
SELECT coalesce(sum(syncline.mark(g.entity, g.keys, 'G')), 0)::bigint FROM (SELECT entity, array_agg(key) AS keys FROM due GROUP BY entity) AS g

-- name: renew
-- A nonce is drawn when the newest one is known to stand in the target (seen): so it is never more than a few behind,
-- however long the target is away.
WITH beat AS (
    UPDATE syncline.meta
    SET beat = beat + 1, confirmed_beat = greatest(confirmed_beat, %(confirmed)s),
        nonces = CASE WHEN nonces = '{}' OR nonces[1] = %(seen)s THEN (gen_random_uuid()::text || nonces)[1:16] ELSE nonces END
    RETURNING beat, confirmed_beat, installation::text AS installation, epoch, nonces, contested, schema_version
), me AS (
    INSERT INTO syncline.worker AS w (id, name, version, expires_at, report)
    VALUES (%(worker)s, %(name)s, %(version)s, clock_timestamp() + %(ttl)s, %(report)s)
    ON CONFLICT (id) DO UPDATE SET expires_at = clock_timestamp() + %(ttl)s, report = excluded.report
)
SELECT beat, confirmed_beat, installation, epoch, nonces, contested, schema_version FROM beat

-- name: contested
SELECT contested FROM syncline.meta

-- name: contest
UPDATE syncline.meta SET contested = %(who)s

-- name: adopt
UPDATE syncline.meta
SET beat = greatest(beat, %(count)s) + 1, epoch = greatest(epoch, %(above)s) + 1, contested = NULL,
    nonces = (gen_random_uuid()::text || nonces)[1:16]
RETURNING beat, installation::text, nonces[1]

-- name: settle
UPDATE syncline.notice SET resolved_at = clock_timestamp() WHERE name = %(name)s AND resolved_at IS NULL

-- name: lanes
SELECT l.lane, l.owner::text AS owner, l.epoch, l.confirmed, w.id IS NULL AS free
FROM syncline.lane AS l
LEFT JOIN syncline.worker AS w ON w.id = l.owner AND w.expires_at > clock_timestamp()

-- name: live_workers
SELECT id::text FROM syncline.worker WHERE expires_at > clock_timestamp() ORDER BY id

-- name: call_resting
-- The lease of a worker at rest is long; from now on it has a usual one, and lives on if it renews.
UPDATE syncline.worker
SET expires_at = least(expires_at, clock_timestamp() + (report->>'usual_lease_seconds')::float8 * interval '1 second')
WHERE id <> %(worker)s AND expires_at > clock_timestamp() AND report->'usual_lease_seconds' IS NOT NULL
RETURNING id

-- name: acquire
WITH counter AS (
    UPDATE syncline.meta SET epoch = greatest(epoch, %(above)s) + 1 RETURNING epoch
)
UPDATE syncline.lane AS l SET owner = %(worker)s, epoch = counter.epoch
FROM counter
WHERE l.lane = ANY(%(lanes)s)
  AND (l.owner IS NULL OR l.owner = %(worker)s
       OR NOT EXISTS (SELECT FROM syncline.worker AS w WHERE w.id = l.owner AND w.expires_at > clock_timestamp()))
RETURNING l.lane, l.epoch, l.confirmed

-- name: confirm
UPDATE syncline.lane AS l SET confirmed = l.epoch
FROM unnest(%(lanes)s::smallint[], %(epochs)s::bigint[]) AS mine (lane, epoch)
WHERE l.lane = mine.lane AND l.epoch = mine.epoch AND l.owner = %(worker)s
RETURNING l.lane

-- name: release
UPDATE syncline.lane AS l SET owner = NULL
FROM unnest(%(lanes)s::smallint[], %(epochs)s::bigint[]) AS mine (lane, epoch)
WHERE l.lane = mine.lane AND l.epoch = mine.epoch AND l.owner = %(worker)s

-- name: leave
-- What its tasks and its verification could not give back themselves goes with it.
WITH tasks AS (
    UPDATE syncline.task SET claimed_by = NULL, claimed_until = NULL WHERE claimed_by = %(worker)s
), passes AS (
    UPDATE syncline.verification SET claimed_by = NULL, claimed_until = NULL WHERE claimed_by = %(worker)s
)
DELETE FROM syncline.worker WHERE id = %(worker)s

-- name: trim_leases
-- Whoever would live for longer than a lease lives by a clock that was ahead of this one: it has one more lease from now. Else
-- the lanes of the dead would stay theirs for as long as the source's clock has been set back; and so would their tasks and
-- passes, which are claimed for 15 seconds at most.
WITH tasks AS (
    UPDATE syncline.task SET claimed_until = clock_timestamp() + interval '15 seconds'
    WHERE id IN (SELECT id FROM syncline.task WHERE claimed_until > clock_timestamp() + interval '20 seconds'
                 FOR UPDATE SKIP LOCKED)
), passes AS (
    UPDATE syncline.verification SET claimed_until = clock_timestamp() + interval '15 seconds'
    WHERE id IN (SELECT id FROM syncline.verification
                 WHERE claimed_by IS NOT NULL AND claimed_until > clock_timestamp() + interval '20 seconds'
                 FOR UPDATE SKIP LOCKED)
)
UPDATE syncline.worker SET expires_at = clock_timestamp() + (report->>'lease_seconds')::float8 * interval '1 second'
WHERE id IN (
    SELECT id FROM syncline.worker
    WHERE expires_at > clock_timestamp() + ((report->>'lease_seconds')::float8 + 1) * interval '1 second'
    FOR UPDATE SKIP LOCKED
)

-- name: forget_workers
-- Rows of workers that are long gone.
DELETE FROM syncline.worker WHERE expires_at < clock_timestamp() - interval '1 hour'

-- name: notice_again
-- The newest message says how it stands. (A statement of its own: CockroachDB changes a table once in a statement.)
UPDATE syncline.notice SET message = %(message)s, severity = %(severity)s, at = clock_timestamp()
WHERE name = %(name)s AND entity = %(entity)s AND resolved_at IS NULL AND message <> %(message)s

-- name: notice
-- One of a name is open for an entity; of those about none, one for a message. What is only information is a trace: nobody
-- has to do anything about it.
INSERT INTO syncline.notice (name, severity, message, entity, resolved_at)
SELECT %(name)s::text, %(severity)s::text, %(message)s::text, %(entity)s::text,
       CASE WHEN %(severity)s::text = 'info' THEN clock_timestamp() END
WHERE NOT EXISTS (SELECT FROM syncline.notice
                  WHERE name = %(name)s AND resolved_at IS NULL AND (entity = %(entity)s OR message = %(message)s))

-- name: end_notices
-- Of a name, for each entity but those for which it still holds.
UPDATE syncline.notice SET resolved_at = clock_timestamp()
WHERE name = %(name)s AND resolved_at IS NULL AND entity IS NOT NULL AND entity <> ALL(%(still)s::text[])

-- name: end_notice
UPDATE syncline.notice SET resolved_at = clock_timestamp()
WHERE name = %(name)s AND resolved_at IS NULL AND entity = %(entity)s

-- name: settle_notices
-- Conditions that the tables show to be over: a task that failed, or waits, is done or was cancelled; what a restore asked for is marked,
-- and applied (or parked). The tasks are older than the notice.
UPDATE syncline.notice AS n SET resolved_at = clock_timestamp()
WHERE n.resolved_at IS NULL
  AND (n.name IN ('TaskFailed', 'TaskHeld') AND n.entity IS NOT NULL
           AND NOT EXISTS (SELECT FROM syncline.task AS t JOIN syncline.entity AS e ON e.id = t.entity WHERE e.name = n.entity)
       OR n.name IN ('Restored', 'Reinstalled')
           AND NOT EXISTS (SELECT FROM syncline.task WHERE reason = ANY(%(verdicts)s::text[]))
           AND NOT EXISTS (SELECT FROM syncline.outbox WHERE hint IN ('B', 'R'))
           AND NOT EXISTS (SELECT FROM syncline.block WHERE hint IN ('B', 'R')))

-- name: parked_entities
SELECT DISTINCT entity FROM syncline.parked

-- name: copied_lately
SELECT entity FROM syncline.copy WHERE copied_at IS NULL OR copied_at > clock_timestamp() - %(within)s::interval

-- name: fingerprints
SELECT id, fingerprint FROM syncline.entity WHERE fingerprint IS NOT NULL

-- name: entity_names
SELECT id, name FROM syncline.entity

-- name: request_task
-- One that nobody has begun yet does for all who ask for the same.
WITH waiting AS (
    SELECT id FROM syncline.task
    WHERE kind = %(kind)s AND entity = %(entity)s AND reason = %(reason)s AND options = %(options)s AND claimed_by IS NULL
      AND progress = '{}' AND %(progress)s = '{}'::jsonb
    LIMIT 1
), new AS (
    INSERT INTO syncline.task (kind, entity, reason, options, progress)
    SELECT %(kind)s, %(entity)s, %(reason)s, %(options)s, %(progress)s WHERE NOT EXISTS (SELECT FROM waiting)
    RETURNING id
)
SELECT id FROM waiting UNION ALL SELECT id FROM new

-- name: note_fingerprints
-- Remember what entities were compiled from; when that has changed since, ask for every record to be marked, and for those
-- that a narrower filter leaves out. A task that nobody has begun does for that.
WITH old AS (
    SELECT e.id, e.fingerprint, g.fingerprint AS now
    FROM syncline.entity AS e JOIN unnest(%(entities)s::smallint[], %(fingerprints)s::text[]) AS g (id, fingerprint) ON g.id = e.id
    WHERE e.fingerprint IS DISTINCT FROM g.fingerprint ORDER BY e.id FOR UPDATE OF e
), new AS (
    UPDATE syncline.entity AS e SET fingerprint = old.now FROM old WHERE e.id = old.id
), again AS (
    INSERT INTO syncline.task (kind, entity, reason)
    SELECT w.kind, old.id, 'its table or its mapping has changed' FROM old, unnest(ARRAY['backfill', 'sweep']) AS w (kind)
    WHERE old.fingerprint IS NOT NULL
      AND NOT EXISTS (SELECT FROM syncline.task AS t WHERE t.kind = w.kind AND t.entity = old.id AND t.claimed_by IS NULL
                      AND t.progress = '{}' AND t.options = '{}')
)
SELECT id FROM old WHERE fingerprint IS NOT NULL

-- name: entity_states
SELECT id, name, state FROM syncline.entity

-- name: raise_beat
UPDATE syncline.meta SET beat = greatest(beat, %(beat)s), nonces = nonces[1:1] || %(nonce)s::text || nonces[2:15]

-- name: asynchronous_writers
-- Is there a role, a database or a server default that commits asynchronously? (This session's own setting is pinned.)
SELECT (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'synchronous_commit') = 'off'
    OR EXISTS (SELECT FROM pg_catalog.pg_db_role_setting, unnest(setconfig) AS c
               WHERE lower(c) IN ('synchronous_commit=off', 'synchronous_commit=false', 'synchronous_commit=0', 'synchronous_commit=no'))
