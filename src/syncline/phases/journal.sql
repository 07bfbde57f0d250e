-- The phases of collections, in a PostgreSQL: which one each is in, how it came there, who has learned of it, what speaks for the next.

-- name: schema
CREATE SCHEMA IF NOT EXISTS syncline_documents

-- name: phase
-- number: of the change that put it there; of two places that say different things, the higher one is right.
CREATE TABLE IF NOT EXISTS syncline_documents.phase (
    collection text PRIMARY KEY,
    phase text NOT NULL CHECK (phase IN ('off', 'dual_write', 'shadow', 'ramp', 'live', 'complete')),
    percent double precision NOT NULL DEFAULT 0 CHECK (percent BETWEEN 0 AND 100),
    number bigint NOT NULL,
    -- MongoDB's clock, as certificates have it.
    since timestamptz NOT NULL
)

-- name: phase_history
CREATE TABLE IF NOT EXISTS syncline_documents.phase_history (
    number bigint NOT NULL,
    collection text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    was text,
    phase text NOT NULL,
    percent double precision NOT NULL,
    by text NOT NULL DEFAULT session_user,
    -- Why it was done though something spoke against it, and what did.
    reason text,
    against text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (number, collection)
)

-- name: phase_process
-- Who routes by the phases: the highest change that it goes by, and how long it may do so without asking again.
CREATE TABLE IF NOT EXISTS syncline_documents.phase_process (
    process text PRIMARY KEY,
    number bigint NOT NULL,
    until timestamptz NOT NULL
)

-- name: shadow_report
-- What shadow reads came to, since a collection entered its phase (by the change's number). A method that is declared has a
-- row `equal` with 0 reads.
CREATE TABLE IF NOT EXISTS syncline_documents.shadow_report (
    collection text NOT NULL,
    method text NOT NULL,
    outcome text NOT NULL,
    number bigint NOT NULL,
    reads bigint NOT NULL,
    last_at timestamptz NOT NULL DEFAULT now(),
    -- The declaration under which PostgreSQL was read, by its fingerprint; empty: who counted did not say.
    mapping text NOT NULL DEFAULT '',
    PRIMARY KEY (collection, method, outcome, number, mapping)
)

-- name: shadow_report_later
DO $$BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid = 'syncline_documents.shadow_report'::regclass AND attname = 'mapping'
    ) THEN
        ALTER TABLE syncline_documents.shadow_report
            ADD COLUMN mapping text NOT NULL DEFAULT '',
            DROP CONSTRAINT shadow_report_pkey,
            ADD PRIMARY KEY (collection, method, outcome, number, mapping);
    END IF;
END$$

-- name: rehearsal
-- The way back from live, gone on a copy.
CREATE TABLE IF NOT EXISTS syncline_documents.rehearsal (
    collection text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
)

-- name: query_shape
-- What queries of repositories go by, in any process: paths, never values.
CREATE TABLE IF NOT EXISTS syncline_documents.query_shape (
    collection text NOT NULL,
    equal text[] NOT NULL,
    ranged text[] NOT NULL,
    -- When a process has asked for it first, the last one that did.
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection, equal, ranged)
)

-- name: queries_kept
SELECT pg_catalog.to_regclass('syncline_documents.query_shape') IS NOT NULL

-- name: query_asked
INSERT INTO syncline_documents.query_shape (collection, equal, ranged)
SELECT u.collection, u.equal, u.ranged
FROM pg_catalog.jsonb_to_recordset(%(queries)s::jsonb) AS u (collection text, equal text[], ranged text[])
ORDER BY 1, 2, 3
ON CONFLICT (collection, equal, ranged) DO UPDATE SET last_at = now()

-- name: queries
SELECT collection, equal, ranged FROM syncline_documents.query_shape ORDER BY 1, 2, 3

-- name: alone
-- "SYND" in ASCII: one change at a time.
SELECT pg_catalog.pg_advisory_xact_lock(1398361668, 2)

-- name: there
SELECT pg_catalog.to_regclass('syncline_documents.phase') IS NOT NULL

-- name: read
SELECT collection, phase, percent, number, since FROM syncline_documents.phase

-- name: put
INSERT INTO syncline_documents.phase AS p (collection, phase, percent, number, since)
SELECT u.collection, u.phase, u.percent, u.number, coalesce(u.since, now())
FROM unnest(%(collections)s::text[], %(phases)s::text[], %(percents)s::float8[], %(numbers)s::bigint[],
            %(since)s::timestamptz[]) AS u (collection, phase, percent, number, since)
ON CONFLICT (collection) DO UPDATE
SET phase = excluded.phase, percent = excluded.percent, number = excluded.number, since = excluded.since
WHERE p.number < excluded.number

-- name: note
INSERT INTO syncline_documents.phase_history (number, collection, at, was, phase, percent, reason, against)
VALUES (%(number)s, %(collection)s, %(at)s, %(was)s, %(phase)s, %(percent)s, %(reason)s, %(against)s)
ON CONFLICT DO NOTHING

