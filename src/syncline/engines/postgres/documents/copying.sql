-- How far the copy of a collection is: what is done stays done, whoever is killed.

-- name: copy
CREATE TABLE IF NOT EXISTS syncline_documents.copy (
    collection text PRIMARY KEY,
    -- Counts those who copy: who has an older number has been taken over.
    attempt bigint NOT NULL DEFAULT 1,
    -- The declaration, by its fingerprint: under another one a copy begins anew.
    mapping text NOT NULL,
    -- The last _id that is done, as a document of BSON.
    after bytea,
    documents bigint NOT NULL DEFAULT 0,
    left_to_worker bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz
)

-- name: begin
INSERT INTO syncline_documents.copy AS c (collection, mapping, total) VALUES (%(collection)s, %(mapping)s, %(total)s)
ON CONFLICT (collection) DO UPDATE
SET attempt = c.attempt + 1, mapping = excluded.mapping, total = excluded.total,
    after = CASE WHEN %(anew)s OR c.mapping <> excluded.mapping THEN NULL ELSE c.after END,
    documents = CASE WHEN %(anew)s OR c.mapping <> excluded.mapping THEN 0 ELSE c.documents END,
    left_to_worker = CASE WHEN %(anew)s OR c.mapping <> excluded.mapping THEN 0 ELSE c.left_to_worker END,
    begun_at = CASE WHEN %(anew)s OR c.mapping <> excluded.mapping THEN now() ELSE c.begun_at END,
    done_at = CASE WHEN %(anew)s OR c.mapping <> excluded.mapping THEN NULL ELSE c.done_at END
RETURNING attempt, after, documents, left_to_worker, done_at IS NOT NULL

-- name: passed
UPDATE syncline_documents.copy SET after = %(after)s, documents = %(documents)s, left_to_worker = %(left)s
WHERE collection = %(collection)s AND attempt = %(attempt)s
RETURNING attempt

-- name: ours
-- Those who copy parts side by side: their rows stand under versions, so who has been taken over does no harm.
SELECT attempt FROM syncline_documents.copy WHERE collection = %(collection)s AND attempt = %(attempt)s

-- name: done
UPDATE syncline_documents.copy SET done_at = now() WHERE collection = %(collection)s AND attempt = %(attempt)s
RETURNING attempt

-- name: known
-- Which of these keys there are, under a version that is as high, or deleted.
SELECT u.id, k.version >= u.version
FROM unnest(%(ids)s::text[], %(versions)s::bigint[]) AS u (id, version)
JOIN syncline_documents.key_version AS k ON k.collection = %(collection)s AND k.mongo_id = u.id
