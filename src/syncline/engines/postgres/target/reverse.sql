-- What the target says about the way back of a link: gates of a move, and triggers that pass over what the link writes.

-- name: serving
-- The table with its partitions. Functions of a way back begin with a look at the tag of the link whose writes they pass over
-- (`passed` of capture/postgres/triggers.sql); one that is disabled is damaged, and put back.
WITH family AS (
    SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = %(name)s
), whole AS (
    SELECT oid FROM family
    UNION
    SELECT p.relid FROM family AS f, pg_catalog.pg_partition_tree(f.oid) AS p
)
SELECT DISTINCT
    CASE WHEN t.tgname IN ('syncline_gate', 'syncline_gate_row')
         THEN pg_catalog.convert_from(pg_catalog.substring(t.tgargs, 1, pg_catalog.length(t.tgargs) - 1), 'UTF8') END AS gate,
    n.nspname AS schema
FROM whole AS w
JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = w.oid
JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE t.tgname IN ('syncline_gate', 'syncline_gate_row') AND n.nspname = 'syncline_gate'
   OR pg_catalog.strpos(p.prosrc, 'current_setting(''syncline.link'', true) = ' || pg_catalog.quote_literal(%(tag)s) || ' THEN') > 0
ORDER BY 1, 2

-- name: open_gates
-- Gates that let a link write.
SELECT name FROM syncline_gate.gate WHERE name = ANY(%(gates)s) AND mode = 'l'
