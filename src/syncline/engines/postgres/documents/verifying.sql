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

-- name: unproved
-- Those of these collections of which no pass that began after a moment has proved everything equal.
SELECT u.collection FROM unnest(%(collections)s::text[]) AS u (collection)
WHERE NOT EXISTS (
    SELECT FROM syncline_documents.certificate AS c
    JOIN syncline_documents.mapping AS m ON m.collection = c.collection AND m.fingerprint = c.mapping
    WHERE c.collection = u.collection AND c.verdict = 'equal' AND c.as_of > %(moment)s
)

-- name: certificates
-- The newest of each collection.
SELECT DISTINCT ON (c.collection) c.collection, c.as_of, c.made_at, c.documents, c.verdict, c.counts, c.mapping
FROM syncline_documents.certificate AS c ORDER BY c.collection, c.id DESC

-- name: forget_certificates
DELETE FROM syncline_documents.certificate AS c
WHERE c.collection = %(collection)s AND c.id <= (
    SELECT o.id FROM syncline_documents.certificate AS o
    WHERE o.collection = %(collection)s ORDER BY o.id DESC OFFSET %(keep)s LIMIT 1
)

-- name: verification
-- Passes under way: how far each has come, so that another run goes on. One row is of all workers: who has it verifies.
CREATE TABLE IF NOT EXISTS syncline_documents.verification (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin text NOT NULL CHECK (origin IN ('command', 'worker')),
    -- Empty: nobody's turn.
    collection text NOT NULL,
    scope text NOT NULL,
    state jsonb NOT NULL DEFAULT '{}',
    -- As JSON, which may hold characters that jsonb has no place for.
    findings text NOT NULL DEFAULT '[]',
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_by text,
    claimed_until timestamptz
)

-- name: verification_worker
CREATE UNIQUE INDEX IF NOT EXISTS verification_worker ON syncline_documents.verification (origin) WHERE origin = 'worker'

-- name: verify_failed
-- Collections that a worker could not verify, and why; a pass that comes to its end settles it.
CREATE TABLE IF NOT EXISTS syncline_documents.verify_failed (
    collection text PRIMARY KEY,
    message text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
)

-- name: guard
-- What must be the same when a pass goes on: both sides, and the number of the link.
SELECT pg_catalog.concat_ws(' ', number, id, source) FROM syncline_documents.link

-- name: pass_begin
INSERT INTO syncline_documents.verification (origin, collection, scope, state, claimed_by, claimed_until)
VALUES ('command', %(of)s, %(scope)s, %(state)s, %(owner)s, clock_timestamp() + %(ttl)s)
RETURNING id

-- name: pass_save
UPDATE syncline_documents.verification
SET state = %(state)s, findings = coalesce(%(findings)s, findings), claimed_until = clock_timestamp() + %(ttl)s
WHERE id = %(id)s AND claimed_by = %(owner)s
RETURNING id

-- name: pass_hold
UPDATE syncline_documents.verification SET claimed_until = clock_timestamp() + %(ttl)s
WHERE id = %(id)s AND claimed_by = %(owner)s
RETURNING id

-- name: pass_end
DELETE FROM syncline_documents.verification WHERE id = %(id)s AND claimed_by = %(owner)s

-- name: pass_release
UPDATE syncline_documents.verification SET claimed_by = NULL, claimed_until = NULL
WHERE id = %(id)s AND claimed_by = %(owner)s

-- name: pass_forget
-- What earlier commands left of these collections, unless somebody is at it.
DELETE FROM syncline_documents.verification
WHERE origin = 'command' AND collection = ANY(%(collections)s::text[])
  AND (claimed_until IS NULL OR claimed_until < clock_timestamp())

-- name: pass_find
-- The newest unfinished one, and whether somebody is at it.
SELECT id, scope, coalesce(claimed_until >= clock_timestamp(), false) FROM syncline_documents.verification
WHERE origin = 'command' AND collection = %(of)s ORDER BY id DESC LIMIT 1

