-- Statements of verification. Parameters are psycopg's.

-- name: clock
SELECT clock_timestamp()

-- name: horizon
-- Every transaction with a lower number has ended: what it wrote is seen by whatever is read from now on.
SELECT mod(pg_snapshot_xmin(pg_current_snapshot())::text::bigint, 4294967296)::text

-- name: unsettled
-- Why a difference of these keys may be only lag: marks (also second deletes, due or not) and parked entries. None of the
-- tables has an index on keys: each is read once, in the form (IN … IS TRUE) that looks keys up in a hash table. A record that
-- is parked because of its document's version does not wait for anything: it is judged, and a repair corrects it.
SELECT key, 'mark' FROM syncline.waiting
WHERE entity = %(entity)s AND (key IN (SELECT unnest(%(keys)s::text[]))) IS TRUE
UNION
SELECT key, 'deferred' FROM syncline.deferred
WHERE entity = %(entity)s AND (key IN (SELECT unnest(%(keys)s::text[]))) IS TRUE
UNION
SELECT key, 'parked' FROM syncline.parked
WHERE entity = %(entity)s AND (key IN (SELECT unnest(%(keys)s::text[]))) IS TRUE AND code <> 'foreign_version'

-- name: task
-- A task may be about to mark any key of its entity.
SELECT EXISTS (SELECT FROM syncline.task WHERE entity = %(entity)s)

-- name: lanes
SELECT syncline.lane_of(%(entity)s::smallint, k)::int FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS q (k, place) ORDER BY place

-- name: situation
-- Queue size, lag, and live workers.
SELECT queue_size(), lag_seconds(),
       (SELECT count(*) FROM syncline.worker WHERE expires_at > clock_timestamp())

-- name: waiting
-- Of one entity: marks from before a time, and tasks.
SELECT (SELECT count(*) FROM syncline.waiting WHERE entity = %(entity)s AND hint <> 'G' AND at < %(before)s),
       (SELECT count(*) FROM syncline.task WHERE entity = %(entity)s AND created_at < %(before)s)

-- name: parked_keys
SELECT key FROM syncline.parked WHERE entity = %(entity)s

-- name: certify
INSERT INTO syncline.certificate (entity, as_of, records, verdict, report)
VALUES (%(entity)s, %(as_of)s, %(records)s, %(verdict)s, %(report)s)

-- name: audit
INSERT INTO syncline.notice (name, severity, message, resolved_at)
SELECT 'Repair', 'info', format('%%s: %%s records marked for repair, %%s left alone, by %%s',
                                %(entity)s::text, %(marked)s::bigint, %(left)s::bigint, session_user), clock_timestamp()

-- name: guard
-- What must be the same when a pass goes on: this installation of Syncline.
SELECT installation::text FROM syncline.meta

-- name: pass_begin
INSERT INTO syncline.verification (origin, entity, scope, state, claimed_by, claimed_until)
VALUES ('command', %(of)s, %(scope)s, %(state)s, %(owner)s, clock_timestamp() + %(ttl)s)
RETURNING id

-- name: pass_save
UPDATE syncline.verification
SET state = %(state)s, findings = coalesce(%(findings)s, findings), updated_at = clock_timestamp(),
    claimed_until = clock_timestamp() + %(ttl)s
WHERE id = %(id)s AND claimed_by = %(owner)s
RETURNING id

-- name: pass_hold
UPDATE syncline.verification SET claimed_until = clock_timestamp() + %(ttl)s
WHERE id = %(id)s AND claimed_by = %(owner)s
RETURNING id

-- name: pass_end
DELETE FROM syncline.verification WHERE id = %(id)s AND claimed_by = %(owner)s

-- name: pass_release
UPDATE syncline.verification SET claimed_by = NULL, claimed_until = NULL WHERE id = %(id)s AND claimed_by = %(owner)s

-- name: pass_forget
-- What earlier commands left of these entities, unless somebody is at it.
DELETE FROM syncline.verification
WHERE origin = 'command' AND entity = ANY(%(entities)s::smallint[])
  AND (claimed_until IS NULL OR claimed_until < clock_timestamp())

