-- What verification reads, and keeps.

-- name: versions
SELECT k.mongo_id, k.version, k.mark, k.deleted FROM syncline_documents.key_version AS k
WHERE k.collection = %(collection)s AND k.mongo_id = ANY(%(ids)s::text[])

-- name: rejections
SELECT r.mongo_id, r.mark, r.reason FROM syncline_documents.rejected AS r
WHERE r.collection = %(collection)s AND r.mongo_id = ANY(%(ids)s::text[])

-- name: certificate
CREATE TABLE IF NOT EXISTS syncline_documents.certificate (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection text NOT NULL,
    -- MongoDB's clock when the pass began: the proof holds for everything that was written before.
    as_of timestamptz NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    documents bigint NOT NULL,
    verdict text NOT NULL,
    counts jsonb NOT NULL,
    -- The declaration, by its fingerprint.
    mapping text NOT NULL
)

-- name: certify
INSERT INTO syncline_documents.certificate (collection, as_of, documents, verdict, counts, mapping)
VALUES (%(collection)s, %(as_of)s, %(documents)s, %(verdict)s, %(counts)s, %(mapping)s)

-- name: certificates
-- The newest of each collection.
SELECT DISTINCT ON (c.collection) c.collection, c.as_of, c.made_at, c.documents, c.verdict, c.counts, c.mapping
FROM syncline_documents.certificate AS c ORDER BY c.collection, c.id DESC
