-- What is to be made anew on the other side, read in one transaction. `syncline.oids` lists what is wanted (Python looks at the
-- catalog, too). The server writes the names and the definitions itself: format's %I, and the functions that pg_dump uses.

-- name: session
-- Names with their schemas, values that every server reads the same way; for this transaction only.
SELECT set_config(s.name, s.value, true) FROM (VALUES
    ('search_path', ''), ('DateStyle', 'ISO'), ('IntervalStyle', 'postgres'), ('extra_float_digits', '3'),
    ('TimeZone', 'UTC'), ('bytea_output', 'hex'), ('standard_conforming_strings', 'on'), ('row_security', 'off')) AS s (name, value)

-- name: edges
-- What depends on what, as far as it is not PostgreSQL's own.
SELECT DISTINCT one.relname::text, d.objid::bigint, other.relname::text, d.refobjid::bigint, d.deptype::text
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_class AS one ON one.oid = d.classid
JOIN pg_catalog.pg_class AS other ON other.oid = d.refclassid
WHERE d.refobjid >= 16384 AND d.objid >= 16384

-- name: homes
-- What is made together with something else: of a row type its table, of an index its constraint, and so on.
SELECT 'pg_attrdef', oid::bigint, 'pg_class', adrelid::bigint FROM pg_catalog.pg_attrdef
UNION ALL
SELECT 'pg_rewrite', oid::bigint, 'pg_class', ev_class::bigint FROM pg_catalog.pg_rewrite WHERE rulename = '_RETURN'
UNION ALL
SELECT 'pg_type', c.reltype::bigint, 'pg_class', c.oid::bigint FROM pg_catalog.pg_class AS c WHERE c.reltype <> 0 AND c.relkind <> 'c'
UNION ALL
SELECT 'pg_class', c.oid::bigint, 'pg_type', c.reltype::bigint FROM pg_catalog.pg_class AS c WHERE c.relkind = 'c'
UNION ALL
SELECT 'pg_type', t.typarray::bigint, 'pg_type', t.oid::bigint FROM pg_catalog.pg_type AS t WHERE t.typarray <> 0
UNION ALL
SELECT 'pg_type', rngmultitypid::bigint, 'pg_type', rngtypid::bigint FROM pg_catalog.pg_range
UNION ALL
SELECT 'pg_constraint', oid::bigint, 'pg_type', contypid::bigint FROM pg_catalog.pg_constraint WHERE contypid <> 0
UNION ALL
SELECT 'pg_constraint', oid::bigint, 'pg_class', conrelid::bigint FROM pg_catalog.pg_constraint
WHERE conrelid <> 0 AND contype IN ('c', 'n') AND convalidated
UNION ALL
SELECT 'pg_class', conindid::bigint, 'pg_constraint', oid::bigint FROM pg_catalog.pg_constraint WHERE contype IN ('p', 'u', 'x')
UNION ALL
SELECT 'pg_class', d.objid::bigint, 'pg_class', d.refobjid::bigint
FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'

-- name: attached
-- What goes where its table goes. What a partition has from its parent comes with the parent.
SELECT 'pg_constraint', oid::bigint, conrelid::bigint FROM pg_catalog.pg_constraint
WHERE conrelid <> 0 AND (contype IN ('p', 'u', 'x') OR contype = 'f' AND conparentid = 0
                         OR contype = 'c' AND NOT convalidated AND conparentid = 0)
UNION ALL
SELECT 'pg_class', i.indexrelid::bigint, i.indrelid::bigint FROM pg_catalog.pg_index AS i
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 'pg_trigger', oid::bigint, tgrelid::bigint FROM pg_catalog.pg_trigger AS t
WHERE NOT tgisinternal AND tgparentid = 0 AND NOT is_our_trigger(t)
UNION ALL
SELECT 'pg_policy', oid::bigint, polrelid::bigint FROM pg_catalog.pg_policy
UNION ALL
SELECT 'pg_statistic_ext', oid::bigint, stxrelid::bigint FROM pg_catalog.pg_statistic_ext
UNION ALL
SELECT 'pg_rewrite', oid::bigint, ev_class::bigint FROM pg_catalog.pg_rewrite WHERE rulename <> '_RETURN'
UNION ALL
SELECT 'pg_class', d.objid::bigint, d.refobjid::bigint
FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'

