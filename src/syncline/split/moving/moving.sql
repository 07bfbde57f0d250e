-- What a move has come to; in the database in which its tables are at first, beside the journal of the switch.

-- name: turn
SELECT pg_catalog.pg_advisory_xact_lock(1398361671, 0)

-- name: schema
CREATE SCHEMA IF NOT EXISTS syncline_gate

-- name: open_schema
GRANT USAGE ON SCHEMA syncline_gate TO PUBLIC

-- name: table
-- tables: what moves, with the entity's name and key; opening: what is done on the side that opens, and undone on the other;
-- sides: which database each is, whatever URL leads there.
CREATE TABLE IF NOT EXISTS syncline_gate.move (
    name text PRIMARY KEY,
    home text NOT NULL,
    phase text NOT NULL,
    tables jsonb NOT NULL,
    opening jsonb NOT NULL DEFAULT '[]',
    notes jsonb NOT NULL DEFAULT '[]',
    sides jsonb NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
)

-- name: place
SELECT oid::text, datname::text FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()

-- name: exists
SELECT pg_catalog.to_regclass('syncline_gate.move') IS NOT NULL

-- name: read
SELECT phase, home, tables, opening, notes, sides, begun_at, changed_at FROM syncline_gate.move WHERE name = %(name)s

-- name: begin
INSERT INTO syncline_gate.move (name, home, phase, tables, sides)
VALUES (%(name)s, %(home)s, %(phase)s, %(tables)s, %(sides)s)
ON CONFLICT DO NOTHING

-- name: reach
UPDATE syncline_gate.move SET phase = %(phase)s, changed_at = pg_catalog.clock_timestamp()
WHERE name = %(name)s AND phase <> %(phase)s

-- name: end
-- Of a move without a journal: nobody can have changed sides.
UPDATE syncline_gate.move SET phase = %(phase)s, changed_at = pg_catalog.clock_timestamp()
WHERE name = %(name)s AND phase = %(was)s AND begun_at = %(begun_at)s
RETURNING 1

-- name: end_in_charge
-- The journal goes with the phase: without it no coordinator begins, and those before have lower numbers than both gates.
WITH over AS (
    DELETE FROM syncline_gate.journal
    WHERE name = %(name)s AND number = %(number)s AND goal = %(goal)s
      AND EXISTS (SELECT FROM syncline_gate.move WHERE name = %(name)s AND phase = %(was)s AND begun_at = %(begun_at)s)
    RETURNING 1
)
UPDATE syncline_gate.move SET phase = %(phase)s, changed_at = pg_catalog.clock_timestamp()
WHERE name = %(name)s AND EXISTS (SELECT FROM over)
RETURNING 1

-- name: views
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm')

-- name: keep_opening
-- At the end of the copy; from then on only coordinators do.
UPDATE syncline_gate.move SET opening = %(opening)s WHERE name = %(name)s AND phase IN ('schema', 'copying')

-- name: learn_opening
-- No row: another coordinator has begun. The journal's row is locked, so that none begins before this is done.
UPDATE syncline_gate.move SET opening = %(opening)s WHERE name = %(name)s
  AND EXISTS (SELECT FROM syncline_gate.journal AS j WHERE j.name = %(name)s AND j.number = %(number)s FOR SHARE)
RETURNING 1

-- name: opening
SELECT opening FROM syncline_gate.move WHERE name = %(name)s

-- name: note
-- What was done though something spoke against it, and why.
UPDATE syncline_gate.move SET notes = notes || %(note)s WHERE name = %(name)s

-- name: forget
DELETE FROM syncline_gate.move WHERE name = %(name)s

-- name: roots
-- Tables as a link takes them: a partitioned one stands for its partitions. Whether each has a primary key that can decide
-- between insert and update: none that is DEFERRABLE, or WITHOUT OVERLAPS.
SELECT n.nspname, c.relname,
       EXISTS (SELECT FROM pg_catalog.pg_index AS i
               WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate AND NOT i.indisexclusion)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])) AS t (schema, name) ON t.schema = n.nspname AND t.name = c.relname
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY n.nspname, c.relname

