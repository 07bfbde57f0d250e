-- What the catalog says of the synced tables, down to what tells a change that leaves every description as it was: oids,
-- and xmin of the catalog's own rows. Parameters: "schema" and name of each table side by side.

-- name: entities
SELECT e.id, e.name, e.source_table, e.key_columns, e.capture = 'triggers' AS triggers, coalesce(e.definition -> 'embeds', '[]') AS embeds,
       o.catalog
FROM syncline.entity AS e LEFT JOIN syncline.observed AS o ON o.entity = e.id
ORDER BY e.id

-- name: digest
-- Another value whenever one of the rows looked at changed. (VACUUM FULL and the like change it too; `members` tells.)
WITH RECURSIVE member AS (
    SELECT c.oid, NULL::xid AS linked
    FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS w (schema, name)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
    UNION
    SELECT i.inhrelid, i.xmin FROM member AS m JOIN pg_catalog.pg_inherits AS i ON i.inhparent = m.oid
), used AS (
    SELECT a.atttypid AS oid FROM member AS m JOIN pg_catalog.pg_attribute AS a ON a.attrelid = m.oid AND a.attnum > 0
    WHERE a.atttypid >= 16384
    UNION
    SELECT x.oid FROM used AS u JOIN pg_catalog.pg_type AS t ON t.oid = u.oid CROSS JOIN LATERAL (
        SELECT t.typelem AS oid UNION ALL SELECT t.typbasetype
        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS x WHERE x.oid >= 16384
)
SELECT md5(concat_ws('/',
    (SELECT string_agg(concat_ws(' ', m.oid, m.linked, c.xmin, c.relname, f.columns, f.defaults, f.triggers, f.keys, f.subscribed), ';' ORDER BY m.oid, m.linked::text)
     FROM member AS m JOIN pg_catalog.pg_class AS c ON c.oid = m.oid CROSS JOIN LATERAL (
        SELECT (SELECT string_agg(concat_ws(':', a.attnum, a.xmin), ',' ORDER BY a.attnum)
                FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0) AS columns,
               (SELECT string_agg(concat_ws(':', d.oid, d.xmin), ',' ORDER BY d.oid)
                FROM pg_catalog.pg_attrdef AS d WHERE d.adrelid = c.oid) AS defaults,
               (SELECT string_agg(concat_ws(':', t.oid, t.xmin), ',' ORDER BY t.oid)
                FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS triggers,
               (SELECT string_agg(concat_ws(':', i.indexrelid, i.xmin), ',' ORDER BY i.indexrelid)
                FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique) AS keys,
               EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS s WHERE s.srrelid = c.oid) AS subscribed) AS f),
    (SELECT string_agg(concat_ws(':', e.oid, e.xmin), ',' ORDER BY e.oid) FROM used AS u JOIN pg_catalog.pg_enum AS e ON e.enumtypid = u.oid),
    (SELECT string_agg(concat_ws(':', a.attrelid, a.attnum, a.xmin), ',' ORDER BY a.attrelid, a.attnum)
     FROM used AS u JOIN pg_catalog.pg_type AS t ON t.oid = u.oid JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.typrelid AND a.attnum > 0),
    (SELECT string_agg(concat_ws(':', id, xmin), ',' ORDER BY id) FROM syncline.entity))) AS md5,
    pg_catalog.to_regclass('pglogical.subscription') IS NOT NULL AS pglogical

-- name: own_digest
-- The same of our own schema, and of what somebody may have added to the outbox.
SELECT md5(concat_ws('/', n.nspacl,
    (SELECT string_agg(concat_ws(':', c.oid, c.xmin), ',' ORDER BY c.oid) FROM pg_catalog.pg_class AS c
     WHERE c.relnamespace = n.oid AND c.relname !~ '^history_[0-9]'),
    (SELECT string_agg(concat_ws(':', a.attrelid, a.attnum, a.xmin), ',' ORDER BY a.attrelid, a.attnum)
     FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
     WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p') AND c.relname !~ '^history_[0-9]' AND a.attnum > 0),
    (SELECT string_agg(concat_ws(':', p.oid, p.xmin), ',' ORDER BY p.oid) FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = n.oid),
    (SELECT string_agg(d.oid::text, ',' ORDER BY d.oid) FROM pg_catalog.pg_attrdef AS d WHERE d.adrelid = ANY(o.oids)),
    (SELECT string_agg(i.indexrelid::text, ',' ORDER BY i.indexrelid) FROM pg_catalog.pg_index AS i WHERE i.indrelid = ANY(o.oids)),
    (SELECT string_agg(k.oid::text, ',' ORDER BY k.oid) FROM pg_catalog.pg_constraint AS k WHERE k.conrelid = ANY(o.oids)),
    (SELECT string_agg(concat_ws(':', t.oid, t.xmin), ',' ORDER BY t.oid)
     FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid WHERE c.relnamespace = n.oid AND t.tgparentid = 0),
    (SELECT string_agg(r.oid::text, ',' ORDER BY r.oid)
     FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class WHERE c.relnamespace = n.oid),
    (SELECT s.xmin::text FROM pg_catalog.pg_sequence AS s WHERE s.seqrelid = pg_catalog.to_regclass('syncline.outbox_seq_seq')))) AS md5
FROM pg_catalog.pg_namespace AS n
CROSS JOIN LATERAL (SELECT array(SELECT c.oid FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid AND c.relname IN ('outbox', 'block')) AS oids) AS o
WHERE n.nspname = 'syncline'

-- name: markable
SELECT syncline.markable()

-- name: foreign_rules
-- What can refuse, or leave undone, what a worker writes. (A constraint that does says so by itself, in its error.)
SELECT format('%%s on %%I.%%I', f.what, n.nspname, c.relname) AS rule
FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid CROSS JOIN LATERAL (
    SELECT 'trigger ' || t.tgname AS what FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
    WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgparentid = 0
      AND NOT (p.pronamespace = n.oid AND p.proname = 'remember_trace')
    UNION ALL SELECT 'rule ' || r.rulename FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'
    UNION ALL SELECT 'row-level security' WHERE c.relrowsecurity
) AS f
WHERE n.nspname = 'syncline' AND c.relkind IN ('r', 'p')
ORDER BY 1

-- name: numbers
-- The last number that each table was given, and the highest that it has: somebody may have set a sequence back, which no catalog tells.
SELECT 'certificate' AS name, last_value - (NOT is_called)::int AS given, (SELECT max(id) FROM syncline.certificate) AS highest FROM syncline.certificate_id_seq
UNION ALL SELECT 'deferred', last_value - (NOT is_called)::int, (SELECT max(id) FROM syncline.deferred) FROM syncline.deferred_id_seq
UNION ALL SELECT 'notice', last_value - (NOT is_called)::int, (SELECT max(id) FROM syncline.notice) FROM syncline.notice_id_seq
UNION ALL SELECT 'outbox', last_value - (NOT is_called)::int, greatest((SELECT max(seq) FROM syncline.outbox), (SELECT max(seq) FROM syncline.block), (SELECT max(seq) FROM syncline.history)) FROM syncline.outbox_seq_seq
UNION ALL SELECT 'parked', last_value - (NOT is_called)::int, (SELECT max(id) FROM syncline.parked) FROM syncline.parked_id_seq
UNION ALL SELECT 'task', last_value - (NOT is_called)::int, (SELECT max(id) FROM syncline.task) FROM syncline.task_id_seq
UNION ALL SELECT 'verification', last_value - (NOT is_called)::int, (SELECT max(id) FROM syncline.verification) FROM syncline.verification_id_seq

-- name: owner_shut_out
-- Triggers mark as the owner of their functions, who may be another role than the one that looks.
SELECT pg_catalog.pg_get_userbyid(p.proowner)::text AS owner, pg_catalog.string_agg(DISTINCT c.relname, ', ') AS tables
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_class AS c ON c.relnamespace = p.pronamespace
WHERE p.pronamespace = pg_catalog.to_regnamespace('syncline') AND p.proname ~ '^capture_[0-9]+' AND p.prosecdef
  AND c.relname IN ('outbox', 'block', 'task', 'notice') AND NOT pg_catalog.has_table_privilege(p.proowner, c.oid, 'INSERT')
GROUP BY 1 LIMIT 1

-- name: pglogical_there
SELECT coalesce(pg_catalog.has_schema_privilege('pglogical', 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'), false) AS yes
FROM (SELECT pg_catalog.to_regclass('pglogical.subscription')::oid AS oid) AS c WHERE c.oid IS NOT NULL

-- name: pglogical
-- Which tables a subscription of pglogical writes is not in the catalog: any synced one may be.
SELECT EXISTS (SELECT FROM pglogical.subscription) AS yes

-- name: members
-- The tables with all their partitions and children, and our triggers on them. `fresh`: it came into being as this table's
-- partition, in one transaction. `attributes`: xmin of its columns' descriptions, which a rewrite by ALTER TYPE changes, and
-- VACUUM FULL only where it clears the value that a column had from ADD COLUMN … DEFAULT.
WITH RECURSIVE member AS (
    SELECT w.place, c.oid, c.oid AS root, NULL::xid AS linked
    FROM unnest(%(schemas)s::text[], %(names)s::text[]) WITH ORDINALITY AS w (schema, name, place)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
    UNION
    SELECT m.place, i.inhrelid, m.root, i.xmin FROM member AS m JOIN pg_catalog.pg_inherits AS i ON i.inhparent = m.oid
)
SELECT m.place, c.oid::bigint AS oid, m.oid = m.root AS root, n.nspname || '.' || c.relname AS name, c.relkind::text AS kind,
       c.relispartition AS is_partition, c.relfilenode::bigint AS file,
       NOT c.relispartition AND EXISTS (SELECT FROM pg_catalog.pg_inherits AS p WHERE p.inhrelid = c.oid) AS inherits,
       EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS s WHERE s.srrelid = c.oid) AS subscribed, %(pglogical)s::boolean AS pglogical,
       coalesce(m.linked::text = (SELECT a.xmin::text FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'tableoid'), false) AS fresh,
       (SELECT md5(string_agg(concat_ws(':', a.attnum, a.xmin), ',' ORDER BY a.attnum))
        FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS attributes,
       CASE WHEN m.oid = m.root THEN (
            SELECT json_object_agg(a.attname, json_build_array(a.attnum, a.attgenerated, md5(d.adbin::text)))
            FROM pg_catalog.pg_attribute AS a
            LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated <> ''
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END AS columns,
       (SELECT json_object_agg(t.tgname, json_build_object(
            'version', concat_ws(':', t.oid, t.xmin), 'type', t.tgtype, 'function', p.proname,
            'sound', (t.tgenabled = 'A' OR t.tgenabled = 'R' AND %(pglogical)s::boolean) AND t.tgqual IS NULL AND t.tgattr::text = '',
            'always', t.tgenabled = 'A'))
        FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
        WHERE t.tgrelid = c.oid AND p.pronamespace = 'syncline'::regnamespace) AS triggers
FROM member AS m JOIN pg_catalog.pg_class AS c ON c.oid = m.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY m.place, m.oid <> m.root, c.oid

-- name: empty
-- Waits for a lock; only within a transaction that bounds the wait.
SELECT coalesce(pg_catalog.pg_relation_size(%(oid)s::oid::regclass), 0) = 0 AS empty

-- name: parts
-- Labels of enums and attributes of composites that the tables' columns have, also within arrays, domains and each other.
WITH RECURSIVE used AS (
    SELECT w.place, a.atttypid AS oid
    FROM unnest(%(schemas)s::text[], %(names)s::text[]) WITH ORDINALITY AS w (schema, name, place)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE a.atttypid >= 16384
    UNION
    SELECT u.place, x.oid FROM used AS u JOIN pg_catalog.pg_type AS t ON t.oid = u.oid CROSS JOIN LATERAL (
        SELECT t.typelem AS oid UNION ALL SELECT t.typbasetype
        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS x WHERE x.oid >= 16384
)
SELECT u.place, 'label ' || e.oid AS part, e.enumlabel::text AS name FROM used AS u JOIN pg_catalog.pg_enum AS e ON e.enumtypid = u.oid
UNION ALL
SELECT u.place, concat('attribute ', a.attrelid, '.', a.attnum), concat(a.attname, ' ', a.atttypid)
FROM used AS u JOIN pg_catalog.pg_type AS t ON t.oid = u.oid
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped

-- name: remember
-- Only the worker that saw the change asks for what follows from it. A task that nobody has begun does for all.
WITH kept AS (
    INSERT INTO syncline.observed AS o (entity, catalog) VALUES (%(entity)s, %(new)s)
    ON CONFLICT (entity) DO UPDATE SET catalog = excluded.catalog WHERE o.catalog = %(old)s
    RETURNING o.entity
), asked AS (
    INSERT INTO syncline.task (kind, entity, reason, options)
    SELECT w.kind, k.entity, %(reason)s, w.options::jsonb
    FROM kept AS k, unnest(%(kinds)s::text[], %(options)s::text[]) AS w (kind, options)
    WHERE NOT EXISTS (SELECT FROM syncline.task AS t WHERE t.kind = w.kind AND t.entity = k.entity AND t.claimed_by IS NULL
                      AND t.progress = '{}' AND t.options IN ('{}', w.options::jsonb))
)
SELECT entity FROM kept

-- name: open_notices
-- Those that a look which begins now may judge: what is said later may be of what it does not see.
SELECT id, entity FROM syncline.notice WHERE name = %(name)s AND resolved_at IS NULL AND entity IS NOT NULL

-- name: end_seen
UPDATE syncline.notice SET resolved_at = clock_timestamp()
WHERE id = ANY(%(seen)s::bigint[]) AND resolved_at IS NULL AND entity <> ALL(%(still)s::text[])
RETURNING id

-- name: resolve
-- What is not so any more.
UPDATE syncline.notice SET resolved_at = clock_timestamp()
WHERE name = %(name)s AND resolved_at IS NULL AND at < %(before)s AND NOT message = ANY(%(still)s::text[])
RETURNING id

-- name: clock
SELECT clock_timestamp()