-- name: addresses
-- What each is called wherever it is.
SELECT o.class, o.oid::bigint, a.type, a.object_names, a.object_args, i.identity
FROM (SELECT 'pg_class' AS class, oid, 'pg_class'::regclass AS classid FROM pg_catalog.pg_class
      UNION ALL SELECT 'pg_type', oid, 'pg_type'::regclass FROM pg_catalog.pg_type
      UNION ALL SELECT 'pg_proc', oid, 'pg_proc'::regclass FROM pg_catalog.pg_proc
      UNION ALL SELECT 'pg_constraint', oid, 'pg_constraint'::regclass FROM pg_catalog.pg_constraint
      UNION ALL SELECT 'pg_trigger', oid, 'pg_trigger'::regclass FROM pg_catalog.pg_trigger
      UNION ALL SELECT 'pg_policy', oid, 'pg_policy'::regclass FROM pg_catalog.pg_policy
      UNION ALL SELECT 'pg_statistic_ext', oid, 'pg_statistic_ext'::regclass FROM pg_catalog.pg_statistic_ext
      UNION ALL SELECT 'pg_rewrite', oid, 'pg_rewrite'::regclass FROM pg_catalog.pg_rewrite
      UNION ALL SELECT 'pg_collation', oid, 'pg_collation'::regclass FROM pg_catalog.pg_collation
      UNION ALL SELECT 'pg_namespace', oid, 'pg_namespace'::regclass FROM pg_catalog.pg_namespace
      UNION ALL SELECT 'pg_extension', oid, 'pg_extension'::regclass FROM pg_catalog.pg_extension
      UNION ALL SELECT 'pg_operator', oid, 'pg_operator'::regclass FROM pg_catalog.pg_operator
      UNION ALL SELECT 'pg_opclass', oid, 'pg_opclass'::regclass FROM pg_catalog.pg_opclass
      UNION ALL SELECT 'pg_opfamily', oid, 'pg_opfamily'::regclass FROM pg_catalog.pg_opfamily
      UNION ALL SELECT 'pg_ts_config', oid, 'pg_ts_config'::regclass FROM pg_catalog.pg_ts_config
      UNION ALL SELECT 'pg_ts_dict', oid, 'pg_ts_dict'::regclass FROM pg_catalog.pg_ts_dict
      UNION ALL SELECT 'pg_language', oid, 'pg_language'::regclass FROM pg_catalog.pg_language
      UNION ALL SELECT 'pg_am', oid, 'pg_am'::regclass FROM pg_catalog.pg_am) AS o,
     LATERAL pg_catalog.pg_identify_object_as_address(o.classid, o.oid, 0) AS a,
     LATERAL pg_catalog.pg_identify_object(o.classid, o.oid, 0) AS i
WHERE o.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: schemas
SELECT 'pg_namespace', n.oid::bigint, 'schema', ARRAY[format('CREATE SCHEMA %I', n.nspname)]
FROM pg_catalog.pg_namespace AS n WHERE n.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: extensions
SELECT 'pg_extension', e.oid::bigint, 'extension', ARRAY[format('CREATE EXTENSION %I WITH SCHEMA %I', e.extname, n.nspname)]
FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: collations
-- What a release names otherwise is read by its name.
SELECT 'pg_collation', c.oid::bigint, 'collation', ARRAY[format('CREATE COLLATION %I.%I (%s)', n.nspname, c.collname, concat_ws(', ',
        'provider = ' || CASE c.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
        CASE WHEN v.locale IS NOT NULL THEN format('locale = %L', v.locale)
             WHEN c.collcollate = c.collctype THEN format('locale = %L', c.collcollate)
             ELSE format('lc_collate = %L, lc_ctype = %L', c.collcollate, c.collctype) END,
        CASE WHEN NOT c.collisdeterministic THEN 'deterministic = false' END,
        format('rules = %L', v.rules)))]
FROM pg_catalog.pg_collation AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace,
     LATERAL (SELECT coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale'),
                     to_jsonb(c) ->> 'collicurules') AS v (locale, rules)
WHERE c.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: enums
SELECT 'pg_type', t.oid::bigint, 'type', ARRAY[format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, t.typname,
    (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid))]
FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.typtype = 'e' AND t.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: composites
SELECT 'pg_type', t.oid::bigint, 'type', ARRAY[format('CREATE TYPE %I.%I AS (%s)', n.nspname, t.typname,
    (SELECT string_agg(format('%I %s%s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
                              CASE WHEN a.attcollation <> y.typcollation THEN ' COLLATE ' || a.attcollation::regcollation::text ELSE '' END),
                       ', ' ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
     WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped))]
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid AND c.relkind = 'c'
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: domains
SELECT 'pg_type', t.oid::bigint, 'domain', array_prepend(
    format('CREATE DOMAIN %I.%I AS %s%s%s%s', n.nspname, t.typname, pg_catalog.format_type(t.typbasetype, t.typtypmod),
           CASE WHEN t.typcollation <> b.typcollation THEN ' COLLATE ' || t.typcollation::regcollation::text ELSE '' END,
           ' DEFAULT ' || coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)),
           CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END),
    ARRAY(SELECT format('ALTER DOMAIN %I.%I ADD CONSTRAINT %I %s', n.nspname, t.typname, k.conname, pg_catalog.pg_get_constraintdef(k.oid))
          FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid AND k.contype = 'c' ORDER BY k.conname))
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_type AS b ON b.oid = t.typbasetype
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.typtype = 'd' AND t.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: ranges
-- One with a function of its own for the canonical form needs a type that is not finished: it is not made here.
SELECT 'pg_type', t.oid::bigint, 'type', ARRAY[format('CREATE TYPE %I.%I AS RANGE (%s)', n.nspname, t.typname, concat_ws(', ',
        'subtype = ' || pg_catalog.format_type(r.rngsubtype, NULL),
        format('subtype_opclass = %I.%I', own.nspname, o.opcname),
        CASE WHEN r.rngcollation <> 0 THEN 'collation = ' || r.rngcollation::regcollation::text END,
        CASE WHEN r.rngsubdiff <> 0 THEN 'subtype_diff = ' || r.rngsubdiff::regproc::text END,
        format('multirange_type_name = %I.%I', mn.nspname, m.typname)))]
FROM pg_catalog.pg_range AS r
JOIN pg_catalog.pg_type AS t ON t.oid = r.rngtypid
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
JOIN pg_catalog.pg_type AS m ON m.oid = r.rngmultitypid
JOIN pg_catalog.pg_namespace AS mn ON mn.oid = m.typnamespace
JOIN pg_catalog.pg_opclass AS o ON o.oid = r.rngsubopc
JOIN pg_catalog.pg_namespace AS own ON own.oid = o.opcnamespace
WHERE r.rngcanonical = 0 AND t.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: functions
SELECT 'pg_proc', p.oid::bigint, CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
       ARRAY[pg_catalog.pg_get_functiondef(p.oid)]
FROM pg_catalog.pg_proc AS p
WHERE p.prokind IN ('f', 'p', 'w') AND p.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: sequences
SELECT 'pg_class', c.oid::bigint, 'sequence', ARRAY[format(
    'CREATE %sSEQUENCE %I.%I AS %s START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s%s',
    CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, n.nspname, c.relname, pg_catalog.format_type(s.seqtypid, NULL),
    s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END)]
FROM pg_catalog.pg_sequence AS s
JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE s.seqrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i')

-- name: owned
-- The table, and the statement that makes one of its columns the owner of a sequence.
SELECT d.refobjid::bigint, format('ALTER SEQUENCE %I.%I OWNED BY %I.%I.%I', n.nspname, s.relname, tn.nspname, t.relname, a.attname)
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.relnamespace
JOIN pg_catalog.pg_class AS t ON t.oid = d.refobjid
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'
  AND d.refobjid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
ORDER BY 2