-- name: pass_claim
UPDATE syncline_documents.verification SET claimed_by = %(owner)s, claimed_until = clock_timestamp() + %(ttl)s
WHERE id = %(id)s AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
RETURNING id, state, findings

-- name: trim_claims
-- Nobody claims a pass for longer than ten seconds: who has it for longer had it by a clock that was set back since, and may live.
UPDATE syncline_documents.verification SET claimed_until = clock_timestamp() + interval '10 seconds'
WHERE claimed_until > clock_timestamp() + interval '20 seconds'

-- name: round_create
INSERT INTO syncline_documents.verification (origin, collection, scope) VALUES ('worker', '', '') ON CONFLICT DO NOTHING

-- name: round_claim
UPDATE syncline_documents.verification SET claimed_by = %(owner)s, claimed_until = clock_timestamp() + %(ttl)s
WHERE origin = 'worker' AND (claimed_until IS NULL OR claimed_until < clock_timestamp() OR claimed_by = %(owner)s)
RETURNING id, collection, scope, state, findings

-- name: round_turn
-- The next collection's turn (empty: none).
UPDATE syncline_documents.verification
SET collection = %(collection)s, scope = %(scope)s, state = '{}', findings = '[]', started_at = clock_timestamp(),
    claimed_until = clock_timestamp() + %(ttl)s
WHERE id = %(id)s AND claimed_by = %(owner)s
RETURNING id

-- name: copies
-- Which copy of a collection was the last one, and whether it is under way.
SELECT c.collection, c.begun_at::text, c.done_at IS NULL FROM syncline_documents.copy AS c

-- name: last_passes
-- How many seconds ago each collection's newest pass under its declaration was certified. (One of the future was made before the
-- clock was set back: it must not put the next one off.)
SELECT c.collection, extract(epoch FROM clock_timestamp() - max(c.made_at))::float8
FROM syncline_documents.certificate AS c
JOIN syncline_documents.mapping AS m ON m.collection = c.collection AND m.fingerprint = c.mapping
WHERE c.made_at <= clock_timestamp() GROUP BY c.collection

-- name: failed
INSERT INTO syncline_documents.verify_failed (collection, message) VALUES (%(collection)s, %(message)s)
ON CONFLICT (collection) DO UPDATE SET message = excluded.message, at = excluded.at

-- name: went_through
DELETE FROM syncline_documents.verify_failed WHERE collection = %(collection)s

-- name: proofs
-- Of each collection under its declaration the proof as of the latest time, and how many there were. (A slow pass may have
-- been certified after a quick one that began later.)
SELECT m.collection AS entity, c.as_of, c.made_at AS finished_at, c.documents AS records, c.verdict,
       c.counts - 'parked' AS divergent, n.passes, n.equal_passes
FROM syncline_documents.mapping AS m
CROSS JOIN LATERAL (SELECT o.as_of, o.made_at, o.documents, o.verdict, o.counts FROM syncline_documents.certificate AS o
                    WHERE o.collection = m.collection AND o.mapping = m.fingerprint
                    ORDER BY o.as_of DESC, o.id DESC LIMIT 1) AS c
CROSS JOIN LATERAL (SELECT count(*) AS passes, count(*) FILTER (WHERE o.verdict = 'equal') AS equal_passes
                    FROM syncline_documents.certificate AS o
                    WHERE o.collection = m.collection AND o.mapping = m.fingerprint) AS n
ORDER BY m.collection

-- name: verifying
-- Full passes under way, and how far they have come.
SELECT v.collection AS entity, v.origin, v.started_at, coalesce((v.state ->> 'records')::bigint, 0) AS records,
       coalesce(v.claimed_until > clock_timestamp(), false) AS running
FROM syncline_documents.verification AS v WHERE v.collection <> '' ORDER BY v.id LIMIT 100

-- name: failures
SELECT f.collection, f.message, f.at FROM syncline_documents.verify_failed AS f ORDER BY f.collection
