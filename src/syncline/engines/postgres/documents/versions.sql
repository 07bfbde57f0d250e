-- What a PostgreSQL keeps of documents whose rows it has: the version of each key, and the number of the link.

-- name: schema
CREATE SCHEMA IF NOT EXISTS syncline_documents

-- name: comment
COMMENT ON SCHEMA syncline_documents IS 'Versions of documents whose rows Syncline keeps in this database'

-- name: link
-- The number that whoever writes compares; a restore, or forgetting deleted keys, gives it a new one.
CREATE TABLE IF NOT EXISTS syncline_documents.link (
    one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    number bigint NOT NULL DEFAULT 1
)

-- name: link_later
-- Which MongoDB is the source: what `_syncline_documents` says there; and when deleted keys were forgotten last.
-- Adding a column that is there already would still lock the table alone.
DO $$BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid = 'syncline_documents.link'::regclass AND attname = 'source'
    ) THEN
        ALTER TABLE syncline_documents.link
            ADD COLUMN source text,
            ADD COLUMN forgotten_at timestamptz NOT NULL DEFAULT now();
    END IF;
END$$

-- name: link_id
-- Who this PostgreSQL is to the MongoDB whose marks it clears: noted there, a second one is refused.
DO $$BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid = 'syncline_documents.link'::regclass AND attname = 'id'
    ) THEN
        ALTER TABLE syncline_documents.link ADD COLUMN id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid();
    END IF;
END$$

-- name: link_beat
-- Two counters by which a restore of either side is noticed: MongoDB has the same two. `there` is advanced in MongoDB first, `here` here.
DO $$BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid = 'syncline_documents.link'::regclass AND attname = 'beat_here'
    ) THEN
        ALTER TABLE syncline_documents.link
            ADD COLUMN beat_there bigint NOT NULL DEFAULT 0,
            ADD COLUMN beat_here bigint NOT NULL DEFAULT 0;
    END IF;
END$$

-- name: first
INSERT INTO syncline_documents.link DEFAULT VALUES ON CONFLICT DO NOTHING

-- name: key_version
CREATE TABLE IF NOT EXISTS syncline_documents.key_version (
    collection text NOT NULL,
    mongo_id text NOT NULL,
    version bigint NOT NULL,
    mark text NOT NULL,
    deleted boolean NOT NULL,
    -- The fingerprint of the declaration under which the rows were written.
    mapping text NOT NULL,
    PRIMARY KEY (collection, mongo_id)
)

-- name: mapping
-- The declaration under which a collection is written, by its fingerprint; under another one nobody writes.
CREATE TABLE IF NOT EXISTS syncline_documents.mapping (
    collection text PRIMARY KEY,
    fingerprint text NOT NULL
)

-- name: mapping_later
-- Since it came into force every document was marked; not so: an installation was cut off, and goes on.
DO $$BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid = 'syncline_documents.mapping'::regclass AND attname = 'marked'
    ) THEN
        ALTER TABLE syncline_documents.mapping ADD COLUMN marked boolean NOT NULL DEFAULT true;
    END IF;
END$$

-- name: first_mapping
INSERT INTO syncline_documents.mapping (collection, fingerprint) VALUES (%(collection)s, %(mapping)s)
ON CONFLICT DO NOTHING

-- name: remap
-- In the transaction that holds the lock alone.
INSERT INTO syncline_documents.mapping (collection, fingerprint, marked) VALUES (%(collection)s, %(mapping)s, false)
ON CONFLICT (collection) DO UPDATE SET fingerprint = excluded.fingerprint, marked = false

-- name: remarked
UPDATE syncline_documents.mapping SET marked = true WHERE collection = %(collection)s AND fingerprint = %(mapping)s

-- name: kept
SELECT pg_catalog.to_regclass('syncline_documents.key_version') IS NOT NULL

-- name: of_another
-- The declaration of the collection, and a key among these whose rows are of another one.
SELECT (SELECT m.fingerprint FROM syncline_documents.mapping AS m WHERE m.collection = %(collection)s),
       (SELECT k.mongo_id FROM syncline_documents.key_version AS k
        WHERE k.collection = %(collection)s AND k.mongo_id = ANY(%(ids)s::text[]) AND k.mapping <> %(mapping)s AND NOT k.deleted
        ORDER BY k.mongo_id LIMIT 1)

-- name: declared
-- Where somebody keeps declarations, and this role may know.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'syncline_documents' AND c.relname = 'mapping'
      AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
)

-- name: held_declaration
SELECT m.fingerprint FROM syncline_documents.mapping AS m WHERE m.collection = %(collection)s FOR UPDATE

-- name: of_declaration
-- Rows that were written anew while PostgreSQL has the truth.
UPDATE syncline_documents.key_version SET mapping = %(mapping)s WHERE collection = %(collection)s AND mapping <> %(mapping)s

-- name: worker
CREATE TABLE IF NOT EXISTS syncline_documents.worker (
    id text PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    report jsonb NOT NULL DEFAULT '{}'
)

-- name: enter
-- "SYND" in ASCII. Whoever gives the link a new number waits until all who have entered have ended.
-- What is written here is tagged: the capture of the way back passes over it. Each statement that follows finds its rows by
-- their keys, however many there are: it is planned once, since that takes as long as running it.
SELECT pg_catalog.pg_advisory_xact_lock_shared(1398361668, 1), pg_catalog.set_config('syncline.link', 'documents', true),
       pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true),
       pg_catalog.set_config('enable_seqscan', 'off', true)