-- name: tables
SELECT c.oid::bigint, format('%I.%I', n.nspname, c.relname), c.relkind::text, c.relpersistence::text, am.amname,
       CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
       CASE WHEN c.relispartition THEN (SELECT i.inhparent::regclass::text FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid) END,
       pg_catalog.pg_get_expr(c.relpartbound, c.oid),
       CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END,
       c.relreplident::text, c.relrowsecurity, c.relforcerowsecurity,
       ARRAY(SELECT format('%I=%L', left(o, strpos(o, '=') - 1), substr(o, strpos(o, '=') + 1)) FROM unnest(c.reloptions) AS o)
           || ARRAY(SELECT format('toast.%I=%L', left(o, strpos(o, '=') - 1), substr(o, strpos(o, '=') + 1))
                    FROM pg_catalog.pg_class AS t, unnest(t.reloptions) AS o WHERE t.oid = c.reltoastrelid),
       pg_catalog.pg_relation_filenode(c.oid)::bigint
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_am AS am ON am.oid = c.relam
WHERE c.relkind IN ('r', 'p') AND c.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: columns
-- What storage and compression differ from the type's own; the name of a NOT NULL; the value that rows have which were there
-- when the column came.
-- (Where all names are quoted, PostgreSQL 15 quotes this name of a type too, and 18 does not.)
SELECT a.attrelid::bigint, a.attnum::int, a.attname, quote_ident(a.attname),
       pg_catalog.regexp_replace(pg_catalog.format_type(a.atttypid, a.atttypmod), '^"json"', 'json'),
       CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
       a.attnotnull, (SELECT quote_ident(k.conname) FROM pg_catalog.pg_constraint AS k
                      WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum] LIMIT 1),
       pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attgenerated::text, a.attidentity::text,
       (SELECT format('SEQUENCE NAME %I.%I START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s%s', sn.nspname, s.relname,
                      q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END)
        FROM pg_catalog.pg_depend AS p
        JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = p.objid
        JOIN pg_catalog.pg_class AS s ON s.oid = q.seqrelid
        JOIN pg_catalog.pg_namespace AS sn ON sn.oid = s.relnamespace
        WHERE a.attidentity <> '' AND p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass
          AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum AND p.deptype = 'i'),
       CASE WHEN a.attstorage <> t.typstorage
            THEN CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
       CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
       CASE WHEN a.attstattarget >= 0 THEN a.attstattarget::int END,
       ARRAY(SELECT format('%I=%L', left(o, strpos(o, '=') - 1), substr(o, strpos(o, '=') + 1)) FROM unnest(a.attoptions) AS o),
       CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
ORDER BY a.attrelid, a.attnum

-- name: constraints
-- Of tables, checks that hold among them; the index that makes a replica identity or an order of the rows; its parent's index.
SELECT k.oid::bigint, k.conrelid::bigint, k.contype::text, quote_ident(k.conname), pg_catalog.pg_get_constraintdef(k.oid),
       k.convalidated, k.condeferrable, k.condeferred, k.conrelid::regclass::text, c.relkind::text,
       i.indisreplident, i.indisclustered, k.conindid::regclass::text,
       (SELECT h.inhparent::regclass::text FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = k.conindid AND k.contype <> 'f'),
       k.confrelid::bigint
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = k.conindid AND k.contype <> 'f'
WHERE k.contype IN ('c', 'p', 'u', 'x', 'f') AND (k.contype <> 'f' OR k.conparentid = 0)
  AND k.conrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
ORDER BY k.conrelid, k.conname

-- name: indexes
SELECT i.indexrelid::bigint, i.indrelid::bigint, i.indexrelid::regclass::text, pg_catalog.pg_get_indexdef(i.indexrelid), i.indisunique,
       i.indisreplident, i.indisclustered, i.indrelid::regclass::text, (SELECT quote_ident(c.relname) FROM pg_catalog.pg_class AS c WHERE c.oid = i.indexrelid),
       (SELECT h.inhparent::regclass::text FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = i.indexrelid), i.indisvalid,
       ARRAY(SELECT format('ALTER COLUMN %s SET STATISTICS %s', a.attnum, a.attstattarget) FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0 ORDER BY a.attnum)
FROM pg_catalog.pg_index AS i
WHERE i.indexrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))

-- name: triggers
SELECT t.oid::bigint, t.tgrelid::bigint, quote_ident(t.tgname), pg_catalog.pg_get_triggerdef(t.oid), t.tgenabled::text, t.tgrelid::regclass::text,
       c.relkind::text
FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND NOT is_our_trigger(t) AND t.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: rules
SELECT r.oid::bigint, r.ev_class::bigint, quote_ident(r.rulename), rtrim(pg_catalog.pg_get_ruledef(r.oid), ';'), r.ev_enabled::text, r.ev_class::regclass::text,
       c.relkind::text
FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
WHERE r.rulename <> '_RETURN' AND r.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: policies
SELECT p.oid::bigint, p.polrelid::bigint, quote_ident(p.polname), format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname,
        p.polrelid::regclass, CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
        CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
        (SELECT string_agg(CASE WHEN o = 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(o)) END, ', ') FROM unnest(p.polroles) AS o),
        ' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
        ' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
       ARRAY(SELECT pg_catalog.pg_get_userbyid(o)::text FROM unnest(p.polroles) AS o WHERE o <> 0)
