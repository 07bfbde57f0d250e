-- What the catalog says about tables. Parameters are psycopg's.

-- name: shapes
-- The tables named in %(names)s ("schema" and name side by side), or all of %(schemas)s, or all that are not the system's.
WITH RECURSIVE rel AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispartition, c.relrowsecurity, c.reltuples
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND CASE WHEN %(names)s::text[] IS NOT NULL THEN
                    n.nspname = ANY(%(schemas)s::text[])
                    AND (n.nspname::text, c.relname::text) IN (SELECT * FROM unnest(%(schemas)s::text[], %(names)s::text[]))
               WHEN %(schemas)s::text[] IS NOT NULL THEN n.nspname = ANY(%(schemas)s::text[])
               ELSE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT is_ours(n) END
), resolved AS (
    -- Domains, arrays and domains over arrays, down to the type that has its own values.
    SELECT a.attrelid, a.attnum, t.oid, t.typname, t.typtype, t.typbasetype, t.typtypmod, a.atttypmod AS typmod,
           false AS is_array, t.typelem, t.typsubscript, t.oid AS value_type, t.typtype <> 'd' AS fixed
    FROM rel JOIN pg_catalog.pg_attribute AS a ON a.attrelid = rel.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    UNION ALL
    SELECT r.attrelid, r.attnum, t.oid, t.typname, t.typtype, t.typbasetype, t.typtypmod,
           CASE WHEN r.typtype = 'd' THEN greatest(r.typmod, r.typtypmod) ELSE r.typmod END,
           r.is_array OR r.typtype <> 'd', t.typelem, t.typsubscript,
           CASE WHEN r.fixed THEN r.value_type ELSE t.oid END, r.fixed OR t.typtype <> 'd'
    FROM resolved AS r
    JOIN pg_catalog.pg_type AS t ON t.oid = CASE WHEN r.typtype = 'd' THEN r.typbasetype ELSE r.typelem END
    WHERE r.typtype = 'd' OR r.typsubscript = 'pg_catalog.array_subscript_handler'::regproc AND r.typelem <> 0
), base AS (
    SELECT r.* FROM resolved AS r
    WHERE r.typtype <> 'd' AND NOT (r.typsubscript = 'pg_catalog.array_subscript_handler'::regproc AND r.typelem <> 0)
), cols AS (
    SELECT a.attrelid, json_agg(json_build_object(
        'name', a.attname,
        'type', CASE WHEN tn.nspname = 'pg_catalog' THEN pg_catalog.format_type(a.atttypid, a.atttypmod)
                     ELSE pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(coalesce(e.typname, t.typname))
                          || CASE WHEN a.atttypmod >= 0
                                  THEN coalesce(substring(pg_catalog.format_type(a.atttypid, a.atttypmod) FROM '\([^()]*\)(?=(?:\[\])?$)'), '')
                                  ELSE '' END
                          || CASE WHEN e.oid IS NULL THEN '' ELSE '[]' END END,
        'base', CASE b.typtype WHEN 'e' THEN 'enum' WHEN 'c' THEN 'composite' WHEN 'r' THEN 'range' WHEN 'm' THEN 'multirange'
                               ELSE b.typname::text END,
        'oid', b.value_type::bigint,
        'array', b.is_array,
        'not_null', a.attnotnull AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_constraint AS k
            WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated),
        'scale', CASE WHEN b.typname = 'numeric' AND b.typmod >= 4 THEN (((b.typmod - 4) & 2047) # 1024) - 1024 END,
        'number', a.attnum,
        'precision', CASE WHEN b.typname = 'numeric' AND b.typmod >= 4 THEN ((b.typmod - 4) >> 16) & 65535 END,
        'deterministic', coalesce(l.collisdeterministic, true),
        'virtual', a.attgenerated = 'v'
    ) ORDER BY a.attnum) AS columns
    FROM base AS b
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = b.attrelid AND a.attnum = b.attnum
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_type AS e ON e.oid = t.typelem AND t.typsubscript = 'pg_catalog.array_subscript_handler'::regproc
    JOIN pg_catalog.pg_namespace AS tn ON tn.oid = coalesce(e.typnamespace, t.typnamespace)
    LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation
    GROUP BY a.attrelid
), keys AS (
    SELECT u.indrelid, json_agg(json_build_array(u.indisprimary, u.columns) ORDER BY u.indisprimary DESC, u.indexrelid) AS keys
    FROM (
        SELECT i.indrelid, i.indexrelid, i.indisprimary, json_agg(a.attname ORDER BY k.place) AS columns
        FROM rel JOIN pg_catalog.pg_index AS i ON i.indrelid = rel.oid
        CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE i.indisunique AND i.indisvalid AND NOT i.indisexclusion AND i.indpred IS NULL AND i.indexprs IS NULL
          AND k.place <= i.indnkeyatts
        GROUP BY i.indrelid, i.indexrelid, i.indisprimary, i.indnkeyatts
        HAVING bool_and(a.attnotnull)
    ) AS u
    GROUP BY u.indrelid
), family AS (
    SELECT rel.oid AS root, rel.oid AS member FROM rel
    UNION ALL
    SELECT f.root, i.inhrelid FROM family AS f JOIN pg_catalog.pg_inherits AS i ON i.inhparent = f.member
), size AS (
    SELECT f.root, sum(greatest(c.reltuples, 0))::bigint AS rows, count(*) > 1 AS children
    FROM family AS f JOIN pg_catalog.pg_class AS c ON c.oid = f.member AND c.relkind <> 'p'
    GROUP BY f.root
)
SELECT rel.nspname::text AS schema, rel.relname::text AS name, rel.oid::bigint AS oid, rel.relkind::text AS kind,
       coalesce(cols.columns, '[]') AS columns, coalesce(keys.keys, '[]') AS keys,
       rel.relispartition AS is_partition,
       NOT rel.relispartition AND EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = rel.oid) AS inherits,
       rel.relkind <> 'p' AND EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = rel.oid) AS has_children,
       rel.relrowsecurity AS row_security,
       coalesce(size.rows, 0) AS estimated_rows
FROM rel
LEFT JOIN cols ON cols.attrelid = rel.oid
LEFT JOIN keys ON keys.indrelid = rel.oid
LEFT JOIN size ON size.root = rel.oid
ORDER BY rel.nspname, rel.relname

-- name: any_plan
SELECT set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true), set_config('enable_sort', 'on', true),
       set_config('enable_seqscan', 'on', true)

-- name: table_names
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT is_ours(n)

-- name: fingerprint
-- Another value when a table, its columns, partitions, inheritance children, keys or replication changed.
WITH RECURSIVE named AS (
    SELECT c.oid FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS w (schema, name)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
), member AS (
    SELECT oid FROM named
    UNION
    SELECT i.inhrelid FROM member JOIN pg_catalog.pg_inherits AS i ON i.inhparent = member.oid
)
SELECT md5(coalesce(string_agg(concat_ws(' ', c.oid, c.relname, c.relkind, c.relispartition, f.columns, f.keys, f.subscribed), E'\n' ORDER BY c.oid), ''))
FROM member JOIN pg_catalog.pg_class AS c ON c.oid = member.oid
CROSS JOIN LATERAL (
    SELECT (SELECT string_agg(concat_ws(':', a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attcollation), ',' ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
           (SELECT string_agg(concat_ws(':', i.indexrelid, i.indkey, i.indisprimary), ',' ORDER BY i.indexrelid)
            FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid) AS keys,
           EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS s WHERE s.srrelid = c.oid) AS subscribed
) AS f
