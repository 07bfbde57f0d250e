-- What the other side has, and what it lets this role do. Reads only.

-- name: server
SELECT current_setting('server_version_num')::int, pg_catalog.pg_is_in_recovery(), d.datname, pg_catalog.pg_encoding_to_char(d.encoding),
       d.datcollate || CASE to_jsonb(d) ->> 'datlocprovider' WHEN 'i' THEN ' (icu)' WHEN 'b' THEN ' (builtin)' ELSE '' END,
       current_user, (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
       pg_catalog.has_database_privilege(d.oid, 'CREATE'),
       pg_catalog.has_schema_privilege('public', 'CREATE')
FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()

-- name: there
SELECT a.type, a.object_names, a.object_args
FROM (SELECT oid, 'pg_class'::regclass AS class FROM pg_catalog.pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I', 'c')
      UNION ALL SELECT oid, 'pg_type'::regclass FROM pg_catalog.pg_type WHERE oid >= 16384
      UNION ALL SELECT oid, 'pg_proc'::regclass FROM pg_catalog.pg_proc WHERE oid >= 16384
      UNION ALL SELECT oid, 'pg_constraint'::regclass FROM pg_catalog.pg_constraint WHERE oid >= 16384
      UNION ALL SELECT oid, 'pg_trigger'::regclass FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
      UNION ALL SELECT oid, 'pg_policy'::regclass FROM pg_catalog.pg_policy
      UNION ALL SELECT oid, 'pg_statistic_ext'::regclass FROM pg_catalog.pg_statistic_ext
      UNION ALL SELECT oid, 'pg_rewrite'::regclass FROM pg_catalog.pg_rewrite WHERE oid >= 16384 AND rulename <> '_RETURN'
      UNION ALL SELECT oid, 'pg_collation'::regclass FROM pg_catalog.pg_collation WHERE oid >= 16384
      UNION ALL SELECT oid, 'pg_namespace'::regclass FROM pg_catalog.pg_namespace
      UNION ALL SELECT oid, 'pg_extension'::regclass FROM pg_catalog.pg_extension
      UNION ALL SELECT oid, 'pg_operator'::regclass FROM pg_catalog.pg_operator WHERE oid >= 16384
      UNION ALL SELECT oid, 'pg_opclass'::regclass FROM pg_catalog.pg_opclass WHERE oid >= 16384
      UNION ALL SELECT oid, 'pg_opfamily'::regclass FROM pg_catalog.pg_opfamily WHERE oid >= 16384
      UNION ALL SELECT oid, 'pg_ts_config'::regclass FROM pg_catalog.pg_ts_config WHERE oid >= 16384
      UNION ALL SELECT oid, 'pg_ts_dict'::regclass FROM pg_catalog.pg_ts_dict WHERE oid >= 16384
      UNION ALL SELECT oid, 'pg_language'::regclass FROM pg_catalog.pg_language
      UNION ALL SELECT oid, 'pg_am'::regclass FROM pg_catalog.pg_am) AS o,
     LATERAL pg_catalog.pg_identify_object_as_address(o.class, o.oid, 0) AS a
WHERE a.type IS NOT NULL

-- name: states
-- What steps of later phases bring about, in their words.
SELECT a.type || ': ' || s.state, a.object_names, a.object_args
FROM (SELECT oid, 'pg_constraint'::regclass AS class, 'validated' AS state FROM pg_catalog.pg_constraint WHERE contype = 'f' AND convalidated
      UNION ALL SELECT oid, 'pg_constraint'::regclass,
                       CASE WHEN condeferrable THEN 'deferrable initially immediate' ELSE 'not deferrable' END
      FROM pg_catalog.pg_constraint WHERE contype = 'f' AND NOT condeferred
      UNION ALL SELECT oid, 'pg_trigger'::regclass, 'enabled ' || tgenabled::text FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
      UNION ALL SELECT oid, 'pg_rewrite'::regclass, 'enabled ' || ev_enabled::text FROM pg_catalog.pg_rewrite WHERE rulename <> '_RETURN'
      UNION ALL SELECT oid, 'pg_class'::regclass, 'populated' FROM pg_catalog.pg_class WHERE relkind = 'm' AND relispopulated
      UNION ALL SELECT oid, 'pg_class'::regclass, 'row security' FROM pg_catalog.pg_class WHERE relrowsecurity
      UNION ALL SELECT oid, 'pg_class'::regclass, 'row security forced' FROM pg_catalog.pg_class WHERE relforcerowsecurity) AS s,
     LATERAL pg_catalog.pg_identify_object_as_address(s.class, s.oid, 0) AS a
WHERE s.oid >= 16384

-- name: roles
SELECT rolname FROM pg_catalog.pg_roles

-- name: extensions
-- Those that are there, where, and those that could be made: by this role, too, if they are trusted.
SELECT a.name, n.nspname, coalesce((SELECT bool_or(v.trusted OR NOT v.superuser) FROM pg_catalog.pg_available_extension_versions AS v
                                    WHERE v.name = a.name AND v.version = a.default_version), false)
FROM pg_catalog.pg_available_extensions AS a
LEFT JOIN pg_catalog.pg_extension AS e ON e.extname = a.name
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace

-- name: settings
-- By what sessions read and write values, and find names: of this role, and as this database has them for others.
SELECT name, '', coalesce(reset_val, '') FROM pg_catalog.pg_settings
WHERE name IN ('TimeZone', 'DateStyle', 'IntervalStyle', 'search_path', 'default_text_search_config', 'lc_monetary', 'lc_numeric',
               'extra_float_digits', 'bytea_output', 'xmlbinary', 'xmloption', 'array_nulls', 'transform_null_equals',
               'default_transaction_isolation', 'default_transaction_read_only')
UNION ALL
SELECT left(c, strpos(c, '=') - 1), pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(s.setrole)), substr(c, strpos(c, '=') + 1)
FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c
WHERE s.setrole <> 0 AND s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())

-- name: tables
SELECT c.oid::bigint, format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384

-- name: own
-- Types, sequences and functions that are no extension's.
SELECT o.oid::bigint
FROM (SELECT oid, 'pg_type'::regclass AS class FROM pg_catalog.pg_type
      UNION ALL SELECT oid, 'pg_class'::regclass FROM pg_catalog.pg_class WHERE relkind = 'S'
      UNION ALL SELECT oid, 'pg_proc'::regclass FROM pg_catalog.pg_proc) AS o
WHERE o.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e')

-- name: making
-- For the transaction of a step: names as they are written, bodies that are not looked into, rows as the owner sees them.
SELECT set_config(s.name, s.value, true) FROM (VALUES
    ('search_path', ''), ('check_function_bodies', 'off'), ('client_min_messages', 'warning'), ('row_security', 'off'),
    ('DateStyle', 'ISO'), ('IntervalStyle', 'postgres'), ('TimeZone', 'UTC'), ('standard_conforming_strings', 'on'),
    ('xmloption', 'content'), ('default_table_access_method', 'heap'), ('default_tablespace', ''),
    ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), ('lock_timeout', '60s')) AS s (name, value)