FROM pg_catalog.pg_policy AS p WHERE p.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: statistics
SELECT s.oid::bigint, s.stxrelid::bigint, format('%I.%I', n.nspname, s.stxname), array_remove(ARRAY[pg_catalog.pg_get_statisticsobjdef(s.oid),
       CASE WHEN (to_jsonb(s) ->> 'stxstattarget')::int >= 0 THEN format('ALTER STATISTICS %I.%I SET STATISTICS %s', n.nspname, s.stxname,
                                                                        to_jsonb(s) ->> 'stxstattarget') END], NULL)
FROM pg_catalog.pg_statistic_ext AS s JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace
WHERE s.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: views
SELECT c.oid::bigint, format('%I.%I', n.nspname, c.relname), c.relkind::text, rtrim(pg_catalog.pg_get_viewdef(c.oid), ';'), c.relispopulated,
       array_to_string(ARRAY(SELECT format('%I=%L', left(o, strpos(o, '=') - 1), substr(o, strpos(o, '=') + 1)) FROM unnest(c.reloptions) AS o), ', '),
       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       ARRAY(SELECT format('ALTER VIEW %I.%I ALTER COLUMN %I SET DEFAULT %s', n.nspname, c.relname, a.attname, pg_catalog.pg_get_expr(d.adbin, d.adrelid))
             FROM pg_catalog.pg_attrdef AS d JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
             WHERE d.adrelid = c.oid ORDER BY a.attnum)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND c.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: comments
SELECT c.relname::text, d.objoid::bigint, format('COMMENT ON %s %s IS ',
       CASE WHEN i.type LIKE '%column' THEN 'COLUMN' WHEN i.type LIKE '%constraint' THEN 'CONSTRAINT'
            WHEN i.type = 'statistics object' THEN 'STATISTICS' ELSE upper(i.type) END,
       CASE WHEN i.type = 'domain constraint' THEN (SELECT format('%I ON DOMAIN %s', k.conname, pg_catalog.format_type(k.contypid, NULL))
                                                    FROM pg_catalog.pg_constraint AS k WHERE k.oid = d.objoid)
            ELSE i.identity END), quote_literal(d.description)
FROM pg_catalog.pg_description AS d
JOIN pg_catalog.pg_class AS c ON c.oid = d.classoid, LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
WHERE d.objoid >= 16384 AND d.classoid <> 'pg_extension'::regclass
ORDER BY d.objsubid, 3

-- name: grants
-- Rights of everybody but the owner, whose place the role on the other side takes. What PUBLIC has of itself is taken first.
SELECT g.class, g.oid::bigint, g.word, g.identity, g.columns,
       CASE WHEN x.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(x.grantee)::text END AS role, x.privilege_type, x.is_grantable
FROM (SELECT 'pg_class' AS class, c.oid, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS word,
             format('%I.%I', n.nspname, c.relname) AS identity, '' AS columns, c.relacl AS acl, c.relowner AS owner
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S')
      UNION ALL
      SELECT 'pg_class', c.oid, 'TABLE', format('%I.%I', n.nspname, c.relname), format(' (%I)', a.attname), a.attacl, c.relowner
      FROM pg_catalog.pg_attribute AS a
      JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
      UNION ALL
      SELECT 'pg_namespace', n.oid, 'SCHEMA', quote_ident(n.nspname), '', n.nspacl, n.nspowner FROM pg_catalog.pg_namespace AS n
      WHERE n.nspname <> 'public'
      UNION ALL
      SELECT 'pg_proc', p.oid, CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.oid::regprocedure::text, '', p.proacl, p.proowner
      FROM pg_catalog.pg_proc AS p
      UNION ALL
      SELECT 'pg_type', t.oid, 'TYPE', pg_catalog.format_type(t.oid, NULL), '', t.typacl, t.typowner FROM pg_catalog.pg_type AS t) AS g,
     LATERAL pg_catalog.aclexplode(g.acl) AS x
WHERE x.grantee <> g.owner AND g.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
ORDER BY 1, 2, 5, 6, 7

-- name: closed
-- Functions and types on which PUBLIC has lost what it has of itself.
SELECT 'pg_proc', p.oid::bigint, format('REVOKE ALL ON %s %s FROM PUBLIC', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.oid::regprocedure)
FROM pg_catalog.pg_proc AS p
WHERE p.proacl IS NOT NULL AND p.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
  AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(p.proacl) AS x WHERE x.grantee = 0)
