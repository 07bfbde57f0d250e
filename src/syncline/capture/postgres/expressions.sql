-- What a SQL expression of the configuration depends on: it is made a view for a moment, in a transaction that is rolled back.

-- name: relations
-- Tables and views that it reads, its own apart.
SELECT DISTINCT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
    AND d.refclassid = 'pg_catalog.pg_class'::regclass
JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE r.ev_class = 'pg_temp._syncline_look'::regclass AND c.oid NOT IN (r.ev_class, %(table)s::oid)
ORDER BY 1

-- name: functions
-- Functions that somebody made, also those behind operators, with what can be seen of their bodies.
SELECT DISTINCT p.oid::regprocedure::text AS name, p.prosrc AS body, l.lanname::text AS language,
       ARRAY(SELECT f.refobjid::regclass::text FROM pg_catalog.pg_depend AS f
             WHERE f.classid = 'pg_catalog.pg_proc'::regclass AND f.objid = p.oid
               AND f.refclassid = 'pg_catalog.pg_class'::regclass) AS reads
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
LEFT JOIN pg_catalog.pg_operator AS o ON d.refclassid = 'pg_catalog.pg_operator'::regclass AND o.oid = d.refobjid
JOIN pg_catalog.pg_proc AS p ON p.oid = CASE WHEN d.refclassid = 'pg_catalog.pg_proc'::regclass THEN d.refobjid ELSE o.oprcode END
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE r.ev_class = 'pg_temp._syncline_look'::regclass
ORDER BY 1

-- name: definition
SELECT pg_catalog.pg_get_viewdef('pg_temp._syncline_look'::regclass) AS definition

-- name: resolved
-- Which of these names are tables or views, as the path finds them.
SELECT DISTINCT pg_catalog.to_regclass(name)::text AS name FROM unnest(%(names)s::text[]) AS w (name)
WHERE pg_catalog.to_regclass(name) IS NOT NULL ORDER BY 1

-- name: may_look
SELECT NOT pg_catalog.current_setting('transaction_read_only')::boolean
   AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP') AS may_look