-- name: opened
-- When a side was opened to applications, and how many seconds ago.
SELECT opened_at, extract(epoch FROM pg_catalog.clock_timestamp() - opened_at)::float8
FROM syncline_gate.gate WHERE name = %(name)s AND opened > 0

-- name: watched
-- What moving tables were when it was looked last, on the side that serves; pending: what is made over there when the changes
-- up to the mark are through; stopped: why the move of this table cannot go on; since: which coordinator had opened this side
-- by then: where the other side was opened after it, all this is of before.
CREATE TABLE IF NOT EXISTS syncline_gate.watched (
    move text NOT NULL,
    side text NOT NULL,
    oid bigint NOT NULL,
    definition jsonb NOT NULL,
    pending jsonb NOT NULL DEFAULT '[]',
    mark bigint NOT NULL DEFAULT 0,
    stopped text[] NOT NULL DEFAULT '{}',
    rewritten_at timestamptz,
    since bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (move, side, oid)
)

-- name: version
SELECT coalesce(pg_catalog.md5(pg_catalog.string_agg(oid || ' ' || xmin, ',' ORDER BY oid)), '') FROM syncline_gate.watched
WHERE move = %(name)s AND side = %(side)s

-- name: watch
INSERT INTO syncline_gate.watched (move, side, oid, definition) VALUES (%(name)s, %(side)s, %(oid)s, %(definition)s)
ON CONFLICT (move, side, oid) DO NOTHING

-- name: taken
SELECT coalesce(min(since), 0) FROM syncline_gate.watched WHERE move = %(name)s AND side = %(side)s

-- name: renew
-- What stopped a table stays, and so does what is yet to be made for it.
UPDATE syncline_gate.watched SET definition = %(definition)s
WHERE move = %(name)s AND side = %(side)s AND oid = %(oid)s AND stopped = '{}'

-- name: renewed
UPDATE syncline_gate.watched SET since = %(since)s WHERE move = %(name)s AND side = %(side)s

-- name: known
SELECT oid, definition::text, pending, mark, stopped, rewritten_at FROM syncline_gate.watched
WHERE move = %(name)s AND side = %(side)s ORDER BY oid

-- name: is_watched
SELECT pg_catalog.to_regclass('syncline_gate.watched') IS NOT NULL

-- name: altered
UPDATE syncline_gate.watched SET definition = %(definition)s, pending = %(pending)s, mark = %(mark)s, stopped = '{}',
       rewritten_at = CASE WHEN %(rewritten)s THEN pg_catalog.clock_timestamp() ELSE rewritten_at END
WHERE move = %(name)s AND side = %(side)s AND oid = %(oid)s

-- name: unfollowed
-- Tables that were altered, and are not so on the other side; and why they cannot be.
SELECT definition -> 'table' ->> 'quoted', stopped FROM syncline_gate.watched
WHERE move = %(name)s AND side = %(side)s AND (stopped <> '{}' OR pending <> '[]') ORDER BY 1

-- name: rewritten
-- When tables of a side last became what an earlier verification does not tell of.
SELECT definition -> 'table' ->> 'quoted', rewritten_at FROM syncline_gate.watched
WHERE move = %(name)s AND side = %(side)s AND rewritten_at IS NOT NULL

-- name: made
UPDATE syncline_gate.watched SET pending = '[]' WHERE move = %(name)s AND side = %(side)s AND oid = %(oid)s

-- name: stop
UPDATE syncline_gate.watched SET stopped = %(stopped)s
WHERE move = %(name)s AND side = %(side)s AND oid = %(oid)s AND stopped <> %(stopped)s

-- name: forget_watched
DELETE FROM syncline_gate.watched WHERE move = %(name)s

