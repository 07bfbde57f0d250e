-- Makes one PostgreSQL 18 database behave like CockroachDB towards the role crdb. Run it as a superuser; connect as crdb,
-- through the proxy. What is from CockroachDB's documentation names the page (cockroachlabs.com/docs/stable/…).

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'crdb') THEN CREATE ROLE crdb LOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

CREATE SCHEMA crdb_sim;
CREATE SCHEMA crdb_internal;
GRANT USAGE ON SCHEMA crdb_sim, crdb_internal TO PUBLIC;
GRANT CREATE, USAGE ON SCHEMA public TO crdb;

-- transactions: SERIALIZABLE is the default. Our functions come before PostgreSQL's.
DO $$ BEGIN
    EXECUTE format('ALTER ROLE crdb IN DATABASE %I SET default_transaction_isolation = serializable', current_database());
    EXECUTE format('ALTER ROLE crdb IN DATABASE %I SET search_path = public, crdb_sim, pg_catalog', current_database());
    EXECUTE format('ALTER DATABASE %I SET crdb.retry_p = ''0''', current_database());
    EXECUTE format('GRANT CREATE ON DATABASE %I TO crdb', current_database());
END $$;

-- functions-and-operators: unique_rowid() is time and node: unique, not in the order of commits. Here the clock jumps back and
-- forth by up to 1 ms, and the node is another one each time.
CREATE SEQUENCE crdb_sim.nodes;
GRANT USAGE ON SEQUENCE crdb_sim.nodes TO PUBLIC;
CREATE FUNCTION crdb_sim.unique_rowid() RETURNS bigint LANGUAGE sql VOLATILE
    AS $$ SELECT (((extract(epoch FROM clock_timestamp()) * 100000)::bigint - floor(random() * 3)::bigint * 50) << 15)
                 | (nextval('crdb_sim.nodes') * 20021 & 32767) $$;

-- functions-and-operators: an error in an isolation level weaker than SERIALIZABLE; as-of-system-time: the format.
CREATE FUNCTION crdb_sim.cluster_logical_timestamp() RETURNS numeric LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF coalesce(current_setting('crdb.as_of', true), '') <> '' THEN
        RETURN current_setting('crdb.as_of')::numeric;
    END IF;
    IF current_setting('transaction_isolation') <> 'serializable' THEN
        RAISE EXCEPTION 'unsupported in % isolation', current_setting('transaction_isolation') USING ERRCODE = '0A000';
    END IF;
    RETURN (extract(epoch FROM clock_timestamp()) * 1e9)::numeric(30, 0) + 0.0000000001;
END $$;

CREATE FUNCTION crdb_sim.crc32_of(bytea) RETURNS bigint LANGUAGE internal IMMUTABLE STRICT AS 'crc32_bytea';
CREATE FUNCTION crdb_sim.crc32ieee(VARIADIC text[]) RETURNS bigint LANGUAGE sql IMMUTABLE
    AS $$ SELECT crdb_sim.crc32_of(convert_to(array_to_string($1, ''), 'UTF8')) $$;
CREATE FUNCTION crdb_sim.fnv32(VARIADIC text[]) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    hash bigint := 2166136261;
    bytes bytea := convert_to(array_to_string($1, ''), 'UTF8');
BEGIN
    FOR i IN 0..length(bytes) - 1 LOOP
        hash := ((hash * 16777619) & 4294967295) # get_byte(bytes, i);
    END LOOP;
    RETURN hash;
END $$;

CREATE FUNCTION crdb_internal.cluster_id() RETURNS uuid LANGUAGE sql SECURITY DEFINER
    AS $$ SELECT md5(system_identifier::text || current_database())::uuid FROM pg_control_system() $$;

-- Advisory locks exist and lock nothing (cockroachdb/cockroach#13546): worse than an error.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['pg_advisory_lock', 'pg_advisory_xact_lock', 'pg_try_advisory_lock', 'pg_try_advisory_xact_lock',
                                'pg_try_advisory_lock_shared', 'pg_try_advisory_xact_lock_shared', 'pg_advisory_unlock'] LOOP
        EXECUTE format('CREATE FUNCTION crdb_sim.%I(bigint) RETURNS boolean LANGUAGE sql AS ''SELECT true''', name);
        EXECUTE format('CREATE FUNCTION crdb_sim.%I(integer, integer) RETURNS boolean LANGUAGE sql AS ''SELECT true''', name);
    END LOOP;
END $$;

-- What has no counterpart: transaction ids and snapshots, the log, the control file, notifications, PostgreSQL's hashes.
DO $$
DECLARE
    one regprocedure;
BEGIN
    FOR one IN SELECT oid::regprocedure FROM pg_proc
               WHERE pronamespace = 'pg_catalog'::regnamespace
                 AND proname ~ '^(pg_notify|pg_listening_channels|pg_current_xact_id.*|pg_current_snapshot|pg_snapshot_.*|pg_xact_.*|txid_.*|pg_control_.*|pg_walfile_.*|pg_current_wal_.*|pg_wal_.*|pg_export_snapshot|pg_postmaster_start_time|crc32.*|pg_(try_)?advisory_.*)$'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', one);
    END LOOP;
END $$;
REVOKE USAGE ON TYPE xid8 FROM PUBLIC;

