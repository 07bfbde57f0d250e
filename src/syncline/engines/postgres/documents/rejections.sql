-- What PostgreSQL, or the mapping, did not take of a document, with its reason; and what became of it.

-- name: rejected
CREATE TABLE IF NOT EXISTS syncline_documents.rejected (
    collection text NOT NULL,
    -- As `explain` takes it: an ObjectId and its characters are two.
    mongo_id text NOT NULL,
    mark text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    -- Not tried before; 'infinity': given up.
    next_at timestamptz NOT NULL DEFAULT now(),
    -- As `key_version` has it; NULL: the key has no place there.
    key text,
    version bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (collection, mongo_id)
)

-- name: rejected_later
-- Adding a column that is there already would still lock the table alone.
DO $$BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid = 'syncline_documents.rejected'::regclass AND attname = 'next_at'
    ) THEN
        ALTER TABLE syncline_documents.rejected
            ADD COLUMN next_at timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN key text,
            ADD COLUMN version bigint NOT NULL DEFAULT 0;
    END IF;
END$$

-- name: rejected_waits
-- Another row was in its way, or missing, which may be on its way itself: given up, it is still tried now and then.
DO $$BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid = 'syncline_documents.rejected'::regclass AND attname = 'waits'
    ) THEN
        ALTER TABLE syncline_documents.rejected ADD COLUMN waits boolean NOT NULL DEFAULT false;
    END IF;
END$$

-- name: settled_failure
-- What was rejected and is written since: kept for 90 days.
CREATE TABLE IF NOT EXISTS syncline_documents.settled_failure (
    collection text NOT NULL,
    mongo_id text NOT NULL,
    mark text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    settled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection, mongo_id, first_at)
)

-- name: hold
-- Nobody writes these keys until it is said that they were rejected, and what is newer is not said to be.
SELECT k.mongo_id, k.version FROM syncline_documents.key_version AS k
WHERE k.collection = %(collection)s AND k.mongo_id = ANY(%(keys)s::text[])
ORDER BY k.mongo_id COLLATE "C" FOR SHARE

-- name: reject
INSERT INTO syncline_documents.rejected AS r (collection, mongo_id, mark, reason, key, version, waits, next_at)
SELECT %(collection)s, u.id, u.mark, u.reason, u.key, u.version, u.waits,
       CASE WHEN 1 >= %(limit)s THEN 'infinity' ELSE now() + least(%(delay)s, %(longest)s) END
FROM unnest(%(ids)s::text[], %(marks)s::text[], %(reasons)s::text[], %(keys)s::text[], %(versions)s::bigint[],
            %(waits)s::boolean[])
     AS u (id, mark, reason, key, version, waits)
ORDER BY u.id COLLATE "C"
ON CONFLICT (collection, mongo_id) DO UPDATE
SET mark = excluded.mark, reason = excluded.reason, key = excluded.key, version = excluded.version, waits = excluded.waits,
    last_at = now(),
    attempts = CASE WHEN r.mark = excluded.mark THEN r.attempts + 1 ELSE 1 END,
    first_at = CASE WHEN r.mark = excluded.mark THEN r.first_at ELSE now() END,
    next_at = CASE
        WHEN r.mark <> excluded.mark THEN excluded.next_at
        WHEN r.attempts + 1 >= %(limit)s THEN 'infinity'
        ELSE now() + least(%(delay)s * 2.0 ^ least(r.attempts, 30), %(longest)s)
    END
RETURNING mongo_id, attempts, next_at = 'infinity'

-- name: resting
-- A mark may be of many documents: an update of many writes one.
SELECT mark, mongo_id FROM syncline_documents.rejected
WHERE collection = %(collection)s AND mark = ANY(%(marks)s::text[]) AND next_at > now()
  AND NOT (waits AND last_at + %(longest)s <= now())

-- name: settled
-- By its key: the same record is rejected once.
WITH gone AS (
    DELETE FROM syncline_documents.rejected
    WHERE collection = %(collection)s AND mongo_id = ANY(%(ids)s::text[])
    RETURNING collection, mongo_id, mark, reason, attempts, first_at, last_at
)
INSERT INTO syncline_documents.settled_failure (collection, mongo_id, mark, reason, attempts, first_at, last_at)
SELECT collection, mongo_id, mark, reason, attempts, first_at, last_at FROM gone
ON CONFLICT DO NOTHING