-- name: family
-- Tables with their partitions.
SELECT p.relid::oid::bigint
FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])) AS t (schema, name)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = t.schema
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.name
CROSS JOIN LATERAL (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid) UNION SELECT c.oid) AS p
ORDER BY 1

-- name: digest
-- Differs when something of these tables was altered; cheap enough to be asked every second. Rows of the catalog that are
-- replaced have another xmin, whatever was done to them.
WITH RECURSIVE t AS (
    SELECT pg_catalog.unnest(%(oids)s::oid[]) AS oid
    UNION SELECT p.relid::oid
    FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])) AS w (schema, name)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
    CROSS JOIN LATERAL (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid) UNION SELECT c.oid) AS p
),
types AS (
    SELECT a.atttypid AS oid FROM pg_catalog.pg_attribute AS a JOIN t ON t.oid = a.attrelid
    UNION
    SELECT v.oid FROM types AS u JOIN pg_catalog.pg_type AS y ON y.oid = u.oid, LATERAL (VALUES (y.typelem), (y.typbasetype)) AS v (oid)
    WHERE v.oid <> 0
),
parts AS (
    SELECT indexrelid AS oid, i.xmin AS seen FROM pg_catalog.pg_index AS i JOIN t ON t.oid = i.indrelid
    UNION ALL SELECT k.oid, k.xmin FROM pg_catalog.pg_constraint AS k JOIN t ON t.oid = k.conrelid
    UNION ALL SELECT g.oid, g.xmin FROM pg_catalog.pg_trigger AS g JOIN t ON t.oid = g.tgrelid
    UNION ALL SELECT r.oid, r.xmin FROM pg_catalog.pg_rewrite AS r JOIN t ON t.oid = r.ev_class
    UNION ALL SELECT p.oid, p.xmin FROM pg_catalog.pg_policy AS p JOIN t ON t.oid = p.polrelid
    UNION ALL SELECT s.oid, s.xmin FROM pg_catalog.pg_statistic_ext AS s JOIN t ON t.oid = s.stxrelid
    UNION ALL SELECT c.oid, c.xmin FROM pg_catalog.pg_class AS c JOIN t ON t.oid = c.oid
)
SELECT pg_catalog.md5(coalesce(pg_catalog.string_agg(x.oid || ' ' || x.place || ' ' || x.seen, ',' ORDER BY x.oid, x.place, x.seen::text), ''))
FROM (
    SELECT p.oid, 0 AS place, p.seen FROM parts AS p
    UNION ALL SELECT a.attrelid, a.attnum, a.xmin FROM pg_catalog.pg_attribute AS a JOIN t ON t.oid = a.attrelid
    UNION ALL SELECT d.adrelid, d.adnum, d.xmin FROM pg_catalog.pg_attrdef AS d JOIN t ON t.oid = d.adrelid
    UNION ALL SELECT i.inhparent, 0, i.xmin FROM pg_catalog.pg_inherits AS i JOIN t ON t.oid = i.inhparent
    UNION ALL SELECT o.objoid, o.objsubid, o.xmin FROM pg_catalog.pg_description AS o JOIN parts AS p ON p.oid = o.objoid
    UNION ALL SELECT e.oid, 0, e.xmin FROM pg_catalog.pg_enum AS e JOIN types AS y ON y.oid = e.enumtypid
    UNION ALL SELECT s.seqrelid, 0, s.xmin FROM pg_catalog.pg_sequence AS s
        JOIN pg_catalog.pg_depend AS d ON d.objid = s.seqrelid AND d.classid = 'pg_catalog.pg_class'::regclass
        JOIN t ON t.oid = d.refobjid WHERE d.deptype IN ('a', 'i')
) AS x