-- name: enter_gated
-- Where collections have gates, as they change sides: whoever is late is told by the link's number, which is another one
-- with each gate that is given to the link.
SELECT pg_catalog.pg_advisory_xact_lock_shared(1398361668, 1), pg_catalog.set_config('syncline.link', 'documents', true),
       pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true),
       pg_catalog.set_config('enable_seqscan', 'off', true),
       pg_catalog.set_config('syncline.gate_link', coalesce(
           (SELECT pg_catalog.jsonb_object_agg(g.name, g.link::text)::text FROM syncline_gate.gate AS g), ''), true)

-- name: number
-- And whether there are gates, and whether anything is rejected.
SELECT l.number, pg_catalog.to_regclass('syncline_gate.gate') IS NOT NULL,
       EXISTS (SELECT FROM syncline_documents.rejected)
FROM syncline_documents.link AS l

-- name: entered
SELECT l.number, (SELECT m.fingerprint FROM syncline_documents.mapping AS m WHERE m.collection = %(collection)s)
FROM syncline_documents.link AS l

-- name: renumber
-- In the transaction that holds the lock alone.
UPDATE syncline_documents.link SET number = number + 1 RETURNING number

-- name: alone
SELECT pg_catalog.pg_advisory_xact_lock(1398361668, 1)

-- name: take
-- In the order of the keys, so that two who have the same ones do not wait for each other.
INSERT INTO syncline_documents.key_version AS k (collection, mongo_id, version, mark, deleted, mapping)
SELECT %(collection)s, u.id, u.version, u.mark, u.deleted, %(mapping)s
FROM unnest(%(ids)s::text[], %(versions)s::bigint[], %(marks)s::text[], %(deleted)s::boolean[])
     AS u (id, version, mark, deleted)
ORDER BY u.id COLLATE "C"
ON CONFLICT (collection, mongo_id) DO UPDATE
SET version = excluded.version, mark = excluded.mark, deleted = excluded.deleted, mapping = excluded.mapping
WHERE k.version < excluded.version
RETURNING k.mongo_id

-- name: take_all
-- Takes all now, under this number and declaration, or fails: what follows in the pipeline is not done then. Whoever gives
-- the link another number was waited for by the statement before. A key is judged by its row once that is locked: what else
-- is read here is of when this began, before a writer that was waited for had committed. So what is there as it is given is
-- taken again; it is returned, for whoever counts.
WITH took AS (
    INSERT INTO syncline_documents.key_version AS k (collection, mongo_id, version, mark, deleted, mapping)
    SELECT %(collection)s, u.id, u.version, u.mark, u.deleted, %(mapping)s
    FROM unnest(%(ids)s::text[], %(versions)s::bigint[], %(marks)s::text[], %(deleted)s::boolean[])
         AS u (id, version, mark, deleted)
    ORDER BY u.id COLLATE "C"
    ON CONFLICT (collection, mongo_id) DO UPDATE
    SET version = excluded.version, mark = excluded.mark, deleted = excluded.deleted, mapping = excluded.mapping
    WHERE k.version < excluded.version OR (k.version = excluded.version AND k.mark = excluded.mark)
    RETURNING k.mongo_id
)
SELECT k.mongo_id, 1 / (
    (SELECT count(*) FROM took) = cardinality(%(ids)s::text[])
    AND (SELECT l.number FROM syncline_documents.link AS l) = %(number)s
    AND (SELECT m.fingerprint FROM syncline_documents.mapping AS m WHERE m.collection = %(collection)s) = %(mapping)s
)::integer
FROM unnest(%(ids)s::text[], %(versions)s::bigint[], %(marks)s::text[]) AS u (id, version, mark)
LEFT JOIN syncline_documents.key_version AS k
    ON k.collection = %(collection)s AND k.mongo_id = u.id AND k.version = u.version AND k.mark = u.mark

-- name: there
SELECT k.mongo_id, k.version, k.mark FROM syncline_documents.key_version AS k
WHERE k.collection = %(collection)s AND k.mongo_id = ANY(%(ids)s::text[])

-- name: keys
SELECT k.mongo_id FROM syncline_documents.key_version AS k
WHERE k.collection = %(collection)s AND NOT k.deleted AND (%(after)s::text IS NULL OR k.mongo_id > %(after)s)
ORDER BY k.mongo_id LIMIT %(size)s

-- name: forget
DELETE FROM syncline_documents.key_version AS k
USING unnest(%(ids)s::text[], %(versions)s::bigint[]) AS u (id, version)
WHERE k.collection = %(collection)s AND k.mongo_id = u.id AND k.version = u.version AND k.deleted

-- name: deleted_keys
SELECT k.mongo_id, k.version FROM syncline_documents.key_version AS k
WHERE k.collection = %(collection)s AND k.deleted AND (%(after)s::text IS NULL OR k.mongo_id > %(after)s)
ORDER BY k.mongo_id LIMIT %(size)s

-- name: all_keys
-- All keys, deleted ones too.
SELECT k.mongo_id FROM syncline_documents.key_version AS k
WHERE k.collection = %(collection)s AND (%(after)s::text IS NULL OR k.mongo_id > %(after)s)
ORDER BY k.mongo_id LIMIT %(size)s

-- name: drop
DELETE FROM syncline_documents.key_version AS k
WHERE k.collection = %(collection)s AND k.mongo_id = ANY(%(ids)s::text[])
