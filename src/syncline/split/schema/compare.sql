-- What tables are, read from the catalog's own columns, for a comparison of two databases: none of this is used to make them.
-- `syncline.oids` lists the tables. Each row: what sort of thing, its name, what it is. Names that begin with "opening" are those
-- that hold only when the new side has been opened.

-- name: tables
SELECT 'table', c.oid::regclass::text, jsonb_build_object('kind', c.relkind, 'persistence', c.relpersistence, 'method', a.amname,
       'partition', c.relispartition, 'bound', pg_catalog.pg_get_expr(c.relpartbound, c.oid),
       'parent', (SELECT jsonb_agg(i.inhparent::regclass::text) FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid),
       'key', CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END, 'of', nullif(c.reloftype, 0)::regtype::text,
       'identity', c.relreplident, 'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(c.reloptions) AS o),
       'toast', (SELECT jsonb_agg(o ORDER BY o) FROM pg_catalog.pg_class AS t, unnest(t.reloptions) AS o WHERE t.oid = c.reltoastrelid),
       'row security', c.relrowsecurity)
FROM pg_catalog.pg_class AS c LEFT JOIN pg_catalog.pg_am AS a ON a.oid = c.relam
WHERE c.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
UNION ALL
SELECT 'opening', 'row security of ' || c.oid::regclass::text, to_jsonb(c.relforcerowsecurity)
FROM pg_catalog.pg_class AS c WHERE c.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: columns
SELECT 'column', format('%s.%I', a.attrelid::regclass, a.attname), jsonb_build_object(
       'place', row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum),
       'type', t.typnamespace::regnamespace::text || '.' || t.typname, 'modifier', a.atttypmod, 'not null', a.attnotnull,
       'identity', a.attidentity, 'generated', a.attgenerated, 'storage', a.attstorage, 'compression', a.attcompression,
       'collation', nullif(a.attcollation, 0)::regcollation::text, 'statistics', nullif(a.attstattarget, -1),
       'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(a.attoptions) AS o), 'local', a.attislocal, 'inherited', a.attinhcount,
       'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid))
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: constraints
SELECT CASE k.contype WHEN 'n' THEN 'not null' ELSE 'constraint' END, format('%I on %s', k.conname, k.conrelid::regclass), jsonb_build_object(
       'sort', k.contype, 'validated', k.convalidated, 'no inherit', k.contype = 'c' AND k.connoinherit, 'local', k.conislocal,
       'columns', (SELECT jsonb_agg(a.attname ORDER BY o.place) FROM unnest(k.conkey) WITH ORDINALITY AS o (number, place)
                   JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = o.number),
       'other', nullif(k.confrelid, 0)::regclass::text,
       'other columns', (SELECT jsonb_agg(a.attname ORDER BY o.place) FROM unnest(k.confkey) WITH ORDINALITY AS o (number, place)
                         JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = o.number),
       'on update', k.confupdtype, 'on delete', k.confdeltype, 'match', k.confmatchtype, 'expression', pg_catalog.pg_get_expr(k.conbin, k.conrelid),
       'index', nullif(k.conindid, 0)::regclass::text, 'operators', (SELECT jsonb_agg(o::regoperator::text) FROM unnest(k.conexclop) AS o),
       'more', jsonb_build_object('enforced', to_jsonb(k) -> 'conenforced', 'period', to_jsonb(k) -> 'conperiod',
                                  'columns set', to_jsonb(k) -> 'confdelsetcols'))
FROM pg_catalog.pg_constraint AS k
WHERE k.contype IN ('c', 'p', 'u', 'x', 'f', 'n') AND k.conrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
  AND (k.contype <> 'f' OR k.conparentid = 0)
UNION ALL
SELECT CASE k.contype WHEN 'f' THEN 'opening' ELSE 'constraint' END, format('deferral of %I on %s', k.conname, k.conrelid::regclass),
       jsonb_build_object('deferrable', k.condeferrable, 'deferred', k.condeferred)
FROM pg_catalog.pg_constraint AS k
WHERE k.contype IN ('p', 'u', 'x', 'f') AND k.conrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
  AND (k.contype <> 'f' OR k.conparentid = 0)

