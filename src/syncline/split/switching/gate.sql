-- The gate of a move: a row in each of its two databases says who may write the moved tables there.
-- The first number of its lock is "SYNG" in ASCII; the second one is made of the move's name.

-- name: turn
-- One at a time: CREATE … IF NOT EXISTS of two sessions may collide.
SELECT pg_catalog.pg_advisory_xact_lock(1398361671, 0)

-- name: schema
CREATE SCHEMA IF NOT EXISTS syncline_gate

-- name: open_schema
-- Everybody who writes the tables has to read the row.
GRANT USAGE ON SCHEMA syncline_gate TO PUBLIC

-- name: gate
-- mode: a, the application writes; l, the link alone; n, nobody. number: the highest coordinator that wrote here; opened:
-- the one that last opened this side to applications; link: the one that last gave it to the link.
CREATE TABLE IF NOT EXISTS syncline_gate.gate (
    name text PRIMARY KEY,
    mode text NOT NULL CHECK (mode IN ('a', 'l', 'n')),
    number bigint NOT NULL DEFAULT 0,
    opened bigint NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT '-infinity',
    link bigint NOT NULL DEFAULT 0
)

-- name: last_number
-- The highest number of a gate that was taken away: the gate of the next move of that name begins with it, so that a coordinator
-- of the move before changes nothing of it.
CREATE TABLE IF NOT EXISTS syncline_gate.last_number (name text PRIMARY KEY, number bigint NOT NULL)

-- name: open_gate
GRANT SELECT ON syncline_gate.gate TO PUBLIC

-- name: journal
-- One of both databases has it: which side is wanted, which one serves, and who is at work. number: the last coordinator;
-- changes: the last ones, the newest first.
CREATE TABLE IF NOT EXISTS syncline_gate.journal (
    name text PRIMARY KEY,
    number bigint NOT NULL DEFAULT 0,
    goal text NOT NULL,
    phase text NOT NULL,
    phase_number bigint NOT NULL DEFAULT 0,
    changes jsonb NOT NULL DEFAULT '[]',
    holder text,
    held_until timestamptz NOT NULL DEFAULT '-infinity'
)