UNION ALL
SELECT 'pg_type', t.oid::bigint, format('REVOKE ALL ON TYPE %s FROM PUBLIC', pg_catalog.format_type(t.oid, NULL))
FROM pg_catalog.pg_type AS t
WHERE t.typacl IS NOT NULL AND t.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
  AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(t.typacl) AS x WHERE x.grantee = 0)

-- name: oddities
-- What does not come along, or otherwise: which table, which sort, its name.
SELECT c.oid::bigint, 'unlogged', '' FROM pg_catalog.pg_class AS c WHERE c.relkind = 'r' AND c.relpersistence = 'u'
UNION ALL
SELECT c.oid::bigint, 'tablespace', s.spcname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_tablespace AS s ON s.oid = c.reltablespace
WHERE c.relkind IN ('r', 'p')
UNION ALL
SELECT r.prrelid::bigint, 'publication', p.pubname FROM pg_catalog.pg_publication_rel AS r JOIN pg_catalog.pg_publication AS p ON p.oid = r.prpubid
UNION ALL
SELECT a.attrelid::bigint, 'large_objects', a.attname FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid AND (t.typname = 'lo' OR t.oid = 'oid'::regtype)
WHERE a.attnum > 0 AND NOT a.attisdropped AND EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)
UNION ALL
SELECT c.oid::bigint, 'foreign_table', '' FROM pg_catalog.pg_class AS c WHERE c.relkind = 'f'
UNION ALL
SELECT i.inhparent::bigint, 'inheritance', i.inhrelid::regclass::text FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relkind = 'r' AND NOT c.relispartition
UNION ALL
SELECT i.inhrelid::bigint, 'inheritance', i.inhparent::regclass::text FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relkind = 'r' AND NOT c.relispartition
UNION ALL
SELECT s.objoid::bigint, 'security_label', s.provider FROM pg_catalog.pg_seclabel AS s WHERE s.classoid = 'pg_class'::regclass
UNION ALL
SELECT i.indrelid::bigint, 'invalid_index', i.indexrelid::regclass::text FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND c.relkind = 'i' WHERE NOT i.indisvalid
UNION ALL
SELECT c.oid::bigint, 'no_key', '' FROM pg_catalog.pg_class AS c
WHERE c.relkind IN ('r', 'p') AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL
      AND NOT EXISTS (SELECT FROM unnest(i.indkey) AS k LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k AND k > 0
                      WHERE a.attnotnull IS NOT TRUE))
UNION ALL
SELECT 0, 'event_trigger', e.evtname FROM pg_catalog.pg_event_trigger AS e WHERE e.evtenabled <> 'D'
ORDER BY 1, 2, 3

-- name: sizes
SELECT c.oid::bigint, greatest(c.reltuples, 0)::bigint, pg_catalog.pg_total_relation_size(c.oid)
FROM pg_catalog.pg_class AS c WHERE c.relkind IN ('r', 'p') AND c.oid = ANY ((SELECT current_setting('syncline.oids'))::oid[])

-- name: move_sequences
-- Every sequence that gives a moving table its numbers: who owns it, and each column whose default draws from it.
SELECT format('%I.%I', n.nspname, c.relname), pg_catalog.format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
       s.seqcycle, s.seqcache, o.owner, o.identity, coalesce(u.users, '{}')
FROM pg_catalog.pg_sequence AS s
JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (SELECT format('%s.%I', d.refobjid::regclass, a.attname) AS owner, d.deptype = 'i' AS identity, d.refobjid
                   FROM pg_catalog.pg_depend AS d
                   JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                   WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
                     AND d.deptype IN ('a', 'i')) AS o ON true
LEFT JOIN LATERAL (SELECT array_agg(format('%s.%I', f.adrelid::regclass, a.attname) ORDER BY 1) AS users, array_agg(f.adrelid) AS tables
                   FROM pg_catalog.pg_depend AS d
                   JOIN pg_catalog.pg_attrdef AS f ON f.oid = d.objid
                   JOIN pg_catalog.pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
                   WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid) AS u ON true
WHERE o.refobjid = ANY ((SELECT current_setting('syncline.oids'))::oid[]) OR u.tables && (SELECT current_setting('syncline.oids'))::oid[]
ORDER BY 1

-- name: column_sequences
-- Those that a column of these tables owns or draws from.
SELECT d.objid::bigint FROM pg_catalog.pg_depend AS d
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
  AND d.refobjid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
UNION
SELECT d.refobjid::bigint FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_attrdef AS f ON f.oid = d.objid
WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
  AND f.adrelid = ANY ((SELECT current_setting('syncline.oids'))::oid[])