-- name: indexes
SELECT 'index', i.indexrelid::regclass::text, jsonb_build_object('on', i.indrelid::regclass::text, 'method', m.amname, 'unique', i.indisunique,
       'primary', i.indisprimary, 'immediate', i.indimmediate, 'replica identity', i.indisreplident, 'clustered', i.indisclustered,
       'keys', i.indnkeyatts, 'nulls', coalesce(to_jsonb(i) -> 'indnullsnotdistinct', 'false'), 'directions', i.indoption::text,
       'parts', (SELECT jsonb_agg(pg_catalog.pg_get_indexdef(i.indexrelid, n, false) ORDER BY n) FROM generate_series(1, i.indnatts) AS n),
       'operators', (SELECT jsonb_agg(o.opcnamespace::regnamespace::text || '.' || o.opcname ORDER BY u.place)
                     FROM unnest(i.indclass) WITH ORDINALITY AS u (oid, place) JOIN pg_catalog.pg_opclass AS o ON o.oid = u.oid),
       'collations', (SELECT jsonb_agg(nullif(u.oid, 0)::regcollation::text ORDER BY u.place) FROM unnest(i.indcollation) WITH ORDINALITY AS u (oid, place)),
       'predicate', pg_catalog.pg_get_expr(i.indpred, i.indrelid), 'options', (SELECT jsonb_agg(o ORDER BY o) FROM unnest(c.reloptions) AS o),
       'statistics', (SELECT jsonb_object_agg(a.attnum, a.attstattarget) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0),
       'parent', (SELECT h.inhparent::regclass::text FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = i.indexrelid))
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class AS on_table ON on_table.oid = i.indrelid
JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
WHERE i.indisvalid AND i.indrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: sequences
SELECT 'sequence', s.seqrelid::regclass::text, (to_jsonb(s) - 'seqrelid' - 'seqtypid') || jsonb_build_object('type', s.seqtypid::regtype::text,
       'owner', (SELECT format('%s.%I %s', d.refobjid::regclass, a.attname, d.deptype) FROM pg_catalog.pg_depend AS d
                 JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                 WHERE d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
FROM pg_catalog.pg_sequence AS s
WHERE s.seqrelid IN (
    SELECT d.objid FROM pg_catalog.pg_depend AS d
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
      AND d.refobjid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
    UNION ALL
    SELECT d.refobjid FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_attrdef AS f ON f.oid = d.objid
    WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
      AND f.adrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[]))

-- name: types
-- Those of columns, and those that they are made of; the labels of an enum in their order.
WITH RECURSIVE used (oid) AS (
    SELECT a.atttypid FROM pg_catalog.pg_attribute AS a
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
    UNION
    SELECT n.oid FROM used AS u JOIN pg_catalog.pg_type AS t ON t.oid = u.oid,
         LATERAL (SELECT t.typelem UNION SELECT t.typbasetype
                  UNION SELECT a.atttypid FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = t.typrelid AND t.typrelid <> 0 AND a.attnum > 0 AND NOT a.attisdropped
                  UNION SELECT r.rngsubtype FROM pg_catalog.pg_range AS r WHERE r.rngtypid = t.oid
                  UNION SELECT r.rngtypid FROM pg_catalog.pg_range AS r WHERE r.rngmultitypid = t.oid) AS n (oid)
    WHERE n.oid <> 0)
SELECT 'type', t.oid::regtype::text, jsonb_build_object('sort', t.typtype, 'not null', t.typnotnull, 'base', nullif(t.typbasetype, 0)::regtype::text,
       'modifier', t.typtypmod, 'default', t.typdefault, 'collation', nullif(t.typcollation, 0)::regcollation::text,
       'labels', (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid),
       'parts', (SELECT jsonb_agg(jsonb_build_array(a.attname, a.atttypid::regtype::text, a.atttypmod, nullif(a.attcollation, 0)::regcollation::text) ORDER BY a.attnum)
                 FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'c'
                 WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
       'checks', (SELECT jsonb_object_agg(k.conname, pg_catalog.pg_get_constraintdef(k.oid)) FROM pg_catalog.pg_constraint AS k
                  WHERE k.contypid = t.oid AND k.contype = 'c'),
       'range', (SELECT jsonb_build_array(r.rngsubtype::regtype::text, r.rngmultitypid::regtype::text, nullif(r.rngcollation, 0)::regcollation::text,
                                          r.rngsubdiff::regproc::text, o.opcname)
                 FROM pg_catalog.pg_range AS r JOIN pg_catalog.pg_opclass AS o ON o.oid = r.rngsubopc WHERE r.rngtypid = t.oid))
FROM used AS u JOIN pg_catalog.pg_type AS t ON t.oid = u.oid
WHERE t.oid >= 16384 AND t.typtype IN ('e', 'd', 'c', 'r')

-- name: functions
-- Those that triggers run, and that defaults, constraints and indexes call.
SELECT 'function', p.oid::regprocedure::text, jsonb_build_object('body', p.prosrc, 'sql', pg_catalog.pg_get_function_sqlbody(p.oid),
       'result', pg_catalog.pg_get_function_result(p.oid), 'arguments', pg_catalog.pg_get_function_arguments(p.oid), 'language', l.lanname,
       'kind', p.prokind, 'volatile', p.provolatile, 'strict', p.proisstrict, 'definer', p.prosecdef, 'leakproof', p.proleakproof, 'parallel', p.proparallel,
       'settings', p.proconfig, 'cost', p.procost, 'rows', p.prorows)
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE p.oid >= 16384 AND p.oid IN (
    SELECT t.tgfoid FROM pg_catalog.pg_trigger AS t
    WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND NOT is_our_trigger(t) AND t.tgrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
    UNION ALL
    SELECT d.refobjid FROM pg_catalog.pg_depend AS d
    LEFT JOIN pg_catalog.pg_attrdef AS f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
    LEFT JOIN pg_catalog.pg_constraint AS k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
    LEFT JOIN pg_catalog.pg_index AS i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
    WHERE d.refclassid = 'pg_proc'::regclass
      AND coalesce(f.adrelid, k.conrelid, i.indrelid) = ANY ((SELECT current_setting('syncline.oids'))::oid[]))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')

-- name: triggers
SELECT 'trigger', format('%I on %s', t.tgname, t.tgrelid::regclass), jsonb_build_object('function', t.tgfoid::regprocedure::text, 'type', t.tgtype,
       'arguments', encode(t.tgargs, 'hex'), 'deferrable', t.tgdeferrable, 'deferred', t.tginitdeferred, 'old', t.tgoldtable, 'new', t.tgnewtable,
       'constraint', t.tgconstraint <> 0, 'columns', (SELECT jsonb_agg(a.attname ORDER BY a.attname) FROM unnest(t.tgattr) AS o (number)
                                                      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.tgrelid AND a.attnum = o.number),
       'when', substring(pg_catalog.pg_get_triggerdef(t.oid) FROM ' WHEN \((.*)\) EXECUTE '))
FROM pg_catalog.pg_trigger AS t
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND NOT is_our_trigger(t) AND t.tgrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
UNION ALL
SELECT 'opening', format('trigger %I on %s', t.tgname, t.tgrelid::regclass), to_jsonb(t.tgenabled)
FROM pg_catalog.pg_trigger AS t
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND NOT is_our_trigger(t) AND t.tgrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
UNION ALL
SELECT 'rule', format('%I on %s', r.rulename, r.ev_class::regclass), to_jsonb(pg_catalog.pg_get_ruledef(r.oid))
FROM pg_catalog.pg_rewrite AS r WHERE r.rulename <> '_RETURN' AND r.ev_class = ANY ((SELECT current_setting('syncline.oids'))::oid[])
UNION ALL
SELECT 'opening', format('rule %I on %s', r.rulename, r.ev_class::regclass), to_jsonb(r.ev_enabled)
FROM pg_catalog.pg_rewrite AS r WHERE r.rulename <> '_RETURN' AND r.ev_class = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: policies
SELECT 'policy', format('%I on %s', p.polname, p.polrelid::regclass), jsonb_build_object('command', p.polcmd, 'permissive', p.polpermissive,
       'roles', (SELECT jsonb_agg(CASE WHEN o = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(o)::text END ORDER BY 1) FROM unnest(p.polroles) AS o),
       'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid), 'check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_catalog.pg_policy AS p WHERE p.polrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: statistics
SELECT 'statistics', s.stxnamespace::regnamespace::text || '.' || s.stxname, jsonb_build_object('on', s.stxrelid::regclass::text, 'kinds', s.stxkind,
       'columns', (SELECT jsonb_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = s.stxrelid AND a.attnum = ANY (s.stxkeys::int2[])),
       'expressions', pg_catalog.pg_get_expr(s.stxexprs, s.stxrelid))
FROM pg_catalog.pg_statistic_ext AS s WHERE s.stxrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: views
-- Those that read these tables and no others.
WITH RECURSIVE reads (view, relation) AS (
    SELECT r.ev_class, d.refobjid FROM pg_catalog.pg_rewrite AS r
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
    WHERE r.rulename = '_RETURN'
    UNION
    SELECT s.view, d.refobjid FROM reads AS s
    JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = s.relation AND r.rulename = '_RETURN'
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class)
SELECT 'view', c.oid::regclass::text, jsonb_build_object('kind', c.relkind, 'text', pg_catalog.pg_get_viewdef(c.oid), 'options', c.reloptions, 'populated', c.relispopulated,
       'columns', (SELECT jsonb_agg(jsonb_build_array(a.attname, a.atttypid::regtype::text, a.atttypmod) ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a
                   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       'indexes', (SELECT jsonb_agg(pg_catalog.pg_get_indexdef(i.indexrelid) ORDER BY 1) FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid))
FROM pg_catalog.pg_class AS c
WHERE c.relkind IN ('v', 'm')
  AND EXISTS (SELECT FROM reads AS s JOIN pg_catalog.pg_class AS t ON t.oid = s.relation AND t.relkind IN ('r', 'p', 'f') WHERE s.view = c.oid)
  AND NOT EXISTS (SELECT FROM reads AS s JOIN pg_catalog.pg_class AS t ON t.oid = s.relation AND t.relkind IN ('r', 'p', 'f')
                  WHERE s.view = c.oid AND t.oid <> ALL ((SELECT current_setting('syncline.oids'))::oid[]))

-- name: comments
SELECT 'comment', i.type || ' ' || i.identity, to_jsonb(d.description)
FROM pg_catalog.pg_description AS d
LEFT JOIN pg_catalog.pg_constraint AS k ON d.classoid = 'pg_constraint'::regclass AND k.oid = d.objoid
LEFT JOIN pg_catalog.pg_trigger AS t ON d.classoid = 'pg_trigger'::regclass AND t.oid = d.objoid
LEFT JOIN pg_catalog.pg_policy AS p ON d.classoid = 'pg_policy'::regclass AND p.oid = d.objoid
LEFT JOIN pg_catalog.pg_rewrite AS r ON d.classoid = 'pg_rewrite'::regclass AND r.oid = d.objoid
LEFT JOIN pg_catalog.pg_statistic_ext AS s ON d.classoid = 'pg_statistic_ext'::regclass AND s.oid = d.objoid
LEFT JOIN pg_catalog.pg_index AS x ON d.classoid = 'pg_class'::regclass AND x.indexrelid = d.objoid,
     LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
WHERE coalesce(k.conrelid, t.tgrelid, p.polrelid, r.ev_class, s.stxrelid, x.indrelid, CASE WHEN d.classoid = 'pg_class'::regclass THEN d.objoid END)
      = ANY ((SELECT current_setting('syncline.oids'))::oid[])
  AND NOT is_our_trigger(t)

-- name: grants
-- The owner is called so: it is another role over there. Rights that nobody has written are those of a new table.
SELECT 'right', format('%s on %s%s of %s', x.privilege_type, g.name, g.part, CASE WHEN x.grantee = 0 THEN 'everybody' WHEN x.grantee = g.owner THEN 'the owner'
                                                                     ELSE pg_catalog.pg_get_userbyid(x.grantee)::text END), to_jsonb(x.is_grantable)
FROM (SELECT c.oid::regclass::text AS name, '' AS part, c.relowner AS owner, coalesce(c.relacl, acldefault('r', c.relowner)) AS acl
      FROM pg_catalog.pg_class AS c WHERE c.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
      UNION ALL
      SELECT a.attrelid::regclass::text, '.' || quote_ident(a.attname), c.relowner, a.attacl
      FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
      WHERE NOT a.attisdropped AND a.attacl IS NOT NULL AND a.attrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])) AS g,
     LATERAL pg_catalog.aclexplode(g.acl) AS x

-- name: found
SELECT c.oid::bigint, n.nspname, c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
