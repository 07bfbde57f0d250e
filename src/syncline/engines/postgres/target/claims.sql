-- Which tables of the database each link writes, in its own schema of the target, for the others to read.

-- name: turn
-- One for all links: of two that want one table the second sees the first one's claim.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('syncline claims', 21))

-- name: there
SELECT pg_catalog.to_regclass(%(schema)s || '.claim') IS NOT NULL

-- name: table
-- One row, so that no right to delete is needed. `tables`: name in the target to name in the source.
CREATE TABLE {schema}.claim (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    link text NOT NULL,
    system text NOT NULL,
    tables jsonb NOT NULL,
    beyond jsonb NOT NULL DEFAULT '{{}}'
)

-- name: column
-- Older releases did not note from where the source's tables are written: [cluster and database, name], by name in the target.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = '{schema}.claim'::regclass AND attname = 'beyond') THEN
        ALTER TABLE {schema}.claim ADD COLUMN beyond jsonb NOT NULL DEFAULT '{{}}';
    END IF;
END $$

-- name: open_schema
GRANT USAGE ON SCHEMA {schema} TO PUBLIC

-- name: open_table
GRANT SELECT ON {schema}.claim TO PUBLIC

-- name: take
INSERT INTO {schema}.claim (link, system, tables, beyond) VALUES (%(link)s, %(system)s, %(tables)s, %(beyond)s)
ON CONFLICT (one) DO UPDATE SET link = excluded.link, system = excluded.system, tables = excluded.tables, beyond = excluded.beyond

-- name: owner
SELECT system FROM {schema}.heartbeat

-- name: release
UPDATE {schema}.claim SET tables = '{{}}'

-- name: schemas
-- Of all links whose claims this role may read.
SELECT n.nspname
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = 'claim' AND c.relkind = 'r'
  AND (n.nspname = 'syncline_documents'
       OR EXISTS (SELECT FROM pg_catalog.pg_class AS l WHERE l.relnamespace = n.oid AND l.relname = 'lane_epoch'))
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
ORDER BY 1

-- name: claim
SELECT link, system, tables::text, coalesce(pg_catalog.to_jsonb(c) -> 'beyond', '{{}}')::text FROM {schema}.claim AS c

-- name: meet
-- Tables that are the same, or of which one is a partition of the other.
SELECT m.name
FROM unnest(%(mine)s::text[]) AS m(name), unnest(%(theirs)s::text[]) AS t(name)
WHERE m.name = t.name
   OR pg_catalog.to_regclass(t.name) IN (SELECT relid FROM pg_catalog.pg_partition_ancestors(pg_catalog.to_regclass(m.name)))
   OR pg_catalog.to_regclass(m.name) IN (SELECT relid FROM pg_catalog.pg_partition_ancestors(pg_catalog.to_regclass(t.name)))
ORDER BY 1 LIMIT 1
