-- Questions about single documents, and about what was rejected.

-- name: failures
-- Not what was written since: an older attempt may have been noted after it.
SELECT r.collection, r.mongo_id, r.reason, r.attempts, r.first_at, r.last_at,
       nullif(r.next_at, 'infinity'), r.next_at = 'infinity'
FROM syncline_documents.rejected AS r
WHERE r.collection = ANY(%(collections)s::text[])
  AND NOT EXISTS (
      SELECT FROM syncline_documents.key_version AS k
      WHERE k.collection = r.collection AND k.mongo_id = r.key AND k.version >= r.version
  )
ORDER BY r.last_at DESC, r.collection, r.mongo_id
LIMIT %(limit)s

-- name: counts
SELECT r.collection, count(*), count(*) FILTER (WHERE r.next_at = 'infinity'), array_agg(r.mark), array_agg(r.mongo_id)
FROM syncline_documents.rejected AS r
WHERE NOT EXISTS (
    SELECT FROM syncline_documents.key_version AS k
    WHERE k.collection = r.collection AND k.mongo_id = r.key AND k.version >= r.version
)
GROUP BY r.collection

-- name: known
SELECT k.mark, r.mark, r.reason, r.attempts, r.next_at = 'infinity'
FROM (SELECT) AS one
LEFT JOIN syncline_documents.key_version AS k ON k.collection = %(collection)s AND k.mongo_id = %(key)s
LEFT JOIN syncline_documents.rejected AS r ON r.collection = %(collection)s AND r.mongo_id = %(shown)s

-- name: again
UPDATE syncline_documents.rejected SET attempts = 0, next_at = now()
WHERE collection = ANY(%(collections)s::text[]) AND (%(shown)s::text IS NULL OR mongo_id = %(shown)s)
