-- Sequences of the tables that move.

-- name: used
-- Those that a table owns (serial, identity) or draws from by a default, and which other tables draw from them, too.
WITH moved AS (
    SELECT pg_catalog.to_regclass(t)::oid AS oid FROM pg_catalog.unnest(%(tables)s::text[]) AS t
), uses AS (
    SELECT d.objid AS seq, d.refobjid AS tab FROM pg_catalog.pg_depend AS d
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
      AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    UNION
    SELECT d.refobjid, a.adrelid FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_attrdef AS a ON a.oid = d.objid
    WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
)
SELECT n.nspname, c.relname, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle, s.seqcache,
       array(SELECT DISTINCT o.tab::regclass::text FROM uses AS o
             WHERE o.seq = c.oid AND o.tab NOT IN (SELECT m.oid FROM moved AS m) ORDER BY 1)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = c.oid
WHERE c.oid IN (SELECT u.seq FROM uses AS u JOIN moved AS m ON m.oid = u.tab
                UNION SELECT pg_catalog.to_regclass(d) FROM pg_catalog.unnest(%(drawn)s::text[]) AS d)
ORDER BY 1, 2

-- name: position
-- Of one sequence; parts of one statement over all of them.
SELECT {place}::integer, last_value, is_called FROM {sequence}

-- name: held
-- Whether the gate is still this coordinator's; it stays so to the end of the statement, whose parts follow.
WITH held AS MATERIALIZED (SELECT syncline_gate.hold({name}, {number}) AS ours)

-- name: set
SELECT {place}::integer, CASE WHEN (SELECT h.ours FROM held AS h) THEN pg_catalog.setval({sequence}, {value}, true) END