-- 40001 may come at any time, also at COMMIT (transaction-retry-error-reference). Once a transaction at most, so that large ones
-- are not hopeless, with the probability crdb.retry_p.
CREATE FUNCTION crdb_internal.maybe_retry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('crdb.decided', true), '') = '' THEN
        PERFORM set_config('crdb.decided', 'yes', true);
        IF random() < coalesce(nullif(current_setting('crdb.retry_p', true), ''), '0')::float8 THEN
            RAISE EXCEPTION 'restart transaction: TransactionRetryWithProtoRefreshError: TransactionRetryError: retry txn (RETRY_SERIALIZABLE)'
                USING ERRCODE = '40001';
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION crdb_internal.arm(target regclass) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('CREATE CONSTRAINT TRIGGER crdb_retry AFTER INSERT OR UPDATE OR DELETE ON %s DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW EXECUTE FUNCTION crdb_internal.maybe_retry()', target);
END $$;

CREATE FUNCTION crdb_internal.refuse(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'unimplemented: % not supported', what USING ERRCODE = '0A000';
END $$;

-- known-limitations, "Triggers": no statement-level triggers, no INSTEAD OF, no REFERENCING, functions in use are not replaced.
-- TRUNCATE triggers are statement-level. create-function, synopsis: no SET, no PARALLEL. known-limitations, "PL/pgSQL": no
-- PERFORM, GET DIAGNOSTICS, FOUND; members of rows in parentheses. create-table: partitions are not tables; no inheritance.
-- The collations C and POSIX: in expressions, not for columns (cockroachdb/cockroach#96828).
CREATE FUNCTION crdb_internal.look_at_ddl() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    command record;
    trigger pg_trigger;
    function pg_proc;
BEGIN
    IF session_user <> 'crdb' THEN
        RETURN;
    END IF;
    FOR command IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
        IF command.command_tag = 'CREATE TRIGGER' THEN
            SELECT * INTO trigger FROM pg_trigger WHERE oid = command.objid;
            CONTINUE WHEN trigger.tgname = 'crdb_retry';
            PERFORM crdb_internal.refuse('REFERENCING clause') WHERE trigger.tgoldtable IS NOT NULL OR trigger.tgnewtable IS NOT NULL;
            PERFORM crdb_internal.refuse('TRUNCATE triggers are') WHERE trigger.tgtype & 32 <> 0;
            PERFORM crdb_internal.refuse('statement-level triggers are') WHERE trigger.tgtype & 1 = 0;
            PERFORM crdb_internal.refuse('INSTEAD OF triggers are') WHERE trigger.tgtype & 64 <> 0;
            PERFORM crdb_internal.refuse('constraint triggers are') WHERE trigger.tgconstraint <> 0;
        ELSIF command.command_tag = 'CREATE FUNCTION' THEN
            SELECT * INTO function FROM pg_proc WHERE oid = command.objid;
            PERFORM crdb_internal.refuse('SET in functions is') WHERE function.proconfig IS NOT NULL;
            PERFORM crdb_internal.refuse('PARALLEL is') WHERE function.proparallel <> 'u';
            PERFORM crdb_internal.refuse('replacing a function that a trigger uses is') FROM pg_trigger WHERE tgfoid = function.oid;
            IF function.prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql') THEN
                PERFORM crdb_internal.refuse('PERFORM is') WHERE function.prosrc ~* '\mperform\M';
                PERFORM crdb_internal.refuse('GET DIAGNOSTICS is') WHERE function.prosrc ~* '\mget\s+diagnostics\M';
                PERFORM crdb_internal.refuse('FOUND is') WHERE function.prosrc ~* '\mfound\M';
                PERFORM crdb_internal.refuse('a member of a row without parentheses is') WHERE function.prosrc ~* '\m(new|old)\.';
            END IF;
        ELSIF command.command_tag = 'CREATE DOMAIN' THEN
            PERFORM crdb_internal.refuse('CREATE DOMAIN is');
        ELSIF command.command_tag = 'CREATE TABLE' AND command.object_type = 'table' THEN
            PERFORM crdb_internal.refuse('PostgreSQL''s partitioning is') FROM pg_class WHERE oid = command.objid AND (relkind = 'p' OR relispartition);
            PERFORM crdb_internal.refuse('INHERITS is') FROM pg_inherits WHERE inhrelid = command.objid;
            PERFORM crdb_internal.refuse('the type of column ' || attname || ' is') FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
            WHERE attrelid = command.objid AND attnum > 0 AND (typname IN ('xid8', 'money', 'xml', 'cidr', 'macaddr') OR typtype IN ('r', 'm', 'd'));
            PERFORM crdb_internal.refuse('the collation of column ' || attname || ' is') FROM pg_attribute
            WHERE attrelid = command.objid AND atttypid <> 'name'::regtype AND attcollation IN ('"C"'::regcollation, '"POSIX"'::regcollation);
            PERFORM crdb_internal.arm(command.objid::regclass) WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = command.objid AND tgname = 'crdb_retry');
        END IF;
    END LOOP;
END $$;
CREATE EVENT TRIGGER crdb_ddl ON ddl_command_end EXECUTE FUNCTION crdb_internal.look_at_ddl();