-- name: labels
-- Enums of these tables' columns, of arrays and domains over them, too: their labels in order.
WITH RECURSIVE types AS (
    SELECT a.atttypid AS oid
    FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])) AS w (schema, name)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.name
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
    UNION
    SELECT v.oid FROM types AS u JOIN pg_catalog.pg_type AS y ON y.oid = u.oid, LATERAL (VALUES (y.typelem), (y.typbasetype)) AS v (oid)
    WHERE v.oid <> 0
)
SELECT n.nspname::text, y.typname::text, array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
FROM types AS u JOIN pg_catalog.pg_type AS y ON y.oid = u.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = y.typnamespace
JOIN pg_catalog.pg_enum AS e ON e.enumtypid = y.oid
GROUP BY 1, 2 ORDER BY 1, 2

-- name: alone
-- One process of a move watches for schema changes; the lock is the session's, so that a dead one's is free at once.
SELECT pg_catalog.count(*) > 0 OR pg_catalog.pg_try_advisory_lock(1398361671, pg_catalog.hashtext(%(name)s))
FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND classid = 1398361671 AND objid = (pg_catalog.hashtext(%(name)s)::bigint & 4294967295)::oid
  AND pid = pg_catalog.pg_backend_pid() AND granted

-- name: acting
-- Whether what acts on new rows is on, on this side; without a row nobody knows.
CREATE TABLE IF NOT EXISTS syncline_gate.acting (name text PRIMARY KEY, acts boolean NOT NULL)

-- name: act
-- All of it in one statement: one round trip, and whoever sent it may be away meanwhile, or frozen; nothing is held for longer.
-- What is so already costs nothing. Without a gate nobody is in charge: the move is over.
BEGIN
    IF EXISTS (SELECT FROM syncline_gate.acting WHERE name = {name} AND acts = {acts}) THEN
        RETURN;
    END IF;
    PERFORM pg_catalog.set_config('lock_timeout', {patience}, true);
    PERFORM pg_catalog.pg_advisory_xact_lock_shared(1398361671, pg_catalog.hashtext({name}));
    IF coalesce((SELECT number > {number} FROM syncline_gate.gate WHERE name = {name}), true) THEN
        RAISE EXCEPTION 'another coordinator was here' USING ERRCODE = 'object_not_in_prerequisite_state', SCHEMA = 'syncline_gate';
    END IF;
    {lock}
    PERFORM pg_catalog.set_config('lock_timeout', {brief}, true);
    {statements}
    INSERT INTO syncline_gate.acting (name, acts) VALUES ({name}, {acts})
    ON CONFLICT (name) DO UPDATE SET acts = excluded.acts;
END

-- name: do
DO {script}

-- name: act_lock
-- Writers and autovacuum are waited for, readers are let through; what is gone is found out by its statements.
BEGIN
    LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE;
EXCEPTION WHEN undefined_table THEN
    NULL;
END;

-- name: act_on
EXECUTE {statement};

-- name: act_off
BEGIN
    EXECUTE {statement};
EXCEPTION WHEN undefined_object OR undefined_table THEN
    NULL;
END;

-- name: forget_acts
DELETE FROM syncline_gate.acting WHERE name = %(name)s RETURNING name

-- name: holders
-- Who holds locks of tables, or of partitions of them, that others may have to wait for; the oldest first.
WITH t AS (
    SELECT p.relid::oid AS oid
    FROM (SELECT pg_catalog.to_regclass(pg_catalog.unnest(%(tables)s::text[])) AS root) AS r
    CROSS JOIN LATERAL (SELECT relid FROM pg_catalog.pg_partition_tree(r.root) UNION SELECT r.root) AS p
)
SELECT l.pid, max(a.application_name), max(pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - a.xact_start)::text),
       coalesce(bool_or(a.backend_type = 'autovacuum worker'), false)
FROM pg_catalog.pg_locks AS l JOIN t ON t.oid = l.relation LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
GROUP BY l.pid ORDER BY min(a.xact_start) NULLS FIRST