-- name: pass_find
-- The newest unfinished one, and whether somebody is at it.
SELECT id, scope, coalesce(claimed_until >= clock_timestamp(), false) FROM syncline.verification
WHERE origin = 'command' AND entity = %(of)s ORDER BY id DESC LIMIT 1

-- name: pass_claim
UPDATE syncline.verification SET claimed_by = %(owner)s, claimed_until = clock_timestamp() + %(ttl)s
WHERE id = %(id)s AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
RETURNING id, state, findings

-- name: trim_claims
-- Nobody claims a pass for longer than ten seconds: who has it for longer had it by a clock that was set back since, and may live.
UPDATE syncline.verification SET claimed_until = clock_timestamp() + interval '10 seconds'
WHERE claimed_by IS NOT NULL AND claimed_until > clock_timestamp() + interval '20 seconds'

-- name: round_create
INSERT INTO syncline.verification (origin, entity, scope) VALUES ('worker', 0, '') ON CONFLICT DO NOTHING

-- name: round_claim
UPDATE syncline.verification SET claimed_by = %(owner)s, claimed_until = clock_timestamp() + %(ttl)s
WHERE origin = 'worker' AND (claimed_until IS NULL OR claimed_until < clock_timestamp() OR claimed_by = %(owner)s)
RETURNING id, entity, scope, state, findings

-- name: round_turn
-- The next entity's turn (0: none).
UPDATE syncline.verification
SET entity = %(entity)s, scope = %(scope)s, state = '{}', findings = '[]', started_at = clock_timestamp(),
    updated_at = clock_timestamp(), claimed_until = clock_timestamp() + %(ttl)s
WHERE id = %(id)s AND claimed_by = %(owner)s
RETURNING id

-- name: copies
SELECT entity, id::text, copied_at IS NULL FROM syncline.copy

-- name: last_passes
-- When each entity's newest full pass began, and how long ago that is in seconds. (One of the future was made before the clock
-- was set back: it must not put the next one off.)
SELECT entity, extract(epoch FROM clock_timestamp() - max(as_of))::float8 FROM syncline.certificate
WHERE as_of <= clock_timestamp() GROUP BY entity

-- name: settled
-- A full pass went through; what an earlier one said of divergences is over when this one finds none (parked records
-- count as failed, not as diverged). A restore is over when every entity has been proved equal since.
UPDATE syncline.notice AS n SET resolved_at = clock_timestamp()
WHERE resolved_at IS NULL
  AND (entity = %(entity)s AND (name = 'VerifyFailed' OR name = 'Diverged' AND %(undamaged)s)
       OR name IN ('Restored', 'Reinstalled') AND %(equal)s AND NOT EXISTS (
           SELECT FROM syncline.entity AS e
           WHERE NOT EXISTS (SELECT FROM syncline.certificate AS c
                             WHERE c.entity = e.id AND c.verdict = 'equal' AND c.as_of > n.at)))

-- name: forget_certificates
DELETE FROM syncline.certificate
WHERE entity = %(entity)s AND id IN (SELECT id FROM syncline.certificate WHERE entity = %(entity)s
                                     ORDER BY as_of DESC, id DESC OFFSET %(keep)s)

-- name: arrival_begin
-- A row for a replica to show (entity 0: nobody's pass). What a process left that was killed meanwhile is removed.
WITH left_over AS (
    DELETE FROM syncline.verification
    WHERE origin = 'command' AND entity = 0 AND claimed_until < clock_timestamp()
)
INSERT INTO syncline.verification (origin, entity, scope, claimed_until)
VALUES ('command', 0, %(nonce)s, clock_timestamp() + interval '1 hour')
RETURNING id

-- name: arrival_there
SELECT EXISTS (SELECT FROM syncline.verification WHERE id = %(id)s AND scope = %(nonce)s)

-- name: arrival_behind
SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8

-- name: arrival_end
DELETE FROM syncline.verification WHERE id = %(id)s
