-- Statements on `syncline.task` for its runner and those who watch it.

-- name: unfinished
SELECT id, kind, entity, reason,
       CASE WHEN options ? 'keys' THEN options || jsonb_build_object('keys', jsonb_array_length(options -> 'keys')) ELSE options END,
       progress, claimed_until IS NOT NULL AND claimed_until >= clock_timestamp() AS claimed
FROM syncline.task
WHERE (%(entity)s::smallint IS NULL OR entity = %(entity)s) AND (%(id)s::bigint IS NULL OR id = %(id)s)
ORDER BY id

-- name: cancel
DELETE FROM syncline.task WHERE id = %(id)s RETURNING id

-- name: pressure
-- How full is the queue (counted up to a limit), how old its oldest mark, and does anybody drain it? Unlike the lag that is shown, no
-- task counts here: one that waits for its own age to go down would wait for ever. Nor do marks that wait for their table's copy:
-- nobody drains them before its end. And is any of these marks an application's?
SELECT r.marks + b.marks,
       coalesce(extract(epoch FROM clock_timestamp() - oldest_in_queue()), 0)::float8,
       (SELECT count(*) FROM syncline.worker WHERE expires_at > clock_timestamp()),
       extract(epoch FROM clock_timestamp())::float8,
       r.others OR b.others
FROM (SELECT count(*) AS marks, coalesce(bool_or(hint IN ('I', 'U', 'D', 'E')), false) AS others FROM (
          SELECT hint FROM syncline.outbox WHERE no_copy_holds()
          LIMIT %(limit)s) AS counted) AS r,
     (SELECT coalesce(sum(size), 0)::bigint AS marks, coalesce(bool_or(hint IN ('I', 'U', 'D', 'E')), false) AS others FROM (
          SELECT size, hint FROM syncline.block WHERE no_copy_holds()
          LIMIT %(limit)s) AS counted) AS b

-- name: claim
-- Only what this configuration knows: a task of another entity waits for a worker that has it. A sweep would not see the rows
-- of a copy that are not committed yet; what a copy does is left to it.
UPDATE syncline.task SET claimed_by = %(worker)s, claimed_until = clock_timestamp() + %(ttl)s
WHERE id = (
    SELECT id FROM syncline.task
    WHERE (claimed_by = %(worker)s OR NOT %(held)s AND (claimed_until IS NULL OR claimed_until < clock_timestamp()))
      AND entity = ANY(%(entities)s::smallint[]) AND (%(only)s::bigint IS NULL OR id = %(only)s)
      AND (kind <> 'sweep' AND NOT options ? 'copy' OR entity NOT IN (being_copied()))
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, kind, entity, reason, options, progress

-- name: advance
UPDATE syncline.task SET progress = %(progress)s, claimed_until = clock_timestamp() + %(ttl)s
WHERE id = %(id)s AND claimed_by = %(worker)s
RETURNING options - 'keys', CASE WHEN options ? 'shared' THEN
    (SELECT count(*) FROM syncline.task AS t WHERE t.options ? 'shared' AND t.claimed_until > clock_timestamp()) ELSE 1 END

-- name: change
UPDATE syncline.task SET options = options || %(options)s WHERE id = %(id)s RETURNING id

-- name: give_back
UPDATE syncline.task SET claimed_by = NULL, claimed_until = NULL WHERE id = %(id)s AND claimed_by = %(worker)s

-- name: finish
DELETE FROM syncline.task WHERE id = %(id)s AND claimed_by = %(worker)s RETURNING id

-- name: cover
-- One run does for every gap of the entity that was committed before it began (PostgreSQL: nobody else notes gaps).
UPDATE syncline.task SET options = options || jsonb_build_object('snapshot', pg_current_snapshot()::text)
WHERE id = %(id)s AND claimed_by = %(worker)s AND NOT options ? 'snapshot'
RETURNING options

-- name: finish_covered
DELETE FROM syncline.task AS t USING syncline.task AS done
WHERE done.id = %(id)s AND done.claimed_by = %(worker)s AND t.id <> done.id AND t.claimed_by IS NULL AND t.options = '{}'
  AND (t.kind, t.entity, t.reason) = (done.kind, done.entity, done.reason)
  AND pg_visible_in_snapshot(t.tx, (done.options ->> 'snapshot')::pg_snapshot)
RETURNING t.id

-- name: newest_mark
SELECT greatest((SELECT max(seq) FROM syncline.outbox WHERE entity = %(entity)s),
                (SELECT max(seq) FROM syncline.block WHERE entity = %(entity)s))

-- name: marks_up_to
SELECT EXISTS (SELECT FROM syncline.outbox WHERE entity = %(entity)s AND seq <= %(seq)s)
    OR EXISTS (SELECT FROM syncline.block WHERE entity = %(entity)s AND first <= %(seq)s)

-- name: same_key
-- Is the entity's key still the one that was compiled?
SELECT EXISTS (SELECT FROM syncline.entity WHERE id = %(entity)s AND key_columns = %(columns)s::text[] AND key_types = %(types)s::text[]) AS same