-- name: refuse
CREATE OR REPLACE FUNCTION syncline_gate.refuse(gate text, reason text, words text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'move %: %', gate, words USING
        ERRCODE = '40001', SCHEMA = 'syncline_gate', TABLE = gate, CONSTRAINT = reason,
        HINT = 'Run the whole transaction again, what it has read included; databases.run of syncline.split does.';
END
$$

-- name: shared
-- For a transaction whose snapshot may be older than the last change of the gate: such a row cannot be locked (40001).
-- It needs a right that writers of the tables do not have.
CREATE OR REPLACE FUNCTION syncline_gate.shared(gate text) RETURNS syncline_gate.gate
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT g FROM syncline_gate.gate AS g WHERE g.name = gate FOR SHARE
$$

-- name: pass
-- The lock is held to the end of the transaction, so that a gate is changed when every writer that passed it has ended;
-- it is not had as soon as a coordinator waits. The row is read by a statement after the lock's, which has a snapshot of its
-- own (and the function is VOLATILE for that). now() is the transaction's begin: what began before the opening may have read
-- what was not up to date. What has passed is noted for the transaction: nothing can change before its end.
-- A link says in syncline.gate_link, by the gates' names, which numbers it has read before the marks.
CREATE OR REPLACE FUNCTION syncline_gate.pass() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    mode text; opened_at timestamptz; number bigint;
    link text := pg_catalog.current_setting('syncline.link', true);
BEGIN
    IF pg_catalog.current_setting('syncline.passed', true) IS DISTINCT FROM TG_ARGV[0] THEN
        IF NOT pg_catalog.pg_try_advisory_xact_lock_shared(1398361671, pg_catalog.hashtext(TG_ARGV[0])) THEN
            PERFORM syncline_gate.refuse(TG_ARGV[0], 'closing', 'its tables are about to change sides');
        END IF;
        IF pg_catalog.current_setting('transaction_isolation') LIKE 'read%' THEN
            SELECT g.mode, g.opened_at, g.link INTO mode, opened_at, number
            FROM syncline_gate.gate AS g WHERE g.name = TG_ARGV[0];
        ELSE
            SELECT g.mode, g.opened_at, g.link INTO mode, opened_at, number FROM syncline_gate.shared(TG_ARGV[0]) AS g;
        END IF;
        IF link <> '' THEN
            IF mode IS DISTINCT FROM 'l'
                OR number::text IS DISTINCT FROM pg_catalog.jsonb_extract_path_text(
                    nullif(pg_catalog.current_setting('syncline.gate_link', true), '')::jsonb, TG_ARGV[0]) THEN
                PERFORM syncline_gate.refuse(TG_ARGV[0], 'link', 'the link read the other side before the gate changed');
            END IF;
        ELSIF mode = 'l' THEN
            PERFORM syncline_gate.refuse(TG_ARGV[0], 'moved', 'its tables are written on the other side');
        ELSIF mode IS DISTINCT FROM 'a' THEN
            PERFORM syncline_gate.refuse(TG_ARGV[0], 'closed', 'its tables are changing sides');
        ELSIF pg_catalog.now() <= opened_at THEN
            PERFORM syncline_gate.refuse(TG_ARGV[0], 'early', 'the transaction is older than the opening of this side');
        END IF;
        PERFORM pg_catalog.set_config('syncline.passed', TG_ARGV[0], true);
    END IF;
    IF TG_LEVEL = 'STATEMENT' THEN
        RETURN NULL;
    ELSIF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$

-- name: change
-- Waits for every writer that has passed; no row: another coordinator with a higher number was here.
CREATE OR REPLACE FUNCTION syncline_gate.change(gate text, coordinator bigint, verb text, patience_ms integer)
RETURNS SETOF syncline_gate.gate LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('lock_timeout', patience_ms || 'ms', true);
    PERFORM pg_advisory_xact_lock(1398361671, hashtext(gate));
    RETURN QUERY UPDATE syncline_gate.gate AS g SET
        number = coordinator,
        mode = CASE WHEN verb = 'open' THEN 'a' WHEN verb = 'link' THEN 'l'
                    WHEN verb = 'close' THEN 'n' ELSE g.mode END,
        link = CASE WHEN verb = 'link' AND g.mode <> 'l' THEN coordinator ELSE g.link END,
        opened = CASE WHEN verb = 'open' THEN coordinator ELSE g.opened END,
        opened_at = CASE WHEN verb = 'open' THEN clock_timestamp() ELSE g.opened_at END
    WHERE g.name = gate AND g.number <= coordinator RETURNING g.*;
END
$$

-- name: hold
-- Keeps the gate as it is to the end of the transaction; false: it is not this coordinator's any more.
CREATE OR REPLACE FUNCTION syncline_gate.hold(gate text, coordinator bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1398361671, hashtext(gate));
    RETURN EXISTS (SELECT FROM syncline_gate.gate AS g WHERE g.name = gate AND g.number = coordinator);
END
$$

-- name: coordinators_change
REVOKE ALL ON FUNCTION syncline_gate.change(text, bigint, text, integer) FROM PUBLIC

-- name: coordinators_hold
REVOKE ALL ON FUNCTION syncline_gate.hold(text, bigint) FROM PUBLIC

-- name: begin
-- Without the row nobody may write; one that is there stays as it is.
INSERT INTO syncline_gate.gate (name, mode, number, opened)
VALUES (%(name)s, %(mode)s, coalesce((SELECT l.number FROM syncline_gate.last_number AS l WHERE l.name = %(name)s), 0), %(opened)s)
ON CONFLICT DO NOTHING

-- name: exists
SELECT pg_catalog.to_regclass('syncline_gate.gate') IS NOT NULL

-- name: row
SELECT mode, number, opened, link FROM syncline_gate.gate WHERE name = %(name)s

-- name: rows
SELECT name, mode, number, opened, link FROM syncline_gate.gate

-- name: call_change
SELECT mode, number, opened, link FROM syncline_gate.change(%(name)s, %(number)s, %(verb)s, %(patience)s)

-- name: writers
-- Who has passed the gate and has not ended; a prepared transaction has no process.
SELECT l.pid, a.application_name, pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - a.xact_start)::text
FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = 1398361671 AND l.objid = (pg_catalog.hashtext(%(name)s)::bigint & 4294967295)::oid
  AND l.objsubid = 2 AND l.granted AND l.mode = 'ShareLock'
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
ORDER BY a.xact_start NULLS FIRST

-- name: end_links
-- Where the mode is l, nobody but a link can have passed.
SELECT pg_catalog.pg_terminate_backend(l.pid)
FROM pg_catalog.pg_locks AS l
WHERE (SELECT g.mode FROM syncline_gate.gate AS g WHERE g.name = %(name)s) = 'l'
  AND l.locktype = 'advisory' AND l.classid = 1398361671 AND l.objid = (pg_catalog.hashtext(%(name)s)::bigint & 4294967295)::oid
  AND l.objsubid = 2 AND l.granted AND l.mode = 'ShareLock' AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())

