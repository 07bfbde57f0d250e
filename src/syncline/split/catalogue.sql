-- What a database's catalog says of ties between tables. Our own schemas, PostgreSQL's and those of extensions are left out.

-- name: relations
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND n.nspname !~ '^(pg_|information_schema$)' AND NOT is_ours(n)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname

-- name: foreign_keys
SELECT k.conname, k.conrelid::bigint, k.confrelid::bigint, pg_catalog.pg_get_constraintdef(k.oid), k.confdeltype::text,
       k.confupdtype::text
FROM pg_catalog.pg_constraint AS k
WHERE k.contype = 'f' AND k.conparentid = 0
ORDER BY k.conname, k.oid

-- name: uses
-- Relations that a view, a rule or a policy names, or whose row type a column has: its kind, its own relation, its name, the
-- other relation.
SELECT DISTINCT CASE WHEN r.rulename = '_RETURN' THEN 'view' ELSE 'rule' END, r.ev_class::bigint, r.rulename, d.refobjid::bigint
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
UNION
SELECT 'policy', p.polrelid::bigint, p.polname, d.refobjid::bigint
FROM pg_catalog.pg_policy AS p
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid <> p.polrelid
UNION
SELECT 'column', a.attrelid::bigint, a.attname, other.oid::bigint
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'f')
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
JOIN pg_catalog.pg_type AS e ON e.oid = CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE t.oid END
JOIN pg_catalog.pg_class AS other ON other.oid = e.typrelid AND other.relkind IN ('r', 'p', 'v', 'm', 'f')
WHERE a.attnum > 0 AND NOT a.attisdropped AND other.oid <> a.attrelid
ORDER BY 1, 2, 3, 4

-- name: inheritance
SELECT i.inhrelid::bigint, i.inhparent::bigint FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid WHERE c.relkind IN ('r', 'p', 'f')
ORDER BY 1, 2

-- name: sequences
-- A sequence, the table whose column owns it, and each table whose default draws from it.
SELECT s.oid::bigint, owner.refobjid::bigint, a.adrelid::bigint
FROM pg_catalog.pg_class AS s
LEFT JOIN pg_catalog.pg_depend AS owner ON owner.classid = 'pg_class'::regclass AND owner.objid = s.oid
     AND owner.refclassid = 'pg_class'::regclass AND owner.deptype IN ('a', 'i')
LEFT JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
     AND d.classid = 'pg_attrdef'::regclass
LEFT JOIN pg_catalog.pg_attrdef AS a ON a.oid = d.objid
WHERE s.relkind = 'S'
ORDER BY 1, 2, 3

-- name: functions
SELECT p.oid::bigint, n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid), l.lanname,
       CASE WHEN l.lanname IN ('sql', 'plpgsql') THEN pg_catalog.pg_get_functiondef(p.oid) END
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE p.prokind IN ('f', 'p')
  AND n.nspname !~ '^(pg_|information_schema$)' AND NOT is_ours(n)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 2, 3, 4

-- name: triggers
SELECT t.tgname, t.tgrelid::bigint, t.tgfoid::bigint FROM pg_catalog.pg_trigger AS t
WHERE NOT t.tgisinternal AND t.tgparentid = 0
ORDER BY 2, 1

-- name: expressions
-- Defaults, generated columns, checks, indexes and policies that call a function of the user's.
SELECT DISTINCT 'default', a.adrelid::bigint, at.attname, d.refobjid::bigint
FROM pg_catalog.pg_attrdef AS a
JOIN pg_catalog.pg_attribute AS at ON at.attrelid = a.adrelid AND at.attnum = a.adnum
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid
WHERE d.refclassid = 'pg_proc'::regclass
UNION
SELECT 'constraint', k.conrelid::bigint, k.conname, d.refobjid::bigint
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
WHERE d.refclassid = 'pg_proc'::regclass AND k.conrelid <> 0
UNION
SELECT 'index', i.indrelid::bigint, c.relname, d.refobjid::bigint
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
WHERE d.refclassid = 'pg_proc'::regclass
UNION
SELECT 'policy', p.polrelid::bigint, p.polname, d.refobjid::bigint
FROM pg_catalog.pg_policy AS p
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
WHERE d.refclassid = 'pg_proc'::regclass
UNION
SELECT 'view', r.ev_class::bigint, r.rulename, d.refobjid::bigint
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
WHERE d.refclassid = 'pg_proc'::regclass
ORDER BY 1, 2, 3, 4

-- name: has_statistics
SELECT n.nspname FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'