-- name: history
SELECT number, collection, at, was, phase, percent, by, reason, against FROM syncline_documents.phase_history
WHERE %(collections)s::text[] IS NULL OR collection = ANY(%(collections)s::text[])
ORDER BY number DESC, collection LIMIT %(limit)s

-- name: beat
INSERT INTO syncline_documents.phase_process (process, number, until)
VALUES (%(process)s, %(number)s, pg_catalog.clock_timestamp() + %(lease)s * interval '1 second')
ON CONFLICT (process) DO UPDATE SET number = excluded.number, until = excluded.until

-- name: processes
SELECT process, number, extract(epoch FROM until - pg_catalog.clock_timestamp())::float8
FROM syncline_documents.phase_process
WHERE until > pg_catalog.clock_timestamp() ORDER BY process

-- name: leave
DELETE FROM syncline_documents.phase_process
WHERE process = %(process)s OR until < pg_catalog.clock_timestamp() - interval '1 day'

-- name: shadowed
INSERT INTO syncline_documents.shadow_report AS s (collection, method, outcome, number, mapping, reads)
SELECT u.collection, u.method, u.outcome, coalesce(p.number, 0), u.mapping, u.reads
FROM unnest(%(collections)s::text[], %(methods)s::text[], %(outcomes)s::text[], %(mappings)s::text[], %(reads)s::bigint[])
     AS u (collection, method, outcome, mapping, reads)
LEFT JOIN syncline_documents.phase AS p ON p.collection = u.collection
ORDER BY 1, 2, 3
ON CONFLICT (collection, method, outcome, number, mapping) DO UPDATE SET reads = s.reads + excluded.reads, last_at = now()

-- name: shadow
-- Counts of another declaration prove nothing of this one.
SELECT s.method, s.outcome, s.reads
FROM syncline_documents.shadow_report AS s JOIN syncline_documents.phase AS p USING (collection, number)
WHERE s.collection = %(collection)s AND s.mapping IN ('', %(mapping)s)

-- name: shadows
-- The same of many collections, by outcome alone.
SELECT s.collection, s.outcome, sum(s.reads)::bigint
FROM syncline_documents.shadow_report AS s
JOIN syncline_documents.phase AS p USING (collection, number)
JOIN unnest(%(collections)s::text[], %(mappings)s::text[]) AS u (collection, mapping) USING (collection)
WHERE s.mapping IN ('', u.mapping)
GROUP BY 1, 2

-- name: shadow_and_ramp
-- Since the collection came into shadow last.
SELECT s.method, s.outcome, sum(s.reads)::bigint
FROM syncline_documents.shadow_report AS s
WHERE s.collection = %(collection)s AND s.mapping IN ('', %(mapping)s) AND s.number >= coalesce((
    SELECT max(h.number) FROM syncline_documents.phase_history AS h
    WHERE h.collection = %(collection)s AND h.phase = 'shadow'), 0)
GROUP BY 1, 2

-- name: kept
SELECT pg_catalog.to_regclass('syncline_documents.rejected') IS NOT NULL

-- name: rejected
SELECT count(*) FROM syncline_documents.rejected WHERE collection = %(collection)s

-- name: declared
SELECT m.fingerprint FROM syncline_documents.mapping AS m WHERE m.collection = %(collection)s

-- name: certificates_kept
SELECT pg_catalog.to_regclass('syncline_documents.certificate') IS NOT NULL

-- name: certified
-- Of the declaration that is written now; a slow pass may have been certified after a quick one that began later.
SELECT c.as_of, c.verdict FROM syncline_documents.certificate AS c
JOIN syncline_documents.mapping AS m ON m.collection = c.collection AND m.fingerprint = c.mapping
WHERE c.collection = %(collection)s ORDER BY c.as_of DESC, c.id DESC LIMIT 1

-- name: rehearsal_later
-- Of which declaration, by its fingerprint, and what it showed.
DO $$BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid = 'syncline_documents.rehearsal'::regclass AND attname = 'report'
    ) THEN
        ALTER TABLE syncline_documents.rehearsal
            ADD COLUMN mapping text NOT NULL DEFAULT '',
            ADD COLUMN report jsonb NOT NULL DEFAULT '{}';
    END IF;
END$$

-- name: rehearse
INSERT INTO syncline_documents.rehearsal (collection, mapping, report) VALUES (%(collection)s, %(mapping)s, %(report)s)
ON CONFLICT (collection) DO UPDATE SET at = now(), mapping = excluded.mapping, report = excluded.report

-- name: rehearsed
-- When, whether it is younger than this, and of which declaration.
SELECT r.at, r.at > now() - make_interval(secs => %(seconds)s), r.mapping
FROM syncline_documents.rehearsal AS r WHERE r.collection = %(collection)s