-- name: family
-- A table and everything below it: a trigger of a statement fires for the table that the statement names.
WITH RECURSIVE below AS (
    SELECT to_regclass(%(table)s)::oid AS oid
    UNION
    SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN below AS b ON b.oid = i.inhparent
)
SELECT n.nspname, c.relname, c.relkind = 'p' AND NOT c.relispartition,
       EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
               WHERE t.tgrelid = c.oid AND t.tgname = 'syncline_gate' AND t.tgenabled = 'A'
                 AND t.tgtype = 62 AND t.tgargs = pg_catalog.convert_to(%(name)s, 'UTF8') || '\x00'::bytea),
       EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
               WHERE t.tgrelid = c.oid AND t.tgname = 'syncline_gate_row' AND t.tgenabled = 'A'),
       EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS s WHERE s.srrelid = c.oid)
FROM below AS b JOIN pg_catalog.pg_class AS c ON c.oid = b.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
ORDER BY c.relispartition, 1, 2

-- name: patience
SELECT pg_catalog.set_config('lock_timeout', %s, true)

-- name: drop_trigger
DROP TRIGGER IF EXISTS {trigger} ON {table}

-- name: trigger
CREATE TRIGGER syncline_gate BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT
EXECUTE FUNCTION syncline_gate.pass({name})

-- name: row_trigger
-- Cloned to every partition, those to come included: a statement that names one of them fires it.
CREATE TRIGGER syncline_gate_row BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW
WHEN (pg_catalog.current_setting('syncline.passed', true) IS DISTINCT FROM {name})
EXECUTE FUNCTION syncline_gate.pass({name})

-- name: always
-- Also where session_replication_role says replica.
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}

-- name: remove
WITH gone AS (DELETE FROM syncline_gate.gate WHERE name = %(name)s RETURNING name, number)
INSERT INTO syncline_gate.last_number AS l (name, number) SELECT name, number FROM gone
ON CONFLICT (name) DO UPDATE SET number = greatest(l.number, excluded.number)

-- name: remove_journal
DELETE FROM syncline_gate.journal WHERE name = %(name)s

-- name: begin_journal
INSERT INTO syncline_gate.journal (name, goal, phase) VALUES (%(name)s, %(side)s, %(side)s) ON CONFLICT DO NOTHING

-- name: read_journal
SELECT number, goal, phase, holder IS NOT NULL AND held_until > pg_catalog.clock_timestamp()
FROM syncline_gate.journal WHERE name = %(name)s

-- name: want
UPDATE syncline_gate.journal SET goal = %(goal)s WHERE name = %(name)s RETURNING number

-- name: withdraw
-- Only as long as no coordinator but those that are known has begun with that goal.
UPDATE syncline_gate.journal SET goal = %(back)s WHERE name = %(name)s AND goal = %(goal)s AND number = %(number)s
RETURNING 1

-- name: acquire
UPDATE syncline_gate.journal SET
    number = greatest(number, %(above)s) + 1, holder = %(holder)s,
    held_until = pg_catalog.clock_timestamp() + %(lease)s * interval '1 second'
WHERE name = %(name)s AND goal = %(goal)s AND (holder IS NULL OR held_until <= pg_catalog.clock_timestamp())
RETURNING number

-- name: renew
UPDATE syncline_gate.journal SET held_until = pg_catalog.clock_timestamp() + %(lease)s * interval '1 second'
WHERE name = %(name)s AND number = %(number)s AND holder = %(holder)s AND goal = %(goal)s
RETURNING 1

-- name: turn_back
UPDATE syncline_gate.journal SET goal = %(goal)s, holder = NULL
WHERE name = %(name)s AND number = %(number)s AND holder = %(holder)s
RETURNING 1

-- name: reached
UPDATE syncline_gate.journal AS j SET
    phase = %(goal)s, phase_number = %(number)s,
    changes = pg_catalog.jsonb_path_query_array(pg_catalog.jsonb_build_object(
        'to', %(goal)s::text, 'number', %(number)s::bigint, 'at', pg_catalog.clock_timestamp(), 'paused_ms', %(paused)s::integer)
        || j.changes, '$[0 to 19]')
WHERE name = %(name)s AND phase_number < %(number)s

-- name: changes
SELECT changes FROM syncline_gate.journal WHERE name = %(name)s

-- name: release
UPDATE syncline_gate.journal SET holder = NULL WHERE name = %(name)s AND number = %(number)s AND holder = %(holder)s
